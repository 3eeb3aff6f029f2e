//! `KafkaServer`: the broker process. It starts up in the real order, hands inputs to the parts that they belong to, and
//! carries a session's expiry through.
//!
//! [`startup`] is the way to [`Phase::Running`], [`shutdown`] the way out; [`requests`] answers on accepted connections; [`control`] takes the
//! controller's requests; [`to_controller`], [`producer_ids`] and [`topics`] are the broker's own conversations.

mod assignment;
mod connections;
mod control;
mod isr_writes;
mod metrics;
mod producer_ids;
mod requests;
mod shutdown;
mod startup;
#[cfg(test)]
mod tests;
mod to_controller;
mod topics;

use std::hash::Hash;
use std::sync::Arc;

use self::connections::Connections;
use self::isr_writes::{IsrWrites, Outcome, PROPAGATION_CHECK};
use self::producer_ids::ProducerIdManager;
use self::shutdown::Shutdown;
use self::startup::{Meta, Phase};
use self::to_controller::ToController;
use self::topics::TopicCreations;
use super::channel::{ChannelId, ChannelTimer, ConnInput};
use super::config::BrokerConfig;
use super::controller::KafkaController;
use super::group::{GroupCoordinator, Host};
use super::metadata_cache::MetadataCache;
use super::metrics::Metrics;
use super::protocol::{AlterPartitionItem, AlterPartitionRequest, Body, Frame, Origin, Request, Response};
use super::replica::ReplicaManager;
use super::zk_client::{KafkaZkClient, KafkaZkSpec, ZkAnswer, ZkNotice, ZkRequests, ZkUser};
use super::{Addresses, Racks, Timer as KafkaTimer};
use crate::defect::{Defect, Defects};
use crate::fingerprint::Fingerprint;
use crate::id::{Address, BrokerId, ConnId};
use crate::process::{Effect, Input, Loss, Process};
use crate::random::Random;
use crate::time::Span;
use crate::world::{Ctx, In, Message, Timer};
use crate::zk::protocol::Data;

/// What its timers carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BrokerTimer {
    /// Of [`crate::kafka::zk_client::KafkaZkClient`]: a registration looks again.
    RetryRegistration,
    /// The ZooKeeper client reports AuthFailed although its session is alive (SASL fails late).
    ZkAuthFailed,
    /// `scheduleReinitialize`.
    ZkReinitialize,
    /// Start-up waited `zookeeper.connection.timeout.ms` for a session.
    ZkConnectDeadline,
    /// A broker-to-controller channel looks again for a controller.
    ControllerLookup(u8),
    /// The pause between two attempts at controlled shutdown is over.
    ControlledShutdownRetry,
    /// `controller.socket.timeout.ms` is over, and no connection to the controller was made in that attempt.
    ControlledShutdownConnect(u32),
    /// The pause after a refused AlterPartition is over.
    IsrRetry,
    /// Of [`crate::kafka::group::GroupCoordinator`]: some deadline of a group has come.
    GroupExpiry,
    /// `isr-change-propagation`, before protocol 2.7: are ISR changes to be told to the controller?
    IsrChangePropagation,
    /// A created topic has no leader yet and its client waits no longer; the number of the request.
    CreateTopicsTimeout(u32),
}

/// What a broker is made of.
#[derive(Clone, Debug, Hash)]
pub struct BrokerSpec {
    /// `server.properties`.
    pub config: Arc<BrokerConfig>,
    /// `zookeeper.connect`.
    pub zookeeper: Arc<[Address]>,
    /// Where each broker listens, this one included.
    pub addresses: Addresses,
    /// Where each broker stands. Real brokers learn it from UpdateMetadata.
    pub racks: Racks,
    /// Which defects it has.
    pub defects: Defects,
}

impl BrokerSpec {
    fn id(&self) -> BrokerId {
        BrokerId(self.config.broker_id)
    }
}

/// The ISR changes of this broker on their way to the controller (`AlterPartitionManager`): one request at a time.
#[derive(Clone, Debug, Hash)]
enum IsrChanges {
    Idle,
    UnderWay(Arc<AlterPartitionRequest>),
    Pausing,
}

