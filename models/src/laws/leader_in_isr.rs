//! R-LEADER-IN-ISR: the stored leader is a member of the stored ISR.

use super::ledger::{Law, Ledger};
use super::views::Views;
use crate::kafka::protocol::LeaderAndIsr;

pub(super) const SOURCE: &str = "hachikuji/kafka-specification, LeaderInIsr";

/// Judges a new stored state.
pub(super) fn judge(partition: usize, now: &LeaderAndIsr, views: Views<'_>, ledger: &mut Ledger) {
    let Some(leader) = now.leader else { return };
    ledger.judged(Law::LeaderInIsr, 1);
    if now.isr.contains(&leader) {
        return;
    }
    ledger.breach(Law::LeaderInIsr, None, views.at, views.process, || {
        let what = format!("leader {leader} of {} is not in the ISR", views.roster.name(partition));
        (what, views.partition_state(partition))
    });
}
