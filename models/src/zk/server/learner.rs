//! `Learner` and `Follower`: find the leader, be synchronised, follow. Where the real thread blocks, packets wait.

use std::collections::{BTreeMap, VecDeque};

use super::log::Proposal;
use super::packet::{QuorumPacket, Request, RequestKind, Snapshot};
use super::storage::DiskOp;
use super::{DISK_FAILED, Role, Server, ZkServerTimer};
use crate::defect::Defect;
use crate::id::{Address, ConnId, SessionId, Sid, TimerId, Zxid};
use crate::observation::{Observation, ZkRole};
use crate::process::CloseReason;
use crate::time::{Instant, Span};
use crate::world::{Ctx, Message, Timer, ZK_QUORUM_PORT};
use crate::zk::config::ZooKeeperConfig;

/// How far a learner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum LearnerPhase {
    /// Connects (`connectToLeader`).
    Connecting,
    /// Has introduced itself and promises the epoch (`registerWithLeader`).
    Registering,
    /// Collects what it lacks, up to NEWLEADER (`syncWithLeader`).
    Synchronizing,
    /// Between NEWLEADER and UPTODATE.
    Finishing,
    /// Serves.
    Serving,
}

/// What the main thread waits for on NEWLEADER.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// The received snapshot.
    Snapshot,
    /// The received transactions.
    Log,
}

/// See the module.
#[derive(Clone, Debug, Hash)]
pub(super) struct Learner {
    leader: Sid,
    pub(super) conn: Option<ConnId>,
    pub(super) phase: LearnerPhase,
    attempts: u32,
    epoch: u32,
    inbox: VecDeque<QuorumPacket>,
    /// The main thread waits for the disk, or has not run yet.
    blocked: bool,
    stage: Stage,
    snapshot: Option<Snapshot>,
    /// `packetsNotCommitted`: received, not yet handed to the log.
    not_logged: VecDeque<Proposal>,
    /// `packetsCommitted`.
    committed: VecDeque<Zxid>,
    /// `pendingTxns`: handed to the log, not yet committed.
    pending: VecDeque<Proposal>,
    /// Proposals that were made durable before NEWLEADER was acknowledged; their own ACKs follow.
    held_acks: Vec<Zxid>,
    pub(super) needs_reload: bool,
    last_read: Instant,
    read_timeout: Span,
    read_timer: Option<TimerId>,
    /// `LearnerSessionTracker`'s table for the next PING.
    pub(super) touched: BTreeMap<SessionId, Span>,
}

#[cfg(test)]
impl Learner {
    /// Whether the main thread has the connection.
    pub(super) fn is_introduced(&self) -> bool {
        self.read_timer.is_some()
    }
}

impl Server {
    /// Somebody else won (`Follower.followLeader`).
    pub(super) fn follow(&mut self, ctx: &mut Ctx<'_>, leader: Sid) {
        self.generation += 1;
        let config = &self.spec.config;
        let limit = match config.connect_to_learner_master_limit {
            0 => config.init_limit_span(),
            ticks => config.tick() * u64::from(ticks),
        };
        let learner = Learner {
            leader,
            conn: None,
            phase: LearnerPhase::Connecting,
            attempts: 0,
            epoch: 0,
            inbox: VecDeque::new(),
            blocked: false,
            stage: Stage::Snapshot,
            snapshot: None,
            not_logged: VecDeque::new(),
            committed: VecDeque::new(),
            pending: VecDeque::new(),
            held_acks: Vec::new(),
            needs_reload: false,
            last_read: ctx.now,
            read_timeout: ZooKeeperConfig::read_timeout(config.init_limit_span(), ctx.random),
            read_timer: None,
            touched: BTreeMap::new(),
        };
        self.role = Role::Following(Box::new(learner));
        ctx.set_timer(limit, Timer::ZkServer(ZkServerTimer::ConnectLimit(self.generation)));
        // `LeaderConnector` is a thread of its own.
        self.after_steps(ctx, 1, ZkServerTimer::ConnectAgain(self.generation));
    }

    /// The whole of `connectToLeader` may take no longer.
    pub(super) fn connect_limit(&mut self, ctx: &mut Ctx<'_>) {
        if let Role::Following(learner) = &self.role
            && learner.phase == LearnerPhase::Connecting
        {
            self.look(ctx);
        }
    }

    pub(super) fn dial_leader(&mut self, ctx: &mut Ctx<'_>) {
        let Role::Following(learner) = &mut self.role else { return };
        let Some(&process) = self.spec.ensemble.get(&learner.leader) else { return };
        learner.attempts += 1;
        learner.conn = Some(ctx.connect(Address { process, port: ZK_QUORUM_PORT }));
    }

