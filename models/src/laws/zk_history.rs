//! Which transactions ZooKeeper has committed, as far as observations tell.
//!
//! A transaction counts as committed once a leader counted a quorum for it or for a later one, or once a leader was
//! established whose log holds it: a quorum then has that log on disk (NEWLEADER acknowledged). Being applied by a server
//! is not enough, since a server that fast-forwards its tree, or restarts, also applies an uncommitted tail of its log; and
//! a tail that the next established leader does not hold is dead, however late a server still applies it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::{ProcessId, Zxid};
use crate::shared_log::SharedLog;
use crate::zk::protocol::Txn;

/// The committed history.
#[derive(Clone, Debug, Default)]
pub(super) struct ZkHistory {
    /// All up to here is committed, unless it is dead.
    bound: Zxid,
    /// Largest zxid for which a leader of the epoch counted a quorum, by epoch.
    commits: Vec<(u32, Zxid)>,
    /// Established leaders: their epoch and the end of the history that they began with, by epoch.
    established: Vec<(u32, Zxid)>,
    /// Committed transactions that were applied somewhere, with the digest of all up to each.
    committed: SharedLog<(Zxid, u64)>,
    /// Applied somewhere, not yet committed.
    tail: BTreeMap<Zxid, Tail>,
    /// Per server the index in `committed` at which its next transaction is expected.
    cursors: Vec<usize>,
    /// Committed transactions that nobody took over yet, in order.
    pub(super) ready: Vec<Arc<Txn>>,
    /// Comparisons of a server's digest with the committed one since the last look.
    pub(super) compared: u64,
    /// Those that failed.
    pub(super) conflicts: Vec<Conflict>,
}

#[derive(Clone, Debug)]
struct Tail {
    txn: Arc<Txn>,
    applied: Vec<(ProcessId, u64)>,
}

/// A server applied another history than the committed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Conflict {
    pub(super) process: ProcessId,
    pub(super) zxid: Zxid,
    pub(super) digest: u64,
    pub(super) committed: u64,
}

impl ZkHistory {
    pub(super) fn new(servers: usize) -> Self {
        Self { cursors: vec![0; servers], ..Self::default() }
    }

    /// The largest zxid committed by a leader of an epoch below `epoch`.
    pub(super) fn committed_before(&self, epoch: u32) -> Option<Zxid> {
        self.commits.iter().rev().find(|(e, _)| *e < epoch).map(|(_, zxid)| *zxid)
    }

    /// The largest zxid committed by the leader of `epoch`.
    pub(super) fn committed_in(&self, epoch: u32) -> Option<Zxid> {
        self.commits.iter().rev().find(|(e, _)| *e == epoch).map(|(_, zxid)| *zxid)
    }

    /// The last transaction before `zxid` that is committed and delivered, or delivered and may become so; and whether
    /// `zxid` itself is.
    pub(super) fn place(&self, zxid: Zxid) -> (Zxid, bool) {
        let index = self.committed.partition_point(|_, (z, _)| z < zxid);
        let before = index.checked_sub(1).and_then(|at| self.committed.get(at)).map_or(Zxid::ZERO, |(z, _)| z);
        let known = self.committed.get(index).is_some_and(|(z, _)| z == zxid) || self.tail.contains_key(&zxid);
        let tail = self.tail.range(..zxid).next_back().map_or(Zxid::ZERO, |(z, _)| *z);
        (before.max(tail), known)
    }

    /// The last transaction of an epoch below `epoch` that is committed and delivered.
    pub(super) fn delivered_before(&self, epoch: u32) -> Option<Zxid> {
        let index = self.committed.partition_point(|_, (z, _)| z.epoch() < epoch);
        self.committed.get(index.checked_sub(1)?).map(|(z, _)| z)
    }

    /// The first transaction after `zxid` that is committed and delivered.
    pub(super) fn delivered_after(&self, zxid: Zxid) -> Option<Zxid> {
        self.committed.get(self.committed.partition_point(|_, (z, _)| z <= zxid)).map(|(z, _)| z)
    }

    /// The last transaction that server number `server` has delivered and that is committed, as far as they were compared.
    pub(super) fn delivered_by(&self, server: usize) -> Option<Zxid> {
        self.committed.get(self.cursors[server].checked_sub(1)?).map(|(z, _)| z)
    }

    /// Whether `zxid` is not committed and never will be.
    pub(super) fn is_stray(&self, zxid: Zxid) -> bool {
        let passed = self.committed.last().is_some_and(|(last, _)| zxid < last);
        self.is_dead(zxid) || passed && !self.place(zxid).1
    }

