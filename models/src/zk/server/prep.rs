//! `PrepRequestProcessor`: turns a request into a transaction, checked against the tree and everything still in flight.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::tree::{DataTree, Node, split};
use crate::id::{SessionId, Zxid};
use crate::zk::protocol::{ANY_VERSION, CreateMode, Op, Path, TxnBody, ZkError};

/// A node as it will be once everything in flight is applied (`ChangeRecord`).
#[derive(Clone, Debug, Hash)]
struct ChangeRecord {
    zxid: Zxid,
    exists: bool,
    version: i32,
    cversion: i32,
    owner: SessionId,
    children: usize,
}

impl ChangeRecord {
    fn of(node: &Node) -> Self {
        Self {
            zxid: Zxid::ZERO,
            exists: true,
            version: node.version,
            cversion: node.cversion,
            owner: node.owner,
            children: node.children.len(),
        }
    }
}

/// `outstandingChanges`.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Prep {
    by_path: BTreeMap<Path, ChangeRecord>,
    order: VecDeque<(Zxid, Path)>,
}

impl Prep {
    /// The transaction that a write becomes. It has no effect yet, only later requests see it. A request that fails
    /// becomes an error transaction.
    pub(super) fn prepare(&mut self, tree: &DataTree, zxid: Zxid, session: SessionId, op: &Op) -> TxnBody {
        let Op::Multi(ops) = op else {
            let mut touched = Vec::new();
            return match self.prepare_one(tree, zxid, session, op, &mut touched) {
                Ok(body) => body,
                Err(error) => TxnBody::Error { error, multi: Vec::new() },
            };
        };
        let mut touched = Vec::new();
        let mut bodies = Vec::with_capacity(ops.len());
        for op in ops {
            match self.prepare_one(tree, zxid, session, op, &mut touched) {
                Ok(body) => bodies.push(body),
                Err(error) => {
                    self.roll_back(touched);
                    let mut multi = vec![ZkError::RolledBack; bodies.len()];
                    multi.push(error);
                    multi.resize(ops.len(), ZkError::RuntimeInconsistency);
                    return TxnBody::Error { error, multi };
                }
            }
        }
        TxnBody::Multi(bodies)
    }

    /// Forgets what the tree knows by itself now that `zxid` is applied.
    pub(super) fn applied(&mut self, zxid: Zxid) {
        while let Some((at, path)) = self.order.front()
            && *at <= zxid
        {
            if self.by_path.get(path).is_some_and(|record| record.zxid == *at) {
                self.by_path.remove(path);
            }
            self.order.pop_front();
        }
    }

    /// The ephemeral nodes that the session will have.
    fn ephemerals(&self, tree: &DataTree, session: SessionId) -> Vec<Path> {
        let mut paths: BTreeSet<Path> = tree.ephemerals_of(session).cloned().collect();
        for (path, record) in &self.by_path {
            if !record.exists {
                paths.remove(path);
            } else if record.owner == session {
                paths.insert(path.clone());
            }
        }
        paths.into_iter().collect()
    }

