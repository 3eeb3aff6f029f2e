//! J-POLL-SKIP and J-NONMONOTONIC-POLL: a consumer that was not told to go elsewhere reads on where it stopped. It leaves no
//! record out, and it gets none again.
//!
//! Offsets without a record do not count: the catalogue compares indexes of the version log, not offsets. A consumer of this
//! model polls one partition after the other, so that what Jepsen tests within an operation is what is tested here.

use crate::laws::ledger::{Law, Ledger};
use crate::laws::views::Views;

pub(in crate::laws) const SOURCE: &str = "Jepsen tests/kafka, poll-skip and nonmonotonic-poll";

/// Judges a poll from `base_offset` on by a consumer whose last poll ended before `position`.
pub(in crate::laws) fn judge(partition: usize, position: u64, base_offset: u64, views: Views<'_>, ledger: &mut Ledger) {
    ledger.judged(Law::PollSkip, 1);
    ledger.judged(Law::NonmonotonicPoll, 1);
    if base_offset == position {
        return;
    }
    let (law, verb) = if base_offset < position { (Law::NonmonotonicPoll, "back") } else { (Law::PollSkip, "on") };
    let committed = views.logs.committed(partition);
    if law == Law::PollSkip && (position..base_offset).all(|offset| committed.value(offset).is_none()) {
        return;
    }
    ledger.breach(law, views.gate.log(partition, position.min(base_offset)), views.at, views.process, || {
        let name = views.roster.name(partition);
        let what =
            format!("{} had read {name} up to offset {position} and went {verb} to {base_offset}", views.process);
        (what, views.partition_state(partition))
    });
}
