//! `Leader`: discovery, synchronisation, broadcast, and the loop that tells whether there still is a quorum.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::learner_handler::{Handler, HandlerPhase};
use super::log::Proposal;
use super::packet::{QuorumPacket, Request, RequestKind};
use super::prep::Prep;
use super::sessions::{Expired, Owner, SessionTracker};
use super::storage::DiskOp;
use super::{Role, Server, ZkServerTimer};
use crate::id::{ConnId, SessionId, Sid, TimerId, Zxid};
use crate::observation::{Observation, ZkRole};
use crate::time::Span;
use crate::world::{Ctx, Message, Timer, ZK_QUORUM_PORT};
use crate::zk::protocol::{Op, Txn, TxnBody};

/// How far a leader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum LeaderPhase {
    /// Collects the accepted epochs of a quorum (`getEpochToPropose`).
    Discovery,
    /// Writes its own `acceptedEpoch`.
    AcceptEpoch,
    /// Collects ACKEPOCH (`waitForEpochAck`).
    EpochAcks,
    /// Synchronises learners and collects the ACKs of NEWLEADER.
    Synchronization,
    /// Serves.
    Broadcast,
}

/// A proposal that no quorum has acknowledged.
#[derive(Clone, Debug, Hash)]
pub(super) struct Outstanding {
    pub(super) proposal: Proposal,
    acks: Vec<Sid>,
    /// `sync` requests that wait for it.
    syncs: Vec<(ConnId, SessionId, i32)>,
}

/// See the module.
#[derive(Clone, Debug, Hash)]
pub(super) struct Leader {
    pub(super) phase: LeaderPhase,
    pub(super) epoch: u32,
    /// (currentEpoch, last zxid) when it was elected.
    pub(super) summary: (u32, Zxid),
    connecting: BTreeSet<Sid>,
    electing: BTreeSet<Sid>,
    new_leader_acks: BTreeSet<Sid>,
    pub(super) handlers: BTreeMap<ConnId, Handler>,
    /// Its acceptor runs.
    pub(super) accepting: bool,
    pub(super) outstanding: VecDeque<Outstanding>,
    pub(super) last_proposed: Zxid,
    pub(super) prep: Prep,
    pub(super) tracker: SessionTracker,
    expiry: Option<TimerId>,
    deadline: Option<TimerId>,
    /// `QuorumPeer.tick`.
    pub(super) tick: u32,
    /// Every second iteration of the loop only pings.
    tick_skip: bool,
}

impl Leader {
    pub(super) fn new_leader_zxid(&self) -> Zxid {
        Zxid::new(self.epoch, 0)
    }
}

impl Server {
    /// Won an election (`Leader.lead`).
    pub(super) fn lead(&mut self, ctx: &mut Ctx<'_>) {
        self.generation += 1;
        let summary = (self.storage.current_epoch, self.tree.last_processed());
        self.role = Role::Leading(Box::new(self.new_leader(ctx, summary)));
        // The constructor binds the port: from now on the kernel takes learners' connections, though nobody accepts them yet.
        ctx.listen(ZK_QUORUM_PORT);
        // Before there is any quorum (`ZooKeeperServer.loadData`).
        if self.storage.take_snapshot(ctx, &self.tree).is_err() {
            return ctx.exit(super::DISK_FAILED);
        }
        ctx.observe(Observation::ZkRole {
            role: ZkRole::Electing,
            epoch: self.storage.current_epoch,
            last_zxid: self.storage.last_zxid(),
        });
        self.after_steps(ctx, ACCEPTOR_STEPS, ZkServerTimer::Accept(self.generation));
        self.leader_deadline(ctx);
        self.report_epoch(ctx, self.spec.sid, self.storage.accepted_epoch);
    }

    /// The acceptor runs, and takes what the kernel has kept for it.
    pub(super) fn accept_learners(&mut self, ctx: &mut Ctx<'_>) {
        let Role::Leading(leader) = &mut self.role else { return };
        leader.accepting = true;
        let waiting: Vec<ConnId> = leader.handlers.keys().copied().collect();
        for conn in waiting {
            self.after_steps(ctx, 1, ZkServerTimer::HandlerWakes(conn));
        }
    }

    fn new_leader(&self, ctx: &Ctx<'_>, summary: (u32, Zxid)) -> Leader {
        Leader {
            phase: LeaderPhase::Discovery,
            epoch: 0,
            summary,
            connecting: BTreeSet::new(),
            electing: BTreeSet::new(),
            new_leader_acks: BTreeSet::new(),
            handlers: BTreeMap::new(),
            accepting: false,
            outstanding: VecDeque::new(),
            last_proposed: Zxid::ZERO,
            prep: Prep::default(),
            tracker: SessionTracker::new(self.spec.config.tick(), &BTreeMap::new(), ctx.now),
            expiry: None,
            deadline: None,
            tick: 0,
            tick_skip: true,
        }
    }

