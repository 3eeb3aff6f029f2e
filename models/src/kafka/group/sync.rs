//! SyncGroup, Heartbeat and LeaveGroup.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::messages::{Assignment, CoordinatorRecord, GroupResponse, Membership, SyncGroup};
use super::state::Phase;
use super::{GroupCoordinator, Host, Pending, observe_heard, observe_state, respond};
use crate::id::{Group, MemberId};
use crate::kafka::protocol::{ErrorCode, Origin};
use crate::observation::{Observation, RemovalReason};

impl GroupCoordinator {
    pub(super) fn sync(&mut self, host: &mut Host<'_, '_>, origin: Origin, sync: SyncGroup) {
        if let Err(error) = self.try_sync(host, origin, sync) {
            respond(host.ctx, origin, GroupResponse::Sync(Err(error)));
        }
    }

    fn try_sync(&mut self, host: &mut Host<'_, '_>, origin: Origin, sync: SyncGroup) -> Result<(), ErrorCode> {
        let SyncGroup { membership, assignment } = sync;
        let (name, id) = (&membership.group, membership.member);
        // A rebalance that was under way is lost with the coordinator that is being replaced: begin it anew.
        self.check(name).map_err(|error| match error {
            ErrorCode::CoordinatorLoadInProgress => ErrorCode::RebalanceInProgress,
            error => error,
        })?;
        let group = self.groups.get_mut(name).ok_or(ErrorCode::UnknownMemberId)?;
        group.check(&membership)?;
        let leads = group.leader == Some(id);
        let phase = group.phase;
        let member = group.members.get_mut(&id).ok_or(ErrorCode::UnknownMemberId)?;
        match phase {
            Phase::Empty => Err(ErrorCode::UnknownMemberId),
            Phase::PreparingRebalance(_) => Err(ErrorCode::RebalanceInProgress),
            Phase::Stable => {
                member.heard(host.ctx.now);
                member.synced = true;
                respond(host.ctx, origin, GroupResponse::Sync(Ok(Arc::clone(&member.assignment))));
                Ok(())
            }
            Phase::CompletingRebalance => {
                member.awaiting_sync = Some(origin);
                member.synced = true;
                if leads {
                    let shares = assignment.iter().map(|(id, share)| (*id, Arc::clone(share))).collect();
                    let record = CoordinatorRecord::Generation(Arc::new(group.stored(name.clone(), &shares)));
                    let generation = group.generation;
                    let pending = Pending::Assignment { group: name.clone(), generation, shares: assignment };
                    let partition = self.partition_of(name);
                    self.appends.append(host, &self.config, partition, [record].into(), pending);
                }
                Ok(())
            }
        }
    }

    /// The leader's assignment stands in the log, or could not be written.
    pub(super) fn assignment_stored(
        &mut self,
        host: &mut Host<'_, '_>,
        name: &Group,
        generation: i32,
        shares: &Assignment,
        error: ErrorCode,
    ) {
        let Some(group) = self.groups.get_mut(name) else { return };
        if group.phase != Phase::CompletingRebalance || group.generation != generation {
            return;
        }
        let error = match error {
            ErrorCode::UnknownTopicOrPartition
            | ErrorCode::NotEnoughReplicas
            | ErrorCode::NotEnoughReplicasAfterAppend => ErrorCode::CoordinatorNotAvailable,
            ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
            ErrorCode::RequestTimedOut => ErrorCode::RebalanceInProgress,
            ErrorCode::MessageTooLarge => ErrorCode::UnknownServerError,
            error => error,
        };
        let mut given: BTreeMap<_, _> = shares.iter().map(|(id, share)| (*id, Arc::clone(share))).collect();
        for (id, member) in &mut group.members {
            member.assignment =
                if error == ErrorCode::None { given.remove(id).unwrap_or_default() } else { Arc::default() };
            if let Some(origin) = member.awaiting_sync.take() {
                let answer = if error == ErrorCode::None { Ok(Arc::clone(&member.assignment)) } else { Err(error) };
                respond(host.ctx, origin, GroupResponse::Sync(answer));
                member.heard(host.ctx.now);
            }
        }
        if error == ErrorCode::None {
            group.phase = Phase::Stable;
            let assignment = group.members.iter().map(|(id, member)| (*id, Arc::clone(&member.assignment))).collect();
            host.ctx.observe(Observation::GroupAssigned { group: name.clone(), generation, assignment });
            observe_state(host.ctx, &self.config, name, group);
        } else {
            self.maybe_prepare(host.ctx, name);
            self.maybe_complete_join(host, name);
        }
    }

    pub(super) fn heartbeat(&mut self, host: &mut Host<'_, '_>, membership: &Membership) -> Result<(), ErrorCode> {
        match self.check(&membership.group) {
            // The member is not to be alarmed: its session begins anew when the load is done.
            Err(ErrorCode::CoordinatorLoadInProgress) => return Ok(()),
            other => other?,
        }
        let group = self.groups.get_mut(&membership.group).ok_or(ErrorCode::UnknownMemberId)?;
        group.check(membership)?;
        let phase = group.phase;
        let member = group.members.get_mut(&membership.member).ok_or(ErrorCode::UnknownMemberId)?;
        member.heard(host.ctx.now);
        match phase {
            Phase::Empty => Err(ErrorCode::UnknownMemberId),
            Phase::PreparingRebalance(_) => Err(ErrorCode::RebalanceInProgress),
            Phase::CompletingRebalance | Phase::Stable => {
                observe_heard(host.ctx, membership);
                Ok(())
            }
        }
    }

    pub(super) fn leave(&mut self, host: &mut Host<'_, '_>, name: &Group, member: MemberId) -> Result<(), ErrorCode> {
        self.check(name)?;
        let group = self.groups.get_mut(name).ok_or(ErrorCode::UnknownMemberId)?;
        if group.pending.remove(&member).is_some() {
            self.maybe_complete_join(host, name);
            return Ok(());
        }
        if !group.members.contains_key(&member) {
            return Err(ErrorCode::UnknownMemberId);
        }
        self.remove_member(host, name, member, RemovalReason::Left);
        Ok(())
    }

    /// `removeMemberAndUpdateGroup`.
    pub(super) fn remove_member(&mut self, host: &mut Host<'_, '_>, name: &Group, id: MemberId, reason: RemovalReason) {
        let Some(member) = self.groups.get_mut(name).and_then(|group| group.remove(id)) else { return };
        host.ctx.observe(Observation::MemberRemoved { group: name.clone(), member: id, reason, clock: host.ctx.now });
        // `maybeInvokeJoinCallback`: whoever it was that still waits is told to begin anew.
        if let Some(origin) = member.awaiting_join {
            let refused = super::messages::JoinRefused { error: ErrorCode::UnknownMemberId, member: None };
            respond(host.ctx, origin, GroupResponse::Join(Err(refused)));
        }
        if let Some(origin) = member.awaiting_sync {
            respond(host.ctx, origin, GroupResponse::Sync(Err(ErrorCode::UnknownMemberId)));
        }
        self.maybe_prepare(host.ctx, name);
        self.maybe_complete_join(host, name);
    }
}
