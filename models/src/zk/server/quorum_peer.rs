//! `QuorumPeer`: from one role to the next, through LOOKING; and what election messages mean in each role.

use std::collections::VecDeque;

use super::election::{Election, FINALIZE_WAIT, Notification, PeerState, Step, Vote};
use super::log::Position;
use super::storage::DiskOp;
use super::{DISK_FAILED, EPOCH_FILE_BYTES, Looking, Role, Server, ZkServerTimer};
use crate::defect::Defect;
use crate::id::Sid;
use crate::observation::{Observation, ZkRole};
use crate::process::DiskError;
use crate::random::Random;
use crate::time::Span;
use crate::world::{Ctx, Timer, ZK_QUORUM_PORT};

impl Server {
    /// Gives up the role and goes LOOKING: clients and peers are closed, threads are ended, then the log is brought to an end.
    pub(super) fn look(&mut self, ctx: &mut Ctx<'_>) {
        self.generation += 1;
        self.sync_thread_survives = false;
        match std::mem::replace(&mut self.role, Role::Joining) {
            Role::Following(learner) => {
                self.leaving = PeerState::Following;
                if let Some(conn) = learner.conn {
                    ctx.close(conn);
                }
                if learner.needs_reload {
                    // ZOOKEEPER-3642: a snapshot that never reached the disk must not survive in memory.
                    self.tree = self.storage.load();
                    self.refill_committed_log();
                }
                self.sync_thread_survives = self.spec.defects.has(Defect::SyncThreadSurvivesShutdown);
            }
            Role::Leading(leader) => {
                self.leaving = PeerState::Leading;
                ctx.unlisten(ZK_QUORUM_PORT);
                self.learners_to_close = leader.handlers.into_keys().collect();
            }
            Role::Joining | Role::Looking(_) => {}
        }
        self.close_all_clients(ctx);
        self.after_steps(ctx, SHUT_DOWN_STEPS, ZkServerTimer::ShutDown(self.generation));
    }

    /// The role's threads have ended. Only then does a leader close its learners' sockets (`Leader.shutdown`), so they go
    /// LOOKING after it.
    pub(super) fn shut_down(&mut self, ctx: &mut Ctx<'_>) {
        for conn in std::mem::take(&mut self.learners_to_close) {
            ctx.close(conn);
        }
        if std::mem::take(&mut self.sync_thread_survives) {
            // ZOOKEEPER-4712: what is still queued is logged later, behind the back of the tree.
            self.fast_forward();
            return self.begin_election(ctx);
        }
        if self.storage.drain(ctx).is_err() {
            return ctx.exit(DISK_FAILED);
        }
        // ZOOKEEPER-2845: the tree is kept as it is, without what was logged and never committed.
        if !self.spec.defects.has(Defect::RetainedDatabase) {
            self.fast_forward();
        }
        self.join(ctx);
    }

    /// Waits until the whole log is on disk: what a server votes with must not be lost afterwards.
    pub(super) fn join(&mut self, ctx: &mut Ctx<'_>) {
        if self.adopt_epoch(ctx).is_err() {
            return ctx.exit(DISK_FAILED);
        }
        if self.storage.has_unsynced() && self.spec.config.force_sync.0 {
            self.storage.fsync(ctx, DiskOp::Join, self.generation);
        } else {
            self.joined(ctx);
        }
    }

    /// A crash between the log and `currentEpoch` leaves transactions of a newer epoch than `currentEpoch`, at which
    /// `loadDataBase` gives up (ZOOKEEPER-1653, ZOOKEEPER-2354), at this start and every later one.
    pub(super) fn refuses_to_start(&self) -> bool {
        self.spec.defects.has(Defect::EpochFileMismatchRefusesStart)
            && self.storage.last_zxid().epoch() > self.storage.current_epoch
    }

    /// The repaired rule for that, ours: all of that epoch's initial history was logged before them and the epoch was
    /// accepted, so the server has entered it.
    pub(super) fn adopt_epoch(&mut self, ctx: &mut Ctx<'_>) -> Result<(), DiskError> {
        let logged = self.storage.last_zxid().epoch();
        if self.spec.defects.has(Defect::EpochFileMismatchRefusesStart) {
            return Ok(());
        }
        if logged > self.storage.current_epoch && logged <= self.storage.accepted_epoch {
            ctx.write(EPOCH_FILE_BYTES)?;
            self.storage.current_epoch = logged;
        }
        Ok(())
    }

    pub(super) fn joined(&mut self, ctx: &mut Ctx<'_>) {
        if self.alone() { self.serve_alone(ctx) } else { self.begin_election(ctx) }
    }

