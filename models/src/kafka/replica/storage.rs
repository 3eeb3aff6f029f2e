//! What is on its way to the disk, and the two checkpoint files. Appends go to the page cache; only what is named here is
//! ever fsynced.

use std::sync::Arc;

use super::log::Log;
use super::log_dirs::Dirs;
use super::partition::Partition;
use super::{CoordinatorEvent, Partitions, ReplicaManager, ReplicaTimer};
use crate::id::{BrokerId, DiskToken, TopicPartition};
use crate::kafka::Timer as KafkaTimer;
use crate::kafka::metadata_cache::MetadataCache;
use crate::process::{DiskError, Loss};
use crate::random::Random;
use crate::sorted_map::SortedMap;
use crate::time::Span;
use crate::world::{Ctx, Timer};

/// Bytes of a line of a checkpoint file, roughly.
const CHECKPOINT_ENTRY_BYTES: u64 = 20;

/// `LogManager.InitialTaskDelayMs`: background tasks begin this long after the start.
const INITIAL_TASK_DELAY: Span = Span::from_secs(30);

/// A checkpoint file: an offset per partition, sorted by partition. Written to the side, fsynced, renamed.
pub(super) type Checkpoint = Arc<[(TopicPartition, u64)]>;

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

/// What a request to the disk is for.
#[derive(Clone, Debug, Hash)]
pub(super) enum Flush {
    Log {
        partition: TopicPartition,
        offset: u64,
        generation: u64,
        waiter: FlushWaiter,
    },
    HighWatermarks(Checkpoint),
    RecoveryPoints(Checkpoint),
    /// What recovery reads of a directory.
    Recovery(u8),
    /// A log is read for the group coordinator.
    Load(u64),
    /// Everything, before a clean end.
    Shutdown,
}

/// Requests to the disk that are under way, and what the checkpoint files hold.
#[derive(Clone, Debug, Hash)]
pub(super) struct Storage {
    next: u64,
    under_way: SortedMap<u64, Flush>,
    pub(super) high_watermarks: Checkpoint,
    pub(super) recovery_points: Checkpoint,
    pub(super) dirs: Dirs,
}

impl Storage {
    /// Nothing on disk, in this many directories.
    pub(super) fn new(dirs: usize) -> Self {
        let none: Checkpoint = Arc::new([]);
        Self {
            next: 0,
            under_way: SortedMap::default(),
            high_watermarks: Arc::clone(&none),
            recovery_points: none,
            dirs: Dirs::new(dirs),
        }
    }

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
        self.dirs.crash();
    }

    /// Takes note of a request.
    pub(super) fn begin(&mut self, what: Flush) -> DiskToken {
        self.next += 1;
        self.under_way.insert(self.next, what);
        DiskToken(self.next)
    }

    /// Writes a checkpoint file in each directory. The real ones list only what is in their directory; here one list holds all.
    fn write_checkpoint(&mut self, ctx: &mut Ctx<'_>, what: Flush, entries: usize) {
        // The scheduler runs one instance of a task at a time: the next one waits for a slow fsync.
        if self.under_way.values().any(|other| std::mem::discriminant(other) == std::mem::discriminant(&what)) {
            return;
        }
        let online = self.dirs.online();
        let bytes = (entries as u64 * CHECKPOINT_ENTRY_BYTES).div_ceil(online.len().max(1) as u64);
        for dir in online {
            match ctx.write_to(dir, bytes) {
                Ok(()) => ctx.free(bytes),
                Err(error) => self.dirs.report(dir, error),
            }
        }
        let token = self.begin(what);
        ctx.fsync(token);
    }
}

