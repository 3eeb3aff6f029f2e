//! What observations are made of.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{BrokerId, HostId, ProcessId, TopicPartition};

/// A partition's state as a broker serves it, or as a controller knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ServedState {
    /// The partition.
    pub partition: TopicPartition,
    /// The leader.
    pub leader: Option<BrokerId>,
    /// Its epoch.
    pub leader_epoch: i32,
    /// The ISR.
    pub isr: Arc<[BrokerId]>,
    /// The version of the state znode that said so.
    pub partition_epoch: i32,
}

/// Why a process is gone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DownCause {
    /// `kill -9`.
    Killed,
    /// Its host lost power.
    HostCrash,
    /// It ended itself.
    Exited(Arc<str>),
}

/// What a fault touches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FaultScope {
    /// Processes that are killed, paused or slowed.
    pub processes: Vec<ProcessId>,
    /// Hosts that crash or whose disk or clock is disturbed.
    pub hosts: Vec<HostId>,
    /// Directed pairs of hosts whose packets are disturbed.
    pub links: Vec<(HostId, HostId)>,
    /// Whether packets on `links` are all lost.
    pub silent: bool,
}

/// The role of a ZooKeeper server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZkRole {
    /// Electing.
    Looking,
    /// Elected itself; no quorum has promised it an epoch.
    Electing,
    /// Leads and synchronises its learners: a quorum has promised its epoch, none has acknowledged its history.
    Synchronizing,
    /// Leads and serves.
    Leading,
    /// Follows and serves.
    Following,
}

/// The state of a ZooKeeper client's session handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ZkClientState {
    /// A server has confirmed the session.
    Connected,
    /// The connection was lost; the session may live on.
    Disconnected,
    /// A server said that the session has expired.
    Expired,
}

/// A request of the controller to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlRequestKind {
    /// `LeaderAndIsr`.
    LeaderAndIsr,
    /// `UpdateMetadata`.
    UpdateMetadata,
    /// `StopReplica`.
    StopReplica,
}

/// The role of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaRole {
    /// It believes that it leads.
    Leader,
    /// It follows, or has not been told.
    Follower,
}

/// The state of a group at its coordinator. A group that its coordinator does not know is Dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupState {
    /// No members.
    Empty,
    /// Waits for members to join.
    PreparingRebalance,
    /// Waits for the leader's assignment.
    CompletingRebalance,
    /// Members read.
    Stable,
}

/// Why a member is no longer in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemovalReason {
    /// Silent for `session.timeout.ms`.
    SessionTimeout,
    /// Did not join in time.
    NotRejoined,
    /// Joined, and did not ask for its share in time.
    NotSynced,
    /// It said so.
    Left,
}

/// Why a replica cut its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TruncateReason {
    /// The leader reported a diverging epoch (KIP-595 rules).
    DivergingEpoch,
    /// An answer to OffsetsForLeaderEpoch (KIP-101, KIP-279).
    EpochQuery,
    /// To the own high watermark (before KIP-101, or without epochs).
    HighWatermark,
    /// The fetch offset was beyond the leader's end.
    OutOfRange,
    /// Below the leader's log start: everything goes.
    Full,
    /// The log ended early at start-up: an unflushed tail was lost.
    Recovery,
}
