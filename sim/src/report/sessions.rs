//! Figures of applications that write to ZooKeeper itself.

use std::collections::BTreeMap;

use models::id::ProcessId;
use models::observation::Observed;
use models::time::{Instant, Span};
use models::zk::protocol::ZkError;
use serde::Serialize;

/// Collects them from the end of the warm-up on.
#[derive(Clone, Debug)]
pub struct SessionFigures {
    start: Instant,
    last_ok: BTreeMap<ProcessId, Instant>,
    summary: SessionSummary,
}

/// What it came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SessionSummary {
    /// Writes that ended.
    pub writes: u64,
    /// Of those, acknowledged.
    pub acknowledged: u64,
    /// Of those, with an outcome that the client could not tell.
    pub unknown: u64,
    /// The longest time in which an application had no write acknowledged, ns.
    pub longest_gap: Span,
    /// Which application that was.
    pub longest_gap_process: Option<ProcessId>,
}

impl SessionFigures {
    /// Figures that begin to count at `start`.
    pub fn new(start: Instant) -> Self {
        Self { start, last_ok: BTreeMap::new(), summary: SessionSummary::default() }
    }

    /// A write ended. Returns how long the application had gone without one that was acknowledged, if this one was.
    pub fn ended(&mut self, seen: &Observed, error: Option<ZkError>) -> Option<Span> {
        let count = u64::from(seen.at >= self.start);
        self.summary.writes += count;
        self.summary.unknown += count * u64::from(error == Some(ZkError::ConnectionLoss));
        if error.is_some() {
            return None;
        }
        self.summary.acknowledged += count;
        let last = self.last_ok.insert(seen.process, seen.at)?;
        let gap = seen.at - last;
        self.widen(seen.process, gap * count);
        Some(gap)
    }

    /// What it came to by `now`.
    pub fn summary(&self, now: Instant) -> SessionSummary {
        let mut figures = self.clone();
        for (process, last) in &self.last_ok {
            figures.widen(*process, now - *last);
        }
        figures.summary
    }

    fn widen(&mut self, process: ProcessId, gap: Span) {
        if gap > self.summary.longest_gap {
            self.summary.longest_gap = gap;
            self.summary.longest_gap_process = Some(process);
        }
    }
}
