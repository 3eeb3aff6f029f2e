//! L-GROUP-STABLE: a group with live members is stable, every one of them has heard its share, and every partition is
//! somebody's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::views::Views;
use crate::id::{Group, ProcessId, TopicPartition};
use crate::observation::{GroupState, Observation};
use crate::time::Instant;

pub(in crate::laws) const SOURCE: &str = "KAFKA-12890, KAFKA-9307";

/// What coordinators and members last said.
#[derive(Clone, Debug, Default)]
pub(super) struct GroupStable {
    /// What each broker that has a group in memory said of it.
    groups: BTreeMap<(Group, ProcessId), Seen>,
    offsets_partitions: BTreeMap<TopicPartition, Coordinators>,
    shares: BTreeMap<ProcessId, Share>,
}

/// Who has an offsets partition in memory.
#[derive(Clone, Debug, Default)]
struct Coordinators {
    /// The newest epoch in which somebody led it.
    newest: i32,
    /// Who leads in it, and from which epoch on without another in between.
    reign: Option<(ProcessId, i32)>,
    /// The newest epoch in which each led it. A leader that is told to go on leading in a newer epoch loads nothing anew:
    /// `ReplicaManager.becomeLeaderOrFollower` calls `onLeadershipChange` for those only that did not lead before.
    loaded: BTreeMap<ProcessId, i32>,
}

#[derive(Clone, Debug)]
struct Seen {
    /// Where it is kept.
    partition: TopicPartition,
    state: GroupState,
    generation: i32,
    since: Instant,
}

#[derive(Clone, Debug)]
struct Share {
    generation: i32,
    partitions: Arc<[TopicPartition]>,
    since: Instant,
}

impl GroupStable {
    pub(super) fn observe(&mut self, what: &Observation, views: Views<'_>) {
        match what {
            Observation::CoordinatorLoaded { partition, leader_epoch, .. } => {
                let coordinators = self.offsets_partitions.entry(*partition).or_default();
                coordinators.newest = coordinators.newest.max(*leader_epoch);
                // It may have been told to go on leading while it was reading.
                let goes_on =
                    coordinators.reign.is_some_and(|(who, from)| who == views.process && from <= *leader_epoch);
                let epoch = if goes_on { coordinators.newest } else { *leader_epoch };
                coordinators.loaded.insert(views.process, epoch);
            }
            Observation::CoordinatorUnloaded { partition, .. } => {
                if let Some(coordinators) = self.offsets_partitions.get_mut(partition) {
                    coordinators.loaded.remove(&views.process);
                }
                self.groups.retain(|(_, process), seen| *process != views.process || seen.partition != *partition);
            }
            Observation::GroupState { partition, group, state, generation, .. } => {
                let seen = Seen { partition: *partition, state: *state, generation: *generation, since: views.at };
                self.groups.insert((group.clone(), views.process), seen);
            }
            Observation::Assigned { generation, partitions, .. } => {
                let share = Share { generation: *generation, partitions: Arc::clone(partitions), since: views.at };
                self.shares.insert(views.process, share);
            }
            Observation::Revoked { .. } => self.lose(views.process, views.at),
            _ => {}
        }
    }

    /// Somebody leads an offsets partition.
    pub(super) fn on_leader(&mut self, partition: TopicPartition, leader_epoch: i32, process: ProcessId) {
        let coordinators = self.offsets_partitions.entry(partition).or_default();
        if leader_epoch > coordinators.newest || coordinators.reign.is_none() {
            coordinators.newest = coordinators.newest.max(leader_epoch);
            let same = coordinators.reign.filter(|(who, _)| *who == process);
            coordinators.reign = same.or(Some((process, leader_epoch)));
        }
        if let Some(epoch) = coordinators.loaded.get_mut(&process) {
            *epoch = leader_epoch.max(*epoch);
        }
    }

    /// What the newest coordinator says of a group. A deposed one that has not heard of it goes through the motions: it takes its
    /// members, who are with the new one, for silent, and removes them in a generation that nobody stores.
    fn seen(&self, group: &Group) -> Option<&Seen> {
        let is_newest = |process: ProcessId, seen: &Seen| {
            self.offsets_partitions.get(&seen.partition).is_none_or(|coordinators| {
                coordinators.loaded.get(&process).is_some_and(|epoch| *epoch >= coordinators.newest)
            })
        };
        let said = self.groups.iter().filter(|((known, process), seen)| known == group && is_newest(*process, seen));
        // Where no load was seen (real hosts), the last word counts.
        said.map(|(_, seen)| seen).max_by_key(|seen| seen.since)
    }

    pub(super) fn on_down(&mut self, process: ProcessId, at: Instant) {
        self.groups.retain(|(_, who), _| *who != process);
        for coordinators in self.offsets_partitions.values_mut() {
            coordinators.loaded.remove(&process);
        }
        if self.shares.contains_key(&process) {
            self.lose(process, at);
        }
    }

    fn lose(&mut self, process: ProcessId, at: Instant) {
        self.shares.insert(process, Share { generation: -1, partitions: Arc::default(), since: at });
    }

    /// What is waited for, since when.
    pub(super) fn oldest(&self, views: Views<'_>) -> Option<(Instant, String)> {
        views
            .roster
            .facts
            .groups
            .iter()
            .filter_map(|facts| {
                let group = &facts.group;
                let members = || facts.members.iter().filter(|process| views.roster.wanted(**process));
                members().next()?;
                let Some(seen) = self.seen(group) else {
                    return Some((Instant::ZERO, format!("group {group} waits for a coordinator")));
                };
                if seen.state != GroupState::Stable {
                    let text = format!("group {group} waits in {:?}, generation {}", seen.state, seen.generation);
                    return Some((seen.since, text));
                }
                let mut given = BTreeSet::new();
                for process in members() {
                    let share = self.shares.get(process);
                    let Some(share) = share.filter(|share| share.generation == seen.generation) else {
                        let since = share.map_or(Instant::ZERO, |share| share.since);
                        let text =
                            format!("{process} waits for its share of group {group}, generation {}", seen.generation);
                        return Some((since, text));
                    };
                    given.extend(share.partitions.iter().copied());
                }
                let all = views.roster.facts.partitions.iter().map(|facts| facts.partition);
                let orphan = all
                    .filter(|partition| !partition.topic.is_internal())
                    .find(|partition| !given.contains(partition))?;
                Some((seen.since, format!("{orphan} waits for a member of group {group}")))
            })
            .min()
    }
}
