//! What is on its way to the disk, and the two checkpoint files. Appends go to the page cache; only what is named here is
//! ever fsynced.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::partition::Partition;
use super::{CoordinatorEvent, Partitions, ReplicaManager, ReplicaTimer};
use crate::id::{BrokerId, DiskToken, TopicPartition};
use crate::kafka::Timer as KafkaTimer;
use crate::kafka::metadata_cache::MetadataCache;
use crate::observation::{Observation, TruncateReason};
use crate::process::{DiskError, Loss};
use crate::random::Random;
use crate::time::Span;
use crate::world::{Ctx, Timer};

/// Bytes of a line of a checkpoint file, roughly.
const CHECKPOINT_ENTRY_BYTES: u64 = 20;

/// `LogManager.InitialTaskDelayMs`: background tasks begin this long after the start.
const INITIAL_TASK_DELAY: Span = Span::from_secs(30);

/// Why a broker with a single log directory ends when that fails (`LogManager.handleLogDirFailure` halts the JVM).
pub(super) const LOG_DIR_FAILED: &str = "log directory failed";

/// A checkpoint file: an offset per partition, sorted by partition. Written to the side, fsynced, renamed.
type Checkpoint = Arc<[(TopicPartition, u64)]>;

/// Who waits for a flush of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum FlushWaiter {
    /// Nobody: rolled segments and timed flushes.
    None,
    /// The answer to a produce request.
    Produce(u64),
    /// A fetcher thread: source and number.
    Fetcher(BrokerId, u16),
}

#[derive(Clone, Debug, Hash)]
enum Flush {
    Log {
        partition: TopicPartition,
        offset: u64,
        generation: u64,
        waiter: FlushWaiter,
    },
    HighWatermarks(Checkpoint),
    RecoveryPoints(Checkpoint),
    Recovery,
    /// A log is read for the group coordinator.
    Load(u64),
}

/// Requests to the disk that are under way, and what the checkpoint files hold.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Storage {
    next: u64,
    under_way: BTreeMap<u64, Flush>,
    high_watermarks: Checkpoint,
    recovery_points: Checkpoint,
}

impl Storage {
    /// Flushes a log up to `offset`.
    pub(super) fn flush_log(&mut self, ctx: &mut Ctx<'_>, partition: &Partition, offset: u64, waiter: FlushWaiter) {
        let generation = partition.log.generation();
        let token = self.begin(Flush::Log { partition: partition.id, offset, generation, waiter });
        ctx.fsync(token);
    }

    /// Reads a log for the group coordinator.
    pub(super) fn read_log(&mut self, ctx: &mut Ctx<'_>, load: u64, bytes: u64) {
        let token = self.begin(Flush::Load(load));
        ctx.read(token, bytes);
    }

    /// Everything under way is forgotten; what the files hold stays.
    fn crash(&mut self) {
        self.under_way.clear();
    }

    fn begin(&mut self, what: Flush) -> DiskToken {
        self.next += 1;
        self.under_way.insert(self.next, what);
        DiskToken(self.next)
    }

    fn write_checkpoint(&mut self, ctx: &mut Ctx<'_>, what: Flush, entries: usize) -> Result<(), DiskError> {
        // The scheduler runs one instance of a task at a time: the next one waits for a slow fsync.
        if self.under_way.values().any(|other| std::mem::discriminant(other) == std::mem::discriminant(&what)) {
            return Ok(());
        }
        let bytes = entries as u64 * CHECKPOINT_ENTRY_BYTES;
        ctx.write(bytes)?;
        ctx.free(bytes);
        let token = self.begin(what);
        ctx.fsync(token);
        Ok(())
    }
}

impl ReplicaManager {
    /// `LogManager.loadLogs` after an unclean stop: reads every segment that was not flushed. Ends at once if there is none.
    pub fn load_logs(&mut self, ctx: &mut Ctx<'_>) {
        let points = &self.shared.storage.recovery_points;
        let bytes = self.partitions.values().map(|p| p.log.bytes_to_recover(checkpointed(points, p.id))).sum();
        if bytes == 0 {
            self.finish_loading(ctx);
        } else {
            let token = self.shared.storage.begin(Flush::Recovery);
            ctx.read(token, bytes);
        }
    }

    /// Whether the logs are loaded.
    pub fn is_loaded(&self) -> bool {
        self.loaded
    }

    /// A disk request ended.
    pub fn on_disk(
        &mut self,
        ctx: &mut Ctx<'_>,
        _cache: &MetadataCache,
        token: DiskToken,
        result: Result<(), DiskError>,
    ) {
        let Some(done) = self.shared.storage.under_way.remove(&token.0) else { return };
        if result.is_err() {
            ctx.exit(LOG_DIR_FAILED);
            return;
        }
        match done {
            Flush::Recovery => self.finish_loading(ctx),
            Flush::Load(load) => self.coordinator_events.push(CoordinatorEvent::Read { load }),
            Flush::HighWatermarks(checkpoint) => self.shared.storage.high_watermarks = checkpoint,
            Flush::RecoveryPoints(checkpoint) => self.shared.storage.recovery_points = checkpoint,
            Flush::Log { partition, offset, generation, waiter } => {
                if let Some(partition) = self.partitions.get_mut(partition) {
                    partition.log.mark_synced(offset, generation);
                }
                match waiter {
                    FlushWaiter::None => {}
                    FlushWaiter::Produce(produce) => self.shared.produces.done(ctx, produce),
                    FlushWaiter::Fetcher(source, number) => self.on_fetcher_flushed(ctx, (source, number)),
                }
            }
        }
    }

