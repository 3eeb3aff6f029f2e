//! R-ONE-LEADER-PER-EPOCH: in each leader epoch of a partition at most one broker leads, the one that the store names.

use super::ledger::{Law, Ledger};
use super::views::Views;
use crate::id::BrokerId;
use crate::kafka::protocol::LeaderAndIsr;
use crate::shared_vec::SharedVec;

pub(super) const SOURCE: &str = "own; KIP-101";

/// Per partition who was named by the store, and who began to lead, in each epoch.
#[derive(Clone, Debug)]
pub(super) struct OneLeaderPerEpoch {
    partitions: SharedVec<Epochs>,
}

/// Both lists in the order in which the epochs were first met, which is nearly ascending: searched from the end.
#[derive(Clone, Debug, Default)]
struct Epochs {
    stored: Vec<(i32, BrokerId)>,
    begun: Vec<(i32, BrokerId)>,
}

impl OneLeaderPerEpoch {
    pub(super) fn new(partitions: usize) -> Self {
        Self { partitions: SharedVec::new(partitions) }
    }

    pub(super) fn on_partition_state(&mut self, partition: usize, now: &LeaderAndIsr) {
        let stored = &mut self.partitions[partition].stored;
        if let Some(leader) = now.leader
            && find(stored, now.leader_epoch).is_none()
        {
            stored.push((now.leader_epoch, leader));
        }
    }

    /// Judges a `LeaderBegin` of broker number `broker`.
    pub(super) fn on_leader_begin(
        &mut self,
        partition: usize,
        broker: usize,
        epoch: i32,
        views: Views<'_>,
        ledger: &mut Ledger,
    ) {
        let Epochs { stored, begun } = &mut self.partitions[partition];
        let id = views.roster.brokers[broker].0;
        let (named, other) = (find(stored, epoch), find(begun, epoch));
        ledger.judged(Law::OneLeaderPerEpoch, 1);
        if other.is_none() {
            begun.push((epoch, id));
        }
        let (rival, how) = match (named, other) {
            (_, Some(other)) if other != id => (other, "led in that epoch before"),
            (Some(named), _) if named != id => (named, "is the stored leader of that epoch"),
            _ => return,
        };
        ledger.breach(Law::OneLeaderPerEpoch, None, views.at, views.process, || {
            let name = views.roster.name(partition);
            let what = format!("broker {id} began to lead {name} in epoch {epoch}, but broker {rival} {how}");
            (what, views.partition_state(partition))
        });
    }
}

fn find(epochs: &[(i32, BrokerId)], epoch: i32) -> Option<BrokerId> {
    epochs.iter().rev().find(|(e, _)| *e == epoch).map(|(_, leader)| *leader)
}
