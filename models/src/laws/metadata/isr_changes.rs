//! C-ONE-INFLIGHT-ISR-CHANGE, C-SUCCESS-MEANS-STORED and L-ISR-CHANGE-RESOLVED: a leader asks for one change of an ISR at a
//! time, what it is told to be stored is stored, and it gets an answer in the end.

use std::sync::Arc;

use crate::id::BrokerId;
use crate::kafka::protocol::LeaderAndIsr;
use crate::laws::ledger::{Law, Ledger};
use crate::laws::views::Views;
use crate::shared_vec::SharedVec;
use crate::time::{Instant, Span};

pub(in crate::laws) const SOURCE: &str =
    "KAFKA-12686, KAFKA-14154; Vanlightly/kafka-tlaplus, AlterPartitionEpochEventuallyReachedOrZero";

/// Every stored state of each partition, by version.
#[derive(Clone, Debug)]
pub(in crate::laws) struct IsrChanges {
    stored: SharedVec<Vec<(i32, Arc<[BrokerId]>)>>,
}

impl IsrChanges {
    pub(in crate::laws) fn new(partitions: usize) -> Self {
        Self { stored: SharedVec::new(partitions) }
    }

    /// A partition has a new stored state.
    pub(in crate::laws) fn on_partition_state(&mut self, partition: usize, now: &LeaderAndIsr) {
        self.stored[partition].push((now.partition_epoch, Arc::clone(&now.isr)));
    }

    /// Judges that a leader takes `isr` for stored, since it was told so.
    pub(in crate::laws) fn on_stored(
        &self,
        partition: usize,
        (version, isr): (i32, &Arc<[BrokerId]>),
        views: Views<'_>,
        ledger: &mut Ledger,
    ) {
        ledger.judged(Law::SuccessMeansStored, 1);
        let stored = self.stored[partition].iter().rfind(|(stored, _)| *stored == version).map(|(_, isr)| isr);
        if stored == Some(isr) {
            return;
        }
        ledger.breach(Law::SuccessMeansStored, None, views.at, views.process, || {
            let name = views.roster.name(partition);
            let what = format!("{} was told that ISR {isr:?} of {name} is stored at version {version}", views.process);
            (what, format!("stored at that version: {stored:?}; {}", views.partition_state(partition)))
        });
    }
}

/// Judges that a leader asks for a change; `first` unless one of its own is under way.
pub(in crate::laws) fn on_change(partition: usize, first: bool, views: Views<'_>, ledger: &mut Ledger) {
    ledger.judged(Law::OneInflightIsrChange, 1);
    if !first {
        ledger.breach(Law::OneInflightIsrChange, None, views.at, views.process, || {
            let name = views.roster.name(partition);
            let what = format!("{} asks for an ISR of {name} while another change is under way", views.process);
            (what, views.partition_state(partition))
        });
    }
}

/// The oldest change that is under way since before the faults ended, or for much longer than an answer takes.
pub(in crate::laws) fn oldest(quiet: Option<Instant>, views: Views<'_>) -> Option<(Instant, String)> {
    let under_way = (0..views.roster.facts.partitions.len()).flat_map(|partition| {
        let of = views.leaders.reigning(partition);
        of.filter_map(move |(broker, reign)| Some((reign.changing_since?, broker, partition)))
    });
    let is_late = |since: Instant| Some(since) < quiet || views.at - since > PATIENCE;
    let (since, broker, partition) = under_way.filter(|(since, ..)| is_late(*since)).min()?;
    let (name, id) = (views.roster.name(partition), views.roster.brokers[broker].0);
    let state = views.partition_state(partition);
    Some((since, format!("broker {id} waits for the controller's answer to an ISR change of {name}: {state}")))
}

/// An answer takes a few writes to ZooKeeper, one after the other.
const PATIENCE: Span = Span::from_secs(10);
