//! A ZooKeeper 3.8 server: election, atomic broadcast, sessions, znodes and watches.
//!
//! [`Server`] wires the parts; each file is named after the class that it stands for. Role and thread structure:
//!
//! ```text
//! start -> Joining -> Looking --won--> Leading   (Discovery .. Broadcast)
//!             ^          |---lost----> Following (Connecting .. Serving)
//!             +----------+-- any failure: clients closed, sync thread joined, tree brought to the log's end
//! ```
//!
//! Left out: observers, weights, reconfiguration, local sessions, read-only mode, persistent watches, ACLs.

mod client_cnx;
mod cnx_manager;
mod election;
mod leader;
mod learner;
mod learner_handler;
mod log;
mod packet;
mod prep;
mod quorum_peer;
mod sessions;
mod storage;
#[cfg(test)]
mod tests;
mod tree;
mod watches;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

pub use cnx_manager::ElectionPacket;
pub use election::{Notification, PeerState, Vote};
pub use log::Proposal;
pub use packet::{QuorumPacket, Request, RequestKind, Snapshot};

use client_cnx::Clients;
use cnx_manager::{CnxManager, Members};
use election::Election;
use leader::{Leader, LeaderPhase};
use learner::{Learner, LearnerPhase};
use log::Position;
use storage::{DiskOp, Storage, SyncRequest};
use tree::DataTree;
use watches::Watches;

use crate::defect::Defects;
use crate::fingerprint::Fingerprint;
use crate::id::{ConnId, DiskToken, Port, ProcessId, Sid, TimerId};
use crate::observation::Observation;
use crate::process::{CloseReason, DiskError, Input, Loss, Process};
use crate::random::Random;
use crate::time::{Instant, Span};
use crate::world::{Ctx, In, Message, Timer, ZK_CLIENT_PORT, ZK_ELECTION_PORT, ZK_QUORUM_PORT};
use crate::zk::config::ZooKeeperConfig;
use crate::zk::protocol::TxnBody;

/// What a server is given.
#[derive(Clone, Debug, Hash)]
pub struct ServerSpec {
    /// `myid`.
    pub sid: Sid,
    /// The `server.N` lines. With one entry, the server is standalone.
    pub ensemble: Ensemble,
    /// `zoo.cfg`.
    pub config: Arc<ZooKeeperConfig>,
    /// Defects that are switched on.
    pub defects: Defects,
    /// The longest that a thread which is ready to run waits for a core; most waits are far shorter ([`Random::wait`]). Zero
    /// is a machine with a core for every thread.
    pub thread_delay: Span,
}

/// The voting servers and where they run: the `server.N` lines of `zoo.cfg`.
pub type Ensemble = Arc<BTreeMap<Sid, ProcessId>>;

/// What a server's timers carry. Numbers are the server's generation: a timer of an earlier role does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ZkServerTimer {
    /// The election waits no longer.
    Election,
    /// An election connection took too long to be established, or its dialler to say who it is.
    Dial(ConnId),
    /// A leader's phase took too long.
    LeaderDeadline,
    /// An iteration of the leader's loop.
    LeaderLoop(u32),
    /// Sessions fall due.
    SessionExpiry,
    /// A learner handler's read timeout.
    HandlerRead(ConnId),
    /// A learner's read timeout.
    LearnerRead(u32),
    /// A learner tries again to connect.
    ConnectAgain(u32),
    /// A learner's main thread, which waited for the connector, has the connection.
    Connected(u32),
    /// A learner may try no longer to connect.
    ConnectLimit(u32),
    /// A learner's main thread goes on.
    MainThread(u32),
    /// A learner's main thread, blocked in a read, has been given what came.
    LearnerWakes(u32),
    /// So has a learner's handler.
    HandlerWakes(ConnId),
    /// A sync thread that was just started runs.
    SyncThread,
    /// The sync thread, asleep until something was queued for it, runs.
    SyncWakes,
    /// A notification has come through all threads on its way.
    Notified,
    /// A read has timed out or failed, and the thread knows.
    ReadFailed(u32),
    /// A role's threads have ended.
    ShutDown(u32),
    /// A new leader's acceptor runs.
    Accept(u32),
    /// A client's connection may be dead.
    ClientIdle(ConnId),
}

