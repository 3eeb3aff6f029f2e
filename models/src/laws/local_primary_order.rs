//! Z-LOCAL-PRIMARY-ORDER: what a ZooKeeper leader proposed before b is delivered before b, wherever b is delivered. A leader
//! numbers its proposals from 1 without gaps, so that the predecessor of each is known.

use super::ledger::{Law, Ledger};
use super::views::Views;
use super::zk_deliveries::Delivery;

pub(super) const SOURCE: &str = "ZooKeeper's TLA+ specification, LocalPrimaryOrder, for all pairs";

/// Judges a delivery.
pub(super) fn judge(delivery: &Delivery, views: Views<'_>, ledger: &mut Ledger) {
    ledger.judged(Law::LocalPrimaryOrder, 1);
    let Delivery { zxid, prev, .. } = *delivery;
    let in_order = match zxid.epoch().cmp(&prev.epoch()) {
        std::cmp::Ordering::Equal => zxid == prev.next(),
        std::cmp::Ordering::Greater => zxid.counter() == 1,
        // An older epoch's is the business of Z-GLOBAL-PRIMARY-ORDER.
        std::cmp::Ordering::Less => true,
    };
    if !in_order {
        ledger.breach(Law::LocalPrimaryOrder, None, views.at, views.process, || {
            (format!("{} delivers {zxid} right after {prev}", views.process), views.history.summary())
        });
    }
}
