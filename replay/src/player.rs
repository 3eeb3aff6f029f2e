//! Repeats a record and names the first stretch of time that differs.

use std::ops::ControlFlow;

use models::time::Instant;

use crate::record::{Checkpoint, Outcome, Record};
use crate::subject::Subject;

/// What repeating a record showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every checkpoint and the outcome agree.
    Same {
        /// How many checkpoints were compared.
        checkpoints: usize,
        /// The outcome.
        outcome: Outcome,
    },
    /// The run parts from the record.
    Diverged(Divergence),
}

/// Where a run parts from its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The last moment at which both agreed.
    pub agreed_until: Instant,
    /// Events up to then.
    pub agreed_events: u64,
    /// The first checkpoint that differs, as recorded; `None` if the record ends before.
    pub recorded: Option<Checkpoint>,
    /// What the run had there; `None` if the run ended before.
    pub found: Option<Checkpoint>,
}

/// Runs the record again and compares.
///
/// # Errors
/// The subject cannot run the scenario.
pub fn replay<S: Subject>(record: &Record, subject: &S) -> Result<Verdict, S::Error> {
    let mut compared = 0;
    let mut diverged = None;
    let outcome = subject.run(&record.scenario, record.seeds, &record.schedule, &mut |found| {
        let recorded = record.checkpoints.get(compared).copied();
        if recorded == Some(found) {
            compared += 1;
            return ControlFlow::Continue(());
        }
        diverged = Some((recorded, Some(found)));
        ControlFlow::Break(())
    })?;
    if diverged.is_none() && (compared < record.checkpoints.len() || outcome != record.outcome) {
        let end = |outcome: &Outcome| Checkpoint {
            at: outcome.ended,
            events: outcome.events,
            fingerprint: outcome.fingerprint,
        };
        let recorded = record.checkpoints.get(compared).copied().unwrap_or_else(|| end(&record.outcome));
        diverged = Some((Some(recorded), Some(end(&outcome))));
    }
    Ok(match diverged {
        None => Verdict::Same { checkpoints: compared, outcome },
        Some((recorded, found)) => {
            let agreed = compared.checked_sub(1).map(|last| record.checkpoints[last]);
            Verdict::Diverged(Divergence {
                agreed_until: agreed.map_or(Instant::ZERO, |c| c.at),
                agreed_events: agreed.map_or(0, |c| c.events),
                recorded,
                found,
            })
        }
    })
}
