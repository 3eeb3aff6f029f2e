//! Positions of a group: fetched after an assignment, committed in the background or after processing
//! (`ConsumerCoordinator`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::member::{CommitUnderWay, Member, Stage};
use super::{Consumer, Phase, Position};
use crate::id::TopicPartition;
use crate::kafka::channel::ChannelId;
use crate::kafka::group::messages::{GroupRequest, KeptPositions, OffsetCommit};
use crate::kafka::protocol::{ErrorCode, Request};
use crate::observation::Observation;
use crate::time::Span;
use crate::world::Ctx;

impl Consumer {
    /// `refreshCommittedOffsetsIfNeeded`: where the group left off.
    pub(super) fn fetch_committed(&mut self, ctx: &mut Ctx<'_>, member: &mut Member, channel: ChannelId) {
        if member.fetch.is_some() || !member.lacks_positions {
            return;
        }
        let wanted = |id: &&TopicPartition| {
            self.network.metadata.index(**id).is_some_and(|i| self.partitions[i as usize].phase == Phase::Committed)
        };
        let partitions: Arc<[_]> = member.assigned.iter().filter(wanted).copied().collect();
        member.lacks_positions = !partitions.is_empty();
        if member.lacks_positions {
            let request = Request::Group(Box::new(GroupRequest::Fetch { group: member.group.clone(), partitions }));
            member.fetch = Some(self.network.send(ctx, channel, request));
        }
    }

    pub(super) fn on_fetched_committed(
        &mut self,
        ctx: &mut Ctx<'_>,
        member: &mut Member,
        answer: Result<KeptPositions, ErrorCode>,
    ) {
        let positions = match answer {
            Ok(positions) => positions,
            Err(error) => return self.on_group_error(ctx, member, error),
        };
        ctx.observe(Observation::FetchCommitted {
            group: member.group.clone(),
            generation: member.generation.unwrap_or(-1),
            offsets: positions.iter().map(|(id, position)| (*id, position.map(|p| p.offset))).collect(),
        });
        let positions: BTreeMap<_, _> = positions.iter().copied().collect();
        for id in member.assigned.iter() {
            let Some(index) = self.network.metadata.index(*id) else { continue };
            let state = &mut self.partitions[index as usize];
            if state.phase != Phase::Committed {
                continue;
            }
            match positions.get(id).copied().flatten() {
                Some(Position { offset, leader_epoch }) => {
                    state.seek(offset, leader_epoch);
                    // `seekUnvalidated`: whether the leader's history still holds it is to be asked (KIP-320).
                    if leader_epoch.is_some() {
                        state.phase = Phase::Validate;
                    }
                }
                None => self.request_reset(index),
            }
            self.place(ctx, index);
        }
    }

    /// Commits if it is time to: in the background every `auto.commit.interval.ms`, else what was processed.
    pub(super) fn maybe_commit(&mut self, ctx: &mut Ctx<'_>, member: &mut Member, channel: ChannelId) {
        if member.commit.is_some() {
            return;
        }
        if self.spec.config.enable_auto_commit {
            if ctx.now >= member.commit_due {
                self.commit(ctx, member, channel);
                member.commit_due = ctx.now + Span::from_ms(self.spec.config.auto_commit_interval_ms.into());
            }
        } else if member.processed.is_some() {
            self.commit(ctx, member, channel);
        }
    }

    /// Sends all positions. Returns whether there were any.
    pub(super) fn commit(&mut self, ctx: &mut Ctx<'_>, member: &mut Member, channel: ChannelId) -> bool {
        let offsets = self.consumed(member);
        let Some(membership) = member.membership().filter(|_| !offsets.is_empty()) else { return false };
        ctx.observe(Observation::Commit {
            group: member.group.clone(),
            generation: membership.generation,
            offsets: offsets_of(&offsets),
        });
        let generation = membership.generation;
        let request = GroupRequest::Commit(OffsetCommit { membership, offsets: Arc::clone(&offsets) });
        let correlation = self.network.send(ctx, channel, Request::Group(Box::new(request)));
        member.commit = Some(CommitUnderWay { correlation, generation, offsets });
        true
    }

    pub(super) fn on_committed(&mut self, ctx: &mut Ctx<'_>, member: &mut Member, correlation: u32, error: ErrorCode) {
        let Some(commit) = member.commit.take_if(|commit| commit.correlation == correlation) else { return };
        if error == ErrorCode::None {
            let (group, generation) = (member.group.clone(), commit.generation);
            ctx.observe(Observation::CommitOk { group, generation, offsets: offsets_of(&commit.offsets) });
            member.processed = None;
            self.let_go(ctx, member);
            return;
        }
        // A generation that has changed meanwhile is not put in question by an answer about the old one.
        let current = member.generation == Some(commit.generation);
        self.commit_failed(ctx, member, &commit, error);
        match error {
            ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable | ErrorCode::RequestTimedOut => {
                self.lose_coordinator(ctx, member, true);
            }
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration if current => {
                member.forget_generation(error == ErrorCode::IllegalGeneration);
            }
            ErrorCode::RebalanceInProgress if member.stage == Stage::Stable => member.stage = Stage::Unjoined,
            _ => self.pause(ctx, member),
        }
    }

    /// A commit came to nothing, as far as the member knows: one that may succeed later is tried again.
    pub(super) fn commit_failed(
        &mut self,
        ctx: &mut Ctx<'_>,
        member: &mut Member,
        commit: &CommitUnderWay,
        error: ErrorCode,
    ) {
        let (group, generation) = (member.group.clone(), commit.generation);
        ctx.observe(Observation::CommitFailed { group, generation, error });
        let retriable = !matches!(
            error,
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration | ErrorCode::RebalanceInProgress
        );
        if !retriable {
            // `commitSync` throws; the application polls on.
            member.processed = None;
        } else {
            member.commit_due = ctx.now + Span::from_ms(self.spec.config.retry_backoff_ms.into());
        }
        self.let_go(ctx, member);
    }
}

fn offsets_of(positions: &[(TopicPartition, Position)]) -> Arc<[(TopicPartition, u64)]> {
    positions.iter().map(|(id, position)| (*id, position.offset)).collect()
}
