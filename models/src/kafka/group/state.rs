//! `GroupMetadata`, `MemberMetadata`: one group as its coordinator holds it in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::messages::{Membership, Position, StoredGroup, StoredMember, Subscription};
use crate::id::{Group, MemberId, TopicPartition};
use crate::kafka::config::Strategy;
use crate::kafka::protocol::{ErrorCode, Origin};
use crate::observation::GroupState;
use crate::time::{Instant, Span};

/// How long a new member may wait for its first join to be answered (`NewMemberJoinTimeoutMs`); it cannot send heartbeats yet.
pub(super) const NEW_MEMBER_JOIN_TIMEOUT: Span = Span::from_secs(300);

/// The state of a group. Dead is not to be found: a group that its coordinator does not know is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Empty,
    PreparingRebalance(JoinWait),
    CompletingRebalance,
    Stable,
}

/// `DelayedJoin`, or `InitialDelayedJoin` while `extension` is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct JoinWait {
    pub(super) until: Instant,
    /// What is left of the rebalance timeout for new members to prolong the wait.
    pub(super) extension: Option<Span>,
}

/// A member.
#[derive(Clone, Debug, Hash)]
pub(super) struct Member {
    pub(super) session_timeout: Span,
    pub(super) rebalance_timeout: Span,
    pub(super) strategies: Arc<[Strategy]>,
    pub(super) subscription: Subscription,
    pub(super) assignment: Arc<[TopicPartition]>,
    pub(super) awaiting_join: Option<Origin>,
    pub(super) awaiting_sync: Option<Origin>,
    /// Its first join has not been answered.
    pub(super) is_new: bool,
    /// It has asked for its share in this generation.
    pub(super) synced: bool,
    /// By when it has to be heard of.
    pub(super) deadline: Instant,
}

impl Member {
    /// It was heard of.
    pub(super) fn heard(&mut self, now: Instant) {
        self.deadline = now + self.session_timeout;
    }

    /// `hasSatisfiedHeartbeat`: a member that waits for the coordinator need not speak.
    pub(super) fn expires(&self) -> Option<Instant> {
        let waits = self.awaiting_join.is_some() || self.awaiting_sync.is_some();
        (self.is_new || !waits).then_some(self.deadline)
    }
}

/// A committed position, and where its record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Stored {
    pub(super) position: Position,
    pub(super) at: u64,
}

/// A group.
#[derive(Clone, Debug, Hash)]
pub(super) struct GroupMetadata {
    pub(super) phase: Phase,
    pub(super) generation: i32,
    pub(super) strategy: Option<Strategy>,
    pub(super) leader: Option<MemberId>,
    pub(super) members: BTreeMap<MemberId, Member>,
    /// Ids that were given out and have not come back, and until when they may (KIP-394).
    pub(super) pending: BTreeMap<MemberId, Instant>,
    /// By when members have to ask for their share (KAFKA-12890).
    pub(super) sync_until: Option<Instant>,
    /// A member arrived during the initial delay.
    pub(super) new_member_added: bool,
    pub(super) offsets: BTreeMap<TopicPartition, Stored>,
}

impl Default for GroupMetadata {
    fn default() -> Self {
        Self {
            phase: Phase::Empty,
            generation: 0,
            strategy: None,
            leader: None,
            members: BTreeMap::new(),
            pending: BTreeMap::new(),
            sync_until: None,
            new_member_added: false,
            offsets: BTreeMap::new(),
        }
    }
}

impl GroupMetadata {
    /// As it was written down; every member has its full session timeout from now.
    pub(super) fn restored(stored: &StoredGroup, now: Instant) -> Self {
        let strategies: Arc<[Strategy]> = stored.strategy.into_iter().collect();
        let member = |stored: &StoredMember| Member {
            session_timeout: stored.session_timeout,
            rebalance_timeout: stored.rebalance_timeout,
            strategies: Arc::clone(&strategies),
            subscription: stored.subscription.clone(),
            assignment: Arc::clone(&stored.assignment),
            awaiting_join: None,
            awaiting_sync: None,
            is_new: false,
            synced: true,
            deadline: now + stored.session_timeout,
        };
        Self {
            phase: if stored.members.is_empty() { Phase::Empty } else { Phase::Stable },
            generation: stored.generation,
            strategy: stored.strategy,
            leader: stored.leader,
            members: stored.members.iter().map(|stored| (stored.member, member(stored))).collect(),
            ..Self::default()
        }
    }

