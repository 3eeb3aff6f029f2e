//! Produce requests (`ReplicaManager.appendRecords`).

use std::sync::Arc;

use super::ReplicaManager;
use super::leader::Appended;
use super::partition::ProduceWaiter;
use super::purgatory::{Asker, ProduceSlot};
use super::storage::FlushWaiter;
use crate::id::TopicPartition;
use crate::kafka::config::Acks;
use crate::kafka::metadata_cache::MetadataCache;
use crate::kafka::protocol::{ErrorCode, Origin, ProduceRequest, ProduceResult, RecordBatch};
use crate::time::Instant;
use crate::world::Ctx;

impl ReplicaManager {
    /// Appends and answers: at once for `acks=1`, once the high watermark is there for `acks=all`, never for `acks=0`, where
    /// an error closes the connection.
    pub fn produce(&mut self, ctx: &mut Ctx<'_>, cache: &MetadataCache, origin: Origin, request: ProduceRequest) {
        let deadline = ctx.now + request.timeout;
        self.append_and_answer(ctx, cache, Asker::Client(origin), request.acks, deadline, &request.batches);
    }

    /// Appends for a client or for the broker's own coordinator (`ReplicaManager.appendRecords`).
    pub(super) fn append_and_answer(
        &mut self,
        ctx: &mut Ctx<'_>,
        cache: &MetadataCache,
        asker: Asker,
        acks: Acks,
        deadline: Instant,
        batches: &[(TopicPartition, Arc<RecordBatch>)],
    ) {
        let mut slots = Vec::with_capacity(batches.len());
        let mut flushes = Vec::new();
        for (id, batch) in batches {
            // `KafkaApis.handleProduceRequest` asks the metadata cache before the replica.
            let (slot, flush) = if matches!(asker, Asker::Client(_)) && !cache.contains(*id) {
                (refused(*id, batch, ErrorCode::UnknownTopicOrPartition), None)
            } else {
                self.produce_one(ctx, cache, *id, batch, acks, slots.len() as u32)
            };
            slots.push(slot);
            flushes.extend(flush);
        }
        let produce = self.shared.produces.next_id();
        if !flushes.is_empty() || slots.iter().any(|slot| slot.waiting) {
            let asker = if acks == Acks::None { Asker::Nobody } else { asker };
            self.shared.produces.wait(ctx, asker, deadline, slots, flushes.len() as u32);
            for id in flushes {
                if let Some(partition) = self.partitions.get(id) {
                    let waiter = FlushWaiter::Produce(produce);
                    self.shared.storage.flush_log(ctx, partition, partition.log.log_end(), waiter);
                }
            }
        } else if acks != Acks::None {
            self.shared.produces.tell(ctx, asker, &slots);
        } else if let Asker::Client(origin) = asker
            && slots.iter().any(|slot| slot.result.error != ErrorCode::None)
        {
            ctx.close(origin.conn);
            self.on_client_closed(ctx, origin.conn);
        }
        self.complete_woken_fetches(ctx, cache);
    }

    /// One partition of it; the second part names it if its log is to be flushed before the answer.
    fn produce_one(
        &mut self,
        ctx: &mut Ctx<'_>,
        cache: &MetadataCache,
        id: TopicPartition,
        batch: &RecordBatch,
        acks: Acks,
        slot: u32,
    ) -> (ProduceSlot, Option<TopicPartition>) {
        let records = batch.values.len() as u32;
        let Some(partition) = self.partitions.get_mut(id) else {
            return (refused(id, batch, self.missing(id, ErrorCode::NotLeaderOrFollower)), None);
        };
        let shared = &mut self.shared;
        let appended = match partition.append_as_leader(ctx, cache, shared, batch, acks) {
            Ok(appended) => appended,
            Err(error) => return (refused(id, batch, error), None),
        };
        let Appended { base_offset, required, flush } = appended;
        let waiting = acks == Acks::All && partition.log.high_watermark() < required;
        let error = match acks {
            Acks::All if waiting => {
                partition.await_high_watermark(ProduceWaiter { required, produce: shared.produces.next_id(), slot });
                ErrorCode::RequestTimedOut
            }
            Acks::All => partition.acks_all_verdict(shared),
            Acks::Leader | Acks::None => ErrorCode::None,
        };
        if error == ErrorCode::None && acks != Acks::None {
            partition.observe_acknowledge(ctx, shared, base_offset, records, acks);
        }
        let result = ProduceResult { partition: id, error, base_offset: Some(base_offset) };
        (ProduceSlot { result, records, waiting }, flush.then_some(id))
    }
}

/// What becomes of a batch that is not appended.
fn refused(partition: TopicPartition, batch: &RecordBatch, error: ErrorCode) -> ProduceSlot {
    let result = ProduceResult { partition, error, base_offset: None };
    ProduceSlot { result, records: batch.values.len() as u32, waiting: false }
}
