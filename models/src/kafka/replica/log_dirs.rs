//! The log directories (`LogManager`, `LogDirFailureChannel`): where a new log goes, what a directory's failure takes away,
//! how its logs are recovered, and how it is closed cleanly.

use super::log::Log;
use super::partition::{Partition, Wake};
use super::storage::{Flush, checkpointed};
use super::{ReplicaManager, ReplicaTimer};
use crate::id::TopicPartition;
use crate::observation::{Observation, ReplicaRole, TruncateReason};
use crate::process::DiskError;
use crate::time::Span;
use crate::world::Ctx;

/// Why a broker ends without another word when its last log directory fails (`LogManager.handleLogDirFailure` halts the JVM).
pub(super) const LOG_DIRS_FAILED: &str = "all log directories have failed";

/// What a log without records takes: its directory and the first blocks of its files.
pub(super) const NEW_LOG_BYTES: u64 = 4_096;

/// A small file.
const META_BYTES: u64 = 100;

/// Bytes that one recovery thread checks in a second: it reads every batch, checks its CRC and writes the indexes anew. Ours;
/// Kafka states no number. It is the rate of one busy core on lz4 batches; the disk may be slower.
const RECOVERY_RATE: u64 = 200_000_000;

/// One of `log.dirs`.
#[derive(Clone, Debug, Hash)]
struct Dir {
    /// Whether `.kafka_cleanshutdown` is in it. It outlives the process, and the host: it is written with fsync.
    clean: bool,
    /// How many logs it holds.
    logs: u32,
    /// Whether it is in use. All are tried again at the next start.
    online: bool,
    /// What its recovery still waits for: the disk, the threads.
    recovering: u8,
    /// Bytes that its recovery reads.
    recovery_bytes: u64,
}

/// All of `log.dirs`.
#[derive(Clone, Debug, Hash)]
pub(super) struct Dirs {
    dirs: Vec<Dir>,
    /// `LogDirFailureChannel`: reported by whoever met the error, not handled yet.
    reported: Vec<(u8, DiskError)>,
    /// The index files are damaged or gone; the next start finds out.
    indexes_damaged: bool,
}

impl Dirs {
    /// `count` directories that have never been used. The first start finds nothing to recover in them.
    pub(super) fn new(count: usize) -> Self {
        let dir = Dir { clean: false, logs: 0, online: true, recovering: 0, recovery_bytes: 0 };
        Self { dirs: vec![dir; count], reported: Vec::new(), indexes_damaged: false }
    }

    /// `LogDirFailureChannel.maybeAddOfflineLogDir`.
    pub(super) fn report(&mut self, dir: u8, error: DiskError) {
        self.reported.push((dir, error));
    }

    /// A log of the directory is deleted.
    pub(super) fn forget(&mut self, dir: u8) {
        let logs = &mut self.dirs[usize::from(dir)].logs;
        *logs = logs.saturating_sub(1);
    }

    /// The directories in use, in their order.
    pub(super) fn online(&self) -> Vec<u8> {
        (0u8..).zip(&self.dirs).filter(|(_, dir)| dir.online).map(|(number, _)| number).collect()
    }

    /// `LogManager.nextLogDirs`: the directory with the fewest logs, the first of them if there are several.
    fn roomiest(&self) -> Option<u8> {
        let online = (0u8..).zip(&self.dirs).filter(|(_, dir)| dir.online);
        online.min_by_key(|(_, dir)| dir.logs).map(|(number, _)| number)
    }

    /// The process stops existing.
    pub(super) fn crash(&mut self) {
        self.reported.clear();
        for dir in &mut self.dirs {
            dir.online = true;
            dir.recovering = 0;
        }
    }
}

impl ReplicaManager {
    /// `LogManager.loadLogs`. A directory that was closed cleanly is taken as it is. Of the others every segment that was not
    /// flushed is read and its indexes are rebuilt, by `num.recovery.threads.per.data.dir` threads that take one log at a time.
    /// Where index files are missing or damaged, every segment is, clean or not (`LogLoader.loadSegmentFiles`).
    pub fn load_logs(&mut self, ctx: &mut Ctx<'_>) {
        let damaged = std::mem::take(&mut self.shared.storage.dirs.indexes_damaged);
        for dir in self.shared.storage.dirs.online() {
            if let Err(error) = ctx.check_dir(dir) {
                // `createAndValidateLogDirs`.
                self.shared.storage.dirs.report(dir, error);
                continue;
            }
            let clean = std::mem::take(&mut self.shared.storage.dirs.dirs[usize::from(dir)].clean);
            if damaged || !clean {
                self.begin_recovery(ctx, dir, damaged);
            }
        }
        self.maybe_finish_loading(ctx);
    }

