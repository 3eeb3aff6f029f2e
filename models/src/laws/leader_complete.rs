//! R-LEADER-COMPLETE: who begins to lead in the current epoch holds every committed record. An acknowledged `acks=all`
//! record is a committed one.

use super::ledger::{Law, Ledger};
use super::views::Views;

pub(super) const SOURCE: &str = "Vanlightly/kafka-tlaplus, LeaderCompleteness; gate: KIP-106, KIP-903, KIP-966";

/// Judges a `LeaderBegin`. Returns whether the committed log has to give way to the leader's: a permitted loss.
pub(super) fn judge(partition: usize, broker: usize, epoch: i32, views: Views<'_>, ledger: &mut Ledger) -> bool {
    // Someone who learns late that it was elected in an older epoch may lack what was committed since.
    if !views.is_current(partition, epoch) || !views.logs.counts(partition, epoch) {
        return false;
    }
    let (leo, true_hw) = (views.logs.replica(broker, partition).leo(), views.logs.committed(partition).true_hw());
    let Some(agrees) = views.logs.agrees(broker, partition, true_hw.min(leo)) else { return false };
    ledger.judged(Law::LeaderComplete, 1);
    if agrees && leo >= true_hw {
        return false;
    }
    let parting = views.logs.parting(broker, partition);
    let permit = views.gate.log(partition, parting);
    ledger.breach(Law::LeaderComplete, permit, views.at, views.process, || {
        let (name, id) = (views.roster.name(partition), views.roster.brokers[broker].0);
        let what = format!(
            "broker {id} leads {name} in epoch {epoch} without the committed records from offset {parting} to {true_hw}"
        );
        (what, views.partition_state(partition))
    });
    permit.is_some()
}