    /// The only server of its ensemble serves at once (`ZooKeeperServerMain`).
    pub(super) fn serve_alone(&mut self, ctx: &mut Ctx<'_>) {
        self.generation += 1;
        let last = self.tree.last_processed();
        let mut leader = self.new_leader(ctx, (0, last));
        leader.phase = LeaderPhase::Broadcast;
        leader.epoch = last.epoch();
        leader.last_proposed = last;
        leader.tracker = SessionTracker::new(self.spec.config.tick(), self.tree.sessions(), ctx.now);
        self.role = Role::Leading(Box::new(leader));
        self.now_serving(ctx, ZkRole::Leading, last.epoch());
        self.arm_expiry(ctx);
    }

    /// Each phase before BROADCAST may take `initLimit` ticks.
    fn leader_deadline(&mut self, ctx: &mut Ctx<'_>) {
        let limit = self.spec.config.init_limit_span();
        let Role::Leading(leader) = &mut self.role else { return };
        let timer = ctx.set_timer(limit, Timer::ZkServer(ZkServerTimer::LeaderDeadline));
        if let Some(old) = leader.deadline.replace(timer) {
            ctx.cancel(old);
        }
    }

    /// `getEpochToPropose`: one above the highest epoch that a quorum, the leader included, has accepted.
    pub(super) fn report_epoch(&mut self, ctx: &mut Ctx<'_>, sid: Sid, accepted: u32) {
        let Role::Leading(leader) = &mut self.role else { return };
        if leader.phase != LeaderPhase::Discovery {
            return;
        }
        leader.epoch = leader.epoch.max(accepted.saturating_add(1));
        if self.spec.ensemble.contains_key(&sid) {
            leader.connecting.insert(sid);
        }
        if leader.connecting.len() > self.spec.ensemble.len() / 2 {
            leader.phase = LeaderPhase::AcceptEpoch;
            let op = DiskOp::AcceptedEpoch(leader.epoch);
            self.write_epoch(ctx, op);
        }
    }

    /// The own `acceptedEpoch` is on disk: everybody who waits is told the epoch.
    pub(super) fn epoch_accepted(&mut self, ctx: &mut Ctx<'_>) {
        let Role::Leading(leader) = &mut self.role else { return };
        leader.phase = LeaderPhase::EpochAcks;
        leader.electing.insert(self.spec.sid);
        self.leader_deadline(ctx);
        self.each_handler_in(ctx, HandlerPhase::AwaitEpoch, Self::tell_epoch);
    }

    /// `waitForEpochAck`. Returns false if the learner is ahead of the leader, which ends its connection.
    pub(super) fn ack_epoch(&mut self, ctx: &mut Ctx<'_>, sid: Sid, last: Zxid, current: Option<u32>) -> bool {
        let Role::Leading(leader) = &mut self.role else { return false };
        if leader.phase != LeaderPhase::EpochAcks {
            return true;
        }
        if let Some(current) = current {
            if (current, last) > leader.summary {
                return false;
            }
            if self.spec.ensemble.contains_key(&sid) {
                leader.electing.insert(sid);
            }
        }
        if leader.electing.len() > self.spec.ensemble.len() / 2 {
            leader.phase = LeaderPhase::Synchronization;
            leader.last_proposed = leader.new_leader_zxid();
            let op = DiskOp::CurrentEpoch(leader.epoch);
            let (role, epoch, last_zxid) = (ZkRole::Synchronizing, leader.epoch, self.storage.last_zxid());
            ctx.observe(Observation::ZkRole { role, epoch, last_zxid });
            self.leader_deadline(ctx);
            self.write_epoch(ctx, op);
            self.each_handler_in(ctx, HandlerPhase::AwaitElection, Self::synchronise);
        }
        true
    }

    /// The own `currentEpoch` is on disk: that is the leader's own ACK of NEWLEADER.
    pub(super) fn leader_epoch_entered(&mut self, ctx: &mut Ctx<'_>) {
        let Role::Leading(leader) = &self.role else { return };
        let (epoch, zxid, history) = (leader.epoch, leader.new_leader_zxid(), self.tree.applied().zxid);
        ctx.observe(Observation::ZkEpochEntered { epoch, history });
        ctx.observe(Observation::ZkAck { zxid, history });
        self.ack_new_leader(ctx, self.spec.sid);
    }

