//! L-ISR-FULL: every replica of every partition is in the stored ISR.

use super::views::Views;
use crate::time::Instant;

pub(super) const SOURCE: &str = "KAFKA-2729, KAFKA-12686; Vanlightly/kafka-tlaplus";

/// Since when each partition lacks a replica.
#[derive(Clone, Debug)]
pub(super) struct IsrFull {
    unmet_since: Vec<Option<Instant>>,
}

impl IsrFull {
    pub(super) fn new(partitions: usize) -> Self {
        Self { unmet_since: vec![Some(Instant::ZERO); partitions] }
    }

    pub(super) fn on_partition_state(&mut self, partition: usize, views: Views<'_>) {
        let wanted = views.roster.facts.partitions[partition].replication_factor as usize;
        let since = &mut self.unmet_since[partition];
        match views.store.partition(partition).is_some_and(|state| state.isr.len() >= wanted) {
            true => *since = None,
            false => *since = since.or(Some(views.at)),
        }
    }

    /// What is waited for, since when.
    pub(super) fn oldest(&self, views: Views<'_>) -> Option<(Instant, String)> {
        let waiting = self.unmet_since.iter().enumerate();
        let (since, partition) = waiting.filter_map(|(partition, since)| Some(((*since)?, partition))).min()?;
        let more = self.unmet_since.iter().flatten().count() - 1;
        let name = views.roster.name(partition);
        let state = views.partition_state(partition);
        Some((since, format!("{name} (and {more} more) waits for its replicas to join the ISR: {state}")))
    }
}
