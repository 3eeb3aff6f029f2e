//! `NetworkClient` for one destination: connecting with back-off and set-up time-outs, requests under way with time-outs.
//!
//! Used by the controller's send threads, the replica fetchers, the broker-to-controller channel, and the clients. The
//! owner calls [`Channel::ready`] before it sends, routes inputs of the channel's connection here, and acts on the
//! [`ChannelEvent`]s that come back.

use std::collections::VecDeque;

use super::Timer as KafkaTimer;
use super::protocol::{Body, Frame, Request, Response};
use crate::id::{Address, BrokerId, ConnId, TimerId};
use crate::process::CloseReason;
use crate::time::{Instant, Span};
use crate::world::{Ctx, Message, Timer};

/// Names a channel within its process; the owner chooses it, and finds the channel by it when a timer fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChannelId {
    /// The controller's send thread for a broker.
    ControllerTo(BrokerId),
    /// A replica fetcher: source broker and fetcher number.
    Fetcher(BrokerId, u16),
    /// `BrokerToControllerChannelManager` for AlterPartition (0) and AllocateProducerIds (1); the connection that asks for
    /// controlled shutdown (2).
    ToController(u8),
    /// A client's connection to a broker.
    Client(BrokerId),
    /// A consumer's second connection to a broker, to the coordinator of its group: a join may keep it busy for minutes
    /// (`ConsumerCoordinator`, node id `Integer.MAX_VALUE - id`).
    Coordinator(BrokerId),
    /// A client's connection to a bootstrap server, by its position in the list.
    Bootstrap(u16),
}

/// A timer of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChannelTimer {
    /// Which channel.
    pub channel: ChannelId,
    /// What for.
    pub kind: ChannelTimerKind,
}

/// What a channel's timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelTimerKind {
    /// The TCP connection takes too long.
    SetupTimeout(ConnId),
    /// The oldest request may have timed out.
    RequestTimeout,
    /// The reconnect back-off is over.
    Backoff,
}

/// Limits of a channel, from the owner's options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChannelLimits {
    /// First wait for the connection; doubled after each failure.
    pub setup_timeout: Span,
    /// Longest wait for the connection.
    pub setup_timeout_max: Span,
    /// First pause before reconnecting; doubled after each failure.
    pub backoff: Span,
    /// Longest pause before reconnecting.
    pub backoff_max: Span,
    /// Requests that may be under way.
    pub max_in_flight: usize,
}

/// Something that happened on a connection, sorted out of [`crate::process::Input`] by the process that owns the channel.
#[derive(Clone, Debug)]
pub enum ConnInput {
    /// The dialled connection is established.
    Opened(ConnId),
    /// A message arrived.
    Frame(ConnId, Frame),
    /// The connection is gone or could not be made.
    Closed(ConnId, CloseReason),
}

impl ConnInput {
    /// Which connection.
    pub fn conn(&self) -> ConnId {
        match self {
            Self::Opened(conn) | Self::Frame(conn, _) | Self::Closed(conn, _) => *conn,
        }
    }
}

/// What happened on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelEvent {
    /// The connection is up: send now.
    Connected,
    /// An answer.
    Response {
        /// To which request.
        correlation: u32,
        /// What it says.
        response: Response,
    },
    /// The connection is gone, or was closed by us for a time-out; the listed requests will never be answered. Their
    /// outcome is unknown.
    Disconnected {
        /// Requests that were under way, oldest first.
        failed: Vec<u32>,
        /// True if a request time-out was the cause.
        timed_out: bool,
    },
    /// The back-off is over: [`Channel::ready`] may connect again.
    MayReconnect,
    /// Nothing that matters.
    Nothing,
}

#[derive(Clone, Debug, Hash)]
enum State {
    Idle,
    BackingOff,
    Connecting { conn: ConnId, setup_timer: TimerId },
    Connected { conn: ConnId },
}

#[derive(Clone, Copy, Debug, Hash)]
struct InFlight {
    correlation: u32,
    deadline: Instant,
}

