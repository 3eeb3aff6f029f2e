//! The judge: every observation is dispatched once, first to the views, then to the laws that it concerns.

use super::all_registered::AllRegistered;
use super::controller_count::ControllerCount;
use super::deadline::Deadline;
use super::facts::{Facts, Roster};
use super::figures::Coverage;
use super::gate::Gate;
use super::isr_full::IsrFull;
use super::ledger::{Law, LawReport, Ledger, Unmet, Violation};
use super::log_match::Verdict;
use super::log_view::LogView;
use super::one_controller::OneController;
use super::one_leader_per_epoch::OneLeaderPerEpoch;
use super::one_per_epoch::OnePerEpoch;
use super::process_view::ProcessView;
use super::produce::Produce;
use super::records::{Ack, Records, Standing, Witness};
use super::store_view::{StoreEvent, StoreView};
use super::views::Views;
use super::zk_history::ZkHistory;
use super::zk_quorum::ZkQuorum;
use super::{
    ack_rule, candidate_complete, duplicate, ephemeral_gone, inconsistent_offsets, leader_complete,
    leader_completeness, leader_in_isr, log_match, lost_write, phantom, prefix, records, stale_request_rejected,
    trunc_below_hw, unseen, zombie_no_effect,
};
use crate::id::{ProcessId, TopicPartition, ValueId};
use crate::kafka::config::Acks;
use crate::observation::{Observation, Observed, ReplicaRole, TruncateReason, ZkRole};
use crate::time::Instant;

/// All laws with their histories.
///
/// Call [`Judge::observe`] for every observation in order of time; it may be asked for [`Judge::first_violation`] after
/// each. When the last fault is over call [`Judge::quiet_begins`]; from then on [`Judge::unmet`] says what is still waited
/// for, to be asked about once a second, and [`Judge::deadline`] when that becomes a failure. [`Judge::finish`] reports.
#[derive(Clone, Debug)]
pub struct Judge {
    roster: Roster,
    ledger: Ledger,
    deadline: Deadline,
    count: ControllerCount,
    coverage: Coverage,
    processes: ProcessView,
    history: ZkHistory,
    store: StoreView,
    logs: LogView,
    gate: Gate,
    records: Vec<Records>,
    one_leader_per_epoch: OneLeaderPerEpoch,
    one_per_epoch: OnePerEpoch,
    one_controller: OneController,
    all_registered: AllRegistered,
    isr_full: IsrFull,
    produce: Produce,
    zk_quorum: ZkQuorum,
    /// Taken and given back at each use, to save allocations.
    events: Vec<StoreEvent>,
}

/// The views, borrowed apart from the ledger and the laws.
macro_rules! views {
    ($judge:ident, $at:expr, $process:expr) => {
        Views {
            roster: &$judge.roster,
            processes: &$judge.processes,
            history: &$judge.history,
            store: &$judge.store,
            logs: &$judge.logs,
            gate: &$judge.gate,
            at: $at,
            process: $process,
        }
    };
}

impl Judge {
    /// A judge of a deployment that has not started yet.
    pub fn new(facts: Facts) -> Self {
        let roster = Roster::new(facts);
        let (brokers, servers) = (roster.brokers.len(), roster.servers.len());
        let partitions = roster.facts.partitions.len();
        Self {
            ledger: Ledger::default(),
            deadline: Deadline::default(),
            count: ControllerCount::new(roster.facts.start),
            coverage: Coverage::default(),
            processes: ProcessView::new(&roster),
            history: ZkHistory::new(servers),
            store: StoreView::new(&roster),
            logs: LogView::new(brokers, partitions),
            gate: Gate::new(&roster),
            records: records::of_all(&roster),
            one_leader_per_epoch: OneLeaderPerEpoch::new(partitions),
            one_per_epoch: OnePerEpoch::default(),
            one_controller: OneController::new(),
            all_registered: AllRegistered::new(brokers),
            isr_full: IsrFull::new(partitions),
            produce: Produce::new(partitions),
            zk_quorum: ZkQuorum::new(servers),
            events: Vec::new(),
            roster,
        }
    }

