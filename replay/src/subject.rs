//! What a simulator must offer so that records can be verified and, later, shrunk.

use std::ops::ControlFlow;

use scenarios::schedule::Schedule;
use scenarios::{Scenario, Seeds};

use crate::record::{Checkpoint, Outcome};

/// Something that can run a scenario.
pub trait Subject {
    /// Why a run could not be made at all.
    type Error;

    /// Runs `scenario` with `seeds` and exactly `schedule`, reporting each checkpoint as it passes. A `Break` stops the run;
    /// the outcome then tells of the run so far.
    ///
    /// # Errors
    /// The scenario cannot be run.
    fn run(
        &self,
        scenario: &Scenario,
        seeds: Seeds,
        schedule: &Schedule,
        on_checkpoint: &mut dyn FnMut(Checkpoint) -> ControlFlow<()>,
    ) -> Result<Outcome, Self::Error>;
}