    /// What is written of it.
    pub(super) fn stored(&self, group: Group, assignment: &BTreeMap<MemberId, Arc<[TopicPartition]>>) -> StoredGroup {
        let member = |(id, member): (&MemberId, &Member)| StoredMember {
            member: *id,
            session_timeout: member.session_timeout,
            rebalance_timeout: member.rebalance_timeout,
            subscription: member.subscription.clone(),
            assignment: assignment.get(id).cloned().unwrap_or_default(),
        };
        StoredGroup {
            group,
            generation: self.generation,
            leader: self.leader,
            strategy: self.strategy,
            members: self.members.iter().map(member).collect(),
        }
    }

    /// The state, for observers.
    pub(super) fn state(&self) -> GroupState {
        match self.phase {
            Phase::Empty => GroupState::Empty,
            Phase::PreparingRebalance(_) => GroupState::PreparingRebalance,
            Phase::CompletingRebalance => GroupState::CompletingRebalance,
            Phase::Stable => GroupState::Stable,
        }
    }

    /// Compares who speaks with who is in (`validateCurrentMember`).
    ///
    /// # Errors
    /// `UnknownMemberId`, `IllegalGeneration`.
    pub(super) fn check(&self, membership: &Membership) -> Result<(), ErrorCode> {
        if !self.members.contains_key(&membership.member) {
            return Err(ErrorCode::UnknownMemberId);
        }
        if membership.generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        Ok(())
    }

    /// Whether some strategy would be known to all members and the new one (`supportsProtocols`).
    pub(super) fn supports(&self, strategies: &[Strategy]) -> bool {
        !strategies.is_empty() && (self.members.is_empty() || strategies.iter().any(|s| self.known_to_all(*s)))
    }

    fn known_to_all(&self, strategy: Strategy) -> bool {
        self.members.values().all(|member| member.strategies.contains(&strategy))
    }

    /// `selectProtocol`: each member votes for the first of its strategies that all know.
    pub(super) fn elect_strategy(&self) -> Option<Strategy> {
        let votes = self.members.values().filter_map(|m| m.strategies.iter().copied().find(|s| self.known_to_all(*s)));
        let mut counts: BTreeMap<Strategy, u32> = BTreeMap::new();
        votes.for_each(|vote| *counts.entry(vote).or_default() += 1);
        let most = counts.values().copied().max()?;
        counts.into_iter().find(|(_, count)| *count == most).map(|(strategy, _)| strategy)
    }

    /// Whether nobody is waited for.
    pub(super) fn all_joined(&self) -> bool {
        self.pending.is_empty() && self.members.values().all(|member| member.awaiting_join.is_some())
    }

    /// The largest `max.poll.interval.ms` of the members.
    pub(super) fn rebalance_timeout(&self) -> Span {
        self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or(Span::ZERO)
    }

    /// Takes a member out. Another one leads if it did.
    pub(super) fn remove(&mut self, id: MemberId) -> Option<Member> {
        let member = self.members.remove(&id)?;
        if self.leader == Some(id) {
            self.leader = self.members.keys().next().copied();
        }
        Some(member)
    }

    /// Members whose share is not asked for yet.
    pub(super) fn unsynced(&self) -> BTreeSet<MemberId> {
        self.members.iter().filter(|(_, member)| !member.synced).map(|(id, _)| *id).collect()
    }

    /// The next moment at which time alone changes something.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let join = if let Phase::PreparingRebalance(wait) = self.phase { Some(wait.until) } else { None };
        let sessions = self.members.values().filter_map(Member::expires);
        sessions.chain(self.pending.values().copied()).chain(join).chain(self.sync_until).min()
    }
}
