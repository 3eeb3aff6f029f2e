//! J-UNSEEN: once a consumer has read a partition to its end, it has read every acknowledged value, unless retention deleted
//! it first or no reader was to begin so early.

use super::ledger::{Law, Ledger};
use super::records::Records;
use super::views::Views;
use crate::time::Span;

pub(super) const SOURCE: &str = "Jepsen tests/kafka, unseen (final polls); gate: KIP-106, KIP-903, KIP-966";

/// Judges the finished history of a partition. Returns whether a consumer reached the end; if none did, the missing final
/// read is for the liveness laws to report.
pub(super) fn judge(partition: usize, records: &Records, views: Views<'_>, ledger: &mut Ledger) -> bool {
    let Some((end, told)) = records.caught_up() else { return false };
    for (id, value, ack) in records.acknowledged() {
        let below_end = ack.offset.is_some_and(|offset| offset < end);
        if !below_end && ack.at + QUESTION > told {
            continue;
        }
        ledger.judged(Law::Unseen, 1);
        let passed_over = ack.offset.is_some_and(|offset| records.is_passed_over(offset));
        if value.read || passed_over || views.logs.committed(partition).is_deleted(id, ack.offset) {
            continue;
        }
        let committed = ack.offset.and_then(|offset| views.logs.committed(partition).value(offset)) == Some(id);
        let permit = views.gate.record(partition, ack.offset, ack.acks, (value.acked_in, ack.at), committed);
        ledger.breach(Law::Unseen, permit, views.at, ack.by, || {
            let name = views.roster.name(partition);
            let what = format!("{id} of {name}, acknowledged at {}, is missing in a read to the end", ack.at);
            (what, format!("end {end}, told at {told}; {}", views.partition_state(partition)))
        });
    }
    true
}

/// An end offset was determined at most this long before it was told: request.timeout.ms of a consumer.
const QUESTION: Span = Span::from_secs(30);