/// A broker.
#[derive(Clone, Debug, Hash)]
pub struct Broker {
    spec: BrokerSpec,
    meta: Meta,
    /// `/cluster/id` as read at start-up.
    cluster_id: Option<Data>,
    phase: Phase,
    zk: KafkaZkClient,
    /// The session has expired and the controller's event thread has not begun to process that: `reinitialize` waits.
    expiring: bool,
    controller: KafkaController,
    replicas: ReplicaManager,
    groups: GroupCoordinator,
    cache: MetadataCache,
    connections: Connections,
    alter_partition: ToController,
    allocate_ids: ToController,
    isr_changes: IsrChanges,
    /// In use instead of `alter_partition` before protocol 2.7.
    isr_writes: Option<IsrWrites>,
    producer_ids: ProducerIdManager,
    topics: TopicCreations,
    metrics: Metrics,
    /// BrokerState and SessionState as last reported.
    states: [u64; 2],
    /// Set once the process is told to end.
    shutdown: Option<Shutdown>,
}

impl Broker {
    /// Damages the index files of all its logs. Its next start finds out, and reads every log to build them anew.
    pub fn damage_indexes(&mut self) {
        self.replicas.damage_indexes();
    }

    /// A broker that has never run.
    pub fn new(spec: BrokerSpec) -> Self {
        let (protocol, defects) = spec.config.rules(spec.defects);
        let spec = BrokerSpec { defects, ..spec };
        let BrokerSpec { config, zookeeper, addresses, racks, defects } = spec.clone();
        let id = spec.id();
        Self {
            meta: Meta::default(),
            cluster_id: None,
            phase: Phase::Down,
            zk: KafkaZkClient::new(KafkaZkSpec { broker: id, config: config.clone(), zookeeper, defects }),
            expiring: false,
            controller: KafkaController::new(id, config.clone(), defects, addresses.clone()),
            replicas: ReplicaManager::new(id, config.clone(), defects, addresses, racks),
            groups: GroupCoordinator::new(config.clone(), defects),
            cache: MetadataCache::default(),
            connections: Connections::default(),
            alter_partition: ToController::new(ALTER_PARTITION, &config, None),
            allocate_ids: ToController::new(
                ALLOCATE_PRODUCER_IDS,
                &config,
                Some(Span::from_ms(config.request_timeout_ms.into())),
            ),
            isr_changes: IsrChanges::Idle,
            isr_writes: (!protocol.has_alter_partition()).then(IsrWrites::default),
            producer_ids: ProducerIdManager::default(),
            topics: TopicCreations::default(),
            metrics: Metrics::default(),
            states: [0; 2],
            shutdown: None,
            spec,
        }
    }

    fn dispatch(&mut self, input: In, ctx: &mut Ctx<'_>) {
        if self.phase == Phase::Stopping {
            return self.on_input_while_stopping(ctx, input);
        }
        match input {
            Input::Start => self.start(ctx),
            Input::Terminate => self.terminate(ctx),
            Input::Message { conn, message: Message::Kafka(frame) } => self.on_frame(ctx, conn, frame),
            Input::Message { conn, message: Message::Zk(message) } => self.zk.on_message(ctx, conn, *message),
            Input::Timer { timer, .. } => self.on_timer(ctx, timer),
            Input::Disk { token, result } => {
                self.replicas.on_disk(ctx, &self.cache, token, result);
            }
            Input::Accepted { conn, .. } => self.connections.accept(conn),
            Input::Opened { conn } if self.zk.owns(conn) => self.zk.on_opened(ctx, conn),
            Input::Opened { conn } => self.on_conn(ctx, ConnInput::Opened(conn)),
            Input::Closed { conn, .. } if self.zk.owns(conn) => self.zk.on_closed(ctx, conn),
            Input::Closed { conn, .. } if self.connections.remove(conn) => self.replicas.on_client_closed(ctx, conn),
            Input::Closed { conn, reason } => self.on_conn(ctx, ConnInput::Closed(conn, reason)),
            // Nobody speaks ZooKeeper's server protocols, or datagrams, with a broker.
            Input::Message { message: Message::Quorum(_) | Message::Election(_), .. } | Input::Datagram { .. } => {}
        }
    }

    fn on_frame(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, frame: Frame) {
        match frame.body {
            Body::Request(_) if self.is_misrouted(&frame) => {
                ctx.close(conn);
                if self.connections.remove(conn) {
                    self.replicas.on_client_closed(ctx, conn);
                }
            }
            Body::Request(request) => {
                let origin = Origin { conn, correlation: frame.correlation };
                if let Some(request) = self.connections.arrived(origin, request) {
                    self.serve(ctx, origin, request);
                }
            }
            Body::Response(_) => self.on_conn(ctx, ConnInput::Frame(conn, frame)),
        }
    }

    /// Whether the dialler believes that it speaks with another broker.
    ///
    /// `Defect::MisroutedConnection`: nobody says whom it means, and requests are served as far as this broker can.
    fn is_misrouted(&self, frame: &Frame) -> bool {
        let unchecked = self.spec.defects.has(Defect::MisroutedConnection);
        !unchecked && frame.meant_for.is_some_and(|broker| broker != self.spec.id())
    }

