//! `KafkaServer.shutdown` in its order: controlled shutdown, nothing served any more, logs flushed and marked clean, the
//! controller, the ZooKeeper session.

use super::startup::Phase;
use super::{Broker, BrokerTimer, CONTROLLED_SHUTDOWN};
use crate::id::BrokerId;
use crate::kafka::Timer as KafkaTimer;
use crate::kafka::channel::{Channel, ChannelEvent, ChannelId, ChannelLimits, ChannelTimerKind, ConnInput};
use crate::kafka::protocol::{Request, Response};
use crate::kafka::zk_client::{ZkAnswer, ZkBatch, ZkReply, ZkRequests, ZkUser};
use crate::kafka::znode::{self, ControllerZnode};
use crate::observation::Observation;
use crate::process::{Input, TERMINATED};
use crate::time::Span;
use crate::world::{Ctx, In, KAFKA_PORT, Message, Timer};
use crate::zk::protocol::{Op, OpResult};

/// What the thread that shuts down waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// `/controller`.
    FindingController(ZkBatch),
    /// The controller's own registration.
    FindingBroker(ZkBatch, BrokerId),
    /// The connection to it.
    Connecting,
    /// Its answer.
    Asked(u32),
    /// `controlled.shutdown.retry.backoff.ms`.
    Pausing,
    /// The last flush of all logs.
    ClosingLogs,
    /// The controller's event thread, which without ZooKeeper may never be free.
    ClosingController,
    /// The end of the session.
    ClosingSession,
}

/// A shutdown under way.
#[derive(Clone, Debug, Hash)]
pub(super) struct Shutdown {
    step: Step,
    /// Attempts at controlled shutdown so far.
    attempt: u32,
    /// The controller that was found last, kept from one attempt to the next.
    controller: Option<(BrokerId, Channel)>,
    reason: &'static str,
}

impl Broker {
    /// SIGTERM. A second one changes nothing.
    pub(super) fn terminate(&mut self, ctx: &mut Ctx<'_>) {
        if self.shutdown.is_some() {
            return;
        }
        if !self.phase.is_running() {
            // `shutdown` throws while the server starts, and the shutdown hook halts the JVM.
            return ctx.exit("terminated during start-up");
        }
        self.shutdown = Some(Shutdown { step: Step::Pausing, attempt: 0, controller: None, reason: TERMINATED });
        if self.spec.config.controlled_shutdown_enable && self.spec.config.controlled_shutdown_max_retries > 0 {
            ctx.observe(Observation::ControlledShutdownBegin);
            self.attempt_controlled_shutdown(ctx);
        } else {
            self.stop_serving(ctx);
        }
    }

    /// Start-up failed after the registration: the session is closed, and nothing else has begun.
    pub(super) fn fail_startup(&mut self, ctx: &mut Ctx<'_>) {
        self.phase = Phase::Stopping;
        let reason = "meta.properties cannot be written";
        self.shutdown = Some(Shutdown { step: Step::ClosingSession, attempt: 0, controller: None, reason });
        self.zk.close(ctx);
    }

    /// Each attempt looks the controller up in ZooKeeper, not in the metadata cache.
    pub(super) fn attempt_controlled_shutdown(&mut self, ctx: &mut Ctx<'_>) {
        let Some(shutdown) = self.shutdown.as_mut().filter(|shutdown| shutdown.step == Step::Pausing) else { return };
        shutdown.attempt += 1;
        let read = Op::GetData { path: znode::CONTROLLER.into(), watch: false };
        let batch = self.zk.submit(ctx, ZkUser::Broker, vec![read]);
        self.at_step(Step::FindingController(batch));
    }

    fn at_step(&mut self, step: Step) {
        if let Some(shutdown) = &mut self.shutdown {
            shutdown.step = step;
        }
    }

    /// An answer of ZooKeeper. Gives it back if it is for somebody else.
    pub(super) fn on_shutdown_answer(&mut self, ctx: &mut Ctx<'_>, answer: ZkAnswer) -> Option<ZkAnswer> {
        let Some(step) = self.shutdown.as_ref().map(|shutdown| shutdown.step) else { return Some(answer) };
        let (Step::FindingController(waited) | Step::FindingBroker(waited, _)) = step else { return Some(answer) };
        match answer {
            ZkAnswer::Replies(batch, replies) if batch == waited => self.on_found(ctx, step, replies.first()),
            // The exception goes up to where it is swallowed: no further attempt.
            ZkAnswer::SessionExpired(batch) if batch == waited => self.end_attempt(ctx, None, true),
            other => return Some(other),
        }
        None
    }

