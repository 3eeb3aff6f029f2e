//! R-ZOMBIE-NO-COMMIT: once a newer leader has begun, a deposed one that has not heard of it commits nothing that the newer
//! one did not have when it began: that would need a fetch that was sent afterwards.

use crate::laws::ledger::{Law, Ledger};
use crate::laws::views::Views;

pub(in crate::laws) const SOURCE: &str = "hachikuji/kafka-specification, Kip320, rule 3";

/// Judges the high watermark that a leader of `epoch` reports.
pub(in crate::laws) fn on_report(partition: usize, value: u64, epoch: i32, views: Views<'_>, ledger: &mut Ledger) {
    let Some((newer, start)) = views.leaders.successor(partition, epoch) else { return };
    ledger.judged(Law::ZombieNoCommit, 1);
    if value <= start {
        return;
    }
    ledger.breach(Law::ZombieNoCommit, views.gate.log(partition, start), views.at, views.process, || {
        let name = views.roster.name(partition);
        let what = format!(
            "{} reports high watermark {value} of {name} in epoch {epoch}, but epoch {newer} began at {start}",
            views.process
        );
        (what, views.partition_state(partition))
    });
}
