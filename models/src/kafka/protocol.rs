//! What brokers, the controller and clients say to each other.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::config::{Acks, Text};
use super::group::messages::{CoordinatorRecord, GroupRequest, GroupResponse};
use crate::id::{BrokerId, ConnId, ProducerId, Topic, TopicPartition, ValueId};
use crate::observation::ServedState;
use crate::time::{Instant, Span};

/// One message on a Kafka connection. A response carries its request's correlation id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Chosen by the requester, rising per connection.
    pub correlation: u32,
    /// Which broker the dialler believes it speaks with, as far as it knows one (KIP-1242, there said once for each connection).
    pub meant_for: Option<BrokerId>,
    /// Question or answer.
    pub body: Body,
}

/// Question or answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    /// From the dialler.
    Request(Request),
    /// From the acceptor.
    Response(Response),
}

/// Where a request came from, so that it can be answered later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The connection.
    pub conn: ConnId,
    /// The request's number on it.
    pub correlation: u32,
}

/// A question. The fields follow the versions that inter-broker protocol 3.6 uses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// Append records.
    Produce(ProduceRequest),
    /// Read records, as a replica or as a consumer.
    Fetch(Box<FetchRequest>),
    /// Where does an epoch end?
    OffsetsForLeaderEpoch(Vec<EpochQuery>),
    /// Where does a log begin or end?
    ListOffsets(Vec<OffsetQuery>),
    /// Who leads?
    Metadata {
        /// The topics asked for; `None` is "all".
        topics: Option<Vec<Topic>>,
        /// Whether topics that do not exist may be created, if the broker does such things.
        allow_auto_topic_creation: bool,
    },
    /// Give me a producer id.
    InitProducerId,
    /// Of a consumer group, to its coordinator or in search of it.
    Group(Box<GroupRequest>),
    /// Create topics; answered by the controller.
    CreateTopics {
        /// Topic, partitions, replication factor.
        topics: Vec<(Topic, u16, u16)>,
        /// How long the client will wait.
        timeout: Span,
    },
    /// Controller to broker: these are your partitions and their leaders.
    LeaderAndIsr(Arc<LeaderAndIsrRequest>),
    /// Controller to broker: this is the cluster.
    UpdateMetadata(Arc<UpdateMetadataRequest>),
    /// Controller to broker: stop following.
    StopReplica(Arc<StopReplicaRequest>),
    /// Leader to controller: change these ISRs.
    AlterPartition(Arc<AlterPartitionRequest>),
    /// Broker to controller: I am about to stop, move what I lead.
    ControlledShutdown {
        /// Who asks.
        broker: BrokerId,
        /// Its broker epoch.
        broker_epoch: i64,
    },
    /// Broker to controller: a block of producer ids.
    AllocateProducerIds {
        /// Who asks.
        broker: BrokerId,
        /// Its broker epoch.
        broker_epoch: i64,
    },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Response {
    /// To [`Request::Produce`].
    Produce(Vec<ProduceResult>),
    /// To [`Request::Fetch`].
    Fetch(FetchResponse),
    /// To [`Request::OffsetsForLeaderEpoch`].
    OffsetsForLeaderEpoch(Vec<EpochAnswer>),
    /// To [`Request::ListOffsets`].
    ListOffsets(Vec<OffsetAnswer>),
    /// To [`Request::Metadata`].
    Metadata(Arc<MetadataResponse>),
    /// To [`Request::InitProducerId`].
    InitProducerId(Result<(ProducerId, u16), ErrorCode>),
    /// To [`Request::Group`].
    Group(GroupResponse),
    /// To [`Request::CreateTopics`].
    CreateTopics(Vec<(Topic, ErrorCode)>),
    /// To [`Request::LeaderAndIsr`].
    LeaderAndIsr {
        /// For the whole request.
        error: ErrorCode,
        /// Per partition.
        partitions: Vec<(TopicPartition, ErrorCode)>,
    },
    /// To [`Request::UpdateMetadata`].
    UpdateMetadata {
        /// For the whole request.
        error: ErrorCode,
    },
    /// To [`Request::StopReplica`].
    StopReplica {
        /// For the whole request.
        error: ErrorCode,
        /// Per partition.
        partitions: Vec<(TopicPartition, ErrorCode)>,
    },
    /// To [`Request::AlterPartition`].
    AlterPartition(AlterPartitionResponse),
    /// To [`Request::ControlledShutdown`]: how many replicated partitions the broker still leads.
    ControlledShutdown(Result<u32, ErrorCode>),
    /// To [`Request::AllocateProducerIds`]: first id and how many.
    AllocateProducerIds(Result<(u64, u32), ErrorCode>),
}

