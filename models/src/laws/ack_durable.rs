//! Z-ACK-DURABLE: what a ZooKeeper server has acknowledged, by itself or with NEWLEADER, a crash does not take from it.
//!
//! It is judged when a crash comes: what an fsync has covered until then would survive a power loss, whatever happened to
//! survive this one. After a crash of the process alone it is judged by what the server finds on its disk.

use super::ledger::{Law, Ledger, Permit};
use super::views::Views;
use super::zk_disks::ZkDisk;
use crate::id::Zxid;

pub(super) const SOURCE: &str = "ZOOKEEPER-3911, ZOOKEEPER-4646; Remix (EuroSys '25), CommittedLogDurability";

/// Judges a crash of a server that leaves it its log up to `left`.
pub(super) fn judge(disk: &ZkDisk, left: Zxid, views: Views<'_>, ledger: &mut Ledger) {
    let acknowledged = disk.acknowledged;
    ledger.judged(Law::AckDurable, u64::from(acknowledged > Zxid::ZERO));
    if left < acknowledged {
        let permit = (!views.roster.facts.force_sync).then_some(Permit::NoForceSync);
        ledger.breach(Law::AckDurable, permit, views.at, views.process, || {
            let what =
                format!("{} acknowledged up to {acknowledged}, but is sure of {left} after a crash", views.process);
            (what, views.history.summary())
        });
    }
}