    /// `fastForwardDataBase`: the tree takes in everything that was logged, committed or not.
    pub(super) fn fast_forward(&mut self) {
        let mut ignored = Vec::new();
        for at in self.storage.log().count_through(self.tree.applied().zxid)..self.storage.log().len() {
            let proposal = self.storage.log().get(at).clone();
            // Nobody waits for these results: the clients are gone.
            let _ = self.tree.apply(&proposal, &mut ignored);
            ignored.clear();
            self.remember(proposal);
        }
    }

    /// `lookForLeader`.
    pub(super) fn begin_election(&mut self, ctx: &mut Ctx<'_>) {
        self.round += 1;
        let epoch = self.storage.current_epoch;
        let initial = Vote { peer_epoch: epoch, zxid: self.tree.last_processed(), leader: self.spec.sid };
        let interval = Span::from_ms(self.spec.config.min_notification_interval.into());
        let election = Election::new(initial, self.spec.ensemble.len(), interval);
        self.role = Role::Looking(Looking { election, timer: None, queue: VecDeque::new() });
        self.poll(ctx, interval);
        let last_zxid = self.storage.last_zxid();
        ctx.observe(Observation::ZkRole { role: ZkRole::Looking, epoch, last_zxid });
        let applied = self.tree.applied().zxid;
        ctx.observe(Observation::ZkElection { vote: initial.zxid, applied, logged: last_zxid });
        self.send_notifications(ctx);
    }

    pub(super) fn send_notifications(&mut self, ctx: &mut Ctx<'_>) {
        let notification = self.current_notification();
        let ensemble = self.spec.ensemble.clone();
        for &sid in ensemble.keys() {
            self.notify(ctx, sid, notification);
        }
    }

    /// `WorkerSender`. One to ourselves goes to the receiving thread like any other (`QuorumCnxManager.toSend`), so the own
    /// vote counts no sooner than that thread has run.
    pub(super) fn notify(&mut self, ctx: &mut Ctx<'_>, to: Sid, notification: Notification) {
        if to == self.spec.sid {
            return self.arrives(ctx, to, notification, 1);
        }
        let mut cnx = std::mem::take(&mut self.cnx);
        cnx.send(ctx, self.members(), to, notification);
        self.cnx = cnx;
    }

    pub(super) fn current_notification(&self) -> Notification {
        match &self.role {
            Role::Looking(looking) => {
                Notification { state: PeerState::Looking, vote: looking.election.proposal(), round: self.round }
            }
            // Until its shutdown is complete a role is what peers are told (`QuorumPeer.run` sets LOOKING at the end).
            Role::Joining => Notification { state: self.leaving, vote: self.vote, round: self.vote_round },
            Role::Following(_) => Notification { state: PeerState::Following, vote: self.vote, round: self.vote_round },
            Role::Leading(_) => Notification { state: PeerState::Leading, vote: self.vote, round: self.vote_round },
        }
    }

    /// A notification is on its way to the electing thread, which takes as long as so many waits for a core do in the mean. Over a
    /// chain of short steps that hardly varies: of measured servers of one site that elected side by side, four in five sent
    /// again at the same moment as their neighbour, interval after interval, and that takes a way which is longer than timers are
    /// late.
    pub(super) fn arrives(&mut self, ctx: &mut Ctx<'_>, from: Sid, notification: Notification, waits: u64) {
        let way = Random::mean_wait(self.spec.thread_delay) * waits;
        if way == Span::ZERO {
            return self.notified(ctx, from, notification);
        }
        let at = ctx.now + way;
        // One to ourselves has half the way of one that came from a peer a moment before.
        let place = self.arriving.partition_point(|(earlier, ..)| *earlier <= at);
        self.arriving.insert(place, (at, from, notification));
        ctx.set_timer(way, Timer::ZkServer(ZkServerTimer::Notified));
    }

    /// `WorkerReceiver`: what happens to a notification before, or instead of, the election.
    pub(super) fn notified(&mut self, ctx: &mut Ctx<'_>, from: Sid, n: Notification) {
        let known = self.spec.ensemble.contains_key(&from);
        let sender_looking = n.state == PeerState::Looking;
        match &self.role {
            _ if !known => self.notify(ctx, from, self.current_notification()),
            Role::Looking(_) => {
                self.hand_on(ctx, from, n);
                if sender_looking && n.round < self.round {
                    self.notify(ctx, from, self.current_notification());
                }
            }
            Role::Joining if self.leaving == PeerState::Looking => {}
            Role::Joining | Role::Following(_) | Role::Leading(_) => {
                if sender_looking {
                    self.notify(ctx, from, self.current_notification());
                }
            }
        }
    }

    /// The electing thread sleeps until something comes, at most so long, and until it has a core again.
    fn poll(&mut self, ctx: &mut Ctx<'_>, at_most: Span) {
        let until = at_most + ctx.random.wait(self.spec.thread_delay);
        if let Role::Looking(looking) = &mut self.role {
            looking.timer = Some(ctx.set_timer(until, Timer::ZkServer(ZkServerTimer::Election)));
        }
    }