/// `org.apache.kafka.common.protocol.Errors`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the protocol's own")]
pub enum ErrorCode {
    None,
    UnknownServerError,
    OffsetOutOfRange,
    UnknownTopicOrPartition,
    LeaderNotAvailable,
    NotLeaderOrFollower,
    RequestTimedOut,
    ReplicaNotAvailable,
    MessageTooLarge,
    StaleControllerEpoch,
    NetworkException,
    CoordinatorLoadInProgress,
    CoordinatorNotAvailable,
    NotCoordinator,
    IllegalGeneration,
    InconsistentGroupProtocol,
    UnknownMemberId,
    InvalidSessionTimeout,
    RebalanceInProgress,
    MemberIdRequired,
    NotEnoughReplicas,
    NotEnoughReplicasAfterAppend,
    TopicAlreadyExists,
    InvalidReplicationFactor,
    NotController,
    InvalidRequest,
    OutOfOrderSequenceNumber,
    DuplicateSequenceNumber,
    InvalidProducerEpoch,
    OperationNotAttempted,
    KafkaStorageError,
    UnknownProducerId,
    FetchSessionIdNotFound,
    InvalidFetchSessionEpoch,
    FencedLeaderEpoch,
    UnknownLeaderEpoch,
    StaleBrokerEpoch,
    OffsetNotAvailable,
    InvalidUpdateVersion,
    IneligibleReplica,
}

/// Records that are appended together. The leader assigns `base_offset` and `leader_epoch`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RecordBatch {
    /// Offset of the first record; 0 until the leader has assigned it.
    pub base_offset: u64,
    /// Epoch of the leader that appended it; -1 until then.
    pub leader_epoch: i32,
    /// The idempotent producer's mark.
    pub producer: Option<ProducerMark>,
    /// The records' identities, shared with the observations that name them.
    pub values: Arc<[ValueId]>,
    /// What the records say, one for each value; in the brokers' own topics only.
    pub content: Option<Arc<[CoordinatorRecord]>>,
    /// Bytes of all records with the batch header.
    pub size: u32,
    /// The producer's wall clock when it made the batch.
    pub timestamp: Instant,
}

impl RecordBatch {
    /// The offset after its last record.
    pub fn next_offset(&self) -> u64 {
        self.base_offset + self.values.len() as u64
    }
}

/// How an idempotent producer numbers its batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProducerMark {
    /// The producer's id.
    pub id: ProducerId,
    /// Its epoch.
    pub epoch: u16,
    /// Sequence of the first record, per partition, from 0.
    pub base_sequence: u32,
}

/// See [`Request::Produce`]. At most one batch per partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProduceRequest {
    /// When to answer.
    pub acks: Acks,
    /// How long the broker may wait for replicas.
    pub timeout: Span,
    /// What to append.
    pub batches: Vec<(TopicPartition, Arc<RecordBatch>)>,
}

/// What came of one partition of a produce request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProduceResult {
    /// The partition.
    pub partition: TopicPartition,
    /// The error, if any.
    pub error: ErrorCode,
    /// Offset of the first record, if it was appended or found to be a duplicate.
    pub base_offset: Option<u64>,
}