    /// The connector has the connection and wakes the main thread.
    pub(super) fn leader_opened(&mut self, ctx: &mut Ctx<'_>) {
        let Role::Following(learner) = &mut self.role else { return };
        learner.phase = LearnerPhase::Registering;
        self.after_steps(ctx, 1, ZkServerTimer::Connected(self.generation));
    }

    /// `registerWithLeader`, first half: from now on it reads what the leader says.
    pub(super) fn introduce(&mut self, ctx: &mut Ctx<'_>) {
        let (sid, accepted_epoch) = (self.spec.sid, self.storage.accepted_epoch);
        let generation = self.generation;
        let Role::Following(learner) = &mut self.role else { return };
        learner.last_read = ctx.now;
        learner.read_timer =
            Some(ctx.set_timer(learner.read_timeout, Timer::ZkServer(ZkServerTimer::LearnerRead(generation))));
        self.tell_leader(ctx, QuorumPacket::FollowerInfo { sid, accepted_epoch });
    }

    /// A refused connection is tried again; the loss of an established one ends it all.
    pub(super) fn leader_closed(&mut self, ctx: &mut Ctx<'_>, reason: CloseReason) {
        let delay = Span::from_ms(self.spec.config.leader_connect_delay_during_retry_ms.into());
        let Role::Following(learner) = &mut self.role else { return };
        learner.conn = None;
        let again = learner.phase == LearnerPhase::Connecting && learner.attempts < CONNECT_ATTEMPTS;
        if again && reason != CloseReason::Eof {
            ctx.set_timer(delay, Timer::ZkServer(ZkServerTimer::ConnectAgain(self.generation)));
        } else {
            self.after_steps(ctx, READ_FAILED_STEPS, ZkServerTimer::ReadFailed(self.generation));
        }
    }

    /// The read timeout was set for an earlier packet; or nothing has come for its whole length.
    pub(super) fn learner_read_timer(&mut self, ctx: &mut Ctx<'_>) {
        let generation = self.generation;
        let Role::Following(learner) = &mut self.role else { return };
        let silent = if learner.blocked { Span::ZERO } else { ctx.now.since(learner.last_read) };
        if silent >= learner.read_timeout {
            return self.after_steps(ctx, READ_FAILED_STEPS, ZkServerTimer::ReadFailed(generation));
        }
        let rest = learner.read_timeout - silent;
        learner.read_timer = Some(ctx.set_timer(rest, Timer::ZkServer(ZkServerTimer::LearnerRead(generation))));
    }

    pub(super) fn learner_packet(&mut self, ctx: &mut Ctx<'_>, packet: QuorumPacket) {
        let Role::Following(learner) = &mut self.role else { return };
        learner.inbox.push_back(packet);
        if learner.phase == LearnerPhase::Serving {
            self.learner_read(ctx);
        } else if !learner.blocked {
            // Until it serves, each packet finds the thread asleep.
            learner.blocked = true;
            self.after_steps(ctx, 1, ZkServerTimer::LearnerWakes(self.generation));
        }
    }

    fn learner_read(&mut self, ctx: &mut Ctx<'_>) {
        while let Role::Following(learner) = &mut self.role
            && !learner.blocked
            && let Some(packet) = learner.inbox.pop_front()
        {
            learner.last_read = ctx.now;
            match learner.phase {
                LearnerPhase::Connecting => {}
                LearnerPhase::Registering => self.register(ctx, packet),
                LearnerPhase::Synchronizing | LearnerPhase::Finishing => self.collect(ctx, packet),
                LearnerPhase::Serving => self.follow_packet(ctx, packet),
            }
        }
    }

    /// `registerWithLeader`, second half.
    fn register(&mut self, ctx: &mut Ctx<'_>, packet: QuorumPacket) {
        let accepted = self.storage.accepted_epoch;
        let Role::Following(learner) = &mut self.role else { return };
        let QuorumPacket::LeaderInfo { epoch } = packet else {
            let what = format!("{} instead of LEADERINFO", packet.name());
            ctx.observe(Observation::ZkIllegalMessage { what: what.into() });
            return self.look(ctx);
        };
        learner.epoch = epoch;
        match epoch.cmp(&accepted) {
            std::cmp::Ordering::Less => self.look(ctx),
            std::cmp::Ordering::Equal => self.ack_epoch_to_leader(ctx, None),
            std::cmp::Ordering::Greater => {
                learner.blocked = true;
                self.write_epoch(ctx, DiskOp::AcceptedEpoch(epoch));
            }
        }
    }

