//! What laws may look at besides the observation at hand: shared views that are kept up to date before any law is asked.

use super::epoch_logs::EpochLogs;
use super::facts::Roster;
use super::gate::Gate;
use super::leader_view::LeaderView;
use super::log_view::LogView;
use super::process_view::ProcessView;
use super::store_view::StoreView;
use super::zk_history::ZkHistory;
use crate::id::ProcessId;
use crate::time::Instant;

/// The views at one moment.
#[derive(Clone, Copy)]
pub(super) struct Views<'a> {
    pub(super) roster: &'a Roster,
    pub(super) processes: &'a ProcessView,
    pub(super) history: &'a ZkHistory,
    pub(super) store: &'a StoreView,
    pub(super) logs: &'a LogView,
    pub(super) leaders: &'a LeaderView,
    pub(super) epoch_logs: &'a EpochLogs,
    pub(super) gate: &'a Gate,
    /// True time.
    pub(super) at: Instant,
    /// Who was observed.
    pub(super) process: ProcessId,
}

impl Views<'_> {
    /// Whether a broker may be elected by the stored state as soon as it is in the ISR: it runs, it is registered as it
    /// knows itself, and its place in the ISR is meant for this registration.
    pub(super) fn is_electable(&self, partition: usize, broker: usize) -> bool {
        let stored = self.store.broker_epoch(broker);
        self.processes.is_up(self.roster.brokers[broker].1)
            && stored.is_some()
            && self.processes.broker_epoch(broker) == stored
            && self.store.is_vouched_for(partition, broker)
    }

    /// Whether the store knows no leader epoch of the partition beyond `epoch`.
    pub(super) fn is_current(&self, partition: usize, epoch: i32) -> bool {
        self.store.partition(partition).is_none_or(|state| state.leader_epoch <= epoch)
    }

    /// What a violation says of a partition: the stored state, `TrueHW`, and the end of each log.
    pub(super) fn partition_state(&self, partition: usize) -> String {
        use std::fmt::Write as _;
        let mut text = format!("TrueHW {}", self.logs.committed(partition).true_hw());
        if let Some(state) = self.store.partition(partition) {
            let isr: Vec<i32> = state.isr.iter().map(|id| id.0).collect();
            let leader = state.leader.map_or(-1, |id| id.0);
            let _ = write!(text, ", stored leader {leader} epoch {} isr {isr:?}", state.leader_epoch);
        }
        for (broker, (id, process)) in self.roster.brokers.iter().enumerate() {
            let replica = self.logs.replica(broker, partition);
            let down = if self.processes.is_up(*process) { "" } else { " down" };
            let parting = self.logs.parting(broker, partition);
            let _ = write!(text, ", broker {id}{down} leo {} hw {}", replica.leo(), replica.high_watermark);
            if parting < replica.leo().min(self.logs.committed(partition).true_hw()) {
                let _ = write!(text, " parts from the committed log at {parting}");
            }
        }
        text
    }
}
