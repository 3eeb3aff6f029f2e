//! The judge: every observation is dispatched once, first to the views, then to the laws that it concerns.

use self::zookeeper::ZooKeeperLaws;
use super::all_registered::AllRegistered;
use super::clients::offset_regress::OffsetRegress;
use super::clients::send_order;
use super::controller_count::ControllerCount;
use super::deadline::Deadline;
use super::epoch_logs::EpochLogs;
use super::facts::{Facts, Roster};
use super::figures::Coverage;
use super::gate::Gate;
use super::groups::GroupLaws;
use super::isr_full::IsrFull;
use super::leader_view::LeaderView;
use super::ledger::{Law, LawReport, Ledger, Unmet, Violation};
use super::log_view::LogView;
use super::metadata::broker_epoch::BrokerEpoch;
use super::metadata::converges::Converges;
use super::one_controller::OneController;
use super::one_leader_per_epoch::OneLeaderPerEpoch;
use super::one_per_epoch::OnePerEpoch;
use super::process_view::ProcessView;
use super::produce::Produce;
use super::records::{self, Records};
use super::replicas::hw_in_log::HwInLog;
use super::replicas::sequences::{self, Sequences};
use super::replicas::unclean_exclusion::UncleanExclusion;
use super::store_view::{StoreEvent, StoreSummary, StoreView};
use super::views::Views;
use super::zk_history::ZkHistory;
use super::zk_quorum::ZkQuorum;
use super::{ack_rule, lost_write, unseen};
use crate::id::ProcessId;
use crate::kafka::config::Acks;
use crate::observation::{Observation, Observed};
use crate::time::{Instant, Span};

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
    leaders: LeaderView,
    epoch_logs: EpochLogs,
    gate: Gate,
    records: Vec<Records>,
    offset_regress: OffsetRegress,
    hw_in_log: HwInLog,
    unclean_exclusion: UncleanExclusion,
    sequences: Sequences,
    broker_epoch: BrokerEpoch,
    converges: Converges,
    one_leader_per_epoch: OneLeaderPerEpoch,
    one_per_epoch: OnePerEpoch,
    one_controller: OneController,
    all_registered: AllRegistered,
    isr_full: IsrFull,
    produce: Produce,
    zk_quorum: ZkQuorum,
    groups: GroupLaws,
    zookeeper: ZooKeeperLaws,
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
            leaders: &$judge.leaders,
            epoch_logs: &$judge.epoch_logs,
            gate: &$judge.gate,
            at: $at,
            process: $process,
        }
    };
}