    /// `acceptedEpoch` is on disk.
    pub(super) fn epoch_promised(&mut self, ctx: &mut Ctx<'_>) {
        self.ack_epoch_to_leader(ctx, Some(self.storage.current_epoch));
        self.unblock(ctx);
    }

    fn ack_epoch_to_leader(&mut self, ctx: &mut Ctx<'_>, current_epoch: Option<u32>) {
        let last_zxid = self.tree.last_processed();
        let Role::Following(learner) = &mut self.role else { return };
        learner.phase = LearnerPhase::Synchronizing;
        self.tell_leader(ctx, QuorumPacket::AckEpoch { last_zxid, current_epoch });
    }

    pub(super) fn tell_leader(&mut self, ctx: &mut Ctx<'_>, packet: QuorumPacket) {
        if let Role::Following(learner) = &self.role
            && let Some(conn) = learner.conn
        {
            ctx.send(conn, Message::Quorum(packet));
        }
    }

    pub(super) fn unblock(&mut self, ctx: &mut Ctx<'_>) {
        let Role::Following(learner) = &mut self.role else { return };
        learner.blocked = false;
        learner.last_read = ctx.now;
        self.learner_read(ctx);
    }

    /// `syncWithLeader`. Unlike the real code, what follows a SNAP or TRUNC goes through the log as after a DIFF; the
    /// outcome is the same and nothing depends on a snapshot that was not synced.
    fn collect(&mut self, ctx: &mut Ctx<'_>, packet: QuorumPacket) {
        let breaks = self.spec.defects.has(Defect::CommitBeforeUpToDate);
        let Role::Following(learner) = &mut self.role else { return };
        match packet {
            // ZOOKEEPER-2355: what the header promises counts as processed before it has come.
            QuorumPacket::Diff { zxid } if self.spec.defects.has(Defect::LastZxidFromDiffHeader) => {
                self.tree.set_last_processed(zxid);
            }
            QuorumPacket::Diff { .. } | QuorumPacket::Ping { .. } => {}
            QuorumPacket::Trunc { zxid } => {
                let epoch = learner.epoch;
                self.truncate(ctx, epoch, zxid);
            }
            QuorumPacket::Snap(snapshot) => {
                learner.needs_reload = true;
                self.tree = snapshot.tree().clone();
                self.committed_log = std::sync::Arc::default();
                learner.snapshot = Some(snapshot);
            }
            QuorumPacket::Proposal(proposal) => learner.not_logged.push_back(proposal),
            // ZOOKEEPER-4394: `packetsNotCommitted` was emptied at NEWLEADER, and its first element is looked at.
            QuorumPacket::Commit { .. }
                if breaks && learner.phase == LearnerPhase::Finishing && learner.not_logged.is_empty() =>
            {
                self.look(ctx);
            }
            QuorumPacket::Commit { zxid } => learner.committed.push_back(zxid),
            QuorumPacket::NewLeader { .. } => self.new_leader_received(ctx),
            QuorumPacket::UpToDate => self.now_up_to_date(ctx),
            packet => {
                let what = format!("{} while {:?}", packet.name(), learner.phase);
                ctx.observe(Observation::ZkIllegalMessage { what: what.into() });
                self.look(ctx);
            }
        }
    }

    /// TRUNC. The leader that orders it may commit what is cut meanwhile; it sends all that it has outstanding again
    /// (`Leader.startForwarding`).
    fn truncate(&mut self, ctx: &mut Ctx<'_>, epoch: u32, zxid: Zxid) {
        let from = self.storage.last_zxid();
        let len = self.storage.log().count_through(zxid);
        self.storage.truncate(ctx, len);
        self.tree = self.storage.load();
        self.refill_committed_log();
        self.reported_no_further_than(self.storage.log().end());
        ctx.observe(Observation::ZkTruncate { epoch, from, zxid: self.storage.last_zxid() });
    }

    /// NEWLEADER: make durable what was received, then the epoch, then acknowledge (3.8.5 and later). With
    /// ZOOKEEPER-4643 the epoch comes first and the log after the acknowledgement.
    fn new_leader_received(&mut self, ctx: &mut Ctx<'_>) {
        let Role::Following(learner) = &mut self.role else { return };
        learner.blocked = true;
        learner.stage = Stage::Snapshot;
        let Some(snapshot) = &learner.snapshot else { return self.log_synchronised(ctx) };
        if ctx.write(snapshot.tree().bytes()).is_err() {
            return ctx.exit(DISK_FAILED);
        }
        self.storage.fsync(ctx, DiskOp::Synchronised, self.generation);
    }

