//! What can be taken out of a scenario, and how it is made simpler, so that it stays a scenario: what shrinking knows of it.
//!
//! [`removal`] takes hosts, processes and sites out and renumbers whatever named the others; [`named`] lists what a fault names,
//! [`simpler`] its simpler forms, [`settings`] what is not the default; [`Scenario::is_sound`] says whether a file could say the result.

mod named;
mod removal;
mod settings;
mod simpler;

pub use removal::Removal;
pub use settings::Setting;
pub use simpler::{round_spans, round_values};

use models::time::Span;

use crate::fault::Fault;
use crate::netem::{Correlated, Distribution};
use crate::scenario::Scenario;

impl Scenario {
    /// Whether a scenario file can say this: it prints as a file that reads back as the same scenario.
    pub fn is_sound(&self) -> bool {
        Self::parse("a reduced scenario", &self.to_yaml()).is_ok_and(|read| read == *self)
    }
}

impl Fault {
    /// The same fault as a scenario file says it: no distribution of a jitter that is zero, nothing that overtakes a delay of
    /// zero. What it does to packets is the same.
    #[must_use]
    pub fn as_written(mut self) -> Self {
        if let Self::Impair { netem, .. } = &mut self {
            if netem.jitter == Span::ZERO {
                netem.distribution = Distribution::Uniform;
            }
            if netem.delay == Span::ZERO {
                netem.reorder = Correlated::default();
            }
        }
        self
    }
}
