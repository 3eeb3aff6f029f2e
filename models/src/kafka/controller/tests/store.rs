//! A tree with versions, sessions and one-shot watches, as far as the controller can tell.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{SessionId, Zxid};
use crate::zk::protocol::{ANY_VERSION, CreateMode, Data, Op, OpResult, Path, Stat, WatchKind, ZkError};

#[derive(Clone, Default)]
pub(super) struct Store {
    pub(super) nodes: BTreeMap<Path, (Data, Stat)>,
    zxid: u64,
    data_watches: BTreeSet<(Path, i32)>,
    child_watches: BTreeSet<(Path, i32)>,
    /// Watches that fired: broker, path, what happened.
    pub(super) fired: Vec<(i32, Path, WatchKind)>,
}

impl Store {
    /// Writes a node by hand.
    pub(super) fn put(&mut self, path: &str, data: &str) {
        let op = if self.nodes.contains_key(path) {
            Op::SetData { path: path.into(), data: data.into(), version: ANY_VERSION }
        } else {
            Op::Create { path: path.into(), data: data.into(), mode: CreateMode::Persistent }
        };
        self.apply(0, SessionId(0), &op).1.expect("it can be written");
    }

    /// Deletes a node by hand.
    pub(super) fn remove(&mut self, path: &str) {
        let op = Op::Delete { path: path.into(), version: ANY_VERSION };
        self.apply(0, SessionId(0), &op).1.expect("it can be deleted");
    }

    pub(super) fn close_session(&mut self, session: SessionId) {
        let owned = |(_, (_, stat)): &(&Path, &(Data, Stat))| stat.ephemeral_owner == session;
        let paths: Vec<Path> = self.nodes.iter().filter(owned).map(|(path, _)| path.clone()).collect();
        paths.iter().for_each(|path| self.remove(path));
    }

    pub(super) fn forget_watches(&mut self, broker: i32) {
        self.data_watches.retain(|(_, id)| *id != broker);
        self.child_watches.retain(|(_, id)| *id != broker);
    }

    /// Carries out one operation of a broker's session.
    pub(super) fn apply(&mut self, broker: i32, session: SessionId, op: &Op) -> (Zxid, Result<OpResult, ZkError>) {
        if op.is_write() {
            self.zxid += 1;
        }
        let result = match op {
            Op::Multi(ops) => Ok(OpResult::Multi(self.multi(broker, session, ops))),
            op => self.single(broker, session, op),
        };
        (Zxid(self.zxid), result)
    }

    fn multi(&mut self, broker: i32, session: SessionId, ops: &[Op]) -> Vec<Result<OpResult, ZkError>> {
        let before = self.clone();
        let mut results = Vec::new();
        for (at, op) in ops.iter().enumerate() {
            match self.single(broker, session, op) {
                Ok(result) => results.push(Ok(result)),
                Err(error) => {
                    *self = before;
                    let code = |i: usize| match i.cmp(&at) {
                        std::cmp::Ordering::Less => ZkError::RolledBack,
                        std::cmp::Ordering::Equal => error,
                        std::cmp::Ordering::Greater => ZkError::RuntimeInconsistency,
                    };
                    return (0..ops.len()).map(|i| Err(code(i))).collect();
                }
            }
        }
        results
    }

    fn single(&mut self, broker: i32, session: SessionId, op: &Op) -> Result<OpResult, ZkError> {
        let zxid = Zxid(self.zxid);
        match op {
            Op::Create { path, data, mode } => {
                if self.nodes.contains_key(path) {
                    return Err(ZkError::NodeExists);
                }
                let parent: Path = path.rsplit_once('/').map_or("", |(parent, _)| parent).into();
                if !parent.is_empty() && !self.nodes.contains_key(&parent) && session != SessionId(0) {
                    return Err(ZkError::NoNode);
                }
                let owner = if *mode == CreateMode::Ephemeral { session } else { SessionId(0) };
                let stat = Stat { czxid: zxid, mzxid: zxid, ephemeral_owner: owner, ..Stat::default() };
                self.nodes.insert(path.clone(), (data.clone(), stat));
                self.fire_data(path, WatchKind::Created);
                self.fire_children(&parent);
                Ok(OpResult::Created { path: path.clone(), stat })
            }
            Op::Delete { path, version } => {
                self.check(path, *version)?;
                self.nodes.remove(path);
                self.fire_data(path, WatchKind::Deleted);
                let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent).into();
                self.fire_children(&parent);
                Ok(OpResult::Deleted)
            }
            Op::SetData { path, data, version } => {
                self.check(path, *version)?;
                let (content, stat) = self.nodes.get_mut(path).ok_or(ZkError::NoNode)?;
                *content = data.clone();
                stat.version += 1;
                stat.mzxid = zxid;
                let stat = *stat;
                self.fire_data(path, WatchKind::DataChanged);
                Ok(OpResult::Stat(stat))
            }
            Op::Check { path, version } => self.check(path, *version).map(|()| OpResult::Checked),
            Op::Exists { path, watch } => {
                if *watch {
                    self.data_watches.insert((path.clone(), broker));
                }
                self.nodes.get(path).map(|(_, stat)| OpResult::Stat(*stat)).ok_or(ZkError::NoNode)
            }
            Op::GetData { path, watch } => {
                let (data, stat) = self.nodes.get(path).ok_or(ZkError::NoNode)?;
                if *watch {
                    self.data_watches.insert((path.clone(), broker));
                }
                Ok(OpResult::Data { data: data.clone(), stat: *stat })
            }
            Op::GetChildren { path, watch } => {
                let (_, stat) = self.nodes.get(path).ok_or(ZkError::NoNode)?;
                if *watch {
                    self.child_watches.insert((path.clone(), broker));
                }
                let prefix = format!("{path}/");
                let child = |node: &Path| node.strip_prefix(&prefix).filter(|rest| !rest.contains('/')).map(Path::from);
                Ok(OpResult::Children { names: self.nodes.keys().filter_map(child).collect(), stat: *stat })
            }
            Op::Multi(_) | Op::Sync { .. } | Op::CloseSession => panic!("the controller does not ask for this here"),
        }
    }

    fn check(&self, path: &Path, version: i32) -> Result<(), ZkError> {
        let (_, stat) = self.nodes.get(path).ok_or(ZkError::NoNode)?;
        if version == ANY_VERSION || version == stat.version { Ok(()) } else { Err(ZkError::BadVersion) }
    }

    fn fire_data(&mut self, path: &Path, kind: WatchKind) {
        let all = std::mem::take(&mut self.data_watches);
        let (hit, kept) = all.into_iter().partition(|(watched, _)| watched == path);
        self.data_watches = kept;
        let hit: BTreeSet<(Path, i32)> = hit;
        self.fired.extend(hit.into_iter().map(|(path, broker)| (broker, path, kind)));
    }

    fn fire_children(&mut self, parent: &Path) {
        let all = std::mem::take(&mut self.child_watches);
        let (hit, kept) = all.into_iter().partition(|(watched, _)| watched == parent);
        self.child_watches = kept;
        let hit: BTreeSet<(Path, i32)> = hit;
        self.fired.extend(hit.into_iter().map(|(path, broker)| (broker, path, WatchKind::ChildrenChanged)));
    }
}