/// See [`Request::Fetch`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FetchRequest {
    /// The follower, or `None` for a consumer.
    pub replica: Option<BrokerId>,
    /// How long to wait for `min_bytes`.
    pub max_wait: Span,
    /// How much to wait for.
    pub min_bytes: u32,
    /// Most bytes of the answer; one batch goes out in any case.
    pub max_bytes: u32,
    /// The incremental session (KIP-227).
    pub session: FetchSession,
    /// Where a consumer stands (`client.rack`, KIP-392).
    pub rack: Option<Text>,
    /// Partitions that are new to the session or whose position changed.
    pub partitions: Vec<FetchPartition>,
    /// Partitions that leave the session.
    pub forgotten: Vec<TopicPartition>,
}

/// The incremental fetch session (KIP-227). Epoch 0 opens a session with the full list of partitions; the answer carries
/// the session's id, and the next request has epoch 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FetchSession {
    /// Given by the broker; 0 for none.
    pub id: u32,
    /// Rises by one with each request of the session.
    pub epoch: u32,
}

/// One partition of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FetchPartition {
    /// The partition.
    pub partition: TopicPartition,
    /// The leader epoch that the fetcher believes in (KIP-320).
    pub current_leader_epoch: Option<i32>,
    /// The first offset wanted.
    pub fetch_offset: u64,
    /// Epoch of the last record that the follower holds (KIP-595 rules in 2.7).
    pub last_fetched_epoch: Option<i32>,
    /// The follower's log start.
    pub log_start_offset: u64,
    /// Most bytes of this partition.
    pub max_bytes: u32,
}

/// See [`Response::Fetch`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FetchResponse {
    /// For the whole request.
    pub error: ErrorCode,
    /// The session's id.
    pub session: u32,
    /// Per partition; in an incremental session those with news only.
    pub partitions: Vec<FetchedPartition>,
}

/// One partition of a fetch's answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FetchedPartition {
    /// The partition.
    pub partition: TopicPartition,
    /// The error, if any.
    pub error: ErrorCode,
    /// The leader's high watermark.
    pub high_watermark: u64,
    /// The leader's log start.
    pub log_start_offset: u64,
    /// Set if the follower's log parts from the leader's: the leader's largest epoch not above the follower's, and its end.
    pub diverging_epoch: Option<EpochEnd>,
    /// The follower that a consumer is to read from instead; there are no records then.
    pub preferred_read_replica: Option<BrokerId>,
    /// The records.
    pub records: Vec<Arc<RecordBatch>>,
}

/// `RecordBatch.NO_PARTITION_LEADER_EPOCH`: an answer to OffsetsForLeaderEpoch before KIP-279 names no epoch.
pub const UNDEFINED_EPOCH: i32 = -1;

/// The end of an epoch in a leader's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EpochEnd {
    /// The epoch, or [`UNDEFINED_EPOCH`].
    pub epoch: i32,
    /// The offset after its last record.
    pub end_offset: u64,
}

/// See [`Request::OffsetsForLeaderEpoch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EpochQuery {
    /// The partition.
    pub partition: TopicPartition,
    /// The leader epoch that the asker believes in.
    pub current_leader_epoch: Option<i32>,
    /// The epoch whose end is asked for.
    pub leader_epoch: i32,
}

/// See [`Response::OffsetsForLeaderEpoch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EpochAnswer {
    /// The partition.
    pub partition: TopicPartition,
    /// The error, if any.
    pub error: ErrorCode,
    /// The end, `None` if undefined.
    pub end: Option<EpochEnd>,
}

/// See [`Request::ListOffsets`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OffsetQuery {
    /// The partition.
    pub partition: TopicPartition,
    /// The leader epoch that the asker believes in.
    pub current_leader_epoch: Option<i32>,
    /// Which end of the log.
    pub at: OffsetSpec,
    /// Asked by a follower: answer with the log end instead of the high watermark.
    pub replica: Option<BrokerId>,
}

/// Which end of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OffsetSpec {
    /// The log's start.
    Earliest,
    /// The high watermark for consumers, the log end for followers.
    Latest,
}