    /// Judges one observation. Times must not run backwards.
    pub fn observe(&mut self, observed: &Observed) {
        let (at, process) = (observed.at, observed.process);
        match &observed.what {
            Observation::Append { partition, base_offset, leader_epoch, values, .. } => {
                if let Some((broker, partition)) = self.replica(process, *partition) {
                    self.on_append(broker, partition, *base_offset, *leader_epoch, values);
                }
            }
            Observation::HighWatermark { partition, value, leader_epoch, role } => {
                if let Some((broker, partition)) = self.replica(process, *partition) {
                    self.on_high_watermark(at, broker, partition, *value, (*leader_epoch, *role));
                }
            }
            Observation::Acknowledge { .. } => {
                ack_rule::judge(&observed.what, views!(self, at, process), &mut self.ledger);
            }
            Observation::Truncate { .. } | Observation::LogLoaded { .. } | Observation::LeaderBegin { .. } => {
                self.on_replica(observed);
            }
            Observation::Send { .. }
            | Observation::SendOk { .. }
            | Observation::SendUnknown { .. }
            | Observation::Assign { .. }
            | Observation::Poll { .. }
            | Observation::EndOffset { .. }
            | Observation::PositionReset { .. } => self.on_client(observed),
            Observation::ZkRole { .. }
            | Observation::ZkCommit { .. }
            | Observation::ZkApply { .. }
            | Observation::ZkReset { .. }
            | Observation::ZkSessionClosed { .. }
            | Observation::ZkSessionExpiring { .. }
            | Observation::ZkClient { .. } => self.on_zookeeper(observed),
            Observation::ActiveController { .. }
            | Observation::ControllerBegin { .. }
            | Observation::ControllerReady { .. }
            | Observation::ControllerActed { .. }
            | Observation::ControllerEffect { .. }
            | Observation::ControlRequest { .. }
            | Observation::Registered { .. } => self.on_controller(observed),
            Observation::Up
            | Observation::Down { .. }
            | Observation::FaultBegin { .. }
            | Observation::FaultEnd { .. } => {
                self.on_fault(observed);
            }
            // For people and reports: no law is judged by them.
            Observation::Pause
            | Observation::Resume
            | Observation::ZkLog { .. }
            | Observation::ZkTruncate { .. }
            | Observation::ControllerEnd { .. }
            | Observation::RegistrationFailed { .. }
            | Observation::LeaderEnd { .. }
            | Observation::IsrLocal { .. }
            | Observation::SendFail { .. } => {}
        }
    }

    /// The last fault is over.
    pub fn quiet_begins(&mut self, now: Instant) {
        self.deadline.quiet_begins(now);
        self.count.quiet_begins(now);
        self.produce.quiet_begins(now);
        let views = views!(self, now, OBSERVER);
        self.zk_quorum.quiet_begins(views);
        self.one_controller.quiet_begins(views);
    }

