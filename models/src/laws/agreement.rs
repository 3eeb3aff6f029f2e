//! Z-AGREEMENT: of two transactions that two ZooKeeper servers delivered, one server at least delivered both.

use super::ledger::{Law, Ledger};
use super::views::Views;
use super::zk_deliveries::Delivery;
use crate::id::Zxid;

pub(super) const SOURCE: &str = "ZooKeeper's TLA+ specification, Agreement";

/// Judges a delivery; `other_alone` is a transaction with which another server is alone.
pub(super) fn judge(delivery: &Delivery, other_alone: Option<Zxid>, views: Views<'_>, ledger: &mut Ledger) {
    ledger.judged(Law::Agreement, 1);
    let Delivery { zxid, known, lacks, .. } = *delivery;
    let Some(missing) = lacks.or(other_alone).filter(|_| !known) else { return };
    ledger.breach(Law::Agreement, None, views.at, views.process, || {
        let what =
            format!("{} is the first to deliver {zxid}, and lacks {missing}, which others delivered", views.process);
        (what, views.history.summary())
    });
}
