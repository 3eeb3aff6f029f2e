//! `ProducerStateManager`: what a log knows of idempotent producers (KIP-98). A function of the log's content.

use std::collections::VecDeque;

use crate::id::ProducerId;
use crate::kafka::protocol::{ErrorCode, RecordBatch};
use crate::sorted_map::SortedMap;
use crate::time::{Instant, Span};

/// Batches per producer that are kept to recognise duplicates (`ProducerStateEntry.NUM_BATCHES_TO_RETAIN`): as many as an
/// idempotent producer may have in flight.
const BATCHES_TO_RETAIN: usize = 5;

/// Sequences wrap after this one (`Integer.MAX_VALUE`).
const LAST_SEQUENCE: u32 = i32::MAX as u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct BatchMetadata {
    first_sequence: u32,
    last_sequence: u32,
    base_offset: u64,
}

#[derive(Clone, Debug, Hash)]
struct ProducerEntry {
    epoch: u16,
    batches: VecDeque<BatchMetadata>,
    last_timestamp: Instant,
}

/// Every producer that a log knows.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct ProducerStates {
    producers: SortedMap<ProducerId, ProducerEntry>,
}

/// What a leader makes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SequenceCheck {
    /// Append it.
    Append,
    /// It is in the log already, at this base offset.
    Duplicate(u64),
}

impl ProducerStates {
    /// Checks a batch that a producer sent: first whether it is a duplicate, then epoch and sequence
    /// (`analyzeAndValidateProducerState`). A producer that was silent for `expiration` is unknown.
    ///
    /// # Errors
    /// `InvalidProducerEpoch` for a lower epoch, `OutOfOrderSequenceNumber` for a gap or a new epoch that does not begin
    /// at 0.
    pub(super) fn check(
        &self,
        batch: &RecordBatch,
        wall: Instant,
        expiration: Span,
    ) -> Result<SequenceCheck, ErrorCode> {
        let Some(mark) = batch.producer else { return Ok(SequenceCheck::Append) };
        let Some(entry) = self.producers.get(mark.id).filter(|e| wall.since(e.last_timestamp) < expiration) else {
            return Ok(SequenceCheck::Append);
        };
        if mark.epoch == entry.epoch {
            let last = last_sequence(mark.base_sequence, batch.values.len());
            let same = |b: &&BatchMetadata| b.first_sequence == mark.base_sequence && b.last_sequence == last;
            if let Some(duplicate) = entry.batches.iter().find(same) {
                return Ok(SequenceCheck::Duplicate(duplicate.base_offset));
            }
        }
        if mark.epoch < entry.epoch {
            return Err(ErrorCode::InvalidProducerEpoch);
        }
        let expected = match entry.batches.back() {
            Some(last) if mark.epoch == entry.epoch => last_sequence(last.last_sequence, 2),
            _ => 0,
        };
        if mark.base_sequence == expected {
            Ok(SequenceCheck::Append)
        } else {
            Err(ErrorCode::OutOfOrderSequenceNumber)
        }
    }

    /// Takes a batch that is in the log now. Replicas take what the leader took, unchecked (KAFKA-6003).
    pub(super) fn update(&mut self, batch: &RecordBatch) {
        let Some(mark) = batch.producer else { return };
        let entry = self.producers.get_or_insert_with(mark.id, || ProducerEntry {
            epoch: mark.epoch,
            batches: VecDeque::with_capacity(BATCHES_TO_RETAIN),
            last_timestamp: batch.timestamp,
        });
        if entry.epoch != mark.epoch {
            entry.epoch = mark.epoch;
            entry.batches.clear();
        }
        if entry.batches.len() == BATCHES_TO_RETAIN {
            entry.batches.pop_front();
        }
        entry.last_timestamp = batch.timestamp;
        entry.batches.push_back(BatchMetadata {
            first_sequence: mark.base_sequence,
            last_sequence: last_sequence(mark.base_sequence, batch.values.len()),
            base_offset: batch.base_offset,
        });
    }
}

/// Sequence of the last of `records` records that begin at `first` (`DefaultRecordBatch.incrementSequence`).
fn last_sequence(first: u32, records: usize) -> u32 {
    let last = u64::from(first) + (records as u64).max(1) - 1;
    (last % (u64::from(LAST_SEQUENCE) + 1)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ValueId;
    use crate::kafka::protocol::ProducerMark;

    fn batch(epoch: u16, base_sequence: u32, records: u64, base_offset: u64) -> RecordBatch {
        RecordBatch {
            base_offset,
            leader_epoch: 0,
            producer: Some(ProducerMark { id: ProducerId(1), epoch, base_sequence }),
            values: (0..records).map(ValueId).collect(),
            content: None,
            size: 100,
            timestamp: Instant::ZERO,
        }
    }

    #[test]
    fn checks_follow_the_table() {
        let day = Span::from_secs(86_400);
        let mut states = ProducerStates::default();
        let mut offset = 100;
        for first in (40..54).step_by(2) {
            states.update(&batch(3, first, 2, offset)); // Sequences 40..=53; the last five batches begin at 44.
            offset += 2;
        }
        let check = |epoch, first, records, wall, expected: Result<SequenceCheck, ErrorCode>| {
            let found = states.check(&batch(epoch, first, records, 0), wall, day);
            assert_eq!(found, expected, "epoch {epoch}, {records} records from {first}");
        };
        let now = Instant::ZERO;
        check(3, 54, 1, now, Ok(SequenceCheck::Append));
        check(3, 55, 1, now, Err(ErrorCode::OutOfOrderSequenceNumber));
        check(3, 52, 2, now, Ok(SequenceCheck::Duplicate(112)));
        check(3, 44, 2, now, Ok(SequenceCheck::Duplicate(104)));
        check(3, 42, 2, now, Err(ErrorCode::OutOfOrderSequenceNumber)); // The sixth last is forgotten.
        check(3, 52, 1, now, Err(ErrorCode::OutOfOrderSequenceNumber)); // A part of a batch is no duplicate.
        check(2, 54, 1, now, Err(ErrorCode::InvalidProducerEpoch));
        check(4, 0, 1, now, Ok(SequenceCheck::Append));
        check(4, 54, 1, now, Err(ErrorCode::OutOfOrderSequenceNumber));
        check(3, 99, 1, now + (day - Span::from_ns(1)), Err(ErrorCode::OutOfOrderSequenceNumber));
        check(3, 99, 1, now + day, Ok(SequenceCheck::Append)); // Expired, so unknown.
    }

    #[test]
    fn sequences_wrap() {
        let mut states = ProducerStates::default();
        states.update(&batch(0, LAST_SEQUENCE, 1, 0));
        let check = states.check(&batch(0, 0, 1, 0), Instant::ZERO, Span::MAX);
        assert_eq!(check, Ok(SequenceCheck::Append));
        assert_eq!(last_sequence(LAST_SEQUENCE, 3), 1);
    }
}