    fn prepare_one(
        &mut self,
        tree: &DataTree,
        zxid: Zxid,
        session: SessionId,
        op: &Op,
        touched: &mut Vec<(Path, Option<ChangeRecord>)>,
    ) -> Result<TxnBody, ZkError> {
        match op {
            Op::Create { path, data, mode } => {
                let (parent, _) = split(path).ok_or(ZkError::NoNode)?;
                let mut above = self.record(tree, parent)?;
                let path: Path = match mode {
                    CreateMode::PersistentSequential => format!("{path}{:010}", above.cversion).into(),
                    CreateMode::Persistent | CreateMode::Ephemeral => path.clone(),
                };
                if self.record(tree, &path).is_ok() {
                    return Err(ZkError::NodeExists);
                }
                if above.owner != SessionId(0) {
                    return Err(ZkError::NoChildrenForEphemerals);
                }
                above.cversion += 1;
                above.children += 1;
                let parent_cversion = above.cversion;
                let parent = parent.into();
                self.change(zxid, &parent, above, touched);
                let ephemeral = *mode == CreateMode::Ephemeral;
                let owner = if ephemeral { session } else { SessionId(0) };
                let record = ChangeRecord { zxid, exists: true, version: 0, cversion: 0, owner, children: 0 };
                self.change(zxid, &path, record, touched);
                Ok(TxnBody::Create { path, data: data.clone(), ephemeral, parent_cversion })
            }
            Op::Delete { path, version } => {
                let (parent, _) = split(path).ok_or(ZkError::NoNode)?;
                let mut above = self.record(tree, parent)?;
                let mut record = self.record(tree, path)?;
                check_version(&record, *version)?;
                if record.children > 0 {
                    return Err(ZkError::NotEmpty);
                }
                above.children = above.children.saturating_sub(1);
                self.change(zxid, &parent.into(), above, touched);
                record.exists = false;
                self.change(zxid, path, record, touched);
                Ok(TxnBody::Delete { path: path.clone() })
            }
            Op::SetData { path, data, version } => {
                let mut record = self.record(tree, path)?;
                check_version(&record, *version)?;
                record.version = record.version.wrapping_add(1);
                let version = record.version;
                self.change(zxid, path, record, touched);
                Ok(TxnBody::SetData { path: path.clone(), data: data.clone(), version })
            }
            Op::Check { path, version } => {
                check_version(&self.record(tree, path)?, *version)?;
                Ok(TxnBody::Check { path: path.clone() })
            }
            Op::CloseSession => {
                let ephemerals = self.ephemerals(tree, session);
                for path in &ephemerals {
                    self.close_one(tree, zxid, path, touched);
                }
                Ok(TxnBody::CloseSession { ephemerals })
            }
            // Not accepted by the server inside a multi, nor as a write of its own.
            Op::Exists { .. } | Op::GetData { .. } | Op::GetChildren { .. } | Op::Multi(_) | Op::Sync { .. } => {
                Err(ZkError::RuntimeInconsistency)
            }
        }
    }

    fn close_one(&mut self, tree: &DataTree, zxid: Zxid, path: &Path, touched: &mut Vec<(Path, Option<ChangeRecord>)>) {
        if let Some((parent, _)) = split(path)
            && let Ok(mut above) = self.record(tree, parent)
        {
            above.children = above.children.saturating_sub(1);
            self.change(zxid, &parent.into(), above, touched);
        }
        let gone = ChangeRecord { zxid, exists: false, version: 0, cversion: 0, owner: SessionId(0), children: 0 };
        self.change(zxid, path, gone, touched);
    }

    /// `getRecordForPath`.
    fn record(&self, tree: &DataTree, path: &str) -> Result<ChangeRecord, ZkError> {
        let record = match self.by_path.get(path) {
            Some(record) => Some(record.clone()),
            None => tree.node(path).map(ChangeRecord::of),
        };
        record.filter(|record| record.exists).ok_or(ZkError::NoNode)
    }

    fn change(
        &mut self,
        zxid: Zxid,
        path: &Path,
        record: ChangeRecord,
        touched: &mut Vec<(Path, Option<ChangeRecord>)>,
    ) {
        let before = self.by_path.insert(path.clone(), ChangeRecord { zxid, ..record });
        touched.push((path.clone(), before));
        self.order.push_back((zxid, path.clone()));
    }

    /// `rollbackPendingChanges`.
    fn roll_back(&mut self, touched: Vec<(Path, Option<ChangeRecord>)>) {
        for (path, before) in touched.into_iter().rev() {
            self.order.pop_back();
            match before {
                Some(record) => self.by_path.insert(path, record),
                None => self.by_path.remove(&path),
            };
        }
    }
}

fn check_version(record: &ChangeRecord, expected: i32) -> Result<(), ZkError> {
    if expected == ANY_VERSION || expected == record.version { Ok(()) } else { Err(ZkError::BadVersion) }
}
