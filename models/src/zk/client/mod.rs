//! The Java client: one `ZooKeeper` handle with its `ClientCnxn` and `StaticHostProvider`, as of 3.8.4.
//!
//! A handle is one session. It cycles through the servers until one confirms the session, keeps the connection alive, and
//! starts over when it is lost; it dies when a server says that the session has expired, and never by itself. The owner
//! routes inputs of the handle's connection and timers here and acts on the [`ZkClientEvent`]s that come back; after
//! [`ZkClientEvent::Expired`] it makes a new handle with another number.

mod hosts;
#[cfg(test)]
pub(crate) mod scripted;
mod spec;
#[cfg(test)]
mod tests;
mod watches;

use std::collections::VecDeque;

use self::hosts::HostProvider;
pub use self::spec::{ClientCnxnSocket, ZkClientSpec};
use self::watches::{WatchTables, Watching};
use super::protocol::{ClientMessage, Op, OpResult, Path, WatchKind, ZkError};
use crate::id::{Address, ConnId, SessionId, TimerId, Zxid};
use crate::observation::{Observation, ZkClientState};
use crate::time::{Instant, Span};
use crate::world::{Ctx, Message, Timer};

/// What its timers carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ZkClientTimer {
    /// The handle, as numbered by its owner.
    pub handle: u32,
    /// What for.
    pub kind: ZkClientTimerKind,
}

/// What a handle's timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ZkClientTimerKind {
    /// The send thread's `select` ends: time to ping, or to give the connection up.
    Wake,
    /// The pause after closing a socket is over.
    CleanedUp,
    /// The pauses before dialling are over.
    Dial,
}

/// Names an operation within its handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZkRequestId(pub u64);

/// What happened to a handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZkClientEvent {
    /// `SyncConnected`: a server has confirmed the session.
    Connected,
    /// `Disconnected`: the connection was lost. Told once per loss of a confirmed connection.
    Disconnected,
    /// A server said that the session has expired. The handle is dead.
    Expired,
    /// An operation ended.
    Reply {
        /// Which.
        request: ZkRequestId,
        /// The zxid of the write, or the server's last processed zxid for a read; zero if no server answered.
        zxid: Zxid,
        /// What came of it. [`ZkError::ConnectionLoss`] leaves the outcome of a write open.
        result: Result<OpResult, ZkError>,
    },
    /// A watch fired.
    Watch {
        /// The node.
        path: Path,
        /// What happened to it.
        kind: WatchKind,
    },
}

/// Where the send thread stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    /// Not started yet.
    Idle,
    /// Sleeping before it dials the host.
    Waiting { to: Address },
    /// The TCP connection is being made.
    Dialling { conn: ConnId },
    /// The ConnectRequest is under way.
    Priming { conn: ConnId },
    /// A server has confirmed the session.
    Connected { conn: ConnId },
    /// The socket is closed; the operations, and the loss of a confirmed connection, are told after the pause.
    CleaningUp { was_connected: bool },
    /// The session has ended.
    Closed,
}

/// An operation with the watch that it is to set.
#[derive(Clone, Debug, Hash)]
struct Packet {
    request: ZkRequestId,
    op: Op,
}

/// A sent operation: what is needed once the answer comes.
#[derive(Clone, Debug, Hash)]
struct Pending {
    xid: i32,
    request: ZkRequestId,
    watching: Option<Watching>,
}

/// One client handle.
#[derive(Clone, Debug, Hash)]
pub struct ZooKeeper {
    spec: ZkClientSpec,
    handle: u32,
    hosts: HostProvider,
    state: State,
    /// `States.CONNECTED` as Java reports it: it outlives the socket until the next dial begins.
    reports_connected: bool,
    /// `isFirstConnect`: no TCP connection was ever established.
    first_connect: bool,
    closing: bool,
    session: SessionId,
    password: u64,
    /// The session timeout as negotiated.
    granted: Span,
    last_zxid: Zxid,
    read_timeout: Span,
    connect_timeout: Span,
    last_send: Instant,
    last_heard: Instant,
    /// When a server was last heard of on a confirmed connection.
    confirmed_at: Instant,
    /// When the send thread wants to ping.
    ping_at: Instant,
    wake: Option<(TimerId, Instant)>,
    outgoing: VecDeque<Packet>,
    pending: VecDeque<Pending>,
    watches: WatchTables,
    next_request: u64,
    next_xid: i32,
}

