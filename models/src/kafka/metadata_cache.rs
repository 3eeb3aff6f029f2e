//! `ZkMetadataCache`: what a broker knows of the cluster, from UpdateMetadata requests alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::by_partition::ByPartition;
use super::protocol::{ErrorCode, MetadataResponse, PartitionLeadership, PartitionMetadata, UpdateMetadataRequest};
use crate::id::{BrokerId, Topic, TopicPartition};

/// A broker's view of the cluster. It may be stale for as long as the broker hears of no controller.
#[derive(Clone, Debug, Default, Hash)]
pub struct MetadataCache {
    controller: Option<BrokerId>,
    live: BTreeSet<BrokerId>,
    partitions: ByPartition<PartitionLeadership>,
}

impl MetadataCache {
    /// Takes an UpdateMetadata request whose epochs have been checked: controller and live brokers are replaced,
    /// partitions are merged. Returns whether other brokers are alive than before.
    pub fn update(&mut self, request: &UpdateMetadataRequest) -> bool {
        self.controller = Some(request.controller);
        let before = std::mem::replace(&mut self.live, request.live_brokers.iter().copied().collect());
        for partition in &request.partitions {
            self.partitions.insert(partition.partition, partition.clone());
        }
        self.live != before
    }

    /// Whether a later request has been taken already: this one tells an older state of a partition than is known. It came over an
    /// earlier connection, which the controller has closed, but whose kernel went on delivering.
    pub fn is_overtaken(&self, request: &UpdateMetadataRequest) -> bool {
        request.partitions.iter().any(|told| {
            self.partitions.get(told.partition).is_some_and(|known| {
                let version = |leadership: &PartitionLeadership| {
                    (leadership.state.leader_epoch, leadership.state.partition_epoch)
                };
                version(told) < version(known)
            })
        })
    }

    /// The controller named by the last update.
    pub fn controller(&self) -> Option<BrokerId> {
        self.controller
    }

    /// Whether the last update listed the broker.
    pub fn is_alive(&self, broker: BrokerId) -> bool {
        self.live.contains(&broker)
    }

    /// The brokers of the last update.
    pub fn live_brokers(&self) -> impl Iterator<Item = BrokerId> + '_ {
        self.live.iter().copied()
    }

    /// Whether any update has named the partition.
    pub fn contains(&self, partition: TopicPartition) -> bool {
        self.partitions.contains_key(partition)
    }

    /// A partition's state as last updated.
    pub fn partition(&self, partition: TopicPartition) -> Option<&PartitionLeadership> {
        self.partitions.get(partition)
    }

    /// The answer to a client's metadata request (`KafkaApis.handleTopicMetadataRequest`): a leader that is not alive is
    /// reported as not available.
    pub fn respond(&self, topics: Option<&[Topic]>) -> Arc<MetadataResponse> {
        let describe = |leadership: &PartitionLeadership| {
            let leader = leadership.state.leader.filter(|leader| self.is_alive(*leader));
            PartitionMetadata {
                partition: leadership.partition,
                error: if leader.is_some() { ErrorCode::None } else { ErrorCode::LeaderNotAvailable },
                leader,
                leader_epoch: leadership.state.leader_epoch,
            }
        };
        let mut partitions = Vec::new();
        let mut unknown_topics = Vec::new();
        match topics {
            None => partitions.extend(self.partitions.values().map(describe)),
            Some(topics) => {
                for topic in topics {
                    let before = partitions.len();
                    partitions.extend(self.partitions.of_topic(*topic).map(describe));
                    if partitions.len() == before {
                        unknown_topics.push(*topic);
                    }
                }
            }
        }
        Arc::new(MetadataResponse {
            controller: self.controller.filter(|id| self.is_alive(*id)),
            brokers: self.live.iter().copied().collect(),
            partitions,
            unknown_topics,
        })
    }
}
