//! Replication inside a broker: `ReplicaManager` and all below it.
//!
//! | file | what | in Kafka |
//! |---|---|---|
//! | `log`, `segments`, `epoch_cache`, `producer_state` | one partition's records | `UnifiedLog`, `LogSegments`, `LeaderEpochFileCache`, `ProducerStateManager` |
//! | `retention` | deletion of old segments | `LogManager.cleanupLogs` |
//! | `storage` | fsyncs, checkpoints, crash | `LogManager`, `CheckpointFile` |
//! | `log_dirs` | directories: placement, recovery, failure, clean shutdown | `LogManager`, `LogDirFailureChannel` |
//! | `partition`, `leader`, `follower`, `remote`, `isr` | one replica and its role | `Partition`, `Replica`, `PartitionState` |
//! | `leadership` | what the controller tells | `becomeLeaderOrFollower`, `stopReplicas` |
//! | `produce`, `purgatory` | requests that append | `appendRecords`, `DelayedProduce` |
//! | `coordinator` | what group coordinators append and read | `appendRecords`, `GroupMetadataManager` |
//! | `fetch`, `session`, `selector` | serving fetches | `fetchMessages`, `DelayedFetch`, `FetchSession`, `ReplicaSelector` |
//! | `metrics` | what it tells of itself | gauges and meters of `ReplicaManager`, `ReplicaFetcherManager` |
//! | `fetcher`, `following` | fetching | `AbstractFetcherThread`, `ReplicaFetcherThread` |
//! | `truncation` | where a follower cuts its log before it fetches, before 2.7 | `AbstractFetcherThread.maybeTruncate` |
//!
//! Not modelled: moving logs between directories, compaction, DeleteRecords, transactions, quotas.

mod coordinator;
mod epoch_cache;
mod fetch;
mod fetcher;
mod follower;
mod following;
mod isr;
mod leader;
mod leadership;
mod log;
mod log_dirs;
mod metrics;
mod partition;
mod produce;
mod producer_state;
mod purgatory;
mod remote;
mod retention;
mod segments;
mod selector;
mod session;
mod storage;
#[cfg(test)]
mod tests;
mod truncation;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use self::coordinator::CoordinatorEvent;
use self::fetcher::{Fetcher, FetcherId};
use self::isr::IsrChanges;
use self::metrics::ReplicaMetrics;
use self::partition::{Partition, Shared};
use self::purgatory::ProducePurgatory;
use self::session::FetchSessions;
use self::storage::Storage;
use super::by_partition::ByPartition;
use super::config::BrokerConfig;
use super::metadata_cache::MetadataCache;
use super::protocol::{
    AlterPartitionItem, AlterPartitionResponse, EpochAnswer, EpochEnd, EpochQuery, ErrorCode, OffsetAnswer,
    OffsetQuery, OffsetSpec, Response, UNDEFINED_EPOCH,
};
use super::{Addresses, Racks};
use crate::defect::{Defect, Defects};
use crate::id::{BrokerId, ConnId, TopicPartition};
use crate::sorted_map::SortedMap;
use crate::time::Span;
use crate::world::Ctx;

/// What its timers carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplicaTimer {
    /// `isr-expiration`: look for members of ISRs that lag.
    IsrExpiration,
    /// `highwatermark-checkpoint`.
    HighWatermarkCheckpoint,
    /// `kafka-recovery-point-checkpoint`.
    RecoveryPointCheckpoint,
    /// `kafka-log-retention`.
    LogRetention,
    /// The recovery threads of a directory have checked everything that they were given.
    RecoveryThreads(u8),
    /// `kafka-log-flusher`, if `log.flush.interval.ms` is set.
    LogFlush,
    /// A waiting produce request may have timed out.
    ProduceExpiry,
    /// A waiting fetch may have waited long enough.
    FetchExpiry,
    /// Delayed partitions of a fetcher (source, number) may be fetched again.
    FetcherBackoff(BrokerId, u16),
}

type Partitions = ByPartition<Partition>;

