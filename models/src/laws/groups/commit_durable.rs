//! G-COMMIT-DURABLE: an acknowledged commit is what any later fetch of the group returns, unless a later commit came between.

use std::collections::BTreeMap;

use super::super::ledger::{Law, Ledger};
use super::super::views::Views;
use super::GroupPartition;
use crate::id::{ProcessId, TopicPartition};
use crate::kafka::config::Acks;
use crate::observation::Observation;
use crate::time::Instant;

pub(in crate::laws) const SOURCE: &str = "KAFKA-10614, KAFKA-8069, KAFKA-13636; gate as acks=all on the offsets topic";

/// The newest acknowledged commit of each group's partition, and the commits that may have been applied since.
#[derive(Clone, Debug, Default)]
pub(super) struct CommitDurable {
    positions: BTreeMap<GroupPartition, Committed>,
}

#[derive(Clone, Debug, Default)]
struct Committed {
    accepted: Option<Accepted>,
    /// Offsets that members asked to keep and that were not acknowledged: who, when, what.
    attempts: Vec<(ProcessId, Instant, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Accepted {
    offset: u64,
    leader_epoch: i32,
    /// Where it stands in the offsets partition.
    at_offset: u64,
    at: Instant,
    by: ProcessId,
}

/// A member that never hears of its commits asks again and again: older ones than these are as good as the newest.
const ATTEMPTS: usize = 64;

impl CommitDurable {
    pub(super) fn observe(&mut self, what: &Observation, views: Views<'_>, ledger: &mut Ledger) {
        match what {
            Observation::Commit { group, offsets, .. } => {
                for (partition, offset) in offsets.iter() {
                    let attempts = &mut self.positions.entry((group.clone(), *partition)).or_default().attempts;
                    if attempts.len() == ATTEMPTS {
                        attempts.remove(0);
                    }
                    attempts.push((views.process, views.at, *offset));
                }
            }
            Observation::CommitAccepted { leader_epoch, base_offset, group, offsets, .. } => {
                for (partition, offset) in offsets.iter() {
                    let committed = self.positions.entry((group.clone(), *partition)).or_default();
                    let newest = committed.accepted.map_or((-1, 0), |known| (known.leader_epoch, known.at_offset));
                    if newest <= (*leader_epoch, *base_offset) {
                        committed.accept(*offset, *leader_epoch, *base_offset, views);
                    }
                }
            }
            Observation::OffsetsServed { partition, leader_epoch, group, offsets } => {
                for (of, served) in offsets.iter() {
                    if let Some(committed) = self.positions.get(&(group.clone(), *of)) {
                        let answer = (*of, *served, *leader_epoch);
                        committed.judge(&group.0, *partition, answer, views, ledger);
                    }
                }
            }
            _ => {}
        }
    }
}

impl Committed {
    fn accept(&mut self, offset: u64, leader_epoch: i32, at_offset: u64, views: Views<'_>) {
        // What the same member asked before this commit stands before it in the log, if anywhere.
        if let Some(index) = self.attempts.iter().position(|(_, _, attempt)| *attempt == offset) {
            let (who, asked, _) = self.attempts[index];
            self.attempts.retain(|(by, at, _)| *by != who || *at > asked);
        }
        self.accepted = Some(Accepted { offset, leader_epoch, at_offset, at: views.at, by: views.process });
    }

    fn judge(
        &self,
        group: &str,
        home: TopicPartition,
        (of, served, leader_epoch): (TopicPartition, Option<u64>, i32),
        views: Views<'_>,
        ledger: &mut Ledger,
    ) {
        // A deposed coordinator that has not heard of it answers from its memory: stale, and nobody prevents it.
        let Some(accepted) = self.accepted.filter(|accepted| leader_epoch >= accepted.leader_epoch) else { return };
        ledger.judged(Law::CommitDurable, 1);
        let sound =
            |offset| offset == accepted.offset || self.attempts.iter().any(|(_, _, attempt)| *attempt == offset);
        if served.is_some_and(sound) {
            return;
        }
        let permit = views.roster.partition(home).and_then(|index| {
            let committed = views.logs.committed(index).true_hw() > accepted.at_offset;
            views.gate.record(
                index,
                Some(accepted.at_offset),
                Acks::All,
                (Some(accepted.leader_epoch), accepted.at),
                committed,
            )
        });
        ledger.breach(Law::CommitDurable, permit, views.at, views.process, || {
            let Accepted { offset, at, by, at_offset, .. } = accepted;
            let told = served.map_or_else(|| "none".to_owned(), |served| served.to_string());
            let what = format!(
                "group {group}: the coordinator says that {told} is committed of {of}, but {offset} was acknowledged at {at}"
            );
            let state = format!("{home} offset {at_offset}, acknowledged by {by}, asked in leader epoch {leader_epoch}");
            (what, state)
        });
    }
}
