//! R-UNCLEAN-EXCLUSION: a replica that lost records in a crash leaves the stored ISR before it counts as a member in its new
//! life, whether or not what it lost was committed.
//!
//! ZooKeeper mode does not promise all of it. The last member of an ISR stays (KIP-966), and an ISR that is written after the
//! crash, by somebody who has not noticed it, keeps the old place (KIP-903). A controller that is elected after the new
//! registration and lets a place stand that was written before the crash breaks the law.

use crate::kafka::protocol::LeaderAndIsr;
use crate::laws::ledger::{Law, Ledger, Permit};
use crate::laws::views::Views;

pub(in crate::laws) const SOURCE: &str = "Vanlightly/kafka-tlaplus; KIP-903, KIP-966";

/// What a crash has done to a replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mark {
    /// Nothing, or it has left the ISR since.
    #[default]
    Clean,
    /// It may have lost records; its log will show.
    Crashed { left: bool, crossed: bool },
    /// It has lost records, and has not left the ISR since. `crossed`: an ISR with it was written since.
    Unclean { crossed: bool },
}

/// The mark of every replica.
#[derive(Clone, Debug)]
pub(in crate::laws) struct UncleanExclusion {
    partitions: usize,
    /// By broker number, then by partition number.
    marks: Vec<Mark>,
    marked: usize,
}

impl UncleanExclusion {
    pub(in crate::laws) fn new(brokers: usize, partitions: usize) -> Self {
        Self { partitions, marks: vec![Mark::Clean; brokers * partitions], marked: 0 }
    }

    /// A broker died and something that it had written is gone.
    pub(in crate::laws) fn on_lossy_down(&mut self, broker: usize, views: Views<'_>) {
        let id = views.roster.brokers[broker].0;
        for partition in 0..self.partitions {
            let stands = views.store.partition(partition).is_some_and(|state| state.isr.contains(&id));
            if self.mark(partition, broker) == Mark::Clean {
                self.set(partition, broker, Mark::Crashed { left: !stands, crossed: false });
            }
        }
    }

    /// A replica's log ended at `before` when it went down and ends at `after` now.
    pub(in crate::laws) fn on_loaded(
        &mut self,
        partition: usize,
        broker: usize,
        (before, after): (u64, u64),
        ledger: &mut Ledger,
    ) {
        let Mark::Crashed { left, crossed } = self.mark(partition, broker) else { return };
        let now = if after == before || left { Mark::Clean } else { Mark::Unclean { crossed } };
        ledger.judged(Law::UncleanExclusion, u64::from(after < before));
        self.set(partition, broker, now);
    }

    /// Judges a new stored state.
    pub(in crate::laws) fn on_partition_state(
        &mut self,
        partition: usize,
        now: &LeaderAndIsr,
        views: Views<'_>,
        ledger: &mut Ledger,
    ) {
        if self.marked == 0 {
            return;
        }
        for broker in 0..views.roster.brokers.len() {
            let stays = now.isr.contains(&views.roster.brokers[broker].0);
            let mark = match (self.mark(partition, broker), stays) {
                (Mark::Clean, _) | (Mark::Unclean { .. }, false) => Mark::Clean,
                (Mark::Crashed { left, crossed }, _) => {
                    Mark::Crashed { left: left || !stays, crossed: crossed || stays }
                }
                (Mark::Unclean { .. }, true) => Mark::Unclean { crossed: true },
            };
            self.set(partition, broker, mark);
            self.judge(partition, broker, views, ledger);
        }
    }

    /// Judges one replica, if it has to leave the ISR and has become a member that may be elected.
    pub(in crate::laws) fn judge(&mut self, partition: usize, broker: usize, views: Views<'_>, ledger: &mut Ledger) {
        let Mark::Unclean { crossed } = self.mark(partition, broker) else { return };
        let (id, process) = views.roster.brokers[broker];
        let Some(state) = views.store.partition(partition).filter(|state| state.isr.contains(&id)) else { return };
        if !views.is_electable(partition, broker) {
            return;
        }
        self.set(partition, broker, Mark::Clean);
        let permit = if state.isr.len() == 1 {
            Some(Permit::LastReplicaStanding)
        } else if crossed {
            Some(Permit::IsrChangeAcrossRestart)
        } else {
            views.gate.log(partition, views.logs.replica(broker, partition).leo())
        };
        ledger.breach(Law::UncleanExclusion, permit, views.at, process, || {
            let name = views.roster.name(partition);
            let what = format!("broker {id} lost records of {name} in a crash and kept its place in the ISR");
            (what, views.partition_state(partition))
        });
    }

    fn mark(&self, partition: usize, broker: usize) -> Mark {
        self.marks[broker * self.partitions + partition]
    }

    fn set(&mut self, partition: usize, broker: usize, mark: Mark) {
        let before = std::mem::replace(&mut self.marks[broker * self.partitions + partition], mark);
        self.marked = self.marked + usize::from(mark != Mark::Clean) - usize::from(before != Mark::Clean);
    }
}
