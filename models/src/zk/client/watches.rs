//! `ZKWatchManager`: which paths this handle watches, by kind.

use std::collections::BTreeSet;

use crate::id::Zxid;
use crate::zk::protocol::{ClientMessage, Op, OpResult, Path, WatchKind, ZkError};

/// The watch that an operation asks for.
#[derive(Clone, Debug, Hash)]
pub(super) enum Watching {
    Exists(Path),
    Data(Path),
    Children(Path),
}

impl Watching {
    pub(super) fn of(op: &Op) -> Option<Self> {
        match op {
            Op::Exists { path, watch: true } => Some(Self::Exists(path.clone())),
            Op::GetData { path, watch: true } => Some(Self::Data(path.clone())),
            Op::GetChildren { path, watch: true } => Some(Self::Children(path.clone())),
            _ => None,
        }
    }
}

/// The three tables.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct WatchTables {
    data: BTreeSet<Path>,
    exist: BTreeSet<Path>,
    child: BTreeSet<Path>,
}

impl WatchTables {
    /// `WatchRegistration.register`: the answer decides which table, if any.
    pub(super) fn register(&mut self, watching: Watching, result: &Result<OpResult, ZkError>) {
        match (watching, result) {
            (Watching::Exists(path) | Watching::Data(path), Ok(_)) => self.data.insert(path),
            (Watching::Exists(path), Err(ZkError::NoNode)) => self.exist.insert(path),
            (Watching::Children(path), Ok(_)) => self.child.insert(path),
            (_, Err(_)) => false,
        };
    }

    /// `materialize`: takes the watches that the event uses up. False if there are none, so that nobody is told.
    pub(super) fn fire(&mut self, path: &Path, kind: WatchKind) -> bool {
        match kind {
            WatchKind::Created | WatchKind::DataChanged => self.data.remove(path) | self.exist.remove(path),
            WatchKind::ChildrenChanged => self.child.remove(path),
            WatchKind::Deleted => self.data.remove(path) | self.exist.remove(path) | self.child.remove(path),
        }
    }

    /// What re-arms them on a new connection, unless there are none.
    pub(super) fn set_watches(&self, relative_zxid: Zxid) -> Option<ClientMessage> {
        let list = |table: &BTreeSet<Path>| table.iter().cloned().collect::<Vec<_>>();
        let any = !(self.data.is_empty() && self.exist.is_empty() && self.child.is_empty());
        any.then(|| ClientMessage::SetWatches {
            relative_zxid,
            data: list(&self.data),
            exist: list(&self.exist),
            child: list(&self.child),
        })
    }
}
