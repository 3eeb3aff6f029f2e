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
    groups: BTreeMap<Group, Seen>,
    /// Who last loaded an offsets partition, by leader epoch.
    coordinators: BTreeMap<TopicPartition, (i32, ProcessId)>,
    shares: BTreeMap<ProcessId, Share>,
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
                let loaded = (*leader_epoch, views.process);
                let newest = self.coordinators.entry(*partition).or_insert(loaded);
                if newest.1 != views.process && *newest < loaded {
                    // It says itself of each group what it has read; what it does not know is nobody's.
                    self.groups.retain(|_, seen| seen.partition != *partition);
                }
                *newest = (*newest).max(loaded);
            }
            Observation::CoordinatorUnloaded { partition, .. } if self.is_newest(partition, views.process) => {
                self.groups.retain(|_, seen| seen.partition != *partition);
            }
            // A deposed coordinator that has not heard of it goes through the motions: it takes its members, who are with the
            // new one, for silent, and removes them in a generation that nobody stores.
            Observation::GroupState { partition, .. }
                if self.coordinators.contains_key(partition) && !self.is_newest(partition, views.process) => {}
            Observation::GroupState { partition, group, state, generation, .. } => {
                let (partition, since) = (*partition, views.at);
                let seen = Seen { partition, state: *state, generation: *generation, since };
                self.groups.insert(group.clone(), seen);
            }
            Observation::Assigned { generation, partitions, .. } => {
                let share = Share { generation: *generation, partitions: Arc::clone(partitions), since: views.at };
                self.shares.insert(views.process, share);
            }
            Observation::Revoked { .. } => self.lose(views.process, views.at),
            _ => {}
        }
    }

    /// Whether the process was the last to load a partition.
    fn is_newest(&self, partition: &TopicPartition, process: ProcessId) -> bool {
        self.coordinators.get(partition).is_some_and(|(_, newest)| *newest == process)
    }

    pub(super) fn on_down(&mut self, process: ProcessId, at: Instant) {
        let coordinators = &self.coordinators;
        self.groups.retain(|_, seen| coordinators.get(&seen.partition).is_none_or(|(_, newest)| *newest != process));
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
                let Some(seen) = self.groups.get(group) else {
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
