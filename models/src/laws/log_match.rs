//! R-LOG-MATCH: below their high watermarks any two replicas hold the same records. Each is compared with the committed
//! log, so that all agree with each other.

use super::ledger::{Law, Ledger};
use super::views::Views;

pub(super) const SOURCE: &str = "Vanlightly/kafka-tlaplus, LogMatching; KIP-101, KIP-279";

/// Judges that replica `broker` reported the high watermark `value`. Returns whether it parts from the committed log, and
/// whether that is permitted.
pub(super) fn judge(partition: usize, broker: usize, value: u64, views: Views<'_>, ledger: &mut Ledger) -> Verdict {
    let committed = views.logs.committed(partition);
    let offset = value.min(committed.true_hw()).min(views.logs.replica(broker, partition).leo());
    let Some(agrees) = views.logs.agrees(broker, partition, offset) else { return Verdict::Agrees };
    ledger.judged(Law::LogMatch, 1);
    if agrees {
        return Verdict::Agrees;
    }
    let permit = views.gate.log(partition, views.logs.parting(broker, partition));
    ledger.breach(Law::LogMatch, permit, views.at, views.process, || {
        let (name, id) = (views.roster.name(partition), views.roster.brokers[broker].0);
        let parting = views.logs.parting(broker, partition);
        let what = format!(
            "broker {id} reports high watermark {value} of {name}, but its record at offset {parting} is not the committed one"
        );
        (what, views.partition_state(partition))
    });
    if permit.is_some() { Verdict::Permitted } else { Verdict::Broken }
}

/// What came of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The logs agree, or cannot be compared.
    Agrees,
    /// They part, as the gate permits.
    Permitted,
    /// They part.
    Broken,
}
