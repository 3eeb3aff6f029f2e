//! Z-GLOBAL-PRIMARY-ORDER: a ZooKeeper server delivers the transactions of an older epoch before those of a newer one.

use super::ledger::{Law, Ledger};
use super::views::Views;
use super::zk_deliveries::Delivery;

pub(super) const SOURCE: &str = "ZooKeeper's TLA+ specification, GlobalPrimaryOrder";

/// Judges a delivery.
pub(super) fn judge(delivery: &Delivery, views: Views<'_>, ledger: &mut Ledger) {
    ledger.judged(Law::GlobalPrimaryOrder, 1);
    let Delivery { zxid, prev, .. } = *delivery;
    if zxid.epoch() < prev.epoch() {
        ledger.breach(Law::GlobalPrimaryOrder, None, views.at, views.process, || {
            (format!("{} delivers {zxid} after {prev} of a newer epoch", views.process), views.history.summary())
        });
    }
}
