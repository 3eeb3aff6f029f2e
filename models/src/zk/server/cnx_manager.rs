//! `QuorumCnxManager`: one connection per pair of servers for the life of the processes, whatever their roles.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ZkServerTimer;
use super::election::Notification;
use crate::id::{Address, ConnId, ProcessId, Sid, TimerId};
use crate::time::Span;
use crate::world::{Ctx, Message, Timer, ZK_ELECTION_PORT};

/// On the election port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ElectionPacket {
    /// The dialler's first words.
    Greeting {
        /// Who it is.
        sid: Sid,
    },
    /// A vote.
    Notification(Notification),
}

impl ElectionPacket {
    /// Bytes on the wire.
    pub fn wire_size(&self) -> u32 {
        match self {
            Self::Greeting { .. } => 40,
            // `buildMsg`: 52 bytes and the text of the configuration.
            Self::Notification(_) => 200,
        }
    }
}

#[derive(Clone, Debug, Default, Hash)]
struct Peer {
    /// The send queue; its capacity is one and the newer message wins. Filled only while there is no sender: a sender
    /// hands everything to the kernel at once.
    queue: Option<Notification>,
    /// `queueSendMap` has an entry.
    known: bool,
    last_sent: Option<Notification>,
    /// The connection of the sender and receiver threads.
    worker: Option<ConnId>,
    dialling: Option<(ConnId, TimerId)>,
}

/// See the module.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct CnxManager {
    peers: BTreeMap<Sid, Peer>,
    /// Connections whose dialler has not said who it is.
    strangers: BTreeMap<ConnId, TimerId>,
    by_conn: BTreeMap<ConnId, Sid>,
}

/// Who we are and whom we know.
#[derive(Clone, Copy)]
pub(super) struct Members<'a> {
    pub(super) me: Sid,
    pub(super) ensemble: &'a Arc<BTreeMap<Sid, ProcessId>>,
    pub(super) cnx_timeout: Span,
    pub(super) greeting_timeout: Span,
}

impl CnxManager {
    /// `toSend`, for others than ourselves.
    pub(super) fn send(&mut self, ctx: &mut Ctx<'_>, members: Members<'_>, to: Sid, notification: Notification) {
        let peer = self.peers.entry(to).or_default();
        peer.known = true;
        if let Some(conn) = peer.worker {
            peer.last_sent = Some(notification);
            ctx.send(conn, Message::Election(ElectionPacket::Notification(notification)));
        } else {
            peer.queue = Some(notification);
            self.connect_one(ctx, members, to);
        }
    }

    /// Whether some send queue is empty: then the last messages are under way and a re-send makes sense.
    pub(super) fn have_delivered(&self) -> bool {
        self.peers.values().any(|peer| peer.known && peer.queue.is_none())
    }

    pub(super) fn connect_all(&mut self, ctx: &mut Ctx<'_>, members: Members<'_>) {
        let known: Vec<Sid> = self.peers.iter().filter(|(_, peer)| peer.known).map(|(sid, _)| *sid).collect();
        for sid in known {
            self.connect_one(ctx, members, sid);
        }
    }

    fn connect_one(&mut self, ctx: &mut Ctx<'_>, members: Members<'_>, to: Sid) {
        // "Invalid server id": who is not listed cannot be dialled.
        let Some(&process) = members.ensemble.get(&to) else { return };
        let peer = self.peers.entry(to).or_default();
        if peer.worker.is_some() || peer.dialling.is_some() {
            return;
        }
        let conn = ctx.connect(Address { process, port: ZK_ELECTION_PORT });
        let timer = ctx.set_timer(members.cnx_timeout, Timer::ZkServer(ZkServerTimer::Dial(conn)));
        peer.dialling = Some((conn, timer));
        self.by_conn.insert(conn, to);
    }

    pub(super) fn owns(&self, conn: ConnId) -> bool {
        self.by_conn.contains_key(&conn) || self.strangers.contains_key(&conn)
    }

    pub(super) fn accepted(&mut self, ctx: &mut Ctx<'_>, members: Members<'_>, conn: ConnId) {
        let timer = ctx.set_timer(members.greeting_timeout, Timer::ZkServer(ZkServerTimer::Dial(conn)));
        self.strangers.insert(conn, timer);
    }

    /// The higher server id's connection wins.
    pub(super) fn opened(&mut self, ctx: &mut Ctx<'_>, members: Members<'_>, conn: ConnId) {
        let Some(sid) = self.by_conn.get(&conn).copied() else { return };
        self.stop_dialling(ctx, sid, conn);
        ctx.send(conn, Message::Election(ElectionPacket::Greeting { sid: members.me }));
        if members.me < sid {
            self.by_conn.remove(&conn);
            ctx.close(conn);
        } else {
            self.start_worker(ctx, sid, conn);
        }
    }

    /// A dialler said who it is (`handleConnection`).
    pub(super) fn greeted(&mut self, ctx: &mut Ctx<'_>, members: Members<'_>, conn: ConnId, sid: Sid) {
        let Some(timer) = self.strangers.remove(&conn) else { return };
        ctx.cancel(timer);
        if sid < members.me {
            if let Some(old) = self.peers.entry(sid).or_default().worker.take() {
                self.by_conn.remove(&old);
                ctx.close(old);
            }
            ctx.close(conn);
            self.connect_one(ctx, members, sid);
        } else if sid == members.me {
            ctx.close(conn);
        } else {
            self.by_conn.insert(conn, sid);
            self.start_worker(ctx, sid, conn);
        }
    }

    /// Who speaks on an established connection.
    pub(super) fn sender(&self, conn: ConnId) -> Option<Sid> {
        let sid = *self.by_conn.get(&conn)?;
        (self.peers.get(&sid)?.worker == Some(conn)).then_some(sid)
    }

    pub(super) fn closed(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        if let Some(timer) = self.strangers.remove(&conn) {
            ctx.cancel(timer);
        }
        if let Some(sid) = self.by_conn.remove(&conn) {
            self.stop_dialling(ctx, sid, conn);
            if let Some(peer) = self.peers.get_mut(&sid)
                && peer.worker == Some(conn)
            {
                peer.worker = None;
            }
        }
    }

    /// `cnxTimeout` of a dialled connection, or the read timeout of a silent dialler.
    pub(super) fn timed_out(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        ctx.close(conn);
        self.closed(ctx, conn);
    }

    fn stop_dialling(&mut self, ctx: &mut Ctx<'_>, sid: Sid, conn: ConnId) {
        if let Some(peer) = self.peers.get_mut(&sid)
            && let Some((dialled, timer)) = peer.dialling
            && dialled == conn
        {
            ctx.cancel(timer);
            peer.dialling = None;
        }
    }

    /// `SendWorker.run`: with nothing queued it repeats the last message ever sent to that peer.
    fn start_worker(&mut self, ctx: &mut Ctx<'_>, sid: Sid, conn: ConnId) {
        let peer = self.peers.entry(sid).or_default();
        if let Some(old) = peer.worker.replace(conn) {
            self.by_conn.remove(&old);
            ctx.close(old);
        }
        if let Some(notification) = peer.queue.take().or(peer.last_sent) {
            peer.last_sent = Some(notification);
            ctx.send(conn, Message::Election(ElectionPacket::Notification(notification)));
        }
    }
}