    fn on_found(&mut self, ctx: &mut Ctx<'_>, step: Step, reply: Option<&ZkReply>) {
        let data = match reply.map(|reply| &reply.result) {
            Some(Ok(OpResult::Data { data, .. })) => Some(data),
            _ => None,
        };
        match (step, data) {
            (Step::FindingController(_), Some(data)) => {
                let Some(content) = znode::decode::<ControllerZnode>(data) else {
                    return self.end_attempt(ctx, None, true);
                };
                let id = BrokerId(content.brokerid);
                let read = Op::GetData { path: znode::broker_path(id), watch: false };
                let batch = self.zk.submit(ctx, ZkUser::Broker, vec![read]);
                self.at_step(Step::FindingBroker(batch, id));
            }
            (Step::FindingBroker(_, id), Some(_)) => {
                self.meet_controller(ctx, id);
                self.ask_controller(ctx);
            }
            // Nobody is controller, or it is not registered: the one known from an earlier attempt will do.
            _ => self.ask_controller(ctx),
        }
    }

    /// Keeps the connection of the attempt before, unless the controller is another one or the connection failed.
    fn meet_controller(&mut self, ctx: &mut Ctx<'_>, id: BrokerId) {
        let Some(address) = self.spec.addresses.get(&id).copied() else { return };
        let Some(shutdown) = &mut self.shutdown else { return };
        if shutdown.controller.as_ref().is_some_and(|(known, channel)| *known == id && channel.is_connected()) {
            return;
        }
        if let Some((_, mut old)) = shutdown.controller.take() {
            old.shut(ctx);
        }
        let ms = |ms: u32| Span::from_ms(ms.into());
        let config = &self.spec.config;
        let limits = ChannelLimits {
            setup_timeout: ms(config.socket_connection_setup_timeout_ms),
            setup_timeout_max: ms(config.socket_connection_setup_timeout_max_ms),
            backoff: Span::ZERO,
            backoff_max: Span::ZERO,
            max_in_flight: 1,
        };
        let channel = Channel::new(ChannelId::ToController(CONTROLLED_SHUTDOWN), Some(id), address, limits);
        shutdown.controller = Some((id, channel));
    }

    fn ask_controller(&mut self, ctx: &mut Ctx<'_>) {
        let (broker, broker_epoch) = (self.spec.id(), self.controller.broker_epoch());
        let ms = |ms: u32| Span::from_ms(ms.into());
        let config = &self.spec.config;
        let Some(Shutdown { step, controller, attempt, .. }) = &mut self.shutdown else { return };
        let Some((_, channel)) = controller else { return self.end_attempt(ctx, None, false) };
        if channel.ready(ctx) {
            let request = Request::ControlledShutdown { broker, broker_epoch };
            *step = Step::Asked(channel.send(ctx, request, ms(config.request_timeout_ms)));
        } else if *step != Step::Connecting {
            *step = Step::Connecting;
            let timer = Timer::Kafka(KafkaTimer::Broker(BrokerTimer::ControlledShutdownConnect(*attempt)));
            ctx.set_timer(ms(config.controller_socket_timeout_ms), timer);
        }
    }

    /// `NetworkClientUtils.awaitReady` has waited for `controller.socket.timeout.ms`.
    pub(super) fn on_shutdown_connect_timeout(&mut self, ctx: &mut Ctx<'_>, attempt: u32) {
        let waits = |shutdown: &&mut Shutdown| shutdown.step == Step::Connecting && shutdown.attempt == attempt;
        let Some(shutdown) = self.shutdown.as_mut().filter(waits) else { return };
        if let Some((_, mut channel)) = shutdown.controller.take() {
            channel.shut(ctx);
        }
        self.end_attempt(ctx, None, false);
    }

    /// Something happened on a connection that is nobody else's.
    pub(super) fn on_shutdown_conn(&mut self, ctx: &mut Ctx<'_>, input: ConnInput) {
        let Some(Shutdown { controller: Some((_, channel)), .. }) = &mut self.shutdown else { return };
        let event = channel.on_input(ctx, input);
        self.on_shutdown_channel(ctx, event);
    }

