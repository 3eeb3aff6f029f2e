//! I-EXACTLY-ONCE, I-ORDER and I-EPOCH-ORDER: along the committed log of a partition the batches of an idempotent producer
//! follow each other without a gap, none stands twice, and its epochs never fall. That what was acknowledged stands there at
//! all is judged with J-ACK-STABLE.

use crate::id::ProducerId;
use crate::kafka::protocol::ProducerMark;
use crate::laws::epoch_logs::Batch;
use crate::laws::ledger::{Law, Ledger};
use crate::laws::views::Views;
use crate::shared_vec::SharedVec;

pub(in crate::laws) const SOURCE: &str = "KIP-98, KIP-360; KAFKA-3197, KAFKA-5494";

/// Where each producer stands in the committed log of each partition: its epoch and the sequence that comes next.
#[derive(Clone, Debug)]
pub(in crate::laws) struct Sequences {
    partitions: SharedVec<Vec<(ProducerId, u16, u32)>>,
}

impl Sequences {
    pub(in crate::laws) fn new(partitions: usize) -> Self {
        Self { partitions: SharedVec::new(partitions) }
    }

    /// Judges the batches of `from..to` in the log of `broker`, which are committed now.
    pub(in crate::laws) fn on_commit(
        &mut self,
        partition: usize,
        broker: usize,
        range: (u64, u64),
        views: Views<'_>,
        ledger: &mut Ledger,
    ) {
        let producers = &mut self.partitions[partition];
        let replica = views.logs.replica(broker, partition);
        views.epoch_logs.walk(partition, replica, range, |batch| {
            let Some(mark) = batch.producer else { return };
            [Law::ExactlyOnce, Law::Order, Law::EpochOrder].iter().for_each(|law| ledger.judged(*law, 1));
            let Some((law, expected)) = take(producers, mark, batch.records) else { return };
            // A gap that is filled later looks like a repetition then; the batch itself tells them apart.
            let law = if law == Law::ExactlyOnce && !stands_before(partition, broker, batch, mark, views) {
                Law::Order
            } else {
                law
            };
            let permit = views.gate.log(partition, batch.base_offset);
            ledger.breach(law, permit, views.at, views.process, || {
                let ProducerMark { id, epoch, base_sequence } = mark;
                let what = format!(
                    "offset {} of {} holds sequence {base_sequence} of producer {id} in epoch {epoch}, expected {expected}",
                    batch.base_offset,
                    views.roster.name(partition)
                );
                (what, views.partition_state(partition))
            });
        });
    }

    /// The log of `broker` has become the committed one up to `to`: what was lost counts no more.
    pub(in crate::laws) fn on_rebase(&mut self, partition: usize, broker: usize, to: u64, views: Views<'_>) {
        let producers = &mut self.partitions[partition];
        producers.clear();
        views.epoch_logs.walk(partition, views.logs.replica(broker, partition), (0, to), |batch| {
            if let Some(mark) = batch.producer {
                take(producers, mark, batch.records);
            }
        });
    }
}

/// The producer goes on behind this batch. Returns the law that it breaks with the sequence that was expected.
fn take(producers: &mut Vec<(ProducerId, u16, u32)>, mark: ProducerMark, records: u32) -> Option<(Law, u32)> {
    let next = mark.base_sequence.wrapping_add(records) & LAST_SEQUENCE;
    let Some(entry) = producers.iter_mut().find(|(id, ..)| *id == mark.id) else {
        producers.push((mark.id, mark.epoch, next));
        return (mark.base_sequence != 0).then_some((Law::Order, 0));
    };
    if mark.epoch < entry.1 {
        return Some((Law::EpochOrder, entry.2));
    }
    let expected = if mark.epoch == entry.1 { entry.2 } else { 0 };
    if mark.base_sequence != expected && mark.epoch == entry.1 && is_behind(mark.base_sequence, expected) {
        return Some((Law::ExactlyOnce, expected));
    }
    (entry.1, entry.2) = (mark.epoch, next);
    (mark.base_sequence != expected).then_some((Law::Order, expected))
}

/// Whether `sequence` comes before `expected`, on the circle of sequences.
fn is_behind(sequence: u32, expected: u32) -> bool {
    expected.wrapping_sub(sequence) & LAST_SEQUENCE < LAST_SEQUENCE / 2
}

/// Whether an earlier batch of the same log has the same first sequence.
fn stands_before(partition: usize, broker: usize, batch: &Batch, mark: ProducerMark, views: Views<'_>) -> bool {
    let mut found = false;
    let before = (0, batch.base_offset);
    views.epoch_logs.walk(partition, views.logs.replica(broker, partition), before, |other| {
        found |= other.producer.is_some_and(|other| (other.id, other.epoch) == (mark.id, mark.epoch))
            && other.producer.is_some_and(|first| {
                let within = mark.base_sequence.wrapping_sub(first.base_sequence) & LAST_SEQUENCE;
                within < other.records
            });
    });
    found
}

/// Sequences wrap after this one (`Integer.MAX_VALUE`).
const LAST_SEQUENCE: u32 = i32::MAX as u32;
