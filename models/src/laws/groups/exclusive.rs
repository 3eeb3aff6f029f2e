//! G-EXCLUSIVE: within a generation a partition is assigned to one member at most.

use std::collections::BTreeMap;

use super::super::ledger::{Law, Ledger};
use super::super::views::Views;
use crate::id::{Group, MemberId, TopicPartition};
use crate::observation::Observation;

pub(in crate::laws) const SOURCE: &str = "own; KIP-429 (eager and cooperative rebalancing)";

/// Who owns what in the newest generation of each group.
#[derive(Clone, Debug, Default)]
pub(super) struct Exclusive {
    groups: BTreeMap<Group, Owners>,
}

#[derive(Clone, Debug, Default)]
struct Owners {
    generation: i32,
    /// What was committed of the offsets topic's partition when the generation was first told: its record stands below.
    written_to: u64,
    owners: BTreeMap<TopicPartition, MemberId>,
}

impl Exclusive {
    pub(super) fn observe(&mut self, what: &Observation, views: Views<'_>, ledger: &mut Ledger) {
        match what {
            Observation::GroupAssigned { group, generation, assignment } => {
                for (member, partitions) in assignment.iter() {
                    self.assign(group, *generation, *member, partitions, views, ledger);
                }
            }
            Observation::Assigned { group, generation, member, partitions } => {
                self.assign(group, *generation, *member, partitions, views, ledger);
            }
            _ => {}
        }
    }

    fn assign(
        &mut self,
        group: &Group,
        generation: i32,
        member: MemberId,
        partitions: &[TopicPartition],
        views: Views<'_>,
        ledger: &mut Ledger,
    ) {
        let home = views.roster.facts.offsets_partition(group).and_then(|home| views.roster.partition(home));
        let known = self.groups.entry(group.clone()).or_default();
        if generation < known.generation {
            return;
        }
        if generation > known.generation {
            let written_to = home.map_or(0, |home| views.logs.committed(home).true_hw());
            *known = Owners { generation, written_to, owners: BTreeMap::new() };
        }
        for partition in partitions {
            ledger.judged(Law::Exclusive, 1);
            let owner = *known.owners.entry(*partition).or_insert(member);
            if owner == member {
                continue;
            }
            // Generations are counted in the offsets topic: where the record of one may be lost, it is counted again.
            let permit = home.and_then(|home| views.gate.log(home, known.written_to.saturating_sub(1)));
            ledger.breach(Law::Exclusive, permit, views.at, views.process, || {
                let what = format!("group {group}: {partition} is assigned to {owner} and to {member}");
                (what, format!("both in generation {generation}"))
            });
        }
    }
}
