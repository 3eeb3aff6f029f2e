//! Service levels: numbers, not promises (section 10 of the catalogue). A scenario may bound them with its expectations.

use super::store_view::StoreSummary;
use crate::time::{Instant, Span};

/// What a run came to, from the end of start-up on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceLevels {
    /// S-DETECT: from the first fault to the first reaction to it; `None` without a fault or a reaction.
    pub detect: Option<Span>,
    /// S-FAILOVER-TIME: changes of a partition's leader after which it acknowledged again.
    pub failovers: u64,
    /// Changes after which it never did.
    pub never_recovered: u64,
    /// From the last acknowledgement before a change to the first after it: median.
    pub failover_p50: Span,
    /// 99th percentile.
    pub failover_p99: Span,
    /// Maximum.
    pub failover_max: Span,
    /// S-UNAVAILABILITY: the longest time in all for which one partition acknowledged nothing for much longer than the
    /// workload pauses.
    pub unavailable_max: Span,
    /// That of all partitions together.
    pub unavailable_sum: Span,
    /// S-REPL-LAG: the oldest record that a follower took, since its leader had appended it.
    pub replication_lag: Span,
    /// S-UNDER-REPLICATED: time that partitions spent with an ISR below their replication factor, all together.
    pub under_replicated: Span,
    /// With an ISR below `min.insync.replicas`.
    pub under_min_isr: Span,
    /// S-STALE-READ: the oldest acknowledged record that a consumer read on to, since its acknowledgement.
    pub stale_read_max: Span,
    /// 99th percentile over polls.
    pub stale_read_p99: Span,
}

#[derive(Clone, Copy, Debug, Default)]
struct Partition {
    /// The last acknowledgement.
    acknowledged: Option<Instant>,
    unavailable: Span,
    /// The last acknowledgement before a change of the leader, until there is another by the new one.
    changed: Option<Instant>,
    /// The new leader has begun.
    acting: bool,
}

/// Measures them.
#[derive(Clone, Debug)]
pub(super) struct Service {
    start: Instant,
    /// A longer pause between acknowledgements is unavailability.
    patience: Span,
    partitions: Vec<Partition>,
    failovers: Vec<Span>,
    first_fault: Option<Instant>,
    detect: Option<Span>,
    replication_lag: Span,
    /// Partitions below their replication factor and below `min.insync.replicas`, since this moment.
    counted: (u64, u64, Instant),
    under_replicated: Span,
    under_min_isr: Span,
}

impl Service {
    /// Measures from `start` on. A partition is sent something every `interval`, or nothing at all.
    pub(super) fn new(partitions: usize, start: Instant, interval: Option<Span>) -> Self {
        Self {
            start,
            patience: interval.map_or(Span::MAX, |interval| interval * INTERVALS),
            partitions: vec![Partition::default(); partitions],
            failovers: Vec::new(),
            first_fault: None,
            detect: None,
            replication_lag: Span::ZERO,
            counted: (0, 0, start),
            under_replicated: Span::ZERO,
            under_min_isr: Span::ZERO,
        }
    }

    /// A partition acknowledged a record.
    pub(super) fn on_ack(&mut self, partition: usize, at: Instant) {
        let partition = &mut self.partitions[partition];
        let last = partition.acknowledged.replace(at);
        if at < self.start {
            return;
        }
        let gap = at - last.unwrap_or(self.start).max(self.start);
        if gap > self.patience {
            partition.unavailable += gap;
        }
        if partition.acting
            && let Some(before) = partition.changed.take()
        {
            self.failovers.push(at - before);
        }
    }

    /// The stored leader of a partition changed.
    pub(super) fn on_leader_change(&mut self, partition: usize, at: Instant) {
        if at >= self.start {
            let partition = &mut self.partitions[partition];
            partition.changed = partition.changed.or(partition.acknowledged);
            partition.acting = false;
        }
    }

    /// A leader began.
    pub(super) fn on_leader_begin(&mut self, partition: usize) {
        self.partitions[partition].acting = true;
    }

    /// A follower took a record that its leader had appended at `appended`.
    pub(super) fn on_replicated(&mut self, appended: Instant, at: Instant) {
        if appended >= self.start {
            self.replication_lag = self.replication_lag.max(at - appended);
        }
    }

