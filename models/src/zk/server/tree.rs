//! `DataTree`: the znodes and sessions after a prefix of the history. Applying a transaction is pure and cannot fail.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::log::{Position, Proposal};
use crate::fingerprint::Fingerprint;
use crate::id::{SessionId, Zxid};
use crate::time::Span;
use crate::zk::protocol::{Data, OpResult, Path, Stat, Txn, TxnBody, WatchKind, ZkError};

/// A znode (`DataNode`).
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) data: Data,
    pub(super) czxid: Zxid,
    pub(super) mzxid: Zxid,
    pub(super) pzxid: Zxid,
    pub(super) version: i32,
    /// Grows by one per child created; clients see another number, see [`Node::stat`].
    pub(super) cversion: i32,
    pub(super) owner: SessionId,
    pub(super) children: BTreeSet<Path>,
    /// What it adds to [`DataTree::digest`].
    digest: u64,
}

impl Node {
    /// `DigestCalculator.calculateDigest`, over what replicas must agree on.
    fn seal(&mut self, path: &str) {
        self.digest = Fingerprint::of(&(path, &*self.data, self.version, self.owner));
    }

    /// What clients see (`DataNode.copyStat`).
    pub(super) fn stat(&self) -> Stat {
        let children = self.children.len() as u32;
        Stat {
            czxid: self.czxid,
            mzxid: self.mzxid,
            pzxid: self.pzxid,
            version: self.version,
            cversion: self.cversion.wrapping_mul(2).wrapping_sub(children as i32),
            ephemeral_owner: self.owner,
            num_children: children,
        }
    }
}

/// A watch table of the server: data and exist watches share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum WatchTable {
    Data,
    Child,
}

/// Something that watches react to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) path: Path,
    pub(super) kind: WatchKind,
    pub(super) table: WatchTable,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct DataTree {
    nodes: Arc<BTreeMap<Path, Node>>,
    ephemerals: Arc<BTreeMap<SessionId, BTreeSet<Path>>>,
    sessions: Arc<BTreeMap<SessionId, Span>>,
    /// `lastProcessedZxid`: the last transaction, or (e,0) once a leader of epoch e serves.
    last_processed: Zxid,
    /// The last transaction and the digest of all.
    applied: Position,
    bytes: u64,
    digest: u64,
}

impl Default for DataTree {
    /// The nodes that every tree begins with.
    fn default() -> Self {
        let mut nodes = BTreeMap::from([(Path::from("/"), Node::default())]);
        for (path, parent, name) in [
            ("/zookeeper", "/", "zookeeper"),
            ("/zookeeper/config", "/zookeeper", "config"),
            ("/zookeeper/quota", "/zookeeper", "quota"),
        ] {
            nodes.insert(path.into(), Node::default());
            nodes.get_mut(parent).expect("parents come first").children.insert(name.into());
        }
        Self {
            nodes: Arc::new(nodes),
            ephemerals: Arc::default(),
            sessions: Arc::default(),
            last_processed: Zxid::ZERO,
            applied: Position::default(),
            bytes: 0,
            digest: 0,
        }
    }
}

impl Hash for DataTree {
    /// The digest of the history stands for the content.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.last_processed.hash(state);
        self.applied.hash(state);
    }
}

impl DataTree {
    pub(super) fn last_processed(&self) -> Zxid {
        self.last_processed
    }

    /// An activated leader counts its NEWLEADER as processed; a SNAP tells its receiver so (`setlastProcessedZxid`).
    pub(super) fn set_last_processed(&mut self, zxid: Zxid) {
        self.last_processed = zxid;
    }

    pub(super) fn applied(&self) -> Position {
        self.applied
    }

