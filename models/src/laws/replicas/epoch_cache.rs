//! R-EPOCH-CACHE-MONOTONIC: leader epochs rise along every log, so that each has one start; and a leader's epoch starts where
//! its log ended when it began.
//!
//! Of a real host's cache nothing can be observed. What it is to describe can: the epochs of the records, and the offset that
//! a new leader reports.

use crate::laws::ledger::{Law, Ledger};
use crate::laws::views::Views;

pub(in crate::laws) const SOURCE: &str = "KAFKA-7415, KAFKA-13790";

/// Judges an append before it is taken into the views.
pub(in crate::laws) fn on_append(
    partition: usize,
    broker: usize,
    (base_offset, epoch): (u64, i32),
    views: Views<'_>,
    ledger: &mut Ledger,
) {
    ledger.judged(Law::EpochCacheMonotonic, 1);
    if let Some(last) = views.logs.replica(broker, partition).last_epoch().filter(|last| *last > epoch) {
        let permit = views.gate.log(partition, base_offset);
        ledger.breach(Law::EpochCacheMonotonic, permit, views.at, views.process, || {
            let (name, id) = (views.roster.name(partition), views.roster.brokers[broker].0);
            let what =
                format!("broker {id} appended epoch {epoch} at offset {base_offset} of {name} behind epoch {last}");
            (what, views.partition_state(partition))
        });
    }
}

/// Judges a leader that begins.
pub(in crate::laws) fn on_leader_begin(
    partition: usize,
    broker: usize,
    (epoch, start): (i32, u64),
    views: Views<'_>,
    ledger: &mut Ledger,
) {
    let replica = views.logs.replica(broker, partition);
    ledger.judged(Law::EpochCacheMonotonic, 1);
    if start == replica.leo() && replica.last_epoch().is_none_or(|last| last <= epoch) {
        return;
    }
    ledger.breach(Law::EpochCacheMonotonic, views.gate.log(partition, start), views.at, views.process, || {
        let (name, id) = (views.roster.name(partition), views.roster.brokers[broker].0);
        let (leo, last) = (replica.leo(), replica.last_epoch());
        let what =
            format!("broker {id} begins epoch {epoch} of {name} at {start}; its log ends at {leo} in epoch {last:?}");
        (what, views.partition_state(partition))
    });
}
