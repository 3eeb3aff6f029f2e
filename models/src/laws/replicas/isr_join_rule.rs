//! R-ISR-JOIN-RULE: a leader takes a follower into the ISR only if that has fetched from it in this epoch, at or beyond the
//! leader's high watermark and at or beyond the start of the epoch.

use crate::laws::ledger::{Law, Ledger};
use crate::laws::views::Views;

pub(in crate::laws) const SOURCE: &str = "KAFKA-7128; Vanlightly/kafka-tlaplus";

/// Judges that leader `broker` asks for a follower that fetched from `offset`.
pub(in crate::laws) fn on_join(
    partition: usize,
    broker: usize,
    epoch: i32,
    offset: u64,
    views: Views<'_>,
    ledger: &mut Ledger,
) {
    let high_watermark = views.logs.replica(broker, partition).high_watermark;
    let start = views.leaders.reign(broker, partition).filter(|reign| reign.epoch == epoch).map(|reign| reign.start);
    ledger.judged(Law::IsrJoinRule, 1);
    if start.is_some_and(|start| offset >= start && offset >= high_watermark) {
        return;
    }
    ledger.breach(Law::IsrJoinRule, None, views.at, views.process, || {
        let (name, id) = (views.roster.name(partition), views.roster.brokers[broker].0);
        let start = start.map_or_else(|| "which it does not lead in".to_owned(), |start| format!("begun at {start}"));
        let what = format!("broker {id} takes a follower that fetched from {offset} into the ISR of {name}");
        (what, format!("epoch {epoch}, {start}, high watermark {high_watermark}; {}", views.partition_state(partition)))
    });
}
