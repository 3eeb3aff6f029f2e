//! What the controller tells a broker of its replicas (`ReplicaManager.becomeLeaderOrFollower`, `stopReplicas`).

use std::collections::BTreeSet;

use super::fetcher::{Fetcher, FetcherId};
use super::log_dirs::NEW_LOG_BYTES;
use super::{CoordinatorEvent, ReplicaManager, ReplicaTimer};
use crate::defect::Defect;
use crate::id::{BrokerId, Topic, TopicPartition};
use crate::kafka::metadata_cache::MetadataCache;
use crate::kafka::protocol::{ErrorCode, LeaderAndIsrRequest, PartitionLeadership, Response, StopReplicaRequest};
use crate::time::Span;
use crate::world::Ctx;

/// `LeaderAndIsr.EpochDuringDelete` and `LeaderAndIsr.NoEpoch`: accepted whatever the local epoch is.
const UNFENCED_EPOCHS: [i32; 2] = [-2, -1];

impl ReplicaManager {
    /// Becomes leader or follower as told. A partition whose leader epoch is not higher than the known one is refused, so ISR
    /// changes never arrive this way, and a repeated request is harmless.
    pub fn leader_and_isr(
        &mut self,
        ctx: &mut Ctx<'_>,
        cache: &MetadataCache,
        request: &LeaderAndIsrRequest,
    ) -> Response {
        self.accept_controller_epoch(request.controller_epoch);
        let me = self.shared.broker;
        let mut results = Vec::with_capacity(request.partitions.len());
        let (mut leaders, mut followers) = (Vec::new(), Vec::new());
        for told in &request.partitions {
            let known = self.partitions.get(told.partition).map_or(-1, |partition| partition.leader_epoch);
            let error = if self.offline.contains_key(told.partition) {
                ErrorCode::KafkaStorageError
            } else if told.state.leader_epoch <= known {
                ErrorCode::StaleControllerEpoch
            } else if !told.replicas.contains(&me) {
                ErrorCode::UnknownTopicOrPartition
            } else if self.create_log(ctx, told.partition).is_err() {
                ErrorCode::KafkaStorageError
            } else {
                if told.state.leader == Some(me) {
                    leaders.push(told);
                } else {
                    followers.push(told);
                }
                ErrorCode::None
            };
            results.push((told.partition, error));
        }
        self.make_leaders(ctx, cache, &leaders);
        self.make_followers(ctx, cache, &followers);
        self.shut_idle_fetchers(ctx);
        self.pump_all(ctx);
        self.complete_woken_fetches(ctx, cache);
        if !self.checkpointing {
            self.checkpointing = true;
            self.schedule(ctx, Span::ZERO, ReplicaTimer::HighWatermarkCheckpoint);
        }
        Response::LeaderAndIsr { error: ErrorCode::None, partitions: results }
    }

    fn make_leaders(&mut self, ctx: &mut Ctx<'_>, cache: &MetadataCache, leaders: &[&PartitionLeadership]) {
        // Fetchers first, for the whole set: nothing may append to a log that is about to lead.
        leaders.iter().for_each(|told| self.remove_fetcher(told.partition));
        for told in leaders {
            let Some(partition) = self.partitions.get_mut(told.partition) else { continue };
            let led = partition.is_leader();
            if partition.make_leader(ctx, cache, &mut self.shared, told) {
                self.note_leadership(told.partition, led);
            }
        }
    }

    fn make_followers(&mut self, ctx: &mut Ctx<'_>, cache: &MetadataCache, followers: &[&PartitionLeadership]) {
        let mut moved = Vec::with_capacity(followers.len());
        for told in followers {
            let Some(partition) = self.partitions.get_mut(told.partition) else { continue };
            // A leader that is not alive, or none at all: the log is made and the old role kept, without an error.
            let Some(leader) = told.state.leader.filter(|leader| cache.is_alive(*leader)) else { continue };
            // KAFKA-7164: the defective broker hears nothing new in an epoch whose leader it follows already.
            let same_leader = partition.following == Some(leader);
            let skip = same_leader && self.shared.defects.has(Defect::SkipTruncationSameLeader);
            if partition.make_follower(ctx, &mut self.shared, told, leader) && !skip {
                moved.push((told.partition, leader));
            }
        }
        moved.iter().for_each(|(id, _)| self.remove_fetcher(*id));
        for (id, leader) in moved {
            self.add_fetcher(id, leader);
            self.note_leadership(id, false);
        }
    }

