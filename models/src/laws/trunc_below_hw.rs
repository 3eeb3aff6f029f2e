//! R-TRUNC-BELOW-HW: a truncation never removes a committed record, and never goes below the high watermark that the
//! replica learned in the same life. Cutting a deposed leader's own tail is right even below `TrueHW`.

use super::ledger::{Law, Ledger};
use super::views::Views;
use crate::observation::TruncateReason;

pub(super) const SOURCE: &str = "KAFKA-7414, KAFKA-14704";

/// Judges a truncation before the log is cut.
pub(super) fn judge(
    partition: usize,
    broker: usize,
    (from, to): (u64, u64),
    reason: TruncateReason,
    views: Views<'_>,
    ledger: &mut Ledger,
) {
    // A full truncation follows a leader whose log starts later; recovery cuts what the crash has taken.
    if from <= to || matches!(reason, TruncateReason::Full | TruncateReason::Recovery) {
        return;
    }
    ledger.judged(Law::TruncBelowHw, 1);
    let replica = views.logs.replica(broker, partition);
    let committed = views.logs.committed(partition);
    let removes_committed = to < committed.true_hw()
        && replica.digest(to + 1).is_some_and(|digest| committed.digest(to + 1) == Some(digest));
    if !removes_committed && to >= replica.high_watermark {
        return;
    }
    let permit = views.gate.log(partition, to);
    ledger.breach(Law::TruncBelowHw, permit, views.at, views.process, || {
        let (name, id) = (views.roster.name(partition), views.roster.brokers[broker].0);
        let what = if removes_committed {
            format!("broker {id} cut {name} from {from} to {to}: the record at {to} is a committed one")
        } else {
            format!(
                "broker {id} cut {name} from {from} to {to}, below its own high watermark {}",
                replica.high_watermark
            )
        };
        (what, format!("reason {reason:?}; {}", views.partition_state(partition)))
    });
}
