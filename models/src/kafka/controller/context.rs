//! `ControllerContext`: what the active controller believes of the cluster. Nothing of it outlives a resignation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::id::{BrokerId, Topic, TopicPartition};
use crate::kafka::protocol::{LeaderAndIsr, PartitionLeadership};

/// `PartitionState`, without `NonExistentPartition`, which is absence here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum PartitionState {
    /// Has an assignment, but never had a leader.
    New,
    /// Has a leader that is believed to be alive.
    Online,
    /// Its leader is dead.
    Offline,
}

/// `ReplicaState`; topics are not deleted in the model, so of the deletion states only the initial one is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ReplicaState {
    /// Before the first transition.
    NonExistent,
    /// To be created by its broker.
    New,
    /// Told to its broker.
    Online,
    /// Its broker or disk is gone.
    Offline,
    /// What start-up assumes of a replica that is not online.
    DeletionIneligible,
}

/// A partition's state as last read or written, and the epoch of the controller that wrote it (`LeaderIsrAndControllerEpoch`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Leadership {
    pub(super) state: LeaderAndIsr,
    pub(super) controller_epoch: i32,
}

/// One partition.
#[derive(Clone, Debug, Hash)]
pub(super) struct PartitionInfo {
    /// The assignment, preferred leader first.
    pub(super) replicas: Arc<[BrokerId]>,
    pub(super) state: PartitionState,
    /// Parallel to `replicas`.
    pub(super) replica_states: Vec<ReplicaState>,
    pub(super) leadership: Option<Leadership>,
}

/// See the module.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct ControllerContext {
    /// Own epoch, 0 while not controller.
    pub(super) epoch: i32,
    /// Version of `/controller_epoch` after the own election: the token that fences writes.
    pub(super) epoch_zk_version: i32,
    /// Registered brokers with their epochs, as last read.
    pub(super) live_brokers: BTreeMap<BrokerId, i64>,
    /// Of these, the ones that have asked for a controlled shutdown.
    pub(super) shutting_down: BTreeSet<BrokerId>,
    /// Alive, but set aside until the state machines have started; empty except during a failover. See
    /// [`crate::defect::Defect::UnnoticedRestart`].
    pub(super) unnoticed_restarts: BTreeMap<BrokerId, i64>,
    /// Topics as last read.
    pub(super) topics: BTreeSet<Topic>,
    /// Whether partitions or topics have changed since they were last counted.
    pub(super) changed: bool,
    /// Shared, so that a snapshot of an idle controller costs nothing.
    partitions: Arc<BTreeMap<TopicPartition, PartitionInfo>>,
    /// Replicas whose brokers answered KAFKA_STORAGE_ERROR.
    pub(super) offline_dirs: BTreeMap<BrokerId, BTreeSet<TopicPartition>>,
}

impl ControllerContext {
    /// Every partition, in order.
    pub(super) fn partitions(&self) -> &BTreeMap<TopicPartition, PartitionInfo> {
        &self.partitions
    }

    /// One partition.
    pub(super) fn partition(&self, partition: TopicPartition) -> Option<&PartitionInfo> {
        self.partitions.get(&partition)
    }

    /// One partition, to be changed.
    pub(super) fn partition_mut(&mut self, partition: TopicPartition) -> Option<&mut PartitionInfo> {
        self.changed = true;
        Arc::make_mut(&mut self.partitions).get_mut(&partition)
    }

    /// Every partition, to be changed.
    pub(super) fn partitions_mut(&mut self) -> impl Iterator<Item = (TopicPartition, &mut PartitionInfo)> {
        self.changed = true;
        Arc::make_mut(&mut self.partitions).iter_mut().map(|(partition, info)| (*partition, info))
    }

    /// Learns an assignment (`updatePartitionFullReplicaAssignment`). A partition that is known keeps its states.
    pub(super) fn assign(&mut self, partition: TopicPartition, replicas: Arc<[BrokerId]>) {
        self.changed = true;
        Arc::make_mut(&mut self.partitions).entry(partition).or_insert_with(|| PartitionInfo {
            replica_states: vec![ReplicaState::NonExistent; replicas.len()],
            replicas,
            state: PartitionState::New,
            leadership: None,
        });
    }