    /// The index files of all logs are damaged, or removed by hand. A running broker has them mapped and does not notice.
    pub fn damage_indexes(&mut self) {
        self.shared.storage.dirs.indexes_damaged = true;
    }

    fn begin_recovery(&mut self, ctx: &mut Ctx<'_>, dir: u8, from_the_start: bool) {
        let points = &self.shared.storage.recovery_points;
        let logs: Vec<u64> = (self.partitions.values().filter(|partition| partition.dir == dir))
            .map(|partition| {
                let point = if from_the_start { 0 } else { checkpointed(points, partition.id) };
                partition.log.bytes_to_recover(point)
            })
            .filter(|bytes| *bytes > 0)
            .collect();
        let bytes = logs.iter().sum();
        if bytes == 0 {
            return;
        }
        ctx.observe(Observation::LogRecoveryBegin { dir: dir.into(), logs: logs.len() as u32, bytes });
        let threads = self.shared.config.num_recovery_threads_per_data_dir as usize;
        let busy = Span::from_secs(1).scaled(longest_thread(&logs, threads), RECOVERY_RATE);
        self.schedule(ctx, busy, ReplicaTimer::RecoveryThreads(dir));
        let token = self.shared.storage.begin(Flush::Recovery(dir));
        ctx.read(token, bytes);
        let state = &mut self.shared.storage.dirs.dirs[usize::from(dir)];
        state.recovering = 2;
        state.recovery_bytes = bytes;
    }

    /// The disk or the threads are done with a directory.
    pub(super) fn recovered(&mut self, ctx: &mut Ctx<'_>, dir: u8) {
        let state = &mut self.shared.storage.dirs.dirs[usize::from(dir)];
        state.recovering = state.recovering.saturating_sub(1);
        if state.recovering == 0 && state.online {
            ctx.observe(Observation::LogRecoveryEnd { dir: dir.into(), bytes: state.recovery_bytes });
        }
        self.maybe_finish_loading(ctx);
    }

    fn maybe_finish_loading(&mut self, ctx: &mut Ctx<'_>) {
        let waits = |dir: &Dir| dir.online && dir.recovering > 0;
        if !self.loaded && !self.shared.storage.dirs.dirs.iter().any(waits) {
            self.finish_loading(ctx);
        }
    }

