//! `LearnerHandler`: the leader's side of one learner's connection. Where the real thread blocks, packets wait.

use std::collections::VecDeque;

use super::leader::LeaderPhase;
use super::log::{Log, Proposal};
use super::packet::{QuorumPacket, Request, RequestKind, Snapshot};
use super::sessions::Owner;
use super::{Role, Server, ZkServerTimer};
use crate::defect::Defect;
use crate::id::{ConnId, Sid, TimerId, Zxid};
use crate::observation::Observation;
use crate::time::{Instant, Span};
use crate::world::{Ctx, Message, Timer};
use crate::zk::config::ZooKeeperConfig;
use crate::zk::protocol::Op;

/// How far a learner's handler is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum HandlerPhase {
    /// Reads FOLLOWERINFO.
    AwaitInfo,
    /// Blocked until a quorum has reported.
    AwaitEpoch,
    /// Reads ACKEPOCH.
    AwaitAckEpoch,
    /// Blocked until a quorum has sent ACKEPOCH.
    AwaitElection,
    /// Reads the ACK of NEWLEADER.
    AwaitSyncAck,
    /// Blocked until the leader serves.
    AwaitRunning,
    /// Reads whatever comes.
    Serving,
}

impl HandlerPhase {
    fn reads(self) -> bool {
        !matches!(self, Self::AwaitEpoch | Self::AwaitElection | Self::AwaitRunning)
    }
}

/// `SyncLimitCheck`: how long the oldest unacknowledged proposal has been under way.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct SyncLimitCheck {
    started: bool,
    current: Option<(Zxid, Instant)>,
    next: Option<(Zxid, Instant)>,
}

impl SyncLimitCheck {
    pub(super) fn proposed(&mut self, zxid: Zxid, now: Instant) {
        if self.started {
            let slot = if self.current.is_none() { &mut self.current } else { &mut self.next };
            *slot = Some((zxid, now));
        }
    }

    fn acked(&mut self, zxid: Zxid) {
        if self.current.is_some_and(|(at, _)| at == zxid) {
            self.current = self.next.take();
        } else if self.next.is_some_and(|(at, _)| at == zxid) {
            self.next = None;
        }
    }

    fn holds(&self, now: Instant, limit: Span) -> bool {
        self.current.is_none_or(|(_, since)| now.since(since) < limit)
    }
}

/// See the module.
#[derive(Clone, Debug, Hash)]
pub(super) struct Handler {
    pub(super) sid: Option<Sid>,
    pub(super) phase: HandlerPhase,
    inbox: VecDeque<QuorumPacket>,
    /// The thread has been started and does not run yet; or it was blocked in a read, and something has come.
    waking: bool,
    pub(super) tick_of_next_ack_deadline: u32,
    last_read: Instant,
    read_timeout: Span,
    read_timer: TimerId,
    /// In `forwardingFollowers`: gets proposals and commits.
    pub(super) forwarding: bool,
    pub(super) sync_limit: SyncLimitCheck,
    /// From its ACKEPOCH.
    peer_zxid: Zxid,
}

impl Server {
    /// A learner has connected. The acceptor wakes to take the connection, and starts the handler's thread.
    pub(super) fn learner_accepted(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        let config = &self.spec.config;
        let read_timeout = ZooKeeperConfig::read_timeout(config.init_limit_span(), ctx.random);
        let limit = config.init_limit + config.sync_limit;
        let Role::Leading(leader) = &mut self.role else { return ctx.close(conn) };
        let read_timer = ctx.set_timer(read_timeout, Timer::ZkServer(ZkServerTimer::HandlerRead(conn)));
        let handler = Handler {
            sid: None,
            phase: HandlerPhase::AwaitInfo,
            inbox: VecDeque::new(),
            waking: true,
            tick_of_next_ack_deadline: leader.tick + limit,
            last_read: ctx.now,
            read_timeout,
            read_timer,
            forwarding: false,
            sync_limit: SyncLimitCheck::default(),
            peer_zxid: Zxid::ZERO,
        };
        leader.handlers.insert(conn, handler);
        if leader.accepting {
            self.after_steps(ctx, HANDLER_STEPS, ZkServerTimer::HandlerWakes(conn));
        }
    }

    fn handler(&mut self, conn: ConnId) -> Option<&mut Handler> {
        match &mut self.role {
            Role::Leading(leader) => leader.handlers.get_mut(&conn),
            Role::Joining | Role::Looking(_) | Role::Following(_) => None,
        }
    }

