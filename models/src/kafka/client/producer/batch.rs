//! `ProducerBatch`, and the state of one partition in a producer.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::id::{ProducerId, ValueId};
use crate::kafka::protocol::{ProducerMark, RecordBatch};
use crate::time::Instant;

/// Bytes of a batch header (format 2).
pub(super) const BATCH_OVERHEAD: u32 = 61;
/// Bytes that a record adds to its payload, roughly: lengths, attributes, deltas.
pub(super) const RECORD_OVERHEAD: u32 = 10;

/// Sequences run from 0 to 2^31 - 1 and start again (`DefaultRecordBatch.incrementSequence`).
const SEQUENCE_MASK: u32 = 0x7fff_ffff;

/// The identity of an idempotent producer: id and epoch.
pub(super) type ProducerIdAndEpoch = (ProducerId, u16);

/// Records that travel together.
#[derive(Clone, Debug, Hash)]
pub(super) struct ProducerBatch {
    /// Its name within the producer.
    pub(super) serial: u64,
    /// What goes out.
    pub(super) wire: Arc<RecordBatch>,
    /// When the application handed each record over.
    pub(super) handed_over: Vec<Instant>,
    /// When it was begun: `delivery.timeout.ms` counts from here.
    pub(super) created: Instant,
    /// When it was last put into the queue.
    pub(super) queued: Instant,
    /// How often it came back into the queue.
    pub(super) attempts: u32,
    /// The partition's leader epoch, as known when it was last sent.
    pub(super) sent_epoch: i32,
    /// No more records fit or may be added.
    pub(super) closed: bool,
    /// Some attempt may have appended it.
    pub(super) indefinite: bool,
    /// An epoch bump renumbered it (`sequenceHasBeenReset`).
    pub(super) sequence_reset: bool,
    /// What it takes of `buffer.memory`.
    pub(super) memory: u64,
}

impl ProducerBatch {
    /// The sequence of its first record, once assigned.
    pub(super) fn base_sequence(&self) -> Option<u32> {
        self.wire.producer.map(|mark| mark.base_sequence)
    }

    /// The sequence of its last record, once assigned.
    pub(super) fn last_sequence(&self) -> Option<u32> {
        self.base_sequence().map(|base| advance(base, self.wire.values.len() as u32 - 1))
    }

    /// Adds a record.
    pub(super) fn push(&mut self, value: ValueId, size: u32, now: Instant) {
        let wire = Arc::make_mut(&mut self.wire);
        // Batches stay small while the cluster is well; only what piles up in an outage is copied more than once.
        wire.values = wire.values.iter().copied().chain([value]).collect();
        wire.size += size;
        self.handed_over.push(now);
    }

    /// Assigns or replaces producer id, epoch and sequence. What is on the wire already keeps the old ones.
    pub(super) fn mark(&mut self, (id, epoch): ProducerIdAndEpoch, base_sequence: u32) {
        Arc::make_mut(&mut self.wire).producer = Some(ProducerMark { id, epoch, base_sequence });
    }

    /// Parts a batch of several records into two that keep their sequences. The second has the name `serial`.
    pub(super) fn split(mut self, serial: u64) -> (Self, Self) {
        let mut second = self.clone();
        second.serial = serial;
        let at = self.wire.values.len() / 2;
        let payload = self.wire.size - BATCH_OVERHEAD;
        let share = payload / self.wire.values.len() as u32 * at as u32;
        let tail = Arc::make_mut(&mut second.wire);
        tail.values = tail.values[at..].into();
        tail.size = BATCH_OVERHEAD + payload - share;
        if let Some(mark) = &mut tail.producer {
            mark.base_sequence = advance(mark.base_sequence, at as u32);
        }
        second.handed_over.drain(..at);
        let head = Arc::make_mut(&mut self.wire);
        head.values = head.values[..at].into();
        head.size = BATCH_OVERHEAD + share;
        self.handed_over.truncate(at);
        second.memory /= 2;
        self.memory -= second.memory;
        (self, second)
    }
}

/// The sequence `by` after `sequence`.
pub(super) const fn advance(sequence: u32, by: u32) -> u32 {
    sequence.wrapping_add(by) & SEQUENCE_MASK
}

/// One partition: the accumulator's queue, what is under way, and `TxnPartitionEntry`.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct PartitionState {
    /// Batches that wait. Those that were sent before stand in front, by sequence.
    pub(super) queue: VecDeque<ProducerBatch>,
    /// Batches sent and not answered, in the order of sending.
    pub(super) in_flight: VecDeque<ProducerBatch>,
    /// Nothing may be sent until the batch under way is answered (`guaranteeMessageOrder`).
    pub(super) muted: bool,
    /// The identity that the sequences belong to.
    pub(super) identity: Option<ProducerIdAndEpoch>,
    /// The sequence of the next new batch.
    pub(super) next_sequence: u32,
    /// The highest sequence that was acknowledged.
    pub(super) last_acked: Option<u32>,
    /// Set while it is unknown whether expired batches were appended: the sequence after the last of them.
    pub(super) unresolved: Option<u32>,
}

impl PartitionState {
    /// `TransactionManager.hasInflightBatches`: batches with a sequence, on the wire or waiting for a retry.
    pub(super) fn has_sequenced(&self) -> bool {
        self.first_sequence().is_some()
    }

    /// `TransactionManager.firstInFlightSequence`.
    pub(super) fn first_sequence(&self) -> Option<u32> {
        let queued = self.queue.front().and_then(ProducerBatch::base_sequence);
        self.in_flight.iter().filter_map(ProducerBatch::base_sequence).chain(queued).min()
    }

    /// Whether `sequence` follows the last acknowledged one.
    pub(super) fn is_next(&self, sequence: u32) -> bool {
        sequence == self.last_acked.map_or(0, |last| advance(last, 1))
    }

    /// `TxnPartitionEntry.startSequencesAtBeginning`: renumbers all that has a sequence from 0 under a new identity.
    pub(super) fn restart_sequences(&mut self, identity: ProducerIdAndEpoch) {
        let mut sequenced: Vec<&mut ProducerBatch> =
            self.in_flight.iter_mut().chain(&mut self.queue).filter(|batch| batch.base_sequence().is_some()).collect();
        sequenced.sort_by_key(|batch| batch.base_sequence());
        let mut sequence = 0;
        for batch in sequenced {
            batch.mark(identity, sequence);
            batch.sequence_reset = true;
            sequence = advance(sequence, batch.wire.values.len() as u32);
        }
        self.identity = Some(identity);
        self.next_sequence = sequence;
        self.last_acked = None;
    }

    /// Takes a batch that is under way.
    pub(super) fn take_in_flight(&mut self, serial: u64) -> Option<ProducerBatch> {
        let at = self.in_flight.iter().position(|batch| batch.serial == serial)?;
        self.in_flight.remove(at)
    }

    /// Puts a batch back: by sequence if it has one, else in front (`RecordAccumulator.reenqueue`). Without sequences,
    /// batches that fail together therefore come back in reverse order.
    pub(super) fn reenqueue(&mut self, batch: ProducerBatch) {
        let before = |queued: &ProducerBatch| queued.base_sequence().is_some_and(|s| Some(s) < batch.base_sequence());
        let at = self.queue.iter().take_while(|queued| before(queued)).count();
        self.queue.insert(at, batch);
    }
}
