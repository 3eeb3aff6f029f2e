//! `sim replay`.

use std::io::{self, Write};
use std::path::Path;

use replay::player::{self, Divergence, Verdict};
use replay::record::{Checkpoint, Record};
use serde_json::json;

use super::args::Format;
use super::{Exit, Failure};
use crate::report::text;
use crate::run::Simulator;

/// Repeats a recorded run and verifies it.
///
/// # Errors
/// The file cannot be read, or the output cannot be written.
pub(super) fn replay(file: &Path, format: Format) -> Result<Exit, Failure> {
    let record = replay::file::read(file).map_err(|error| Failure::Input(error.to_string()))?;
    let Ok(verdict) = player::replay(&record, &Simulator);
    let mut out = io::stdout().lock();
    match format {
        Format::Text => write!(out, "{}", words(&record, &verdict))?,
        Format::Json => writeln!(out, "{}", line(&verdict))?,
    }
    Ok(match verdict {
        Verdict::Same { outcome, .. } if outcome.violation.is_none() => Exit::Clean,
        Verdict::Same { .. } | Verdict::Diverged(_) => Exit::Broken,
    })
}

fn words(record: &Record, verdict: &Verdict) -> String {
    let mut out = text::header(&record.scenario, record.seeds, &record.schedule);
    out.push_str(&format!("recorded   by {}\n\n", record.build));
    match verdict {
        Verdict::Same { checkpoints, outcome } => {
            out.push_str(&format!(
                "the same run: {checkpoints} checkpoints and fingerprint {:016x} over {} events agree\n",
                outcome.fingerprint, outcome.events
            ));
            match &outcome.violation {
                Some(broken) => {
                    out.push_str(&format!("BROKEN {} at {}: {}\n", broken.law, broken.at, broken.what));
                }
                None => out.push_str("every law and expectation held\n"),
            }
        }
        Verdict::Diverged(divergence) => out.push_str(&difference(record, divergence)),
    }
    out
}

fn difference(record: &Record, divergence: &Divergence) -> String {
    let show = |checkpoint: &Option<Checkpoint>| {
        checkpoint.map_or_else(
            || "the run was over".to_owned(),
            |c| format!("{} events, fingerprint {:016x}, at {}", c.events, c.fingerprint, c.at),
        )
    };
    let mut out = format!(
        "DIVERGED after {} ({} events agree)\n  recorded  {}\n  now       {}\n",
        divergence.agreed_until,
        divergence.agreed_events,
        show(&divergence.recorded),
        show(&divergence.found)
    );
    let build = crate::build_identity();
    if record.build == build {
        out.push_str(
            "The build is the same, so this is a defect of Faultline: look for iteration over something unordered, an \
             uninitialised or shared stream of chance, or state that a restart does not clear.\n",
        );
    } else {
        out.push_str(&format!(
            "The record was made by another build ({}; this is {build}): a change of a model is a change of the run.\n",
            record.build
        ));
    }
    out
}

fn line(verdict: &Verdict) -> serde_json::Value {
    match verdict {
        Verdict::Same { checkpoints, outcome } => json!({
            "type": "replay",
            "same": true,
            "checkpoints": checkpoints,
            "fingerprint": format!("{:016x}", outcome.fingerprint),
            "violation": outcome.violation.as_ref().map(|v| &v.law),
        }),
        Verdict::Diverged(divergence) => json!({
            "type": "replay",
            "same": false,
            "agreed_until_ns": divergence.agreed_until,
            "agreed_events": divergence.agreed_events,
        }),
    }
}
