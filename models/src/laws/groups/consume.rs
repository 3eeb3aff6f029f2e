//! L-CONSUME: each group reads every partition at least to the end that it had when the last fault was over.

use std::collections::BTreeMap;

use super::super::facts::Roster;
use super::super::views::Views;
use crate::id::Group;
use crate::time::Instant;

pub(in crate::laws) const SOURCE: &str = "Jepsen tests/kafka, final polls";

/// How far partitions are acknowledged and groups have read.
#[derive(Clone, Debug)]
pub(super) struct Consume {
    acknowledged: Vec<u64>,
    /// What was acknowledged when the quiet phase began.
    targets: Option<(Instant, Vec<u64>)>,
    read: BTreeMap<Group, Vec<u64>>,
}

impl Consume {
    pub(super) fn new(roster: &Roster) -> Self {
        let partitions = roster.facts.partitions.len();
        let read = roster.facts.groups.iter().map(|facts| (facts.group.clone(), vec![0; partitions]));
        Self { acknowledged: vec![0; partitions], targets: None, read: read.collect() }
    }

    pub(super) fn on_ack(&mut self, partition: usize, end: u64) {
        self.acknowledged[partition] = self.acknowledged[partition].max(end);
    }

    pub(super) fn on_poll(&mut self, group: &Group, partition: usize, end: u64) {
        if let Some(read) = self.read.get_mut(group) {
            read[partition] = read[partition].max(end);
        }
    }

    pub(super) fn quiet_begins(&mut self, now: Instant) {
        self.targets = Some((now, self.acknowledged.clone()));
    }

    /// What is waited for, since when.
    pub(super) fn oldest(&self, views: Views<'_>) -> Option<(Instant, String)> {
        let (since, targets) = self.targets.as_ref()?;
        self.read.iter().find_map(|(group, read)| {
            let partition = (0..targets.len()).find(|partition| read[*partition] < targets[*partition])?;
            let (name, to, end) = (views.roster.name(partition), read[partition], targets[partition]);
            Some((*since, format!("group {group} has read {name} to offset {to} and waits for {end}")))
        })
    }
}
