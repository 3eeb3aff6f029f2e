//! In which order each ZooKeeper server delivered transactions, against what other servers delivered before them.
//!
//! Delivered is what a server applied to its tree and has told. What it applies ahead of the commits while it elects is told
//! once it serves, so that a tail which its new leader does not hold is never delivered.

use super::zk_history::ZkHistory;
use crate::id::Zxid;

/// A delivery with what lies before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) zxid: Zxid,
    /// What the same server delivered before it.
    pub(super) prev: Zxid,
    /// Whether another server had delivered it.
    pub(super) known: bool,
    /// The last transaction before it that others delivered and this server did not.
    pub(super) lacks: Option<Zxid>,
    /// A transaction that this server delivered before it, and others, who are further, did not.
    pub(super) alone: Option<Zxid>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Server {
    last: Zxid,
    lacks: Option<Zxid>,
    alone: Option<Zxid>,
}

/// The deliveries of all servers.
#[derive(Clone, Debug)]
pub(super) struct ZkDeliveries {
    servers: Vec<Server>,
    /// Whether any server lacks something, or is alone with something: only then is an orderly delivery worth a look.
    parted: bool,
}

impl ZkDeliveries {
    pub(super) fn new(servers: usize) -> Self {
        Self { servers: vec![Server::default(); servers], parted: false }
    }

    /// What server number `server` delivered last.
    pub(super) fn last(&self, server: usize) -> Zxid {
        self.servers[server].last
    }

    /// A server other than `server` that is alone with a transaction, and the transaction.
    pub(super) fn other_alone(&self, server: usize) -> Option<Zxid> {
        let others = self.servers.iter().enumerate().filter(|(other, _)| *other != server);
        others.filter(|_| self.parted).find_map(|(_, other)| other.alone)
    }

    /// Server number `server` delivers `zxid`, which `history` does not know of yet.
    pub(super) fn on_apply(&mut self, server: usize, zxid: Zxid, history: &ZkHistory) -> Delivery {
        let state = &mut self.servers[server];
        let prev = std::mem::replace(&mut state.last, zxid);
        // Zxids of a leader are consecutive: nothing can lie in between.
        if !self.parted && zxid.counter() > 1 && prev.next() == zxid {
            return Delivery { zxid, prev, known: false, lacks: None, alone: None };
        }
        let (before, known) = history.place(zxid);
        if prev < before {
            state.lacks = Some(before);
        } else if before < prev && prev < zxid {
            state.alone = Some(prev);
        }
        let Server { lacks, alone, .. } = *state;
        self.parted |= lacks.is_some() || alone.is_some();
        Delivery { zxid, prev, known, lacks, alone }
    }

    /// The server's tree was replaced by one that ends at `zxid`.
    pub(super) fn on_reset(&mut self, server: usize, zxid: Zxid) {
        self.servers[server] = Server { last: zxid, ..Server::default() };
    }
}