    /// Something happened on a connection that this broker dialled.
    fn on_conn(&mut self, ctx: &mut Ctx<'_>, input: ConnInput) {
        let conn = input.conn();
        let Some(input) = self.replicas.on_conn(ctx, &self.cache, input) else { return };
        if self.controller.owns(conn) {
            self.controller.on_conn(ctx, &mut self.zk, input);
        } else if self.alter_partition.owns(conn) {
            let response = self.alter_partition.on_input(ctx, input);
            self.after_alter_partition(ctx, response);
        } else if self.allocate_ids.owns(conn) {
            let response = self.allocate_ids.on_input(ctx, input);
            self.after_allocate_ids(ctx, response);
        } else {
            self.on_shutdown_conn(ctx, input);
        }
    }

    fn on_timer(&mut self, ctx: &mut Ctx<'_>, timer: Timer) {
        match timer {
            Timer::ZkClient(timer) => self.zk.on_zk_timer(ctx, timer),
            Timer::Kafka(KafkaTimer::Replica(timer)) => self.replicas.on_timer(ctx, &self.cache, timer),
            Timer::Kafka(KafkaTimer::Controller(timer)) => self.controller.on_timer(ctx, &mut self.zk, timer),
            Timer::Kafka(KafkaTimer::Channel(timer)) => self.on_channel_timer(ctx, timer),
            Timer::Kafka(KafkaTimer::Broker(timer)) => self.on_broker_timer(ctx, timer),
            // Other processes' timers never reach a broker.
            Timer::Kafka(KafkaTimer::Client(_)) | Timer::ZkServer(_) | Timer::SessionClient => {}
        }
    }

    fn on_channel_timer(&mut self, ctx: &mut Ctx<'_>, timer: ChannelTimer) {
        match timer.channel {
            ChannelId::Fetcher(..) => self.replicas.on_channel_timer(ctx, &self.cache, timer),
            ChannelId::ControllerTo(_) => self.controller.on_channel_timer(ctx, &mut self.zk, timer),
            ChannelId::ToController(ALTER_PARTITION) => {
                self.alter_partition.on_channel_timer(ctx, timer.kind);
                self.after_alter_partition(ctx, None);
            }
            ChannelId::ToController(CONTROLLED_SHUTDOWN) => self.on_shutdown_channel_timer(ctx, timer.kind),
            ChannelId::ToController(_) => {
                self.allocate_ids.on_channel_timer(ctx, timer.kind);
                self.after_allocate_ids(ctx, None);
            }
            ChannelId::Client(_) | ChannelId::Coordinator(_) | ChannelId::Bootstrap(_) => {}
        }
    }

    fn on_broker_timer(&mut self, ctx: &mut Ctx<'_>, timer: BrokerTimer) {
        match timer {
            BrokerTimer::RetryRegistration => self.zk.on_retry_registration(ctx),
            BrokerTimer::ZkAuthFailed => self.on_zk_auth_failed(ctx),
            BrokerTimer::ZkReinitialize => self.on_zk_expired(ctx),
            BrokerTimer::ZkConnectDeadline => self.on_zk_deadline(ctx),
            BrokerTimer::ControllerLookup(ALTER_PARTITION) => {
                self.alter_partition.on_lookup_timer();
                self.after_alter_partition(ctx, None);
            }
            BrokerTimer::ControllerLookup(_) => {
                self.allocate_ids.on_lookup_timer();
                self.after_allocate_ids(ctx, None);
            }
            BrokerTimer::ControlledShutdownRetry => self.attempt_controlled_shutdown(ctx),
            BrokerTimer::ControlledShutdownConnect(attempt) => self.on_shutdown_connect_timeout(ctx, attempt),
            BrokerTimer::IsrRetry => self.isr_changes = IsrChanges::Idle,
            BrokerTimer::GroupExpiry => {
                let Self { groups, replicas, cache, .. } = self;
                groups.on_timer(&mut Host { ctx, replicas, cache });
            }
            BrokerTimer::IsrChangePropagation => {
                if let Some(writes) = &mut self.isr_writes {
                    writes.propagate(ctx, &mut self.zk);
                    self.schedule_isr_propagation(ctx);
                }
            }
            BrokerTimer::CreateTopicsTimeout(request) => self.topics.on_timeout(ctx, &self.cache, request),
        }
    }

