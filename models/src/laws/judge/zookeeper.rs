//! The laws of ZooKeeper's servers, and what each of their observations means to them.

use super::Judge;
use crate::id::{ProcessId, Zxid};
use crate::laws::integrity::Integrity;
use crate::laws::leadership::Leadership;
use crate::laws::read_session_order::ReadSessionOrder;
use crate::laws::replicas_equal::ReplicasEqual;
use crate::laws::views::Views;
use crate::laws::zk_deliveries::ZkDeliveries;
use crate::laws::zk_disks::ZkDisk;
use crate::laws::zk_nodes::{Misfit, ZkNodes};
use crate::laws::{
    ack_durable, agreement, cas, committed_monotonic, epoch_after_history, global_primary_order, honest_zxid,
    legal_message, local_primary_order, primary_integrity, session_safety, total_order, version_agreement,
};
use crate::observation::{DownCause, Observation, Observed, ZkRole};
use crate::time::Instant;
use crate::zk::protocol::{Txn, TxnBody};

/// What these laws remember.
#[derive(Clone, Debug)]
pub(super) struct ZooKeeperLaws {
    leadership: Leadership,
    integrity: Integrity,
    replicas_equal: ReplicasEqual,
    read_session_order: ReadSessionOrder,
    deliveries: ZkDeliveries,
    disks: Vec<ZkDisk>,
    nodes: ZkNodes,
    /// Taken and given back at each use, to save allocations.
    misfits: Vec<Misfit>,
}

impl ZooKeeperLaws {
    pub(super) fn new(servers: usize) -> Self {
        Self {
            leadership: Leadership::default(),
            integrity: Integrity::default(),
            replicas_equal: ReplicasEqual::default(),
            read_session_order: ReadSessionOrder::default(),
            deliveries: ZkDeliveries::new(servers),
            disks: vec![ZkDisk::default(); servers],
            nodes: ZkNodes::default(),
            misfits: Vec::new(),
        }
    }
}

impl Judge {
    /// What a server did to a transaction, or what a client was told.
    pub(super) fn on_ensemble(&mut self, observed: &Observed) {
        let (at, process) = (observed.at, observed.process);
        match observed.what {
            Observation::ZkPropose { zxid, content } => self.zookeeper.integrity.on_propose(zxid, content),
            Observation::ZkReply { session, zxid } => {
                let views = views!(self, at, process);
                self.zookeeper.read_session_order.judge(session, zxid, views, &mut self.ledger);
            }
            Observation::ZkSessionExpiring { session, timeout, silent } => {
                session_safety::on_expiring(session, timeout, silent, views!(self, at, process), &mut self.ledger);
            }
            Observation::ZkElection { vote, applied, logged } => {
                honest_zxid::judge(vote, applied, logged, views!(self, at, process), &mut self.ledger);
            }
            Observation::ZkIllegalMessage { ref what } => {
                legal_message::on_illegal(what, views!(self, at, process), &mut self.ledger);
            }
            _ => {
                if let Some(server) = self.roster.server(process) {
                    self.on_zk_disk(observed, server);
                }
            }
        }
    }

    fn on_zk_disk(&mut self, observed: &Observed, server: usize) {
        let (at, process) = (observed.at, observed.process);
        match observed.what {
            Observation::ZkLog { zxid, .. } => self.zookeeper.disks[server].on_log(zxid),
            Observation::ZkAck { history, .. } => self.zookeeper.disks[server].on_ack(history),
            Observation::ZkEpochEntered { epoch, history } => self.zookeeper.disks[server].on_epoch(epoch, history),
            Observation::ZkTruncate { epoch, from, zxid } => {
                let views = views!(self, at, process);
                let delivered = views.history.delivered_by(server);
                committed_monotonic::on_truncate((from, zxid), epoch, delivered, views, &mut self.ledger);
                self.zookeeper.disks[server].on_truncate(zxid);
            }
            Observation::ZkLoaded { zxid, durable } => {
                self.on_zk_crash(server, zxid, at, process);
                self.zookeeper.disks[server].on_loaded(zxid, durable);
            }
            _ => {}
        }
    }

