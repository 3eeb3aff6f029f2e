//! `sim defects hunt`: how many schedules a search needs to find each defect.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use models::defect::{Defect, Defects, Mark};
use models::laws::Law;
use replay::record::Record;
use replay::shrink::{Budget, Case, Shrunk, Size, Target, shrink};
use scenarios::Seeds;
use scenarios::schedule::Schedule;
use scenarios::swarm::{Configuration, Profile};
use scenarios::units::parse_span;

use super::args::HuntArgs;
use super::fuzz;
use super::stopwatch::Stopwatch;
use super::{Exit, Failure, campaign as threads};
use crate::fuzz::case::{Forks, Guarded};
use crate::fuzz::hunt::{Catch, Hunt, Limits};
use crate::fuzz::spec::{Spec, Strategy};
use crate::interval::wilson;
use crate::run::{Run, Simulator};

/// Campaigns begin so many seeds apart: they share none.
const APART: u64 = 1 << 32;

/// Hunts each defect and prints the table.
///
/// # Errors
/// The input is bad, or something cannot be written.
pub(super) fn hunt(args: &HuntArgs) -> Result<Exit, Failure> {
    let hunter = Hunter::new(args)?;
    let strategies = strategies(args);
    let one_way = strategies.len() == 1 && args.campaigns == 1;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", if one_way { Row::HEAD } else { Comparison::HEAD })?;
    let mut all_found = true;
    for defect in defects(args)? {
        for strategy in &strategies {
            let mut hunts = Vec::new();
            for campaign in 0..args.campaigns {
                hunts.push(hunter.hunt(defect, *strategy, campaign)?);
            }
            all_found &= hunts.iter().all(|(hunt, _)| hunt.first.is_some());
            let line = match (one_way, hunts.pop()) {
                (true, Some((hunt, took))) => hunter.row(defect, hunt, took)?,
                (_, last) => {
                    hunts.extend(last);
                    Comparison { defect, strategy: *strategy, hunts: &hunts, within: args.within }.to_string()
                }
            };
            writeln!(out, "{line}")?;
            out.flush()?;
        }
    }
    Ok(if all_found { Exit::Clean } else { Exit::Broken })
}

/// The strategies asked for, each once.
fn strategies(args: &HuntArgs) -> Vec<Strategy> {
    let mut strategies: Vec<Strategy> = Vec::new();
    for strategy in args.strategy.iter().map(|strategy| (*strategy).into()) {
        if !strategies.contains(&strategy) {
            strategies.push(strategy);
        }
    }
    strategies
}

/// The defects asked for.
fn defects(args: &HuntArgs) -> Result<Vec<Defect>, Failure> {
    if args.defects.is_empty() {
        let expected = |defect: &Defect| matches!(defect.facts().mark, Some(Mark::Easy | Mark::Medium));
        return Ok(Defect::ALL.iter().copied().filter(expected).collect());
    }
    args.defects.iter().map(|word| fuzz::defect(word)).collect()
}

/// Adds the laws that what a defect implies is known to break and the defect itself is not: a run that ends at one of them may
/// never get to what is hunted.
fn overshadowing(defect: Defect, known: &mut Vec<Law>) {
    let implied = Defects::NONE.with(defect).iter().filter(|other| *other != defect);
    for name in implied.flat_map(|other| other.facts().laws) {
        let law = Law::named(name).filter(|law| !known.contains(law) && !defect.facts().laws.contains(name));
        known.extend(law);
    }
}

/// What all hunts have in common.
struct Hunter<'a> {
    args: &'a HuntArgs,
    profile: Profile,
    /// How long a failure may be shrunk; `None` is not at all.
    shrink: Option<Duration>,
    jobs: usize,
}

impl<'a> Hunter<'a> {
    fn new(args: &'a HuntArgs) -> Result<Self, Failure> {
        let profile = Profile::parse(&args.profile).map_err(|error| Failure::Input(format!("--profile: {error}")))?;
        let span = parse_span(&args.shrink).ok_or_else(|| {
            Failure::Input(format!("--shrink {}: expected a number with a unit, such as 30s, or 0s", args.shrink))
        })?;
        if let Some(folder) = &args.out {
            std::fs::create_dir_all(folder)
                .map_err(|error| Failure::Input(format!("--out {}: {error}", folder.display())))?;
        }
        let shrink = (span.as_ns() > 0).then(|| Duration::from_nanos(span.as_ns()));
        Ok(Self { args, profile, shrink, jobs: threads::threads(args.jobs) })
    }