impl ReplicaManager {
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
        let Some(done) = self.shared.storage.under_way.remove(token.0) else { return };
        let result = match &done {
            Flush::Log { partition, .. } => self
                .partitions
                .get(*partition)
                .map_or(result, |partition| result.and_then(|()| ctx.check_dir(partition.dir))),
            Flush::Recovery(dir) => result.and_then(|()| ctx.check_dir(*dir)),
            _ => result,
        };
        if let Flush::Shutdown = done {
            return self.on_closed(ctx, result);
        }
        if let Err(error) = result {
            let dirs = &mut self.shared.storage.dirs;
            match done {
                Flush::Log { partition, .. } => {
                    if let Some(partition) = self.partitions.get(partition) {
                        dirs.report(partition.dir, error);
                    }
                }
                Flush::Recovery(dir) => dirs.report(dir, error),
                // One request stands for a file in each directory.
                _ => dirs.online().into_iter().for_each(|dir| dirs.report(dir, error)),
            }
            return;
        }
        match done {
            Flush::Shutdown => {}
            Flush::Recovery(dir) => self.recovered(ctx, dir),
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
        let (online, offline) = (std::mem::take(&mut self.partitions), std::mem::take(&mut self.offline));
        for partition in online.values().chain(offline.values()) {
            let mut log = partition.log.clone();
            lost |= match loss {
                Loss::Memory => false,
                Loss::PageCache => log.lose_page_cache(|unsynced| random.below(unsynced + 1)),
                Loss::Unsynced => log.lose_page_cache(|_| 0),
            };
            survivors.insert(partition.id, Partition::new(partition.id, partition.dir, log));
        }
        let storage = std::mem::replace(&mut self.shared.storage, Storage::new(0));
        let (shared, addresses) = (&self.shared, Arc::clone(&self.addresses));
        let racks = Arc::clone(&shared.racks);
        *self = Self::new(shared.broker, Arc::clone(&shared.config), shared.defects, addresses, racks);
        self.partitions = survivors;
        self.shared.storage = storage;
        lost
    }

    /// The scheduler's tasks begin once the logs are loaded.
    pub(super) fn start_background_tasks(&self, ctx: &mut Ctx<'_>) {
        self.schedule(ctx, Span::ZERO, ReplicaTimer::IsrExpiration);
        self.schedule(ctx, INITIAL_TASK_DELAY, ReplicaTimer::RecoveryPointCheckpoint);
        self.schedule(ctx, INITIAL_TASK_DELAY, ReplicaTimer::LogRetention);
        if let Some(interval) = self.shared.config.log_flush_interval_ms {
            self.schedule(ctx, Span::from_ms(interval.max(1)), ReplicaTimer::LogFlush);
        }
    }

    /// A checkpoint file's content: `offset` of every log in use. What stands there for logs in failed directories stays.
    pub(super) fn checkpoint(&self, offset: impl Fn(&Log) -> u64, recovery_points: bool) -> Checkpoint {
        let in_use = self.partitions.values().map(|partition| (partition.id, offset(&partition.log)));
        if self.offline.is_empty() {
            return in_use.collect();
        }
        let storage = &self.shared.storage;
        let before = if recovery_points { &storage.recovery_points } else { &storage.high_watermarks };
        let kept = self.offline.keys().map(|id| (id, checkpointed(before, id)));
        let mut all: Vec<_> = in_use.chain(kept).collect();
        all.sort_unstable_by_key(|entry| entry.0);
        all.into()
    }

    /// `ReplicaManager.checkpointHighWatermarks`.
    pub(super) fn checkpoint_high_watermarks(&mut self, ctx: &mut Ctx<'_>) {
        let offsets = self.checkpoint(Log::high_watermark, false);
        let entries = offsets.len();
        self.shared.storage.write_checkpoint(ctx, Flush::HighWatermarks(offsets), entries);
        let interval = self.shared.config.replica_high_watermark_checkpoint_interval_ms;
        self.schedule(ctx, Span::from_ms(interval.into()), ReplicaTimer::HighWatermarkCheckpoint);
    }

    /// `LogManager.checkpointLogRecoveryOffsets`.
    pub(super) fn checkpoint_recovery_points(&mut self, ctx: &mut Ctx<'_>) {
        let offsets = self.checkpoint(Log::synced, true);
        let entries = offsets.len();
        self.shared.storage.write_checkpoint(ctx, Flush::RecoveryPoints(offsets), entries);
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

/// What a checkpoint file says of a partition; 0 if nothing.
pub(super) fn checkpointed(checkpoint: &Checkpoint, partition: TopicPartition) -> u64 {
    checkpoint.binary_search_by_key(&partition, |entry| entry.0).map_or(0, |index| checkpoint[index].1)
}
