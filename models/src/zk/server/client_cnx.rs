//! The server's side of client connections: sessions begin and go on here, and a session's requests are answered in order.

use std::collections::{BTreeMap, VecDeque};

use super::log::Proposal;
use super::packet::{QuorumPacket, Request, RequestKind};
use super::sessions::{Owner, round_up};
use super::tree::WatchTable;
use super::{Role, Server, ZkServerTimer};
use crate::fingerprint::Fingerprint;
use crate::id::{ConnId, SessionId, TimerId, Zxid};
use crate::time::{Instant, Span};
use crate::world::{Ctx, Message, Timer};
use crate::zk::protocol::{ClientMessage, Op, OpResult, Path, TxnBody, WatchKind, ZkError};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum CnxState {
    /// Has said nothing.
    Fresh,
    /// Waits for its session: to be created, or confirmed by the leader.
    Connecting,
    /// Has a session.
    Established,
}

/// A request that waits for the ones before it (`CommitProcessor`).
#[derive(Clone, Debug, Hash)]
enum Pending {
    /// Waits for its commit.
    Write { xid: i32, close: bool },
    /// Waits for the leader's answer.
    Sync { xid: i32 },
    /// Waits for its turn.
    Local(ClientMessage),
}

#[derive(Clone, Debug, Hash)]
struct ClientCnx {
    state: CnxState,
    session: SessionId,
    timeout: Span,
    pending: VecDeque<Pending>,
    /// What came before the session was there (`disableRecv`): Netty clients send their requests behind the ConnectRequest.
    unread: Vec<ClientMessage>,
    /// When the connection counts as dead (`ConnectionExpirerThread`).
    expires: Instant,
    timer: TimerId,
}

/// All connections of clients.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Clients {
    cnxns: BTreeMap<ConnId, ClientCnx>,
    by_session: BTreeMap<SessionId, ConnId>,
}

impl Clients {
    pub(super) fn owns(&self, conn: ConnId) -> bool {
        self.cnxns.contains_key(&conn)
    }
}

/// `generatePasswd`: derived from the id, so that every server knows it.
pub(super) fn password(session: SessionId) -> u64 {
    Fingerprint::of(&(session, SUPER_SECRET))
}

impl Server {
    pub(super) fn client_accepted(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        let expires = round_up(ctx.now + SESSIONLESS_CNXN_TIMEOUT, SESSIONLESS_CNXN_TIMEOUT);
        let timer = ctx.set_timer(expires.since(ctx.now), Timer::ZkServer(ZkServerTimer::ClientIdle(conn)));
        let cnx = ClientCnx {
            state: CnxState::Fresh,
            session: SessionId(0),
            timeout: SESSIONLESS_CNXN_TIMEOUT,
            pending: VecDeque::new(),
            unread: Vec::new(),
            expires,
            timer,
        };
        self.clients.cnxns.insert(conn, cnx);
    }

    /// The connection has been silent for long, or was when the timer was set.
    pub(super) fn client_idle(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        let Some(cnx) = self.clients.cnxns.get_mut(&conn) else { return };
        if ctx.now >= cnx.expires {
            return self.close_client(ctx, conn);
        }
        let rest = cnx.expires.since(ctx.now);
        cnx.timer = ctx.set_timer(rest, Timer::ZkServer(ZkServerTimer::ClientIdle(conn)));
    }

    /// The server closes a connection; the session lives on.
    pub(super) fn close_client(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        ctx.close(conn);
        self.client_closed(ctx, conn);
    }

    /// The connection is gone.
    pub(super) fn client_closed(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        let Some(cnx) = self.clients.cnxns.remove(&conn) else { return };
        ctx.cancel(cnx.timer);
        if self.clients.by_session.get(&cnx.session) == Some(&conn) {
            self.clients.by_session.remove(&cnx.session);
        }
        self.watches.remove_connection(conn);
    }