    /// Stops following, and deletes the replica if told so. A leader epoch below the known one is refused; sentinels are not
    /// compared.
    pub fn stop_replica(&mut self, ctx: &mut Ctx<'_>, cache: &MetadataCache, request: &StopReplicaRequest) -> Response {
        self.accept_controller_epoch(request.controller_epoch);
        let mut results = Vec::with_capacity(request.partitions.len());
        for (id, leader_epoch, delete) in &request.partitions {
            if self.offline.contains_key(*id) {
                results.push((*id, ErrorCode::KafkaStorageError));
                continue;
            }
            let known = self.partitions.get(*id).map_or(-1, |partition| partition.leader_epoch);
            if *leader_epoch < known && !UNFENCED_EPOCHS.contains(leader_epoch) {
                results.push((*id, ErrorCode::FencedLeaderEpoch));
                continue;
            }
            self.stop_one(ctx, *id, *delete);
            if *delete && id.topic == Topic::CONSUMER_OFFSETS {
                let leader_epoch = (*leader_epoch >= 0).then_some(*leader_epoch);
                self.coordinator_events.push(CoordinatorEvent::Resigned { partition: id.partition, leader_epoch });
            }
            results.push((*id, ErrorCode::None));
        }
        self.shut_idle_fetchers(ctx);
        self.pump_all(ctx);
        self.complete_woken_fetches(ctx, cache);
        Response::StopReplica { error: ErrorCode::None, partitions: results }
    }

    fn stop_one(&mut self, ctx: &mut Ctx<'_>, id: TopicPartition, delete: bool) {
        self.remove_fetcher(id);
        if !delete {
            return;
        }
        if let Some(mut partition) = self.partitions.remove(id) {
            partition.step_down(ctx, &mut self.shared);
            let bytes = partition.log.restart_at(0);
            ctx.free(bytes + NEW_LOG_BYTES);
            self.shared.storage.dirs.forget(partition.dir);
        }
    }

    /// The metadata cache took an UpdateMetadata request. As in the real broker nothing follows at once: liveness of leaders
    /// and followers is looked up with the next LeaderAndIsr request or fetch.
    pub fn metadata_updated(&mut self, _ctx: &mut Ctx<'_>, _cache: &MetadataCache) {}

    /// `AbstractFetcherManager.getFetcherId`.
    fn fetcher_of(&self, id: TopicPartition, source: BrokerId) -> FetcherId {
        let fetchers = self.shared.config.num_replica_fetchers.max(1);
        if fetchers == 1 {
            return (source, 0);
        }
        // `31 * topic.hashCode + partition`, with Java's hash of strings.
        let step = |hash: i32, byte: u8| hash.wrapping_mul(31).wrapping_add(byte.into());
        let topic = id.topic.name().bytes().fold(0, step);
        let hash = topic.wrapping_mul(31).wrapping_add(id.partition.into());
        (source, ((hash & i32::MAX) as u32 % fetchers) as u16)
    }

    fn add_fetcher(&mut self, id: TopicPartition, leader: BrokerId) {
        let key = self.fetcher_of(id, leader);
        let Some(address) = self.addresses.get(&leader).copied() else { return };
        let Some(partition) = self.partitions.get_mut(id) else { return };
        partition.following = Some(leader);
        self.shared.metrics.fetcher_removed(id);
        let shared = &self.shared;
        let fetcher = self.fetchers.get_or_insert_with(key, || Fetcher::new(key, address, shared));
        fetcher.add(partition);
    }

    /// A fetcher thread gives a partition up (`addFailedPartition`), until the controller tells of it again.
    pub(super) fn fail_fetcher(&mut self, id: TopicPartition) {
        self.remove_fetcher(id);
        self.shared.metrics.fetcher_failed(id);
    }

    pub(super) fn remove_fetcher(&mut self, id: TopicPartition) {
        let Some(leader) = self.partitions.get_mut(id).and_then(|partition| partition.following.take()) else {
            return;
        };
        let key = self.fetcher_of(id, leader);
        if let Some(fetcher) = self.fetchers.get_mut(key) {
            fetcher.remove(id);
        }
        self.shared.metrics.fetcher_removed(id);
    }

    pub(super) fn shut_idle_fetchers(&mut self, ctx: &mut Ctx<'_>) {
        // A real thread ends with the answer at hand. Where that matters (KAFKA-13207, R10), the model's waits for the answer
        // under way instead: it stands for one that has come and is not handled yet.
        let waits = self.shared.defects.has(Defect::TruncateAfterRoleChange);
        let idle = |fetcher: &Fetcher| fetcher.is_empty() && !(waits && fetcher.in_flight.is_some());
        let keys: BTreeSet<_> = self.fetchers.iter().filter(|(_, f)| idle(f)).map(|(key, _)| key).collect();
        for key in keys {
            if let Some(mut fetcher) = self.fetchers.remove(key) {
                fetcher.channel.shut(ctx);
            }
        }
    }
}
