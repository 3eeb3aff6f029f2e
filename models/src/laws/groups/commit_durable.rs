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
    /// What members asked to keep and what may stand behind the acknowledged commit, the oldest first. None is given up for
    /// its age: the coordinator that a member never heard of again may have written it, however often the member asked since.
    attempts: Vec<Attempt>,
}

/// A commit that a member asked for, once or several times in a row. Who makes no progress repeats itself; who does has read
/// records in between, so there are no more of these than records read.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    by: ProcessId,
    generation: i32,
    offset: u64,
    /// When it asked first.
    asked: Instant,
    /// How often more.
    again: u32,
}

#[derive(Clone, Copy, Debug)]
struct Accepted {
    offset: u64,
    generation: i32,
    leader_epoch: i32,
    /// Where it stands in the offsets partition.
    at_offset: u64,
    at: Instant,
    by: ProcessId,
}

impl CommitDurable {
    pub(super) fn observe(&mut self, what: &Observation, views: Views<'_>, ledger: &mut Ledger) {
        match what {
            Observation::Commit { group, generation, offsets } => {
                for (partition, offset) in offsets.iter() {
                    self.positions.entry((group.clone(), *partition)).or_default().ask(*offset, *generation, views);
                }
            }
            Observation::CommitAccepted { leader_epoch, base_offset, group, generation, offsets, .. } => {
                for (partition, offset) in offsets.iter() {
                    let committed = self.positions.entry((group.clone(), *partition)).or_default();
                    let newest = committed.accepted.map_or((-1, 0), |known| (known.leader_epoch, known.at_offset));
                    if newest <= (*leader_epoch, *base_offset) {
                        committed.accept(Accepted {
                            offset: *offset,
                            generation: *generation,
                            leader_epoch: *leader_epoch,
                            at_offset: *base_offset,
                            at: views.at,
                            by: views.process,
                        });
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
    fn ask(&mut self, offset: u64, generation: i32, views: Views<'_>) {
        let last = self.attempts.iter_mut().rev().find(|attempt| attempt.by == views.process);
        match last.filter(|attempt| (attempt.offset, attempt.generation) == (offset, generation)) {
            Some(attempt) => attempt.again += 1,
            None => {
                self.attempts.push(Attempt { by: views.process, generation, offset, asked: views.at, again: 0 });
            }
        }
    }

    fn accept(&mut self, accepted: Accepted) {
        // A member commits in a generation that is stored, and no coordinator goes back behind that one: what was asked in an
        // older generation stands before this commit in the log, if anywhere.
        self.attempts.retain(|attempt| attempt.generation >= accepted.generation);
        // So does what the same member asked before. If it asked for this one several times, the first was acknowledged.
        let is_this = |a: &&Attempt| (a.offset, a.generation) == (accepted.offset, accepted.generation);
        if let Some(this) = self.attempts.iter().find(is_this).copied() {
            self.attempts.retain(|attempt| attempt.by != this.by || attempt.asked > this.asked);
            if let Some(again) = this.again.checked_sub(1) {
                let place = self.attempts.partition_point(|attempt| attempt.asked <= this.asked);
                self.attempts.insert(place, Attempt { again, ..this });
            }
        }
        self.accepted = Some(accepted);
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
        let sound = |offset| offset == accepted.offset || self.attempts.iter().any(|attempt| attempt.offset == offset);
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