    pub(super) fn close_all_clients(&mut self, ctx: &mut Ctx<'_>) {
        let conns: Vec<ConnId> = self.clients.cnxns.keys().copied().collect();
        for conn in conns {
            self.close_client(ctx, conn);
        }
    }

    pub(super) fn client_message(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, message: ClientMessage) {
        // "ZooKeeperServer not running": the first bytes end the connection.
        if !self.is_serving() {
            return self.close_client(ctx, conn);
        }
        let Some(cnx) = self.clients.cnxns.get_mut(&conn) else { return };
        cnx.expires = round_up(ctx.now + cnx.timeout, SESSIONLESS_CNXN_TIMEOUT);
        match (cnx.state, message) {
            (CnxState::Fresh, ClientMessage::ConnectRequest { last_zxid_seen, timeout, session, password }) => {
                self.connect_request(ctx, conn, (last_zxid_seen, timeout), (session, password));
            }
            (CnxState::Established, message) => self.submit(ctx, conn, message),
            (CnxState::Connecting, message) => cnx.unread.push(message),
            (CnxState::Fresh, _) => self.close_client(ctx, conn),
        }
    }

    /// `processConnectRequest`.
    fn connect_request(
        &mut self,
        ctx: &mut Ctx<'_>,
        conn: ConnId,
        (last_zxid_seen, wish): (Zxid, Span),
        (session, given): (SessionId, u64),
    ) {
        if last_zxid_seen > self.tree.last_processed() {
            return self.close_client(ctx, conn);
        }
        let timeout = self.spec.config.negotiate(wish);
        let new = session == SessionId(0);
        let session = if new { self.next_session_id() } else { session };
        if !new && let Some(&old) = self.clients.by_session.get(&session) {
            // CLIENT_RECONNECT: the older connection of the session ends.
            self.close_client(ctx, old);
        }
        let Some(cnx) = self.clients.cnxns.get_mut(&conn) else { return };
        cnx.state = CnxState::Connecting;
        cnx.session = session;
        cnx.timeout = timeout;
        if !new && given != password(session) {
            return self.finish_session(ctx, conn, false);
        }
        self.clients.by_session.insert(session, conn);
        let kind = RequestKind::CreateSession(timeout);
        match &mut self.role {
            Role::Leading(_) if new => self.lead_request(ctx, &Request { session, xid: 0, kind }, Owner::Me),
            Role::Leading(leader) => {
                let valid = leader.tracker.touch(session, timeout, ctx.now);
                if valid {
                    leader.tracker.set_owner(session, Owner::Me);
                }
                self.finish_session(ctx, conn, valid);
            }
            Role::Following(_) if new => self.forward(ctx, session, 0, kind),
            Role::Following(_) => self.tell_leader(ctx, QuorumPacket::Revalidate { session, timeout }),
            Role::Joining | Role::Looking(_) => {}
        }
    }

    fn next_session_id(&mut self) -> SessionId {
        self.next_session += 1;
        SessionId(self.next_session)
    }

    /// The leader's answer about a session that has come here.
    pub(super) fn revalidated(&mut self, ctx: &mut Ctx<'_>, session: SessionId, valid: bool) {
        if let Some(&conn) = self.clients.by_session.get(&session)
            && self.clients.cnxns.get(&conn).is_some_and(|cnx| cnx.state == CnxState::Connecting)
        {
            self.finish_session(ctx, conn, valid);
        }
    }

    /// `finishSessionInit`. A timeout of zero tells the client that its session has expired.
    fn finish_session(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, valid: bool) {
        let Some(cnx) = self.clients.cnxns.get_mut(&conn) else { return };
        let session = cnx.session;
        if valid {
            cnx.state = CnxState::Established;
            cnx.expires = round_up(ctx.now + cnx.timeout, SESSIONLESS_CNXN_TIMEOUT);
            let answer = ClientMessage::ConnectResponse { timeout: cnx.timeout, session, password: password(session) };
            let unread = std::mem::take(&mut cnx.unread);
            ctx.send(conn, Message::Zk(Box::new(answer)));
            for message in unread {
                self.submit(ctx, conn, message);
            }
        } else {
            let answer = ClientMessage::ConnectResponse { timeout: Span::ZERO, session: SessionId(0), password: 0 };
            ctx.send(conn, Message::Zk(Box::new(answer)));
            self.close_client(ctx, conn);
        }
    }