    /// Counts an ACK of NEWLEADER; a quorum of them establishes the leader.
    pub(super) fn ack_new_leader(&mut self, ctx: &mut Ctx<'_>, sid: Sid) {
        let voter = self.spec.ensemble.contains_key(&sid);
        let Role::Leading(leader) = &mut self.role else { return };
        if leader.phase != LeaderPhase::Synchronization || !voter {
            return;
        }
        leader.new_leader_acks.insert(sid);
        let (acks, me) = (&leader.new_leader_acks, self.spec.sid);
        if acks.len() > self.spec.ensemble.len() / 2 && acks.contains(&me) {
            self.start_broadcast(ctx);
        }
    }

    /// `startZkServer`.
    fn start_broadcast(&mut self, ctx: &mut Ctx<'_>) {
        let tick = self.spec.config.tick();
        let Role::Leading(leader) = &mut self.role else { return };
        leader.phase = LeaderPhase::Broadcast;
        let epoch = leader.epoch;
        self.tree.set_last_processed(leader.new_leader_zxid());
        leader.tracker = SessionTracker::new(tick, self.tree.sessions(), ctx.now);
        if let Some(deadline) = leader.deadline.take() {
            ctx.cancel(deadline);
        }
        ctx.set_timer(tick / 2, Timer::ZkServer(ZkServerTimer::LeaderLoop(self.generation)));
        self.vote.peer_epoch = epoch;
        self.has_led = true;
        self.now_serving(ctx, ZkRole::Leading, epoch);
        self.arm_expiry(ctx);
        self.each_handler_in(ctx, HandlerPhase::AwaitRunning, Self::up_to_date);
    }

    /// No quorum within `initLimit` ("Forcing shutdown", "Waiting for a quorum of followers").
    pub(super) fn leader_gave_up(&mut self, ctx: &mut Ctx<'_>) {
        if let Role::Leading(leader) = &self.role
            && leader.phase != LeaderPhase::Broadcast
        {
            self.look(ctx);
        }
    }

    /// One iteration of the loop in `Leader.lead`: every half tick; every second one counts a tick and checks.
    pub(super) fn leader_loop(&mut self, ctx: &mut Ctx<'_>) {
        let half_tick = self.spec.config.tick() / 2;
        let Role::Leading(leader) = &mut self.role else { return };
        if !leader.tick_skip {
            leader.tick += 1;
            let synced: BTreeSet<Sid> = leader
                .handlers
                .values()
                .filter(|handler| leader.tick <= handler.tick_of_next_ack_deadline)
                .filter_map(|handler| handler.sid)
                .filter(|sid| self.spec.ensemble.contains_key(sid))
                .chain([self.spec.sid])
                .collect();
            if synced.len() <= self.spec.ensemble.len() / 2 {
                return self.look(ctx);
            }
        }
        leader.tick_skip = !leader.tick_skip;
        self.ping_learners(ctx);
        ctx.set_timer(half_tick, Timer::ZkServer(ZkServerTimer::LeaderLoop(self.generation)));
    }

    /// A write of the leader's own clients or of a learner's: `PrepRequestProcessor`, then `Leader.propose`.
    pub(super) fn lead_request(&mut self, ctx: &mut Ctx<'_>, request: &Request, owner: Owner) {
        let Role::Leading(leader) = &mut self.role else { return };
        if leader.phase != LeaderPhase::Broadcast {
            return;
        }
        // ZOOKEEPER-1277: the counter is used up, a new epoch is needed.
        if leader.last_proposed.counter() == u32::MAX {
            return self.look(ctx);
        }
        let zxid = leader.last_proposed.next();
        let session = request.session;
        let body = match &request.kind {
            RequestKind::CreateSession(timeout) => {
                leader.tracker.track(session, *timeout, ctx.now);
                leader.tracker.set_owner(session, owner);
                TxnBody::CreateSession { timeout: *timeout, password: super::client_cnx::password(session) }
            }
            RequestKind::Op(op @ Op::CloseSession) => {
                leader.tracker.set_closing(session);
                leader.prep.prepare(&self.tree, zxid, session, op)
            }
            RequestKind::Op(op) => match leader.tracker.check(session, owner) {
                Ok(()) => leader.prep.prepare(&self.tree, zxid, session, op),
                Err(error) => TxnBody::Error { error, multi: Vec::new() },
            },
        };
        leader.last_proposed = zxid;
        let proposal = Proposal::new(Txn { zxid, session, time: ctx.wall, body }, request.xid);
        self.propose(ctx, proposal);
        self.arm_expiry(ctx);
    }

