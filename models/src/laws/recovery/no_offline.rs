//! L-NO-OFFLINE: every partition that has an electable replica has a leader that acts as such.

use crate::laws::views::Views;
use crate::time::Instant;

pub(in crate::laws) const SOURCE: &str = "own";

/// Since which look each partition has no acting leader.
#[derive(Clone, Debug)]
pub(in crate::laws) struct NoOffline {
    since: Vec<Option<Instant>>,
}

impl NoOffline {
    pub(in crate::laws) fn new(partitions: usize) -> Self {
        Self { since: vec![None; partitions] }
    }

    /// To be called once in a while: waits are measured from here on.
    pub(in crate::laws) fn look(&mut self, views: Views<'_>) {
        for (partition, since) in self.since.iter_mut().enumerate() {
            *since = is_offline(partition, views).then(|| since.unwrap_or(views.at));
        }
    }

    /// What is waited for, since when.
    pub(in crate::laws) fn oldest(&self, views: Views<'_>) -> Option<(Instant, String)> {
        let offline = (0..self.since.len()).filter(|partition| is_offline(*partition, views));
        let (since, partition) =
            offline.map(|partition| (self.since[partition].unwrap_or(views.at), partition)).min()?;
        let name = views.roster.name(partition);
        Some((since, format!("{name} waits for a leader that acts: {}", views.partition_state(partition))))
    }
}

fn is_offline(partition: usize, views: Views<'_>) -> bool {
    let Some(state) = views.store.partition(partition) else { return false };
    let number = |id| views.roster.broker_number(id);
    let electable = state.isr.iter().filter_map(|id| number(*id)).any(|broker| views.is_electable(partition, broker));
    let leads = |broker| views.leaders.reign(broker, partition).is_some_and(|reign| reign.epoch == state.leader_epoch);
    electable && !state.leader.and_then(number).is_some_and(leads)
}
