//! R-CANDIDATE-COMPLETE: every running member of the stored ISR whose registration is its own holds every committed record,
//! since it may be elected at any moment.
//!
//! In ZooKeeper mode a registration and the ISR's answer to it are two transactions. A place in the ISR that was written for
//! an earlier life of the broker makes no candidate of its present one until a controller has let it stand: by writing the
//! state, or by completing a failover that began after the registration.

use super::ledger::{Law, Ledger};
use super::views::Views;

pub(super) const SOURCE: &str = "Vanlightly/kafka-tlaplus, LeaderCandidateCompleteness; gate: KIP-903, KIP-966";

/// Judges all candidates of a partition, after `TrueHW` rose or the stored state changed.
pub(super) fn judge_all(partition: usize, views: Views<'_>, ledger: &mut Ledger) {
    let Some(state) = views.store.partition(partition) else { return };
    for id in state.isr.iter() {
        if let Some(broker) = views.roster.broker_number(*id) {
            judge_member(partition, broker, views, ledger);
        }
    }
}

/// Judges one broker, if it is a candidate.
pub(super) fn judge(partition: usize, broker: usize, views: Views<'_>, ledger: &mut Ledger) {
    let id = views.roster.brokers[broker].0;
    if views.store.partition(partition).is_some_and(|state| state.isr.contains(&id)) {
        judge_member(partition, broker, views, ledger);
    }
}

fn judge_member(partition: usize, broker: usize, views: Views<'_>, ledger: &mut Ledger) {
    let (id, process) = views.roster.brokers[broker];
    if !views.is_electable(partition, broker) {
        return;
    }
    let (leo, true_hw) = (views.logs.replica(broker, partition).leo(), views.logs.committed(partition).true_hw());
    let Some(agrees) = views.logs.agrees(broker, partition, true_hw.min(leo)) else { return };
    ledger.judged(Law::CandidateComplete, 1);
    if agrees && leo >= true_hw {
        return;
    }
    let parting = views.logs.parting(broker, partition);
    let permit = views.gate.log(partition, parting);
    ledger.breach(Law::CandidateComplete, permit, views.at, process, || {
        let name = views.roster.name(partition);
        let what = format!(
            "broker {id} is in the ISR of {name} without the committed records from offset {parting} to {true_hw}"
        );
        (what, views.partition_state(partition))
    });
}