    /// Forgets a topic.
    pub(super) fn remove_topic(&mut self, topic: Topic) {
        self.changed = true;
        Arc::make_mut(&mut self.partitions).retain(|partition, _| partition.topic != topic);
    }

    /// `putPartitionLeadershipInfo`.
    pub(super) fn put_leadership(&mut self, partition: TopicPartition, state: LeaderAndIsr, controller_epoch: i32) {
        if let Some(info) = self.partition_mut(partition) {
            info.leadership = Some(Leadership { state, controller_epoch });
        }
    }

    /// `partitionLeadershipInfo`.
    pub(super) fn leadership(&self, partition: TopicPartition) -> Option<&Leadership> {
        self.partitions.get(&partition)?.leadership.as_ref()
    }

    /// What a LeaderAndIsr or UpdateMetadata request says of the partition.
    pub(super) fn describe(&self, partition: TopicPartition, is_new: bool) -> Option<PartitionLeadership> {
        let info = self.partitions.get(&partition)?;
        let Leadership { state, controller_epoch } = info.leadership.clone()?;
        Some(PartitionLeadership { partition, controller_epoch, state, replicas: Arc::clone(&info.replicas), is_new })
    }

    /// `isReplicaOnline`.
    pub(super) fn is_online(&self, broker: BrokerId, partition: TopicPartition) -> bool {
        !self.shutting_down.contains(&broker) && self.is_online_or_shutting_down(broker, partition)
    }

    /// `liveBrokerIds`: registered, and not about to stop.
    pub(super) fn is_live(&self, broker: BrokerId) -> bool {
        self.live_brokers.contains_key(&broker) && !self.shutting_down.contains(&broker)
    }

    /// `isReplicaOnline` with `includeShuttingDownBrokers`.
    pub(super) fn is_online_or_shutting_down(&self, broker: BrokerId, partition: TopicPartition) -> bool {
        self.live_brokers.contains_key(&broker)
            && !self.offline_dirs.get(&broker).is_some_and(|partitions| partitions.contains(&partition))
    }

    /// `replicasOnBrokers`, grouped by broker as the replica state machine takes them.
    pub(super) fn replicas_on(&self, brokers: &BTreeSet<BrokerId>) -> ReplicaGroups {
        self.group_replicas(|broker, _| brokers.contains(&broker))
    }

    /// Replicas for which `wanted` holds, grouped by broker.
    pub(super) fn group_replicas(&self, wanted: impl Fn(BrokerId, TopicPartition) -> bool) -> ReplicaGroups {
        let mut groups = ReplicaGroups::new();
        for (partition, info) in self.partitions.iter() {
            for broker in info.replicas.iter().filter(|broker| wanted(**broker, *partition)) {
                groups.entry(*broker).or_default().push(*partition);
            }
        }
        groups
    }

    /// Partitions whose leader is not online (`partitionsWithOfflineLeader`).
    pub(super) fn with_offline_leader(&self) -> Vec<TopicPartition> {
        let led_by_dead = |partition: TopicPartition, info: &PartitionInfo| {
            info.leadership.as_ref().is_some_and(|l| !l.state.leader.is_some_and(|id| self.is_online(id, partition)))
        };
        self.partitions.iter().filter(|(p, info)| led_by_dead(**p, info)).map(|(p, _)| *p).collect()
    }

    /// Partitions without a leader: state New or Offline.
    pub(super) fn leaderless(&self) -> Vec<TopicPartition> {
        let waits = |info: &PartitionInfo| info.state != PartitionState::Online;
        self.partitions.iter().filter(|(_, info)| waits(info)).map(|(p, _)| *p).collect()
    }
}

/// Replicas grouped by the broker that holds them.
pub(super) type ReplicaGroups = BTreeMap<BrokerId, Vec<TopicPartition>>;
