//! `sim run --check-determinism`, and what `sim replay` asks when a run is not the recorded one.

use std::io::Write;

use models::time::Instant;
use serde_json::json;

use super::args::{Format, RunFlags};
use super::plan::Plan;
use super::{Exit, Failure};
use crate::report::text;
use crate::run::Run;
use crate::travel::doctor::{self, Diagnosis};

/// Runs the plan twice and compares.
///
/// # Errors
/// The output cannot be written.
pub(super) fn check(plan: &Plan, flags: &RunFlags, out: &mut impl Write) -> Result<Exit, Failure> {
    if flags.format == Format::Text && !flags.quiet {
        writeln!(out, "{}", text::header(&plan.scenario, plan.seeds, &plan.schedule))?;
        out.flush()?;
    }
    let make = || Run::new(plan.scenario.clone(), plan.seeds, &plan.schedule);
    let (same, words) = examine(&make, Instant::MAX);
    match flags.format {
        Format::Json => {
            let difference = (!same).then_some(&words);
            writeln!(out, "{}", json!({"type": "determinism", "same": same, "difference": difference}))?;
        }
        Format::Text if same && flags.quiet => {}
        Format::Text => write!(out, "{words}")?,
    }
    out.flush()?;
    Ok(if same { Exit::Clean } else { Exit::Internal })
}

/// Makes a run twice and says whether both are the same, and in words what was found.
pub(super) fn examine(make: &(impl Fn() -> Run + Sync), limit: Instant) -> (bool, String) {
    let run = make();
    match doctor::examine(make, limit) {
        Diagnosis::Deterministic { compared, fingerprint } => (
            true,
            format!(
                "deterministic: two runs agree in {compared} inputs, effects and observations, fingerprint \
                 {fingerprint:016x}\n"
            ),
        ),
        Diagnosis::Parted(difference) => {
            (false, doctor::text(&difference, run.start(), |id| run.deployment().name(id).to_owned()))
        }
    }
}
