//! Trying candidates: several at a time, each once, and the first in order that breaks the law wins.
//!
//! What comes out does not depend on the number of threads: of a list of candidates everything before the winner has been
//! tried to its end, and what was tried behind it counts only once it is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use models::time::Instant;
use scenarios::schedule::Schedule;
use scenarios::{Scenario, Seeds};

use super::{Budget, Target, Watcher};
use crate::record::BrokenLaw;
use crate::subject::Subject;

/// The budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spent;

/// A candidate as the cache knows it: a scenario in its recorded form.
type Key = Vec<u8>;

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Known {
    /// It broke the law.
    Breaks(BrokenLaw),
    /// It did not, up to this moment; [`Instant::MAX`] is its end.
    Holds(Instant),
}

/// What trying a candidate came to.
#[derive(Clone, Debug)]
struct Tried {
    /// How it breaks the law, if it does.
    broken: Option<BrokenLaw>,
    /// The runs that this took, in order.
    runs: Vec<(Key, Known)>,
}

/// A candidate that breaks the law.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Its position in the list.
    pub(super) index: usize,
    /// The candidate.
    pub(super) scenario: Scenario,
    /// What it broke.
    pub(super) broken: BrokenLaw,
}

/// Runs candidates.
pub(super) struct Trials<'a, S> {
    subject: &'a S,
    target: &'a Target,
    budget: &'a Budget<'a>,
    watcher: &'a dyn Watcher,
    /// Disturbed copies of a candidate that have to break the law as well.
    disturb: Option<fn(&Scenario) -> Vec<Scenario>>,
    /// Runs that were needed, by what they ran.
    known: BTreeMap<Key, Known>,
    /// Runs that nobody has asked for yet.
    ahead: BTreeMap<Key, Known>,
    /// How many runs were needed. The same for any number of threads.
    pub(super) runs: u64,
    /// Runs that were made and not needed.
    pub(super) wasted: u64,
    /// Runs that were told to break off at this moment count as unbroken.
    pub(super) limit: Instant,
}

impl<'a, S: Subject + Sync> Trials<'a, S> {
    pub(super) fn new(subject: &'a S, target: &'a Target, budget: &'a Budget<'a>, watcher: &'a dyn Watcher) -> Self {
        Self {
            subject,
            target,
            budget,
            watcher,
            disturb: None,
            known: BTreeMap::new(),
            ahead: BTreeMap::new(),
            runs: 0,
            wasted: 0,
            limit: Instant::MAX,
        }
    }

    /// From now on a candidate counts only if it breaks the law under every disturbance as well.
    pub(super) fn also_under(&mut self, disturb: fn(&Scenario) -> Vec<Scenario>) {
        self.disturb = Some(disturb);
    }

    /// Whether candidates have to stand disturbances.
    pub(super) fn is_disturbed(&self) -> bool {
        self.disturb.is_some()
    }

    /// The first candidate that breaks the law. Candidates that no scenario file could say are passed over.
    pub(super) fn first(&mut self, candidates: &[Scenario]) -> Result<Option<Found>, Spent> {
        let tried = self.try_all(candidates);
        let mut found = Ok(None);
        let mut needed = BTreeSet::new();
        for (index, scenario) in candidates.iter().enumerate() {
            let Some(tried) = tried.get(&index) else {
                found = Err(Spent);
                break;
            };
            for (key, known) in &tried.runs {
                if needed.insert(key.clone()) && self.known.get(key) != Some(known) {
                    if self.budget.runs.is_some_and(|runs| self.runs >= runs) {
                        return Err(Spent);
                    }
                    self.runs += 1;
                    self.ahead.remove(key);
                    self.known.insert(key.clone(), known.clone());
                }
            }
            if let Some(broken) = tried.broken.clone() {
                found = Ok(Some(Found { index, scenario: scenario.clone(), broken }));
                break;
            }
        }
        for (key, known) in tried.into_values().flat_map(|tried| tried.runs) {
            if !self.known.contains_key(&key) && self.ahead.insert(key, known).is_none() {
                self.wasted += 1;
            }
        }
        found
    }

