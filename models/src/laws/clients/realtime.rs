//! J-REALTIME-ORDER and J-REALTIME-LAG: what is sent after another record was acknowledged stands behind it; and how long ago
//! the records that a consumer gets were acknowledged.
//!
//! When a poll began is not observed. The lag is therefore an upper bound of a poll's staleness: from the acknowledgement of
//! the first record that a poll returns until the consumer has it. It is reported; a bound is for scenarios to set.

use crate::laws::ledger::{Law, Ledger, Permit};
use crate::laws::records::{Ack, Value};
use crate::laws::views::Views;
use crate::time::{Instant, Span};

pub(in crate::laws) const SOURCE: &str = "Jepsen tests/kafka, realtime-lag; linearisability of a partition";

/// Judges an acknowledgement.
pub(in crate::laws) fn on_ack(partition: usize, value: Value, ack: Ack, views: Views<'_>, ledger: &mut Ledger) {
    let Some(offset) = ack.offset else { return };
    ledger.judged(Law::RealtimeOrder, 1);
    if offset >= value.floor {
        return;
    }
    let permit = if ack.acks < crate::kafka::config::Acks::All {
        Some(Permit::AcksLeader)
    } else {
        views.gate.log(partition, offset)
    };
    ledger.breach(Law::RealtimeOrder, permit, views.at, views.process, || {
        let (name, floor) = (views.roster.name(partition), value.floor);
        let what = format!("a record of {name} got offset {offset}; {floor} was acknowledged before it was sent");
        (what, views.partition_state(partition))
    });
}

/// Lags, counted in buckets that are at most an eighth of their value wide.
#[derive(Clone, Debug)]
pub(in crate::laws) struct RealtimeLag {
    buckets: Vec<u64>,
    polls: u64,
    longest: Span,
}

impl Default for RealtimeLag {
    fn default() -> Self {
        Self { buckets: vec![0; 64 * PARTS as usize], polls: 0, longest: Span::ZERO }
    }
}

impl RealtimeLag {
    /// A consumer that reads on gets a record.
    pub(in crate::laws) fn on_poll(&mut self, first: Value, at: Instant) {
        let lag = first.ack.map_or(Span::ZERO, |ack| at.since(ack.at));
        self.polls += 1;
        self.longest = self.longest.max(lag);
        self.buckets[bucket(lag.as_ns())] += 1;
    }

    /// The longest lag, and what 99 of 100 polls stayed within; zero without polls.
    pub(in crate::laws) fn figures(&self) -> (Span, Span) {
        let rank = self.polls - self.polls / 100;
        let mut seen = 0;
        let within = self.buckets.iter().position(|count| {
            seen += count;
            seen >= rank.max(1)
        });
        (self.longest, within.map_or(Span::ZERO, |index| Span::from_ns(ceiling(index)).min(self.longest)))
    }

    /// Writes the figures into the law's report.
    pub(in crate::laws) fn finish(&self, ledger: &mut Ledger) {
        ledger.judged(Law::RealtimeLag, self.polls);
        let (longest, most) = self.figures();
        ledger.figure(
            Law::RealtimeLag,
            format!("records were read at most {longest} after their acknowledgement, p99 {most}"),
        );
    }
}

/// Parts of each power of two.
const PARTS: u32 = 8;

fn bucket(ns: u64) -> usize {
    let power = ns.max(PARTS.into()).ilog2();
    let part = (ns >> (power - PARTS.ilog2())) as u32 % PARTS;
    (power * PARTS + part) as usize
}

fn ceiling(bucket: usize) -> u64 {
    let (power, part) = (bucket as u32 / PARTS, bucket as u64 % u64::from(PARTS));
    (u64::from(PARTS) + part + 1) << (power - PARTS.ilog2()).min(59)
}

#[test]
fn buckets_are_an_eighth_wide_at_most() {
    for ns in [8, 9, 15, 16, 1_000, 1_023, 1_024, 999_999_999, 1 << 40] {
        let top = ceiling(bucket(ns));
        assert!(ns < top && top <= ns + ns / 8 + 1, "{ns} lies in a bucket that ends at {top}");
    }
}
