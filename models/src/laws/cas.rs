//! Z-CAS: writes to ZooKeeper are linearisable: what a leader checked still holds where the write takes effect, so that a
//! conditional write succeeds only against the newest committed version.

use super::ledger::{Law, Ledger};
use super::views::Views;
use super::zk_nodes::Misfit;
use crate::id::Zxid;

pub(super) const SOURCE: &str = "ZooKeeper's guarantees, linearizable writes; PrepRequestProcessor.getRecordForPath";

/// Judges a committed transaction against the state that it meets.
pub(super) fn judge(zxid: Zxid, writes: u64, misfits: &[Misfit], views: Views<'_>, ledger: &mut Ledger) {
    ledger.judged(Law::Cas, writes);
    for misfit in misfits {
        if let Misfit::Condition { path, what } = misfit {
            ledger.breach(Law::Cas, None, views.at, views.process, || {
                (format!("{zxid} succeeded on {path}: {what}"), views.history.summary())
            });
        }
    }
}
