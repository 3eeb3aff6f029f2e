//! What clients do: topics, and the producers and consumers that use them; and clients of ZooKeeper itself.

use std::collections::BTreeSet;

use models::id::{Group, HostId, Sid, Topic, TopicPartition};
use models::kafka::config::{ConsumerConfig, ProducerConfig};
use models::time::Span;
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
    /// How often every consumer asks for the ends of its partitions, as lag monitors do; never if unset.
    pub end_offsets_every: Option<Span>,
    /// The share of the records that goes to `topic-0-0`, the hottest partition; the rest goes round all partitions evenly.
    pub skew: Share,
    /// Whether topics come about by the producers asking for them (`auto.create.topics.enable`), not by the admin client.
    pub auto_create_topics: bool,
    /// Where the admin client runs.
    pub admin: HostId,
    /// Producers. Every one of them writes to all partitions, each the same share of `records_per_second`.
    pub producers: Vec<ClientGroup<ProducerConfig>>,
    /// Consumers. Those of an entry without a group share the partitions for good; the members of a consumer group, which may
    /// stand in several entries, share them by rebalancing. Each such entry and each group reads all partitions.
    pub consumers: Vec<ClientGroup<ConsumerConfig>>,
    /// Applications with a ZooKeeper session each, in which they own an ephemeral node and write one new node after another.
    pub sessions: Vec<ClientGroup<SessionConfig>>,
}

/// What an application with a ZooKeeper session is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionConfig {
    /// The servers of its connect string, in the order written.
    pub servers: Vec<Sid>,
    /// Whether its first handle shuffles them, as the Java client does, or tries them as they are written. Later handles
    /// shuffle in any case.
    pub shuffle: bool,
    /// The session timeout that it asks for.
    pub session_timeout: Span,
    /// From the result of a write to the next write.
    pub pause: Span,
}

/// Clients that stand on one host and have the same settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientGroup<C> {
    /// Where they run.
    pub host: HostId,
    /// How many.
    pub count: u16,
    /// `group.id`: the consumer group that they are members of; none for producers.
    pub group: Option<Group>,
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

    /// The consumer groups, by name.
    pub fn groups(&self) -> BTreeSet<Group> {
        self.consumers.iter().filter_map(|entry| entry.group.clone()).collect()
    }

    /// How many producers there are.
    pub fn producer_count(&self) -> u32 {
        self.producers.iter().map(|group| u32::from(group.count)).sum()
    }
}