    pub(super) fn on_shutdown_channel_timer(&mut self, ctx: &mut Ctx<'_>, kind: ChannelTimerKind) {
        let Some(Shutdown { controller: Some((_, channel)), .. }) = &mut self.shutdown else { return };
        let event = channel.on_timer(ctx, kind);
        self.on_shutdown_channel(ctx, event);
    }

    fn on_shutdown_channel(&mut self, ctx: &mut Ctx<'_>, event: ChannelEvent) {
        let Some(step) = self.shutdown.as_ref().map(|shutdown| shutdown.step) else { return };
        match (step, event) {
            (Step::Connecting, ChannelEvent::Connected) => self.ask_controller(ctx),
            (Step::Connecting | Step::Asked(_), ChannelEvent::Disconnected { .. }) => {
                self.end_attempt(ctx, None, false);
            }
            (Step::Asked(sent), ChannelEvent::Response { correlation, response }) if sent == correlation => {
                let remaining = match response {
                    Response::ControlledShutdown(answer) => answer.ok(),
                    _ => None,
                };
                self.end_attempt(ctx, remaining, false);
            }
            _ => {}
        }
    }

    /// An attempt ended, with so many leaderships left if the controller told. After the last one, or a success, the broker
    /// stops ("Proceeding to do an unclean shutdown" is said of the leaderships; the logs are closed cleanly all the same).
    fn end_attempt(&mut self, ctx: &mut Ctx<'_>, remaining: Option<u32>, give_up: bool) {
        let Some(shutdown) = &mut self.shutdown else { return };
        let attempt = shutdown.attempt;
        ctx.observe(Observation::ControlledShutdownEnd { attempt, remaining });
        let config = &self.spec.config;
        if remaining == Some(0) || give_up || attempt >= config.controlled_shutdown_max_retries {
            return self.stop_serving(ctx);
        }
        shutdown.step = Step::Pausing;
        let timer = Timer::Kafka(KafkaTimer::Broker(BrokerTimer::ControlledShutdownRetry));
        ctx.set_timer(Span::from_ms(config.controlled_shutdown_retry_backoff_ms.into()), timer);
    }

    /// `stopProcessingRequests`, then everything up to the logs.
    fn stop_serving(&mut self, ctx: &mut Ctx<'_>) {
        self.phase = Phase::Stopping;
        self.at_step(Step::ClosingLogs);
        ctx.unlisten(KAFKA_PORT);
        for conn in self.connections.drain() {
            ctx.close(conn);
            self.replicas.on_client_closed(ctx, conn);
        }
        if let Some((_, mut channel)) = self.shutdown.as_mut().and_then(|shutdown| shutdown.controller.take()) {
            channel.shut(ctx);
        }
        self.replicas.close_logs(ctx);
    }

    /// Nobody is served: only what the shutdown itself waits for counts.
    pub(super) fn on_input_while_stopping(&mut self, ctx: &mut Ctx<'_>, input: In) {
        match input {
            Input::Message { conn, message: Message::Zk(message) } => self.zk.on_message(ctx, conn, *message),
            Input::Timer { timer: Timer::ZkClient(timer), .. } => self.zk.on_zk_timer(ctx, timer),
            Input::Opened { conn } if self.zk.owns(conn) => self.zk.on_opened(ctx, conn),
            Input::Closed { conn, .. } if self.zk.owns(conn) => self.zk.on_closed(ctx, conn),
            Input::Disk { token, result } => self.replicas.on_disk(ctx, &self.cache, token, result),
            Input::Accepted { conn, .. } => ctx.close(conn),
            _ => {}
        }
    }

    /// Does the next step if the one before is done. Returns whether it did.
    pub(super) fn go_on_stopping(&mut self, ctx: &mut Ctx<'_>) -> bool {
        let Some(Shutdown { step, reason, .. }) = self.shutdown.as_ref() else { return false };
        match step {
            Step::ClosingLogs if self.replicas.is_closed() => {
                self.at_step(Step::ClosingController);
                self.controller.shutdown(ctx, &mut self.zk);
                true
            }
            Step::ClosingController if self.controller.is_shut() => {
                self.at_step(Step::ClosingSession);
                self.zk.close(ctx);
                true
            }
            Step::ClosingSession if !self.zk.is_alive() => {
                ctx.exit(reason);
                false
            }
            _ => false,
        }
    }
}