    /// The process stops existing. All that was written stays if the process alone died; a power loss takes what was not
    /// fsynced, but for a random prefix. Returns whether anything written was lost.
    pub fn crash(&mut self, loss: Loss, random: &mut Random) -> bool {
        let mut lost = false;
        self.shared.storage.crash();
        let mut survivors = Partitions::default();
        for partition in std::mem::take(&mut self.partitions).values() {
            let mut log = partition.log.clone();
            if loss == Loss::PageCache {
                lost |= log.lose_page_cache(random);
            }
            survivors.insert(partition.id, Partition::new(partition.id, log));
        }
        let storage = std::mem::take(&mut self.shared.storage);
        let (shared, addresses) = (&self.shared, Arc::clone(&self.addresses));
        *self = Self::new(shared.broker, Arc::clone(&shared.config), shared.defects, addresses);
        self.partitions = survivors;
        self.shared.storage = storage;
        lost
    }

    fn finish_loading(&mut self, ctx: &mut Ctx<'_>) {
        self.loaded = true;
        let high_watermarks = Arc::clone(&self.shared.storage.high_watermarks);
        for partition in self.partitions.values_mut() {
            partition.log.epochs.truncate_from_end(partition.log.log_end());
            partition.log.set_high_watermark(checkpointed(&high_watermarks, partition.id));
            let log = &mut partition.log;
            if let Some(lost) = log.lost.take() {
                ctx.free(lost.bytes);
                ctx.observe(Observation::Truncate {
                    partition: partition.id,
                    from: lost.log_end,
                    to: log.log_end(),
                    high_watermark: lost.high_watermark,
                    leader_epoch: partition.leader_epoch,
                    role: crate::observation::ReplicaRole::Follower,
                    reason: TruncateReason::Recovery,
                });
            }
            ctx.observe(Observation::LogLoaded {
                partition: partition.id,
                log_start: log.log_start(),
                leo: log.log_end(),
                high_watermark: log.high_watermark(),
            });
        }
        self.schedule(ctx, Span::ZERO, ReplicaTimer::IsrExpiration);
        self.schedule(ctx, INITIAL_TASK_DELAY, ReplicaTimer::RecoveryPointCheckpoint);
        if let Some(interval) = self.shared.config.log_flush_interval_ms {
            self.schedule(ctx, Span::from_ms(interval.max(1)), ReplicaTimer::LogFlush);
        }
    }

    /// `ReplicaManager.checkpointHighWatermarks`.
    pub(super) fn checkpoint_high_watermarks(&mut self, ctx: &mut Ctx<'_>) {
        let offsets: Checkpoint = self.partitions.values().map(|p| (p.id, p.log.high_watermark())).collect();
        let entries = offsets.len();
        if self.shared.storage.write_checkpoint(ctx, Flush::HighWatermarks(offsets), entries).is_err() {
            ctx.exit(LOG_DIR_FAILED);
        }
        let interval = self.shared.config.replica_high_watermark_checkpoint_interval_ms;
        self.schedule(ctx, Span::from_ms(interval.into()), ReplicaTimer::HighWatermarkCheckpoint);
    }

    /// `LogManager.checkpointLogRecoveryOffsets`.
    pub(super) fn checkpoint_recovery_points(&mut self, ctx: &mut Ctx<'_>) {
        let offsets: Checkpoint = self.partitions.values().map(|p| (p.id, p.log.synced())).collect();
        let entries = offsets.len();
        if self.shared.storage.write_checkpoint(ctx, Flush::RecoveryPoints(offsets), entries).is_err() {
            ctx.exit(LOG_DIR_FAILED);
        }
        let interval = self.shared.config.log_flush_offset_checkpoint_interval_ms;
        self.schedule(ctx, Span::from_ms(interval.into()), ReplicaTimer::RecoveryPointCheckpoint);
    }

    /// `LogManager.flushDirtyLogs`.
    pub(super) fn flush_dirty_logs(&mut self, ctx: &mut Ctx<'_>) {
        for partition in self.partitions.values().filter(|p| p.log.synced() < p.log.log_end()) {
            self.shared.storage.flush_log(ctx, partition, partition.log.log_end(), FlushWaiter::None);
        }
        if let Some(interval) = self.shared.config.log_flush_interval_ms {
            self.schedule(ctx, Span::from_ms(interval.max(1)), ReplicaTimer::LogFlush);
        }
    }

    /// Sets one of the background timers.
    pub(super) fn schedule(&self, ctx: &mut Ctx<'_>, after: Span, timer: ReplicaTimer) {
        ctx.set_timer(after, Timer::Kafka(KafkaTimer::Replica(timer)));
    }
}

fn checkpointed(checkpoint: &Checkpoint, partition: TopicPartition) -> u64 {
    checkpoint.binary_search_by_key(&partition, |entry| entry.0).map_or(0, |index| checkpoint[index].1)
}
