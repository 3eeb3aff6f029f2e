//! R-HW-IN-LOG: outside an atomic step every replica's high watermark lies between the start and the end of its log.

use crate::id::ProcessId;
use crate::laws::ledger::{Law, Ledger};
use crate::laws::views::Views;
use crate::time::Instant;

pub(in crate::laws) const SOURCE: &str = "KAFKA-9491, KAFKA-5634";

/// A replica whose log was cut below its high watermark, and which has yet to say where that is now.
#[derive(Clone, Copy, Debug)]
struct Owing {
    at: Instant,
    process: ProcessId,
    broker: usize,
    partition: usize,
    high_watermark: u64,
}

/// The law with what it waits for within a step.
#[derive(Clone, Debug, Default)]
pub(in crate::laws) struct HwInLog {
    owing: Option<Owing>,
}

impl HwInLog {
    /// Judges a high watermark that was reported, or that a log was loaded with.
    pub(in crate::laws) fn on_report(
        &mut self,
        partition: usize,
        broker: usize,
        value: u64,
        views: Views<'_>,
        ledger: &mut Ledger,
    ) {
        self.owing = self.owing.filter(|owing| (owing.broker, owing.partition) != (broker, partition));
        let replica = views.logs.replica(broker, partition);
        ledger.judged(Law::HwInLog, 1);
        if !(replica.log_start()..=replica.leo()).contains(&value) {
            breach(partition, broker, value, views, ledger);
        }
    }

    /// A log was cut, or begun anew, to go from `start` to `end` while its high watermark was `high_watermark`: if that lies
    /// outside, it has to report another in the same step.
    pub(in crate::laws) fn on_truncate(
        &mut self,
        partition: usize,
        broker: usize,
        (start, end): (u64, u64),
        high_watermark: u64,
        views: Views<'_>,
    ) {
        if !(start..=end).contains(&high_watermark) {
            self.owing = Some(Owing { at: views.at, process: views.process, broker, partition, high_watermark });
        }
    }

    /// Whether a step has to be looked at when time goes on.
    pub(in crate::laws) fn is_owed_before(&self, now: Instant) -> bool {
        self.owing.is_some_and(|owing| owing.at < now)
    }

    /// The step is over: judges what was not reported in it.
    pub(in crate::laws) fn after_step(&mut self, views: Views<'_>, ledger: &mut Ledger) {
        if let Some(Owing { at, process, broker, partition, high_watermark }) = self.owing.take() {
            breach(partition, broker, high_watermark, Views { at, process, ..views }, ledger);
        }
    }
}

fn breach(partition: usize, broker: usize, value: u64, views: Views<'_>, ledger: &mut Ledger) {
    ledger.breach(Law::HwInLog, None, views.at, views.process, || {
        let (name, id) = (views.roster.name(partition), views.roster.brokers[broker].0);
        let replica = views.logs.replica(broker, partition);
        let (start, leo) = (replica.log_start(), replica.leo());
        let what = format!("broker {id} has high watermark {value} of {name}, its log goes from {start} to {leo}");
        (what, views.partition_state(partition))
    });
}
