//! G-NO-SILENT-SKIP: a consumer's position passes an offset only if the consumer read it or was told (a reset). What it read
//! last must stand before what it reads on with, in the log that it reads: otherwise other records took the place of what it
//! had read, and it passes them by. A leader that was replaced uncleanly and does not know it yet serves its own log to
//! whoever read from it before: nothing is passed by until they read from the other log.

use super::super::facts::Roster;
use super::super::ledger::{Law, Ledger};
use super::super::views::Views;
use crate::id::{BrokerId, ProcessId, ValueId};
use crate::observation::Observation;

pub(in crate::laws) const SOURCE: &str = "KIP-320, KAFKA-7747";

/// Records that a consumer got.
#[derive(Clone, Copy, Debug)]
pub(in crate::laws) struct Read<'a> {
    pub(in crate::laws) base_offset: u64,
    pub(in crate::laws) values: &'a [ValueId],
    /// Who served them.
    pub(in crate::laws) replica: BrokerId,
}

impl Read<'_> {
    /// Offset after the last record.
    pub(in crate::laws) fn end(&self) -> u64 {
        self.base_offset + self.values.len() as u64
    }

    /// What stands before the first record in the log that it was read from. The replica that served it may have cut it off
    /// since: then the committed log tells, if that holds the record.
    fn predecessor(&self, partition: usize, views: Views<'_>) -> Option<ValueId> {
        let (first, before) = (self.values.first()?, self.base_offset.checked_sub(1)?);
        let served = views.roster.broker_number(self.replica).map(|broker| views.logs.replica(broker, partition));
        if let Some(log) = served.filter(|log| log.value(self.base_offset) == Some(*first)) {
            return log.value(before);
        }
        let committed = views.logs.committed(partition);
        committed.value(self.base_offset).filter(|value| value == first).and_then(|_| committed.value(before))
    }
}

/// The position of each consumer in each partition.
#[derive(Clone, Debug)]
pub(super) struct NoSilentSkip {
    partitions: usize,
    /// By process, then by partition; empty for processes that never read.
    positions: Vec<Vec<Position>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Position {
    /// The next offset; `None` if nobody said where it begins.
    next: Option<u64>,
    /// The record before it, if the consumer read that itself.
    last: Option<ValueId>,
}

impl NoSilentSkip {
    pub(super) fn new(roster: &Roster) -> Self {
        let positions = vec![Vec::new(); roster.facts.processes.len()];
        Self { partitions: roster.facts.partitions.len(), positions }
    }

    fn position(&mut self, process: ProcessId, partition: usize) -> Option<&mut Position> {
        let positions = self.positions.get_mut(usize::from(process.0))?;
        if positions.is_empty() {
            positions.resize(self.partitions, Position::default());
        }
        positions.get_mut(partition)
    }

    pub(super) fn observe(&mut self, what: &Observation, views: Views<'_>) {
        match what {
            Observation::Assign { partitions } | Observation::Assigned { partitions, .. } => {
                for index in partitions.iter().filter_map(|partition| views.roster.partition(*partition)) {
                    if let Some(position) = self.position(views.process, index) {
                        *position = Position::default();
                    }
                }
            }
            Observation::FetchCommitted { offsets, .. } => {
                for (partition, offset) in offsets.iter() {
                    if let Some(index) = views.roster.partition(*partition)
                        && let Some(position) = self.position(views.process, index)
                    {
                        *position = Position { next: *offset, last: None };
                    }
                }
            }
            _ => {}
        }
    }

    pub(super) fn on_reset(&mut self, partition: usize, to: u64, process: ProcessId) {
        if let Some(position) = self.position(process, partition) {
            *position = Position { next: Some(to), last: None };
        }
    }

    /// Judges a poll. Returns where the consumer was said to be before.
    pub(super) fn on_poll(
        &mut self,
        partition: usize,
        read: Read<'_>,
        views: Views<'_>,
        ledger: &mut Ledger,
    ) -> Option<u64> {
        let position = self.position(views.process, partition)?;
        let next = Position { next: Some(read.end()), last: read.values.last().copied() };
        let before = std::mem::replace(position, next);
        let (expected, offset) = (before.next?, read.base_offset);
        ledger.judged(Law::NoSilentSkip, 1);
        if offset > expected {
            ledger.breach(Law::NoSilentSkip, None, views.at, views.process, || {
                let name = views.roster.name(partition);
                let what = format!("{name}: the consumer went from offset {expected} to {offset} and was told nothing");
                (what, views.partition_state(partition))
            });
            return before.next;
        }
        if let (Some(last), Some(stands)) = (before.last, read.predecessor(partition, views))
            && offset == expected
            && last != stands
        {
            ledger.breach(Law::NoSilentSkip, None, views.at, views.process, || {
                let name = views.roster.name(partition);
                let what = format!(
                    "{name}: the consumer reads on at offset {offset}, before which it read {last}; {stands} stands there"
                );
                (what, views.partition_state(partition))
            });
        }
        before.next
    }

    pub(super) fn forget(&mut self, process: ProcessId) {
        if let Some(positions) = self.positions.get_mut(usize::from(process.0)) {
            positions.fill(Position::default());
        }
    }
}
