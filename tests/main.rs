//! The workspace suite: one binary, a module per concern.

mod defects;
mod determinism;
mod doctor;
mod faults;
mod fidelity;
mod forks;
mod golden;
mod library;
mod links;
mod losses;
mod monitors;
mod old_protocols;
mod profile;
mod shrink;
mod tape;
mod tidy;

use std::ops::ControlFlow;

use models::observation::Observed;
use scenarios::Scenario;
use scenarios::schedule::Schedule;
use sim::run::{Finished, Run};

/// A scenario of the library.
fn scenario(name: &str) -> Scenario {
    let entry = scenarios::library::find(name).expect("the test names a scenario of the library");
    entry.scenario().expect("every scenario of the library is valid")
}

/// Runs a scenario with its own schedule.
fn run(scenario: &Scenario, seed: u64) -> Finished {
    watch(scenario, seed, |_| {})
}

/// Runs a scenario and shows every observation to `watcher`.
fn watch(scenario: &Scenario, seed: u64, mut watcher: impl FnMut(&Observed)) -> Finished {
    let schedule = Schedule::draw(scenario, seed);
    Run::new(scenario.clone(), seed, &schedule).finish(&mut watcher, &mut |_| ControlFlow::Continue(()))
}

/// What is wrong with a run, for a failing test.
fn complaints(finished: &Finished) -> Vec<String> {
    let broken = finished.judgement.reports.iter().filter_map(|report| match &report.outcome {
        models::laws::Outcome::Broken(violation) => Some(violation.to_string()),
        _ => None,
    });
    let unmet = finished.judgement.expectations.iter().filter(|met| !met.met).map(|met| met.what.clone());
    broken.chain(unmet).collect()
}
