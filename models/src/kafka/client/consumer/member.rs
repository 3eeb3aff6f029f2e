//! What a consumer knows of its group, and the requests to the coordinator that are under way (`AbstractCoordinator`,
//! `ConsumerCoordinator`, `Heartbeat`).

use std::sync::Arc;

use crate::id::{BrokerId, Group, MemberId, Topic, TopicPartition};
use crate::kafka::channel::ChannelId;
use crate::kafka::client::ClientTimer;
use crate::kafka::client::alarm::Alarm;
use crate::kafka::config::ConsumerConfig;
use crate::kafka::group::messages::{JoinGroup, Membership, Position, Subscription};
use crate::time::{Instant, Span};

/// How far the member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    /// It has to join, for the first time or again.
    Unjoined,
    /// It has to join again and commits once more before it lets go of its partitions (`onJoinPrepare`).
    Letting,
    /// JoinGroup is under way; its number.
    Joining(u32),
    /// SyncGroup is under way; its number.
    Syncing(u32),
    /// It reads.
    Stable,
}

/// A commit under way.
#[derive(Clone, Debug, Hash)]
pub(super) struct CommitUnderWay {
    pub(super) correlation: u32,
    pub(super) generation: i32,
    pub(super) offsets: Arc<[(TopicPartition, Position)]>,
}

/// A member of a group.
#[derive(Clone, Debug, Hash)]
pub(super) struct Member {
    pub(super) group: Group,
    pub(super) topics: Arc<[Topic]>,
    pub(super) coordinator: Option<BrokerId>,
    /// FindCoordinator is under way.
    pub(super) finding: Option<(ChannelId, u32)>,
    pub(super) id: Option<MemberId>,
    /// `None` before the first and after a lost one.
    pub(super) generation: Option<i32>,
    pub(super) stage: Stage,
    /// What it reads; empty between two generations.
    pub(super) assigned: Arc<[TopicPartition]>,
    /// What it read last, for the sticky assignor.
    pub(super) owned: Arc<[TopicPartition]>,
    pub(super) heartbeat: Option<u32>,
    pub(super) commit: Option<CommitUnderWay>,
    pub(super) fetch: Option<u32>,
    /// Some assigned partition may still have no position.
    pub(super) lacks_positions: bool,
    /// No request but heartbeats before.
    pub(super) not_before: Instant,
    pub(super) heartbeat_due: Instant,
    /// The session is taken for lost if no heartbeat is answered by then.
    pub(super) session_until: Instant,
    pub(super) commit_due: Instant,
    /// Records were processed that are to be committed before the next poll, since when.
    pub(super) processed: Option<Instant>,
    pub(super) alarm: Alarm,
}

impl Member {
    pub(super) fn new(group: Group, topics: Arc<[Topic]>) -> Self {
        Self {
            group,
            topics,
            coordinator: None,
            finding: None,
            id: None,
            generation: None,
            stage: Stage::Unjoined,
            assigned: Arc::default(),
            owned: Arc::default(),
            heartbeat: None,
            commit: None,
            fetch: None,
            lacks_positions: false,
            not_before: Instant::ZERO,
            heartbeat_due: Instant::ZERO,
            session_until: Instant::ZERO,
            commit_due: Instant::ZERO,
            processed: None,
            alarm: Alarm::new(ClientTimer::Group),
        }
    }

    /// Who it is, if it is in a generation.
    pub(super) fn membership(&self) -> Option<Membership> {
        Some(Membership { group: self.group.clone(), member: self.id?, generation: self.generation? })
    }

    /// The request to join.
    pub(super) fn join_request(&self, config: &ConsumerConfig) -> JoinGroup {
        JoinGroup {
            group: self.group.clone(),
            member: self.id,
            session_timeout: Span::from_ms(config.session_timeout_ms.into()),
            rebalance_timeout: Span::from_ms(config.max_poll_interval_ms.into()),
            strategies: Arc::clone(&config.partition_assignment_strategy.0),
            subscription: Subscription { topics: Arc::clone(&self.topics), owned: Arc::clone(&self.owned) },
        }
    }

    /// Whether heartbeats are sent: the heartbeat thread rests while the member joins.
    pub(super) fn beats(&self) -> bool {
        matches!(self.stage, Stage::Syncing(_) | Stage::Stable | Stage::Letting) && self.generation.is_some()
    }

    /// `resetStateAndRejoin`: the coordinator does not know it any more.
    pub(super) fn forget_generation(&mut self, keep_id: bool) {
        self.generation = None;
        if !keep_id {
            self.id = None;
        }
        self.stage = Stage::Unjoined;
    }

    /// The coordinator is unknown now; what was under way will not be answered. Returns the commit that was.
    pub(super) fn lose_coordinator(&mut self) -> Option<CommitUnderWay> {
        self.coordinator = None;
        self.heartbeat = None;
        self.fetch = None;
        if matches!(self.stage, Stage::Joining(_) | Stage::Syncing(_)) {
            self.stage = Stage::Unjoined;
        }
        self.commit.take()
    }

    /// The next moment at which time alone makes it act.
    pub(super) fn next_deadline(&self, now: Instant, auto_commit: bool) -> Option<Instant> {
        let beats = self.beats() && self.coordinator.is_some();
        let session = beats.then_some(self.session_until);
        let heartbeat = (beats && self.heartbeat.is_none()).then_some(self.heartbeat_due);
        let commit = (auto_commit && self.stage == Stage::Stable && self.commit.is_none()).then_some(self.commit_due);
        // What is overdue waits for a connection or an answer.
        [session, heartbeat, commit, Some(self.not_before)].into_iter().flatten().filter(|at| *at > now).min()
    }
}
