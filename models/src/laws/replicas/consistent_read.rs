//! R-CONSISTENT-READ: what was ever consumed at an offset is what the current leader holds there. Each record that is read is
//! compared with the committed one, and the log of a new leader with the committed log up to where anybody has read.

use crate::id::ValueId;
use crate::laws::ledger::{Law, Ledger};
use crate::laws::views::Views;

pub(in crate::laws) const SOURCE: &str = "Vanlightly/kafka-tlaplus, ConsistentRead";

/// Judges a poll.
pub(in crate::laws) fn on_poll(
    partition: usize,
    base_offset: u64,
    values: &[ValueId],
    views: Views<'_>,
    ledger: &mut Ledger,
) {
    let committed = views.logs.committed(partition);
    ledger.judged(Law::ConsistentRead, values.len() as u64);
    for (offset, value) in (base_offset..).zip(values) {
        let Some(held) = committed.value(offset).filter(|held| held != value) else { continue };
        ledger.breach(Law::ConsistentRead, views.gate.log(partition, offset), views.at, views.process, || {
            let what = format!(
                "{value} was read at offset {offset} of {}, the leader holds {held}",
                views.roster.name(partition)
            );
            (what, views.partition_state(partition))
        });
    }
}

/// Judges who begins to lead in the current epoch, before a permitted loss makes its log the committed one. Consumers have
/// read below `read_to`.
pub(in crate::laws) fn on_leader_begin(
    partition: usize,
    broker: usize,
    epoch: i32,
    read_to: u64,
    views: Views<'_>,
    ledger: &mut Ledger,
) {
    if !views.is_current(partition, epoch) || !views.logs.counts(partition, epoch) {
        return;
    }
    let read_to = read_to.min(views.logs.committed(partition).true_hw());
    let leo = views.logs.replica(broker, partition).leo();
    let Some(agrees) = views.logs.agrees(broker, partition, read_to.min(leo)) else { return };
    ledger.judged(Law::ConsistentRead, 1);
    if agrees && leo >= read_to {
        return;
    }
    let parting = views.logs.parting(broker, partition);
    ledger.breach(Law::ConsistentRead, views.gate.log(partition, parting), views.at, views.process, || {
        let (name, id) = (views.roster.name(partition), views.roster.brokers[broker].0);
        let what = format!(
            "broker {id} leads {name} in epoch {epoch} without what was read from offset {parting} to {read_to}"
        );
        (what, views.partition_state(partition))
    });
}
