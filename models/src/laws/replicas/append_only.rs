//! R-LEADER-APPEND-ONLY: a leader never cuts its log and appends at its end, in its own epoch; what a follower appends is what
//! the leader of the record's epoch appended there, so that epoch and offset name one record.

use crate::id::ValueId;
use crate::laws::epoch_logs::Comparison;
use crate::laws::ledger::{Law, Ledger};
use crate::laws::views::Views;
use crate::observation::{ReplicaRole, TruncateReason};

pub(in crate::laws) const SOURCE: &str = "own, Raft's LeaderAppendOnly; KAFKA-13207";

/// Judges an append before it is taken into the views.
pub(in crate::laws) fn on_append(
    partition: usize,
    broker: usize,
    (base_offset, values): (u64, &[ValueId]),
    (epoch, role): (i32, ReplicaRole),
    views: Views<'_>,
    ledger: &mut Ledger,
) {
    ledger.judged(Law::LeaderAppendOnly, 1);
    let what = match role {
        ReplicaRole::Leader => {
            let (leo, reign) = (views.logs.replica(broker, partition).leo(), views.leaders.reign(broker, partition));
            if leo == base_offset && reign.is_some_and(|reign| reign.epoch == epoch) {
                return;
            }
            let led =
                reign.map_or_else(|| "does not lead".to_owned(), |reign| format!("leads in epoch {}", reign.epoch));
            format!("appended at offset {base_offset} in epoch {epoch}, but its log ends at {leo} and it {led}")
        }
        ReplicaRole::Follower => match views.epoch_logs.compare(partition, epoch, base_offset, values) {
            Comparison::Same | Comparison::Unknown => return,
            Comparison::Differs(offset, named) => {
                let named = named.map_or_else(|| "none".to_owned(), |value| value.to_string());
                format!("took a record of epoch {epoch} at offset {offset}; the leader of that epoch appended {named}")
            }
        },
    };
    let permit = views.gate.log(partition, base_offset);
    ledger.breach(Law::LeaderAppendOnly, permit, views.at, views.process, || {
        let (name, id) = (views.roster.name(partition), views.roster.brokers[broker].0);
        (format!("broker {id}, {role:?} of {name}, {what}"), views.partition_state(partition))
    });
}

/// Judges a truncation.
pub(in crate::laws) fn on_truncate(
    partition: usize,
    (from, to): (u64, u64),
    (role, reason): (ReplicaRole, TruncateReason),
    views: Views<'_>,
    ledger: &mut Ledger,
) {
    if from <= to || reason == TruncateReason::Recovery {
        return;
    }
    ledger.judged(Law::LeaderAppendOnly, 1);
    if role == ReplicaRole::Leader {
        ledger.breach(Law::LeaderAppendOnly, None, views.at, views.process, || {
            let name = views.roster.name(partition);
            let what = format!("{}, leader of {name}, cut its log from {from} to {to}", views.process);
            (what, format!("reason {reason:?}; {}", views.partition_state(partition)))
        });
    }
}