    /// A server went down.
    pub(super) fn on_zk_down(&mut self, server: usize, cause: &DownCause, at: Instant, process: ProcessId) {
        if *cause == DownCause::HostCrash {
            let durable = self.zookeeper.disks[server].durable;
            self.on_zk_crash(server, durable, at, process);
            self.zookeeper.disks[server].owe_no_more_than(durable);
        }
    }

    fn on_zk_crash(&mut self, server: usize, left: Zxid, at: Instant, process: ProcessId) {
        let views = views!(self, at, process);
        let disk = &self.zookeeper.disks[server];
        ack_durable::judge(disk, left, views, &mut self.ledger);
        epoch_after_history::judge(disk, left, views, &mut self.ledger);
    }

    /// A server's role changed; its history is told before.
    pub(super) fn on_zk_leading(&mut self, server: usize, role: ZkRole, epoch: u32, at: Instant, process: ProcessId) {
        let views = views!(self, at, process);
        if matches!(role, ZkRole::Synchronizing | ZkRole::Leading) {
            self.zookeeper.leadership.on_leading(epoch, views, &mut self.ledger);
        }
        if role == ZkRole::Leading {
            primary_integrity::judge(epoch, self.zookeeper.deliveries.last(server), views, &mut self.ledger);
        }
        if matches!(role, ZkRole::Leading | ZkRole::Following) {
            legal_message::on_serving(&mut self.ledger);
        }
    }

    pub(super) fn on_zk_reset(&mut self, server: usize, zxid: Zxid) {
        self.zookeeper.deliveries.on_reset(server, zxid);
    }

    /// A server delivers a transaction; the history does not know of it yet.
    pub(super) fn on_delivery(
        &mut self,
        server: usize,
        zxid: Zxid,
        tree: Option<u64>,
        at: Instant,
        process: ProcessId,
    ) {
        let views = views!(self, at, process);
        let delivery = self.zookeeper.deliveries.on_apply(server, zxid, &self.history);
        local_primary_order::judge(&delivery, views, &mut self.ledger);
        global_primary_order::judge(&delivery, views, &mut self.ledger);
        total_order::judge(&delivery, views, &mut self.ledger);
        let other_alone = self.zookeeper.deliveries.other_alone(server);
        agreement::judge(&delivery, other_alone, views, &mut self.ledger);
        if let Some(tree) = tree {
            self.zookeeper.replicas_equal.judge(zxid, tree, views, &mut self.ledger);
        }
    }

    /// A server delivered a transaction that no committed one equals, at least not yet.
    pub(super) fn on_unequalled(&mut self, txn: &Txn, at: Instant, process: ProcessId) {
        let views = views!(self, at, process);
        self.zookeeper.integrity.judge(txn, views, &mut self.ledger);
        if self.history.is_stray(txn.zxid) {
            let mut misfits = std::mem::take(&mut self.zookeeper.misfits);
            self.zookeeper.nodes.compare(&txn.body, &mut misfits);
            version_agreement::judge(txn.zxid, 1, &misfits, views, &mut self.ledger);
            misfits.clear();
            self.zookeeper.misfits = misfits;
        }
    }

    /// The next transaction is committed. `ended`: its session had ended before.
    pub(super) fn on_committed(&mut self, txn: &Txn, ended: bool, at: Instant, process: ProcessId) {
        let views = views!(self, at, process);
        if ended {
            session_safety::on_ended(txn, views, &mut self.ledger);
        }
        if matches!(txn.body, TxnBody::Error { .. } | TxnBody::CreateSession { .. }) {
            return;
        }
        let mut misfits = std::mem::take(&mut self.zookeeper.misfits);
        let writes = self.zookeeper.nodes.apply(txn, &mut misfits);
        cas::judge(txn.zxid, writes, &misfits, views, &mut self.ledger);
        version_agreement::judge(txn.zxid, writes, &misfits, views, &mut self.ledger);
        misfits.clear();
        self.zookeeper.misfits = misfits;
    }
}
