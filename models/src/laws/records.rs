//! What clients know of each record: the fate of each value, and which value stands at each offset.

use super::facts::Roster;
use super::pages::Pages;
use super::sparse::Sparse;
use crate::id::{ProcessId, ValueId};
use crate::kafka::config::Acks;
use crate::time::Instant;

/// The fate of a value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Value {
    /// An application handed it to a producer.
    pub(super) sent: bool,
    /// It did so to an idempotent one.
    pub(super) idempotent: bool,
    /// The acknowledgement, if there was one.
    pub(super) ack: Option<Ack>,
    /// Some poll returned it.
    pub(super) read: bool,
    /// Where it was last seen.
    pub(super) seen: Option<u64>,
}

/// An acknowledgement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ack {
    pub(super) at: Instant,
    pub(super) by: ProcessId,
    pub(super) offset: Option<u64>,
    pub(super) acks: Acks,
}

/// The value at an offset, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) value: ValueId,
    pub(super) by: Witness,
}

/// Who says that a value stands at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Witness {
    /// An acknowledgement of the leader alone.
    Leader,
    /// An acknowledgement of the whole ISR.
    Isr,
    /// A poll: it lay below a high watermark.
    Poll,
}

/// What placing a value at an offset showed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placement {
    /// What stood there before.
    pub(super) before: Option<Standing>,
    /// Another offset at which the value still stands.
    pub(super) elsewhere: Option<u64>,
    /// The value's fate.
    pub(super) value: Value,
}

/// The records of a partition.
#[derive(Clone, Debug, Default)]
pub(super) struct Records {
    /// Values of a partition are few among those of their producer.
    values: Sparse<Value>,
    standing: Pages<Option<Standing>>,
    /// Offset after the largest that was ever polled.
    pub(super) read_to: u64,
    /// The newest end offset told to a consumer.
    pub(super) end: Option<(u64, Instant)>,
    readers: Vec<Reader>,
}

/// A consumer of a partition.
#[derive(Clone, Debug)]
struct Reader {
    process: ProcessId,
    position: u64,
    /// Offsets from..to that it left out, as its settings say.
    passed_over: Vec<(u64, u64)>,
}

impl Records {
    pub(super) fn on_send(&mut self, value: ValueId, idempotent: bool) {
        let entry = self.values.entry(value.0);
        (entry.sent, entry.idempotent) = (true, idempotent);
    }

    pub(super) fn on_ack(&mut self, value: ValueId, ack: Ack) {
        self.values.entry(value.0).ack.get_or_insert(ack);
    }

    /// `value` stands at `offset`.
    pub(super) fn place(&mut self, value: ValueId, offset: u64, by: Witness) -> Placement {
        let standing = self.standing.entry(offset);
        let before = *standing;
        if before.is_none_or(|before| before.value != value || before.by == Witness::Leader) {
            *standing = Some(Standing { value, by });
        }
        let entry = self.values.entry(value.0);
        let seen = entry.seen.replace(offset);
        entry.read |= by == Witness::Poll;
        let fate = *entry;
        let elsewhere = seen
            .filter(|seen| *seen != offset)
            .filter(|seen| self.standing.get(*seen).is_some_and(|standing| standing.value == value));
        Placement { before, elsewhere, value: fate }
    }

    /// A consumer goes on at `offset`.
    pub(super) fn move_to(&mut self, consumer: ProcessId, offset: u64) {
        self.reader(consumer).position = offset;
    }

    /// A consumer goes on at `to`; its settings said so, and what lies between `from` and there is not for it.
    pub(super) fn reset(&mut self, consumer: ProcessId, from: u64, to: u64) {
        let reader = self.reader(consumer);
        reader.position = to;
        if from < to {
            reader.passed_over.push((from, to));
        }
    }

    /// A consumer begins anew and will hear where.
    pub(super) fn assign(&mut self, consumer: ProcessId) {
        *self.reader(consumer) = Reader { process: consumer, position: 0, passed_over: Vec::new() };
    }

    /// Whether every consumer left the offset out.
    pub(super) fn is_passed_over(&self, offset: u64) -> bool {
        let passed_over = |reader: &Reader| reader.passed_over.iter().any(|(from, to)| (*from..*to).contains(&offset));
        !self.readers.is_empty() && self.readers.iter().all(passed_over)
    }

    fn reader(&mut self, consumer: ProcessId) -> &mut Reader {
        let index = self.readers.iter().position(|reader| reader.process == consumer).unwrap_or_else(|| {
            self.readers.push(Reader { process: consumer, position: 0, passed_over: Vec::new() });
            self.readers.len() - 1
        });
        &mut self.readers[index]
    }

    /// The newest end offset and when it was told, if some consumer has read up to it.
    pub(super) fn caught_up(&self) -> Option<(u64, Instant)> {
        self.end.filter(|(end, _)| self.readers.iter().any(|reader| reader.position >= *end))
    }

    /// Acknowledged values, in order of their ids.
    pub(super) fn acknowledged(&self) -> impl Iterator<Item = (ValueId, &Value, Ack)> {
        self.values.iter().filter_map(|(id, value)| Some((ValueId(id), value, value.ack?)))
    }
}

/// The records of all partitions.
pub(super) fn of_all(roster: &Roster) -> Vec<Records> {
    vec![Records::default(); roster.facts.partitions.len()]
}
