//! J-NONMONOTONIC-SEND: records that one life of a producer sends to a partition stand there in the order in which it sent
//! them, as far as they stand there at all.

use crate::laws::ledger::{Law, Ledger, Permit};
use crate::laws::records::Records;
use crate::laws::views::Views;
use crate::time::Instant;

pub(in crate::laws) const SOURCE: &str = "Jepsen tests/kafka, nonmonotonic-send; KAFKA-3197";

/// Judges the finished history of a partition. Values of one producer rise in the order of its sends; of an unknown send the
/// offset at which it was read counts.
pub(in crate::laws) fn finish(partition: usize, records: &Records, views: Views<'_>, ledger: &mut Ledger) {
    let mut last = None;
    for (id, value) in records.sent() {
        let (acked, read) = (value.ack.and_then(|ack| ack.offset), value.seen.filter(|_| value.read));
        let Some(offset) = acked.or(read).filter(|offset| records.stands_at(id, *offset)) else { continue };
        let before = last.replace((id, offset, *value));
        let Some((other, behind, earlier)) = before.filter(|(.., earlier)| earlier.sender == value.sender) else {
            continue;
        };
        ledger.judged(Law::NonmonotonicSend, 1);
        if behind < offset {
            continue;
        }
        // One at a time keeps the order as long as each is answered. What a producer has given up may still be on its way: the
        // kernel goes on sending what stands in the buffer of a closed connection. That excuses only what was given up before
        // its successor was answered; otherwise both were on their way at once.
        let given_up = |before: Instant| earlier.ack.is_none() && earlier.resolved.is_some_and(|at| at <= before);
        let in_line = value.ack.filter(|_| acked.is_some() && value.single_file);
        let sure = value.idempotent || in_line.is_some_and(|ack| !given_up(ack.at));
        let permit = if sure { views.gate.log(partition, offset) } else { Some(Permit::NotIdempotent) };
        let process = value.sender.map_or(views.process, |(process, _)| process);
        ledger.breach(Law::NonmonotonicSend, permit, views.at, process, || {
            let name = views.roster.name(partition);
            let what = format!("{process} sent {other} and then {id} to {name}; they stand at {behind} and {offset}");
            (what, views.partition_state(partition))
        });
    }
}
