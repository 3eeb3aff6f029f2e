//! R-COMMITTED-READ-ONLY: nobody is given a record at or beyond `TrueHW`, by a leader or by a follower.

use crate::laws::ledger::{Law, Ledger};
use crate::laws::views::Views;

pub(in crate::laws) const SOURCE: &str = "KAFKA-14704, KIP-392";

/// Judges a poll that ended before offset `end`.
pub(in crate::laws) fn on_poll(partition: usize, end: u64, views: Views<'_>, ledger: &mut Ledger) {
    ledger.judged(Law::CommittedReadOnly, 1);
    let true_hw = views.logs.committed(partition).true_hw();
    if end <= true_hw {
        return;
    }
    ledger.breach(Law::CommittedReadOnly, views.gate.log(partition, true_hw), views.at, views.process, || {
        let name = views.roster.name(partition);
        (format!("a poll of {name} ended before offset {end}, TrueHW is {true_hw}"), views.partition_state(partition))
    });
}
