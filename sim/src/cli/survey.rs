//! `sim survey`: many seeds of one scenario, and what they reached.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::ControlFlow;

use models::observation::Observed;
use scenarios::Scenario;
use scenarios::schedule::Schedule;

use super::args::SurveyArgs;
use super::{Exit, Failure, campaign, input, plan};
use crate::kernel::QueueKind;
use crate::run::{Finished, Run};

/// What a set of seeds reached.
#[derive(Clone, Debug, Default)]
pub(super) struct Survey {
    /// Seeds run.
    pub seeds: u64,
    /// Inputs that processes were given, in all.
    pub delivered: u64,
    /// How many seeds reached each state of interest.
    pub reached: BTreeMap<&'static str, u64>,
    /// Facts that each law judged, and breaches that the settings permit, in the order of the laws.
    pub judged: Vec<(&'static str, u64, u64)>,
    /// Seeds that failed, with the first thing that was wrong.
    pub failures: BTreeMap<u64, String>,
    /// XOR of all fingerprints.
    pub fingerprint: u64,
}

impl Survey {
    /// Adds one run.
    pub(crate) fn add(&mut self, seed: u64, finished: &Finished) {
        self.seeds += 1;
        self.delivered += finished.delivered;
        self.fingerprint ^= finished.outcome.fingerprint;
        for (word, reached) in finished.judgement.coverage.flags() {
            *self.reached.entry(word).or_default() += u64::from(reached);
        }
        if self.judged.is_empty() {
            self.judged = finished.judgement.reports.iter().map(|r| (r.name, 0, 0)).collect();
        }
        for (total, report) in self.judged.iter_mut().zip(&finished.judgement.reports) {
            total.1 += report.judged;
            total.2 += report.permitted;
        }
        if !finished.judgement.is_clean() {
            self.failures.insert(seed, campaign::first_wrong(finished));
        }
    }

    /// Both together.
    fn merge(mut self, other: Self) -> Self {
        self.seeds += other.seeds;
        self.delivered += other.delivered;
        self.fingerprint ^= other.fingerprint;
        for (word, count) in other.reached {
            *self.reached.entry(word).or_default() += count;
        }
        for (mine, theirs) in self.judged.iter_mut().zip(&other.judged) {
            mine.1 += theirs.1;
            mine.2 += theirs.2;
        }
        self.failures.extend(other.failures);
        self
    }
}

/// Runs the seeds `from..to` of a scenario on `jobs` threads. The result does not depend on `jobs`.
pub(super) fn run_seeds(scenario: &Scenario, (from, to): (u64, u64), jobs: usize, queue: QueueKind) -> Survey {
    let parts = campaign::map(from..to, jobs, |seed| {
        let mut one = Survey::default();
        let mut run = Run::new(scenario.clone(), seed, &Schedule::draw(scenario, seed));
        run.simulation_mut().use_queue(queue);
        one.add(seed, &run.finish(&mut |_: &Observed| {}, &mut |_| ControlFlow::Continue(())));
        one
    });
    parts.into_iter().reduce(Survey::merge).unwrap_or_default()
}

/// Runs many seeds and prints what they reached.
///
/// # Errors
/// The input is bad, or the output cannot be written.
pub(super) fn survey(args: &SurveyArgs) -> Result<Exit, Failure> {
    let mut scenario = input::scenario(&args.scenario)?;
    plan::change(&mut scenario, &args.changes)?;
    let survey = run_seeds(&scenario, args.seeds, campaign::threads(args.jobs), args.queue);
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{}: seeds {}..{}, {} inputs delivered",
        args.scenario, args.seeds.0, args.seeds.1, survey.delivered
    )?;
    writeln!(out, "\nshare of seeds with")?;
    for (word, count) in &survey.reached {
        let permille = count * 1000 / survey.seeds.max(1);
        writeln!(out, "  {word:<26} {:>5}.{} %", permille / 10, permille % 10)?;
    }
    writeln!(out, "\nfacts judged, breaches that the settings permit")?;
    for (name, judged, permitted) in &survey.judged {
        writeln!(out, "  {name:<26} {judged:>12} {permitted:>8}")?;
    }
    writeln!(out, "\n{} of {} seeds failed", survey.failures.len(), survey.seeds)?;
    for (seed, what) in &survey.failures {
        writeln!(out, "  seed {seed}: {what}")?;
        writeln!(out, "    cargo run -p sim -- run {} --seed {seed}", args.scenario)?;
    }
    writeln!(out, "fingerprint of all {:016x}", survey.fingerprint)?;
    Ok(if survey.failures.is_empty() { Exit::Clean } else { Exit::Broken })
}
