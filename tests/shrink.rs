//! Failures of defects shrink to what brings them about, and what is left still fails when something unrelated changes.

use models::defect::{Defect, Defects};
use models::time::Span;
use replay::record::BrokenLaw;
use replay::shrink::{Budget, Case, Shrunk, Target, shrink};
use scenarios::schedule::Schedule;
use scenarios::workload::{ClientGroup, SessionConfig};
use scenarios::{Scenario, Seeds};
use sim::run::Simulator;

use crate::{run, scenario};

/// The stretch cluster as campaigns run it, with a defect switched on.
fn with_defect(defect: Defect) -> Scenario {
    let mut scenario = scenario("stretch-cluster");
    scenario.cluster.kafka.defects = Defects::NONE.with(defect);
    scenario.phases.faults = Span::from_secs(120);
    (scenario.workload.topics, scenario.workload.records_per_second) = (1, 100);
    scenario
}

/// The first seed whose run breaks a law, of those that draw at least three faults.
fn failure(scenario: &Scenario) -> (u64, BrokenLaw) {
    let rich = |seed: &u64| Schedule::draw(scenario, *seed).faults.len() >= 3;
    let broken = |seed| Some((seed, run(scenario, seed).outcome.violation?));
    (0..60).filter(rich).find_map(broken).expect("one of the seeds breaks a law")
}

fn shrink_seed(scenario: &Scenario, seed: u64, law: &str, jobs: usize) -> Shrunk {
    let seeds = Seeds::from(seed);
    let case = Case::new(scenario, seeds, &Schedule::draw(scenario, seed));
    let target = Target { law: law.to_owned(), signature: None, seeds };
    let budget = Budget { runs: None, over: &|| false, jobs };
    shrink(&case, &target, &Simulator, &budget, &()).expect("the run breaks the law")
}

fn law_of(scenario: &Scenario, seed: u64) -> Option<String> {
    run(scenario, seed).outcome.violation.map(|broken| broken.law)
}

/// An application more, with streams of its own, that has nothing to do with the failure.
fn with_bystander(scenario: &Scenario) -> Scenario {
    let mut scenario = scenario.clone();
    let servers = scenario.cluster.zookeeper.servers.iter().map(|server| server.sid).collect();
    let (session_timeout, pause) = (Span::from_secs(20), Span::from_secs(7_200));
    let config = SessionConfig { servers, shuffle: true, session_timeout, pause };
    let host = scenario.workload.admin;
    scenario.workload.sessions.push(ClientGroup { host, count: 1, group: None, config });
    scenario
}

/// Shrinks a failure and checks everything that is promised of the result. Returns it.
fn check(defect: Defect, most_faults: usize) -> Shrunk {
    let whole = with_defect(defect);
    let (seed, broken) = failure(&whole);
    let shrunk = shrink_seed(&whole, seed, &broken.law, 2);
    let small = &shrunk.case.scenario;
    let told = format!("{defect}, seed {seed}, {}:\n{}", broken.law, small.to_yaml());
    assert!(!shrunk.cut && shrunk.minimal.is_some(), "{told}");
    assert!(small.faults.len() <= most_faults, "{told}");
    assert!(small.topology.hosts.len() < whole.topology.hosts.len(), "{told}");
    let read = Scenario::parse("small.yaml", &small.to_yaml()).unwrap_or_else(|errors| panic!("{errors:?}\n{told}"));
    assert_eq!(law_of(&read, seed).as_ref(), Some(&broken.law), "{told}");
    assert!(shrunk.robustness.is_some_and(|robustness| robustness.stands), "{told}");
    assert_eq!(law_of(&with_bystander(small), seed).as_ref(), Some(&broken.law), "with somebody more: {told}");
    let robustly = |scenario: &Scenario| {
        let copies = std::iter::once(scenario.clone()).chain(replay::shrink::disturbed(scenario));
        copies.into_iter().all(|scenario| law_of(&scenario, seed).as_ref() == Some(&broken.law))
    };
    for index in 0..small.faults.len() {
        let mut fewer = small.clone();
        fewer.faults.remove(index);
        assert!(!robustly(&fewer), "fault {index} can go: {told}");
    }
    shrunk
}

#[test]
fn a_lost_guard_of_the_isr_shrinks_to_one_fault() {
    check(Defect::NoMinIsr, 1);
}

#[test]
fn a_truncation_to_the_high_watermark_shrinks_to_one_fault() {
    let shrunk = check(Defect::HwTruncation, 1);
    let cluster = &shrunk.case.scenario.cluster;
    assert!(cluster.kafka.brokers.len() <= 3 && cluster.zookeeper.servers.len() == 1, "{cluster:?}");
}

#[test]
fn threads_do_not_change_what_comes_out() {
    let scenario = scenario("hw-truncation");
    let law = law_of(&scenario, 0).expect("the scenario shows a defect");
    let (one, three) = (shrink_seed(&scenario, 0, &law, 1), shrink_seed(&scenario, 0, &law, 3));
    assert_eq!((one.case, one.runs), (three.case, three.runs));
}
