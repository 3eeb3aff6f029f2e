//! `ControllerBrokerRequestBatch`: requests gathered while states change, flushed as one request per broker and kind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::channel_manager::ControllerChannelManager;
use super::context::ControllerContext;
use crate::id::{BrokerId, TopicPartition};
use crate::kafka::protocol::{
    LeaderAndIsrRequest, PartitionLeadership, Request, StopReplicaRequest, UpdateMetadataRequest,
};
use crate::world::Ctx;

/// A batch. It belongs to the process, not to the controller's term: see `Defect::PoisonedRequestBatch`.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct RequestBatch {
    leader_and_isr: BTreeMap<BrokerId, BTreeMap<TopicPartition, PartitionLeadership>>,
    /// Leader epoch, whether to delete.
    stop_replica: BTreeMap<BrokerId, BTreeMap<TopicPartition, (i32, bool)>>,
    metadata_brokers: BTreeSet<BrokerId>,
    metadata_partitions: BTreeMap<TopicPartition, PartitionLeadership>,
}

impl RequestBatch {
    /// Whether `newBatch` would accept it; otherwise it throws `IllegalStateException`.
    pub(super) fn is_empty(&self) -> bool {
        self.leader_and_isr.is_empty() && self.stop_replica.is_empty() && self.metadata_brokers.is_empty()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// `addLeaderAndIsrRequestForBrokers`: tells `brokers` the cached leadership, and everybody by UpdateMetadata.
    pub(super) fn add_leader_and_isr(
        &mut self,
        context: &ControllerContext,
        brokers: impl IntoIterator<Item = BrokerId>,
        partition: TopicPartition,
        is_new: bool,
    ) {
        let Some(leadership) = context.describe(partition, is_new) else { return };
        for broker in brokers {
            let requests = self.leader_and_isr.entry(broker).or_default();
            let was_new = requests.get(&partition).is_some_and(|p| p.is_new);
            requests.insert(partition, PartitionLeadership { is_new: is_new || was_new, ..leadership.clone() });
        }
        self.add_update_metadata(context, context.live_brokers.keys().copied(), [partition]);
    }

    /// `addStopReplicaRequestForBrokers`, for one broker and without deleting the log.
    pub(super) fn add_stop_replica(
        &mut self,
        context: &ControllerContext,
        broker: BrokerId,
        partition: TopicPartition,
    ) {
        const NO_EPOCH: i32 = -1;
        let leader_epoch = context.leadership(partition).map_or(NO_EPOCH, |l| l.state.leader_epoch);
        self.stop_replica.entry(broker).or_default().insert(partition, (leader_epoch, false));
    }

    /// `addUpdateMetadataRequestForBrokers`.
    pub(super) fn add_update_metadata(
        &mut self,
        context: &ControllerContext,
        brokers: impl IntoIterator<Item = BrokerId>,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) {
        self.metadata_brokers.extend(brokers);
        self.metadata_partitions.extend(
            partitions.into_iter().filter_map(|p| context.describe(p, false).map(|leadership| (p, leadership))),
        );
    }

    /// `sendRequestsToBrokers`: LeaderAndIsr, then UpdateMetadata, then StopReplica, to brokers that are alive. Controller
    /// epoch and broker epochs are those of this moment, however long the requests will wait in their queues.
    pub(super) fn flush(
        &mut self,
        ctx: &mut Ctx<'_>,
        me: BrokerId,
        context: &ControllerContext,
        channels: &mut ControllerChannelManager,
    ) {
        let batch = std::mem::take(self);
        let epoch_of = |broker: &BrokerId| context.live_brokers.get(broker).copied();
        let controller_epoch = context.epoch;
        for (broker, partitions) in batch.leader_and_isr {
            let Some(broker_epoch) = epoch_of(&broker) else { continue };
            let leaders: BTreeSet<BrokerId> = partitions.values().filter_map(|p| p.state.leader).collect();
            let request = LeaderAndIsrRequest {
                controller: me,
                controller_epoch,
                broker_epoch,
                live_leaders: leaders.into_iter().filter(|id| epoch_of(id).is_some()).collect(),
                partitions: partitions.into_values().collect(),
            };
            channels.send(ctx, broker, Request::LeaderAndIsr(Arc::new(request)));
        }
        for broker in batch.metadata_brokers {
            let Some(broker_epoch) = epoch_of(&broker) else { continue };
            let request = UpdateMetadataRequest {
                controller: me,
                controller_epoch,
                broker_epoch,
                live_brokers: context.live_brokers.keys().copied().collect(),
                partitions: batch.metadata_partitions.values().cloned().collect(),
            };
            channels.send(ctx, broker, Request::UpdateMetadata(Arc::new(request)));
        }
        for (broker, partitions) in batch.stop_replica {
            let Some(broker_epoch) = epoch_of(&broker) else { continue };
            let partitions =
                partitions.into_iter().map(|(p, (leader_epoch, delete))| (p, leader_epoch, delete)).collect();
            let request = StopReplicaRequest { controller: me, controller_epoch, broker_epoch, partitions };
            channels.send(ctx, broker, Request::StopReplica(Arc::new(request)));
        }
    }
}