    /// `submitRequest`, then the order that `CommitProcessor` keeps: while a session has a write in flight, everything
    /// after it waits, pings too. Writes go to the leader at once.
    fn submit(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, message: ClientMessage) {
        let Some(cnx) = self.clients.cnxns.get_mut(&conn) else { return };
        let (session, timeout) = (cnx.session, cnx.timeout);
        match &mut self.role {
            Role::Leading(leader) => {
                // A request of a session that is closing is dropped (`MissingSessionException`).
                if !leader.tracker.touch(session, timeout, ctx.now) {
                    return;
                }
            }
            Role::Following(learner) => {
                learner.touched.insert(session, timeout);
            }
            Role::Joining | Role::Looking(_) => {}
        }
        let leading = matches!(self.role, Role::Leading(_));
        match message {
            ClientMessage::Request { xid, op } if op.is_write() => {
                cnx.pending.push_back(Pending::Write { xid, close: matches!(op, Op::CloseSession) });
                let kind = RequestKind::Op(op);
                if leading {
                    self.lead_request(ctx, &Request { session, xid, kind }, Owner::Me);
                } else {
                    self.forward(ctx, session, xid, kind);
                }
            }
            ClientMessage::Request { xid, op: op @ Op::Sync { .. } } if !leading => {
                cnx.pending.push_back(Pending::Sync { xid });
                self.forward(ctx, session, xid, RequestKind::Op(op));
            }
            ClientMessage::Request { .. } | ClientMessage::Ping | ClientMessage::SetWatches { .. } => {
                if cnx.pending.is_empty() {
                    self.answer_locally(ctx, conn, message);
                } else {
                    cnx.pending.push_back(Pending::Local(message));
                }
            }
            _ => self.close_client(ctx, conn),
        }
    }

    /// Answers what waited only for its turn.
    fn drain(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        while let Some(cnx) = self.clients.cnxns.get_mut(&conn)
            && matches!(cnx.pending.front(), Some(Pending::Local(_)))
            && let Some(Pending::Local(message)) = cnx.pending.pop_front()
        {
            self.answer_locally(ctx, conn, message);
        }
    }

    /// A transaction was applied: answers the client of this server that waits for it (`FinalRequestProcessor`).
    pub(super) fn answer(&mut self, ctx: &mut Ctx<'_>, proposal: &Proposal, result: Result<OpResult, ZkError>) {
        let txn = proposal.txn();
        let Some(&conn) = self.clients.by_session.get(&txn.session) else { return };
        let Some(cnx) = self.clients.cnxns.get_mut(&conn) else { return };
        if matches!(txn.body, TxnBody::CreateSession { .. }) {
            return self.finish_session(ctx, conn, true);
        }
        let waits = match cnx.pending.front() {
            Some(Pending::Write { xid, close }) if *xid == proposal.xid() => Some(*close),
            _ => None,
        };
        let ends = matches!(txn.body, TxnBody::CloseSession { .. });
        if waits.is_some() {
            cnx.pending.pop_front();
            if result == Err(ZkError::SessionMoved) {
                return self.close_client(ctx, conn);
            }
            let reply = ClientMessage::Reply { xid: proposal.xid(), zxid: txn.zxid, result };
            ctx.send(conn, Message::Zk(Box::new(reply)));
        }
        if ends {
            self.close_client(ctx, conn);
        } else {
            self.drain(ctx, conn);
        }
    }