impl ZooKeeper {
    /// A handle that does nothing yet. `handle` tells it from other handles of the same process.
    pub fn new(handle: u32, spec: ZkClientSpec) -> Self {
        let connect_timeout = spec.session_timeout / spec.servers.len().max(1) as u64;
        Self {
            hosts: HostProvider::default(),
            handle,
            state: State::Idle,
            reports_connected: false,
            first_connect: true,
            closing: false,
            session: SessionId(0),
            password: 0,
            granted: Span::ZERO,
            last_zxid: Zxid::ZERO,
            read_timeout: spec.session_timeout.scaled(2, 3),
            connect_timeout,
            last_send: Instant::ZERO,
            last_heard: Instant::ZERO,
            confirmed_at: Instant::ZERO,
            ping_at: Instant::MAX,
            wake: None,
            outgoing: VecDeque::new(),
            pending: VecDeque::new(),
            watches: WatchTables::default(),
            next_request: 0,
            next_xid: 0,
            spec,
        }
    }

    /// Begins to connect. Once per handle.
    ///
    /// # Panics
    /// If the connect string is empty.
    pub fn start(&mut self, ctx: &mut Ctx<'_>) {
        let hosts = HostProvider::shuffled(&self.spec.servers, ctx.random);
        self.begin(ctx, hosts);
    }

    /// The same where the outcome of the shuffle is given: the servers are tried in the order of the connect string.
    ///
    /// # Panics
    /// If the connect string is empty.
    pub fn start_in_order(&mut self, ctx: &mut Ctx<'_>) {
        let hosts = HostProvider::in_order(&self.spec.servers);
        self.begin(ctx, hosts);
    }

    fn begin(&mut self, ctx: &mut Ctx<'_>, hosts: HostProvider) {
        assert!(self.state == State::Idle, "a handle starts once");
        self.hosts = hosts;
        self.prepare_dial(ctx);
    }

    /// The session, 0 until a server has confirmed one.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// `getState().isConnected()`. True for up to a second after the connection was lost, as in Java, where the state
    /// changes when the next attempt begins.
    pub fn is_connected(&self) -> bool {
        self.reports_connected
    }

    /// `getState().isAlive()`: the session has not ended.
    pub fn is_alive(&self) -> bool {
        self.state != State::Closed
    }

    /// Whether this is the handle's connection.
    pub fn owns(&self, conn: ConnId) -> bool {
        self.conn() == Some(conn)
    }

    /// The handle's number.
    pub fn handle(&self) -> u32 {
        self.handle
    }

    /// Issues an operation. While there is no connection it waits for the next attempt and shares its fate.
    pub fn submit(&mut self, ctx: &mut Ctx<'_>, op: Op, out: &mut Vec<ZkClientEvent>) -> ZkRequestId {
        self.next_request += 1;
        let request = ZkRequestId(self.next_request);
        if self.state == State::Closed {
            // `queuePacket`: a dead handle answers at once.
            out.push(failed(request, ZkError::SessionExpired));
            return request;
        }
        self.outgoing.push_back(Packet { request, op });
        self.flush(ctx);
        request
    }

    /// Ends the session: `closeSession` is sent behind what is queued, and the handle closes with its answer or with the
    /// connection.
    pub fn close(&mut self, ctx: &mut Ctx<'_>, out: &mut Vec<ZkClientEvent>) {
        if self.state == State::Closed || self.closing {
            return;
        }
        self.closing = true;
        self.submit(ctx, Op::CloseSession, out);
    }

    /// Gives the handle up without a word to the server: what is outstanding ends with [`ZkError::SessionExpired`].
    pub fn abandon(&mut self, ctx: &mut Ctx<'_>, out: &mut Vec<ZkClientEvent>) {
        self.drop_socket(ctx);
        self.state = State::Closed;
        self.reports_connected = false;
        self.fail_outstanding(out);
    }

    /// The dialled connection is established: `primeConnection`.
    pub fn on_opened(&mut self, ctx: &mut Ctx<'_>, opened: ConnId) {
        let State::Dialling { conn } = self.state else { return };
        if conn != opened {
            return;
        }
        self.first_connect = false;
        self.last_heard = ctx.now;
        self.state = State::Priming { conn };
        let request = ClientMessage::ConnectRequest {
            last_zxid_seen: self.last_zxid,
            timeout: self.spec.session_timeout,
            session: self.session,
            password: self.password,
        };
        self.transmit(ctx, conn, request);
        if self.spec.socket == ClientCnxnSocket::Netty {
            self.send_queued(ctx, conn, true);
        }
        self.arm(ctx);
    }

