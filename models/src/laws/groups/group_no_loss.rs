//! G-NO-LOSS: every record below an acknowledged commit was read by some member of the group before. What the workload reads
//! it processes at once, so this holds whichever way it commits.

use std::collections::BTreeMap;

use super::super::ledger::{Law, Ledger};
use super::super::views::Views;
use crate::id::Group;
use crate::observation::Observation;

pub(in crate::laws) const SOURCE: &str = "own; process, then commit";

/// What each group has read of each partition, or was told to pass over.
#[derive(Clone, Debug, Default)]
pub(super) struct GroupNoLoss {
    read: BTreeMap<Group, Vec<Ranges>>,
}

/// Ranges of offsets, apart from each other and rising.
#[derive(Clone, Debug, Default)]
struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    fn add(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        // Almost always what was read last goes on.
        if let Some(last) = self.0.last_mut()
            && last.0 <= from
            && from <= last.1
        {
            last.1 = last.1.max(to);
            return;
        }
        let (mut from, mut to) = (from, to);
        self.0.retain(|range| {
            let apart = range.1 < from || to < range.0;
            if !apart {
                (from, to) = (from.min(range.0), to.max(range.1));
            }
            apart
        });
        let at = self.0.partition_point(|range| range.0 < from);
        self.0.insert(at, (from, to));
    }

    /// The first offset from 0 on that is in no range.
    fn first_gap(&self) -> u64 {
        self.0.first().filter(|range| range.0 == 0).map_or(0, |range| range.1)
    }
}

impl GroupNoLoss {
    pub(super) fn observe(&mut self, what: &Observation, views: Views<'_>, ledger: &mut Ledger) {
        let Observation::CommitAccepted { group, member, offsets, .. } = what else { return };
        for (partition, offset) in offsets.iter() {
            let Some(index) = views.roster.partition(*partition) else { continue };
            ledger.judged(Law::GroupNoLoss, 1);
            let gap = self.read.get(group).and_then(|read| read.get(index)).map_or(0, Ranges::first_gap);
            if gap >= *offset {
                continue;
            }
            ledger.breach(Law::GroupNoLoss, None, views.at, views.process, || {
                let what = format!("group {group}: {offset} is committed of {partition}, but nobody read offset {gap}");
                (what, format!("committed by {member}; {}", views.partition_state(index)))
            });
        }
    }

    /// A member read from `from` on; what it was told to begin with lies below.
    pub(super) fn on_poll(&mut self, group: &Group, partition: usize, from: u64, end: u64) {
        self.read_of(group, partition).add(from, end);
    }

    /// A member was told to go on elsewhere.
    pub(super) fn on_reset(&mut self, group: &Group, partition: usize, from: u64, to: u64) {
        self.read_of(group, partition).add(from, to);
    }

    fn read_of(&mut self, group: &Group, partition: usize) -> &mut Ranges {
        if !self.read.contains_key(group) {
            self.read.insert(group.clone(), Vec::new());
        }
        let read = self.read.get_mut(group).expect("it was put in just now");
        if read.len() <= partition {
            read.resize(partition + 1, Ranges::default());
        }
        &mut read[partition]
    }
}

#[test]
fn ranges_grow_together() {
    let mut ranges = Ranges::default();
    for (from, to, gap) in [(2, 4, 0), (6, 8, 0), (0, 1, 1), (1, 2, 4), (3, 7, 8), (8, 9, 9), (9, 9, 9)] {
        ranges.add(from, to);
        assert_eq!(ranges.first_gap(), gap, "{from}..{to}: {ranges:?}");
    }
    assert_eq!(ranges.0, [(0, 9)]);
}