    /// When unmet liveness conditions become failures: `Tq + B`. `None` before the quiet phase.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.deadline(&self.roster.facts)
    }

    /// The liveness conditions that do not hold now, one a law at most. Also measures how long they take.
    pub fn unmet(&mut self, now: Instant) -> Vec<Unmet> {
        let unmet = self.waits(now);
        for wait in &unmet {
            if let Some(quiet) = self.deadline.quiet() {
                self.ledger.waited(wait.law, now - wait.since.max(quiet));
            }
        }
        unmet
    }

    /// The first breach that is not permitted. Cheap enough to be asked for after every observation.
    pub fn first_violation(&self) -> Option<&Violation> {
        self.ledger.first_violation()
    }

    /// What the judge was told of the deployment.
    pub fn facts(&self) -> &Facts {
        &self.roster.facts
    }

    #[cfg(test)]
    pub(super) fn store(&self) -> &StoreView {
        &self.store
    }

    /// How long nobody, one or several brokers were active controller.
    pub fn controller_count(&self) -> &ControllerCount {
        &self.count
    }

    /// What the run has met.
    pub fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// The findings of all laws, in the order of the table, if the run ends now. A liveness condition that does not hold now
    /// is a breach; call it when all have held long enough, or at the deadline.
    pub fn finish(&self, now: Instant) -> Vec<LawReport> {
        let mut ledger = self.ledger.clone();
        let views = views!(self, now, OBSERVER);
        let mut read_to_end = false;
        for (partition, records) in self.records.iter().enumerate() {
            lost_write::judge(partition, records, views, &mut ledger);
            read_to_end |= unseen::judge(partition, records, views, &mut ledger);
        }
        if !read_to_end {
            ledger.not_judged(Law::Unseen, "no consumer read a partition to its end");
        }
        self.finish_liveness(now, &mut ledger);
        ledger.reports()
    }

    fn finish_liveness(&self, now: Instant, ledger: &mut Ledger) {
        let laws = [Law::OneController, Law::AllRegistered, Law::IsrFull, Law::Produce, Law::ZkQuorum];
        let Some(quiet) = self.deadline.quiet() else {
            laws.iter().for_each(|law| ledger.not_judged(*law, "the run had no quiet phase"));
            return;
        };
        for law in laws {
            ledger.judged(law, 1);
            ledger.waited(law, crate::time::Span::ZERO);
        }
        if self.roster.facts.acks == Acks::None {
            ledger.not_judged(Law::Produce, "nobody answers writes with acks=0");
        }
        for Unmet { law, what, since } in self.waits(now) {
            ledger.waited(law, now - since.max(quiet));
            ledger.breach(law, None, now, OBSERVER, || (what, format!("unmet since {since}, quiet since {quiet}")));
        }
    }

    fn waits(&self, now: Instant) -> Vec<Unmet> {
        let views = views!(self, now, OBSERVER);
        let produce = (self.roster.facts.acks != Acks::None).then(|| self.produce.oldest(views)).flatten();
        let oldest = [
            (Law::OneController, self.one_controller.oldest(views)),
            (Law::AllRegistered, self.all_registered.oldest(views)),
            (Law::IsrFull, self.isr_full.oldest(views)),
            (Law::Produce, produce),
            (Law::ZkQuorum, self.zk_quorum.oldest(views)),
        ];
        let unmet = oldest.into_iter().filter_map(|(law, wait)| wait.map(|(since, what)| Unmet { law, what, since }));
        unmet.collect()
    }

    fn replica(&self, process: ProcessId, partition: TopicPartition) -> Option<(usize, usize)> {
        Some((self.roster.broker(process)?, self.roster.partition(partition)?))
    }

    fn on_append(&mut self, broker: usize, partition: usize, base_offset: u64, leader_epoch: i32, values: &[ValueId]) {
        self.logs.append(broker, partition, base_offset, leader_epoch, values);
        self.gate.on_log_changed(broker, partition, &self.logs);
    }

    fn on_high_watermark(
        &mut self,
        at: Instant,
        broker: usize,
        partition: usize,
        value: u64,
        (leader_epoch, role): (i32, ReplicaRole),
    ) {
        self.logs.high_watermark(broker, partition, value);
        if !self.logs.counts(partition, leader_epoch) {
            return;
        }
        let process = self.roster.brokers[broker].1;
        let verdict = log_match::judge(partition, broker, value, views!(self, at, process), &mut self.ledger);
        if role != ReplicaRole::Leader || verdict == Verdict::Broken {
            return;
        }
        if verdict == Verdict::Permitted {
            self.rebase(broker, partition, leader_epoch);
        }
        if self.logs.commit(broker, partition, value) {
            candidate_complete::judge_all(partition, views!(self, at, process), &mut self.ledger);
        }
    }

    /// The leader's log becomes the true one after a permitted loss.
    fn rebase(&mut self, broker: usize, partition: usize, leader_epoch: i32) {
        self.logs.rebase(broker, partition, leader_epoch);
        for broker in 0..self.roster.brokers.len() {
            self.gate.on_log_changed(broker, partition, &self.logs);
        }
    }

    fn on_replica(&mut self, observed: &Observed) {
        let (at, process) = (observed.at, observed.process);
        if at >= self.roster.facts.start {
            self.coverage.on_observation(&observed.what);
        }
        match observed.what {
            Observation::Truncate { partition, from, to, reason, .. } => {
                let Some((broker, partition)) = self.replica(process, partition) else { return };
                let views = views!(self, at, process);
                trunc_below_hw::judge(partition, broker, (from, to), reason, views, &mut self.ledger);
                if reason == TruncateReason::Recovery {
                    let before = self.logs.replica(broker, partition).leo();
                    self.gate.on_loaded(broker, partition, before, to, at);
                }
                self.logs.truncate(broker, partition, to);
                candidate_complete::judge(partition, broker, views!(self, at, process), &mut self.ledger);
            }
            Observation::LogLoaded { partition, leo, .. } => {
                let Some((broker, partition)) = self.replica(process, partition) else { return };
                let before = self.logs.replica(broker, partition).leo();
                self.logs.load(broker, partition, leo);
                self.gate.on_loaded(broker, partition, before, leo, at);
                self.gate.on_log_changed(broker, partition, &self.logs);
            }
            Observation::LeaderBegin { partition, leader_epoch, .. } => {
                let Some((broker, partition)) = self.replica(process, partition) else { return };
                let views = views!(self, at, process);
                self.one_leader_per_epoch.on_leader_begin(partition, broker, leader_epoch, views, &mut self.ledger);
                if leader_complete::judge(partition, broker, leader_epoch, views, &mut self.ledger) {
                    self.rebase(broker, partition, leader_epoch);
                }
            }
            _ => {}
        }
    }

    fn on_client(&mut self, observed: &Observed) {
        let (at, process) = (observed.at, observed.process);
        match &observed.what {
            Observation::Send { partition, value, idempotent, .. } => {
                if let Some(partition) = self.roster.partition(*partition) {
                    self.records[partition].on_send(*value, *idempotent);
                }
            }
            Observation::SendOk { partition, value, offset, acks, .. } => {
                if let Some(partition) = self.roster.partition(*partition) {
                    self.produce.on_ack(partition, at);
                    self.records[partition].on_ack(*value, Ack { at, by: process, offset: *offset, acks: *acks });
                    let by = if *acks == Acks::All { Witness::Isr } else { Witness::Leader };
                    if let Some(offset) = offset.filter(|_| *acks != Acks::None) {
                        self.place(at, process, partition, (*value, offset), by);
                    }
                }
            }
            Observation::SendUnknown { .. } if at >= self.roster.facts.start => {
                self.coverage.on_observation(&observed.what);
            }
            Observation::Poll { partition, base_offset, values, .. } => {
                if let Some(partition) = self.roster.partition(*partition) {
                    self.on_poll(at, process, partition, *base_offset, values);
                }
            }
            Observation::Assign { partitions } => {
                for partition in partitions.iter().filter_map(|partition| self.roster.partition(*partition)) {
                    self.records[partition].move_to(process, 0);
                }
            }
            Observation::PositionReset { partition, to, .. } => {
                if let Some(partition) = self.roster.partition(*partition) {
                    self.records[partition].move_to(process, *to);
                }
            }
            Observation::EndOffset { partition, offset } => {
                if let Some(partition) = self.roster.partition(*partition) {
                    self.records[partition].end = Some((*offset, at));
                }
            }
            _ => {}
        }
    }

    fn on_poll(&mut self, at: Instant, process: ProcessId, partition: usize, base_offset: u64, values: &[ValueId]) {
        for (offset, value) in (base_offset..).zip(values) {
            self.place(at, process, partition, (*value, offset), Witness::Poll);
        }
        self.ledger.judged(Law::Phantom, values.len() as u64);
        let end = base_offset + values.len() as u64;
        let records = &mut self.records[partition];
        records.read_to = records.read_to.max(end);
        records.move_to(process, end);
    }

    /// A client saw `value` at `offset`.
    fn place(
        &mut self,
        at: Instant,
        process: ProcessId,
        partition: usize,
        (value, offset): (ValueId, u64),
        by: Witness,
    ) {
        let placement = self.records[partition].place(value, offset, by);
        let views = views!(self, at, process);
        self.ledger.judged(Law::Duplicate, 1);
        self.ledger.judged(Law::InconsistentOffsets, u64::from(placement.before.is_some()));
        if by == Witness::Poll {
            phantom::judge(partition, (value, offset), placement.value, views, &mut self.ledger);
        }
        duplicate::judge(partition, (value, offset), placement, views, &mut self.ledger);
        let now = Standing { value, by };
        inconsistent_offsets::judge(partition, now, offset, placement, views, &mut self.ledger);
    }

    fn on_zookeeper(&mut self, observed: &Observed) {
        let (at, process) = (observed.at, observed.process);
        match &observed.what {
            Observation::ZkApply { txn, digest } => {
                let Some(server) = self.roster.server(process) else { return };
                self.history.on_apply(server, process, txn, *digest);
                self.after_history(at, process);
            }
            Observation::ZkReset { zxid, digest } => {
                let Some(server) = self.roster.server(process) else { return };
                self.history.on_reset(server, process, *zxid, *digest);
                self.after_history(at, process);
            }
            Observation::ZkCommit { zxid, epoch } => {
                leader_completeness::on_commit(*zxid, *epoch, views!(self, at, process), &mut self.ledger);
                self.history.on_commit(*zxid, *epoch);
                self.zk_quorum.on_commit();
                self.after_history(at, process);
            }
            Observation::ZkRole { role, epoch, last_zxid } => {
                let Some(server) = self.roster.server(process) else { return };
                if *role == ZkRole::Leading {
                    leader_completeness::on_established(
                        *epoch,
                        *last_zxid,
                        views!(self, at, process),
                        &mut self.ledger,
                    );
                    self.history.on_established(*epoch, *last_zxid);
                    self.after_history(at, process);
                }
                self.on_zk_role(server, *role, *epoch, at);
            }
            Observation::ZkSessionClosed { session, zxid, left } => {
                ephemeral_gone::on_closed(*session, *zxid, *left, views!(self, at, process), &mut self.ledger);
            }
            what if at >= self.roster.facts.start => self.coverage.on_observation(what),
            _ => {}
        }
    }

    fn on_zk_role(&mut self, server: usize, role: ZkRole, epoch: u32, at: Instant) {
        let led = self.zk_quorum.is_led();
        self.zk_quorum.on_role(server, role, epoch, at);
        if at >= self.roster.facts.start {
            self.coverage.on_zk_leadership(led, self.zk_quorum.is_led());
        }
    }

    /// ZooKeeper's committed history may have grown: the store follows, and the laws that look at it.
    fn after_history(&mut self, at: Instant, process: ProcessId) {
        prefix::judge(&mut self.history, at, &mut self.ledger);
        if self.history.ready.is_empty() {
            return;
        }
        let mut events = std::mem::take(&mut self.events);
        for txn in std::mem::take(&mut self.history.ready) {
            self.store.apply(&txn, &self.roster, &mut events);
            for event in events.drain(..) {
                self.on_store_event(&event, at, process);
            }
        }
        self.events = events;
    }

    fn on_store_event(&mut self, event: &StoreEvent, at: Instant, process: ProcessId) {
        if at >= self.roster.facts.start {
            self.coverage.on_store_event(event);
        }
        match event {
            StoreEvent::PartitionState { partition, before, now } => {
                self.gate.on_partition_state(*partition, before.as_ref(), now, &self.roster, at);
                self.one_leader_per_epoch.on_partition_state(*partition, now);
                let views = views!(self, at, process);
                leader_in_isr::judge(*partition, now, views, &mut self.ledger);
                candidate_complete::judge_all(*partition, views, &mut self.ledger);
                self.isr_full.on_partition_state(*partition, views);
            }
            StoreEvent::Registration { broker } => self.on_registration(*broker, at, process),
            StoreEvent::Controller => self.one_controller.on_change(views!(self, at, process)),
            StoreEvent::ControllerEpoch => {}
            StoreEvent::OrphanCreated { path, session, zxid } => {
                ephemeral_gone::on_orphan(path, *session, *zxid, views!(self, at, process), &mut self.ledger);
            }
        }
    }

    /// A broker's node appeared or went, or the broker learned its epoch.
    fn on_registration(&mut self, broker: usize, at: Instant, process: ProcessId) {
        let views = views!(self, at, process);
        self.all_registered.on_change(broker, views);
        if views.store.broker_epoch(broker).is_some() {
            for partition in 0..self.roster.facts.partitions.len() {
                candidate_complete::judge(partition, broker, views, &mut self.ledger);
            }
        }
    }

    fn on_controller(&mut self, observed: &Observed) {
        let (at, process) = (observed.at, observed.process);
        let views = views!(self, at, process);
        match &observed.what {
            Observation::ActiveController { active } => {
                self.count.on_active(process, *active, at);
                self.one_controller.on_active(process, *active, views);
            }
            Observation::ControllerBegin { epoch } => {
                self.one_per_epoch.on_begin(*epoch, observed.incarnation, views, &mut self.ledger);
            }
            Observation::ControllerReady { .. } | Observation::ControllerActed { .. } => {
                self.one_controller.on_acted(process, views);
            }
            Observation::Registered { broker_epoch, .. } => {
                if let Some(broker) = self.roster.broker(process) {
                    self.processes.on_registered(broker, *broker_epoch);
                    self.on_registration(broker, at, process);
                }
            }
            what => {
                zombie_no_effect::judge(what, views, &mut self.ledger);
                stale_request_rejected::judge(what, views, &mut self.ledger);
            }
        }
    }

    fn on_fault(&mut self, observed: &Observed) {
        let (at, process) = (observed.at, observed.process);
        match &observed.what {
            Observation::FaultBegin { .. } => self.deadline.fault_begins(at),
            Observation::FaultEnd { .. } => self.deadline.fault_ends(at),
            Observation::Up => self.processes.on_up(process),
            Observation::Down { lossy, .. } => {
                if at >= self.roster.facts.start {
                    self.coverage.on_observation(&observed.what);
                }
                let broker = self.roster.broker(process);
                self.processes.on_down(process, broker);
                self.count.on_active(process, false, at);
                self.one_controller.on_active(process, false, views!(self, at, process));
                if let Some(broker) = broker.filter(|_| *lossy) {
                    self.gate.on_lossy_down(broker, &self.logs, &self.store, at);
                }
                if let Some(server) = self.roster.server(process) {
                    self.on_zk_role(server, ZkRole::Looking, 0, at);
                }
            }
            _ => {}
        }
        if let Some(broker) = self.roster.broker(process) {
            self.all_registered.on_change(broker, views!(self, at, process));
        }
    }
}

/// Who is named where no process can be blamed; faults are observed there too.
const OBSERVER: ProcessId = ProcessId(0);
