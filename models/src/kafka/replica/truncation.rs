//! Where a follower cuts its log before it fetches, under protocols before 2.7 (`AbstractFetcherThread.maybeTruncate`): it asks
//! its leader for the end of its own newest epoch, until both agree on an epoch (KIP-101, KIP-279). Since 2.7 the answers to
//! fetches tell it.

use super::ReplicaManager;
use super::fetcher::{FetchState, FetcherId};
use crate::defect::Defect;
use crate::kafka::protocol::{EpochAnswer, EpochQuery, ErrorCode};
use crate::observation::TruncateReason;
use crate::world::Ctx;

impl ReplicaManager {
    /// Settles what needs no leader, and returns what a thread has to ask its leader before it fetches.
    pub(super) fn maybe_truncate(&mut self, ctx: &mut Ctx<'_>, key: FetcherId) -> Vec<EpochQuery> {
        let Some(fetcher) = self.fetchers.get_mut(key) else { return Vec::new() };
        // KAFKA-1211: the defective follower trusts its own high watermark, which may be behind the committed one.
        let asks = !self.shared.defects.has(Defect::HwTruncation);
        let mut queries = Vec::new();
        for id in fetcher.truncating() {
            let (Some(state), Some(partition)) = (fetcher.state(id), self.partitions.get_mut(id)) else { continue };
            if let Some(leader_epoch) = partition.log.epochs().latest().filter(|_| asks) {
                let current_leader_epoch = fetcher.rules.stated(state.leader_epoch);
                queries.push(EpochQuery { partition: id, current_leader_epoch, leader_epoch });
            } else {
                // `truncateToHighWatermark`: without epochs there is nothing to ask.
                partition.truncate(ctx, &mut self.shared, state.offset, TruncateReason::HighWatermark);
                fetcher.truncated(id, partition.log.log_end());
            }
        }
        queries
    }

    /// The leader's answer (`maybeTruncateToEpochEndOffsets`).
    pub(super) fn on_epoch_ends(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: FetcherId,
        queries: &[EpochQuery],
        answers: &[EpochAnswer],
    ) {
        for query in queries {
            let id = query.partition;
            let Some(fetcher) = self.fetchers.get_mut(key) else { return };
            // Not for a partition that has left, or follows in another epoch meanwhile (KAFKA-7786).
            let fits = |state: &FetchState| {
                state.truncating && query.current_leader_epoch.is_none_or(|epoch| epoch == state.leader_epoch)
            };
            let (Some(state), Some(partition)) = (fetcher.state(id).filter(fits), self.partitions.get_mut(id)) else {
                continue;
            };
            let answer = answers.iter().find(|answer| answer.partition == id);
            let error = answer.map_or(ErrorCode::UnknownServerError, |answer| answer.error);
            if error != ErrorCode::None {
                self.on_partition_error(ctx, key, id, error);
                continue;
            }
            let settled = match answer.and_then(|answer| answer.end) {
                Some(end) => partition.truncate_to_epoch_end(ctx, &mut self.shared, end, TruncateReason::EpochQuery),
                // The leader knows nothing of that epoch nor of a later one: the high watermark is what is left.
                None => {
                    partition.truncate(ctx, &mut self.shared, state.offset, TruncateReason::HighWatermark);
                    true
                }
            };
            let log_end = partition.log.log_end();
            if settled {
                fetcher.truncated(id, log_end);
            } else {
                fetcher.set(id, FetchState { offset: log_end, ..state });
            }
        }
    }
}
