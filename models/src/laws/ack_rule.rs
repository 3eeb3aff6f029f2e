//! R-ACK-RULE: an `acks=all` write is acknowledged only below the high watermark, and only while the maximal ISR has at
//! least `min.insync.replicas` members.

use super::ledger::{Law, Ledger};
use super::views::Views;
use crate::kafka::config::Acks;
use crate::observation::Observation;

pub(super) const SOURCE: &str = "own, from kafka.cluster.Partition.checkEnoughReplicasReachOffset";

/// Judges an `Acknowledge`.
pub(super) fn judge(what: &Observation, views: Views<'_>, ledger: &mut Ledger) {
    let &Observation::Acknowledge {
        partition,
        base_offset,
        records,
        acks: Acks::All,
        high_watermark,
        maximal_isr,
        min_isr,
    } = what
    else {
        return;
    };
    ledger.judged(Law::AckRule, 1);
    let end = base_offset + u64::from(records);
    if high_watermark >= end && maximal_isr >= min_isr {
        return;
    }
    ledger.breach(Law::AckRule, None, views.at, views.process, || {
        let what = format!("a write to {partition} at offsets {base_offset} to {end} was acknowledged with acks=all");
        (what, format!("high watermark {high_watermark}, maximal ISR of {maximal_isr}, min.insync.replicas {min_isr}"))
    });
}
