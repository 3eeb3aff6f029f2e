//! Stories of controllers over a tree: who is controller, and what becomes of partitions.

mod cluster;
mod life_cycle;
mod metrics;
mod partitions;
mod stopping;
mod store;

use crate::zk::protocol::Op;
use cluster::{Asked, Cluster};

impl Cluster {
    /// Whether the batch that broker `id` waits for has an operation (inside its multi, if it is one) like that.
    fn awaits(&self, id: i32, wanted: impl Fn(&Op) -> bool) -> bool {
        let inner = |op: &Op| match op {
            Op::Multi(ops) => ops.iter().any(&wanted),
            op => wanted(op),
        };
        match self.nodes[&id].zk.pending.front() {
            Some((_, Asked::Ops(ops))) => ops.iter().any(inner),
            _ => false,
        }
    }
}

fn is_claim(op: &Op) -> bool {
    matches!(op, Op::Create { path, .. } if &**path == "/controller")
}

fn is_state_write(op: &Op) -> bool {
    matches!(op, Op::SetData { path, .. } if path.ends_with("/state"))
}