    /// The handler's thread ends and closes its socket.
    fn drop_handler(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        ctx.close(conn);
        self.handler_closed(ctx, conn);
    }

    /// The learner's connection is gone.
    pub(super) fn handler_closed(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        if let Role::Leading(leader) = &mut self.role
            && let Some(handler) = leader.handlers.remove(&conn)
        {
            ctx.cancel(handler.read_timer);
        }
    }

    /// The read timeout was set for an earlier packet; or nothing has come for its whole length.
    pub(super) fn handler_read_timer(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        let now = ctx.now;
        let Some(handler) = self.handler(conn) else { return };
        let since = if handler.phase.reads() { handler.last_read } else { now };
        let silent = now.since(since);
        if silent >= handler.read_timeout {
            return self.drop_handler(ctx, conn);
        }
        let rest = handler.read_timeout - silent;
        handler.read_timer = ctx.set_timer(rest, Timer::ZkServer(ZkServerTimer::HandlerRead(conn)));
    }

    pub(super) fn handler_packet(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, packet: QuorumPacket) {
        let Some(handler) = self.handler(conn) else { return };
        handler.inbox.push_back(packet);
        if handler.phase == HandlerPhase::Serving {
            self.handler_read(ctx, conn);
        } else if handler.phase.reads() && !std::mem::replace(&mut handler.waking, true) {
            // Until the learner serves, each packet finds the thread asleep.
            self.after_steps(ctx, 1, ZkServerTimer::HandlerWakes(conn));
        }
    }

    pub(super) fn handler_wakes(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        if let Some(handler) = self.handler(conn) {
            handler.waking = false;
            self.handler_read(ctx, conn);
        }
    }

    /// Reads as long as the thread is not blocked.
    fn handler_read(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        while let Some(handler) = self.handler(conn)
            && handler.phase.reads()
            && !handler.waking
            && let Some(packet) = handler.inbox.pop_front()
        {
            handler.last_read = ctx.now;
            self.handle(ctx, conn, packet);
        }
    }

    fn handle(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, packet: QuorumPacket) {
        let Some(handler) = self.handler(conn) else { return };
        match (handler.phase, packet) {
            (HandlerPhase::AwaitInfo, QuorumPacket::FollowerInfo { sid, accepted_epoch }) => {
                handler.sid = Some(sid);
                handler.phase = HandlerPhase::AwaitEpoch;
                self.report_epoch(ctx, sid, accepted_epoch);
                if self.strands(sid, accepted_epoch) && !self.spec.defects.has(Defect::StrandedByAcceptedEpoch) {
                    return self.look(ctx);
                }
                if let Role::Leading(leader) = &self.role
                    && leader.phase >= LeaderPhase::EpochAcks
                {
                    self.tell_epoch(ctx, conn);
                }
            }
            (HandlerPhase::AwaitAckEpoch, QuorumPacket::AckEpoch { last_zxid, current_epoch }) => {
                handler.peer_zxid = last_zxid;
                handler.phase = HandlerPhase::AwaitElection;
                let Some(sid) = handler.sid else { return };
                if !self.ack_epoch(ctx, sid, last_zxid, current_epoch) {
                    return self.drop_handler(ctx, conn);
                }
                // The ACK that ends the election synchronises all who wait, this one included.
                if let Role::Leading(leader) = &self.role
                    && leader.phase >= LeaderPhase::Synchronization
                    && leader.handlers.get(&conn).is_some_and(|h| h.phase == HandlerPhase::AwaitElection)
                {
                    self.synchronise(ctx, conn);
                }
            }
            (HandlerPhase::AwaitSyncAck, QuorumPacket::Ack { zxid }) => self.sync_ack(ctx, conn, zxid),
            (HandlerPhase::Serving, packet) => self.serve_learner(ctx, conn, packet),
            // What does not fit ends the thread with an error.
            (phase, packet) => {
                let what = format!("{} while the learner's handler is at {phase:?}", packet.name());
                ctx.observe(Observation::ZkIllegalMessage { what: what.into() });
                self.drop_handler(ctx, conn);
            }
        }
    }

    /// Whether a voter has promised to follow no epoch as old as the one that is being led.
    fn strands(&self, sid: Sid, accepted_epoch: u32) -> bool {
        let Role::Leading(leader) = &self.role else { return false };
        let decided = leader.phase > LeaderPhase::Discovery;
        decided && accepted_epoch > leader.epoch && self.spec.ensemble.contains_key(&sid)
    }