impl ZkServerTimer {
    /// Whether it ends a wait for input.
    pub fn is_read_timeout(&self) -> bool {
        matches!(self, Self::HandlerRead(_) | Self::LearnerRead(_) | Self::ClientIdle(_) | Self::Dial(_))
    }
}

#[derive(Clone, Debug, Hash)]
enum Role {
    /// Starting, or shutting down a role: the sync thread is joined.
    Joining,
    /// `lookForLeader`.
    Looking(Looking),
    /// `followLeader`.
    Following(Box<Learner>),
    /// `lead`; a standalone server leads nobody.
    Leading(Box<Leader>),
}

#[derive(Clone, Debug, Hash)]
struct Looking {
    election: Election,
    /// When it has waited long enough; `None` while it is about to take something.
    timer: Option<TimerId>,
    /// `recvqueue`.
    queue: VecDeque<(Sid, Notification)>,
}

/// See the module.
#[derive(Clone, Debug, Hash)]
pub struct Server {
    spec: ServerSpec,
    storage: Storage,
    cnx: CnxManager,
    /// `logicalclock`.
    round: u64,
    /// `currentVote`, and the round in which it was decided.
    vote: Vote,
    vote_round: u64,
    /// Notifications on their way through the threads of the connection manager, those to ourselves included, and when the
    /// electing thread has them.
    arriving: VecDeque<(Instant, Sid, Notification)>,
    role: Role,
    /// While [`Role::Joining`]: the role that is being shut down, which is what peers are still told.
    leaving: PeerState,
    /// While a leader shuts down: its learners' connections.
    learners_to_close: Vec<ConnId>,
    /// [`Defect::SyncThreadSurvivesShutdown`] in the shutdown that is going on.
    sync_thread_survives: bool,
    /// Whether this process has led and followed before: its classes are loaded then.
    has_led: bool,
    has_followed: bool,
    /// Counts roles.
    generation: u32,
    tree: DataTree,
    /// The last `commitLogCount` transactions applied since the database was loaded.
    committed_log: Arc<VecDeque<Proposal>>,
    clients: Clients,
    watches: Watches,
    next_session: u64,
    /// Up to where [`Observation::ZkApply`] has told the history. What the tree runs ahead of the commits during an
    /// election is told once it is known to be committed.
    reported: Position,
    /// The tree was rebuilt since.
    rebuilt: bool,
}

impl Server {
    /// A server that has never run.
    ///
    /// # Panics
    /// If the server is not in its ensemble.
    pub fn new(spec: ServerSpec) -> Self {
        assert!(spec.ensemble.contains_key(&spec.sid), "server {} is not in its ensemble", spec.sid);
        Self::with_storage(spec, Storage::default(), Position::default(), false)
    }

    /// Replaces the `server.N` lines. The server has to be down, as it reads them when it starts.
    ///
    /// # Panics
    /// If the server is not among them.
    pub fn set_ensemble(&mut self, ensemble: Ensemble) {
        assert!(ensemble.contains_key(&self.spec.sid), "server {} is not in its ensemble", self.spec.sid);
        self.spec.ensemble = ensemble;
    }

    fn with_storage(spec: ServerSpec, storage: Storage, reported: Position, rebuilt: bool) -> Self {
        Self {
            spec,
            storage,
            cnx: CnxManager::default(),
            round: 0,
            vote: Vote::default(),
            vote_round: 0,
            arriving: VecDeque::new(),
            role: Role::Joining,
            leaving: PeerState::Looking,
            learners_to_close: Vec::new(),
            sync_thread_survives: false,
            has_led: false,
            has_followed: false,
            generation: 0,
            tree: DataTree::default(),
            committed_log: Arc::default(),
            clients: Clients::default(),
            watches: Watches::default(),
            next_session: 0,
            reported,
            rebuilt,
        }
    }

