//! J-CONSUME-COUNT: how often consumers get what they had before. Repetitions are legal after a rebalance or a reset, so that
//! they are counted and reported.

use crate::laws::ledger::{Law, Ledger};

pub(in crate::laws) const SOURCE: &str = "Jepsen tests/kafka, consume-counts";

/// Records that consumers got.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::laws) struct ConsumeCount {
    read: u64,
    again: u64,
}

impl ConsumeCount {
    /// A consumer got the records of `base_offset..end`; in this life it had read below `furthest` before.
    pub(in crate::laws) fn on_poll(&mut self, (base_offset, end): (u64, u64), furthest: u64) {
        self.read += end - base_offset;
        self.again += end.min(furthest).saturating_sub(base_offset);
    }

    /// Writes the figures into the law's report.
    pub(in crate::laws) fn finish(&self, ledger: &mut Ledger) {
        ledger.judged(Law::ConsumeCount, self.read);
        let Self { read, again } = self;
        ledger
            .figure(Law::ConsumeCount, format!("{read} records were read, {again} of them again by the same consumer"));
    }
}
