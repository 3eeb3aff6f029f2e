//! The machine's clock: for rates, `--for` and `--budget`, never for a run.
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "how long a user waits is no part of a run")]

use std::time::{Duration, Instant};

/// Real time since a command began, or went on.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Stopwatch(Instant);

impl Stopwatch {
    /// From now on.
    pub(in crate::cli) fn start() -> Self {
        Self(Instant::now())
    }

    /// Until now.
    pub(in crate::cli) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
