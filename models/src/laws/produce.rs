//! L-PRODUCE: every partition acknowledges writes. The workload sends to each at a known pace; a partition that has not
//! acknowledged for three times that long waits. Where a partition's turn comes less often than a run is long, nothing is asked of it.

use super::views::Views;
use crate::time::Instant;

pub(super) const SOURCE: &str = "own; Vanlightly/kafka-tlaplus, EventuallyWriteIsAcceptedOrRejected";

/// When each partition acknowledged last.
#[derive(Clone, Debug)]
pub(super) struct Produce {
    acknowledged: Vec<Option<Instant>>,
    /// Since when nobody sends any more: silence is no waiting then.
    stopped: Option<Instant>,
}

impl Produce {
    pub(super) fn new(partitions: usize) -> Self {
        Self { acknowledged: vec![None; partitions], stopped: None }
    }

    pub(super) fn on_ack(&mut self, partition: usize, at: Instant) {
        self.acknowledged[partition] = Some(at);
    }

    pub(super) fn producers_stop(&mut self, at: Instant) {
        self.stopped = Some(at);
    }

    /// What is waited for, since when: the last acknowledgement.
    pub(super) fn oldest(&self, views: Views<'_>) -> Option<(Instant, String)> {
        let patience = views.roster.facts.produce_interval? * INTERVALS;
        let now = self.stopped.map_or(views.at, |stopped| stopped.min(views.at));
        let is_late = |last: Instant| last + patience < now;
        let late = self.acknowledged.iter().map(|last| last.unwrap_or(Instant::ZERO)).enumerate();
        // Nobody probes the brokers' own topics.
        let probed = |partition: &usize| !views.roster.name(*partition).topic.is_internal();
        let late = late
            .filter(|(partition, last)| is_late(*last) && probed(partition))
            .map(|(partition, last)| (last, partition));
        let (since, partition) = late.min()?;
        let name = views.roster.name(partition);
        let state = views.partition_state(partition);
        Some((since, format!("producers wait for an acknowledgement of {name}: {state}")))
    }
}

const INTERVALS: u64 = 3; // One send may meet a leader change, and a batch may linger.
