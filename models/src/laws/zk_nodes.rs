//! The znodes after the committed transactions: which exist, and which content each version of them stood for.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::fingerprint::Fingerprint;
use crate::zk::protocol::{Txn, TxnBody};

/// A committed write that does not fit to the state it meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// The leader that proposed it had checked it against another state.
    Condition { path: Arc<str>, what: String },
    /// Its version stood for another content before.
    Content { path: Arc<str>, version: i32 },
}

#[derive(Clone, Debug, Default)]
struct Znode {
    exists: bool,
    /// The first version that was seen of it.
    first: i32,
    /// Digests of its contents, by version from `first`.
    contents: Vec<u64>,
}

impl Znode {
    fn content(&self, version: i32) -> Option<u64> {
        self.contents.get(usize::try_from(i64::from(version) - i64::from(self.first)).ok()?).copied()
    }

    fn next_version(&self) -> i32 {
        self.first.wrapping_add(self.contents.len() as i32)
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct ZkNodes {
    nodes: Arc<BTreeMap<Arc<str>, Znode>>,
}

impl ZkNodes {
    /// Applies the next committed transaction. Returns how many conditions it checked.
    pub(super) fn apply(&mut self, txn: &Txn, out: &mut Vec<Misfit>) -> u64 {
        self.apply_body(&txn.body, out)
    }

    fn apply_body(&mut self, body: &TxnBody, out: &mut Vec<Misfit>) -> u64 {
        match body {
            TxnBody::Create { path, data, .. } => self.create(path, data, out),
            TxnBody::SetData { path, data, version } => self.set(path, data, *version, out),
            TxnBody::Delete { path } => {
                if Arc::make_mut(&mut self.nodes)
                    .get_mut(path)
                    .is_some_and(|node| !std::mem::replace(&mut node.exists, false))
                {
                    out.push(misfit(path, "it was deleted, but did not exist".to_owned()));
                }
                1
            }
            TxnBody::CloseSession { ephemerals } => {
                for path in ephemerals {
                    if let Some(node) = Arc::make_mut(&mut self.nodes).get_mut(path) {
                        node.exists = false;
                    }
                }
                0
            }
            TxnBody::Multi(bodies) => bodies.iter().map(|body| self.apply_body(body, out)).sum(),
            TxnBody::CreateSession { .. } | TxnBody::Check { .. } | TxnBody::Error { .. } => 0,
        }
    }

    fn create(&mut self, path: &Arc<str>, data: &str, out: &mut Vec<Misfit>) -> u64 {
        let contents = vec![Fingerprint::of(&data)];
        match Arc::make_mut(&mut self.nodes).get_mut(path) {
            Some(node) => {
                if node.exists {
                    out.push(misfit(path, "it was created, but existed".to_owned()));
                }
                *node = Znode { exists: true, first: 0, contents };
            }
            None => drop(
                Arc::make_mut(&mut self.nodes).insert(Arc::clone(path), Znode { exists: true, first: 0, contents }),
            ),
        }
        1
    }

    fn set(&mut self, path: &Arc<str>, data: &str, version: i32, out: &mut Vec<Misfit>) -> u64 {
        let content = Fingerprint::of(&data);
        let Some(node) = Arc::make_mut(&mut self.nodes).get_mut(path) else {
            // Its creation was not seen: begins here.
            let node = Znode { exists: true, first: version, contents: vec![content] };
            Arc::make_mut(&mut self.nodes).insert(Arc::clone(path), node);
            return 0;
        };
        let next = node.next_version();
        if !node.exists {
            out.push(misfit(path, format!("version {version} was written, but it did not exist")));
        } else if version != next {
            out.push(misfit(path, format!("version {version} was written where {next} comes next")));
        }
        if node.content(version).is_some_and(|known| known != content) {
            out.push(Misfit::Content { path: Arc::clone(path), version });
        }
        if version == next {
            node.contents.push(content);
        } else {
            *node = Znode { exists: true, first: version, contents: vec![content] };
        }
        1
    }

    /// Compares a transaction that is not committed, and never will be, with the versions that are.
    pub(super) fn compare(&self, body: &TxnBody, out: &mut Vec<Misfit>) {
        match body {
            TxnBody::SetData { path, data, version } => {
                let known = self.nodes.get(path).and_then(|node| node.content(*version));
                if known.is_some_and(|known| known != Fingerprint::of(&&**data)) {
                    out.push(Misfit::Content { path: Arc::clone(path), version: *version });
                }
            }
            TxnBody::Multi(bodies) => bodies.iter().for_each(|body| self.compare(body, out)),
            _ => {}
        }
    }
}

fn misfit(path: &Arc<str>, what: String) -> Misfit {
    Misfit::Condition { path: Arc::clone(path), what }
}
