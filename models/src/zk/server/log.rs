//! The transaction log: an append-only list of proposals with a running digest, in chunks that clones share.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::fingerprint::Fingerprint;
use crate::id::Zxid;
use crate::zk::protocol::Txn;

/// A transaction with what `TxnHeader` adds to it: the number that the client gave its request (`cxid`).
#[derive(Clone, Debug)]
pub struct Proposal {
    txn: Arc<Txn>,
    xid: i32,
    content: u64,
}

impl Proposal {
    /// Seals a transaction.
    pub fn new(txn: Txn, xid: i32) -> Self {
        let content = Fingerprint::of(&txn);
        Self { txn: Arc::new(txn), xid, content }
    }

    /// The transaction.
    pub fn txn(&self) -> &Arc<Txn> {
        &self.txn
    }

    /// Its place in the order.
    pub fn zxid(&self) -> Zxid {
        self.txn.zxid
    }

    /// The client's number of the request; 0 if no client waits for it.
    pub fn xid(&self) -> i32 {
        self.xid
    }

    /// Digest of the transaction alone.
    pub(super) fn content(&self) -> u64 {
        self.content
    }

    /// Continues the digest of a history with this transaction.
    pub(super) fn chain(&self, digest: u64) -> u64 {
        let mut fingerprint = Fingerprint::from_value(digest);
        fingerprint.fold(self.content);
        fingerprint.value()
    }
}

impl PartialEq for Proposal {
    fn eq(&self, other: &Self) -> bool {
        self.content == other.content && self.xid == other.xid
    }
}

impl Eq for Proposal {}

impl Hash for Proposal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.content.hash(state);
        self.xid.hash(state);
    }
}

/// A point of a history: the last transaction and the digest of everything up to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Position {
    pub(super) zxid: Zxid,
    pub(super) digest: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    proposal: Proposal,
    digest: u64,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    chunks: Vec<Arc<Vec<Entry>>>,
    len: usize,
}

impl Log {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, index: usize) -> &Proposal {
        &self.entry(index).proposal
    }

    fn entry(&self, index: usize) -> &Entry {
        &self.chunks[index / CHUNK][index % CHUNK]
    }

    /// The point after the first `len` transactions.
    pub(super) fn position(&self, len: usize) -> Position {
        match len {
            0 => Position::default(),
            _ => Position { zxid: self.get(len - 1).zxid(), digest: self.entry(len - 1).digest },
        }
    }

    /// The point after the last transaction.
    pub(super) fn end(&self) -> Position {
        self.position(self.len)
    }

    pub(super) fn push(&mut self, proposal: Proposal) {
        let digest = proposal.chain(self.end().digest);
        if self.len.is_multiple_of(CHUNK) {
            self.chunks.push(Arc::new(Vec::with_capacity(CHUNK)));
        }
        let tail = self.chunks.last_mut().expect("a chunk was pushed if there was none with room");
        Arc::make_mut(tail).push(Entry { proposal, digest });
        self.len += 1;
    }

    /// How many transactions there are up to `zxid`, itself included.
    pub(super) fn count_through(&self, zxid: Zxid) -> usize {
        let full = self.chunks.partition_point(|chunk| chunk[0].proposal.zxid() <= zxid);
        match full {
            0 => 0,
            _ => (full - 1) * CHUNK + self.chunks[full - 1].partition_point(|entry| entry.proposal.zxid() <= zxid),
        }
    }

    /// Keeps the first `len` transactions.
    pub(super) fn truncate(&mut self, len: usize) {
        if len >= self.len {
            return;
        }
        self.chunks.truncate(len.div_ceil(CHUNK));
        if !len.is_multiple_of(CHUNK)
            && let Some(tail) = self.chunks.last_mut()
        {
            Arc::make_mut(tail).truncate(len % CHUNK);
        }
        self.len = len;
    }

    /// How many transactions two logs have in common from the start. The digests make it a binary search.
    pub(super) fn common_prefix(&self, other: &Self) -> usize {
        let (mut low, mut high) = (0, self.len.min(other.len));
        while low < high {
            let middle = (low + high).div_ceil(2);
            if self.position(middle) == other.position(middle) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        low
    }
}

impl Hash for Log {
    /// The digest stands for the content.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.len.hash(state);
        self.end().hash(state);
    }
}

/// Large enough that a clone is a few pointers, small enough that the copy of a shared tail is cheap.
const CHUNK: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SessionId;
    use crate::time::Instant;
    use crate::zk::protocol::{TxnBody, ZkError};

    fn log(zxids: impl IntoIterator<Item = (u32, u32)>) -> Log {
        let mut log = Log::default();
        for (epoch, counter) in zxids {
            let body = TxnBody::Error { error: ZkError::NoNode, multi: Vec::new() };
            let txn = Txn { zxid: Zxid::new(epoch, counter), session: SessionId(1), time: Instant::ZERO, body };
            log.push(Proposal::new(txn, 0));
        }
        log
    }

    #[test]
    fn a_cut_and_regrown_log_shares_exactly_the_common_prefix() {
        for keep in [0, 1, 255, 256, 257, 600] {
            let old = log((1..=600).map(|n| (1, n)));
            let mut new = old.clone();
            assert_eq!(old.count_through(Zxid::new(1, keep)), keep as usize);
            new.truncate(keep as usize);
            assert_eq!(new.len(), keep as usize);
            (1..=300).for_each(|n| new.push(log([(2, n)]).get(0).clone()));
            assert_eq!(old.common_prefix(&new), keep as usize, "kept {keep}");
            assert_eq!(new.count_through(Zxid::new(2, 1)), keep as usize + 1);
            assert_eq!(old.len(), 600, "the original is untouched");
        }
    }
}