/// The replicas of one broker. A part of the broker's process: it sees the inputs that concern it, and answers requests
/// itself. After any call the broker looks at [`ReplicaManager::take_isr_changes`].
#[derive(Clone, Debug, Hash)]
pub struct ReplicaManager {
    partitions: Partitions,
    /// Replicas in directories that failed (`HostedPartition.Offline`): their logs may be found again at the next start.
    offline: Partitions,
    fetchers: SortedMap<FetcherId, Fetcher>,
    shared: Shared,
    addresses: Addresses,
    controller_epoch: i32,
    /// For the group coordinator, besides what the purgatory has for it.
    coordinator_events: Vec<CoordinatorEvent>,
    loaded: bool,
    /// Everything is flushed, and the process is about to end.
    closed: bool,
    checkpointing: bool,
}

impl ReplicaManager {
    /// A broker without replicas.
    pub fn new(
        broker: BrokerId,
        config: Arc<BrokerConfig>,
        defects: Defects,
        addresses: Addresses,
        racks: Racks,
    ) -> Self {
        let (protocol, defects) = config.rules(defects);
        Self {
            partitions: Partitions::default(),
            offline: Partitions::default(),
            fetchers: SortedMap::default(),
            shared: Shared {
                broker,
                defects,
                protocol,
                sessions: FetchSessions::new(),
                racks,
                produces: ProducePurgatory::new(),
                isr_changes: IsrChanges::default(),
                metrics: ReplicaMetrics::default(),
                storage: Storage::new(config.log_dirs.paths().len()),
                config,
            },
            addresses,
            controller_epoch: 0,
            coordinator_events: Vec::new(),
            loaded: false,
            closed: false,
            checkpointing: false,
        }
    }

    /// The largest controller epoch seen.
    pub fn controller_epoch(&self) -> i32 {
        self.controller_epoch
    }

    /// Takes note of a controller epoch.
    pub fn accept_controller_epoch(&mut self, epoch: i32) {
        self.controller_epoch = self.controller_epoch.max(epoch);
    }

    /// Where epochs end in the logs that this broker leads (`lastOffsetForLeaderEpoch`).
    pub fn offsets_for_leader_epoch(&self, queries: &[EpochQuery]) -> Response {
        let answer = |query: &EpochQuery| {
            let end = self.led(query.partition, query.current_leader_epoch).map(|partition| {
                let end = partition.log.epochs().end_offset_for(query.leader_epoch, partition.log.log_end());
                // Version 0 of the answer has no room for the epoch (KAFKA-6361).
                let coarse = self.shared.defects.has(Defect::EpochQueryTooCoarse);
                end.map(|end| if coarse { EpochEnd { epoch: UNDEFINED_EPOCH, ..end } } else { end })
            });
            let (error, end) = end.map_or_else(|error| (error, None), |end| (ErrorCode::None, end));
            EpochAnswer { partition: query.partition, error, end }
        };
        Response::OffsetsForLeaderEpoch(queries.iter().map(answer).collect())
    }

    /// Where logs that this broker leads begin and end: for followers the log's end, for clients the high watermark, which a
    /// new leader does not tell before it has reached the start of its own epoch (KIP-207); the defective one does (R12).
    pub fn list_offsets(&self, queries: &[OffsetQuery]) -> Response {
        let find = |query: &OffsetQuery| {
            let partition = self.led(query.partition, query.current_leader_epoch)?;
            let log = &partition.log;
            let offset = match query.at {
                OffsetSpec::Earliest => log.log_start(),
                OffsetSpec::Latest if query.replica.is_some() => log.log_end(),
                OffsetSpec::Latest
                    if partition.epoch_start.is_some_and(|start| log.high_watermark() < start)
                        && !self.shared.defects.has(Defect::ListOffsetsNotMonotonic) =>
                {
                    return Err(ErrorCode::OffsetNotAvailable);
                }
                OffsetSpec::Latest => log.high_watermark(),
            };
            Ok((offset, partition.leader_epoch))
        };
        let answer = |query: &OffsetQuery| {
            let (error, (offset, leader_epoch)) =
                find(query).map_or_else(|error| (error, (0, -1)), |found| (ErrorCode::None, found));
            OffsetAnswer { partition: query.partition, error, offset, leader_epoch }
        };
        Response::ListOffsets(queries.iter().map(answer).collect())
    }

