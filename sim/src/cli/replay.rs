//! `sim replay`.

use std::io::{self, Write};

use models::time::Instant;
use replay::player::{self, Divergence, Verdict};
use replay::record::{Checkpoint, Record};
use serde_json::json;

use super::args::{Format, ReplayArgs};
use super::{Exit, Failure, doctor, travel};
use crate::fuzz::case::Guarded;
use crate::report::board::moment;
use crate::report::text;
use crate::run::{Run, Simulator};

/// Repeats a recorded run and verifies it.
///
/// # Errors
/// The file cannot be read, or the output cannot be written.
pub(super) fn replay(args: &ReplayArgs) -> Result<Exit, Failure> {
    let record = replay::file::read(&args.file).map_err(|error| Failure::Input(error.to_string()))?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    if args.format == Format::Json && (args.step || args.until.is_some() || !args.at.is_empty()) {
        let what = "--format json: --at, --until and --step print text only";
        return Err(Failure::Input(what.to_owned()));
    }
    if args.step {
        return travel::step(&record, &mut out);
    }
    if let Some(until) = &args.until {
        return travel::until(&record, until, &mut out);
    }
    if !args.at.is_empty() {
        return travel::at(&record, &args.at, &mut out);
    }
    let Ok(verdict) = player::replay(&record, &Guarded(Simulator));
    match args.format {
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
                    let start = Instant::ZERO + record.scenario.phases.warm_up;
                    let at = moment(broken.at, start);
                    out.push_str(&format!("BROKEN {} at {at}: {}\n", broken.law, broken.what));
                    out.push_str(&format!(
                        "the state then: --at {at}; every event: --step; how likely it was: sim odds\n"
                    ));
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
    if record.build != build {
        out.push_str(&format!(
            "The record was made by another build ({}; this is {build}): a change of a model is a change of the run.\n",
            record.build
        ));
        return out;
    }
    // The record has no events to compare with, but a run that does not repeat itself can be caught in the act.
    let make = || Run::new(record.scenario.clone(), record.seeds, &record.schedule);
    let parted = divergence.found.or(divergence.recorded).map_or(Instant::MAX, |checkpoint| checkpoint.at);
    let (same, words) = doctor::examine(&make, parted);
    if same {
        out.push_str(
            "The build calls itself the same, and two runs of it agree with each other up to there, event by event: the \
             record was made from other sources of the same version.\n",
        );
    } else {
        out.push_str(&words);
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
