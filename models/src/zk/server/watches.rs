//! `WatchManager`: which connections watch which nodes. A watch fires once and goes with its connection.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::{Change, WatchTable};
use crate::id::ConnId;
use crate::zk::protocol::{Path, WatchKind};

/// See the module.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Watches {
    data: BTreeMap<Path, BTreeSet<ConnId>>,
    child: BTreeMap<Path, BTreeSet<ConnId>>,
    by_conn: BTreeMap<ConnId, BTreeSet<(WatchTable, Path)>>,
}

impl Watches {
    pub(super) fn add(&mut self, table: WatchTable, path: &Path, conn: ConnId) {
        if self.table(table).entry(path.clone()).or_default().insert(conn) {
            self.by_conn.entry(conn).or_default().insert((table, path.clone()));
        }
    }

    pub(super) fn remove_connection(&mut self, conn: ConnId) {
        for (table, path) in self.by_conn.remove(&conn).unwrap_or_default() {
            let table = self.table(table);
            if let Some(conns) = table.get_mut(&path) {
                conns.remove(&conn);
                if conns.is_empty() {
                    table.remove(&path);
                }
            }
        }
    }

    /// Takes the watches that `changes` fire, in the order in which their events go out.
    pub(super) fn trigger(&mut self, changes: &[Change]) -> Vec<(ConnId, Path, WatchKind)> {
        let mut fired = Vec::new();
        if self.by_conn.is_empty() {
            return fired;
        }
        // Who has a data and a child watch on a deleted node hears of it once.
        let mut heard: (Option<&Path>, BTreeSet<ConnId>) = (None, BTreeSet::new());
        for change in changes {
            let Some(conns) = self.table(change.table).remove(&change.path) else { continue };
            for conn in &conns {
                if let Some(watches) = self.by_conn.get_mut(conn) {
                    watches.remove(&(change.table, change.path.clone()));
                    if watches.is_empty() {
                        self.by_conn.remove(conn);
                    }
                }
                let again = change.kind == WatchKind::Deleted
                    && change.table == WatchTable::Child
                    && heard.0 == Some(&change.path)
                    && heard.1.contains(conn);
                if !again {
                    fired.push((*conn, change.path.clone(), change.kind));
                }
            }
            if change.kind == WatchKind::Deleted && change.table == WatchTable::Data {
                heard = (Some(&change.path), conns);
            }
        }
        fired
    }

    fn table(&mut self, table: WatchTable) -> &mut BTreeMap<Path, BTreeSet<ConnId>> {
        match table {
            WatchTable::Data => &mut self.data,
            WatchTable::Child => &mut self.child,
        }
    }
}