    /// A message arrived on the handle's connection.
    pub fn on_message(
        &mut self,
        ctx: &mut Ctx<'_>,
        conn: ConnId,
        message: ClientMessage,
        out: &mut Vec<ZkClientEvent>,
    ) {
        if !self.owns(conn) {
            return;
        }
        self.last_heard = ctx.now;
        match message {
            ClientMessage::ConnectResponse { timeout, session, password } => {
                self.on_connect_response(ctx, conn, timeout, session, password, out);
            }
            ClientMessage::Reply { xid, zxid, result } => self.on_reply(ctx, xid, zxid, result, out),
            ClientMessage::Event { path, kind } => {
                if self.watches.fire(&path, kind) {
                    out.push(ZkClientEvent::Watch { path, kind });
                }
            }
            // Pongs count as heard and carry nothing else; what a client says is no business of a client.
            ClientMessage::Pong
            | ClientMessage::Ping
            | ClientMessage::ConnectRequest { .. }
            | ClientMessage::Request { .. }
            | ClientMessage::SetWatches { .. } => {}
        }
        if matches!(self.state, State::Connected { .. }) {
            self.confirmed_at = ctx.now;
            self.run_send_thread(ctx, out);
        }
    }

    /// The connection is gone or could not be made.
    pub fn on_closed(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, out: &mut Vec<ZkClientEvent>) {
        if self.owns(conn) {
            self.lose(ctx, out);
        }
    }

    /// One of the handle's timers fired; timers of other handles are ignored.
    pub fn on_timer(&mut self, ctx: &mut Ctx<'_>, timer: ZkClientTimer, out: &mut Vec<ZkClientEvent>) {
        if timer.handle != self.handle {
            return;
        }
        match (timer.kind, self.state) {
            (ZkClientTimerKind::CleanedUp, State::CleaningUp { was_connected }) => {
                self.cleaned_up(ctx, was_connected, out);
            }
            (ZkClientTimerKind::CleanedUp, State::Closed) => self.fail_outstanding(out),
            (ZkClientTimerKind::Dial, State::Waiting { .. }) if self.has_given_up(ctx) => self.expire(ctx, out),
            (ZkClientTimerKind::Dial, State::Waiting { to }) => self.dial(ctx, to),
            (ZkClientTimerKind::Wake, _) => {
                self.wake = None;
                self.run_send_thread(ctx, out);
            }
            _ => {}
        }
    }

    fn conn(&self) -> Option<ConnId> {
        match self.state {
            State::Dialling { conn } | State::Priming { conn } | State::Connected { conn } => Some(conn),
            State::Idle | State::Waiting { .. } | State::CleaningUp { .. } | State::Closed => None,
        }
    }

    /// `onConnected`.
    fn on_connect_response(
        &mut self,
        ctx: &mut Ctx<'_>,
        conn: ConnId,
        timeout: Span,
        session: SessionId,
        password: u64,
        out: &mut Vec<ZkClientEvent>,
    ) {
        if !matches!(self.state, State::Priming { .. }) {
            return;
        }
        if timeout == Span::ZERO {
            return self.expire(ctx, out);
        }
        self.granted = timeout;
        self.read_timeout = timeout.scaled(2, 3);
        self.connect_timeout = timeout / self.spec.servers.len() as u64;
        self.hosts.on_connected();
        self.session = session;
        self.password = password;
        self.state = State::Connected { conn };
        self.reports_connected = true;
        ctx.observe(Observation::ZkClient { state: ZkClientState::Connected, session });
        out.push(ZkClientEvent::Connected);
        // The watches were collected before the ConnectRequest; nothing can have changed them since.
        self.send_queued(ctx, conn, self.spec.socket == ClientCnxnSocket::Nio);
    }

    /// The session is over; the handle dies.
    fn expire(&mut self, ctx: &mut Ctx<'_>, out: &mut Vec<ZkClientEvent>) {
        ctx.observe(Observation::ZkClient { state: ZkClientState::Expired, session: self.session });
        out.push(ZkClientEvent::Expired);
        self.drop_socket(ctx);
        self.state = State::Closed;
        self.reports_connected = false;
        self.pause_for_cleanup(ctx, out);
    }

    /// Whether the client takes its session for lost without having been told (`SendThread.run`, since 3.9.3).
    fn has_given_up(&self, ctx: &Ctx<'_>) -> bool {
        let connected = matches!(self.state, State::Connected { .. });
        self.spec.gives_up
            && self.session != SessionId(0)
            && !connected
            && ctx.now.since(self.confirmed_at) >= self.granted.scaled(4, 3)
    }

