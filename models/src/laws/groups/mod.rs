//! Laws of consumer groups and committed offsets (section 7 of the catalogue), with what they share: [`GroupLaws`] sees
//! every observation of groups and hands it to each of them.

pub(super) mod commit_durable;
pub(super) mod consume;
pub(super) mod coordinator_unique;
pub(super) mod exclusive;
pub(super) mod generation_fence;
pub(super) mod group_no_loss;
pub(super) mod group_stable;
pub(super) mod member_fencing;
pub(super) mod no_silent_skip;
pub(super) mod overlap_bound;

use self::commit_durable::CommitDurable;
use self::consume::Consume;
use self::coordinator_unique::CoordinatorUnique;
use self::exclusive::Exclusive;
use self::generation_fence::GenerationFence;
use self::group_no_loss::GroupNoLoss;
use self::group_stable::GroupStable;
use self::member_fencing::MemberFencing;
use self::no_silent_skip::NoSilentSkip;
pub(in crate::laws) use self::no_silent_skip::Read;
use self::overlap_bound::OverlapBound;
use super::facts::Roster;
use super::ledger::{Law, Ledger};
use super::views::Views;
use crate::id::{Group, ProcessId, Topic, TopicPartition};
use crate::observation::Observation;
use crate::time::Instant;

/// All laws of this family.
#[derive(Clone, Debug)]
pub(super) struct GroupLaws {
    /// Per process the group that it subscribed as a member of.
    groups: Vec<Option<Group>>,
    commit_durable: CommitDurable,
    generation_fence: GenerationFence,
    exclusive: Exclusive,
    overlap_bound: OverlapBound,
    no_silent_skip: NoSilentSkip,
    coordinator_unique: CoordinatorUnique,
    member_fencing: MemberFencing,
    group_no_loss: GroupNoLoss,
    group_stable: GroupStable,
    consume: Consume,
}

impl GroupLaws {
    pub(super) fn new(roster: &Roster) -> Self {
        Self {
            groups: vec![None; roster.facts.processes.len()],
            commit_durable: CommitDurable::default(),
            generation_fence: GenerationFence::default(),
            exclusive: Exclusive::default(),
            overlap_bound: OverlapBound::default(),
            no_silent_skip: NoSilentSkip::new(roster),
            coordinator_unique: CoordinatorUnique::default(),
            member_fencing: MemberFencing::default(),
            group_no_loss: GroupNoLoss::default(),
            group_stable: GroupStable::default(),
            consume: Consume::new(roster),
        }
    }

    /// The group that a consumer is a member of.
    pub(super) fn group_of(&self, process: ProcessId) -> Option<&Group> {
        self.groups.get(usize::from(process.0))?.as_ref()
    }

    /// Something about groups.
    pub(super) fn observe(&mut self, what: &Observation, views: Views<'_>, ledger: &mut Ledger) {
        if let Observation::Subscribe { group, .. } = what
            && let Some(slot) = self.groups.get_mut(usize::from(views.process.0))
        {
            *slot = Some(group.clone());
        }
        self.commit_durable.observe(what, views, ledger);
        self.generation_fence.observe(what, views, ledger);
        self.exclusive.observe(what, views, ledger);
        self.overlap_bound.observe(what, views, ledger);
        self.no_silent_skip.observe(what, views);
        self.coordinator_unique.observe(what, views, ledger);
        self.member_fencing.observe(what, views, ledger);
        self.group_no_loss.observe(what, views, ledger);
        self.group_stable.observe(what, views);
    }

    /// Any consumer got records of a partition, by its number.
    pub(super) fn on_poll(&mut self, partition: usize, read: Read<'_>, views: Views<'_>, ledger: &mut Ledger) {
        let told = self.no_silent_skip.on_poll(partition, read, views, ledger);
        let Some(group) = self.groups.get(usize::from(views.process.0)).and_then(Option::as_ref) else { return };
        let (base_offset, end) = (read.base_offset, read.end());
        let name = views.roster.name(partition);
        self.group_no_loss.on_poll(group, partition, told.unwrap_or(base_offset).min(base_offset), end);
        self.overlap_bound.on_poll(group, name, views, ledger);
        self.consume.on_poll(group, partition, end);
    }

    /// A partition acknowledged everything below `end`.
    pub(super) fn on_ack(&mut self, partition: usize, end: u64) {
        self.consume.on_ack(partition, end);
    }

    /// A consumer's position was reset, and it was told.
    pub(super) fn on_reset(&mut self, partition: usize, from: u64, to: u64, process: ProcessId) {
        self.no_silent_skip.on_reset(partition, to, process);
        if let Some(group) = self.groups.get(usize::from(process.0)).and_then(Option::as_ref) {
            self.group_no_loss.on_reset(group, partition, from, to);
        }
    }

    /// Somebody leads a partition in this epoch.
    pub(super) fn on_leader(&mut self, partition: TopicPartition, leader_epoch: i32, process: ProcessId) {
        if partition.topic == Topic::CONSUMER_OFFSETS {
            self.group_stable.on_leader(partition, leader_epoch, process);
        }
    }

    /// A process is gone.
    pub(super) fn on_down(&mut self, process: ProcessId, at: Instant) {
        self.no_silent_skip.forget(process);
        self.overlap_bound.forget(process);
        self.group_stable.on_down(process, at);
        self.generation_fence.forget(process);
        self.member_fencing.forget(process);
    }

    /// The last fault is over.
    pub(super) fn quiet_begins(&mut self, now: Instant) {
        self.consume.quiet_begins(now);
    }

    /// What the liveness laws of this family wait for, since when.
    pub(super) fn oldest(&self, views: Views<'_>) -> [(Law, Option<(Instant, String)>); 2] {
        [(Law::GroupStable, self.group_stable.oldest(views)), (Law::Consume, self.consume.oldest(views))]
    }
}

/// A group and a partition that it reads.
type GroupPartition = (Group, TopicPartition);
