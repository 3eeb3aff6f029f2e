//! G-COORDINATOR-UNIQUE: in a leader epoch of an offsets partition, one coordinator at most acknowledges commits.

use std::collections::BTreeMap;

use super::super::ledger::{Law, Ledger};
use super::super::views::Views;
use crate::id::{ProcessId, TopicPartition};
use crate::observation::Observation;

pub(in crate::laws) const SOURCE: &str = "own; follows from R-ONE-LEADER-PER-EPOCH";

/// Who acknowledged commits in which leader epoch.
#[derive(Clone, Debug, Default)]
pub(super) struct CoordinatorUnique {
    coordinators: BTreeMap<(TopicPartition, i32), ProcessId>,
}

impl CoordinatorUnique {
    pub(super) fn observe(&mut self, what: &Observation, views: Views<'_>, ledger: &mut Ledger) {
        let Observation::CommitAccepted { partition, leader_epoch, group, .. } = what else { return };
        ledger.judged(Law::CoordinatorUnique, 1);
        let first = *self.coordinators.entry((*partition, *leader_epoch)).or_insert(views.process);
        if first != views.process {
            ledger.breach(Law::CoordinatorUnique, None, views.at, views.process, || {
                let what = format!("{partition}: {first} and {} acknowledge commits", views.process);
                (what, format!("leader epoch {leader_epoch}, group {group}"))
            });
        }
    }
}