    /// SYNC came back from the leader, behind all commits that the client waits for.
    pub(super) fn synced_for_client(&mut self, ctx: &mut Ctx<'_>, session: SessionId, xid: i32) {
        let zxid = self.tree.last_processed();
        let Some(&conn) = self.clients.by_session.get(&session) else { return };
        let Some(cnx) = self.clients.cnxns.get_mut(&conn) else { return };
        if matches!(cnx.pending.front(), Some(Pending::Sync { xid: waits }) if *waits == xid) {
            cnx.pending.pop_front();
            ctx.send(conn, Message::Zk(Box::new(ClientMessage::Reply { xid, zxid, result: Ok(OpResult::Synced) })));
            self.drain(ctx, conn);
        }
    }

    fn answer_locally(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, message: ClientMessage) {
        match message {
            ClientMessage::Ping => ctx.send(conn, Message::Zk(Box::new(ClientMessage::Pong))),
            ClientMessage::SetWatches { relative_zxid, data, exist, child } => {
                self.set_watches(ctx, conn, relative_zxid, (&data, &exist, &child));
            }
            ClientMessage::Request { xid, op } => {
                let result = self.read(conn, &op);
                let zxid = self.tree.last_processed();
                ctx.send(conn, Message::Zk(Box::new(ClientMessage::Reply { xid, zxid, result })));
            }
            _ => {}
        }
    }

    fn read(&mut self, conn: ConnId, op: &Op) -> Result<OpResult, ZkError> {
        match op {
            Op::Exists { path, watch } => {
                if *watch {
                    self.watches.add(WatchTable::Data, path, conn);
                }
                self.tree.node(path).map(|node| OpResult::Stat(node.stat())).ok_or(ZkError::NoNode)
            }
            Op::GetData { path, watch } => {
                let node = self.tree.node(path).ok_or(ZkError::NoNode)?;
                if *watch {
                    self.watches.add(WatchTable::Data, path, conn);
                }
                Ok(OpResult::Data { data: node.data.clone(), stat: node.stat() })
            }
            Op::GetChildren { path, watch } => {
                let node = self.tree.node(path).ok_or(ZkError::NoNode)?;
                if *watch {
                    self.watches.add(WatchTable::Child, path, conn);
                }
                Ok(OpResult::Children { names: node.children.iter().cloned().collect(), stat: node.stat() })
            }
            Op::Sync { .. } => Ok(OpResult::Synced),
            // Writes have gone to the leader.
            _ => Err(ZkError::RuntimeInconsistency),
        }
    }

    /// `DataTree.setWatches`: what changed while the client was away fires at once, the rest is watched.
    fn set_watches(
        &mut self,
        ctx: &mut Ctx<'_>,
        conn: ConnId,
        relative: Zxid,
        (data, exist, child): (&[Path], &[Path], &[Path]),
    ) {
        let mut fire = |path: &Path, kind| {
            ctx.send(conn, Message::Zk(Box::new(ClientMessage::Event { path: path.clone(), kind })));
        };
        for path in data {
            match self.tree.node(path) {
                None => fire(path, WatchKind::Deleted),
                Some(node) if node.mzxid > relative => fire(path, WatchKind::DataChanged),
                Some(_) => self.watches.add(WatchTable::Data, path, conn),
            }
        }
        for path in exist {
            match self.tree.node(path) {
                Some(_) => fire(path, WatchKind::Created),
                None => self.watches.add(WatchTable::Data, path, conn),
            }
        }
        for path in child {
            match self.tree.node(path) {
                None => fire(path, WatchKind::Deleted),
                Some(node) if node.pzxid > relative => fire(path, WatchKind::ChildrenChanged),
                Some(_) => self.watches.add(WatchTable::Child, path, conn),
            }
        }
    }
}

/// `zookeeper.nio.sessionlessCnxnTimeout`, and the interval of the queue in which connections expire.
const SESSIONLESS_CNXN_TIMEOUT: Span = Span::from_ms(10_000);
/// Seasons passwords, as `superSecret` does.
const SUPER_SECRET: u64 = 0xb3_41_5c_00;
