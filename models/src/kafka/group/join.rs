//! JoinGroup and the rebalance up to the answers to it (`handleJoinGroup`, `prepareRebalance`, `onCompleteJoin`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::messages::{CoordinatorRecord, GroupResponse, JoinGroup, JoinRefused, Joined};
use super::state::{GroupMetadata, JoinWait, Member, NEW_MEMBER_JOIN_TIMEOUT, Phase};
use super::{GroupCoordinator, Host, Pending, observe_state, respond};
use crate::id::{Group, MemberId};
use crate::kafka::protocol::{ErrorCode, Origin};
use crate::observation::{Observation, RemovalReason};
use crate::time::Span;
use crate::world::Ctx;

impl GroupCoordinator {
    pub(super) fn join(&mut self, host: &mut Host<'_, '_>, origin: Origin, join: JoinGroup) {
        let name = join.group.clone();
        if let Err(refused) = self.try_join(host, origin, join) {
            respond(host.ctx, origin, GroupResponse::Join(Err(refused)));
        }
        self.maybe_complete_join(host, &name);
    }

    fn try_join(&mut self, host: &mut Host<'_, '_>, origin: Origin, join: JoinGroup) -> Result<(), JoinRefused> {
        let refuse = |error| JoinRefused { error, member: None };
        self.check(&join.group).map_err(refuse)?;
        let (least, most) = (self.config.group_min_session_timeout_ms, self.config.group_max_session_timeout_ms);
        if join.session_timeout < Span::from_ms(least.into()) || join.session_timeout > Span::from_ms(most.into()) {
            return Err(refuse(ErrorCode::InvalidSessionTimeout));
        }
        let Some(id) = join.member else { return Err(self.admit(host.ctx, &join)) };
        let group = self.groups.get_mut(&join.group).ok_or(refuse(ErrorCode::UnknownMemberId))?;
        if !group.supports(&join.strategies) {
            return Err(refuse(ErrorCode::InconsistentGroupProtocol));
        }
        if group.pending.remove(&id).is_some() {
            add(host.ctx, group, id, origin, &join);
            self.maybe_prepare(host.ctx, &join.group);
            return Ok(());
        }
        let leads = group.leader == Some(id);
        let member = group.members.get_mut(&id).ok_or(refuse(ErrorCode::UnknownMemberId))?;
        let unchanged = member.strategies == join.strategies && member.subscription.topics == join.subscription.topics;
        match group.phase {
            // The answer to its join was lost: it is given again.
            Phase::CompletingRebalance if unchanged => answer(host.ctx, group, id, origin),
            Phase::Stable if unchanged && !leads => answer(host.ctx, group, id, origin),
            Phase::Empty => return Err(refuse(ErrorCode::UnknownMemberId)),
            Phase::PreparingRebalance(_) | Phase::CompletingRebalance | Phase::Stable => {
                member.update(&join);
                member.awaiting_join = Some(origin);
                self.maybe_prepare(host.ctx, &join.group);
            }
        }
        Ok(())
    }

    /// A newcomer is given an id to come back with, so that joins whose answers are lost leave no ghosts (KIP-394).
    fn admit(&mut self, ctx: &mut Ctx<'_>, join: &JoinGroup) -> JoinRefused {
        let group = self.groups.entry(join.group.clone()).or_default();
        if !group.supports(&join.strategies) {
            return JoinRefused { error: ErrorCode::InconsistentGroupProtocol, member: None };
        }
        let id = MemberId(ctx.random.word());
        group.pending.insert(id, ctx.now + join.session_timeout);
        JoinRefused { error: ErrorCode::MemberIdRequired, member: Some(id) }
    }

    /// `maybePrepareRebalance`, `prepareRebalance`: not while one is being prepared.
    pub(super) fn maybe_prepare(&mut self, ctx: &mut Ctx<'_>, name: &Group) {
        let Some(group) = self.groups.get_mut(name) else { return };
        if matches!(group.phase, Phase::PreparingRebalance(_)) {
            return;
        }
        if group.phase == Phase::CompletingRebalance {
            for member in group.members.values_mut() {
                member.assignment = Arc::default();
                if let Some(origin) = member.awaiting_sync.take() {
                    respond(ctx, origin, GroupResponse::Sync(Err(ErrorCode::RebalanceInProgress)));
                    member.heard(ctx.now);
                }
            }
        }
        group.sync_until = None;
        let timeout = group.rebalance_timeout();
        let wait = if group.phase == Phase::Empty {
            let delay = Span::from_ms(self.config.group_initial_rebalance_delay_ms.into());
            JoinWait { until: ctx.now + delay, extension: Some(timeout.saturating_sub(delay)) }
        } else {
            JoinWait { until: ctx.now + timeout, extension: None }
        };
        group.phase = Phase::PreparingRebalance(wait);
        observe_state(ctx, &self.config, name, group);
    }