    fn start(&mut self, ctx: &mut Ctx<'_>) {
        if self.refuses_to_start() {
            return ctx.exit("the current epoch is older than the last zxid: unable to run quorum server");
        }
        ctx.listen(ZK_CLIENT_PORT);
        self.tree = self.storage.load();
        self.refill_committed_log();
        ctx.observe(Observation::ZkLoaded { zxid: self.storage.last_zxid(), durable: self.storage.durable().zxid });
        self.next_session = sessions::first_session_id(self.spec.sid, ctx.now);
        if !self.alone() {
            ctx.listen(ZK_ELECTION_PORT);
        }
        self.join(ctx);
    }

    fn alone(&self) -> bool {
        self.spec.ensemble.len() == 1
    }

    fn members(&self) -> Members<'_> {
        let config = &self.spec.config;
        Members {
            me: self.spec.sid,
            ensemble: &self.spec.ensemble,
            cnx_timeout: Span::from_ms(config.cnx_timeout.into()),
            greeting_timeout: config.sync_limit_span(),
        }
    }

    fn is_serving(&self) -> bool {
        match &self.role {
            Role::Leading(leader) => leader.phase == LeaderPhase::Broadcast,
            Role::Following(learner) => learner.phase == LearnerPhase::Serving,
            Role::Joining | Role::Looking(_) => false,
        }
    }

    // --- Database ------------------------------------------------------------------------------------------------

    /// Applies a committed transaction, tells the watchers, and answers the client (`FinalRequestProcessor`).
    fn apply(&mut self, ctx: &mut Ctx<'_>, proposal: &Proposal) {
        let mut changes = Vec::new();
        let result = self.tree.apply(proposal, &mut changes);
        let txn = proposal.txn();
        self.reported = self.tree.applied();
        let (digest, tree) = (self.reported.digest, Some(self.tree.digest()));
        ctx.observe(Observation::ZkApply { txn: txn.clone(), digest, tree });
        self.remember(proposal.clone());
        let closes = matches!(txn.body, TxnBody::CloseSession { .. });
        if let Role::Leading(leader) = &mut self.role {
            leader.prep.applied(txn.zxid);
            if closes {
                leader.tracker.remove(txn.session);
            }
        }
        if closes {
            let (session, zxid, left) = (txn.session, txn.zxid, self.tree.owned_by(txn.session));
            ctx.observe(Observation::ZkSessionClosed { session, zxid, left });
        }
        for (conn, path, kind) in self.watches.trigger(&changes) {
            ctx.send(conn, Message::Zk(Box::new(crate::zk::protocol::ClientMessage::Event { path, kind })));
        }
        self.answer(ctx, proposal, result);
    }

    /// `addCommittedProposal`.
    fn remember(&mut self, proposal: Proposal) {
        if self.committed_log.len() >= self.spec.config.commit_log_count as usize {
            Arc::make_mut(&mut self.committed_log).pop_front();
        }
        Arc::make_mut(&mut self.committed_log).push_back(proposal);
    }

    /// After loading: what was replayed from the log after the newest snapshot.
    fn refill_committed_log(&mut self) {
        let log = self.storage.log();
        let from =
            log.len().saturating_sub(self.spec.config.commit_log_count as usize).max(self.storage.snapshot_len());
        self.committed_log = Arc::new((from..log.len()).map(|at| log.get(at).clone()).collect());
    }

    // --- Disk ----------------------------------------------------------------------------------------------------

    /// Writes an epoch file: temporary file, fsync, rename.
    fn write_epoch(&mut self, ctx: &mut Ctx<'_>, op: DiskOp) {
        if ctx.write(EPOCH_FILE_BYTES).is_err() {
            return ctx.exit(DISK_FAILED);
        }
        ctx.free(EPOCH_FILE_BYTES);
        self.storage.fsync(ctx, op, self.generation);
    }

    /// Something may be queued for the sync thread: a follower's runs once it has a core, unless it is at work already. That wait
    /// stands for the threads by which the way of a proposal through a follower is longer than the leader's own (sender, learner
    /// and learner handler): the leader logs first, and which of its followers is the last is left to their machines.
    fn pump_storage(&mut self, ctx: &mut Ctx<'_>) {
        let follows = matches!(self.role, Role::Following(_));
        if follows && self.spec.thread_delay > Span::ZERO && self.storage.wake() {
            return self.after_waits(ctx, 1, ZkServerTimer::SyncWakes);
        }
        self.run_sync_thread(ctx);
    }

    /// Lets the sync thread run.
    fn run_sync_thread(&mut self, ctx: &mut Ctx<'_>) {
        match self.storage.pump(ctx, self.spec.config.force_sync.0) {
            Ok(done) if done.is_empty() => {}
            Ok(done) => self.logged(ctx, done),
            Err(_) => return ctx.exit(DISK_FAILED),
        }
        if self.storage.snapshot_due(self.spec.config.snap_count) {
            let tree = self.tree.clone();
            if self.storage.take_snapshot(ctx, &tree).is_err() {
                ctx.exit(DISK_FAILED);
            }
        }
    }

    /// A batch of the sync thread is done: `AckRequestProcessor` at the leader, `SendAckRequestProcessor` at a follower.
    fn logged(&mut self, ctx: &mut Ctx<'_>, requests: Vec<SyncRequest>) {
        if let Some(last) = requests.iter().rfind(|request| request.generation == self.generation) {
            let zxid = last.proposal.zxid();
            ctx.observe(Observation::ZkAck { zxid, history: zxid });
        }
        for SyncRequest { proposal, generation } in requests {
            if generation != self.generation {
                continue;
            }
            let zxid = proposal.zxid();
            if matches!(self.role, Role::Leading(_)) {
                self.process_ack(ctx, self.spec.sid, zxid);
            } else {
                self.tell_leader(ctx, QuorumPacket::Ack { zxid });
            }
        }
    }

    fn disk(&mut self, ctx: &mut Ctx<'_>, token: DiskToken, result: Result<(), DiskError>) {
        let Some(done) = self.storage.complete(token) else { return };
        if result.is_err() {
            return ctx.exit(DISK_FAILED);
        }
        if let Some(Position { zxid, digest }) = done.synced {
            ctx.observe(Observation::ZkLog { zxid, digest });
        }
        // What an earlier role had begun counts as not done: nobody was told.
        let current = done.generation == self.generation;
        match done.op {
            DiskOp::Flush(requests) => {
                self.logged(ctx, requests);
                // It looks for more before it sleeps.
                self.run_sync_thread(ctx);
            }
            _ if !current => {}
            DiskOp::Join => self.joined(ctx),
            DiskOp::AcceptedEpoch(epoch) => {
                self.storage.accepted_epoch = epoch;
                match self.role {
                    Role::Leading(_) => self.epoch_accepted(ctx),
                    _ => self.epoch_promised(ctx),
                }
            }
            DiskOp::CurrentEpoch(epoch) => {
                self.storage.current_epoch = epoch;
                match self.role {
                    Role::Leading(_) => self.leader_epoch_entered(ctx),
                    _ => self.epoch_entered(ctx),
                }
            }
            DiskOp::Synchronised => self.synchronised(ctx),
        }
    }

    // --- Threads --------------------------------------------------------------------------------------------------

    /// Goes on with `timer` when its thread has been given a core so many times in a row.
    fn after_waits(&mut self, ctx: &mut Ctx<'_>, waits: u64, timer: ZkServerTimer) {
        let longest = self.spec.thread_delay;
        if longest == Span::ZERO {
            return self.timer(ctx, timer);
        }
        let after = (0..waits).fold(Span::ZERO, |sum, _| sum + ctx.random.wait(longest));
        ctx.set_timer(after, Timer::ZkServer(timer));
    }

    /// The same for a step of a role. What a JVM does for the first time it has to load first.
    fn after_steps(&mut self, ctx: &mut Ctx<'_>, steps: u64, timer: ZkServerTimer) {
        let first_time = match self.role {
            Role::Leading(_) => !self.has_led,
            Role::Following(_) => !self.has_followed,
            Role::Joining | Role::Looking(_) => false,
        };
        self.after_waits(ctx, if first_time { steps * FIRST_TIME } else { steps }, timer);
    }

    // --- Inputs --------------------------------------------------------------------------------------------------

    fn leader_conn(&self) -> Option<ConnId> {
        match &self.role {
            Role::Following(learner) => learner.conn,
            Role::Joining | Role::Looking(_) | Role::Leading(_) => None,
        }
    }

    fn accepted(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, port: Port) {
        match port {
            ZK_CLIENT_PORT => self.client_accepted(ctx, conn),
            ZK_QUORUM_PORT => self.learner_accepted(ctx, conn),
            _ => {
                let mut cnx = std::mem::take(&mut self.cnx);
                cnx.accepted(ctx, self.members(), conn);
                self.cnx = cnx;
            }
        }
    }

    fn opened(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        if self.leader_conn() == Some(conn) {
            return self.leader_opened(ctx);
        }
        let mut cnx = std::mem::take(&mut self.cnx);
        cnx.opened(ctx, self.members(), conn);
        self.cnx = cnx;
    }

    fn closed(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, reason: CloseReason) {
        if self.leader_conn() == Some(conn) {
            self.leader_closed(ctx, reason);
        } else if self.clients.owns(conn) {
            self.client_closed(ctx, conn);
        } else if self.cnx.owns(conn) {
            self.cnx.closed(ctx, conn);
        } else {
            self.handler_closed(ctx, conn);
        }
    }

    fn message(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, message: Message) {
        match message {
            Message::Zk(message) => self.client_message(ctx, conn, *message),
            Message::Quorum(packet) if self.leader_conn() == Some(conn) => self.learner_packet(ctx, packet),
            Message::Quorum(packet) => self.handler_packet(ctx, conn, packet),
            Message::Election(ElectionPacket::Greeting { sid }) => {
                let mut cnx = std::mem::take(&mut self.cnx);
                cnx.greeted(ctx, self.members(), conn, sid);
                self.cnx = cnx;
            }
            Message::Election(ElectionPacket::Notification(notification)) => {
                if let Some(from) = self.cnx.sender(conn) {
                    self.arrives(ctx, from, notification, NOTIFICATION_WAITS);
                }
            }
            // Kafka does not speak to these ports.
            Message::Kafka(_) => ctx.close(conn),
        }
    }

    fn timer(&mut self, ctx: &mut Ctx<'_>, timer: ZkServerTimer) {
        let mine = |generation: u32| generation == self.generation;
        match timer {
            ZkServerTimer::Election => self.election_timer(ctx),
            ZkServerTimer::Dial(conn) => self.cnx.timed_out(ctx, conn),
            ZkServerTimer::LeaderDeadline => self.leader_gave_up(ctx),
            ZkServerTimer::LeaderLoop(generation) if mine(generation) => self.leader_loop(ctx),
            ZkServerTimer::SessionExpiry => self.expire_sessions(ctx),
            ZkServerTimer::HandlerRead(conn) => self.handler_read_timer(ctx, conn),
            ZkServerTimer::LearnerRead(generation) if mine(generation) => self.learner_read_timer(ctx),
            ZkServerTimer::ConnectAgain(generation) if mine(generation) => self.dial_leader(ctx),
            ZkServerTimer::ConnectLimit(generation) if mine(generation) => self.connect_limit(ctx),
            ZkServerTimer::MainThread(generation) if mine(generation) => self.main_thread(ctx),
            ZkServerTimer::LearnerWakes(generation) if mine(generation) => self.unblock(ctx),
            ZkServerTimer::HandlerWakes(conn) => self.handler_wakes(ctx, conn),
            ZkServerTimer::SyncThread => self.sync_thread(ctx),
            ZkServerTimer::SyncWakes => {
                self.storage.awake();
                self.run_sync_thread(ctx);
            }
            ZkServerTimer::Notified => {
                if let Some((_, from, notification)) = self.arriving.pop_front() {
                    self.notified(ctx, from, notification);
                }
            }
            ZkServerTimer::ReadFailed(generation) if mine(generation) => self.look(ctx),
            ZkServerTimer::ShutDown(generation) if mine(generation) => self.shut_down(ctx),
            ZkServerTimer::Accept(generation) if mine(generation) => self.accept_learners(ctx),
            ZkServerTimer::Connected(generation) if mine(generation) => self.introduce(ctx),
            ZkServerTimer::ClientIdle(conn) => self.client_idle(ctx, conn),
            ZkServerTimer::LeaderLoop(_)
            | ZkServerTimer::LearnerRead(_)
            | ZkServerTimer::ConnectAgain(_)
            | ZkServerTimer::ConnectLimit(_)
            | ZkServerTimer::MainThread(_)
            | ZkServerTimer::LearnerWakes(_)
            | ZkServerTimer::ReadFailed(_)
            | ZkServerTimer::ShutDown(_)
            | ZkServerTimer::Accept(_)
            | ZkServerTimer::Connected(_) => {}
        }
    }
}

