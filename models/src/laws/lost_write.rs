//! J-LOST-WRITE: an acknowledged value below an offset that was read is itself read, unless retention deleted it first or no
//! reader was to begin so early.
//!
//! With unclean elections allowed, what was acknowledged in an older leader epoch than that of such an election is not promised,
//! as far as the elected leader did not have it; what is acknowledged from that epoch on is (KIP-106, KIP-101). The time of the
//! acknowledgement is no measure: a deposed leader that has heard of nothing, with an ISR of its own, still gives some.

use super::ledger::{Law, Ledger};
use super::records::Records;
use super::views::Views;

pub(super) const SOURCE: &str = "Jepsen tests/kafka, lost-write; gate: KIP-106, KIP-903, KIP-966";

/// Judges the finished history of a partition. A value whose offset nobody told is left to J-UNSEEN.
pub(super) fn judge(partition: usize, records: &Records, views: Views<'_>, ledger: &mut Ledger) {
    for (id, value, ack) in records.acknowledged() {
        let Some(offset) = ack.offset.filter(|offset| *offset < records.read_to) else { continue };
        ledger.judged(Law::LostWrite, 1);
        if value.read || records.is_passed_over(offset) || views.logs.committed(partition).is_deleted(id, Some(offset))
        {
            continue;
        }
        let committed = views.logs.committed(partition).value(offset) == Some(id);
        let permit = views.gate.record(partition, Some(offset), ack.acks, (value.acked_in, ack.at), committed);
        ledger.breach(Law::LostWrite, permit, views.at, ack.by, || {
            let name = views.roster.name(partition);
            let what = format!("{id} of {name}, acknowledged at offset {offset} at {}, was never read", ack.at);
            (what, format!("read up to offset {}; {}", records.read_to, views.partition_state(partition)))
        });
    }
}
