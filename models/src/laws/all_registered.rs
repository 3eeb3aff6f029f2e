//! L-ALL-REGISTERED: every broker that should run runs, and is registered under the epoch that it knows.

use super::views::Views;
use crate::time::Instant;

pub(super) const SOURCE: &str = "KAFKA-7165, KAFKA-14845; Vanlightly/kafka-tlaplus, EventuallyUnfenced";

/// Since when each broker is not registered.
#[derive(Clone, Debug)]
pub(super) struct AllRegistered {
    unmet_since: Vec<Option<Instant>>,
}

impl AllRegistered {
    pub(super) fn new(brokers: usize) -> Self {
        Self { unmet_since: vec![Some(Instant::ZERO); brokers] }
    }

    /// A broker started, stopped, learned its epoch, or its node changed.
    pub(super) fn on_change(&mut self, broker: usize, views: Views<'_>) {
        let since = &mut self.unmet_since[broker];
        match is_registered(broker, views) {
            true => *since = None,
            false => *since = since.or(Some(views.at)),
        }
    }

    /// What is waited for, since when.
    pub(super) fn oldest(&self, views: Views<'_>) -> Option<(Instant, String)> {
        let brokers = &views.roster.brokers;
        let waiting = (0..brokers.len()).filter(|broker| views.roster.wanted(brokers[*broker].1));
        let (since, broker) = waiting.filter_map(|broker| Some((self.unmet_since[broker]?, broker))).min()?;
        let (id, process) = brokers[broker];
        let why = match (
            views.processes.is_up(process),
            views.store.broker_epoch(broker),
            views.processes.broker_epoch(broker),
        ) {
            (false, ..) => "it does not run".to_owned(),
            (true, None, _) => "its node is missing".to_owned(),
            (true, Some(stored), None) => format!("its node has epoch {stored}, but it has not been told so"),
            (true, Some(stored), Some(known)) => format!("its node has epoch {stored}, but it knows {known}"),
        };
        Some((since, format!("broker {id} waits for its registration: {why}")))
    }
}

fn is_registered(broker: usize, views: Views<'_>) -> bool {
    let stored = views.store.broker_epoch(broker);
    views.processes.is_up(views.roster.brokers[broker].1)
        && stored.is_some()
        && stored == views.processes.broker_epoch(broker)
}
