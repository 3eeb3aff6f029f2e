//! A setting that promises little loses data, is found out, and replays.

use std::ops::ControlFlow;

use models::laws::{LawReport, Outcome};
use replay::player::{self, Verdict};
use replay::record::Record;
use scenarios::schedule::Schedule;
use sim::run::{Run, Simulator};

use crate::scenario;

/// Some seed of `name` must break its bound on losses without breaking a law, and repeat exactly.
fn check(name: &str) {
    let scenario = scenario(name);
    let lossy = (0..10).find_map(|seed| {
        let schedule = Schedule::draw(&scenario, seed);
        let mut checkpoints = Vec::new();
        let finished = Run::new(scenario.clone(), seed, &schedule).finish(&mut |_: &_| {}, &mut |checkpoint| {
            checkpoints.push(checkpoint);
            ControlFlow::Continue(())
        });
        let unmet = finished.judgement.expectations.iter().any(|met| !met.met && met.name == "expect.permitted_losses");
        unmet.then_some((seed, schedule, checkpoints, finished))
    });
    let (seed, schedule, checkpoints, finished) = lossy.expect("one seed of ten loses an acknowledged record");
    let broken = |report: &LawReport| matches!(report.outcome, Outcome::Broken(_));
    assert!(!finished.judgement.reports.iter().any(broken), "what a setting does not promise is counted, not failed");
    let violation = finished.outcome.violation.as_ref().expect("a scenario that permits no loss has failed");
    assert_eq!(violation.law, "expect.permitted_losses");
    let record = Record {
        build: "test".to_owned(),
        scenario,
        seeds: seed.into(),
        schedule,
        checkpoints,
        outcome: finished.outcome,
    };
    let Ok(verdict) = player::replay(&record, &Simulator);
    assert!(matches!(verdict, Verdict::Same { .. }), "{verdict:?}");
}

#[test]
fn acks_1_loses_what_one_host_alone_had() {
    check("acks-1-loss");
}

#[test]
fn an_unclean_election_loses_what_the_old_leader_had() {
    check("unclean-election-loss");
}
