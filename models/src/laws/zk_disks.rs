//! What the disk of each ZooKeeper server holds, against what the server has vouched for.

use crate::id::Zxid;

/// What one server's disk holds and what depends on it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ZkDisk {
    /// An fsync has covered everything up to here.
    pub(super) durable: Zxid,
    /// The server has acknowledged everything up to here.
    pub(super) acknowledged: Zxid,
    /// `currentEpoch`, and the end of the history that its leader gave for it.
    pub(super) epoch: (u32, Zxid),
}

impl ZkDisk {
    pub(super) fn on_log(&mut self, zxid: Zxid) {
        self.durable = self.durable.max(zxid);
    }

    pub(super) fn on_ack(&mut self, history: Zxid) {
        self.acknowledged = self.acknowledged.max(history);
    }

    pub(super) fn on_epoch(&mut self, epoch: u32, history: Zxid) {
        self.epoch = (epoch, history);
    }

    /// What was cut is owed no longer.
    pub(super) fn on_truncate(&mut self, zxid: Zxid) {
        self.durable = self.durable.min(zxid);
        self.owe_no_more_than(zxid);
    }

    /// The server has started and found `zxid` at the end of its log.
    pub(super) fn on_loaded(&mut self, zxid: Zxid, durable: Zxid) {
        self.durable = durable;
        self.owe_no_more_than(zxid);
    }

    /// What is lost has been told.
    pub(super) fn owe_no_more_than(&mut self, zxid: Zxid) {
        self.acknowledged = self.acknowledged.min(zxid);
        self.epoch.1 = self.epoch.1.min(zxid);
    }
}
