//! G-OVERLAP-BOUND: two members process a partition at the same time for no longer than the session timeout. A consumer that
//! is cut off from its coordinator alone goes on with what it had, so this is reported and never failed.

use std::collections::BTreeMap;

use super::super::ledger::{Law, Ledger, Permit};
use super::super::views::Views;
use crate::id::{Group, ProcessId, TopicPartition};
use crate::observation::Observation;
use crate::time::Instant;

pub(in crate::laws) const SOURCE: &str = "own; KafkaConsumer.poll goes on while the coordinator is unknown";

/// Who was given each partition last, and who had it before and has not given it up.
#[derive(Clone, Debug, Default)]
pub(super) struct OverlapBound {
    holders: BTreeMap<Group, BTreeMap<TopicPartition, Holders>>,
}

#[derive(Clone, Debug)]
struct Holders {
    newest: ProcessId,
    since: Instant,
    older: Vec<ProcessId>,
    reported: bool,
}

impl OverlapBound {
    pub(super) fn observe(&mut self, what: &Observation, views: Views<'_>, ledger: &mut Ledger) {
        match what {
            Observation::Assigned { group, partitions, .. } => {
                let of_group = self.holders.entry(group.clone()).or_default();
                for partition in partitions.iter() {
                    let fresh = Holders { newest: views.process, since: views.at, older: Vec::new(), reported: false };
                    let holders = of_group.entry(*partition).or_insert_with(|| fresh.clone());
                    if holders.newest != views.process {
                        ledger.judged(Law::OverlapBound, 1);
                        holders.older.push(holders.newest);
                        (holders.newest, holders.since, holders.reported) = (fresh.newest, fresh.since, false);
                    }
                    holders.older.retain(|older| *older != views.process);
                }
            }
            Observation::Revoked { group, partitions, .. } => {
                let Some(of_group) = self.holders.get_mut(group) else { return };
                for partition in partitions.iter() {
                    if let Some(holders) = of_group.get_mut(partition) {
                        holders.older.retain(|older| *older != views.process);
                    }
                }
            }
            _ => {}
        }
    }

    /// A member processes records.
    pub(super) fn on_poll(&mut self, group: &Group, partition: TopicPartition, views: Views<'_>, ledger: &mut Ledger) {
        let Some(holders) = self.holders.get_mut(group).and_then(|of_group| of_group.get_mut(&partition)) else {
            return;
        };
        if holders.reported || !holders.older.contains(&views.process) {
            return;
        }
        let Some(facts) = views.roster.facts.group(group) else { return };
        if views.at - holders.since > facts.session_timeout {
            holders.reported = true;
            let permit = Some(Permit::AtLeastOnce);
            ledger.breach(Law::OverlapBound, permit, views.at, views.process, || (String::new(), String::new()));
        }
    }

    pub(super) fn forget(&mut self, process: ProcessId) {
        for holders in self.holders.values_mut().flat_map(BTreeMap::values_mut) {
            holders.older.retain(|older| *older != process);
        }
    }
}
