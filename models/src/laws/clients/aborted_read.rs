//! J-G1A: nobody reads a record whose writer was told for certain that it was not written.

use crate::id::ValueId;
use crate::laws::ledger::{Law, Ledger};
use crate::laws::views::Views;

pub(in crate::laws) const SOURCE: &str = "Jepsen tests/kafka, G1a";

/// Judges a value that is known to have been read or to have failed, whichever came later.
pub(in crate::laws) fn judge(partition: usize, id: ValueId, both: bool, views: Views<'_>, ledger: &mut Ledger) {
    if both {
        ledger.breach(Law::AbortedRead, None, views.at, views.process, || {
            let what = format!("{id} of {} was read, although its writer failed", views.roster.name(partition));
            (what, views.partition_state(partition))
        });
    }
}