    /// The first established leader after `epoch`, with the end of the history that it began with.
    pub(super) fn established_after(&self, epoch: u32) -> Option<(u32, Zxid)> {
        self.established.iter().find(|(e, _)| *e > epoch).copied()
    }

    /// Epochs and ends, for the state of a violation.
    pub(super) fn summary(&self) -> String {
        let established: Vec<String> =
            self.established.iter().map(|(e, last)| format!("epoch {e} from {last}")).collect();
        format!("committed up to {}, established leaders: {}", self.bound, established.join(", "))
    }

    /// A leader of `epoch` counted a quorum for `zxid`.
    pub(super) fn on_commit(&mut self, zxid: Zxid, epoch: u32) {
        match self.commits.iter_mut().rev().find(|(e, _)| *e <= epoch) {
            Some((e, largest)) if *e == epoch => *largest = zxid.max(*largest),
            _ => {
                let index = self.commits.partition_point(|(e, _)| *e < epoch);
                self.commits.insert(index, (epoch, zxid));
            }
        }
        self.advance(zxid);
    }

    /// A server that leads in `epoch` began to serve with a log up to `last`.
    pub(super) fn on_established(&mut self, epoch: u32, last: Zxid) {
        let index = self.established.partition_point(|(e, _)| *e < epoch);
        if self.established.get(index).is_none_or(|(e, _)| *e != epoch) {
            self.established.insert(index, (epoch, last));
        }
        let dead: Vec<Zxid> = self.tail.keys().copied().filter(|zxid| self.is_dead(*zxid)).collect();
        for zxid in dead {
            self.tail.remove(&zxid);
        }
        self.advance(last);
    }

    /// Server number `server`, running as `process`, applied `txn`; `digest` covers all that it has applied. Returns
    /// whether that equals what another server applied.
    pub(super) fn on_apply(&mut self, server: usize, process: ProcessId, txn: &Arc<Txn>, digest: u64) -> bool {
        let zxid = txn.zxid;
        if let Some(equal) = self.compare(server, process, zxid, digest) {
            return equal;
        }
        if self.is_dead(zxid) || self.committed.last().is_some_and(|(last, _)| zxid < last) {
            return false;
        }
        if zxid > self.bound {
            let tail = self.tail.entry(zxid).or_insert_with(|| Tail { txn: Arc::clone(txn), applied: Vec::new() });
            tail.applied.push((process, digest));
            return false;
        }
        self.committed.push((zxid, digest));
        self.cursors[server] = self.committed.len();
        self.ready.push(Arc::clone(txn));
        false
    }

    /// Server number `server`, running as `process`, replaced its tree by one that ends at `zxid`.
    pub(super) fn on_reset(&mut self, server: usize, process: ProcessId, zxid: Zxid, digest: u64) {
        self.compare(server, process, zxid, digest);
    }

    /// Compares with the committed history; nothing if `zxid` is not in it.
    fn compare(&mut self, server: usize, process: ProcessId, zxid: Zxid, digest: u64) -> Option<bool> {
        let expected = self.cursors[server];
        let index = match self.committed.get(expected) {
            Some((next, _)) if next == zxid => expected,
            _ => self.committed.partition_point(|_, (z, _)| z < zxid),
        };
        let (_, committed) = self.committed.get(index).filter(|(z, _)| *z == zxid)?;
        self.cursors[server] = index + 1;
        self.note(process, zxid, digest, committed);
        Some(digest == committed)
    }

    fn note(&mut self, process: ProcessId, zxid: Zxid, digest: u64, committed: u64) {
        self.compared += 1;
        if digest != committed {
            self.conflicts.push(Conflict { process, zxid, digest, committed });
        }
    }

    fn is_dead(&self, zxid: Zxid) -> bool {
        self.established_after(zxid.epoch()).is_some_and(|(_, last)| zxid > last)
    }

    fn advance(&mut self, to: Zxid) {
        self.bound = self.bound.max(to);
        while let Some(entry) = self.tail.first_entry()
            && *entry.key() <= self.bound
        {
            let (zxid, tail) = entry.remove_entry();
            let Some(((_, digest), others)) = tail.applied.split_first() else { continue };
            self.committed.push((zxid, *digest));
            self.ready.push(tail.txn);
            for (process, other) in others {
                self.note(*process, zxid, *other, *digest);
            }
        }
    }
}