    /// Acts on what ZooKeeper has said. Returns whether it had said anything.
    fn on_notices(&mut self, ctx: &mut Ctx<'_>) -> bool {
        let mut any = false;
        while let Some(notice) = self.zk.next_notice() {
            any = true;
            self.meter(ctx, &notice);
            match notice {
                ZkNotice::Connected => self.on_zk_connected(ctx),
                ZkNotice::Disconnected => {}
                ZkNotice::Expired => self.on_zk_expired(ctx),
                ZkNotice::Answer(ZkUser::Controller, answer) => {
                    self.controller.on_zk_answer(ctx, &mut self.zk, answer);
                }
                ZkNotice::Answer(ZkUser::Broker, answer) => self.on_own_answer(ctx, answer),
            }
        }
        any
    }

    fn on_own_answer(&mut self, ctx: &mut Ctx<'_>, answer: ZkAnswer) {
        if self.phase == Phase::Stopping {
            return;
        }
        if self.phase.is_running() {
            let writes = self.isr_writes.as_mut();
            let defects = self.spec.defects;
            if let Some(Outcome { items, answer }) =
                writes.and_then(|writes| writes.on_answer(ctx, &mut self.zk, defects, &answer))
            {
                self.replicas.on_isr_answer(ctx, &self.cache, items, answer);
            }
            let Some(answer) = self.on_shutdown_answer(ctx, answer) else { return };
            self.topics.on_answer(ctx, &mut self.zk, &self.cache, answer);
        } else {
            self.on_startup_answer(ctx, answer);
        }
    }

    /// `ZooKeeperClient.reinitialize`, first half: the controller's handler clears its queue for the expiry.
    fn on_zk_expired(&mut self, ctx: &mut Ctx<'_>) {
        // Before KAFKA-4229 nothing happened until there was a new session.
        if self.phase.is_running() && !self.spec.defects.has(Defect::ResignThenSeeOwnNode) {
            self.controller.expire(ctx, &mut self.zk);
        }
        self.expiring = true;
    }

    /// `ZooKeeperClientWatcher`, AuthFailed: a dead handle is replaced a second later. KAFKA-13461: a live one, too, and since
    /// that keeps its session, the broker resigns, and then finds its own id in `/controller`.
    fn on_zk_auth_failed(&mut self, ctx: &mut Ctx<'_>) {
        let scheduled = !self.zk.is_alive() || self.spec.defects.has(Defect::ResignOnAuthEvent);
        if self.phase.is_running() && !self.expiring && scheduled {
            ctx.set_timer(ZK_RETRY_BACKOFF, Timer::Kafka(KafkaTimer::Broker(BrokerTimer::ZkReinitialize)));
        }
    }

    /// Second half: once the controller's event thread has begun with it, which it may never do, a new handle is made.
    fn reinitialize(&mut self, ctx: &mut Ctx<'_>) {
        let running = self.phase.is_running();
        // With `zkclient` the new session came by itself, whatever the controller was busy with.
        let waits = running && !self.spec.defects.has(Defect::SoftFailureLateIsrWrite);
        if !self.expiring || self.phase == Phase::Stopping || waits && !self.controller.expire_started() {
            return;
        }
        self.expiring = false;
        self.zk.reinitialize(ctx);
        if running {
            self.controller.session_renewed(ctx, &mut self.zk);
        }
    }

    /// Looks for ISR changes to be told, before protocol 2.7, from the start on.
    fn schedule_isr_propagation(&self, ctx: &mut Ctx<'_>) {
        if self.isr_writes.is_some() {
            ctx.set_timer(PROPAGATION_CHECK, Timer::Kafka(KafkaTimer::Broker(BrokerTimer::IsrChangePropagation)));
        }
    }

    /// `maybePropagateIsrChanges`.
    fn propagate_isr_changes(&mut self, ctx: &mut Ctx<'_>) {
        let idle = self.isr_writes.as_ref().map_or(matches!(self.isr_changes, IsrChanges::Idle), IsrWrites::is_idle);
        if !idle || !self.phase.is_running() {
            return;
        }
        let partitions = self.replicas.take_isr_changes();
        if partitions.is_empty() {
            return;
        }
        if let Some(writes) = &mut self.isr_writes {
            let epoch = |item: AlterPartitionItem| {
                let epoch = self.replicas.controller_epoch_of(item.partition);
                (item, epoch)
            };
            let changes = partitions.into_iter().map(epoch).collect();
            return writes.write(ctx, &mut self.zk, self.spec.id(), changes);
        }
        let broker_epoch = self.controller.broker_epoch();
        let request = Arc::new(AlterPartitionRequest { broker: self.spec.id(), broker_epoch, partitions });
        self.isr_changes = IsrChanges::UnderWay(request.clone());
        self.alter_partition.ask(ctx, Request::AlterPartition(request));
        self.after_alter_partition(ctx, None);
    }

