//! G-GENERATION-FENCE: nothing of an older generation, or of a member that was removed, is taken for good.

use std::collections::{BTreeMap, BTreeSet};

use super::super::ledger::{Law, Ledger};
use super::super::views::Views;
use crate::id::{Group, MemberId, ProcessId, TopicPartition};
use crate::observation::Observation;

pub(in crate::laws) const SOURCE: &str = "KIP-345, KIP-848; GroupCoordinator.validateCurrentMember";

/// What each coordinator last said of each group.
#[derive(Clone, Debug, Default)]
pub(super) struct GenerationFence {
    groups: BTreeMap<(ProcessId, Group), Known>,
}

#[derive(Clone, Debug)]
struct Known {
    partition: TopicPartition,
    generation: i32,
    removed: BTreeSet<MemberId>,
}

impl GenerationFence {
    pub(super) fn observe(&mut self, what: &Observation, views: Views<'_>, ledger: &mut Ledger) {
        match what {
            Observation::GroupState { partition, group, generation, .. } => {
                let fresh = || Known { partition: *partition, generation: 0, removed: BTreeSet::new() };
                let known = self.groups.entry((views.process, group.clone())).or_insert_with(fresh);
                known.generation = *generation;
            }
            Observation::MemberRemoved { group, member, .. } => {
                if let Some(known) = self.groups.get_mut(&(views.process, group.clone())) {
                    known.removed.insert(*member);
                }
            }
            // What is read from the log may be older than what was in memory before.
            Observation::CoordinatorLoaded { partition, .. } | Observation::CoordinatorUnloaded { partition, .. } => {
                self.groups.retain(|(process, _), known| *process != views.process || known.partition != *partition);
            }
            Observation::MemberHeard { group, member, generation, .. } => {
                let Some(known) = self.groups.get(&(views.process, group.clone())) else { return };
                ledger.judged(Law::GenerationFence, 1);
                if *generation == known.generation && !known.removed.contains(member) {
                    return;
                }
                ledger.breach(Law::GenerationFence, None, views.at, views.process, || {
                    let what = format!("group {group}: member {member} of generation {generation} was taken for good");
                    let removed = if known.removed.contains(member) { ", the member was removed" } else { "" };
                    (what, format!("the group is in generation {}{removed}", known.generation))
                });
            }
            _ => {}
        }
    }

    pub(super) fn forget(&mut self, process: ProcessId) {
        self.groups.retain(|(coordinator, _), _| *coordinator != process);
    }
}