    /// A step of NEWLEADER is on disk.
    pub(super) fn synchronised(&mut self, ctx: &mut Ctx<'_>) {
        let Role::Following(learner) = &mut self.role else { return };
        match learner.stage {
            Stage::Snapshot => {
                learner.needs_reload = false;
                let epoch = learner.epoch;
                if let Some(snapshot) = learner.snapshot.take() {
                    self.install(ctx, epoch, &snapshot);
                }
                self.log_synchronised(ctx);
            }
            Stage::Log => self.write_current_epoch(ctx),
        }
    }

    fn install(&mut self, ctx: &mut Ctx<'_>, epoch: u32, snapshot: &Snapshot) {
        let common = self.storage.log().common_prefix(snapshot.log());
        let shared = snapshot.log().position(common);
        self.reported_no_further_than(shared);
        if common < self.storage.log().len() {
            ctx.observe(Observation::ZkTruncate { epoch, from: self.storage.last_zxid(), zxid: shared.zxid });
        }
        let end = self.storage.replace(snapshot.log().clone(), snapshot.tree());
        ctx.observe(Observation::ZkLog { zxid: end.zxid, digest: end.digest });
    }

    fn log_synchronised(&mut self, ctx: &mut Ctx<'_>) {
        if self.spec.defects.has(Defect::NewLeaderAckBeforeSync) {
            return self.write_current_epoch(ctx);
        }
        let Role::Following(learner) = &mut self.role else { return };
        learner.stage = Stage::Log;
        let batch = std::mem::take(&mut learner.not_logged);
        if batch.is_empty() {
            return self.write_current_epoch(ctx);
        }
        learner.held_acks = batch.iter().map(Proposal::zxid).filter(|zxid| !learner.committed.contains(zxid)).collect();
        learner.pending.extend(batch.iter().cloned());
        for proposal in batch {
            if self.storage.append(ctx, proposal).is_err() {
                return ctx.exit(DISK_FAILED);
            }
        }
        self.storage.fsync(ctx, DiskOp::Synchronised, self.generation);
    }

    fn write_current_epoch(&mut self, ctx: &mut Ctx<'_>) {
        let Role::Following(learner) = &mut self.role else { return };
        let op = DiskOp::CurrentEpoch(learner.epoch);
        self.write_epoch(ctx, op);
    }

    /// `currentEpoch` is on disk: the main thread acknowledges NEWLEADER while the sync thread, where there is something
    /// for it, begins to run beside it.
    pub(super) fn epoch_entered(&mut self, ctx: &mut Ctx<'_>) {
        let races = self.spec.defects.has(Defect::AckOvertakesNewLeader);
        let generation = self.generation;
        let history = self.committed_history();
        let Role::Following(learner) = &mut self.role else { return };
        ctx.observe(Observation::ZkEpochEntered { epoch: learner.epoch, history });
        let batch = std::mem::take(&mut learner.not_logged);
        learner.pending.extend(batch.iter().cloned());
        for proposal in batch {
            self.storage.enqueue(proposal, generation);
        }
        if !races {
            self.ack_new_leader_to_leader(ctx);
            return self.pump_storage(ctx);
        }
        // ZOOKEEPER-4685: each goes on when it is given a core, the main thread, which has woken the sync thread and only has a
        // packet to write, and the sync thread, which logs and writes its ACKs itself. With a core for each the main thread wins.
        self.storage.hold();
        self.after_waits(ctx, 1, ZkServerTimer::MainThread(generation));
        self.after_waits(ctx, 1, ZkServerTimer::SyncThread);
    }

    /// The sync thread runs beside the main thread that has started it.
    pub(super) fn sync_thread(&mut self, ctx: &mut Ctx<'_>) {
        // With its work done before (ZOOKEEPER-4643 off), its ACKs race all the same.
        if let Role::Following(learner) = &mut self.role {
            for zxid in std::mem::take(&mut learner.held_acks) {
                self.tell_leader(ctx, QuorumPacket::Ack { zxid });
            }
        }
        self.storage.release();
        self.run_sync_thread(ctx);
    }

    /// The main thread goes on after the hand-over to the sync thread.
    pub(super) fn main_thread(&mut self, ctx: &mut Ctx<'_>) {
        self.ack_new_leader_to_leader(ctx);
    }

