//! J-PHANTOM: a poll returns nothing that nobody sent.

use super::ledger::{Law, Ledger};
use super::records::Value;
use super::views::Views;
use crate::id::ValueId;

pub(super) const SOURCE: &str = "own; Jepsen's version log presumes it";

/// Judges that `id` was polled at `offset`. The caller counts.
pub(super) fn judge(
    partition: usize,
    (id, offset): (ValueId, u64),
    value: Value,
    views: Views<'_>,
    ledger: &mut Ledger,
) {
    if value.sent {
        return;
    }
    ledger.breach(Law::Phantom, None, views.at, views.process, || {
        let what = format!("{id}, polled at offset {offset} of {}, was never sent", views.roster.name(partition));
        (what, views.partition_state(partition))
    });
}
