//! Z-INTEGRITY: what a ZooKeeper server delivers was proposed by a leader, as it is.

use super::ledger::{Law, Ledger};
use super::pages::Pages;
use super::views::Views;
use crate::fingerprint::Fingerprint;
use crate::id::Zxid;
use crate::zk::protocol::Txn;

pub(super) const SOURCE: &str = "ZooKeeper's TLA+ specification, Integrity";

/// What leaders proposed.
#[derive(Clone, Debug, Default)]
pub(super) struct Integrity {
    /// Digest of each proposal by its zxid; 0 where there is none.
    proposed: Pages<u64>,
}

impl Integrity {
    pub(super) fn on_propose(&mut self, zxid: Zxid, content: u64) {
        *self.proposed.entry(zxid.0) = content.max(1);
    }

    /// Judges a transaction that a server delivers. One that equals what another server delivered need not be judged again.
    pub(super) fn judge(&self, txn: &Txn, views: Views<'_>, ledger: &mut Ledger) {
        ledger.judged(Law::Integrity, 1);
        let proposed = self.proposed.get(txn.zxid.0);
        if proposed != Fingerprint::of(txn).max(1) {
            ledger.breach(Law::Integrity, None, views.at, views.process, || {
                let how =
                    if proposed == 0 { "which nobody proposed" } else { "which was proposed with another content" };
                (format!("{} delivers {}, {how}", views.process, txn.zxid), views.history.summary())
            });
        }
    }
}