    fn finish_loading(&mut self, ctx: &mut Ctx<'_>) {
        self.loaded = true;
        let high_watermarks = self.shared.storage.high_watermarks.clone();
        for partition in self.partitions.values_mut() {
            let log = &mut partition.log;
            let end = log.log_end();
            log.epochs_mut().truncate_from_end(end);
            log.set_high_watermark(checkpointed(&high_watermarks, partition.id));
            // The first torn batch ends the log.
            ctx.free(std::mem::take(&mut log.torn));
            if let Some(lost) = log.lost.take() {
                ctx.free(lost.bytes);
                ctx.observe(Observation::Truncate {
                    partition: partition.id,
                    from: lost.log_end,
                    to: log.log_end(),
                    high_watermark: lost.high_watermark,
                    leader_epoch: partition.leader_epoch,
                    role: ReplicaRole::Follower,
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
        self.start_background_tasks(ctx);
    }

    /// `LogManager.getOrCreateLog`.
    pub(super) fn create_log(&mut self, ctx: &mut Ctx<'_>, id: TopicPartition) -> Result<(), DiskError> {
        if self.partitions.contains_key(id) {
            return Ok(());
        }
        let dirs = &mut self.shared.storage.dirs;
        let dir = dirs.roomiest().ok_or(DiskError::Io)?;
        if let Err(error) = ctx.write_to(dir, NEW_LOG_BYTES) {
            dirs.report(dir, error);
            return Err(error);
        }
        dirs.dirs[usize::from(dir)].logs += 1;
        self.partitions.insert(id, Partition::new(id, dir, Log::new()));
        Ok(())
    }

    /// `LogDirFailureHandler`: what has been reported since the last call. To be called after every input. Returns whether a
    /// directory went offline and others are left, so that the controller has to hear of it.
    pub fn handle_log_dir_failures(&mut self, ctx: &mut Ctx<'_>) -> bool {
        let mut tell = false;
        for (dir, error) in std::mem::take(&mut self.shared.storage.dirs.reported) {
            tell |= self.take_dir_offline(ctx, dir, error);
        }
        tell
    }

    /// `ReplicaManager.handleLogDirFailure`, then `LogManager.handleLogDirFailure`.
    fn take_dir_offline(&mut self, ctx: &mut Ctx<'_>, dir: u8, error: DiskError) -> bool {
        if !std::mem::take(&mut self.shared.storage.dirs.dirs[usize::from(dir)].online) {
            return false;
        }
        let lost: Vec<_> = self.partitions.values().filter(|p| p.dir == dir).map(|p| p.id).collect();
        ctx.observe(Observation::LogDirOffline { dir: dir.into(), partitions: lost.len() as u32, error });
        for id in lost {
            self.remove_fetcher(id);
            let Some(mut partition) = self.partitions.remove(id) else { continue };
            partition.announce(&mut self.shared.sessions, Wake::Nobody);
            partition.observe_leader_end(ctx);
            // Produce requests that wait for it time out: nobody looks at them any more.
            self.offline.insert(id, Partition::new(id, dir, partition.log));
        }
        self.shut_idle_fetchers(ctx);
        if self.shared.storage.dirs.roomiest().is_none() {
            ctx.exit(LOG_DIRS_FAILED);
            return false;
        }
        self.maybe_finish_loading(ctx);
        true
    }

    /// `meta.properties` is written in every directory at every start, after the registration. Its failure ends the start-up.
    ///
    /// # Errors
    /// A directory cannot be written to.
    pub fn write_meta(&self, ctx: &mut Ctx<'_>) -> Result<(), DiskError> {
        for dir in self.shared.storage.dirs.online() {
            ctx.write_to(dir, META_BYTES)?;
            ctx.free(META_BYTES);
        }
        Ok(())
    }

    /// `ReplicaManager.shutdown` and `LogManager.shutdown`: fetchers stop, everything is flushed. [`ReplicaManager::is_closed`]
    /// tells when that is done.
    pub fn close_logs(&mut self, ctx: &mut Ctx<'_>) {
        for (_, mut fetcher) in std::mem::take(&mut self.fetchers).into_entries() {
            fetcher.channel.shut(ctx);
        }
        let token = self.shared.storage.begin(Flush::Shutdown);
        ctx.fsync(token);
    }

    /// The last flush ended: checkpoints and markers are written for the directories that it worked for.
    pub(super) fn on_closed(&mut self, ctx: &mut Ctx<'_>, result: Result<(), DiskError>) {
        self.closed = true;
        let mut bytes = 0;
        for dir in self.shared.storage.dirs.online() {
            if result.is_err() || ctx.check_dir(dir).is_err() {
                continue;
            }
            for partition in self.partitions.values_mut().filter(|partition| partition.dir == dir) {
                bytes += partition.log.size();
                partition.log.mark_synced(partition.log.log_end(), partition.log.generation());
            }
            self.shared.storage.dirs.dirs[usize::from(dir)].clean = true;
        }
        self.shared.storage.high_watermarks = self.checkpoint(Log::high_watermark, false);
        self.shared.storage.recovery_points = self.checkpoint(Log::synced, true);
        ctx.observe(Observation::LogsClosed { clean: result.is_ok(), bytes });
    }

    /// Whether [`ReplicaManager::close_logs`] has come to its end.
    pub fn is_closed(&self) -> bool {
        self.closed
    }
}

/// The most bytes that any of `threads` threads has to check, each taking the next log when it is free.
fn longest_thread(logs: &[u64], threads: usize) -> u64 {
    let mut busy = vec![0u64; threads.clamp(1, logs.len().max(1))];
    for bytes in logs {
        if let Some(free) = busy.iter_mut().min() {
            *free += bytes;
        }
    }
    busy.into_iter().max().unwrap_or(0)
}

#[test]
fn recovery_threads_share_logs_but_never_split_one() {
    let check =
        |threads, expected| assert_eq!(longest_thread(&[6, 1, 1, 1, 5], threads), expected, "{threads} threads");
    check(1, 14);
    check(2, 8); // 6; 1 + 1 + 1 + 5.
    check(4, 6);
    check(100, 6);
}
