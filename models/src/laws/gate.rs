//! What the settings promise: the gate of section 0.4 of the catalogue. It follows unclean elections and restarts that lost
//! unflushed records, and says whether a breach is permitted.

use super::facts::Roster;
use super::ledger::Permit;
use super::log_view::LogView;
use super::store_view::StoreView;
use crate::kafka::config::Acks;
use crate::kafka::protocol::LeaderAndIsr;
use crate::time::Instant;

/// What has happened that excuses losses.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    min_isr: usize,
    unclean_allowed: bool,
    /// By broker number, then by partition number.
    windows: Vec<Option<Window>>,
    open: usize,
    partitions: Vec<Partition>,
}

/// From the crash that lost something until the replica holds all committed records again, and the leader knows what it holds.
///
/// A leader in office keeps the LEO that it had heard of before the crash (`Replica.resetReplicaState` forgets it on a new
/// leader only), so that what was lost may still become committed by it. A fetch of the new life tells it better.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    /// LEO after the restart, once it is known and shows a loss.
    lost_from: Option<u64>,
    /// The largest LEO that a leader may have heard of before the crash.
    held_to: u64,
    /// Records have come from a leader since, as the answer to a fetch.
    fetched: bool,
    /// The ISR was below `min.insync.replicas` meanwhile.
    below_min: bool,
    /// An ISR with this replica was written meanwhile.
    crossed: bool,
}

#[derive(Clone, Debug, Default)]
struct Partition {
    unclean: Vec<Unclean>,
    hazards: Vec<Hazard>,
}

/// A leader from outside the ISR was elected.
#[derive(Clone, Copy, Debug)]
struct Unclean {
    at: Instant,
    epoch: i32,
    /// Below this offset its log, when it began to lead, was the committed one: nothing there was lost. Unknown before it has.
    kept_to: Option<u64>,
}

impl Unclean {
    /// Whether what was acknowledged in `epoch` may be lost by it. A leader that it deposed goes on in its old epoch until it
    /// hears of that, and what it acknowledges meanwhile is as good as what it had acknowledged before. What is acknowledged from
    /// the new epoch on stands in the new leader's log, and is promised as ever.
    fn excuses(&self, acked_in: i32, offset: u64) -> bool {
        acked_in < self.epoch && self.kept_to.is_none_or(|kept_to| offset >= kept_to)
    }
}

/// Records from `from` on that were acknowledged up to `until` may be lost.
#[derive(Clone, Copy, Debug)]
struct Hazard {
    broker: usize,
    from: u64,
    until: Instant,
    permit: Permit,
}

impl Gate {
    pub(super) fn new(roster: &Roster) -> Self {
        let partitions = roster.facts.partitions.len();
        Self {
            min_isr: roster.facts.min_isr as usize,
            unclean_allowed: roster.facts.unclean_election,
            windows: vec![None; roster.brokers.len() * partitions],
            open: 0,
            partitions: vec![Partition::default(); partitions],
        }
    }

    /// A broker died and something that it had written is gone; what, will show when it loads its logs.
    pub(super) fn on_lossy_down(&mut self, broker: usize, logs: &LogView, store: &StoreView, at: Instant) {
        for partition in 0..self.partitions.len() {
            if logs.replica(broker, partition).leo() == 0 {
                continue;
            }
            let below_min = store.partition(partition).is_some_and(|state| state.isr.len() < self.min_isr);
            let index = self.index(broker, partition);
            self.open += usize::from(self.windows[index].is_none());
            self.windows[index].get_or_insert_default().below_min |= below_min;
            self.refresh(partition, at);
        }
    }

    /// A restarted replica's log ends at `after`; `before` was its LEO when it went down.
    pub(super) fn on_loaded(&mut self, broker: usize, partition: usize, before: u64, after: u64, at: Instant) {
        let index = self.index(broker, partition);
        let Some(window) = &mut self.windows[index] else { return };
        if after < before {
            window.lost_from = Some(window.lost_from.map_or(after, |from| from.min(after)));
            (window.held_to, window.fetched) = (window.held_to.max(before), false);
            self.refresh(partition, at);
        } else if window.lost_from.is_none() {
            self.windows[index] = None;
            self.open -= 1;
        }
    }

    /// A partition's stored state changed.
    pub(super) fn on_partition_state(
        &mut self,
        partition: usize,
        before: Option<&LeaderAndIsr>,
        now: &LeaderAndIsr,
        roster: &Roster,
        at: Instant,
    ) {
        if is_unclean(before, now) {
            let epoch = now.leader_epoch;
            self.partitions[partition].unclean.push(Unclean { at, epoch, kept_to: None });
        }
        if self.open == 0 {
            return;
        }
        for broker in 0..roster.brokers.len() {
            let index = self.index(broker, partition);
            if let Some(window) = &mut self.windows[index] {
                window.below_min |= now.isr.len() < self.min_isr;
                window.crossed |= now.isr.contains(&roster.brokers[broker].0);
            }
        }
        self.refresh(partition, at);
    }