    /// `WorkerReceiver` queues a notification for the electing thread, and wakes it if it sleeps.
    fn hand_on(&mut self, ctx: &mut Ctx<'_>, from: Sid, n: Notification) {
        let Role::Looking(looking) = &mut self.role else { return };
        looking.queue.push_back((from, n));
        if let Some(timer) = looking.timer.take() {
            ctx.cancel(timer);
            self.polled(ctx);
        }
    }

    /// The electing thread runs until it has taken everything that was queued for it.
    fn polled(&mut self, ctx: &mut Ctx<'_>) {
        let mut wait = Span::ZERO;
        while let Role::Looking(looking) = &mut self.role {
            let Some((from, n)) = looking.queue.pop_front() else { return self.poll(ctx, wait) };
            wait = self.elect(ctx, from, n);
        }
    }

    /// Takes a notification. Returns how long to wait for the next one.
    fn elect(&mut self, ctx: &mut Ctx<'_>, from: Sid, n: Notification) -> Span {
        let known = self.spec.ensemble.contains_key(&n.vote.leader);
        let Role::Looking(looking) = &mut self.role else { return Span::ZERO };
        let step = if known { looking.election.receive(from, n, &mut self.round) } else { looking.election.ignore() };
        let wait = match step {
            Step::Decided(vote) => {
                self.decided(ctx, vote);
                return Span::ZERO;
            }
            Step::Finalize | Step::BroadcastAndFinalize => FINALIZE_WAIT,
            Step::Wait | Step::Broadcast => looking.election.interval,
        };
        if matches!(step, Step::Broadcast | Step::BroadcastAndFinalize) {
            self.send_notifications(ctx);
        }
        wait
    }

    /// Nothing came for `notTimeout` or `finalizeWait`.
    pub(super) fn election_timer(&mut self, ctx: &mut Ctx<'_>) {
        let longest = Span::from_ms(self.spec.config.max_notification_interval.into());
        let Role::Looking(looking) = &mut self.role else { return };
        if let Some(vote) = looking.election.silence() {
            return self.decided(ctx, vote);
        }
        let interval = (looking.election.interval * 2).min(longest);
        looking.election.interval = interval;
        self.poll(ctx, interval);
        if self.cnx.have_delivered() {
            self.send_notifications(ctx);
        } else {
            let mut cnx = std::mem::take(&mut self.cnx);
            cnx.connect_all(ctx, self.members());
            self.cnx = cnx;
        }
    }

    pub(super) fn decided(&mut self, ctx: &mut Ctx<'_>, vote: Vote) {
        if let Role::Looking(Looking { timer: Some(timer), .. }) = &self.role {
            ctx.cancel(*timer);
        }
        self.vote = vote;
        self.vote_round = self.round;
        if vote.leader == self.spec.sid { self.lead(ctx) } else { self.follow(ctx, vote.leader) }
    }

    /// The server begins to serve: its tree is known to be committed, so what was not told yet is told now.
    pub(super) fn now_serving(&mut self, ctx: &mut Ctx<'_>, role: ZkRole, epoch: u32) {
        let history = self.history();
        let from = history.count_through(self.reported.zxid);
        if history.end() == self.tree.applied() && history.position(from) == self.reported {
            if std::mem::take(&mut self.rebuilt) {
                ctx.observe(Observation::ZkReset { zxid: self.reported.zxid, digest: self.reported.digest });
            }
            for at in from..history.len() {
                let proposal = history.get(at);
                if role == ZkRole::Leading {
                    ctx.observe(Observation::ZkCommit { zxid: proposal.zxid(), epoch });
                }
                let digest = history.position(at + 1).digest;
                let tree = (at + 1 == history.len()).then(|| self.tree.digest());
                ctx.observe(Observation::ZkApply { txn: proposal.txn().clone(), digest, tree });
            }
        } else {
            // Only a defect makes memory and log differ.
            let Position { zxid, digest } = self.tree.applied();
            ctx.observe(Observation::ZkReset { zxid, digest });
            self.rebuilt = false;
        }
        self.reported = self.tree.applied();
        ctx.observe(Observation::ZkRole { role, epoch, last_zxid: self.storage.last_zxid() });
    }

    /// The history was cut: what was told beyond the cut no longer holds.
    pub(super) fn reported_no_further_than(&mut self, end: Position) {
        self.rebuilt = true;
        if self.reported.zxid > end.zxid {
            self.reported = end;
        }
    }
}

/// Hand-overs between threads in the shutdown of a role: its own thread, then two that it joins, the request throttler's and the
/// commit processor's.
const SHUT_DOWN_STEPS: u64 = 3;
