//! What members of consumer groups and coordinators say to each other, and what a coordinator writes down.

use std::sync::Arc;

use crate::id::{BrokerId, Group, MemberId, Topic, TopicPartition};
use crate::kafka::config::Strategy;
use crate::kafka::protocol::ErrorCode;
use crate::time::Span;

/// A question. The fields follow the versions of 3.6.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GroupRequest {
    /// Which broker coordinates the group? Any broker answers.
    FindCoordinator {
        /// The group.
        group: Group,
    },
    /// Let me in, or: I know of the rebalance.
    Join(JoinGroup),
    /// What is mine? The leader brings the answer along.
    Sync(SyncGroup),
    /// I live.
    Heartbeat(Membership),
    /// I go.
    Leave {
        /// The group.
        group: Group,
        /// Who goes.
        member: MemberId,
    },
    /// Keep these positions.
    Commit(OffsetCommit),
    /// Which positions were kept?
    Fetch {
        /// The group.
        group: Group,
        /// Of which partitions.
        partitions: Arc<[TopicPartition]>,
    },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GroupResponse {
    /// To [`GroupRequest::FindCoordinator`].
    Coordinator(Result<BrokerId, ErrorCode>),
    /// To [`GroupRequest::Join`].
    Join(Result<Joined, JoinRefused>),
    /// To [`GroupRequest::Sync`]: the member's share.
    Sync(Result<Arc<[TopicPartition]>, ErrorCode>),
    /// To [`GroupRequest::Heartbeat`].
    Heartbeat(ErrorCode),
    /// To [`GroupRequest::Leave`].
    Leave(ErrorCode),
    /// To [`GroupRequest::Commit`]; all its partitions share one fate here.
    Commit(ErrorCode),
    /// To [`GroupRequest::Fetch`]: the positions, `None` where none was kept.
    Fetch(Result<Arc<[(TopicPartition, Option<Position>)]>, ErrorCode>),
}

/// Who speaks, and which generation of the group it believes in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Membership {
    /// The group.
    pub group: Group,
    /// The member.
    pub member: MemberId,
    /// The generation; rises with each rebalance.
    pub generation: i32,
}

/// See [`GroupRequest::Join`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JoinGroup {
    /// The group.
    pub group: Group,
    /// Who asks; `None` before it has been given an id.
    pub member: Option<MemberId>,
    /// How long it may be silent.
    pub session_timeout: Span,
    /// How long it may take to join again.
    pub rebalance_timeout: Span,
    /// How it would have partitions divided, the most wanted first.
    pub strategies: Arc<[Strategy]>,
    /// What it reads, and what it had.
    pub subscription: Subscription,
}

/// What a member tells the leader of itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subscription {
    /// What it reads.
    pub topics: Arc<[Topic]>,
    /// What it had in the last generation that it knows; for [`Strategy::Sticky`].
    pub owned: Arc<[TopicPartition]>,
}

/// A member is in the new generation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Joined {
    /// The generation.
    pub generation: i32,
    /// How partitions are to be divided.
    pub strategy: Strategy,
    /// The member that divides them.
    pub leader: MemberId,
    /// All members, for the leader; empty for the others.
    pub members: Arc<[(MemberId, Subscription)]>,
}

/// A member is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JoinRefused {
    /// Why.
    pub error: ErrorCode,
    /// With `MemberIdRequired` the id to come back with (KIP-394).
    pub member: Option<MemberId>,
}

/// See [`GroupRequest::Sync`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SyncGroup {
    /// Who asks.
    pub membership: Membership,
    /// How the leader divides the partitions; empty from others.
    pub assignment: Assignment,
}

/// Who reads what.
pub type Assignment = Arc<[(MemberId, Arc<[TopicPartition]>)]>;

/// See [`GroupRequest::Commit`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OffsetCommit {
    /// Who asks.
    pub membership: Membership,
    /// The positions.
    pub offsets: Arc<[(TopicPartition, Position)]>,
}

/// A position that is or was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The next offset to read.
    pub offset: u64,
    /// The leader epoch of the last record read, if there was one.
    pub leader_epoch: Option<i32>,
}

/// A record of `__consumer_offsets`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CoordinatorRecord {
    /// A position was committed.
    Offset {
        /// By which group.
        group: Group,
        /// Of which partition.
        partition: TopicPartition,
        /// The position.
        position: Position,
    },
    /// A generation of a group, with its members and what is theirs.
    Generation(Arc<StoredGroup>),
}

/// What is written of a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoredGroup {
    /// The group.
    pub group: Group,
    /// Its generation.
    pub generation: i32,
    /// Its leader; `None` if it is empty.
    pub leader: Option<MemberId>,
    /// How partitions were divided.
    pub strategy: Option<Strategy>,
    /// The members.
    pub members: Vec<StoredMember>,
}

/// What is written of a member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoredMember {
    /// Its id.
    pub member: MemberId,
    /// How long it may be silent.
    pub session_timeout: Span,
    /// How long it may take to join again.
    pub rebalance_timeout: Span,
    /// What it told of itself.
    pub subscription: Subscription,
    /// What is its.
    pub assignment: Arc<[TopicPartition]>,
}

impl CoordinatorRecord {
    /// Bytes of the record, roughly.
    pub fn size(&self) -> u32 {
        match self {
            Self::Offset { group, .. } => 70 + group.0.len() as u32,
            Self::Generation(stored) => {
                let member = |member: &StoredMember| 120 + 8 * (member.assignment.len() + 2) as u32;
                60 + stored.group.0.len() as u32 + stored.members.iter().map(member).sum::<u32>()
            }
        }
    }
}

impl Subscription {
    fn size(&self) -> u32 {
        10 + 12 * self.topics.len() as u32 + 6 * self.owned.len() as u32
    }
}

impl GroupRequest {
    /// Bytes of the body on the wire, roughly.
    pub fn wire_size(&self) -> u32 {
        match self {
            Self::FindCoordinator { group } => 4 + group.0.len() as u32,
            Self::Join(join) => 70 + join.strategies.len() as u32 * (10 + join.subscription.size()),
            Self::Sync(sync) => {
                70 + sync.assignment.iter().map(|(_, partitions)| 50 + 6 * partitions.len() as u32).sum::<u32>()
            }
            Self::Heartbeat(_) | Self::Leave { .. } => 60,
            Self::Commit(commit) => 70 + 20 * commit.offsets.len() as u32,
            Self::Fetch { partitions, .. } => 30 + 6 * partitions.len() as u32,
        }
    }
}

impl GroupResponse {
    /// Bytes of the body on the wire, roughly.
    pub fn wire_size(&self) -> u32 {
        match self {
            Self::Coordinator(_) => 30,
            Self::Join(Ok(joined)) => 90 + joined.members.iter().map(|(_, s)| 50 + s.size()).sum::<u32>(),
            Self::Join(Err(_)) => 60,
            Self::Sync(Ok(partitions)) => 30 + 6 * partitions.len() as u32,
            Self::Sync(Err(_)) | Self::Heartbeat(_) | Self::Leave(_) => 10,
            Self::Commit(_) => 30,
            Self::Fetch(Ok(positions)) => 20 + 24 * positions.len() as u32,
            Self::Fetch(Err(_)) => 12,
        }
    }
}
