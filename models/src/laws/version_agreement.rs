//! Z-VERSION-AGREEMENT: a version of a znode stands for one content, on every ZooKeeper server.

use super::ledger::{Law, Ledger};
use super::views::Views;
use super::zk_nodes::Misfit;
use crate::id::Zxid;

pub(super) const SOURCE: &str = "ZOOKEEPER-3701";

/// Judges what a transaction does, committed or merely delivered, against the versions that are committed.
pub(super) fn judge(zxid: Zxid, writes: u64, misfits: &[Misfit], views: Views<'_>, ledger: &mut Ledger) {
    ledger.judged(Law::VersionAgreement, writes);
    for misfit in misfits {
        if let Misfit::Content { path, version } = misfit {
            ledger.breach(Law::VersionAgreement, None, views.at, views.process, || {
                let what = format!("{zxid} gives version {version} of {path} another content than it had");
                (what, views.history.summary())
            });
        }
    }
}
