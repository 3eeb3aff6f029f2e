//! L-METADATA-CONVERGES (C-VIEW-CONVERGES): every broker serves the stored leader, leader epoch and ISR of each partition.

use crate::laws::views::Views;
use crate::observation::ServedState;
use crate::time::Instant;

pub(in crate::laws) const SOURCE: &str = "Vanlightly/kafka-tlaplus, EventuallyMetadataConverges";

/// What a broker serves of a partition, as far as it has been told.
#[derive(Clone, Copy, Debug)]
struct Served {
    /// The version of the state znode.
    partition_epoch: Option<i32>,
    /// Since when that is not the stored state.
    differs_since: Option<Instant>,
}

/// By broker number, then by partition number.
#[derive(Clone, Debug)]
pub(in crate::laws) struct Converges {
    partitions: usize,
    served: Vec<Served>,
}

impl Converges {
    pub(in crate::laws) fn new(brokers: usize, partitions: usize) -> Self {
        let nothing = Served { partition_epoch: None, differs_since: Some(Instant::ZERO) };
        Self { partitions, served: vec![nothing; brokers * partitions] }
    }

    /// A broker serves a state from now on.
    pub(in crate::laws) fn on_served(
        &mut self,
        partition: usize,
        broker: usize,
        state: &ServedState,
        views: Views<'_>,
    ) {
        let served = &mut self.served[broker * self.partitions + partition];
        served.partition_epoch = Some(state.partition_epoch);
        let agrees = views.store.partition(partition).is_some_and(|stored| {
            (stored.partition_epoch, stored.leader, stored.leader_epoch)
                == (state.partition_epoch, state.leader, state.leader_epoch)
                && stored.isr == state.isr
        });
        served.differs_since = if agrees { None } else { served.differs_since.or(Some(views.at)) };
    }

    /// A partition has another stored state, which nobody can serve yet.
    pub(in crate::laws) fn on_partition_state(&mut self, partition: usize, at: Instant) {
        for served in self.served.iter_mut().skip(partition).step_by(self.partitions) {
            served.differs_since = served.differs_since.or(Some(at));
        }
    }

    /// A broker is gone with all that it served.
    pub(in crate::laws) fn on_down(&mut self, broker: usize, at: Instant) {
        let first = broker * self.partitions;
        for served in &mut self.served[first..first + self.partitions] {
            *served = Served { partition_epoch: None, differs_since: served.differs_since.or(Some(at)) };
        }
    }

    /// What is waited for, since when.
    pub(in crate::laws) fn oldest(&self, views: Views<'_>) -> Option<(Instant, String)> {
        let brokers = &views.roster.brokers;
        let waiting = self.served.iter().enumerate().filter_map(|(index, served)| Some((served.differs_since?, index)));
        let wanted = |index: usize| views.roster.wanted(brokers[index / self.partitions].1);
        let (since, index) = waiting.filter(|(_, index)| wanted(*index)).min()?;
        let (broker, partition) = (index / self.partitions, index % self.partitions);
        let name = views.roster.name(partition);
        let id = brokers[broker].0;
        let served =
            self.served[index].partition_epoch.map_or_else(|| "nothing".to_owned(), |v| format!("version {v}"));
        let stored = views.store.partition(partition);
        let stored = stored.map_or_else(|| "nothing".to_owned(), |state| format!("version {}", state.partition_epoch));
        let what = format!("broker {id} waits to hear of {name}: it serves {served}, stored is {stored}");
        Some((since, format!("{what}; {}", views.partition_state(partition))))
    }
}