/// See [`Response::ListOffsets`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OffsetAnswer {
    /// The partition.
    pub partition: TopicPartition,
    /// The error, if any.
    pub error: ErrorCode,
    /// The offset.
    pub offset: u64,
    /// The leader epoch of the answer.
    pub leader_epoch: i32,
}

/// See [`Response::Metadata`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MetadataResponse {
    /// The active controller, as far as this broker knows.
    pub controller: Option<BrokerId>,
    /// Brokers that are alive, as far as this broker knows.
    pub brokers: Vec<BrokerId>,
    /// Partitions of the topics asked for.
    pub partitions: Vec<PartitionMetadata>,
    /// Topics asked for that this broker does not know.
    pub unknown_topics: Vec<Topic>,
}

/// What a broker tells clients of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartitionMetadata {
    /// The partition.
    pub partition: TopicPartition,
    /// `LeaderNotAvailable` if there is none alive.
    pub error: ErrorCode,
    /// The leader.
    pub leader: Option<BrokerId>,
    /// Its epoch.
    pub leader_epoch: i32,
}

/// A partition's leadership, as it stands in its state znode.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeaderAndIsr {
    /// The leader; `None` is -1.
    pub leader: Option<BrokerId>,
    /// Rises with every election.
    pub leader_epoch: i32,
    /// The in-sync replicas, in the order in which they joined.
    pub isr: Arc<[BrokerId]>,
    /// The state znode's version.
    pub partition_epoch: i32,
    /// Whether the leader was elected uncleanly and has not yet recovered.
    pub recovering: bool,
}

impl LeaderAndIsr {
    /// The state for an observation.
    pub fn seen_as(&self, partition: TopicPartition) -> ServedState {
        let Self { leader, leader_epoch, ref isr, partition_epoch, .. } = *self;
        ServedState { partition, leader, leader_epoch, isr: Arc::clone(isr), partition_epoch }
    }
}

/// See [`Request::LeaderAndIsr`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeaderAndIsrRequest {
    /// The sender.
    pub controller: BrokerId,
    /// Its epoch.
    pub controller_epoch: i32,
    /// The receiver's broker epoch, as far as the controller knows.
    pub broker_epoch: i64,
    /// Leaders named in it that are alive.
    pub live_leaders: Vec<BrokerId>,
    /// The partitions.
    pub partitions: Vec<PartitionLeadership>,
}

/// One partition of a LeaderAndIsr or UpdateMetadata request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartitionLeadership {
    /// The partition.
    pub partition: TopicPartition,
    /// Epoch of the controller that wrote this state.
    pub controller_epoch: i32,
    /// The state.
    pub state: LeaderAndIsr,
    /// The assignment, preferred leader first.
    pub replicas: Arc<[BrokerId]>,
    /// LeaderAndIsr: the replica is to be created. Unused in UpdateMetadata.
    pub is_new: bool,
}

/// See [`Request::UpdateMetadata`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpdateMetadataRequest {
    /// The sender.
    pub controller: BrokerId,
    /// Its epoch.
    pub controller_epoch: i32,
    /// The receiver's broker epoch, as far as the controller knows.
    pub broker_epoch: i64,
    /// All brokers that are alive.
    pub live_brokers: Vec<BrokerId>,
    /// Partitions whose state changed, or all.
    pub partitions: Vec<PartitionLeadership>,
}

/// See [`Request::StopReplica`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StopReplicaRequest {
    /// The sender.
    pub controller: BrokerId,
    /// Its epoch.
    pub controller_epoch: i32,
    /// The receiver's broker epoch, as far as the controller knows.
    pub broker_epoch: i64,
    /// Partition, leader epoch (-1 unknown, -2 topic being deleted), whether to delete the log.
    pub partitions: Vec<(TopicPartition, i32, bool)>,
}

