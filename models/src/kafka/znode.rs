//! The znodes of Kafka: paths, and contents as the JSON that Kafka writes (`kafka.zk.ZkData`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::protocol::LeaderAndIsr;
use crate::id::{BrokerId, Topic, TopicPartition};
use crate::zk::protocol::{Data, Path};

/// `/controller`.
pub const CONTROLLER: &str = "/controller";
/// `/controller_epoch`.
pub const CONTROLLER_EPOCH: &str = "/controller_epoch";
/// `/brokers/ids`.
pub const BROKER_IDS: &str = "/brokers/ids";
/// `/brokers/topics`.
pub const TOPICS: &str = "/brokers/topics";
/// `/feature`.
pub const FEATURE: &str = "/feature";
/// `/latest_producer_id_block`.
pub const PRODUCER_ID_BLOCK: &str = "/latest_producer_id_block";
/// `/isr_change_notification`.
pub const ISR_CHANGE_NOTIFICATION: &str = "/isr_change_notification";
/// Name of its children, before the sequence number.
pub const ISR_CHANGE_PREFIX: &str = "isr_change_";
/// `/log_dir_event_notification`.
pub const LOG_DIR_EVENT_NOTIFICATION: &str = "/log_dir_event_notification";
/// `/admin/preferred_replica_election`.
pub const PREFERRED_REPLICA_ELECTION: &str = "/admin/preferred_replica_election";
/// `/admin/reassign_partitions`.
pub const REASSIGN_PARTITIONS: &str = "/admin/reassign_partitions";
/// `/admin/delete_topics`.
pub const DELETE_TOPICS: &str = "/admin/delete_topics";
/// `/cluster/id`.
pub const CLUSTER_ID: &str = "/cluster/id";

/// Parents that every broker creates at start-up, in order (`PersistentZkPaths`; parents before children).
pub const PERSISTENT_PATHS: &[&str] = &[
    "/consumers",
    "/brokers",
    BROKER_IDS,
    TOPICS,
    "/config",
    "/config/changes",
    "/config/topics",
    "/config/brokers",
    "/admin",
    DELETE_TOPICS,
    ISR_CHANGE_NOTIFICATION,
    PRODUCER_ID_BLOCK,
    LOG_DIR_EVENT_NOTIFICATION,
    "/cluster",
];

/// `/brokers/ids/N`.
pub fn broker_path(broker: BrokerId) -> Path {
    format!("{BROKER_IDS}/{broker}").into()
}

/// `/brokers/topics/T`.
pub fn topic_path(topic: Topic) -> Path {
    format!("{TOPICS}/{topic}").into()
}

/// `/brokers/topics/T/partitions/P/state`.
pub fn partition_state_path(partition: TopicPartition) -> Path {
    format!("{TOPICS}/{}/partitions/{}/state", partition.topic, partition.partition).into()
}

/// The partition whose state znode `path` is.
pub fn parse_partition_state_path(path: &str) -> Option<TopicPartition> {
    let rest = path.strip_prefix(TOPICS)?.strip_prefix('/')?;
    let mut parts = rest.split('/');
    let topic = Topic::parse(parts.next()?)?;
    if parts.next()? != "partitions" {
        return None;
    }
    let partition = parts.next()?.parse().ok()?;
    (parts.next()? == "state" && parts.next().is_none()).then_some(TopicPartition { topic, partition })
}

/// The topic whose assignment znode `path` is.
pub fn parse_topic_path(path: &str) -> Option<Topic> {
    path.strip_prefix(TOPICS)?.strip_prefix('/').and_then(Topic::parse)
}

/// The broker whose registration znode `path` is.
pub fn parse_broker_path(path: &str) -> Option<BrokerId> {
    path.strip_prefix(BROKER_IDS)?.strip_prefix('/')?.parse().ok().map(BrokerId)
}

/// Content of `/controller`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControllerZnode {
    /// Format version, 2.
    pub version: u32,
    /// Who is controller.
    pub brokerid: i32,
    /// Wall clock of its election, ms.
    pub timestamp: String,
}

/// Content of `/brokers/ids/N`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerZnode {
    /// Format version, 5.
    pub version: u32,
    /// Wall clock of the registration, ms.
    pub timestamp: String,
    /// `broker.rack`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rack: Option<String>,
}

/// Content of `/brokers/topics/T`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicZnode {
    /// Format version, 3.
    pub version: u32,
    /// Replicas per partition, preferred leader first.
    pub partitions: std::collections::BTreeMap<u16, Vec<i32>>,
}

/// Content of `/brokers/topics/T/partitions/P/state`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionStateZnode {
    /// Format version, 1.
    pub version: u32,
    /// -1 for none.
    pub leader: i32,
    /// Rises with every election.
    pub leader_epoch: i32,
    /// The in-sync replicas.
    pub isr: Vec<i32>,
    /// Epoch of the controller that wrote it.
    pub controller_epoch: i32,
    /// 1 while the leader recovers from an unclean election; absent means 0, recovered.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub leader_recovery_state: u8,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(value: &u8) -> bool {
    *value == 0
}

impl PartitionStateZnode {
    /// The znode for `state`, written by the controller of `controller_epoch`.
    pub fn new(state: &LeaderAndIsr, controller_epoch: i32) -> Self {
        Self {
            version: 1,
            leader: state.leader.map_or(-1, |leader| leader.0),
            leader_epoch: state.leader_epoch,
            isr: state.isr.iter().map(|broker| broker.0).collect(),
            controller_epoch,
            leader_recovery_state: u8::from(state.recovering),
        }
    }

    /// The state that it holds at znode version `partition_epoch`.
    pub fn state(&self, partition_epoch: i32) -> LeaderAndIsr {
        LeaderAndIsr {
            leader: (self.leader >= 0).then_some(BrokerId(self.leader)),
            leader_epoch: self.leader_epoch,
            isr: self.isr.iter().map(|id| BrokerId(*id)).collect(),
            partition_epoch,
            recovering: self.leader_recovery_state == 1,
        }
    }
}

/// Content of a child of `/isr_change_notification`: partitions whose leader has written another ISR.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsrChangeZnode {
    /// Format version, 1.
    pub version: u32,
    /// The partitions.
    pub partitions: Vec<IsrChange>,
}

/// One partition of an [`IsrChangeZnode`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsrChange {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: u16,
}

impl IsrChangeZnode {
    /// The znode that names these partitions.
    pub fn new(partitions: impl IntoIterator<Item = TopicPartition>) -> Self {
        let change = |id: TopicPartition| IsrChange { topic: id.topic.to_string(), partition: id.partition };
        Self { version: 1, partitions: partitions.into_iter().map(change).collect() }
    }

    /// The partitions that it names; topics that are not of the model are left out.
    pub fn partitions(&self) -> impl Iterator<Item = TopicPartition> + '_ {
        let id = |change: &IsrChange| {
            Some(TopicPartition { topic: Topic::parse(&change.topic)?, partition: change.partition })
        };
        self.partitions.iter().filter_map(id)
    }
}

/// Writes a content as JSON.
pub fn encode(content: &impl Serialize) -> Data {
    serde_json::to_string(content).expect("plain structs without maps of odd keys always serialise").into()
}

/// Reads a content; `None` if it is not JSON of that shape.
pub fn decode<'a, T: Deserialize<'a>>(data: &'a str) -> Option<T> {
    serde_json::from_str(data).ok()
}

/// Shares a list of broker ids.
pub fn brokers(ids: &[i32]) -> Arc<[BrokerId]> {
    ids.iter().map(|id| BrokerId(*id)).collect()
}
