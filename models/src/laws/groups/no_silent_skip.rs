//! G-NO-SILENT-SKIP: a consumer's position passes an offset only if the consumer read it or was told (a reset). What it read
//! last must still stand in the committed log when it reads on: otherwise other records took the place of what it had read,
//! and it passes them by.

use super::super::facts::Roster;
use super::super::ledger::{Law, Ledger};
use super::super::views::Views;
use crate::id::{ProcessId, ValueId};
use crate::observation::Observation;

pub(in crate::laws) const SOURCE: &str = "KIP-320, KAFKA-7747";

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
        base_offset: u64,
        values: &[ValueId],
        views: Views<'_>,
        ledger: &mut Ledger,
    ) -> Option<u64> {
        let position = self.position(views.process, partition)?;
        let next = Position { next: Some(base_offset + values.len() as u64), last: values.last().copied() };
        let before = std::mem::replace(position, next);
        let expected = before.next?;
        ledger.judged(Law::NoSilentSkip, 1);
        if base_offset > expected {
            ledger.breach(Law::NoSilentSkip, None, views.at, views.process, || {
                let name = views.roster.name(partition);
                let what =
                    format!("{name}: the consumer went from offset {expected} to {base_offset} and was told nothing");
                (what, views.partition_state(partition))
            });
            return before.next;
        }
        let stands = expected.checked_sub(1).and_then(|last| views.logs.committed(partition).value(last));
        if let (Some(read), Some(stands)) = (before.last, stands)
            && base_offset == expected
            && read != stands
        {
            ledger.breach(Law::NoSilentSkip, None, views.at, views.process, || {
                let name = views.roster.name(partition);
                let what = format!(
                    "{name}: the consumer reads on at offset {expected}, before which it read {read}; {stands} stands there"
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
