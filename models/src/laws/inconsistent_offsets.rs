//! J-INCONSISTENT-OFFSETS: an offset never stands for two values, whoever polled them or had them acknowledged.

use super::ledger::{Law, Ledger, Permit};
use super::records::{Placement, Standing, Witness};
use super::views::Views;
use crate::id::ValueId;

pub(super) const SOURCE: &str = "Jepsen tests/kafka, inconsistent-offsets";

/// Judges that `now` was seen at `offset`. The caller counts.
pub(super) fn judge(
    partition: usize,
    now: Standing,
    offset: u64,
    placement: Placement,
    views: Views<'_>,
    ledger: &mut Ledger,
) {
    let Some(before) = placement.before.filter(|before| before.value != now.value) else { return };
    // A copy of the leader alone promises nothing, unless it was seen below a high watermark.
    let committed = views.logs.committed(partition).value(offset);
    let single = |witness: Standing| witness.by == Witness::Leader && committed != Some(witness.value);
    let permit =
        if single(before) || single(now) { Some(Permit::AcksLeader) } else { views.gate.log(partition, offset) };
    ledger.breach(Law::InconsistentOffsets, permit, views.at, views.process, || {
        let (first, second): (ValueId, ValueId) = (before.value, now.value);
        let what = format!("offset {offset} of {} was {first} and is {second} now", views.roster.name(partition));
        (what, format!("first told by {:?}, now by {:?}; {}", before.by, now.by, views.partition_state(partition)))
    });
}
