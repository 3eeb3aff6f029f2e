//! J-DUPLICATE: a value stands at one offset of its partition only.

use super::ledger::{Law, Ledger, Permit};
use super::records::Placement;
use super::views::Views;
use crate::id::ValueId;

pub(super) const SOURCE: &str = "Jepsen tests/kafka, duplicate; KIP-98";

/// Judges that `value` was seen at `offset`. The caller counts.
pub(super) fn judge(
    partition: usize,
    (value, offset): (ValueId, u64),
    placement: Placement,
    views: Views<'_>,
    ledger: &mut Ledger,
) {
    let Some(elsewhere) = placement.elsewhere else { return };
    let permit = match placement.value.idempotent {
        false => Some(Permit::NotIdempotent),
        true => views.gate.log(partition, elsewhere.min(offset)),
    };
    ledger.breach(Law::Duplicate, permit, views.at, views.process, || {
        let name = views.roster.name(partition);
        (format!("{value} of {name} stands at offsets {elsewhere} and {offset}"), views.partition_state(partition))
    });
}
