//! R-ONE-ACTING-LEADER: two presumed leaders of a partition, in different epochs, are no breach while the older one cannot hear
//! of the newer; once the faults are over it has to step down.

use crate::laws::views::Views;
use crate::time::Instant;

pub(in crate::laws) const SOURCE: &str = "own; Vanlightly/kafka-tlaplus";

/// What is waited for, since when: since the newest leader of a partition began.
pub(in crate::laws) fn oldest(views: Views<'_>) -> Option<(Instant, String)> {
    let several = (0..views.roster.facts.partitions.len()).filter_map(|partition| {
        let newest = views.leaders.reigning(partition).max_by_key(|(_, reign)| reign.epoch)?;
        let (older, _) = views.leaders.reigning(partition).find(|(broker, _)| *broker != newest.0)?;
        Some((newest.1.since, partition, older))
    });
    let (since, partition, older) = several.min()?;
    let (name, id) = (views.roster.name(partition), views.roster.brokers[older].0);
    let state = views.partition_state(partition);
    Some((since, format!("broker {id} has yet to hear that it does not lead {name} any more: {state}")))
}