    /// One campaign.
    fn hunt(&self, defect: Defect, strategy: Strategy, campaign: u64) -> Result<(Hunt, Duration), Failure> {
        let word = defect.word().to_owned();
        let mut scenario = fuzz::base(self.args.scenario.as_deref(), &[word], &self.args.changes)?;
        overshadowing(defect, &mut scenario.expect.known_breaches);
        let spec = Spec {
            build: crate::build_identity(),
            name: scenario.name.clone(),
            scenario: scenario.to_yaml(),
            profile: self.profile,
            configuration: Configuration::Drawn,
            strategy,
            from: campaign * APART,
            to: None,
            shard: (1, 1),
        };
        let swarm = spec.swarm().map_err(Failure::Input)?;
        let limits = Limits { within: self.args.within, at_least: self.args.at_least.min(self.args.within) };
        let stopwatch = Stopwatch::start();
        let is_terminal = io::stderr().is_terminal();
        let mut show = |schedules: u64| {
            if is_terminal {
                // What becomes of the progress line is nobody's concern.
                let _ = write!(io::stderr(), "\r{defect}: {schedules} schedules \r");
            }
        };
        let hunt = crate::fuzz::hunt::hunt((&spec, &swarm), (&Forks, &defect), limits, self.jobs, &mut show);
        if hunt.panics > 0 {
            let panics = hunt.panics;
            writeln!(
                io::stderr(),
                "{defect}: {panics} runs ended in a panic: `sim fuzz --defect {defect}` shows them"
            )?;
        }
        Ok((hunt, stopwatch.elapsed()))
    }

    /// The line of a defect, its first failure shrunk.
    fn row(&self, defect: Defect, hunt: Hunt, took: Duration) -> Result<String, Failure> {
        let shrunk = match &hunt.first {
            Some(first) => self.keep(defect, first)?,
            None => None,
        };
        Ok(Row { defect, hunt: &hunt, took, shrunk }.to_string())
    }

    /// Shrinks a failure and keeps its records.
    fn keep(&self, defect: Defect, first: &Catch) -> Result<Option<Small>, Failure> {
        let folder = self.args.out.as_deref();
        if let Some(folder) = folder {
            write(&folder.join(format!("{defect}.flt")), &first.record)?;
        }
        let (Some(budget), Some(broken)) = (self.shrink, &first.record.outcome.violation) else { return Ok(None) };
        let stopwatch = Stopwatch::start();
        let case = Case::from(&*first.record);
        let before = Size::of(&case.scenario);
        let target = Target { law: broken.law.clone(), signature: None, seeds: case.seeds };
        let over = || stopwatch.elapsed() >= budget;
        let limits = Budget { runs: None, over: &over, jobs: self.jobs };
        let Ok(shrunk) = shrink(&case, &target, &Guarded(Simulator), &limits, &()) else { return Ok(None) };
        let took = stopwatch.elapsed();
        if let Some(folder) = folder {
            write(&folder.join(format!("{defect}.min.flt")), &recorded(&shrunk))?;
        }
        Ok(Some(Small { before, after: Size::of(&shrunk.case.scenario), minimal: shrunk.minimal.is_some(), took }))
    }
}

fn write(path: &Path, record: &Record) -> Result<(), Failure> {
    replay::file::write(path, record).map_err(|error| Failure::Input(error.to_string()))
}

/// Runs the smallest case once more, for its checkpoints.
fn recorded(shrunk: &Shrunk) -> Record {
    let scenario = shrunk.case.scenario.clone();
    let seeds: Seeds = shrunk.case.seeds;
    let schedule = Schedule::draw(&scenario, seeds.faults);
    let mut checkpoints = Vec::new();
    let finished = Run::new(scenario.clone(), seeds, &schedule).finish(&mut |_: &_| {}, &mut |checkpoint| {
        checkpoints.push(checkpoint);
        std::ops::ControlFlow::Continue(())
    });
    Record { build: crate::build_identity(), scenario, seeds, schedule, checkpoints, outcome: finished.outcome }
}

