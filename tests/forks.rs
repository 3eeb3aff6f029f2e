//! A run that is forked from a shared start-up is the run that has the same seeds from its beginning, laws included.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use models::observation::{Observation, Observed};
use models::time::{Instant, Span};
use scenarios::schedule::Schedule;
use scenarios::{Scenario, Seeds};
use sim::run::{Finished, Phase, Run};

use crate::scenario;

/// A small stretch cluster, so that many of them can be run.
fn small() -> Arc<Scenario> {
    let mut scenario = scenario("stretch-cluster");
    scenario.phases.faults = Span::from_secs(40);
    scenario.workload.topics = 1;
    scenario.workload.partitions = 4;
    scenario.workload.records_per_second = 40;
    Arc::new(scenario)
}

fn finish(run: Run) -> Finished {
    run.finish(&mut |_: &Observed| {}, &mut |_| ControlFlow::Continue(()))
}

/// Everything that a run comes to, in words that can be compared.
fn all_of(finished: &Finished) -> String {
    format!("{finished:#?}")
}

#[test]
fn a_fork_is_the_run_from_the_start() {
    let scenario = small();
    for start_up in [3, 9] {
        let prefix = Run::start_up(scenario.clone(), start_up);
        assert_eq!((prefix.phase(), prefix.now()), (Phase::StartUp, prefix.start()));
        let mut fingerprints = Vec::new();
        for faults in [start_up, 100, 101, 102, 103] {
            let schedule = Schedule::draw(&scenario, faults);
            let whole = finish(Run::new(scenario.clone(), Seeds { start_up, faults }, &schedule));
            let forked = finish(prefix.fork(faults, &schedule));
            assert_eq!(all_of(&whole), all_of(&forked), "start-up {start_up}, faults {faults}");
            fingerprints.push(whole.outcome.fingerprint);
        }
        fingerprints.sort_unstable();
        fingerprints.dedup();
        assert_eq!(fingerprints.len(), 5, "every seed of the faults is a run of its own");
    }
}

/// What is shared must not show through: a fork leaves the run that it was taken from, and its other forks, as they were.
#[test]
fn forks_do_not_touch_each_other() {
    let scenario = small();
    let prefix = Run::start_up(scenario.clone(), 1);
    let schedule = Schedule::draw(&scenario, 5);
    let first = all_of(&finish(prefix.fork(5, &schedule)));
    let _other = finish(prefix.fork(6, &Schedule::draw(&scenario, 6)));
    assert_eq!(first, all_of(&finish(prefix.fork(5, &schedule))));
}

/// With one seed nothing begins anew: the same streams go on, even if the schedule does nothing.
#[test]
fn one_seed_is_one_stream() {
    let scenario = small();
    let plain = finish(Run::new(scenario.clone(), 4, &Schedule::default()));
    let forked = finish(Run::start_up(scenario.clone(), 4).fork(4, &Schedule::default()));
    let other = finish(Run::start_up(scenario, 4).fork(5, &Schedule::default()));
    assert_eq!(plain.outcome, forked.outcome);
    assert_ne!(plain.outcome.fingerprint, other.outcome.fingerprint);
}

/// A run that is taken event by event, cloned at odd moments and stopped between events is still the same run.
#[test]
fn a_run_can_be_stopped_anywhere() {
    let scenario = small();
    let schedule = Schedule::draw(&scenario, 8);
    let mut checkpoints = Vec::new();
    let whole = Run::new(scenario.clone(), 8, &schedule).finish(&mut |_: &Observed| {}, &mut |checkpoint| {
        checkpoints.push(checkpoint);
        ControlFlow::Continue(())
    });
    let mut nobody = |_: &Observed| {};
    let mut run = Run::new(scenario, 8, &schedule);
    run.advance_to(run.start() + Span::from_us(12_345_678), &mut nobody, &mut |_| ControlFlow::Continue(()));
    let mut found = Vec::new();
    let mut find = |checkpoint| {
        found.push(checkpoint);
        ControlFlow::Continue(())
    };
    for step in 0..20_000 {
        assert!(run.step_until(Instant::MAX, &mut nobody, &mut find));
        if step % 5_000 == 0 {
            run = run.clone();
        }
    }
    assert!(run.now() < whole.outcome.ended);
    let end = run.finish(&mut nobody, &mut find);
    assert_eq!(all_of(&end), all_of(&whole));
    assert_eq!(checkpoints[checkpoints.len() - found.len()..], found);
}

/// Chance from another seed is another future of the same state; the moment itself is untouched.
#[test]
fn a_branch_has_the_same_past_and_another_future() {
    let scenario = small();
    let schedule = Schedule::draw(&scenario, 2);
    let mut run = Run::new(scenario, 2, &schedule);
    run.advance_to(run.start() + Span::from_secs(7), &mut |_: &Observed| {}, &mut |_| ControlFlow::Continue(()));
    let branch = run.branch(77);
    assert_eq!(run.checkpoint(), branch.checkpoint());
    let [original, one, same, other] =
        [run.clone(), branch, run.branch(77), run.branch(78)].map(|run| finish(run).outcome);
    assert_eq!(one, same);
    assert_ne!(one.fingerprint, other.fingerprint);
    assert_ne!(one.fingerprint, original.fingerprint);
}

/// Streams are keyed by name: who is taken away takes no draw of the others with it, although all positions move.
#[test]
fn the_streams_of_others_stay_when_one_goes() {
    let started = |scenario: &Scenario| {
        let run = Run::new(scenario.clone(), 3, &Schedule::default());
        let deployment = run.deployment().clone();
        let mut up = BTreeMap::new();
        let mut run = run;
        run.advance_to(
            run.start(),
            &mut |seen: &Observed| {
                if seen.what == Observation::Up {
                    up.insert(deployment.name(seen.process).to_owned(), seen.at);
                }
            },
            &mut |_| ControlFlow::Continue(()),
        );
        up
    };
    let whole = Scenario::clone(&small());
    let mut less = whole.clone();
    let gone = less.cluster.kafka.brokers.remove(0);
    let (whole, less) = (started(&whole), started(&less));
    let gone = format!("broker{}", gone.id);
    assert!(whole.contains_key(&gone) && !less.contains_key(&gone));
    for (name, at) in &less {
        assert_eq!(whole.get(name), Some(at), "{name} starts at another moment");
    }
    assert_eq!(less.len() + 1, whole.len());
}