mod dispatch;
mod zookeeper;

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
            leaders: LeaderView::new(&roster),
            epoch_logs: EpochLogs::new(partitions),
            gate: Gate::new(&roster),
            records: records::of_all(&roster),
            offset_regress: OffsetRegress::new(partitions),
            hw_in_log: HwInLog::default(),
            unclean_exclusion: UncleanExclusion::new(brokers, partitions),
            sequences: Sequences::new(partitions),
            broker_epoch: BrokerEpoch::new(brokers),
            converges: Converges::new(brokers, partitions),
            one_leader_per_epoch: OneLeaderPerEpoch::new(partitions),
            one_per_epoch: OnePerEpoch::default(),
            one_controller: OneController::new(),
            all_registered: AllRegistered::new(brokers),
            isr_full: IsrFull::new(partitions),
            produce: Produce::new(partitions),
            zk_quorum: ZkQuorum::new(servers),
            groups: GroupLaws::new(&roster),
            zookeeper: ZooKeeperLaws::new(servers),
            events: Vec::new(),
            roster,
        }
    }

    /// Judges one observation. Times must not run backwards.
    pub fn observe(&mut self, observed: &Observed) {
        let (at, process) = (observed.at, observed.process);
        if self.hw_in_log.is_owed_before(at) {
            self.hw_in_log.after_step(views!(self, at, process), &mut self.ledger);
        }
        match &observed.what {
            Observation::Append { partition, .. } => {
                if let Some((broker, partition)) = self.replica(process, *partition) {
                    self.on_append(broker, partition, observed);
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
            Observation::Truncate { partition, .. }
            | Observation::LogLoaded { partition, .. }
            | Observation::LogStart { partition, .. }
            | Observation::LeaderBegin { partition, .. }
            | Observation::LeaderEnd { partition, .. }
            | Observation::IsrLocal { partition, .. }
            | Observation::IsrJoin { partition, .. }
            | Observation::EndOffsetAnswer { partition, .. } => {
                if at >= self.roster.facts.start {
                    self.coverage.on_observation(&observed.what);
                }
                if let Some((broker, partition)) = self.replica(process, *partition) {
                    self.on_replica(broker, partition, observed);
                }
            }
            Observation::Send { .. }
            | Observation::SendOk { .. }
            | Observation::SendUnknown { .. }
            | Observation::Assign { .. }
            | Observation::Poll { .. }
            | Observation::EndOffset { .. }
            | Observation::FirstPosition { .. }
            | Observation::PositionReset { .. } => self.on_client(observed),
            Observation::ZkRole { .. }
            | Observation::ZkCommit { .. }
            | Observation::ZkApply { .. }
            | Observation::ZkReset { .. }
            | Observation::ZkSessionClosed { .. }
            | Observation::ZkSessionExpiring { .. }
            | Observation::ZkPropose { .. }
            | Observation::ZkAck { .. }
            | Observation::ZkLog { .. }
            | Observation::ZkTruncate { .. }
            | Observation::ZkLoaded { .. }
            | Observation::ZkElection { .. }
            | Observation::ZkEpochEntered { .. }
            | Observation::ZkIllegalMessage { .. }
            | Observation::ZkReply { .. } => self.on_zookeeper(observed),
            Observation::ActiveController { .. }
            | Observation::ControllerBegin { .. }
            | Observation::ControllerReady { .. }
            | Observation::ControllerActed { .. }
            | Observation::ControllerEffect { .. }
            | Observation::ControlRequest { .. }
            | Observation::MetadataServed { .. }
            | Observation::Registered { .. } => self.on_controller(observed),
            Observation::Up
            | Observation::Down { .. }
            | Observation::FaultBegin { .. }
            | Observation::FaultEnd { .. } => {
                self.on_fault(observed);
            }
            Observation::CoordinatorLoaded { .. }
            | Observation::CoordinatorUnloaded { .. }
            | Observation::GroupState { .. }
            | Observation::GroupAssigned { .. }
            | Observation::MemberRemoved { .. }
            | Observation::MemberHeard { .. }
            | Observation::CommitAccepted { .. }
            | Observation::OffsetsServed { .. }
            | Observation::Subscribe { .. }
            | Observation::Assigned { .. }
            | Observation::Revoked { .. }
            | Observation::Commit { .. }
            | Observation::CommitOk { .. }
            | Observation::CommitFailed { .. }
            | Observation::FetchCommitted { .. } => {
                self.groups.observe(&observed.what, views!(self, at, process), &mut self.ledger);
            }
            // For people and reports: no law is judged by them.
            Observation::Pause
            | Observation::Resume
            | Observation::ZkWrite { .. }
            | Observation::ZkClient { .. }
            | Observation::ControllerEnd { .. }
            | Observation::Metric { .. }
            | Observation::ControllersSeen { .. }
            | Observation::RegistrationFailed { .. }
            | Observation::ControlledShutdownBegin
            | Observation::ControlledShutdownEnd { .. }
            | Observation::LogRecoveryBegin { .. }
            | Observation::LogRecoveryEnd { .. }
            | Observation::LogDirOffline { .. }
            | Observation::LogsClosed { .. }
            | Observation::SendFail { .. } => {}
        }
    }

    /// The producers send no more: the last read begins.
    pub fn producers_stop(&mut self, now: Instant) {
        self.produce.producers_stop(now);
    }

    /// The last fault is over.
    pub fn quiet_begins(&mut self, now: Instant) {
        self.deadline.quiet_begins(now);
        self.count.quiet_begins(now);
        self.produce.quiet_begins(now);
        self.groups.quiet_begins(now);
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
        let unmet = unmet(self.waits(now));
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
    pub(super) fn logs(&self) -> &LogView {
        &self.logs
    }

    #[cfg(test)]
    pub(super) fn store(&self) -> &StoreView {
        &self.store
    }

    /// How long nobody, one or several brokers were active controller.
    pub fn controller_count(&self) -> &ControllerCount {
        &self.count
    }

    /// Kafka's part of the store in numbers.
    pub fn store_summary(&self) -> &StoreSummary {
        self.store.summary()
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
        self.hw_in_log.clone().after_step(views, &mut ledger);
        let mut read_to_end = false;
        for (partition, records) in self.records.iter().enumerate() {
            lost_write::judge(partition, records, views, &mut ledger);
            read_to_end |= unseen::judge(partition, records, views, &mut ledger);
            send_order::finish(partition, records, views, &mut ledger);
            sequences::finish(partition, records, views, &mut ledger);
        }
        if !read_to_end && !self.records.is_empty() {
            ledger.not_judged(Law::Unseen, "no consumer read a partition to its end");
        }
        self.finish_liveness(now, &mut ledger);
        ledger.reports()
    }

    fn finish_liveness(&self, now: Instant, ledger: &mut Ledger) {
        let waits = self.waits(now);
        let Some(quiet) = self.deadline.quiet() else {
            waits.iter().for_each(|(law, _)| ledger.not_judged(*law, "the run had no quiet phase"));
            return;
        };
        for (law, _) in &waits {
            ledger.judged(*law, 1);
            ledger.waited(*law, Span::ZERO);
        }
        if self.has_kafka() && self.roster.facts.acks == Acks::None {
            ledger.not_judged(Law::Produce, "nobody answers writes with acks=0");
        }
        for Unmet { law, what, since } in unmet(waits) {
            ledger.waited(law, now - since.max(quiet));
            ledger.breach(law, None, now, OBSERVER, || (what, format!("unmet since {since}, quiet since {quiet}")));
        }
    }

    /// Whether there are brokers; an ensemble alone owes nobody a controller.
    fn has_kafka(&self) -> bool {
        !self.roster.brokers.is_empty()
    }

    /// Every liveness law of what is there, with its oldest unmet wait.
    fn waits(&self, now: Instant) -> Vec<(Law, Option<Wait>)> {
        let views = views!(self, now, OBSERVER);
        let ensemble = (Law::ZkQuorum, self.zk_quorum.oldest(views));
        if !self.has_kafka() {
            return vec![ensemble];
        }
        let produce = (self.roster.facts.acks != Acks::None).then(|| self.produce.oldest(views)).flatten();
        let mut waits = vec![
            (Law::OneController, self.one_controller.oldest(views)),
            (Law::AllRegistered, self.all_registered.oldest(views)),
            (Law::IsrFull, self.isr_full.oldest(views)),
            (Law::MetadataConverges, self.converges.oldest(views)),
            (Law::Produce, produce),
            ensemble,
        ];
        if !self.roster.facts.groups.is_empty() {
            waits.extend(self.groups.oldest(views));
        }
        waits
    }
}

/// Who waits for what, since when.
type Wait = (Instant, String);

fn unmet(waits: Vec<(Law, Option<Wait>)>) -> Vec<Unmet> {
    let unmet = waits.into_iter().filter_map(|(law, wait)| wait.map(|(since, what)| Unmet { law, what, since }));
    unmet.collect()
}

/// Who is named where no process can be blamed; faults are observed there too.
const OBSERVER: ProcessId = ProcessId(0);
