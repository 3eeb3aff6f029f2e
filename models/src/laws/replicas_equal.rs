//! Z-REPLICAS-EQUAL: two ZooKeeper servers that applied the same last transaction have equal trees.

use super::ledger::{Law, Ledger};
use super::pages::Pages;
use super::views::Views;
use crate::id::Zxid;

pub(super) const SOURCE: &str = "ZOOKEEPER-3701; ZOOKEEPER-3114 (digest of the tree)";

/// The trees that were told of.
#[derive(Clone, Debug, Default)]
pub(super) struct ReplicasEqual {
    /// Digest of the first tree told of at each zxid; 0 where there is none.
    trees: Pages<u64>,
}

impl ReplicasEqual {
    /// Judges that a server's tree has this digest after `zxid`.
    pub(super) fn judge(&mut self, zxid: Zxid, tree: u64, views: Views<'_>, ledger: &mut Ledger) {
        let tree = tree.max(1);
        let known = self.trees.entry(zxid.0);
        if *known == 0 {
            *known = tree;
            return;
        }
        ledger.judged(Law::ReplicasEqual, 1);
        if *known != tree {
            ledger.breach(Law::ReplicasEqual, None, views.at, views.process, || {
                let what = format!("the tree of {} after {zxid} is not that of another server", views.process);
                (what, format!("digest {tree:016x} against {known:016x}; {}", views.history.summary()))
            });
        }
    }
}