    fn after_alter_partition(&mut self, ctx: &mut Ctx<'_>, response: Option<Response>) {
        if let Some(Response::AlterPartition(answer)) = response
            && let IsrChanges::UnderWay(request) = std::mem::replace(&mut self.isr_changes, IsrChanges::Idle)
        {
            if answer.error != super::protocol::ErrorCode::None {
                self.isr_changes = IsrChanges::Pausing;
                ctx.set_timer(ISR_RETRY, Timer::Kafka(KafkaTimer::Broker(BrokerTimer::IsrRetry)));
            }
            let items = Arc::unwrap_or_clone(request).partitions;
            self.replicas.on_isr_answer(ctx, &self.cache, items, answer);
        }
        self.alter_partition.pump(ctx, &self.cache, &self.spec.addresses);
    }

    fn after_allocate_ids(&mut self, ctx: &mut Ctx<'_>, response: Option<Response>) {
        if let Some(Response::AllocateProducerIds(answer)) = response {
            self.producer_ids.on_block(ctx.now, answer);
        }
        self.allocate_ids.pump(ctx, &self.cache, &self.spec.addresses);
        if self.producer_ids.is_waiting() && !self.allocate_ids.is_busy() {
            self.producer_ids.on_give_up();
        }
    }

    /// Tells the group coordinator what became of its partitions and appends.
    fn run_coordinator(&mut self, ctx: &mut Ctx<'_>) {
        while self.replicas.has_coordinator_events() {
            for event in self.replicas.take_coordinator_events() {
                let Self { groups, replicas, cache, .. } = self;
                groups.on_event(&mut Host { ctx, replicas, cache }, event);
            }
        }
    }

    /// Takes answers out of the effects of this input, and serves what waited behind them. Returns whether it served any.
    fn serve_waiting(&mut self, ctx: &mut Ctx<'_>, seen: &mut usize) -> bool {
        let mut served = false;
        while *seen < ctx.effects.len() {
            let next = match &ctx.effects[*seen] {
                Effect::Send { conn, message: Message::Kafka(Frame { correlation, body: Body::Response(_), .. }) } => {
                    self.connections.answered(Origin { conn: *conn, correlation: *correlation })
                }
                Effect::Close(conn) => {
                    self.connections.remove(*conn);
                    None
                }
                _ => None,
            };
            *seen += 1;
            if let Some((origin, request)) = next {
                self.serve(ctx, origin, request);
                served = true;
            }
        }
        served
    }
}

impl Process for Broker {
    type Message = Message;
    type Timer = Timer;

    fn on_input(&mut self, input: In, ctx: &mut Ctx<'_>) {
        let mut seen = ctx.effects.len();
        self.dispatch(input, ctx);
        loop {
            let mut more = self.on_notices(ctx);
            if self.replicas.handle_log_dir_failures(ctx) && self.phase.is_running() {
                self.zk.submit(ctx, ZkUser::Broker, vec![super::controller::log_dir_event(self.spec.id())]);
            }
            self.after_recovery(ctx);
            self.reinitialize(ctx);
            self.propagate_isr_changes(ctx);
            self.run_coordinator(ctx);
            more |= self.serve_waiting(ctx, &mut seen);
            more |= self.go_on_stopping(ctx);
            if !more {
                break;
            }
        }
        self.report_metrics(ctx);
    }

    fn crash(&mut self, loss: Loss, random: &mut Random) -> bool {
        let fresh = Self::new(self.spec.clone());
        let old = std::mem::replace(self, fresh);
        self.meta = old.meta;
        self.replicas = old.replicas;
        self.replicas.crash(loss, random)
    }

    fn fold_state(&self, into: &mut Fingerprint) {
        self.hash(into);
    }
}

/// `ZooKeeperClient.RetryBackoffMs`.
const ZK_RETRY_BACKOFF: Span = Span::from_ms(1_000);
/// Number of the channel for AlterPartition.
const ALTER_PARTITION: u8 = 0;
/// Number of the channel for AllocateProducerIds.
const ALLOCATE_PRODUCER_IDS: u8 = 1;
/// Number of the channel for ControlledShutdown.
const CONTROLLED_SHUTDOWN: u8 = 2;
/// `DefaultAlterPartitionManager.handleAlterPartitionResponse`: a request refused as a whole is sent again after this.
const ISR_RETRY: Span = Span::from_ms(50);