    /// `getPartitionOrError` of a replica that is not there: `otherwise`, unless its directory has failed.
    fn missing(&self, id: TopicPartition, otherwise: ErrorCode) -> ErrorCode {
        if self.offline.contains_key(id) { ErrorCode::KafkaStorageError } else { otherwise }
    }

    fn led(&self, id: TopicPartition, current_leader_epoch: Option<i32>) -> Result<&Partition, ErrorCode> {
        let partition = self.partitions.get(id).ok_or_else(|| self.missing(id, ErrorCode::UnknownTopicOrPartition))?;
        partition.check_leader(current_leader_epoch)?;
        Ok(partition)
    }

    /// A client's or follower's connection is gone: what waits on it is dropped, its fetch session ends.
    pub fn on_client_closed(&mut self, _ctx: &mut Ctx<'_>, conn: ConnId) {
        self.shared.produces.drop_conn(conn);
        if let Some(session) = self.shared.sessions.of_conn(conn) {
            self.close_session(session);
        }
    }

    /// The epoch of the controller that told of a partition last; an ISR written to ZooKeeper carries it.
    pub fn controller_epoch_of(&self, partition: TopicPartition) -> i32 {
        self.partitions.get(partition).map_or(0, |partition| partition.controller_epoch)
    }

    /// Unsent ISR changes, to be put into one AlterPartition request; empty if there are none or if an earlier request is
    /// not answered yet. They are in flight until [`ReplicaManager::on_isr_answer`].
    pub fn take_isr_changes(&mut self) -> Vec<AlterPartitionItem> {
        self.shared.isr_changes.take()
    }

    /// The answer to them. After an error for the whole request, or for those that it leaves out, they are unsent again.
    pub fn on_isr_answer(
        &mut self,
        ctx: &mut Ctx<'_>,
        cache: &MetadataCache,
        items: Vec<AlterPartitionItem>,
        answer: AlterPartitionResponse,
    ) {
        let results: BTreeMap<_, _> = answer.partitions.iter().map(|(id, result)| (*id, result)).collect();
        for item in items {
            let Some(result) = results.get(&item.partition).filter(|_| answer.error == ErrorCode::None) else {
                self.shared.isr_changes.resend(item);
                continue;
            };
            self.shared.isr_changes.answered(item.partition);
            if let Some(partition) = self.partitions.get_mut(item.partition) {
                let result = result.as_ref().map_err(|error| *error);
                partition.on_isr_answer(ctx, cache, &mut self.shared, &item, result);
            }
        }
        self.complete_woken_fetches(ctx, cache);
    }

    /// One of its timers fired.
    pub fn on_timer(&mut self, ctx: &mut Ctx<'_>, cache: &MetadataCache, timer: ReplicaTimer) {
        match timer {
            ReplicaTimer::IsrExpiration => {
                for partition in self.partitions.values_mut() {
                    partition.maybe_shrink_isr(ctx, &mut self.shared);
                }
                self.schedule(ctx, self.shared.lag_max() / 2, ReplicaTimer::IsrExpiration);
            }
            ReplicaTimer::HighWatermarkCheckpoint => self.checkpoint_high_watermarks(ctx),
            ReplicaTimer::RecoveryPointCheckpoint => self.checkpoint_recovery_points(ctx),
            ReplicaTimer::LogRetention => self.delete_old_segments(ctx),
            ReplicaTimer::RecoveryThreads(dir) => self.recovered(ctx, dir),
            ReplicaTimer::LogFlush => self.flush_dirty_logs(ctx),
            ReplicaTimer::ProduceExpiry => self.shared.produces.on_timer(ctx),
            ReplicaTimer::FetchExpiry => self.expire_fetches(ctx, cache),
            ReplicaTimer::FetcherBackoff(source, number) => self.on_fetcher_backoff(ctx, (source, number)),
        }
    }

    /// `replica.fetch.backoff.ms`.
    fn fetch_backoff(&self) -> Span {
        Span::from_ms(self.shared.config.replica_fetch_backoff_ms.into())
    }
}
