//! Makes a failing run small: fewer faults, hosts, clients and partitions, shorter and simpler faults, fewer settings, while the
//! same law breaks.
//!
//! [`shrink`] takes a [`Case`] and gives a smaller one. Each pass proposes candidates, the [`trial`]s say which is the first that
//! still breaks the law, and passes are repeated until none finds anything. The last pass takes out every single fault, host and
//! client once more and lets each run go on to its very end: what is left is 1-minimal.
//!
//! A candidate counts if it breaks the law with the seeds of the case. A run that hangs on one race would pass that test and
//! fail after any change of code; so in the end the smallest case is disturbed, and if it does not stand that, shrinking begins
//! anew from the smallest case on the way that does, and accepts only what does ([`robust`]).
//!
//! Deterministic: the result depends on case, target and number of runs allowed, not on threads or time, unless the budget's
//! clock cuts it off, which [`Shrunk::cut`] tells.

mod ddmin;
mod passes;
mod robust;
mod size;
mod times;
mod trial;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use models::time::{Instant, Span};
use scenarios::schedule::{Planned, Schedule, Timed};
use scenarios::{Scenario, Seeds};

pub use ddmin::ddmin;
pub use robust::{Robustness, disturbed};
pub use size::Size;

use crate::record::{BrokenLaw, Record};
use crate::subject::Subject;
use trial::{Spent, Trials};

/// How much later than in the smallest case so far a candidate may break the law. A run that comes later is given up, except in
/// the last pass.
const PATIENCE: Span = Span::from_secs(30);
/// Seeds that the smallest case is tried with in the end.
const OTHER_SEEDS: u64 = 10;

/// A failing run to be shrunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What is there, with every fault written out and no chaos profile.
    pub scenario: Scenario,
    /// The seeds.
    pub seeds: Seeds,
}

impl Case {
    /// The case of a scenario, its seeds, and a schedule.
    pub fn new(scenario: &Scenario, seeds: Seeds, schedule: &Schedule) -> Self {
        let mut scenario = scenario.clone();
        let planned = |fault: &Timed| Planned::new(fault.at, fault.duration, fault.fault.clone().as_written());
        scenario.faults = schedule.faults.iter().map(planned).collect();
        (scenario.chaos, scenario.demonstrates) = (None, None);
        // A schedule of a file must end within the fault phase; a drawn one does.
        scenario.phases.faults = scenario.phases.faults.max(schedule.end());
        Self { scenario, seeds }
    }
}

impl From<&Record> for Case {
    fn from(record: &Record) -> Self {
        Self::new(&record.scenario, record.seeds, &record.schedule)
    }
}

/// What has to stay broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The law, or the expectation.
    pub law: String,
    /// What was wrong, if that has to stay the same too, numbers aside.
    pub signature: Option<String>,
    /// The seeds of every run.
    pub seeds: Seeds,
}

impl Target {
    fn is_met(&self, broken: &BrokenLaw) -> bool {
        broken.law == self.law && self.signature.as_ref().is_none_or(|signature| *signature == broken.signature())
    }
}

/// How much may be tried.
pub struct Budget<'a> {
    /// At most this many runs; `None` is no bound.
    pub runs: Option<u64>,
    /// Whether time is up. It is asked often, from several threads.
    pub over: &'a (dyn Fn() -> bool + Sync),
    /// Runs at a time, at least 1.
    pub jobs: usize,
}

impl Budget<'_> {
    fn is_over(&self) -> bool {
        (self.over)()
    }
}

/// Who is told how it goes. Called from several threads.
pub trait Watcher: Sync {
    /// A run has ended.
    fn ran(&self) {}
    /// A smaller case was found.
    fn found(&self, _pass: &str, _size: &Size, _runs: u64) {}
}

/// Nobody.
impl Watcher for () {}

/// What shrinking came to.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest case.
    pub case: Case,
    /// What it breaks.
    pub broken: BrokenLaw,
    /// What the case given broke.
    pub original: BrokenLaw,
    /// Runs that were needed. The same for any number of threads.
    pub runs: u64,
    /// Runs that were made ahead and turned out not to be needed.
    pub wasted: u64,
    /// Single faults, hosts and clients that the last pass took out in vain, each run to its end. `None` if the budget ended
    /// before.
    pub minimal: Option<Minimal>,
    /// How it stands disturbances; `None` if the budget ended before.
    pub robustness: Option<Robustness>,
    /// Whether the budget ended before nothing was left to try.
    pub cut: bool,
}

/// What the last pass took out, one at a time and in vain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Minimal {
    /// Faults.
    pub faults: usize,
    /// Hosts.
    pub hosts: usize,
    /// Clients.
    pub clients: usize,
    /// Whether a removal was in vain also where the law still broke, but not under every disturbance.
    pub robustly: bool,
}