    /// Digest of all znodes: path, data, version and owner. A sum over the nodes, so that a change costs one node
    /// (`DataTree.getTreeDigest`).
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// Roughly the size of a snapshot.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes + NODE_BYTES * self.nodes.len() as u64 + SESSION_BYTES * self.sessions.len() as u64
    }

    pub(super) fn node(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    pub(super) fn sessions(&self) -> &BTreeMap<SessionId, Span> {
        &self.sessions
    }

    pub(super) fn ephemerals_of(&self, session: SessionId) -> impl Iterator<Item = &Path> {
        self.ephemerals.get(&session).into_iter().flatten()
    }

    /// Nodes that the session owns, counted in the tree itself.
    pub(super) fn owned_by(&self, session: SessionId) -> u32 {
        self.nodes.values().filter(|node| node.owner == session).count() as u32
    }

    /// `processTxn`. What watches react to goes to `changes`, in the order of the events.
    pub(super) fn apply(&mut self, proposal: &Proposal, changes: &mut Vec<Change>) -> Result<OpResult, ZkError> {
        let txn = proposal.txn();
        self.last_processed = txn.zxid;
        self.applied = Position { zxid: txn.zxid, digest: proposal.chain(self.applied.digest) };
        match &txn.body {
            TxnBody::Multi(bodies) => {
                Ok(OpResult::Multi(bodies.iter().map(|body| self.apply_one(txn, body, changes)).collect()))
            }
            TxnBody::Error { multi, .. } if !multi.is_empty() => {
                Ok(OpResult::Multi(multi.iter().map(|error| Err(*error)).collect()))
            }
            body => self.apply_one(txn, body, changes),
        }
    }

    fn apply_one(&mut self, txn: &Txn, body: &TxnBody, changes: &mut Vec<Change>) -> Result<OpResult, ZkError> {
        match body {
            TxnBody::CreateSession { timeout, .. } => {
                Arc::make_mut(&mut self.sessions).insert(txn.session, *timeout);
                Ok(OpResult::Synced)
            }
            TxnBody::CloseSession { ephemerals } => {
                self.kill_session(txn, ephemerals, changes);
                Ok(OpResult::SessionClosed)
            }
            TxnBody::Create { path, data, ephemeral, parent_cversion } => {
                let owner = if *ephemeral { txn.session } else { SessionId(0) };
                let stat = self.create(txn.zxid, path, data, owner, *parent_cversion, changes);
                Ok(OpResult::Created { path: path.clone(), stat })
            }
            TxnBody::Delete { path } => {
                self.delete(txn.zxid, path, changes);
                Ok(OpResult::Deleted)
            }
            TxnBody::SetData { path, data, version } => {
                let mut stat = Stat::default();
                if let Some(node) = Arc::make_mut(&mut self.nodes).get_mut(path) {
                    self.bytes = self.bytes + data.len() as u64 - node.data.len() as u64;
                    node.data = data.clone();
                    node.version = *version;
                    node.mzxid = txn.zxid;
                    let before = node.digest;
                    node.seal(path);
                    self.digest = self.digest.wrapping_sub(before).wrapping_add(node.digest);
                    stat = node.stat();
                    changes.push(Change { path: path.clone(), kind: WatchKind::DataChanged, table: WatchTable::Data });
                }
                Ok(OpResult::Stat(stat))
            }
            TxnBody::Check { .. } => Ok(OpResult::Checked),
            TxnBody::Multi(_) => Err(ZkError::RuntimeInconsistency),
            TxnBody::Error { error, .. } => Err(*error),
        }
    }

    fn create(
        &mut self,
        zxid: Zxid,
        path: &Path,
        data: &Data,
        owner: SessionId,
        parent_cversion: i32,
        changes: &mut Vec<Change>,
    ) -> Stat {
        let mut node = Node { data: data.clone(), czxid: zxid, mzxid: zxid, pzxid: zxid, owner, ..Node::default() };
        let stat = node.stat();
        let Some((parent, name)) = split(path) else { return stat };
        node.seal(path);
        self.digest = self.digest.wrapping_add(node.digest);
        let nodes = Arc::make_mut(&mut self.nodes);
        // Replay over a tree that has the node already happens only when a defect made log and memory differ.
        match nodes.insert(path.clone(), node) {
            None => self.bytes += (path.len() + data.len()) as u64,
            Some(before) => self.digest = self.digest.wrapping_sub(before.digest),
        }
        if let Some(node) = nodes.get_mut(parent) {
            node.children.insert(name.into());
            if parent_cversion > node.cversion {
                node.cversion = parent_cversion;
                node.pzxid = zxid;
            }
        }
        if owner != SessionId(0) {
            Arc::make_mut(&mut self.ephemerals).entry(owner).or_default().insert(path.clone());
        }
        changes.push(Change { path: path.clone(), kind: WatchKind::Created, table: WatchTable::Data });
        changes.push(Change { path: parent.into(), kind: WatchKind::ChildrenChanged, table: WatchTable::Child });
        stat
    }

    fn delete(&mut self, zxid: Zxid, path: &Path, changes: &mut Vec<Change>) {
        let Some((parent, name)) = split(path) else { return };
        let nodes = Arc::make_mut(&mut self.nodes);
        let Some(node) = nodes.remove(path) else { return };
        self.bytes -= (path.len() + node.data.len()) as u64;
        self.digest = self.digest.wrapping_sub(node.digest);
        if let Some(parent) = nodes.get_mut(parent) {
            parent.children.remove(name);
            parent.pzxid = parent.pzxid.max(zxid);
        }
        if node.owner != SessionId(0) {
            let ephemerals = Arc::make_mut(&mut self.ephemerals);
            if let Some(paths) = ephemerals.get_mut(&node.owner) {
                paths.remove(path);
                if paths.is_empty() {
                    ephemerals.remove(&node.owner);
                }
            }
        }
        changes.push(Change { path: path.clone(), kind: WatchKind::Deleted, table: WatchTable::Data });
        changes.push(Change { path: path.clone(), kind: WatchKind::Deleted, table: WatchTable::Child });
        changes.push(Change { path: parent.into(), kind: WatchKind::ChildrenChanged, table: WatchTable::Child });
    }

    /// `DataTree.killSession`: what the transaction lists, and what the session owns here beyond that.
    fn kill_session(&mut self, txn: &Txn, listed: &[Path], changes: &mut Vec<Change>) {
        Arc::make_mut(&mut self.sessions).remove(&txn.session);
        let mut paths: BTreeSet<Path> = self.ephemerals.get(&txn.session).cloned().unwrap_or_default();
        paths.extend(listed.iter().filter(|p| self.nodes.get(*p).is_some_and(|n| n.owner == txn.session)).cloned());
        for path in &paths {
            self.delete(txn.zxid, path, changes);
        }
    }
}

/// Parent and name of an absolute path; nothing for `/` and for what is no path.
pub(super) fn split(path: &str) -> Option<(&str, &str)> {
    match path.rsplit_once('/')? {
        (_, "") => None,
        ("", name) => Some(("/", name)),
        (parent, name) => Some((parent, name)),
    }
}

/// A node without path and data in a snapshot: stat, ACL reference, lengths.
const NODE_BYTES: u64 = 80;
/// Id and timeout.
const SESSION_BYTES: u64 = 12;