    /// A leader begins to lead; below `parting` its log is the committed one.
    pub(super) fn on_leader_begin(&mut self, partition: usize, epoch: i32, parting: u64) {
        for unclean in self.partitions[partition].unclean.iter_mut().filter(|unclean| unclean.epoch <= epoch) {
            unclean.kept_to.get_or_insert(parting);
        }
    }

    /// A replica appended what a leader has answered it.
    pub(super) fn on_fetched(&mut self, broker: usize, partition: usize) {
        let index = self.index(broker, partition);
        if let Some(window) = &mut self.windows[index] {
            window.fetched = window.lost_from.is_some();
        }
    }

    /// A replica's log grew or another became the true one: perhaps it holds all committed records again.
    pub(super) fn on_log_changed(&mut self, broker: usize, partition: usize, logs: &LogView) {
        if self.open == 0 {
            return;
        }
        let index = self.index(broker, partition);
        let (true_hw, leo) = (logs.committed(partition).true_hw(), logs.replica(broker, partition).leo());
        let known = |window: Window| window.lost_from.is_some() && (window.fetched || leo >= window.held_to);
        if self.windows[index].is_some_and(known)
            && leo >= true_hw
            && logs.agrees(broker, partition, true_hw) != Some(false)
        {
            self.windows[index] = None;
            self.open -= 1;
        }
    }

    /// Whether a replica lost records in a crash and does not hold all committed ones again.
    pub(super) fn is_lossy(&self, broker: usize, partition: usize) -> bool {
        self.open > 0 && self.windows[self.index(broker, partition)].is_some()
    }

    /// Whether a breach of a replication law at `offset` is permitted.
    pub(super) fn log(&self, partition: usize, offset: u64) -> Option<Permit> {
        let Partition { unclean, hazards } = &self.partitions[partition];
        if self.unclean_allowed && !unclean.is_empty() {
            return Some(Permit::UncleanElection);
        }
        hazards.iter().find(|hazard| hazard.from <= offset).map(|hazard| hazard.permit)
    }

    /// Whether the loss of an acknowledged record is permitted. `committed`: it was seen below `TrueHW`. `acked_in`: the leader
    /// epoch in which it was acknowledged; where nobody has seen that, the time of the acknowledgement has to do.
    pub(super) fn record(
        &self,
        partition: usize,
        offset: Option<u64>,
        acks: Acks,
        (acked_in, acked_at): (Option<i32>, Instant),
        committed: bool,
    ) -> Option<Permit> {
        match acks {
            Acks::None => return Some(Permit::AcksNone),
            Acks::Leader if !committed => return Some(Permit::AcksLeader),
            Acks::Leader | Acks::All => {}
        }
        let Partition { unclean, hazards } = &self.partitions[partition];
        let offset = offset.unwrap_or(u64::MAX);
        let excuses = |unclean: &Unclean| match acked_in {
            Some(epoch) => unclean.excuses(epoch, offset),
            None => unclean.at >= acked_at,
        };
        if self.unclean_allowed && unclean.iter().any(excuses) {
            return Some(Permit::UncleanElection);
        }
        hazards.iter().find(|hazard| hazard.from <= offset && hazard.until >= acked_at).map(|hazard| hazard.permit)
    }

    fn index(&self, broker: usize, partition: usize) -> usize {
        broker * self.partitions.len() + partition
    }

    /// Writes down the hazards of the open windows of a partition.
    fn refresh(&mut self, partition: usize, at: Instant) {
        let brokers = self.windows.len() / self.partitions.len();
        let open = (0..brokers).filter(|broker| self.windows[self.index(*broker, partition)].is_some()).count();
        for broker in 0..brokers {
            let Some(Window { lost_from: Some(from), below_min, crossed, .. }) =
                self.windows[self.index(broker, partition)]
            else {
                continue;
            };
            let permit = match (below_min, crossed) {
                (true, _) => Permit::LastReplicaStanding,
                (false, true) => Permit::IsrChangeAcrossRestart,
                (false, false) if open >= self.min_isr => Permit::LossyRestarts,
                (false, false) => continue,
            };
            let hazards = &mut self.partitions[partition].hazards;
            match hazards.iter_mut().find(|hazard| hazard.broker == broker) {
                Some(hazard) => *hazard = Hazard { from: hazard.from.min(from), until: at, ..*hazard },
                None => hazards.push(Hazard { broker, from, until: at, permit }),
            }
        }
    }
}

/// Whether the change elected a leader from outside the ISR.
pub(super) fn is_unclean(before: Option<&LeaderAndIsr>, now: &LeaderAndIsr) -> bool {
    match (before, now.leader) {
        (Some(before), Some(leader)) => now.leader_epoch > before.leader_epoch && !before.isr.contains(&leader),
        _ => false,
    }
}