impl Process for Server {
    type Message = Message;
    type Timer = Timer;

    fn on_input(&mut self, input: In, ctx: &mut Ctx<'_>) {
        match input {
            Input::Start => self.start(ctx),
            Input::Accepted { conn, port, .. } => self.accepted(ctx, conn, port),
            Input::Opened { conn } => self.opened(ctx, conn),
            Input::Message { conn, message } => self.message(ctx, conn, message),
            Input::Closed { conn, reason } => self.closed(ctx, conn, reason),
            Input::Timer { timer: Timer::ZkServer(timer), .. } => self.timer(ctx, timer),
            Input::Disk { token, result } => self.disk(ctx, token, result),
            // Not of this process's vocabulary.
            Input::Timer { .. } | Input::Datagram { .. } | Input::Terminate => {}
        }
    }

    fn crash(&mut self, loss: Loss, random: &mut Random) -> bool {
        let mut storage = std::mem::take(&mut self.storage);
        let lost = storage.crash(loss, random);
        *self = Self::with_storage(self.spec.clone(), storage, self.reported, self.rebuilt);
        self.reported_no_further_than(self.storage.log().end());
        lost
    }

    fn fold_state(&self, into: &mut Fingerprint) {
        use std::hash::Hash;
        self.hash(into);
    }
}

/// `SyncRequestProcessor` and the epoch files end the process when the disk fails them.
const DISK_FAILED: &str = "severe unrecoverable error: the disk is full or failing";
/// How many times as many waits a step takes that a process takes for the first time: classes are loaded and code is
/// interpreted. Fitted to the first and to later activations of measured leaders (197 and 68 ms in the mean) and to the first and
/// later times that followers joined one that led already (141 and 39 ms).
const FIRST_TIME: u64 = 5;
/// Of a notification from a peer, in mean waits: one for the peer's threads (`WorkerSender`, `SendWorker`) and one for the own
/// (`RecvWorker`, `WorkerReceiver`, and the electing one). One to ourselves takes half the way.
const NOTIFICATION_WAITS: u64 = 2;
/// A decimal number.
const EPOCH_FILE_BYTES: u64 = 8;
