//! `ControllerChannelManager`: a first-in-first-out queue, a connection and a send thread for each live broker.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::id::{BrokerId, ConnId};
use crate::kafka::Addresses;
use crate::kafka::channel::{Channel, ChannelEvent, ChannelId, ChannelLimits, ChannelTimer, ConnInput};
use crate::kafka::config::BrokerConfig;
use crate::kafka::protocol::{Request, Response};
use crate::time::Span;
use crate::world::Ctx;

/// The send threads.
#[derive(Clone, Debug, Hash)]
pub(super) struct ControllerChannelManager {
    config: Arc<BrokerConfig>,
    addresses: Addresses,
    threads: BTreeMap<BrokerId, RequestSendThread>,
}

/// `RequestSendThread`: sends the head of its queue again and again until it is answered. A broker that cannot be reached
/// blocks its own queue only, and gets all of it, in order and as it was written, once it can be reached.
#[derive(Clone, Debug, Hash)]
struct RequestSendThread {
    channel: Channel,
    queue: VecDeque<Request>,
    /// Whether the head is under way.
    sent: bool,
}

/// The pause of a send thread after any failure (`RequestSendThread.backoff`). The connection is forgotten with its
/// back-off, so this is the whole wait.
const PAUSE: Span = Span::from_ms(100);

impl ControllerChannelManager {
    pub(super) fn new(config: Arc<BrokerConfig>, addresses: Addresses) -> Self {
        Self { config, addresses, threads: BTreeMap::new() }
    }

    /// Starts a send thread, unless there is one.
    pub(super) fn add_broker(&mut self, broker: BrokerId) {
        // A broker that the deployment does not know cannot have registered, except by an operator's hand: no thread.
        let Some(address) = self.addresses.get(&broker) else { return };
        // `awaitReady` waits `controller.socket.timeout.ms` at most, whatever the set-up time-out. `NetworkClient.close`
        // after each failure makes it forget how often it has failed: nothing doubles.
        let setup_timeout = Span::from_ms(self.config.socket_connection_setup_timeout_ms.into())
            .min(Span::from_ms(self.config.controller_socket_timeout_ms.into()));
        let limits = ChannelLimits {
            setup_timeout,
            setup_timeout_max: setup_timeout,
            backoff: PAUSE,
            backoff_max: PAUSE,
            max_in_flight: 1,
        };
        self.threads.entry(broker).or_insert_with(|| RequestSendThread {
            channel: Channel::new(ChannelId::ControllerTo(broker), Some(broker), *address, limits),
            queue: VecDeque::new(),
            sent: false,
        });
    }

    /// Stops a send thread and drops its queue.
    pub(super) fn remove_broker(&mut self, ctx: &mut Ctx<'_>, broker: BrokerId) {
        if let Some(mut thread) = self.threads.remove(&broker) {
            thread.channel.shut(ctx);
        }
    }

    /// Stops every send thread.
    pub(super) fn shutdown(&mut self, ctx: &mut Ctx<'_>) {
        for mut thread in std::mem::take(&mut self.threads).into_values() {
            thread.channel.shut(ctx);
        }
    }

    /// Queues a request. Dropped if there is no thread for the broker, with a warning in the real log.
    pub(super) fn send(&mut self, ctx: &mut Ctx<'_>, broker: BrokerId, request: Request) {
        if let Some(thread) = self.threads.get_mut(&broker) {
            thread.queue.push_back(request);
            thread.proceed(ctx, Span::from_ms(self.config.request_timeout_ms.into()));
        }
    }

    /// TotalQueueSize. The real thread has taken the head off its queue, sent or not.
    pub(super) fn total_queued(&self) -> u64 {
        self.threads.values().map(|thread| thread.queue.len().saturating_sub(1) as u64).sum()
    }

    /// Whether `conn` is a connection of a send thread.
    pub(super) fn owns(&self, conn: ConnId) -> bool {
        self.threads.values().any(|thread| thread.channel.conn() == Some(conn))
    }

    /// Requests queued for a broker, the one under way included.
    #[cfg(test)]
    pub(super) fn queued(&self, broker: BrokerId) -> impl Iterator<Item = &Request> {
        self.threads.get(&broker).into_iter().flat_map(|thread| &thread.queue)
    }

    /// Something happened on a connection. Returns the answer if it was one.
    pub(super) fn on_conn(&mut self, ctx: &mut Ctx<'_>, input: ConnInput) -> Option<(BrokerId, Response)> {
        let conn = input.conn();
        let broker = *self.threads.iter().find(|(_, thread)| thread.channel.conn() == Some(conn))?.0;
        let event = self.threads.get_mut(&broker)?.channel.on_input(ctx, input);
        self.on_event(ctx, broker, event)
    }

    /// A channel's timer fired.
    pub(super) fn on_timer(&mut self, ctx: &mut Ctx<'_>, timer: ChannelTimer) {
        let ChannelId::ControllerTo(broker) = timer.channel else { return };
        let Some(thread) = self.threads.get_mut(&broker) else { return };
        let event = thread.channel.on_timer(ctx, timer.kind);
        let answer = self.on_event(ctx, broker, event);
        assert!(answer.is_none(), "a timer answers nothing");
    }

    fn on_event(&mut self, ctx: &mut Ctx<'_>, broker: BrokerId, event: ChannelEvent) -> Option<(BrokerId, Response)> {
        let thread = self.threads.get_mut(&broker)?;
        let answer = match event {
            ChannelEvent::Response { response, .. } => {
                assert!(thread.sent, "an answer needs a request");
                thread.sent = false;
                thread.queue.pop_front();
                Some((broker, response))
            }
            ChannelEvent::Disconnected { .. } => {
                thread.sent = false;
                None
            }
            ChannelEvent::Connected | ChannelEvent::MayReconnect | ChannelEvent::Nothing => None,
        };
        thread.proceed(ctx, Span::from_ms(self.config.request_timeout_ms.into()));
        answer
    }
}

impl RequestSendThread {
    fn proceed(&mut self, ctx: &mut Ctx<'_>, request_timeout: Span) {
        if self.sent {
            return;
        }
        let Some(request) = self.queue.front() else { return };
        if self.channel.ready(ctx) {
            self.channel.send(ctx, request.clone(), request_timeout);
            self.sent = true;
        }
    }
}
