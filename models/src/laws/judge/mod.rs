//! The judge: every observation is dispatched once, first to the views, then to the laws that it concerns.

use std::sync::Arc;

use self::zookeeper::ZooKeeperLaws;
use super::all_registered::AllRegistered;
use super::clients::consume_count::ConsumeCount;
use super::clients::offset_regress::OffsetRegress;
use super::clients::realtime::RealtimeLag;
use super::clients::{ack_stable, send_order};
use super::controller_count::ControllerCount;
use super::deadline::Deadline;
use super::epoch_logs::EpochLogs;
use super::facts::{Facts, Roster};
use super::figures::Coverage;
use super::gate::Gate;
use super::groups::GroupLaws;
use super::isr_full::IsrFull;
use super::leader_view::LeaderView;
use super::ledger::{Law, LawReport, Ledger, Violation};
use super::log_view::LogView;
use super::metadata::broker_epoch::BrokerEpoch;
use super::metadata::converges::Converges;
use super::metadata::isr_changes::IsrChanges;
use super::metadata::reload::Reload;
use super::metadata::transitions::Transitions;
use super::one_controller::OneController;
use super::one_leader_per_epoch::OneLeaderPerEpoch;
use super::one_per_epoch::OnePerEpoch;
use super::process_view::ProcessView;
use super::produce::Produce;
use super::records::{self, Records};
use super::recovery::fully_replicated::FullyReplicated;
use super::recovery::no_offline::NoOffline;
use super::recovery::write_resolved;
use super::replicas::hw_in_log::HwInLog;
use super::replicas::isr_members::IsrMembers;
use super::replicas::sequences::Sequences;
use super::replicas::unclean_exclusion::UncleanExclusion;
use super::service::{Service, ServiceLevels};
use super::store_view::{StoreEvent, StoreSummary, StoreView};
use super::views::Views;
use super::zk_history::ZkHistory;
use super::zk_quorum::ZkQuorum;
use super::{ack_rule, lost_write, unseen};
use crate::id::ProcessId;
use crate::observation::{Observation, Observed};
use crate::shared_vec::SharedVec;
use crate::time::Instant;

/// All laws with their histories.
///
/// Call [`Judge::observe`] for every observation in order of time; it may be asked for [`Judge::first_violation`] after
/// each. When the last fault is over call [`Judge::quiet_begins`]; from then on [`Judge::unmet`] says what is still waited
/// for, to be asked about once a second, and [`Judge::deadline`] when that becomes a failure. [`Judge::finish`] reports.
#[derive(Clone, Debug)]
pub struct Judge {
    roster: Arc<Roster>,
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
    records: SharedVec<Records>,
    offset_regress: OffsetRegress,
    service: Service,
    realtime_lag: RealtimeLag,
    consume_count: ConsumeCount,
    isr_members: IsrMembers,
    isr_changes: IsrChanges,
    transitions: Transitions,
    reload: Reload,
    no_offline: NoOffline,
    fully_replicated: FullyReplicated,
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
mod liveness;
mod replicas;
mod zookeeper;

impl Judge {
    /// A judge of a deployment that has not started yet.
    pub fn new(facts: Facts) -> Self {
        let roster = Arc::new(Roster::new(facts));
        let (brokers, servers) = (roster.brokers.len(), roster.servers.len());
        let partitions = roster.facts.partitions.len();
        Self {
            ledger: Ledger::new(&roster.facts.known_breaches),
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
            service: Service::new(partitions, roster.facts.start, roster.facts.produce_interval),
            realtime_lag: RealtimeLag::default(),
            consume_count: ConsumeCount::default(),
            isr_members: IsrMembers::new(brokers, partitions),
            isr_changes: IsrChanges::new(partitions),
            transitions: Transitions::default(),
            reload: Reload::default(),
            no_offline: NoOffline::new(partitions),
            fully_replicated: FullyReplicated::new(partitions),
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
            Observation::Acknowledge { partition, base_offset, records, .. } => {
                ack_rule::judge(&observed.what, views!(self, at, process), &mut self.ledger);
                if let Some((broker, partition)) = self.replica(process, *partition) {
                    self.on_acknowledge(broker, partition, (*base_offset, *records));
                }
            }
            Observation::Truncate { partition, .. }
            | Observation::LogLoaded { partition, .. }
            | Observation::LogStart { partition, .. }
            | Observation::LeaderBegin { partition, .. }
            | Observation::LeaderEnd { partition, .. }
            | Observation::IsrLocal { partition, .. }
            | Observation::IsrJoin { partition, .. }
            | Observation::IsrChange { partition, .. }
            | Observation::IsrChangeEnd { partition, .. }
            | Observation::EndOffsetAnswer { partition, .. } => {
                self.on_role(*partition, observed);
            }
            Observation::Send { .. }
            | Observation::SendOk { .. }
            | Observation::SendFail { .. }
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
            | Observation::ControllerLoaded { .. }
            | Observation::ControllerReady { .. }
            | Observation::ControllerActed { .. }
            | Observation::ControllerEffect { .. }
            | Observation::ControlRequest { .. }
            | Observation::MetadataServed { .. }
            | Observation::AliveServed { .. }
            | Observation::Registered { .. } => self.on_controller(observed),
            Observation::Up
            | Observation::Down { .. }
            | Observation::FaultBegin { .. }
            | Observation::FaultEnd { .. } => {
                self.on_fault(observed);
            }
            what => self.observe_rest(what, at, process),
        }
    }

    /// What is about groups, and what is for people and reports: no law is judged by that.
    fn observe_rest(&mut self, what: &Observation, at: Instant, process: ProcessId) {
        match what {
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
            | Observation::LogsClosed { .. } => {}
            what => self.groups.observe(what, views!(self, at, process), &mut self.ledger),
        }
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

    /// What the run came to by `now`, in numbers.
    pub fn service_levels(&self, now: Instant) -> ServiceLevels {
        self.service.levels(now, self.realtime_lag.figures())
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
            ack_stable::finish(partition, records, views, &mut ledger);
            write_resolved::finish(partition, records, views, &mut ledger);
        }
        if !read_to_end && !self.records.is_empty() {
            ledger.not_judged(Law::Unseen, "no consumer read a partition to its end");
        }
        self.realtime_lag.finish(&mut ledger);
        self.consume_count.finish(&mut ledger);
        self.converges.finish(&mut ledger);
        self.finish_liveness(now, &mut ledger);
        ledger.reports()
    }
}

/// Who is named where no process can be blamed; faults are observed there too.
const OBSERVER: ProcessId = ProcessId(0);
