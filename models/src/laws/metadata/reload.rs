//! C-RELOAD-ON-ELECTION: a new controller knows of every partition what the store said at its election, or something newer;
//! nothing is carried over from an earlier term.

use crate::laws::ledger::{Law, Ledger};
use crate::laws::views::Views;
use crate::observation::ServedState;

pub(in crate::laws) const SOURCE: &str = "KAFKA-5310";

/// At each election the version of each partition's stored state.
#[derive(Clone, Debug, Default)]
pub(in crate::laws) struct Reload {
    elections: Vec<(i32, Vec<Option<i32>>)>,
}

impl Reload {
    /// A controller was elected: its epoch is stored.
    pub(in crate::laws) fn on_election(&mut self, views: Views<'_>) {
        let Some(epoch) = views.store.controller_epoch() else { return };
        let partitions = 0..views.roster.facts.partitions.len();
        let version = |partition| views.store.partition(partition).map(|state| state.partition_epoch);
        if self.elections.len() == REMEMBERED {
            self.elections.remove(0);
        }
        self.elections.push((epoch, partitions.map(version).collect()));
    }

    /// Judges what the controller of `epoch` has read.
    pub(in crate::laws) fn on_loaded(&self, epoch: i32, states: &[ServedState], views: Views<'_>, ledger: &mut Ledger) {
        let Some((_, versions)) = self.elections.iter().rfind(|(elected, _)| *elected == epoch) else { return };
        let mut known = vec![None; versions.len()];
        for state in states {
            if let Some(partition) = views.roster.partition(state.partition) {
                known[partition] = Some(state.partition_epoch);
            }
        }
        for (partition, (at_election, known)) in versions.iter().zip(known).enumerate() {
            ledger.judged(Law::ReloadOnElection, 1);
            if known >= *at_election {
                continue;
            }
            ledger.breach(Law::ReloadOnElection, None, views.at, views.process, || {
                let name = views.roster.name(partition);
                let what = format!("the controller of epoch {epoch} knows version {known:?} of {name}");
                (what, format!("at its election {at_election:?} was stored; {}", views.partition_state(partition)))
            });
        }
    }
}

/// Elections whose failover may still be under way.
const REMEMBERED: usize = 8;
