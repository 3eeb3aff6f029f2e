//! L-WRITE-RESOLVED: a producer that goes on running answers every record, one way or the other, within the time that it may
//! block in `send()` and the time that it may spend on delivery.

use crate::laws::ledger::{Law, Ledger};
use crate::laws::records::Records;
use crate::laws::views::Views;

pub(in crate::laws) const SOURCE: &str = "Vanlightly/kafka-tlaplus, EventuallyWriteIsAcceptedOrRejected";

/// Judges the finished history of a partition.
pub(in crate::laws) fn finish(partition: usize, records: &Records, views: Views<'_>, ledger: &mut Ledger) {
    let patience = views.roster.facts.delivery;
    for (id, value) in records.sent() {
        let Some((process, life)) = value.sender else { continue };
        let lives = views.processes.is_up(process) && views.processes.life(process) == life;
        if value.resolved.is_none() && (!lives || views.at - value.sent_at <= patience) {
            continue;
        }
        ledger.judged(Law::WriteResolved, 1);
        if value.resolved.is_some() {
            continue;
        }
        ledger.breach(Law::WriteResolved, None, views.at, process, || {
            let name = views.roster.name(partition);
            let what = format!("{process} has waited since {} for the fate of {id} of {name}", value.sent_at);
            (what, views.partition_state(partition))
        });
    }
}
