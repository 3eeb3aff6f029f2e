//! What clients know of each record: the fate of each value, and which value stands at each offset.

use super::facts::Roster;
use super::pages::Pages;
use super::sparse::Sparse;
use crate::id::{ProcessId, ValueId};
use crate::kafka::config::Acks;
use crate::shared_vec::SharedVec;
use crate::time::Instant;

/// The fate of a value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Value {
    /// An application handed it to a producer.
    pub(super) sent: bool,
    /// It did so to an idempotent one.
    pub(super) idempotent: bool,
    /// The producer has at most one request under way.
    pub(super) single_file: bool,
    /// It was reported that it was not written.
    pub(super) failed: bool,
    /// When its producer told its fate, whichever.
    pub(super) resolved: Option<Instant>,
    /// When it was sent.
    pub(super) sent_at: Instant,
    /// Offset after the last record that was acknowledged by all in-sync replicas when it was sent.
    pub(super) floor: u64,
    /// Which life of which producer sent it.
    pub(super) sender: Option<(ProcessId, u32)>,
    /// The acknowledgement, if there was one.
    pub(super) ack: Option<Ack>,
    /// The newest leader epoch in which a leader acknowledged it.
    pub(super) acked_in: Option<i32>,
    /// Some poll returned it.
    pub(super) read: bool,
    /// Where it was last seen.
    pub(super) seen: Option<u64>,
}

/// How a value was handed to a producer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) at: Instant,
    /// The process and its life.
    pub(super) sender: (ProcessId, u32),
    pub(super) idempotent: bool,
    pub(super) single_file: bool,
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
    /// Offset after the last record that was acknowledged by all in-sync replicas.
    acked_to: u64,
    /// The newest end offset told to a consumer.
    pub(super) end: Option<(u64, Instant)>,
    readers: Vec<Reader>,
}

/// A consumer of a partition.
#[derive(Clone, Debug)]
struct Reader {
    process: ProcessId,
    /// Where it goes on.
    offset: u64,
    /// It got there by reading, not because it was told to go there.
    by_poll: bool,
    /// Offsets from..to that it left out, as its settings say. Unset for who goes on where others of its group were.
    passed_over: Option<Vec<(u64, u64)>>,
    /// Offset after the largest that it ever read.
    furthest: u64,
}

impl Records {
    /// A life of a producer was given a value.
    pub(super) fn on_send(&mut self, value: ValueId, sent: Sent) {
        let entry = self.values.entry(value.0);
        (entry.sent, entry.idempotent, entry.single_file) = (true, sent.idempotent, sent.single_file);
        (entry.sender, entry.sent_at, entry.floor) = (Some(sent.sender), sent.at, self.acked_to);
    }

    /// Its producer does not know the fate of a value, or knows that it `failed`. Returns whether somebody has read it.
    pub(super) fn on_given_up(&mut self, value: ValueId, at: Instant, failed: bool) -> bool {
        let entry = self.values.entry(value.0);
        entry.resolved.get_or_insert(at);
        entry.failed = failed;
        entry.read
    }

    /// A leader acknowledged a value, in that epoch.
    pub(super) fn on_acknowledged(&mut self, value: ValueId, epoch: i32) {
        let acked_in = &mut self.values.entry(value.0).acked_in;
        *acked_in = (*acked_in).max(Some(epoch));
    }

    /// A value was acknowledged. Returns its fate.
    pub(super) fn on_ack(&mut self, value: ValueId, ack: Ack) -> Value {
        if let Some(offset) = ack.offset.filter(|_| ack.acks == Acks::All) {
            self.acked_to = self.acked_to.max(offset + 1);
        }
        let entry = self.values.entry(value.0);
        entry.ack.get_or_insert(ack);
        entry.resolved.get_or_insert(ack.at);
        *entry
    }

    /// Offset after the last record that was acknowledged by all in-sync replicas.
    pub(super) fn acked_to(&self) -> u64 {
        self.acked_to
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

    /// A consumer goes on at `offset`, because it has read up to there or because it was told to. Returns where it would
    /// have gone on after its last poll, if it was not told otherwise since, and the offset after the largest that it had
    /// read before.
    pub(super) fn move_to(&mut self, consumer: ProcessId, offset: u64, by_poll: bool) -> (Option<u64>, u64) {
        let reader = self.reader(consumer);
        let (before, furthest) = (reader.by_poll.then_some(reader.offset), reader.furthest);
        (reader.offset, reader.by_poll) = (offset, by_poll);
        if by_poll {
            reader.furthest = furthest.max(offset);
        }
        (before, furthest)
    }

    /// A consumer goes on at `to`; its settings said so, and what lies between `from` and there is not for it.
    pub(super) fn reset(&mut self, consumer: ProcessId, from: u64, to: u64) {
        self.move_to(consumer, to, false);
        let passed_over = self.reader(consumer).passed_over.get_or_insert_default();
        if from < to {
            passed_over.push((from, to));
        }
    }

    /// A consumer begins anew and will hear where.
    pub(super) fn assign(&mut self, consumer: ProcessId) {
        let reader = self.reader(consumer);
        *reader = Reader { furthest: reader.furthest, ..Reader::new(consumer) };
    }

    /// Whether every consumer that was told where to begin left the offset out.
    pub(super) fn is_passed_over(&self, offset: u64) -> bool {
        let mut told = self.readers.iter().filter_map(|reader| reader.passed_over.as_ref()).peekable();
        told.peek().is_some() && told.all(|spans| spans.iter().any(|(from, to)| (*from..*to).contains(&offset)))
    }

    fn reader(&mut self, consumer: ProcessId) -> &mut Reader {
        let index = self.readers.iter().position(|reader| reader.process == consumer).unwrap_or_else(|| {
            self.readers.push(Reader::new(consumer));
            self.readers.len() - 1
        });
        &mut self.readers[index]
    }

    /// The newest end offset and when it was told, if some consumer has read up to it.
    pub(super) fn caught_up(&self) -> Option<(u64, Instant)> {
        self.end.filter(|(end, _)| self.readers.iter().any(|reader| reader.offset >= *end))
    }

    /// Whether the value stands at `offset`, as far as anybody has said.
    pub(super) fn stands_at(&self, value: ValueId, offset: u64) -> bool {
        self.standing.get(offset).is_some_and(|standing| standing.value == value)
    }

    /// Values that were sent, in order of their ids.
    pub(super) fn sent(&self) -> impl Iterator<Item = (ValueId, &Value)> {
        self.values.iter().filter(|(_, value)| value.sent).map(|(id, value)| (ValueId(id), value))
    }

    /// Acknowledged values, in order of their ids.
    pub(super) fn acknowledged(&self) -> impl Iterator<Item = (ValueId, &Value, Ack)> {
        self.values.iter().filter_map(|(id, value)| Some((ValueId(id), value, value.ack?)))
    }
}

impl Reader {
    fn new(process: ProcessId) -> Self {
        Self { process, offset: 0, by_poll: false, passed_over: None, furthest: 0 }
    }
}

/// The records of all partitions.
pub(super) fn of_all(roster: &Roster) -> SharedVec<Records> {
    SharedVec::new(roster.facts.partitions.len())
}
