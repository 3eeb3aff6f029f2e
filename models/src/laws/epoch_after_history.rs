//! Z-EPOCH-AFTER-HISTORY: a ZooKeeper server that has stored an epoch holds the committed history with which that epoch
//! began; else it would win an election by the epoch alone.
//!
//! It is judged when a crash comes, as Z-ACK-DURABLE is.

use super::ledger::{Law, Ledger, Permit};
use super::views::Views;
use super::zk_disks::ZkDisk;
use crate::id::Zxid;

pub(super) const SOURCE: &str = "ZOOKEEPER-4643";

/// Judges a crash of a server that leaves it its log up to `left`.
pub(super) fn judge(disk: &ZkDisk, left: Zxid, views: Views<'_>, ledger: &mut Ledger) {
    let (epoch, history) = disk.epoch;
    ledger.judged(Law::EpochAfterHistory, u64::from(epoch > 0));
    if left < history {
        let permit = (!views.roster.facts.force_sync).then_some(Permit::NoForceSync);
        ledger.breach(Law::EpochAfterHistory, permit, views.at, views.process, || {
            let what = format!(
                "{} has stored epoch {epoch}, whose history goes up to {history}, but is sure of {left} after a crash",
                views.process
            );
            (what, views.history.summary())
        });
    }
}