    /// The proposal leaves before the leader's own disk has it.
    fn propose(&mut self, ctx: &mut Ctx<'_>, proposal: Proposal) {
        let Role::Leading(leader) = &mut self.role else { return };
        ctx.observe(Observation::ZkPropose { zxid: proposal.zxid(), content: proposal.content() });
        for (conn, handler) in &mut leader.handlers {
            if handler.forwarding {
                handler.sync_limit.proposed(proposal.zxid(), ctx.now);
                ctx.send(*conn, Message::Quorum(QuorumPacket::Proposal(proposal.clone())));
            }
        }
        leader.outstanding.push_back(Outstanding {
            proposal: proposal.clone(),
            acks: Vec::with_capacity(self.spec.ensemble.len()),
            syncs: Vec::new(),
        });
        self.storage.enqueue(proposal, self.generation);
        self.pump_storage(ctx);
    }

    /// `processAck`: commits strictly in order; the quorum need not contain the leader.
    pub(super) fn process_ack(&mut self, ctx: &mut Ctx<'_>, sid: Sid, zxid: Zxid) {
        let quorum = self.spec.ensemble.len() / 2;
        let voter = self.spec.ensemble.contains_key(&sid);
        let Role::Leading(leader) = &mut self.role else { return };
        let Some(first) = leader.outstanding.front().map(|o| o.proposal.zxid()) else { return };
        // Zxids of one leader are consecutive. NEWLEADER's own (counter 0) and committed ones are before the first.
        if zxid < first || zxid.epoch() != first.epoch() || !voter {
            return;
        }
        let Some(entry) = leader.outstanding.get_mut((zxid.0 - first.0) as usize) else { return };
        if !entry.acks.contains(&sid) {
            entry.acks.push(sid);
        }
        loop {
            let Role::Leading(leader) = &mut self.role else { return };
            match leader.outstanding.front() {
                Some(front) if front.acks.len() > quorum => {}
                _ => return,
            }
            let Some(done) = leader.outstanding.pop_front() else { return };
            self.commit(ctx, done);
        }
    }

    fn commit(&mut self, ctx: &mut Ctx<'_>, done: Outstanding) {
        let Role::Leading(leader) = &mut self.role else { return };
        let zxid = done.proposal.zxid();
        ctx.observe(Observation::ZkCommit { zxid, epoch: leader.epoch });
        for (conn, handler) in &leader.handlers {
            if handler.forwarding {
                ctx.send(*conn, Message::Quorum(QuorumPacket::Commit { zxid }));
            }
        }
        self.apply(ctx, &done.proposal);
        for (conn, session, xid) in done.syncs {
            ctx.send(conn, Message::Quorum(QuorumPacket::Sync { session, xid }));
        }
    }

    /// `processSync`: no quorum is asked (ZOOKEEPER-1675).
    pub(super) fn process_sync(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, session: SessionId, xid: i32) {
        let Role::Leading(leader) = &mut self.role else { return };
        match leader.outstanding.back_mut() {
            Some(last) => last.syncs.push((conn, session, xid)),
            None => ctx.send(conn, Message::Quorum(QuorumPacket::Sync { session, xid })),
        }
    }

    fn arm_expiry(&mut self, ctx: &mut Ctx<'_>) {
        let Role::Leading(leader) = &mut self.role else { return };
        if leader.expiry.is_none()
            && let Some(due) = leader.tracker.next_expiry()
        {
            // One nanosecond at least: a bucket that is due already must not stop time.
            let after = due.since(ctx.now).max(Span::from_ns(1));
            leader.expiry = Some(ctx.set_timer(after, Timer::ZkServer(ZkServerTimer::SessionExpiry)));
        }
    }

    /// `SessionTrackerImpl.run`: the close of an expired session is an ordinary request, and needs a quorum.
    pub(super) fn expire_sessions(&mut self, ctx: &mut Ctx<'_>) {
        let Role::Leading(leader) = &mut self.role else { return };
        leader.expiry = None;
        for Expired { session, timeout, silent } in leader.tracker.expire(ctx.now) {
            ctx.observe(Observation::ZkSessionExpiring { session, timeout, silent });
            let request = Request { session, xid: 0, kind: RequestKind::Op(Op::CloseSession) };
            self.lead_request(ctx, &request, Owner::Me);
        }
        self.arm_expiry(ctx);
    }

    /// Calls `then` for every handler in `phase`.
    fn each_handler_in(&mut self, ctx: &mut Ctx<'_>, phase: HandlerPhase, then: fn(&mut Self, &mut Ctx<'_>, ConnId)) {
        let Role::Leading(leader) = &self.role else { return };
        let conns: Vec<ConnId> =
            leader.handlers.iter().filter(|(_, handler)| handler.phase == phase).map(|(conn, _)| *conn).collect();
        for conn in conns {
            then(self, ctx, conn);
        }
    }
}

/// Hand-overs between threads until a new leader accepts learners: `LearnerCnxAcceptor`, and the handler that it starts for its
/// address.
const ACCEPTOR_STEPS: u64 = 2;