    fn on_reply(
        &mut self,
        ctx: &mut Ctx<'_>,
        xid: i32,
        zxid: Zxid,
        result: Result<OpResult, ZkError>,
        out: &mut Vec<ZkClientEvent>,
    ) {
        // `readResponse`: an answer out of order is an IOException, which costs the connection.
        let Some(pending) = self.pending.pop_front_if(|pending| pending.xid == xid) else {
            self.lose(ctx, out);
            return;
        };
        if zxid > Zxid::ZERO {
            self.last_zxid = zxid;
            ctx.observe(Observation::ZkReply { session: self.session, zxid });
        }
        if let Some(watching) = pending.watching {
            self.watches.register(watching, &result);
        }
        let closed = result == Ok(OpResult::SessionClosed);
        out.push(ZkClientEvent::Reply { request: pending.request, zxid, result });
        if closed {
            self.abandon(ctx, out);
        }
    }

    /// One pass of `SendThread.run`: gives a silent connection up, pings an idle one, and computes the next wake-up.
    fn run_send_thread(&mut self, ctx: &mut Ctx<'_>, out: &mut Vec<ZkClientEvent>) {
        let patience = match self.state {
            State::Connected { .. } => self.read_timeout,
            State::Dialling { .. } | State::Priming { .. } => self.connect_timeout,
            State::Idle | State::Waiting { .. } | State::CleaningUp { .. } | State::Closed => return,
        };
        if self.has_given_up(ctx) {
            return self.expire(ctx, out);
        }
        if ctx.now - self.last_heard >= patience {
            self.lose(ctx, out);
            return;
        }
        if let State::Connected { conn } = self.state {
            let idle = ctx.now - self.last_send;
            // The second is taken off only if the thread happens to wake up that late: without traffic it wakes after half
            // the read timeout.
            let early = if idle > EARLY_PING { EARLY_PING } else { Span::ZERO };
            self.ping_at = self.last_send + self.read_timeout / 2 - early;
            if self.ping_at <= ctx.now || idle > MAX_SEND_PING_INTERVAL {
                self.transmit(ctx, conn, ClientMessage::Ping);
            }
        }
        self.arm(ctx);
    }

    /// Sees to it that the send thread wakes up in time. A timer that fires early finds nothing to do and is set again.
    fn arm(&mut self, ctx: &mut Ctx<'_>) {
        let due = match self.state {
            State::Connected { .. } => self.ping_at.min(self.last_heard + self.read_timeout),
            State::Dialling { .. } | State::Priming { .. } if self.spec.gives_up && self.session != SessionId(0) => {
                (self.last_heard + self.connect_timeout).min(self.confirmed_at + self.granted.scaled(4, 3)).max(ctx.now)
            }
            State::Dialling { .. } | State::Priming { .. } => self.last_heard + self.connect_timeout,
            State::Idle | State::Waiting { .. } | State::CleaningUp { .. } | State::Closed => return,
        };
        if let Some((timer, at)) = self.wake {
            if at <= due {
                return;
            }
            ctx.cancel(timer);
        }
        let timer = self.set_timer(ctx, due - ctx.now, ZkClientTimerKind::Wake);
        self.wake = Some((timer, due));
    }

    fn flush(&mut self, ctx: &mut Ctx<'_>) {
        match (self.state, self.spec.socket) {
            (State::Connected { conn }, _) | (State::Priming { conn }, ClientCnxnSocket::Netty) => {
                self.send_queued(ctx, conn, false);
            }
            _ => {}
        }
    }

    /// Sends the watches, if asked, and then everything queued.
    fn send_queued(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, with_watches: bool) {
        if with_watches && let Some(message) = self.watches.set_watches(self.last_zxid) {
            self.transmit(ctx, conn, message);
        }
        while let Some(Packet { request, op }) = self.outgoing.pop_front() {
            self.next_xid += 1;
            let xid = self.next_xid;
            self.pending.push_back(Pending { xid, request, watching: Watching::of(&op) });
            self.transmit(ctx, conn, ClientMessage::Request { xid, op });
        }
    }

    fn transmit(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, message: ClientMessage) {
        self.last_send = ctx.now;
        self.ping_at = ctx.now + self.read_timeout / 2;
        ctx.send(conn, Message::Zk(Box::new(message)));
    }

