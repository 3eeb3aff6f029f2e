//! J-ACK-STABLE, R-NO-GLOBAL-LOSS, and I-EXACTLY-ONCE as to acknowledged records: what was acknowledged at an offset stands
//! there in the committed log, or at least in a leader's, and some replica holds it.

use crate::laws::ledger::{Law, Ledger};
use crate::laws::records::Records;
use crate::laws::views::Views;

pub(in crate::laws) const SOURCE: &str = "Vanlightly/kafka-tlaplus, ConsistentRead and NoCommittedRecordLostGlobally";

/// Judges the finished history of a partition.
pub(in crate::laws) fn finish(partition: usize, records: &Records, views: Views<'_>, ledger: &mut Ledger) {
    let committed = views.logs.committed(partition);
    for (id, value, ack) in records.acknowledged() {
        let Some(offset) = ack.offset else { continue };
        let holds = |broker: usize| views.logs.replica(broker, partition).value(offset) == Some(id);
        let is_committed = committed.value(offset) == Some(id);
        let is_stable = is_committed
            || (offset >= committed.true_hw() && views.leaders.reigning(partition).any(|(broker, _)| holds(broker)));
        let survives = (0..views.roster.brokers.len()).any(holds);
        let laws = [
            (Law::AckStable, true, is_stable, "does not stand there"),
            (Law::NoGlobalLoss, true, survives, "is on no replica"),
            (Law::ExactlyOnce, value.idempotent, is_committed, "is not committed there"),
        ];
        for (law, concerned, holds, how) in laws {
            ledger.judged(law, u64::from(concerned));
            if holds || !concerned {
                continue;
            }
            let permit = views.gate.record(partition, Some(offset), ack.acks, (value.acked_in, ack.at), is_committed);
            ledger.breach(law, permit, views.at, ack.by, || {
                let name = views.roster.name(partition);
                let what = format!("{id}, acknowledged at offset {offset} of {name} at {}, {how}", ack.at);
                (what, views.partition_state(partition))
            });
        }
    }
}
