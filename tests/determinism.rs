//! A run is a pure function of scenario and seed.

use std::hash::Hash;
use std::ops::ControlFlow;

use models::fingerprint::Fingerprint;
use models::time::Span;
use replay::player::{self, Verdict};
use replay::record::Record;
use scenarios::schedule::Schedule;
use sim::run::{Run, Simulator};

use crate::{run, scenario, watch};

#[test]
fn the_same_seed_repeats_every_observation() {
    let mut scenario = scenario("stretch-cluster");
    scenario.phases.faults = Span::from_secs(60);
    let digest = |seed| {
        let mut digest = Fingerprint::default();
        let finished = watch(&scenario, seed, |seen| seen.hash(&mut digest));
        (finished.outcome, digest.value())
    };
    let first = digest(7);
    assert_eq!(first, digest(7));
    assert_ne!(first, digest(8), "another seed is another run");
}

#[test]
fn watching_a_run_does_not_change_it() {
    let scenario = scenario("three-zookeepers-2-1");
    assert_eq!(run(&scenario, 3).outcome, watch(&scenario, 3, |seen| assert!(seen.incarnation < 1_000)).outcome);
}

#[test]
fn a_record_verifies_and_a_changed_one_names_the_first_difference() {
    let mut scenario = scenario("controller-host-crash");
    scenario.phases.faults = scenario.phases.faults.min(Span::from_secs(120));
    let schedule = Schedule::draw(&scenario, 5);
    let mut checkpoints = Vec::new();
    let finished = Run::new(scenario.clone(), 5, &schedule).finish(&mut |_: &_| {}, &mut |checkpoint| {
        checkpoints.push(checkpoint);
        ControlFlow::Continue(())
    });
    let mut record = Record {
        build: "test".to_owned(),
        scenario,
        seeds: 5.into(),
        schedule,
        checkpoints,
        outcome: finished.outcome,
    };
    let count = record.checkpoints.len();
    let Ok(verdict) = player::replay(&record, &Simulator);
    assert_eq!(verdict, Verdict::Same { checkpoints: count, outcome: record.outcome.clone() });

    record.checkpoints[40].fingerprint ^= 1;
    let Ok(Verdict::Diverged(divergence)) = player::replay(&record, &Simulator) else {
        panic!("a record with a wrong checkpoint must not verify");
    };
    assert_eq!(divergence.agreed_until, record.checkpoints[39].at);
    assert_eq!(divergence.recorded, Some(record.checkpoints[40]));
}
