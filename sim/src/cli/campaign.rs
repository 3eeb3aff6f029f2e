//! Many runs on several threads.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use models::observation::Observed;
use scenarios::Scenario;
use scenarios::schedule::Schedule;

use crate::run::{Finished, Run};

/// Threads for `--jobs`: 0 is one per core.
pub(super) fn threads(jobs: usize) -> usize {
    if jobs == 0 { std::thread::available_parallelism().map_or(1, NonZero::get) } else { jobs }
}

/// Calls `task` with every number of `numbers` on `jobs` threads, and returns the results in the order of the numbers.
pub(super) fn map<T: Send>(numbers: Range<u64>, jobs: usize, task: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let next = AtomicU64::new(numbers.start);
    let done: Mutex<BTreeMap<u64, T>> = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= numbers.end {
                        break;
                    }
                    let result = task(number);
                    done.lock().unwrap_or_else(PoisonError::into_inner).insert(number, result);
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}

/// Runs a scenario with the schedule that the seed draws, and shows every observation to `watcher`.
pub(super) fn watch(scenario: &Scenario, seed: u64, watcher: &mut impl FnMut(&Observed)) -> Finished {
    let schedule = Schedule::draw(scenario, seed);
    Run::new(scenario.clone(), seed, &schedule).finish(watcher, &mut |_| ControlFlow::Continue(()))
}

/// The laws that a run broke, with what happened.
pub(super) fn broken(finished: &Finished) -> impl Iterator<Item = (&'static str, &str)> {
    finished.judgement.broken().map(|(law, violation)| (law, violation.what.as_str()))
}

/// The first thing that was wrong with a run; empty if nothing was.
pub(super) fn first_wrong(finished: &Finished) -> String {
    let unmet = || finished.judgement.expectations.iter().find(|met| !met.met).map(|met| met.what.clone());
    broken(finished).next().map(|(law, what)| format!("{law}: {what}")).or_else(unmet).unwrap_or_default()
}