/// What a failure was shrunk to.
struct Small {
    before: Size,
    after: Size,
    minimal: bool,
    took: Duration,
}

/// A line of the table of one campaign for each defect.
struct Row<'a> {
    defect: Defect,
    hunt: &'a Hunt,
    took: Duration,
    shrunk: Option<Small>,
}

impl Row<'_> {
    const HEAD: &'static str = "id    mark switch                               law                      first at   seconds    \
                                failed of run   share, 95 % interval       faults  hosts    shrunk in";
}

impl std::fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let facts = self.defect.facts();
        let mark = facts.mark.map_or_else(|| "-".to_owned(), |mark| mark.to_string());
        let Hunt { schedules, failures, first, .. } = self.hunt;
        let failure = first.as_ref().and_then(|first| first.result.failure.as_ref());
        let law = failure.map_or("-", |failure| failure.law.as_str());
        let at = first.as_ref().map_or_else(|| format!("> {schedules}"), |first| first.schedules.to_string());
        let seconds = self.took.as_secs_f64();
        write!(f, "{:<5} {mark:<4} {:<36} {law:<24} {at:>8} {seconds:>9.1}", facts.id, facts.word)?;
        let (low, high) = wilson(*failures, *schedules);
        let share = 100.0 * *failures as f64 / (*schedules).max(1) as f64;
        let interval = format!("{share:.2} % ({:.2}..{:.2})", 100.0 * low, 100.0 * high);
        write!(f, " {failures:>9} of {schedules:<6} {interval:<24}")?;
        if let Some(Small { before, after, minimal, took }) = &self.shrunk {
            let minimal = if *minimal { "" } else { ", not to the end" };
            let faults = format!("{}->{}", before.faults, after.faults);
            let hosts = format!("{}->{}", before.hosts, after.hosts);
            write!(f, "  {faults:>7} {hosts:>7} {:>8.1} s{minimal}", took.as_secs_f64())?;
        }
        if self.hunt.unrelated > 0 {
            write!(f, "  ({} more failed without it too)", self.hunt.unrelated)?;
        }
        Ok(())
    }
}

/// A line of the table of several campaigns.
struct Comparison<'a> {
    defect: Defect,
    strategy: Strategy,
    hunts: &'a [(Hunt, Duration)],
    within: u64,
}

impl Comparison<'_> {
    const HEAD: &'static str = "id    mark switch                               strategy  found      median    mean, at least   seconds  \
                                schedules to first failure, by campaign";
}

impl std::fmt::Display for Comparison<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let facts = self.defect.facts();
        let mark = facts.mark.map_or_else(|| "-".to_owned(), |mark| mark.to_string());
        let strategy = match self.strategy {
            Strategy::Random => "random",
            Strategy::Guided => "guided",
        };
        let firsts: Vec<Option<u64>> =
            self.hunts.iter().map(|(hunt, _)| hunt.first.as_ref().map(|first| first.schedules)).collect();
        let found = firsts.iter().flatten().count();
        // A campaign that found nothing counts as its limit: the true mean is no smaller.
        let mut counted: Vec<u64> = firsts.iter().map(|first| first.unwrap_or(self.within)).collect();
        let mean = counted.iter().sum::<u64>() as f64 / counted.len().max(1) as f64;
        counted.sort_unstable();
        let middle = counted[counted.len() / 2];
        let median = if found * 2 > firsts.len() { middle.to_string() } else { format!("> {}", self.within) };
        let seconds: f64 = self.hunts.iter().map(|(_, took)| took.as_secs_f64()).sum();
        let each: Vec<String> =
            firsts.iter().map(|first| first.map_or_else(|| "-".to_owned(), |first| first.to_string())).collect();
        write!(f, "{:<5} {mark:<4} {:<36} {strategy:<9} {found:>2} of {:<3}", facts.id, facts.word, firsts.len())?;
        write!(f, " {median:>8} {mean:>17.1} {seconds:>9.1}  {}", each.join(" "))
    }
}
