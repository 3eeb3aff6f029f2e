//! Schedules to first failure: how many a search needs until something breaks.
//!
//! A hunt ends at a moment that does not depend on threads: a random search looks at its results block by block, a guided one
//! generation by generation. The number that counts is that of the first failing schedule.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use models::defect::Defect;
use replay::record::{Checkpoint, Record};
use replay::subject::Subject;
use scenarios::swarm::{SEEDS_PER_WORLD, Swarm};

use super::campaign::{self, News};
use super::case::{CaseResult, Guarded, Runner};
use super::guided::{self, corpus::Corpus};
use super::spec::{Spec, Strategy};
use crate::guard::PANIC;
use crate::run::Simulator;

/// Schedules between two looks: enough worlds for every thread to have some.
const BLOCK: u64 = 8 * SEEDS_PER_WORLD;

/// How long a hunt goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Schedules after which it is given up. Rounded up to whole worlds.
    pub within: u64,
    /// Schedules to run in any case, so that the share of failing ones is known with some certainty.
    pub at_least: u64,
}

/// What a hunt came to.
#[derive(Debug, Default)]
pub struct Hunt {
    /// Schedules run.
    pub schedules: u64,
    /// How many of them failed because of what is hunted.
    pub failures: u64,
    /// How many failed and break the same law without it: another rule of their time did that, or a defect of Faultline.
    pub unrelated: u64,
    /// Runs that ended in a panic: defects of Faultline, not what is hunted.
    pub panics: u64,
    /// The first failing schedule.
    pub first: Option<Catch>,
}

/// The first failure.
#[derive(Debug)]
pub struct Catch {
    /// How many schedules it took, itself included.
    pub schedules: u64,
    /// What it broke.
    pub result: CaseResult,
    /// Its record.
    pub record: Box<Record>,
}

impl Hunt {
    fn add(&mut self, from: u64, (result, record): (CaseResult, Option<Box<Record>>), quarry: &dyn Quarry) {
        self.schedules += 1;
        let Some(failure) = &result.failure else { return };
        if failure.law == PANIC {
            self.panics += 1;
            return;
        }
        if record.as_ref().is_some_and(|record| !quarry.did(record)) {
            self.unrelated += 1;
            return;
        }
        self.failures += 1;
        let schedules = result.seed - from + 1;
        if self.first.as_ref().is_none_or(|first| schedules < first.schedules)
            && let Some(record) = record
        {
            self.first = Some(Catch { schedules, result, record });
        }
    }

    fn is_over(&self, limits: Limits) -> bool {
        self.schedules >= limits.within || self.first.is_some() && self.schedules >= limits.at_least
    }
}

/// What is hunted.
pub trait Quarry {
    /// Whether the run failed because of it.
    fn did(&self, failed: &Record) -> bool;
}

/// One defect: the same schedule does not break the same law once it alone is repaired. What it implies stays, and may break that law
/// by itself: then it was not this one.
impl Quarry for Defect {
    fn did(&self, failed: &Record) -> bool {
        let Some(broken) = &failed.outcome.violation else { return false };
        let repaired = failed.scenario.repaired_of(*self);
        let end = &mut |_: Checkpoint| ControlFlow::Continue(());
        let Ok(outcome) = Guarded(Simulator).run(&repaired, failed.seeds, &failed.schedule, end);
        outcome.violation.is_none_or(|other| other.law != broken.law)
    }
}

/// Runs the campaign of `spec` from its first seed on, until something fails or `limits` are reached; `spec.to` is not looked at.
/// `on_run` is told how many schedules are finished.
pub fn hunt<R: Runner>(
    (spec, swarm): (&Spec, &Swarm),
    (runner, quarry): (&R, &dyn Quarry),
    limits: Limits,
    jobs: usize,
    on_run: &mut dyn FnMut(u64),
) -> Hunt {
    match spec.strategy {
        Strategy::Random => random((spec, swarm), (runner, quarry), limits, jobs, on_run),
        Strategy::Guided => guided((spec, swarm), (runner, quarry), limits, jobs, on_run),
    }
}

type Never = std::convert::Infallible;

fn random<R: Runner>(
    (spec, swarm): (&Spec, &Swarm),
    (runner, quarry): (&R, &dyn Quarry),
    limits: Limits,
    jobs: usize,
    on_run: &mut dyn FnMut(u64),
) -> Hunt {
    let mut hunt = Hunt::default();
    while !hunt.is_over(limits) {
        let from = spec.from + hunt.schedules;
        let block = BLOCK.min(limits.within - hunt.schedules);
        let part = Spec { from, to: Some(from + block), ..spec.clone() };
        let mut ran = BTreeMap::new();
        let before = hunt.schedules;
        let Ok(()) = campaign::run(&part, swarm, runner, jobs, &|_| false, &AtomicBool::new(false), &mut |news| {
            if let News::Finished(result, record) = news {
                ran.insert(result.seed, (result, record));
                on_run(before + ran.len() as u64);
            }
            Ok::<(), Never>(())
        });
        ran.into_values().for_each(|ran| hunt.add(spec.from, ran, quarry));
    }
    hunt
}

fn guided<R: Runner>(
    (spec, swarm): (&Spec, &Swarm),
    (runner, quarry): (&R, &dyn Quarry),
    limits: Limits,
    jobs: usize,
    on_run: &mut dyn FnMut(u64),
) -> Hunt {
    let whole = Spec { to: Some(spec.from + limits.within), ..spec.clone() };
    let stop = AtomicBool::new(false);
    let hunt = std::cell::RefCell::new(Hunt::default());
    let Ok(()) = guided::run(
        (&whole, swarm),
        runner,
        jobs,
        &mut Corpus::default(),
        (&|_| false, &stop),
        &mut |news| {
            if let News::Finished(result, record) = news {
                let mut hunt = hunt.borrow_mut();
                hunt.add(spec.from, (result, record), quarry);
                on_run(hunt.schedules);
            }
            Ok::<(), Never>(())
        },
        &mut |_, _| {
            if hunt.borrow().is_over(limits) {
                stop.store(true, Ordering::Relaxed);
            }
            Ok(())
        },
    );
    hunt.into_inner()
}