    /// A fault begins.
    pub(super) fn on_fault(&mut self, at: Instant) {
        self.first_fault.get_or_insert(at);
    }

    /// Somebody reacts to something: a session is let go, an ISR shrinks, a leader or a server steps down.
    pub(super) fn on_reaction(&mut self, at: Instant) {
        if let Some(first) = self.first_fault {
            self.detect.get_or_insert(at - first);
        }
    }

    /// The store says something else of a partition.
    pub(super) fn on_store(&mut self, store: &StoreSummary, at: Instant) {
        self.count_to(at);
        (self.counted.0, self.counted.1) = (store.under_replicated, store.under_min_isr);
    }

    /// What it has come to by `now`; stale reads are measured by J-REALTIME-LAG.
    pub(super) fn levels(&self, now: Instant, (stale_read_max, stale_read_p99): (Span, Span)) -> ServiceLevels {
        let mut counted = self.clone();
        counted.count_to(now);
        counted.failovers.sort_unstable();
        let rank = |percent: usize| counted.failovers.get((counted.failovers.len() * percent).div_ceil(100).max(1) - 1);
        let unavailable = |partition: &Partition| {
            let gap = now.since(partition.acknowledged.unwrap_or(self.start).max(self.start));
            partition.unavailable + if gap > self.patience { gap } else { Span::ZERO }
        };
        ServiceLevels {
            detect: self.detect,
            failovers: self.failovers.len() as u64,
            never_recovered: self.partitions.iter().filter(|partition| partition.changed.is_some()).count() as u64,
            failover_p50: rank(50).copied().unwrap_or(Span::ZERO),
            failover_p99: rank(99).copied().unwrap_or(Span::ZERO),
            failover_max: rank(100).copied().unwrap_or(Span::ZERO),
            unavailable_max: self.partitions.iter().map(unavailable).max().unwrap_or(Span::ZERO),
            unavailable_sum: self.partitions.iter().map(unavailable).fold(Span::ZERO, |sum, it| sum + it),
            replication_lag: self.replication_lag,
            under_replicated: counted.under_replicated,
            under_min_isr: counted.under_min_isr,
            stale_read_max,
            stale_read_p99,
        }
    }

    fn count_to(&mut self, at: Instant) {
        let (under_replicated, under_min_isr, since) = self.counted;
        let passed = at.since(since);
        self.under_replicated += passed * under_replicated;
        self.under_min_isr += passed * under_min_isr;
        self.counted.2 = since.max(at);
    }
}

const INTERVALS: u64 = 3; // As for L-PRODUCE: one send may meet a leader change, and a batch may linger.

#[test]
fn figures_are_those_of_the_moment() {
    let at = |s| Instant::ZERO + Span::from_secs(s);
    let mut service = Service::new(2, at(10), Some(Span::from_secs(1)));
    [9, 11, 13].iter().for_each(|s| service.on_ack(0, at(*s)));
    service.on_reaction(at(13));
    service.on_fault(at(14));
    service.on_reaction(at(16));
    service.on_reaction(at(17));
    service.on_leader_change(0, at(17));
    service.on_ack(0, at(18)); // By the old leader still.
    service.on_leader_begin(0);
    service.on_ack(0, at(23));
    service.on_replicated(at(9), at(30));
    service.on_replicated(at(20), at(22));
    let store = StoreSummary { under_replicated: 2, under_min_isr: 1, ..StoreSummary::default() };
    service.on_store(&store, at(20));
    service.on_store(&StoreSummary::default(), at(24));
    let seconds = |span: Span| span.as_ms() / 1_000;
    let levels = service.levels(at(25), (Span::ZERO, Span::ZERO));
    assert_eq!(levels.detect.map(seconds), Some(2));
    assert_eq!((levels.failovers, levels.never_recovered, seconds(levels.failover_p50)), (1, 0, 10));
    // Partition 0 paused from 13 to 18 and to 23, partition 1 never acknowledged.
    assert_eq!((seconds(levels.unavailable_max), seconds(levels.unavailable_sum)), (15, 25));
    assert_eq!((seconds(levels.under_replicated), seconds(levels.under_min_isr)), (8, 4));
    assert_eq!(seconds(levels.replication_lag), 2);
}