    /// `DelayedJoin.tryComplete`: everybody is here. The initial delay is waited out in any case.
    pub(super) fn maybe_complete_join(&mut self, host: &mut Host<'_, '_>, name: &Group) {
        let complete = self.groups.get(name).is_some_and(|group| match group.phase {
            Phase::PreparingRebalance(wait) => wait.extension.is_none() && group.all_joined(),
            Phase::Empty | Phase::CompletingRebalance | Phase::Stable => false,
        });
        if complete {
            self.complete_join(host, name);
        }
    }

    /// `onCompleteJoin`: who is not here is out; the next generation begins.
    pub(super) fn complete_join(&mut self, host: &mut Host<'_, '_>, name: &Group) {
        let Some(group) = self.groups.get_mut(name) else { return };
        let absent: Vec<_> =
            group.members.iter().filter(|(_, m)| m.awaiting_join.is_none()).map(|(id, _)| *id).collect();
        for id in absent {
            group.remove(id);
            let reason = RemovalReason::NotRejoined;
            host.ctx.observe(Observation::MemberRemoved {
                group: name.clone(),
                member: id,
                reason,
                clock: host.ctx.now,
            });
        }
        group.generation += 1;
        group.new_member_added = false;
        group.strategy = group.elect_strategy();
        if group.members.is_empty() {
            group.phase = Phase::Empty;
            group.leader = None;
            observe_state(host.ctx, &self.config, name, group);
            let record = CoordinatorRecord::Generation(Arc::new(group.stored(name.clone(), &BTreeMap::new())));
            let partition = self.partition_of(name);
            self.appends.append(host, &self.config, partition, [record].into(), Pending::Nothing);
            return;
        }
        group.leader = group.leader.or(group.members.keys().next().copied());
        group.phase = Phase::CompletingRebalance;
        group.sync_until = Some(host.ctx.now + group.rebalance_timeout());
        observe_state(host.ctx, &self.config, name, group);
        for id in group.members.keys().copied().collect::<Vec<_>>() {
            let Some(member) = group.members.get_mut(&id) else { continue };
            member.heard(host.ctx.now);
            (member.is_new, member.synced) = (false, false);
            if let Some(origin) = member.awaiting_join.take() {
                answer(host.ctx, group, id, origin);
            }
        }
    }
}

impl Member {
    fn update(&mut self, join: &JoinGroup) {
        self.session_timeout = join.session_timeout;
        self.rebalance_timeout = join.rebalance_timeout;
        self.strategies = Arc::clone(&join.strategies);
        self.subscription = join.subscription.clone();
    }
}

/// `addMemberAndRebalance`, as far as the member goes. The first one to come leads.
fn add(ctx: &Ctx<'_>, group: &mut GroupMetadata, id: MemberId, origin: Origin, join: &JoinGroup) {
    if matches!(group.phase, Phase::PreparingRebalance(_)) && group.generation == 0 {
        group.new_member_added = true;
    }
    group.leader.get_or_insert(id);
    let member = Member {
        session_timeout: join.session_timeout,
        rebalance_timeout: join.rebalance_timeout,
        strategies: Arc::clone(&join.strategies),
        subscription: join.subscription.clone(),
        assignment: Arc::default(),
        awaiting_join: Some(origin),
        awaiting_sync: None,
        is_new: true,
        synced: false,
        deadline: ctx.now + NEW_MEMBER_JOIN_TIMEOUT,
    };
    group.members.insert(id, member);
}

/// Tells a member of the generation; the leader hears of all members.
fn answer(ctx: &mut Ctx<'_>, group: &GroupMetadata, id: MemberId, origin: Origin) {
    let (Some(strategy), Some(leader)) = (group.strategy, group.leader) else { return };
    let members = if leader == id {
        group.members.iter().map(|(id, member)| (*id, member.subscription.clone())).collect()
    } else {
        Arc::default()
    };
    let joined = Joined { generation: group.generation, strategy, leader, members };
    respond(ctx, origin, GroupResponse::Join(Ok(joined)));
}