    /// `cleanAndNotifyState`, up to the pause.
    fn lose(&mut self, ctx: &mut Ctx<'_>, out: &mut Vec<ZkClientEvent>) {
        let was_connected = matches!(self.state, State::Connected { .. });
        self.drop_socket(ctx);
        if self.closing {
            self.state = State::Closed;
            self.reports_connected = false;
            self.fail_outstanding(out);
            return;
        }
        self.state = State::CleaningUp { was_connected };
        self.pause_for_cleanup(ctx, out);
    }

    /// `ClientCnxnSocketNIO.cleanup` sleeps before the operations are told; Netty's does not.
    fn pause_for_cleanup(&mut self, ctx: &mut Ctx<'_>, out: &mut Vec<ZkClientEvent>) {
        match (self.spec.socket, self.state) {
            (ClientCnxnSocket::Nio, _) => {
                let late = ctx.random.wait(self.spec.thread_delay);
                self.set_timer(ctx, CLEANUP_PAUSE + late, ZkClientTimerKind::CleanedUp);
            }
            (ClientCnxnSocket::Netty, State::CleaningUp { was_connected }) => self.cleaned_up(ctx, was_connected, out),
            (ClientCnxnSocket::Netty, _) => self.fail_outstanding(out),
        }
    }

    /// `cleanAndNotifyState`, the rest.
    fn cleaned_up(&mut self, ctx: &mut Ctx<'_>, was_connected: bool, out: &mut Vec<ZkClientEvent>) {
        self.fail_outstanding(out);
        if was_connected {
            ctx.observe(Observation::ZkClient { state: ZkClientState::Disconnected, session: self.session });
            out.push(ZkClientEvent::Disconnected);
        }
        self.prepare_dial(ctx);
    }

    /// `conLossPacket` for everything sent and queued.
    fn fail_outstanding(&mut self, out: &mut Vec<ZkClientEvent>) {
        let error = if self.state == State::Closed { ZkError::SessionExpired } else { ZkError::ConnectionLoss };
        out.extend(self.pending.drain(..).map(|pending| failed(pending.request, error)));
        out.extend(self.outgoing.drain(..).map(|packet| failed(packet.request, error)));
    }

    /// `StaticHostProvider.next` and the sleep of `startConnect`.
    fn prepare_dial(&mut self, ctx: &mut Ctx<'_>) {
        let (to, round_complete) = self.hosts.next();
        let spin = if round_complete { SPIN_DELAY } else { Span::ZERO };
        let jitter = if self.first_connect { Span::ZERO } else { Span::from_ms(ctx.random.below(RECONNECT_JITTER_MS)) };
        if spin + jitter == Span::ZERO {
            self.dial(ctx, to);
        } else {
            self.state = State::Waiting { to };
            self.set_timer(ctx, spin + jitter, ZkClientTimerKind::Dial);
        }
    }

    fn dial(&mut self, ctx: &mut Ctx<'_>, to: Address) {
        self.reports_connected = false;
        self.last_heard = ctx.now;
        self.state = State::Dialling { conn: ctx.connect(to) };
        self.arm(ctx);
    }

    fn drop_socket(&mut self, ctx: &mut Ctx<'_>) {
        if let Some(conn) = self.conn() {
            ctx.close(conn);
        }
        if let Some((timer, _)) = self.wake.take() {
            ctx.cancel(timer);
        }
    }

    fn set_timer(&self, ctx: &mut Ctx<'_>, after: Span, kind: ZkClientTimerKind) -> TimerId {
        ctx.set_timer(after, Timer::ZkClient(ZkClientTimer { handle: self.handle, kind }))
    }
}

fn failed(request: ZkRequestId, error: ZkError) -> ZkClientEvent {
    ZkClientEvent::Reply { request, zxid: Zxid::ZERO, result: Err(error) }
}

/// `ClientCnxnSocketNIO.cleanup`.
const CLEANUP_PAUSE: Span = Span::from_ms(100);
/// `hostProvider.next(1000)`.
const SPIN_DELAY: Span = Span::from_ms(1_000);
/// `ThreadLocalRandom.nextLong(1000)` in `startConnect`.
const RECONNECT_JITTER_MS: u64 = 1_000;
/// `SendThread.run`: taken off the interval between pings, against races.
const EARLY_PING: Span = Span::from_ms(1_000);
/// `MAX_SEND_PING_INTERVAL`.
const MAX_SEND_PING_INTERVAL: Span = Span::from_secs(10);
