//! OffsetCommit and OffsetFetch (`doCommitOffsets`, `storeOffsets`, `getOffsets`).

use std::sync::Arc;

use super::messages::{CoordinatorRecord, GroupResponse, OffsetCommit, Position};
use super::state::{Phase, Stored};
use super::{GroupCoordinator, Host, Pending, observe_heard, offsets_of, respond};
use crate::id::{Group, TopicPartition};
use crate::kafka::protocol::{ErrorCode, Origin};
use crate::observation::Observation;

impl GroupCoordinator {
    pub(super) fn commit(&mut self, host: &mut Host<'_, '_>, origin: Origin, commit: OffsetCommit) {
        if let Err(error) = self.may_commit(host, &commit) {
            respond(host.ctx, origin, GroupResponse::Commit(error));
            return;
        }
        let group = &commit.membership.group;
        let record = |(partition, position): &(TopicPartition, Position)| CoordinatorRecord::Offset {
            group: group.clone(),
            partition: *partition,
            position: *position,
        };
        let records = commit.offsets.iter().map(record).collect();
        let partition = self.partition_of(group);
        self.appends.append(host, &self.config, partition, records, Pending::Commit { origin, commit });
    }

    fn may_commit(&mut self, host: &mut Host<'_, '_>, commit: &OffsetCommit) -> Result<(), ErrorCode> {
        // `KafkaApis.handleOffsetCommitRequest` asks the metadata cache before the coordinator.
        if commit.offsets.iter().any(|(partition, _)| !host.cache.contains(*partition)) {
            return Err(ErrorCode::UnknownTopicOrPartition);
        }
        let membership = &commit.membership;
        self.check(&membership.group)?;
        let group = self.groups.get_mut(&membership.group).ok_or(ErrorCode::IllegalGeneration)?;
        group.check(membership)?;
        let phase = group.phase;
        let member = group.members.get_mut(&membership.member).ok_or(ErrorCode::UnknownMemberId)?;
        member.heard(host.ctx.now);
        match phase {
            // While members join, what they had read is still theirs to commit.
            Phase::Stable | Phase::PreparingRebalance(_) => {
                observe_heard(host.ctx, membership);
                Ok(())
            }
            Phase::CompletingRebalance => Err(ErrorCode::RebalanceInProgress),
            Phase::Empty => Err(ErrorCode::UnknownMemberId),
        }
    }

    /// The positions stand in the log, or could not be written. Only then memory follows.
    pub(super) fn committed(
        &mut self,
        host: &mut Host<'_, '_>,
        origin: Origin,
        commit: &OffsetCommit,
        error: ErrorCode,
        base_offset: Option<u64>,
    ) {
        let membership = &commit.membership;
        if let (ErrorCode::None, Some(at)) = (error, base_offset)
            && let Some(group) = self.groups.get_mut(&membership.group)
        {
            for (partition, position) in commit.offsets.iter() {
                // `CommitRecordMetadataAndOffset.olderThan`: the log decides which commit is the newer one.
                if group.offsets.get(partition).is_none_or(|stored| stored.at < at) {
                    group.offsets.insert(*partition, Stored { position: *position, at });
                }
            }
            host.ctx.observe(Observation::CommitAccepted {
                partition: self.partition_of(&membership.group),
                leader_epoch: self.epoch_of(&membership.group),
                base_offset: at,
                group: membership.group.clone(),
                member: membership.member,
                generation: membership.generation,
                offsets: offsets_of(&commit.offsets),
            });
        }
        let error = match error {
            ErrorCode::UnknownTopicOrPartition
            | ErrorCode::NotEnoughReplicas
            | ErrorCode::NotEnoughReplicasAfterAppend => ErrorCode::CoordinatorNotAvailable,
            ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
            // INVALID_COMMIT_OFFSET_SIZE in the real protocol; a commit of this model never is that large.
            ErrorCode::MessageTooLarge => ErrorCode::InvalidRequest,
            error => error,
        };
        respond(host.ctx, origin, GroupResponse::Commit(error));
    }

    /// Answered from memory, whoever asks: neither generation nor high watermark is looked at.
    pub(super) fn fetch(
        &mut self,
        host: &mut Host<'_, '_>,
        name: &Group,
        partitions: &[TopicPartition],
    ) -> Result<Arc<[(TopicPartition, Option<Position>)]>, ErrorCode> {
        self.check(name)?;
        let group = self.groups.get(name);
        let find = |id: &TopicPartition| group.and_then(|group| group.offsets.get(id)).map(|stored| stored.position);
        let found: Arc<[_]> = partitions.iter().map(|id| (*id, find(id))).collect();
        host.ctx.observe(Observation::OffsetsServed {
            partition: self.partition_of(name),
            leader_epoch: self.epoch_of(name),
            group: name.clone(),
            offsets: found.iter().map(|(id, position)| (*id, position.map(|p| p.offset))).collect(),
        });
        Ok(found)
    }
}
