//! R-NO-FULL-TRUNCATION: a replica drops its whole log only if that ends before the leader's begins.

use crate::laws::ledger::{Law, Ledger};
use crate::laws::views::Views;
use crate::observation::TruncateReason;

pub(in crate::laws) const SOURCE: &str = "KAFKA-2143";

/// Judges a truncation. After a full one the replica begins anew where the leader's log begins, at `to`.
pub(in crate::laws) fn on_truncate(
    partition: usize,
    (from, to): (u64, u64),
    reason: TruncateReason,
    views: Views<'_>,
    ledger: &mut Ledger,
) {
    if reason == TruncateReason::Recovery {
        return;
    }
    ledger.judged(Law::NoFullTruncation, 1);
    if reason != TruncateReason::Full || from < to {
        return;
    }
    ledger.breach(Law::NoFullTruncation, None, views.at, views.process, || {
        let name = views.roster.name(partition);
        let what =
            format!("{} dropped its whole log of {name} up to {from}; the leader's begins at {to}", views.process);
        (what, views.partition_state(partition))
    });
}