    /// LEADERINFO.
    pub(super) fn tell_epoch(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        let Role::Leading(leader) = &mut self.role else { return };
        let epoch = leader.epoch;
        let Some(handler) = leader.handlers.get_mut(&conn) else { return };
        handler.phase = HandlerPhase::AwaitAckEpoch;
        handler.last_read = ctx.now;
        ctx.send(conn, Message::Quorum(QuorumPacket::LeaderInfo { epoch }));
        self.handler_read(ctx, conn);
    }

    /// `syncFollower`, `startForwarding` and NEWLEADER. First what the learner lacks or has too much, each transaction
    /// followed by its COMMIT; then what is still outstanding; NEWLEADER last.
    pub(super) fn synchronise(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        let Some(peer_zxid) = self.handler(conn).map(|handler| handler.peer_zxid) else { return };
        let mut packets = Vec::new();
        if !self.queue_history(peer_zxid, &mut packets) {
            packets.clear();
            packets.push(QuorumPacket::Snap(Snapshot::new(self.history(), self.tree.clone())));
        }
        let Role::Leading(leader) = &mut self.role else { return };
        let outstanding = leader.outstanding.iter().map(|o| QuorumPacket::Proposal(o.proposal.clone()));
        packets.extend(outstanding);
        packets.push(QuorumPacket::NewLeader { zxid: leader.new_leader_zxid() });
        let Some(handler) = leader.handlers.get_mut(&conn) else { return };
        handler.forwarding = true;
        handler.phase = HandlerPhase::AwaitSyncAck;
        handler.last_read = ctx.now;
        for packet in packets {
            ctx.send(conn, Message::Quorum(packet));
        }
        self.handler_read(ctx, conn);
    }

    /// Queues DIFF or TRUNC with what follows; false if only a snapshot will do. First match wins (`syncFollower`).
    fn queue_history(&self, peer: Zxid, packets: &mut Vec<QuorumPacket>) -> bool {
        let last = self.tree.last_processed();
        let window = &self.committed_log;
        let min = window.front().map_or(last, Proposal::zxid);
        let max = window.back().map_or(last, Proposal::zxid);
        if peer == last {
            packets.push(QuorumPacket::Diff { zxid: peer });
            true
        } else if peer > max && peer.counter() != 0 {
            packets.push(QuorumPacket::Trunc { zxid: max });
            true
        } else if min <= peer && peer <= max {
            queue_committed(window.iter(), peer, last, packets)
        } else if peer < min {
            // From the log on disk, if that is much less than a snapshot (`snapshotSizeFactor`).
            let log = self.history();
            let from = log.count_through(peer).saturating_sub(1);
            let limit = self.tree.bytes() * SNAPSHOT_SIZE_PERCENT / 100;
            let mut size = 0;
            for at in (from..log.len()).rev() {
                size += u64::from(log.get(at).txn().size());
                if size > limit {
                    return false;
                }
            }
            queue_committed((from..log.len()).map(|at| log.get(at)), peer, last, packets)
        } else {
            false
        }
    }

    /// Everything that the tree holds, as a log: the own disk may lag behind the tree.
    pub(super) fn history(&self) -> Log {
        let applied = self.tree.applied().zxid;
        let mut log = self.storage.log().clone();
        log.truncate(log.count_through(applied));
        for proposal in self.storage.queued().filter(|proposal| proposal.zxid() <= applied) {
            log.push(proposal.clone());
        }
        log
    }

    /// Waits for the ACK of NEWLEADER (`waitForNewLeaderAck`).
    fn sync_ack(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, zxid: Zxid) {
        let overtaken = self.spec.defects.has(Defect::AckOvertakesNewLeader);
        let Role::Leading(leader) = &mut self.role else { return };
        let matches = zxid == leader.new_leader_zxid();
        let established = leader.phase == LeaderPhase::Broadcast;
        let Some(handler) = leader.handlers.get_mut(&conn) else { return };
        let Some(sid) = handler.sid else { return };
        if !matches && !overtaken {
            return self.process_ack(ctx, sid, zxid);
        }
        // ZOOKEEPER-4685: the first ACK is taken for that of NEWLEADER. Of another zxid it is swallowed.
        handler.phase = HandlerPhase::AwaitRunning;
        if established {
            self.up_to_date(ctx, conn);
        } else if matches {
            self.ack_new_leader(ctx, sid);
        }
    }