/// See [`Request::AlterPartition`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AlterPartitionRequest {
    /// The asking leader.
    pub broker: BrokerId,
    /// Its broker epoch.
    pub broker_epoch: i64,
    /// The changes.
    pub partitions: Vec<AlterPartitionItem>,
}

/// One ISR change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AlterPartitionItem {
    /// The partition.
    pub partition: TopicPartition,
    /// The leader's epoch.
    pub leader_epoch: i32,
    /// The ISR wished for.
    pub new_isr: Arc<[BrokerId]>,
    /// The partition epoch that the leader knows.
    pub partition_epoch: i32,
    /// Whether the leader is still recovering from an unclean election.
    pub recovering: bool,
}

/// See [`Response::AlterPartition`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AlterPartitionResponse {
    /// For the whole request.
    pub error: ErrorCode,
    /// Per partition, the new state or an error.
    pub partitions: Vec<(TopicPartition, Result<LeaderAndIsr, ErrorCode>)>,
}

impl Frame {
    /// A question to whoever accepts the connection.
    pub fn request(correlation: u32, request: Request) -> Self {
        Self { correlation, meant_for: None, body: Body::Request(request) }
    }

    /// The answer to the question with this number.
    pub fn response(correlation: u32, response: Response) -> Self {
        Self { correlation, meant_for: None, body: Body::Response(response) }
    }

    /// Bytes on the wire, roughly: headers, then the fields of the real encoding.
    pub fn wire_size(&self) -> u32 {
        let batches = |batches: &[Arc<RecordBatch>]| batches.iter().map(|b| b.size).sum::<u32>();
        let body = match &self.body {
            Body::Request(request) => match request {
                Request::Produce(r) => 12 + r.batches.iter().map(|(_, b)| 16 + b.size).sum::<u32>(),
                Request::Fetch(r) => 40 + 36 * r.partitions.len() as u32 + 8 * r.forgotten.len() as u32,
                Request::OffsetsForLeaderEpoch(q) => 8 + 16 * q.len() as u32,
                Request::ListOffsets(q) => 8 + 24 * q.len() as u32,
                Request::Metadata { topics, .. } => 8 + 24 * topics.as_ref().map_or(0, Vec::len) as u32,
                Request::InitProducerId => 12,
                Request::Group(r) => r.wire_size(),
                Request::CreateTopics { topics, .. } => 12 + 32 * topics.len() as u32,
                Request::LeaderAndIsr(r) => 32 + 72 * r.partitions.len() as u32,
                Request::UpdateMetadata(r) => 32 + 64 * (r.partitions.len() + r.live_brokers.len()) as u32,
                Request::StopReplica(r) => 24 + 16 * r.partitions.len() as u32,
                Request::AlterPartition(r) => 20 + 40 * r.partitions.len() as u32,
                Request::AllocateProducerIds { .. } | Request::ControlledShutdown { .. } => 12,
            },
            Body::Response(response) => match response {
                Response::Produce(r) => 8 + 34 * r.len() as u32,
                Response::Fetch(r) => 16 + r.partitions.iter().map(|p| 40 + batches(&p.records)).sum::<u32>(),
                Response::OffsetsForLeaderEpoch(r) => 8 + 20 * r.len() as u32,
                Response::ListOffsets(r) => 8 + 24 * r.len() as u32,
                Response::Metadata(r) => 24 + 24 * r.brokers.len() as u32 + 48 * r.partitions.len() as u32,
                Response::InitProducerId(_) | Response::AllocateProducerIds(_) => 16,
                Response::Group(r) => r.wire_size(),
                Response::CreateTopics(r) => 8 + 20 * r.len() as u32,
                Response::LeaderAndIsr { partitions, .. } | Response::StopReplica { partitions, .. } => {
                    8 + 10 * partitions.len() as u32
                }
                Response::UpdateMetadata { .. } => 6,
                Response::ControlledShutdown(remaining) => 8 + 12 * remaining.unwrap_or(0),
                Response::AlterPartition(r) => 8 + 40 * r.partitions.len() as u32,
            },
        };
        30 + body
    }
}
