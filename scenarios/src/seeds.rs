//! The seeds of a run: one for its start-up, one for what follows.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which streams of chance a run draws from. Runs that differ only in `faults` have the same start-up event by event, so that
/// it can be run once and forked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seeds {
    /// Keys all streams from the beginning.
    pub start_up: u64,
    /// Keys all streams anew from the end of the warm-up on, unless it equals `start_up`; then they just go on. The schedule
    /// is drawn from it.
    pub faults: u64,
}

impl From<u64> for Seeds {
    /// One seed for the whole run.
    fn from(seed: u64) -> Self {
        Self { start_up: seed, faults: seed }
    }
}

impl Seeds {
    /// The seed with which the streams begin anew at the end of the warm-up, if they do.
    pub fn rekeyed(self) -> Option<u64> {
        (self.faults != self.start_up).then_some(self.faults)
    }

    /// The flags of `sim run` that give these seeds.
    pub fn flags(self) -> String {
        match self.rekeyed() {
            None => format!("--seed {}", self.faults),
            Some(faults) => format!("--seed {faults} --start-up-seed {}", self.start_up),
        }
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.faults)?;
        if self.rekeyed().is_some() {
            write!(f, ", start-up {}", self.start_up)?;
        }
        Ok(())
    }
}
