//! Z-PREFIX: the committed histories of any two ZooKeeper servers agree on the shorter one's length.

use super::ledger::{Law, Ledger};
use super::zk_history::ZkHistory;
use crate::time::Instant;

pub(super) const SOURCE: &str = "ZooKeeper's TLA+ specification, PrefixConsistency";

/// Judges what was compared since the last look.
pub(super) fn judge(history: &mut ZkHistory, at: Instant, ledger: &mut Ledger) {
    ledger.judged(Law::Prefix, std::mem::take(&mut history.compared));
    if history.conflicts.is_empty() {
        return;
    }
    for conflict in std::mem::take(&mut history.conflicts) {
        ledger.breach(Law::Prefix, None, at, conflict.process, || {
            let what = format!("the history applied up to {} is not the committed one", conflict.zxid);
            let digests = format!("digest {:016x} against {:016x}", conflict.digest, conflict.committed);
            (what, format!("{digests}; {}", history.summary()))
        });
    }
}
