//! Z-TOTAL-ORDER: if one ZooKeeper server delivers a before b, whoever delivers b has delivered a before.

use super::ledger::{Law, Ledger};
use super::views::Views;
use super::zk_deliveries::Delivery;

pub(super) const SOURCE: &str = "ZooKeeper's TLA+ specification, TotalOrder";

/// Judges a delivery.
pub(super) fn judge(delivery: &Delivery, views: Views<'_>, ledger: &mut Ledger) {
    ledger.judged(Law::TotalOrder, 1);
    let Delivery { zxid, known, lacks, alone, .. } = *delivery;
    let Some(other) = lacks.or(alone).filter(|_| known) else { return };
    ledger.breach(Law::TotalOrder, None, views.at, views.process, || {
        let how = if lacks.is_some() { "without" } else { "after" };
        let others = if lacks.is_some() { "after it" } else { "without it" };
        let what = format!("{} delivers {zxid} {how} {other}; others delivered it {others}", views.process);
        (what, views.history.summary())
    });
}