/// The case does not break the law, or the budget ended before that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotFailing;

/// Shrinks a case.
///
/// # Errors
/// The case does not break the law.
pub fn shrink<S: Subject + Sync>(
    case: &Case,
    target: &Target,
    subject: &S,
    budget: &Budget<'_>,
    watcher: &dyn Watcher,
) -> Result<Shrunk, NotFailing> {
    let mut trials = Trials::new(subject, target, budget, watcher);
    let found = trials.first(std::slice::from_ref(&case.scenario)).ok().flatten();
    let original = found.ok_or(NotFailing)?.broken;
    let mut shrinker = Shrinker {
        trials,
        watcher,
        trail: vec![(case.scenario.clone(), original.clone())],
        seen: BTreeSet::new(),
        minimal: None,
        robustness: None,
    };
    let cut = shrinker.work(case.seeds).is_err();
    let (scenario, broken) = shrinker.trail.pop().expect("the trail begins with the case given");
    Ok(Shrunk {
        case: Case { scenario, seeds: case.seeds },
        broken,
        original,
        runs: shrinker.trials.runs,
        wasted: shrinker.trials.wasted,
        minimal: shrinker.minimal,
        robustness: shrinker.robustness,
        cut,
    })
}

/// The smallest case so far, and how it came about.
struct Shrinker<'a, S> {
    trials: Trials<'a, S>,
    watcher: &'a dyn Watcher,
    /// Cases that break the law, each smaller than the one before.
    trail: Vec<(Scenario, BrokenLaw)>,
    /// Printed forms of what was accepted, so that no pass leads back.
    seen: BTreeSet<String>,
    minimal: Option<Minimal>,
    robustness: Option<Robustness>,
}

impl<S: Subject + Sync> Shrinker<'_, S> {
    fn work(&mut self, seeds: Seeds) -> Result<(), Spent> {
        self.reach_fixpoint()?;
        self.make_robust()?;
        let others: Vec<Seeds> = (1..=OTHER_SEEDS).map(|step| Seeds::from(seeds.faults.wrapping_add(step))).collect();
        let hits = self.trials.with_seeds(self.current(), &others);
        if let Some(robustness) = &mut self.robustness {
            robustness.seeds = (hits, others.len());
        }
        Ok(())
    }

    /// Repeats all passes until none finds anything, and then takes everything out once more without a time limit.
    fn reach_fixpoint(&mut self) -> Result<(), Spent> {
        loop {
            while self.all_passes()? {}
            self.minimal = None;
            let (counts, candidates) = self.single_removals();
            self.trials.limit = Instant::MAX;
            match self.trials.first(&candidates)? {
                Some(found) => self.accept("last pass", found.scenario, found.broken),
                None => {
                    self.minimal = Some(counts);
                    return Ok(());
                }
            }
        }
    }

    fn current(&self) -> &Scenario {
        &self.trail.last().expect("the trail begins with the case given").0
    }

    fn broken(&self) -> &BrokenLaw {
        &self.trail.last().expect("the trail begins with the case given").1
    }

    /// Takes a case for the smallest so far.
    fn accept(&mut self, pass: &str, scenario: Scenario, broken: BrokenLaw) {
        self.seen.insert(scenario.to_yaml());
        self.watcher.found(pass, &Size::of(&scenario), self.trials.runs);
        self.trail.push((scenario, broken));
    }

    /// The first candidate that breaks the law becomes the smallest case so far. Returns its position.
    fn first(&mut self, pass: &str, candidates: &[Scenario]) -> Result<Option<usize>, Spent> {
        self.trials.limit = self.broken().at + PATIENCE;
        let Some(found) = self.trials.first(candidates)? else { return Ok(None) };
        self.accept(pass, found.scenario, found.broken);
        Ok(Some(found.index))
    }

    /// Tries what `propose` makes of the smallest case so far, again and again. After a success it goes on at the same position,
    /// where something else stands now. True if anything was found.
    fn pass(&mut self, name: &str, propose: impl Fn(&Scenario, &BrokenLaw) -> Vec<Scenario>) -> Result<bool, Spent> {
        let (mut position, mut any) = (0, false);
        loop {
            let mut candidates = propose(self.current(), self.broken());
            candidates.drain(..position.min(candidates.len()));
            let fresh = |scenario: &Scenario| !self.seen.contains(&scenario.to_yaml()) && scenario != self.current();
            let (positions, candidates): (Vec<_>, Vec<_>) =
                candidates.into_iter().enumerate().filter(|(_, scenario)| fresh(scenario)).unzip();
            match self.first(name, &candidates)? {
                Some(index) => (position, any) = (position + positions[index], true),
                None => return Ok(any),
            }
        }
    }
}
