//! Figures of a run: availability, latency, failovers, recovery.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use models::id::{ProcessId, TopicPartition};
use models::observation::{Observation, Observed, ZkClientState, ZkRole};
use models::time::{Instant, Span};
use serde::Serialize;

use super::sessions::{SessionFigures, SessionSummary};

/// A record acknowledged later than this counts as unavailability: an application would have noticed.
const PROMPT: Span = Span::from_secs(1);
/// Latencies are kept with three digits up to this, in microseconds (one hour).
const LATENCY_CEILING_US: u64 = 3_600_000_000;

/// Collects the figures from the end of the warm-up on.
#[derive(Clone, Debug)]
pub struct Figures {
    start: Instant,
    latency: Histogram<u64>,
    counts: Counts,
    last_ok: BTreeMap<TopicPartition, Instant>,
    worst_gap: (Span, Option<TopicPartition>),
    leaders: BTreeMap<TopicPartition, ProcessId>,
    isr: BTreeMap<TopicPartition, usize>,
    last_controller: Option<ProcessId>,
    polled: u64,
    sessions: SessionFigures,
}

/// What was counted, from the end of the warm-up on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Records that applications handed over.
    pub sent: u64,
    /// Records acknowledged.
    pub acknowledged: u64,
    /// Of those, within one second.
    pub acknowledged_promptly: u64,
    /// Records refused for certain.
    pub refused: u64,
    /// Records whose outcome the producer could not tell.
    pub unknown: u64,
    /// Controller elections won.
    pub controller_elections: u64,
    /// Of those, by another broker than the one before.
    pub controller_changes: u64,
    /// ZooKeeper leaders established.
    pub zookeeper_elections: u64,
    /// ZooKeeper sessions that clients were told had expired.
    pub sessions_expired: u64,
    /// Partition leaderships that went to another broker.
    pub leader_changes: u64,
    /// ISR changes to fewer members.
    pub isr_shrinks: u64,
    /// ISR changes to more members.
    pub isr_expansions: u64,
    /// Generations of consumer groups that began to read.
    pub group_rebalances: u64,
    /// Partitions of `__consumer_offsets` with groups that got another coordinator.
    pub coordinator_moves: u64,
    /// Truncations that removed records.
    pub truncations: u64,
    /// Processes that died, for whatever reason.
    pub deaths: u64,
}

/// The figures of a finished run.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// What was counted.
    pub counts: Counts,
    /// Share of records acknowledged within one second, in parts per million.
    pub availability_ppm: u64,
    /// Median latency of acknowledged records, us.
    pub latency_p50_us: u64,
    /// 99th percentile, us.
    pub latency_p99_us: u64,
    /// Maximum, us.
    pub latency_max_us: u64,
    /// The longest time in which a partition acknowledged nothing, ns.
    pub longest_gap: Span,
    /// Which partition that was.
    pub longest_gap_partition: Option<TopicPartition>,
    /// Records that consumers read, over the whole run.
    pub polled: u64,
    /// Of applications that write to ZooKeeper itself.
    pub sessions: SessionSummary,
}

impl Figures {
    /// Figures that begin to count at `start`.
    pub fn new(start: Instant) -> Self {
        Self {
            start,
            latency: Histogram::new_with_bounds(1, LATENCY_CEILING_US, 3)
                .expect("the bounds are constants that the histogram accepts"),
            counts: Counts::default(),
            last_ok: BTreeMap::new(),
            worst_gap: (Span::ZERO, None),
            leaders: BTreeMap::new(),
            isr: BTreeMap::new(),
            last_controller: None,
            polled: 0,
            sessions: SessionFigures::new(start),
        }
    }

    /// Takes an observation.
    pub fn observe(&mut self, seen: &Observed) {
        let counting = seen.at >= self.start;
        let count = u64::from(counting);
        match &seen.what {
            Observation::Send { .. } => self.counts.sent += count,
            Observation::SendOk { partition, latency, .. } if counting => {
                self.acknowledged(seen.at, *partition, *latency);
            }
            Observation::SendFail { .. } => self.counts.refused += count,
            Observation::SendUnknown { .. } => self.counts.unknown += count,
            Observation::Poll { values, .. } => self.polled += values.len() as u64,
            Observation::ControllerBegin { .. } => {
                let before = self.last_controller.replace(seen.process);
                self.counts.controller_elections += count;
                self.counts.controller_changes += count * u64::from(before.is_some_and(|p| p != seen.process));
            }
            Observation::ZkRole { role: ZkRole::Leading, .. } => self.counts.zookeeper_elections += count,
            Observation::ZkClient { state: ZkClientState::Expired, .. } => self.counts.sessions_expired += count,
            Observation::ZkWrite { error, .. } => {
                self.sessions.ended(seen, *error);
            }
            Observation::LeaderBegin { partition, .. } => {
                let before = self.leaders.insert(*partition, seen.process);
                self.counts.leader_changes += count * u64::from(before.is_some_and(|p| p != seen.process));
            }
            Observation::IsrLocal { partition, isr, .. } => {
                let before = self.isr.insert(*partition, isr.len()).unwrap_or(isr.len());
                self.counts.isr_shrinks += count * u64::from(isr.len() < before);
                self.counts.isr_expansions += count * u64::from(isr.len() > before);
            }
            Observation::GroupAssigned { .. } => self.counts.group_rebalances += count,
            Observation::CoordinatorLoaded { groups, .. } => {
                self.counts.coordinator_moves += count * u64::from(*groups > 0)
            }
            Observation::Truncate { from, to, .. } => self.counts.truncations += count * u64::from(from > to),
            Observation::Down { .. } => self.counts.deaths += count,
            _ => {}
        }
    }

    fn acknowledged(&mut self, at: Instant, partition: TopicPartition, latency: Span) {
        self.counts.acknowledged += 1;
        self.counts.acknowledged_promptly += u64::from(latency <= PROMPT);
        let us = (latency.as_ns() / 1_000).clamp(1, LATENCY_CEILING_US);
        self.latency.record(us).expect("the value was clamped to the histogram's bounds");
        let last = self.last_ok.insert(partition, at).unwrap_or(self.start);
        if at.since(last) > self.worst_gap.0 {
            self.worst_gap = (at.since(last), Some(partition));
        }
    }

    /// What it came to.
    pub fn summary(&self, now: Instant) -> Summary {
        let mut worst = self.worst_gap;
        for (partition, last) in &self.last_ok {
            if now.since(*last) > worst.0 {
                worst = (now.since(*last), Some(*partition));
            }
        }
        let of = |part: u64, whole: u64| (part * 1_000_000).checked_div(whole).unwrap_or(0);
        Summary {
            counts: self.counts,
            availability_ppm: of(self.counts.acknowledged_promptly, self.counts.sent),
            latency_p50_us: self.latency.value_at_quantile(0.5),
            latency_p99_us: self.latency.value_at_quantile(0.99),
            latency_max_us: self.latency.max(),
            longest_gap: worst.0,
            longest_gap_partition: worst.1,
            polled: self.polled,
            sessions: self.sessions.summary(now),
        }
    }
}
