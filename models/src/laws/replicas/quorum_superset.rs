//! R-QUORUM-SUPERSET: the current leader waits for every member of the stored ISR, and of the one that it knows.

use crate::laws::ledger::{Law, Ledger};
use crate::laws::views::Views;

pub(in crate::laws) const SOURCE: &str =
    "Vanlightly/kafka-tlaplus, ReplicationQuorumSuperset; hachikuji/kafka-specification, ValidHighWatermark (AsyncIsr)";

/// Judges the stored leader's view, after that or the stored state changed.
pub(in crate::laws) fn judge(partition: usize, views: Views<'_>, ledger: &mut Ledger) {
    let Some(state) = views.store.partition(partition) else { return };
    let Some(broker) = state.leader.and_then(|leader| views.roster.broker_number(leader)) else { return };
    let Some(reign) = views.leaders.reign(broker, partition).filter(|reign| reign.epoch == state.leader_epoch) else {
        return;
    };
    // It begins before it tells of an ISR.
    if reign.maximal_isr.is_empty() {
        return;
    }
    ledger.judged(Law::QuorumSuperset, 1);
    let missing = state.isr.iter().chain(reign.isr.iter()).find(|id| !reign.maximal_isr.contains(id));
    if let Some(missing) = missing {
        ledger.breach(Law::QuorumSuperset, None, views.at, views.process, || {
            let (name, id) = (views.roster.name(partition), views.roster.brokers[broker].0);
            let what = format!("broker {id}, leader of {name}, does not wait for broker {missing}");
            (what, format!("maximal ISR {:?}; {}", reign.maximal_isr, views.partition_state(partition)))
        });
    }
}
