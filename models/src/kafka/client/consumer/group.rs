//! A consumer that subscribes: finds its coordinator, joins, divides the partitions if it leads, sends heartbeats
//! (`AbstractCoordinator`). Rebalancing is eager: every partition is given up before a join.

use std::sync::Arc;

use super::assignor::assign;
use super::member::{Member, Stage};
use super::{Consumer, Phase, Position};
use crate::id::{BrokerId, TopicPartition};
use crate::kafka::channel::ChannelId;
use crate::kafka::group::messages::{GroupRequest, GroupResponse, JoinRefused, Joined, SyncGroup};
use crate::kafka::protocol::{ErrorCode, Request};
use crate::observation::Observation;
use crate::time::Span;
use crate::world::Ctx;

/// How much longer than a rebalance a JoinGroup may take (`JOIN_GROUP_TIMEOUT_LAPSE`).
const JOIN_LAPSE: Span = Span::from_secs(5);

impl Consumer {
    /// Does what the member can do now.
    pub(super) fn run_member(&mut self, ctx: &mut Ctx<'_>) {
        let Some(mut member) = self.member.take() else { return };
        self.step(ctx, &mut member);
        if let Some(at) = member.next_deadline(ctx.now, self.spec.config.enable_auto_commit) {
            member.alarm.at(ctx, at.max(ctx.now));
        }
        self.member = Some(member);
    }

    fn step(&mut self, ctx: &mut Ctx<'_>, member: &mut Member) {
        if !self.started {
            return;
        }
        let patience = Span::from_ms(self.spec.config.default_api_timeout_ms.into());
        if member.processed.is_some_and(|since| ctx.now - since >= patience) {
            // `commitSync` throws; the application polls on.
            member.processed = None;
        }
        // The heartbeat thread: "session timed out without receiving a heartbeat response".
        if member.coordinator.is_some() && member.beats() && ctx.now >= member.session_until {
            self.lose_coordinator(ctx, member, true);
        }
        let Some(coordinator) = member.coordinator else { return self.find_coordinator(ctx, member) };
        let channel = ChannelId::Coordinator(coordinator);
        if !self.network.ready_on(ctx, channel) {
            return;
        }
        if member.beats() && member.heartbeat.is_none() && ctx.now >= member.heartbeat_due {
            member.heartbeat_due = ctx.now + Span::from_ms(self.spec.config.heartbeat_interval_ms.into());
            if let Some(membership) = member.membership() {
                let request = Request::Group(Box::new(GroupRequest::Heartbeat(membership)));
                member.heartbeat = Some(self.network.send(ctx, channel, request));
            }
        }
        if ctx.now < member.not_before {
            return;
        }
        match member.stage {
            Stage::Unjoined => self.prepare_join(ctx, member, channel),
            Stage::Stable => {
                self.fetch_committed(ctx, member, channel);
                self.maybe_commit(ctx, member, channel);
            }
            // The rebalance waits for the commit.
            Stage::Letting | Stage::Joining(_) | Stage::Syncing(_) => {}
        }
    }

    fn find_coordinator(&mut self, ctx: &mut Ctx<'_>, member: &mut Member) {
        if member.finding.is_some() || ctx.now < member.not_before {
            return;
        }
        // Without a node, or with one that is being dialled, the next event of a channel leads here again.
        if let Some(node) = self.network.least_loaded_ready(ctx) {
            let request = Request::Group(Box::new(GroupRequest::FindCoordinator { group: member.group.clone() }));
            member.finding = Some((node, self.network.send(ctx, node, request)));
        }
    }

    /// `markCoordinatorUnknown`: it is looked for again, and unless the connection is gone already it is closed.
    pub(super) fn lose_coordinator(&mut self, ctx: &mut Ctx<'_>, member: &mut Member, disconnect: bool) {
        let Some(old) = member.coordinator else { return };
        if disconnect {
            self.network.disconnect(ctx, ChannelId::Coordinator(old));
        }
        if let Some(commit) = member.lose_coordinator() {
            self.commit_failed(ctx, member, &commit, ErrorCode::NetworkException);
        }
        self.pause(ctx, member);
    }

    /// `retry.backoff.ms`.
    pub(super) fn pause(&self, ctx: &Ctx<'_>, member: &mut Member) {
        member.not_before = ctx.now + Span::from_ms(self.spec.config.retry_backoff_ms.into());
    }