    /// How often a scenario breaks the law with each of these seeds; none of them counts as tried.
    pub(super) fn with_seeds(&self, scenario: &Scenario, seeds: &[Seeds]) -> usize {
        let next = AtomicUsize::new(0);
        let hits = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.budget.jobs.clamp(1, seeds.len().max(1)) {
                scope.spawn(|| {
                    while let Some(seeds) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let known = self.run(scenario, *seeds, Instant::MAX, &|| self.budget.is_over());
                        let broke = matches!(known, Some(Known::Breaks(_)));
                        hits.fetch_add(usize::from(broke), Ordering::Relaxed);
                    }
                });
            }
        });
        hits.into_inner()
    }

    /// Tries candidates until all before the first success have been tried.
    fn try_all(&self, candidates: &[Scenario]) -> BTreeMap<usize, Tried> {
        let next = AtomicUsize::new(0);
        let best = AtomicUsize::new(usize::MAX);
        let done: Mutex<BTreeMap<usize, Tried>> = Mutex::new(BTreeMap::new());
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let beaten = || best.load(Ordering::Relaxed) < index || self.budget.is_over();
                let Some(candidate) = candidates.get(index).filter(|_| !beaten()) else { return };
                let Some(tried) = self.try_one(candidate, &beaten) else { return };
                if tried.broken.is_some() {
                    best.fetch_min(index, Ordering::Relaxed);
                }
                done.lock().unwrap_or_else(PoisonError::into_inner).insert(index, tried);
            }
        };
        match self.budget.jobs.min(candidates.len()) {
            0 => {}
            1 => work(),
            jobs => std::thread::scope(|scope| {
                for _ in 0..jobs {
                    scope.spawn(work);
                }
            }),
        }
        done.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries a candidate and its disturbed copies, until one does not break the law. `None` if it was beaten meanwhile.
    fn try_one(&self, candidate: &Scenario, beaten: &dyn Fn() -> bool) -> Option<Tried> {
        let mut tried = Tried { broken: None, runs: Vec::new() };
        if !candidate.is_sound() {
            return Some(tried);
        }
        let mut first = None;
        let disturbed = self.disturb.map_or_else(Vec::new, |disturb| disturb(candidate));
        for scenario in std::iter::once(candidate.clone()).chain(disturbed) {
            let key = key(&scenario);
            let known = match self.cached(&key) {
                Some(known) => known,
                None => self.run(&scenario, self.target.seeds, self.limit, beaten)?,
            };
            let broken = match &known {
                Known::Breaks(broken) => Some(broken.clone()),
                Known::Holds(_) => None,
            };
            tried.runs.push((key, known));
            let Some(broken) = broken else { return Some(tried) };
            first.get_or_insert(broken);
        }
        tried.broken = first;
        Some(tried)
    }

    /// What is known of a scenario, as far as it answers whether the law breaks by the limit.
    fn cached(&self, key: &Key) -> Option<Known> {
        let known = self.known.get(key).or_else(|| self.ahead.get(key))?;
        match known {
            Known::Holds(until) if *until < self.limit => None,
            Known::Breaks(broken) if broken.at > self.limit => Some(Known::Holds(self.limit)),
            known => Some(known.clone()),
        }
    }

    /// Runs a scenario. `None` if it was beaten meanwhile.
    fn run(&self, scenario: &Scenario, seeds: Seeds, limit: Instant, beaten: &dyn Fn() -> bool) -> Option<Known> {
        let schedule = Schedule::new(scenario.faults.clone());
        let (mut late, mut given_up) = (false, false);
        let outcome = self.subject.run(scenario, seeds, &schedule, &mut |checkpoint| {
            late = checkpoint.at > limit;
            given_up = beaten();
            if late || given_up { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        self.watcher.ran();
        if given_up {
            return None;
        }
        // What cannot be run breaks no law.
        let broken = outcome.ok().and_then(|outcome| outcome.violation);
        Some(match broken.filter(|broken| self.target.is_met(broken)) {
            Some(broken) if !late => Known::Breaks(broken),
            _ => Known::Holds(if late { limit } else { Instant::MAX }),
        })
    }
}

fn key(scenario: &Scenario) -> Key {
    bincode::serde::encode_to_vec(scenario, bincode::config::standard()).expect("a scenario has a recorded form")
}
