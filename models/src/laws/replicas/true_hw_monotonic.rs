//! R-TRUE-HW-MONOTONIC: no leader cuts its log below `TrueHW` or begins with a shorter one; a leader's high watermark never
//! falls, and once it has reached the start of its epoch it is not below `TrueHW`.

use crate::laws::ledger::{Law, Ledger};
use crate::laws::views::Views;
use crate::observation::ReplicaRole;

pub(in crate::laws) const SOURCE: &str = "Vanlightly/kafka-tlaplus, monotonicity of the applied high watermark";

/// Judges a report before it is taken into the views.
pub(in crate::laws) fn on_report(
    partition: usize,
    broker: usize,
    (value, epoch): (u64, i32),
    views: Views<'_>,
    ledger: &mut Ledger,
) {
    let Some(reign) = views.leaders.reign(broker, partition).filter(|reign| reign.epoch == epoch) else { return };
    if !views.logs.counts(partition, epoch) {
        return;
    }
    ledger.judged(Law::TrueHwMonotonic, 1);
    let (before, true_hw) =
        (views.logs.replica(broker, partition).high_watermark, views.logs.committed(partition).true_hw());
    let behind = value >= reign.start && value < true_hw && views.is_current(partition, epoch);
    if value < before || behind {
        ledger.breach(Law::TrueHwMonotonic, views.gate.log(partition, value), views.at, views.process, || {
            let (name, id) = (views.roster.name(partition), views.roster.brokers[broker].0);
            let what = format!(
                "broker {id}, leader of {name} from {}, reports high watermark {value} after {before}",
                reign.start
            );
            (what, views.partition_state(partition))
        });
    }
}

/// Judges the end of a log that belongs to the leader of the current epoch: when it begins, and when it is cut.
pub(in crate::laws) fn on_log_end(
    partition: usize,
    broker: usize,
    (leo, role): (u64, ReplicaRole),
    views: Views<'_>,
    ledger: &mut Ledger,
) {
    let true_hw = views.logs.committed(partition).true_hw();
    if role != ReplicaRole::Leader {
        return;
    }
    ledger.judged(Law::TrueHwMonotonic, 1);
    if leo < true_hw {
        ledger.breach(Law::TrueHwMonotonic, views.gate.log(partition, leo), views.at, views.process, || {
            let (name, id) = (views.roster.name(partition), views.roster.brokers[broker].0);
            (
                format!("the log of broker {id}, leader of {name}, ends at {leo}, below TrueHW"),
                views.partition_state(partition),
            )
        });
    }
}
