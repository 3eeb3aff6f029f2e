//! What clients do: topics, and the producers and consumers that use them.

use models::id::{HostId, Topic, TopicPartition};
use models::kafka::config::{ConsumerConfig, ProducerConfig};
use serde::{Deserialize, Serialize};

use crate::units::Share;

/// The workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Topics, created by the admin client: `topic-0` and so on.
    pub topics: u16,
    /// Partitions of each.
    pub partitions: u16,
    /// Replicas of each partition.
    pub replication_factor: u16,
    /// Records a second, all producers together.
    pub records_per_second: u32,
    /// Bytes of a record's value.
    pub record_size: u32,
    /// The share of the records that goes to `topic-0-0`, the hottest partition; the rest goes round all partitions evenly.
    pub skew: Share,
    /// Whether topics come about by the producers asking for them (`auto.create.topics.enable`), not by the admin client.
    pub auto_create_topics: bool,
    /// Where the admin client runs.
    pub admin: HostId,
    /// Producers. Every one of them writes to all partitions, each the same share of `records_per_second`.
    pub producers: Vec<ClientGroup<ProducerConfig>>,
    /// Consumers. The members of a group share the partitions; every group reads all of them.
    pub consumers: Vec<ClientGroup<ConsumerConfig>>,
}

/// Clients that stand on one host and have the same settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientGroup<C> {
    /// Where they run.
    pub host: HostId,
    /// How many.
    pub count: u16,
    /// Their settings.
    pub config: C,
}

impl Workload {
    /// All partitions, by topic and number.
    pub fn all_partitions(&self) -> impl Iterator<Item = TopicPartition> + use<> {
        let (topics, partitions) = (self.topics, self.partitions);
        (0..topics).flat_map(move |topic| {
            (0..partitions).map(move |partition| TopicPartition { topic: Topic(topic), partition })
        })
    }

    /// How many producers there are.
    pub fn producer_count(&self) -> u32 {
        self.producers.iter().map(|group| u32::from(group.count)).sum()
    }
}