    /// The leader serves: so may the learner.
    pub(super) fn up_to_date(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        let read_timeout = ZooKeeperConfig::read_timeout(self.spec.config.sync_limit_span(), ctx.random);
        let Some(handler) = self.handler(conn) else { return };
        handler.phase = HandlerPhase::Serving;
        handler.sync_limit.started = true;
        handler.last_read = ctx.now;
        handler.read_timeout = read_timeout;
        ctx.cancel(handler.read_timer);
        handler.read_timer = ctx.set_timer(read_timeout, Timer::ZkServer(ZkServerTimer::HandlerRead(conn)));
        ctx.send(conn, Message::Quorum(QuorumPacket::UpToDate));
        self.handler_read(ctx, conn);
    }

    fn serve_learner(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, packet: QuorumPacket) {
        let sync_limit = self.spec.config.sync_limit;
        let Role::Leading(leader) = &mut self.role else { return };
        let Some(handler) = leader.handlers.get_mut(&conn) else { return };
        handler.tick_of_next_ack_deadline = leader.tick + sync_limit;
        let Some(sid) = handler.sid else { return };
        match packet {
            QuorumPacket::Ack { zxid } => {
                handler.sync_limit.acked(zxid);
                self.process_ack(ctx, sid, zxid);
            }
            QuorumPacket::Touched(sessions) => {
                for (session, timeout) in sessions {
                    leader.tracker.touch(session, timeout, ctx.now);
                }
            }
            QuorumPacket::Revalidate { session, timeout } => {
                let valid = leader.tracker.touch(session, timeout, ctx.now);
                if valid {
                    leader.tracker.set_owner(session, Owner::Learner(conn));
                }
                ctx.send(conn, Message::Quorum(QuorumPacket::Revalidated { session, valid }));
            }
            QuorumPacket::Request(Request { session, xid, kind: RequestKind::Op(Op::Sync { .. }) }) => {
                self.process_sync(ctx, conn, session, xid);
            }
            QuorumPacket::Request(request) => self.lead_request(ctx, &request, Owner::Learner(conn)),
            packet => {
                let what = format!("{} from a learner that is synchronised", packet.name());
                ctx.observe(Observation::ZkIllegalMessage { what: what.into() });
                self.drop_handler(ctx, conn);
            }
        }
    }

    /// PING to everybody who is synchronised or about to be; or the end of a learner that owes an ACK for too long.
    pub(super) fn ping_learners(&mut self, ctx: &mut Ctx<'_>) {
        let limit = self.spec.config.sync_limit_span();
        let Role::Leading(leader) = &mut self.role else { return };
        let zxid = leader.last_proposed;
        let mut late = Vec::new();
        for (conn, handler) in &leader.handlers {
            if !handler.sync_limit.holds(ctx.now, limit) {
                late.push(*conn);
            } else if handler.forwarding {
                ctx.send(*conn, Message::Quorum(QuorumPacket::Ping { zxid }));
            }
        }
        for conn in late {
            self.drop_handler(ctx, conn);
        }
    }
}

/// `queueCommittedProposals`: false if a TRUNC would have to cross an epoch.
fn queue_committed<'a>(
    proposals: impl Iterator<Item = &'a Proposal>,
    peer: Zxid,
    last: Zxid,
    packets: &mut Vec<QuorumPacket>,
) -> bool {
    let mut before = None;
    for proposal in proposals {
        let zxid = proposal.zxid();
        if zxid < peer {
            before = Some(zxid);
            continue;
        }
        if packets.is_empty() {
            if zxid == peer {
                packets.push(QuorumPacket::Diff { zxid: last });
                continue;
            }
            match before {
                // (x,0) is no transaction: whoever has it led or was given a snapshot, and lacks nothing before.
                _ if peer.counter() == 0 => packets.push(QuorumPacket::Diff { zxid: last }),
                Some(before) if zxid.epoch() == peer.epoch() => packets.push(QuorumPacket::Trunc { zxid: before }),
                _ => return false,
            }
        }
        packets.push(QuorumPacket::Proposal(proposal.clone()));
        packets.push(QuorumPacket::Commit { zxid });
    }
    if packets.is_empty() && peer.counter() == 0 {
        packets.push(QuorumPacket::Diff { zxid: last });
    }
    !packets.is_empty()
}

/// `zookeeper.snapshotSizeFactor`, 0.33.
const SNAPSHOT_SIZE_PERCENT: u64 = 33;
/// Hand-overs between threads from a learner's connection until its handler reads: the acceptor, and the handler that it starts.
const HANDLER_STEPS: u64 = 2;