/// A connection to one destination.
#[derive(Clone, Debug, Hash)]
pub struct Channel {
    id: ChannelId,
    /// The broker that is to be found at `to`, as far as one is known.
    broker: Option<BrokerId>,
    to: Address,
    limits: ChannelLimits,
    state: State,
    failures: u32,
    next_correlation: u32,
    in_flight: VecDeque<InFlight>,
    request_timer: Option<TimerId>,
}

impl Channel {
    /// A channel that is not connected, to `broker` or to whoever is there.
    pub fn new(id: ChannelId, broker: Option<BrokerId>, to: Address, limits: ChannelLimits) -> Self {
        Self {
            id,
            broker,
            to,
            limits,
            state: State::Idle,
            failures: 0,
            next_correlation: 0,
            in_flight: VecDeque::new(),
            request_timer: None,
        }
    }

    /// The destination.
    pub fn to(&self) -> Address {
        self.to
    }

    /// The connection, once dialled.
    pub fn conn(&self) -> Option<ConnId> {
        match self.state {
            State::Idle | State::BackingOff => None,
            State::Connecting { conn, .. } | State::Connected { conn } => Some(conn),
        }
    }

    /// Whether requests can be sent without waiting.
    pub fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected { .. })
    }

    /// Whether it neither is nor tries to be connected, and may be dialled at once.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle)
    }

    /// Requests under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether a request can be sent now. Dials if the channel is idle; [`ChannelEvent::Connected`] follows.
    pub fn ready(&mut self, ctx: &mut Ctx<'_>) -> bool {
        if matches!(self.state, State::Idle) {
            let conn = ctx.connect(self.to);
            let patience = self.patience(ctx, self.limits.setup_timeout, self.limits.setup_timeout_max);
            let setup_timer = self.set_timer(ctx, patience, ChannelTimerKind::SetupTimeout(conn));
            self.state = State::Connecting { conn, setup_timer };
        }
        self.is_connected() && self.in_flight.len() < self.limits.max_in_flight
    }

    /// Sends a request and waits at most `timeout` for the answer. Returns its correlation id.
    ///
    /// # Panics
    /// If [`Channel::ready`] does not say so.
    pub fn send(&mut self, ctx: &mut Ctx<'_>, request: Request, timeout: Span) -> u32 {
        let correlation = self.send_without_answer(ctx, request);
        self.in_flight.push_back(InFlight { correlation, deadline: ctx.now + timeout });
        if self.request_timer.is_none() {
            self.request_timer = Some(self.set_timer(ctx, timeout, ChannelTimerKind::RequestTimeout));
        }
        correlation
    }

    /// Sends a request that nobody answers (`acks=0`). Returns its correlation id.
    ///
    /// # Panics
    /// If [`Channel::ready`] does not say so.
    pub fn send_without_answer(&mut self, ctx: &mut Ctx<'_>, request: Request) -> u32 {
        let State::Connected { conn } = self.state else { panic!("a request needs a connected channel") };
        self.next_correlation += 1;
        let frame = Frame { meant_for: self.broker, ..Frame::request(self.next_correlation, request) };
        ctx.send(conn, Message::Kafka(frame));
        self.next_correlation
    }

    /// Takes what happened on the channel's connection.
    pub fn on_input(&mut self, ctx: &mut Ctx<'_>, input: ConnInput) -> ChannelEvent {
        match input {
            ConnInput::Opened(conn) => self.on_opened(ctx, conn),
            ConnInput::Frame(conn, frame) => self.on_frame(ctx, conn, frame),
            ConnInput::Closed(conn, reason) => self.on_closed(ctx, conn, reason),
        }
    }

    /// The dialled connection is established.
    pub fn on_opened(&mut self, ctx: &mut Ctx<'_>, opened: ConnId) -> ChannelEvent {
        let State::Connecting { conn, setup_timer } = self.state else { return ChannelEvent::Nothing };
        if conn != opened {
            return ChannelEvent::Nothing;
        }
        ctx.cancel(setup_timer);
        self.failures = 0;
        self.state = State::Connected { conn };
        ChannelEvent::Connected
    }

    /// The connection is gone or was refused.
    pub fn on_closed(&mut self, ctx: &mut Ctx<'_>, closed: ConnId, _reason: CloseReason) -> ChannelEvent {
        if self.conn() != Some(closed) {
            return ChannelEvent::Nothing;
        }
        self.lose(ctx, false)
    }

    /// A message arrived on the connection. Answers to requests that were given up are dropped.
    pub fn on_frame(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, frame: Frame) -> ChannelEvent {
        if self.conn() != Some(conn) {
            return ChannelEvent::Nothing;
        }
        let Body::Response(response) = frame.body else { return ChannelEvent::Nothing };
        let Some(at) = self.in_flight.iter().position(|r| r.correlation == frame.correlation) else {
            return ChannelEvent::Nothing;
        };
        self.in_flight.remove(at);
        if self.in_flight.is_empty()
            && let Some(timer) = self.request_timer.take()
        {
            ctx.cancel(timer);
        }
        ChannelEvent::Response { correlation: frame.correlation, response }
    }

    /// One of the channel's timers fired.
    pub fn on_timer(&mut self, ctx: &mut Ctx<'_>, kind: ChannelTimerKind) -> ChannelEvent {
        match kind {
            ChannelTimerKind::SetupTimeout(timed_out) => match self.state {
                State::Connecting { conn, .. } if conn == timed_out => self.disconnect(ctx),
                _ => ChannelEvent::Nothing,
            },
            ChannelTimerKind::Backoff => {
                if matches!(self.state, State::BackingOff) {
                    self.state = State::Idle;
                    ChannelEvent::MayReconnect
                } else {
                    ChannelEvent::Nothing
                }
            }
            ChannelTimerKind::RequestTimeout => {
                self.request_timer = None;
                let Some(deadline) = self.in_flight.iter().map(|r| r.deadline).min() else {
                    return ChannelEvent::Nothing;
                };
                if deadline <= ctx.now {
                    // `NetworkClient.handleTimedOutRequests`: the connection goes, and every request with it.
                    if let Some(conn) = self.conn() {
                        ctx.close(conn);
                    }
                    return self.lose(ctx, true);
                }
                self.request_timer = Some(self.set_timer(ctx, deadline - ctx.now, ChannelTimerKind::RequestTimeout));
                ChannelEvent::Nothing
            }
        }
    }

    /// Closes the connection, if any, and backs off.
    pub fn disconnect(&mut self, ctx: &mut Ctx<'_>) -> ChannelEvent {
        let Some(conn) = self.conn() else { return ChannelEvent::Nothing };
        ctx.close(conn);
        self.lose(ctx, false)
    }

    /// Closes the connection for good: nothing of this channel will fire any more.
    pub fn shut(&mut self, ctx: &mut Ctx<'_>) {
        if let Some(conn) = self.conn() {
            ctx.close(conn);
        }
        if let State::Connecting { setup_timer, .. } = self.state {
            ctx.cancel(setup_timer);
        }
        if let Some(timer) = self.request_timer.take() {
            ctx.cancel(timer);
        }
        self.in_flight.clear();
        self.state = State::Idle;
    }

    fn lose(&mut self, ctx: &mut Ctx<'_>, timed_out: bool) -> ChannelEvent {
        if let State::Connecting { setup_timer, .. } = self.state {
            ctx.cancel(setup_timer);
        }
        if let Some(timer) = self.request_timer.take() {
            ctx.cancel(timer);
        }
        let failed = self.in_flight.drain(..).map(|r| r.correlation).collect();
        let pause = self.patience(ctx, self.limits.backoff, self.limits.backoff_max);
        self.failures += 1;
        self.state = State::BackingOff;
        self.set_timer(ctx, pause, ChannelTimerKind::Backoff);
        ChannelEvent::Disconnected { failed, timed_out }
    }

    /// `first` doubled per failure up to `max`, plus or minus 20 % (`ExponentialBackoff` in `ClusterConnectionStates`).
    fn patience(&self, ctx: &mut Ctx<'_>, first: Span, max: Span) -> Span {
        let doubled = (first * (1u64 << self.failures.min(20))).min(max);
        doubled.scaled(ctx.random.within(80, 120), 100)
    }

    fn set_timer(&self, ctx: &mut Ctx<'_>, after: Span, kind: ChannelTimerKind) -> TimerId {
        ctx.set_timer(after, Timer::Kafka(KafkaTimer::Channel(ChannelTimer { channel: self.id, kind })))
    }
}
