//! What group coordinators need of the replicas: appends with `acks=all`, reads of a whole log, and word of who leads.

use std::sync::Arc;

use super::ReplicaManager;
use super::partition::Partition;
use super::purgatory::Asker;
use crate::fingerprint::Fingerprint;
use crate::id::{Topic, TopicPartition, ValueId};
use crate::kafka::config::Acks;
use crate::kafka::group::messages::CoordinatorRecord;
use crate::kafka::metadata_cache::MetadataCache;
use crate::kafka::protocol::{ErrorCode, ProduceResult, RecordBatch};
use crate::time::Span;
use crate::world::Ctx;

/// Bytes of a batch without its records.
const BATCH_OVERHEAD: u32 = 61;

/// Something that concerns the broker's group coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CoordinatorEvent {
    /// The broker leads a partition of `__consumer_offsets` that it did not lead before.
    Elected {
        /// The partition's number.
        partition: u16,
        /// Its leader epoch.
        leader_epoch: i32,
    },
    /// It follows, or the replica is gone.
    Resigned {
        /// The partition's number.
        partition: u16,
        /// The leader epoch, if the request told one.
        leader_epoch: Option<i32>,
    },
    /// A log was read.
    Read {
        /// The coordinator's number for the load.
        load: u64,
    },
    /// An append was replicated, or failed.
    Appended {
        /// The coordinator's number for it.
        append: u64,
        /// How it ended.
        error: ErrorCode,
        /// Where its first record stands, if it stands anywhere.
        base_offset: Option<u64>,
    },
}

impl ReplicaManager {
    /// What has happened since the last call, in order.
    pub fn take_coordinator_events(&mut self) -> Vec<CoordinatorEvent> {
        let mut events = std::mem::take(&mut self.coordinator_events);
        events.append(&mut self.shared.produces.appended);
        events
    }

    /// Whether anything has.
    pub fn has_coordinator_events(&self) -> bool {
        !(self.coordinator_events.is_empty() && self.shared.produces.appended.is_empty())
    }

    /// Appends as a producer with `acks=all` does. [`CoordinatorEvent::Appended`] follows.
    pub fn append_for_coordinator(
        &mut self,
        ctx: &mut Ctx<'_>,
        cache: &MetadataCache,
        id: TopicPartition,
        records: Arc<[CoordinatorRecord]>,
        timeout: Span,
        append: u64,
    ) {
        let place = self.partitions.get(id).map(|partition| (partition.leader_epoch, partition.log.log_end()));
        // Nobody produced these records, so what they say and where they stand is their identity.
        let identify = |record: &CoordinatorRecord| ValueId(Fingerprint::of(&(ctx.me, place, record)));
        let batch = RecordBatch {
            base_offset: 0,
            leader_epoch: -1,
            producer: None,
            values: records.iter().map(identify).collect(),
            size: BATCH_OVERHEAD + records.iter().map(CoordinatorRecord::size).sum::<u32>(),
            content: Some(records),
            timestamp: ctx.wall,
        };
        let deadline = ctx.now + timeout;
        self.append_and_answer(ctx, cache, Asker::Coordinator(append), Acks::All, deadline, &[(id, Arc::new(batch))]);
    }

    /// Reads a log from its start to LEO. [`CoordinatorEvent::Read`] follows when the disk has given it all.
    pub fn read_for_coordinator(&mut self, ctx: &mut Ctx<'_>, id: TopicPartition, load: u64) -> Vec<Arc<RecordBatch>> {
        let log = self.partitions.get(id).map(|partition| &partition.log);
        let batches = log.map_or_else(Vec::new, |log| log.read(log.log_start(), log.log_end(), u64::MAX, true));
        let bytes = batches.iter().map(|batch| u64::from(batch.size)).sum();
        self.shared.storage.read_log(ctx, load, bytes);
        batches
    }

    /// A partition got a leader epoch.
    pub(super) fn note_leadership(&mut self, id: TopicPartition, led: bool) {
        if id.topic != Topic::CONSUMER_OFFSETS {
            return;
        }
        let Some(Partition { leader_epoch, epoch_start, .. }) = self.partitions.get(id) else { return };
        let (partition, leader_epoch) = (id.partition, *leader_epoch);
        if epoch_start.is_none() {
            let leader_epoch = Some(leader_epoch);
            self.coordinator_events.push(CoordinatorEvent::Resigned { partition, leader_epoch });
        } else if !led {
            self.coordinator_events.push(CoordinatorEvent::Elected { partition, leader_epoch });
        }
    }
}

/// The answer to the coordinator.
pub(super) fn appended(append: u64, result: ProduceResult) -> CoordinatorEvent {
    CoordinatorEvent::Appended { append, error: result.error, base_offset: result.base_offset }
}