    fn ack_new_leader_to_leader(&mut self, ctx: &mut Ctx<'_>) {
        let read_timeout = ZooKeeperConfig::read_timeout(self.spec.config.sync_limit_span(), ctx.random);
        let generation = self.generation;
        let Role::Following(learner) = &mut self.role else { return };
        learner.phase = LearnerPhase::Finishing;
        learner.read_timeout = read_timeout;
        if let Some(timer) = learner.read_timer.take() {
            ctx.cancel(timer);
        }
        learner.read_timer = Some(ctx.set_timer(read_timeout, Timer::ZkServer(ZkServerTimer::LearnerRead(generation))));
        let zxid = Zxid::new(learner.epoch, 0);
        ctx.observe(Observation::ZkAck { zxid, history: self.committed_history() });
        self.tell_leader(ctx, QuorumPacket::Ack { zxid });
        self.unblock(ctx);
    }

    /// The last transaction of what the leader has told to be committed so far.
    fn committed_history(&self) -> Zxid {
        let told = match &self.role {
            Role::Following(learner) => learner.committed.back().copied(),
            Role::Joining | Role::Looking(_) | Role::Leading(_) => None,
        };
        told.unwrap_or(self.tree.applied().zxid)
    }

    /// UPTODATE: serve, log what came since NEWLEADER, apply what is committed.
    fn now_up_to_date(&mut self, ctx: &mut Ctx<'_>) {
        let generation = self.generation;
        let Role::Following(learner) = &mut self.role else { return };
        if learner.phase != LearnerPhase::Finishing {
            ctx.observe(Observation::ZkIllegalMessage { what: "UPTODATE before NEWLEADER".into() });
            return self.look(ctx);
        }
        learner.phase = LearnerPhase::Serving;
        let epoch = learner.epoch;
        let held = std::mem::take(&mut learner.held_acks);
        let batch = std::mem::take(&mut learner.not_logged);
        let committed = std::mem::take(&mut learner.committed);
        learner.pending.extend(batch.iter().cloned());
        self.tell_leader(ctx, QuorumPacket::Ack { zxid: Zxid::new(epoch, 0) });
        for zxid in held {
            self.tell_leader(ctx, QuorumPacket::Ack { zxid });
        }
        self.vote.peer_epoch = epoch;
        self.has_followed = true;
        self.now_serving(ctx, ZkRole::Following, epoch);
        for proposal in batch {
            self.storage.enqueue(proposal, generation);
        }
        self.pump_storage(ctx);
        for zxid in committed {
            self.follower_commit(ctx, zxid);
        }
    }

    /// A follower's work while it serves.
    fn follow_packet(&mut self, ctx: &mut Ctx<'_>, packet: QuorumPacket) {
        let generation = self.generation;
        let Role::Following(learner) = &mut self.role else { return };
        match packet {
            QuorumPacket::Proposal(proposal) => {
                learner.pending.push_back(proposal.clone());
                self.storage.enqueue(proposal, generation);
                self.pump_storage(ctx);
            }
            QuorumPacket::Commit { zxid } => self.follower_commit(ctx, zxid),
            QuorumPacket::Ping { .. } => {
                let touched = std::mem::take(&mut learner.touched).into_iter().collect();
                self.tell_leader(ctx, QuorumPacket::Touched(touched));
            }
            QuorumPacket::Revalidated { session, valid } => self.revalidated(ctx, session, valid),
            QuorumPacket::Sync { session, xid } => self.synced_for_client(ctx, session, xid),
            _ => {}
        }
    }

    /// `FollowerZooKeeperServer.commit`: a COMMIT of anything but the oldest pending transaction ends the process.
    fn follower_commit(&mut self, ctx: &mut Ctx<'_>, zxid: Zxid) {
        let Role::Following(learner) = &mut self.role else { return };
        match learner.pending.front() {
            None => {}
            Some(first) if first.zxid() != zxid => {
                let what = format!("COMMIT of {zxid} while {} is the next pending one", first.zxid());
                ctx.observe(Observation::ZkIllegalMessage { what: what.into() });
                ctx.exit("committing a zxid that is not the next pending one");
            }
            Some(_) => {
                if let Some(proposal) = learner.pending.pop_front() {
                    self.apply(ctx, &proposal);
                }
            }
        }
    }

    /// Sends a client's request on.
    pub(super) fn forward(&mut self, ctx: &mut Ctx<'_>, session: SessionId, xid: i32, kind: RequestKind) {
        self.tell_leader(ctx, QuorumPacket::Request(Request { session, xid, kind }));
    }
}

/// Waits for a core from the failure of a read until a learner closes its connections. Fitted: measured servers logged the
/// exception, and from there took 13 ms in the mean.
const READ_FAILED_STEPS: u64 = 4;
/// `Learner.connectToLeader` tries so often.
const CONNECT_ATTEMPTS: u32 = 5;
