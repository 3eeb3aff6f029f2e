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
        let known = self.groups.entry(group.clone()).or_default();
        if generation < known.generation {
            return;
        }
        if generation > known.generation {
            *known = Owners { generation, owners: BTreeMap::new() };
        }
        for partition in partitions {
            ledger.judged(Law::Exclusive, 1);
            let owner = *known.owners.entry(*partition).or_insert(member);
            if owner == member {
                continue;
            }
            // Generations are counted in the offsets topic: where that may be lost, they are counted again.
            let home = views.roster.facts.offsets_partition(group).and_then(|home| views.roster.partition(home));
            let permit = home.and_then(|home| views.gate.log(home, 0));
            ledger.breach(Law::Exclusive, permit, views.at, views.process, || {
                let what = format!("group {group}: {partition} is assigned to {owner} and to {member}");
                (what, format!("both in generation {generation}"))
            });
        }
    }
}
