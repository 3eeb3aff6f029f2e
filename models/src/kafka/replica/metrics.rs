//! The metrics of `ReplicaManager` and of its fetchers.

use std::collections::{BTreeMap, BTreeSet};

use super::ReplicaManager;
use super::partition::Partition;
use crate::id::TopicPartition;
use crate::kafka::metrics::{Metric, Metrics};
use crate::world::Ctx;

/// What they are made of.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct ReplicaMetrics {
    pub(super) metrics: Metrics,
    /// Whether a role or a committed ISR has changed since they were reported.
    pub(super) changed: bool,
    /// `FetcherLagStats`, without those that do not lag.
    lags: BTreeMap<TopicPartition, u64>,
    /// `AbstractFetcherManager.failedPartitions`.
    failed: BTreeSet<TopicPartition>,
}

impl ReplicaMetrics {
    /// The leader's answer left the follower this many records behind its high watermark.
    pub(super) fn lag(&mut self, partition: TopicPartition, lag: u64) {
        if lag > 0 {
            self.changed |= self.lags.insert(partition, lag) != Some(lag);
        } else if !self.lags.is_empty() {
            self.changed |= self.lags.remove(&partition).is_some();
        }
    }

    /// A fetcher has given the partition up.
    pub(super) fn fetcher_failed(&mut self, partition: TopicPartition) {
        self.changed |= self.failed.insert(partition);
    }

    /// No fetcher has the partition any more.
    pub(super) fn fetcher_removed(&mut self, partition: TopicPartition) {
        self.lag(partition, 0);
        self.changed |= self.failed.remove(&partition);
    }
}

impl ReplicaManager {
    /// Reports what has changed. To be called after every input.
    pub fn report_metrics(&mut self, ctx: &mut Ctx<'_>) {
        let ReplicaMetrics { metrics, changed, lags, failed } = &mut self.shared.metrics;
        if !std::mem::take(changed) {
            return;
        }
        let min_isr = self.shared.config.min_insync_replicas as usize;
        let [mut led, mut under_replicated, mut under_min, mut at_min] = [0; 4];
        for partition in self.partitions.values().filter(|partition| partition.is_leader()) {
            let replicas = partition.remotes.len() + 1;
            let in_sync = partition.isr.isr().len();
            // `effectiveMinIsr`.
            let least = min_isr.min(replicas);
            led += 1;
            under_replicated += u64::from(in_sync < replicas);
            under_min += u64::from(in_sync < least);
            at_min += u64::from(in_sync == least);
        }
        // A replica whose role nobody has told is not in `allPartitions`.
        let told = |partition: &&Partition| partition.leader_epoch >= 0;
        let known = self.partitions.values().filter(told).count() as u64;
        for (metric, value) in [
            (Metric::LeaderCount, led),
            (Metric::PartitionCount, known),
            (Metric::UnderReplicatedPartitions, under_replicated),
            (Metric::UnderMinIsrPartitionCount, under_min),
            (Metric::AtMinIsrPartitionCount, at_min),
            (Metric::MaxLag, lags.values().copied().max().unwrap_or(0)),
            (Metric::FailedPartitionsCount, failed.len() as u64),
        ] {
            metrics.set(ctx, metric, value);
        }
    }
}
