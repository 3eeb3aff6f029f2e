//! Deletion of old segments (`LogManager.cleanupLogs`). Every replica deletes by itself, up to its own high watermark; a
//! follower also goes where its leader's log begins.

use super::partition::{Partition, Shared, Wake};
use super::segments::Retention;
use super::{ReplicaManager, ReplicaTimer};
use crate::observation::Observation;
use crate::time::Span;
use crate::world::Ctx;

impl ReplicaManager {
    /// `kafka-log-retention`. The files go at once, not after `file.delete.delay.ms`.
    pub(super) fn delete_old_segments(&mut self, ctx: &mut Ctx<'_>) {
        let retention = Retention::of(&self.shared.config);
        // The brokers' own topics are compacted.
        for partition in self.partitions.values_mut().filter(|partition| !partition.id.topic.is_internal()) {
            if partition.delete_old_segments(ctx, &mut self.shared, retention) {
                self.fetchers.iter_mut().for_each(|(_, fetcher)| fetcher.touch(partition.id));
            }
        }
        let interval = self.shared.config.log_retention_check_interval_ms;
        self.schedule(ctx, Span::from_ms(interval.into()), ReplicaTimer::LogRetention);
    }
}

impl Partition {
    fn delete_old_segments(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared, retention: Retention) -> bool {
        let before = self.log.log_start();
        if let Some(bytes) = self.log.delete_old_segments(retention, ctx.wall) {
            ctx.free(bytes);
        }
        self.note_log_start(ctx, shared, before);
        self.log.log_start() > before
    }

    /// Reports that the log begins later than `before`, if it does; fetchers hear of it with their next answer.
    pub(super) fn note_log_start(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared, before: u64) {
        let log_start = self.log.log_start();
        if log_start > before {
            ctx.observe(Observation::LogStart { partition: self.id, log_start });
            self.announce(&mut shared.sessions, Wake::Nobody);
        }
    }
}