    /// `joinGroupIfNeeded`: a last commit, then everything is given up, then the join.
    fn prepare_join(&mut self, ctx: &mut Ctx<'_>, member: &mut Member, channel: ChannelId) {
        if member.commit.is_some() {
            return;
        }
        // The first subscription needs the topics' partitions; they are looked for until they are there.
        if (0..self.partitions.len() as u32).any(|index| !self.network.metadata.knows(index)) {
            self.network.request_update(ctx);
            self.pause(ctx, member);
            return;
        }
        if !member.assigned.is_empty() {
            let commits = self.spec.config.enable_auto_commit && member.generation.is_some();
            if commits && self.commit(ctx, member, channel) {
                member.stage = Stage::Letting;
                return;
            }
            self.revoke(ctx, member);
        }
        self.join(ctx, member, channel);
    }

    /// The last commit of a generation is answered, or never will be.
    pub(super) fn let_go(&mut self, ctx: &mut Ctx<'_>, member: &mut Member) {
        if member.stage == Stage::Letting {
            member.stage = Stage::Unjoined;
            self.revoke(ctx, member);
        }
    }

    fn join(&mut self, ctx: &mut Ctx<'_>, member: &mut Member, channel: ChannelId) {
        let config = &self.spec.config;
        let rebalance = Span::from_ms(config.max_poll_interval_ms.into()) + JOIN_LAPSE;
        let timeout = rebalance.max(Span::from_ms(config.request_timeout_ms.into()));
        let request = Request::Group(Box::new(GroupRequest::Join(member.join_request(config))));
        member.stage = Stage::Joining(self.network.send_within(ctx, channel, request, timeout));
    }

    /// Gives all partitions up: `onPartitionsRevoked`, or `onPartitionsLost` if the generation is over.
    pub(super) fn revoke(&mut self, ctx: &mut Ctx<'_>, member: &mut Member) {
        let partitions = std::mem::take(&mut member.assigned);
        for index in partitions.iter().filter_map(|id| self.network.metadata.index(*id)).collect::<Vec<_>>() {
            self.withdraw(index);
            self.partitions[index as usize].release();
        }
        member.owned = Arc::clone(&partitions);
        member.processed = None;
        let generation = member.generation.unwrap_or(-1);
        let lost = member.generation.is_none();
        ctx.observe(Observation::Revoked { group: member.group.clone(), generation, partitions, lost });
    }

    /// An answer of the coordinator, or of whoever was asked for it.
    pub(super) fn on_group_answer(
        &mut self,
        ctx: &mut Ctx<'_>,
        from: ChannelId,
        correlation: u32,
        response: GroupResponse,
    ) {
        let Some(mut member) = self.member.take() else { return };
        match response {
            GroupResponse::Coordinator(answer) if member.finding == Some((from, correlation)) => {
                member.finding = None;
                self.on_coordinator(ctx, &mut member, answer);
            }
            GroupResponse::Join(answer) if member.stage == Stage::Joining(correlation) => {
                self.on_joined(ctx, &mut member, from, answer);
            }
            GroupResponse::Sync(answer) if member.stage == Stage::Syncing(correlation) => {
                self.on_synced(ctx, &mut member, answer);
            }
            GroupResponse::Heartbeat(error) if member.heartbeat == Some(correlation) => {
                member.heartbeat = None;
                self.on_heartbeat(ctx, &mut member, error);
            }
            GroupResponse::Commit(error) => self.on_committed(ctx, &mut member, correlation, error),
            GroupResponse::Fetch(answer) if member.fetch == Some(correlation) => {
                member.fetch = None;
                self.on_fetched_committed(ctx, &mut member, answer);
            }
            _ => {}
        }
        self.member = Some(member);
    }

    /// A connection is gone that the member may have used.
    pub(super) fn on_group_lost(&mut self, ctx: &mut Ctx<'_>, from: ChannelId) {
        let Some(mut member) = self.member.take() else { return };
        if member.finding.is_some_and(|(node, _)| node == from) {
            member.finding = None;
            self.pause(ctx, &mut member);
        }
        if member.coordinator.is_some_and(|id| ChannelId::Coordinator(id) == from) {
            self.lose_coordinator(ctx, &mut member, false);
        }
        self.member = Some(member);
    }

    fn on_coordinator(&mut self, ctx: &mut Ctx<'_>, member: &mut Member, answer: Result<BrokerId, ErrorCode>) {
        match answer {
            Ok(coordinator) => {
                member.coordinator = Some(coordinator);
                member.session_until = ctx.now + Span::from_ms(self.spec.config.session_timeout_ms.into());
            }
            Err(_) => {
                self.network.request_update(ctx);
                self.pause(ctx, member);
            }
        }
    }

