//! Loads and unloads of offsets partitions, in the order of leader epochs (`onElection`, `onResignation`,
//! `loadGroupsAndOffsets`, `removeGroupsAndOffsets`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::messages::{CoordinatorRecord, GroupResponse, JoinRefused, StoredGroup};
use super::state::{GroupMetadata, Phase, Stored};
use super::{GroupCoordinator, Host, observe_state, respond};
use crate::defect::Defect;
use crate::id::{Group, Topic, TopicPartition};
use crate::kafka::protocol::{ErrorCode, RecordBatch};
use crate::observation::Observation;
use crate::world::Ctx;

/// What the broker is to an offsets partition that it leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// Its log is being read.
    Loading,
    /// Its groups are in memory.
    Owned {
        /// The leader epoch under which they were read.
        leader_epoch: i32,
    },
}

/// A load under way, with what the log said when the reading began: nobody appends to it before the load is done.
#[derive(Clone, Debug, Hash)]
pub(super) struct Load {
    partition: u16,
    leader_epoch: i32,
    groups: BTreeMap<Group, Found>,
}

#[derive(Clone, Debug, Default, Hash)]
struct Found {
    group: Option<Arc<StoredGroup>>,
    offsets: BTreeMap<TopicPartition, Stored>,
}

impl GroupCoordinator {
    /// The broker leads the partition: its log is read from the start to LEO, not to the high watermark.
    pub(super) fn elected(&mut self, host: &mut Host<'_, '_>, partition: u16, leader_epoch: i32) {
        if !self.is_next(partition, Some(leader_epoch)) {
            return;
        }
        // With the defect a load that is still under way stands for this one (`addLoadingPartition`).
        let loading = self.partitions.get(&partition) == Some(&Role::Loading);
        if loading && self.defects.has(Defect::UnorderedCoordinatorLoad) {
            return;
        }
        self.partitions.insert(partition, Role::Loading);
        self.last_load += 1;
        let id = TopicPartition { topic: Topic::CONSUMER_OFFSETS, partition };
        let groups = read(&host.replicas.read_for_coordinator(host.ctx, id, self.last_load));
        self.loads.insert(self.last_load, Load { partition, leader_epoch, groups });
    }

    /// The broker leads the partition no longer: what waits here is told to look elsewhere.
    pub(super) fn resigned(&mut self, host: &mut Host<'_, '_>, partition: u16, leader_epoch: Option<i32>) {
        if !self.is_next(partition, leader_epoch) {
            return;
        }
        let owned = match self.partitions.get(&partition) {
            Some(Role::Owned { leader_epoch }) => Some(*leader_epoch),
            // With the defect nothing stops the load: it will own the partition when it ends.
            Some(Role::Loading) if self.defects.has(Defect::UnorderedCoordinatorLoad) => return,
            Some(Role::Loading) | None => None,
        };
        self.partitions.remove(&partition);
        self.unload(host.ctx, partition);
        if let Some(leader_epoch) = owned {
            let partition = TopicPartition { topic: Topic::CONSUMER_OFFSETS, partition };
            host.ctx.observe(Observation::CoordinatorUnloaded { partition, leader_epoch });
        }
    }

    /// `maybeUpdateCoordinatorEpoch`: whether this is news. Without it (KAFKA-10614) loads and unloads, which end in any
    /// order, are all carried out, each whenever it is done.
    fn is_next(&mut self, partition: u16, leader_epoch: Option<i32>) -> bool {
        let (Some(epoch), false) = (leader_epoch, self.defects.has(Defect::UnorderedCoordinatorLoad)) else {
            return true;
        };
        if self.epochs.get(&partition).is_some_and(|known| *known >= epoch) {
            return false;
        }
        self.epochs.insert(partition, epoch);
        true
    }

    fn unload(&mut self, ctx: &mut Ctx<'_>, partition: u16) {
        let mine = |group: &&Group| self.partition_of(group).partition == partition;
        for name in self.groups.keys().filter(mine).cloned().collect::<Vec<_>>() {
            let Some(group) = self.groups.remove(&name) else { continue };
            for member in group.members.values() {
                if let Some(origin) = member.awaiting_join {
                    let refused = JoinRefused { error: ErrorCode::NotCoordinator, member: None };
                    respond(ctx, origin, GroupResponse::Join(Err(refused)));
                }
                if let Some(origin) = member.awaiting_sync {
                    respond(ctx, origin, GroupResponse::Sync(Err(ErrorCode::NotCoordinator)));
                }
            }
        }
    }

    /// A partition's log has been read.
    pub(super) fn loaded(&mut self, host: &mut Host<'_, '_>, load: u64) {
        let Some(load) = self.loads.remove(&load) else { return };
        let Load { partition, leader_epoch, groups } = load;
        let unordered = self.defects.has(Defect::UnorderedCoordinatorLoad);
        if !unordered && self.epochs.get(&partition).is_some_and(|known| *known > leader_epoch) {
            return;
        }
        self.partitions.insert(partition, Role::Owned { leader_epoch });
        host.ctx.observe(Observation::CoordinatorLoaded {
            partition: TopicPartition { topic: Topic::CONSUMER_OFFSETS, partition },
            leader_epoch,
            groups: groups.len() as u32,
            offsets: groups.values().map(|found| found.offsets.len() as u32).sum(),
        });
        for (name, found) in groups {
            // `addGroup`: what is in memory stays. In order there is nothing.
            if self.groups.contains_key(&name) {
                continue;
            }
            let restored = found
                .group
                .map_or_else(GroupMetadata::default, |stored| GroupMetadata::restored(&stored, host.ctx.now));
            let group = GroupMetadata { offsets: found.offsets, ..restored };
            if group.phase != Phase::Empty {
                observe_state(host.ctx, &self.config, &name, &group);
            }
            self.groups.insert(name, group);
        }
    }
}

/// What a log says: of each group the last generation, of each position the last commit.
fn read(batches: &[Arc<RecordBatch>]) -> BTreeMap<Group, Found> {
    let mut groups: BTreeMap<Group, Found> = BTreeMap::new();
    for batch in batches {
        for record in batch.content.iter().flat_map(|content| content.iter()) {
            match record {
                CoordinatorRecord::Offset { group, partition, position } => {
                    let stored = Stored { position: *position, at: batch.base_offset };
                    groups.entry(group.clone()).or_default().offsets.insert(*partition, stored);
                }
                CoordinatorRecord::Generation(stored) => {
                    groups.entry(stored.group.clone()).or_default().group = Some(Arc::clone(stored));
                }
            }
        }
    }
    groups
}