    fn on_joined(
        &mut self,
        ctx: &mut Ctx<'_>,
        member: &mut Member,
        from: ChannelId,
        answer: Result<Joined, JoinRefused>,
    ) {
        member.stage = Stage::Unjoined;
        match answer {
            Ok(joined) => {
                member.generation = Some(joined.generation);
                let assignment = if Some(joined.leader) == member.id {
                    assign(joined.strategy, &joined.members, &self.spec.partitions)
                } else {
                    Arc::default()
                };
                let Some(membership) = member.membership() else { return };
                self.start_session(ctx, member);
                if self.network.ready_on(ctx, from) {
                    let request = Request::Group(Box::new(GroupRequest::Sync(SyncGroup { membership, assignment })));
                    member.stage = Stage::Syncing(self.network.send(ctx, from, request));
                }
            }
            // The id is kept, and the join repeated at once.
            Err(JoinRefused { error: ErrorCode::MemberIdRequired, member: id }) => member.id = id,
            Err(JoinRefused { error, .. }) => self.on_group_error(ctx, member, error),
        }
    }

    fn on_synced(&mut self, ctx: &mut Ctx<'_>, member: &mut Member, answer: Result<Arc<[TopicPartition]>, ErrorCode>) {
        member.stage = Stage::Unjoined;
        let partitions = match answer {
            Ok(partitions) => partitions,
            Err(error) => return self.on_group_error(ctx, member, error),
        };
        let (Some(id), Some(generation)) = (member.id, member.generation) else { return };
        member.stage = Stage::Stable;
        member.assigned = Arc::clone(&partitions);
        member.commit_due = ctx.now + Span::from_ms(self.spec.config.auto_commit_interval_ms.into());
        for index in partitions.iter().filter_map(|id| self.network.metadata.index(*id)).collect::<Vec<_>>() {
            self.partitions[index as usize].phase = Phase::Committed;
        }
        member.lacks_positions = true;
        ctx.observe(Observation::Assigned { group: member.group.clone(), member: id, generation, partitions });
    }

    fn start_session(&self, ctx: &Ctx<'_>, member: &mut Member) {
        member.session_until = ctx.now + Span::from_ms(self.spec.config.session_timeout_ms.into());
        member.heartbeat_due = ctx.now + Span::from_ms(self.spec.config.heartbeat_interval_ms.into());
    }

    fn on_heartbeat(&mut self, ctx: &mut Ctx<'_>, member: &mut Member, error: ErrorCode) {
        match error {
            ErrorCode::None => {
                member.session_until = ctx.now + Span::from_ms(self.spec.config.session_timeout_ms.into());
            }
            // It has a coordinator, so the session lives; the member joins with its next poll.
            ErrorCode::RebalanceInProgress => {
                member.session_until = ctx.now + Span::from_ms(self.spec.config.session_timeout_ms.into());
                if member.stage == Stage::Stable {
                    member.stage = Stage::Unjoined;
                }
            }
            // The answer to a join or sync that is under way says the same.
            _ if !matches!(member.stage, Stage::Stable | Stage::Letting) => {}
            error => self.on_group_error(ctx, member, error),
        }
    }

    /// What an error of the membership protocol means, whichever request it answers.
    pub(super) fn on_group_error(&mut self, ctx: &mut Ctx<'_>, member: &mut Member, error: ErrorCode) {
        match error {
            ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable => {
                self.lose_coordinator(ctx, member, true);
            }
            ErrorCode::UnknownMemberId => member.forget_generation(false),
            ErrorCode::IllegalGeneration => member.forget_generation(true),
            // A sync or join is repeated from the join on.
            ErrorCode::RebalanceInProgress => {}
            _ => self.pause(ctx, member),
        }
    }

    /// The positions of all partitions that have one (`allConsumed`).
    pub(super) fn consumed(&self, member: &Member) -> Arc<[(TopicPartition, Position)]> {
        let position = |id: &TopicPartition| {
            let state = &self.partitions[self.network.metadata.index(*id)? as usize];
            let offset = state.offset.filter(|_| matches!(state.phase, Phase::Fetch | Phase::Validate))?;
            Some((*id, Position { offset, leader_epoch: state.offset_epoch }))
        };
        member.assigned.iter().filter_map(position).collect()
    }
}
