//! Shrinking against laws that are made up, so that the smallest case is known.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use models::time::{Instant, Span};
use scenarios::fault::{Fault, ProcessSelector};
use scenarios::schedule::{Planned, Schedule};
use scenarios::{Scenario, Seeds};

use super::*;
use crate::record::{Checkpoint, Outcome};

/// Breaks a law whenever the scenario satisfies a predicate, at the end of the last fault.
struct Fake<P> {
    breaks: P,
    runs: AtomicU64,
}

impl<P: Fn(&Scenario) -> bool> Fake<P> {
    fn new(breaks: P) -> Self {
        Self { breaks, runs: AtomicU64::new(0) }
    }
}

impl<P: Fn(&Scenario) -> bool + Sync> Subject for Fake<P> {
    type Error = Infallible;

    fn run(
        &self,
        scenario: &Scenario,
        _: Seeds,
        schedule: &Schedule,
        on_checkpoint: &mut dyn FnMut(Checkpoint) -> ControlFlow<()>,
    ) -> Result<Outcome, Infallible> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        let at = Instant::ZERO + scenario.phases.warm_up + schedule.end();
        let broken = BrokenLaw { law: "X-LAW".to_owned(), at, what: "broken".to_owned() };
        let gone = on_checkpoint(Checkpoint { at, events: 1, fingerprint: 1 }).is_break();
        let violation = Some(broken).filter(|_| !gone && (self.breaks)(scenario));
        Ok(Outcome { ended: at, events: 1, fingerprint: 1, violation })
    }
}

/// The stretch cluster with kills of broker 1, pauses of broker 2 and cuts, one after the other.
fn case() -> Case {
    let entry = scenarios::library::find("stretch-cluster").expect("it is in the library");
    let mut scenario = entry.scenario().expect("the library is valid");
    scenario.chaos = None;
    let broker = |id| ProcessSelector::Broker(models::id::BrokerId(id));
    for step in 0..12u64 {
        let fault = match step % 3 {
            0 => Fault::Kill { process: broker(1) },
            1 => Fault::Pause { process: broker(2) },
            _ => Fault::Kill { process: ProcessSelector::Controller },
        };
        scenario.faults.push(Planned::new(Span::from_ms(7_013 * step), Span::from_ms(9_371), fault));
    }
    Case { scenario, seeds: Seeds::from(7) }
}

fn target() -> Target {
    Target { law: "X-LAW".to_owned(), signature: None, seeds: Seeds::from(7) }
}

fn shrink_with(subject: &(impl Subject + Sync), jobs: usize, runs: Option<u64>) -> Shrunk {
    let budget = Budget { runs, over: &|| false, jobs };
    shrink(&case(), &target(), subject, &budget, &()).expect("the case breaks the law")
}

fn kills(scenario: &Scenario) -> usize {
    scenario.faults.iter().filter(|fault| matches!(fault.fault, Fault::Kill { .. })).count()
}

fn pauses(scenario: &Scenario) -> usize {
    scenario.faults.iter().filter(|fault| matches!(fault.fault, Fault::Pause { .. })).count()
}

#[test]
fn ddmin_finds_the_few_that_matter() {
    for wanted in [vec![], vec![3], vec![0, 31], vec![5, 6, 30]] {
        let mut items: Vec<u32> = (0..32).collect();
        let mut tried = 0;
        let result: Result<(), Infallible> = ddmin(&mut items, |candidates| {
            tried += candidates.len();
            Ok(candidates.iter().position(|items| wanted.iter().all(|one| items.contains(one))))
        });
        assert_eq!((result, &items), (Ok(()), &wanted));
        assert!(tried < 200, "{tried} candidates for {wanted:?}");
    }
}

#[test]
fn ddmin_is_1_minimal_where_less_is_not_always_better() {
    // Accepted: an odd number of the first ten, or everything.
    let accepts = |items: &[u32]| items.iter().filter(|item| **item < 10).count() % 2 == 1 || items.len() == 20;
    let mut items: Vec<u32> = (0..20).collect();
    let result: Result<(), Infallible> =
        ddmin(&mut items, |candidates| Ok(candidates.iter().position(|items| accepts(items))));
    assert_eq!(result, Ok(()));
    assert!(accepts(&items), "{items:?}");
    for index in 0..items.len() {
        let mut fewer = items.clone();
        fewer.remove(index);
        assert!(!accepts(&fewer), "{items:?} without its {index}.");
    }
}

#[test]
fn nothing_is_left_but_what_the_law_needs() {
    let needs = |scenario: &Scenario| {
        let long = |fault: &Planned| fault.duration >= Span::from_secs(2);
        let kill = |fault: &&Planned| matches!(fault.fault, Fault::Kill { .. }) && long(fault);
        scenario.faults.iter().filter(kill).count() >= 2
            && pauses(scenario) >= 1
            && scenario.cluster.kafka.brokers.len() >= 3
            && scenario.workload.producer_count() >= 1
            && scenario.cluster.kafka.brokers.iter().all(|b| b.config.num_replica_fetchers == 4)
    };
    let shrunk = shrink_with(&Fake::new(needs), 2, None);
    let size = Size::of(&shrunk.case.scenario);
    assert!(!shrunk.cut);
    assert_eq!((size.faults, kills(&shrunk.case.scenario), pauses(&shrunk.case.scenario)), (3, 2, 1));
    assert_eq!((size.brokers, size.zookeepers, size.clients), (3, 1, 1));
    assert_eq!((size.partitions, size.replicas, size.settings), (1, 1, 1));
    assert_eq!(shrunk.case.scenario.cluster.kafka.brokers[0].config.min_insync_replicas, 1, "they fall together");
    let durations: Vec<Span> = shrunk.case.scenario.faults.iter().map(|fault| fault.duration).collect();
    assert!(durations.iter().all(|duration| *duration <= Span::from_secs(2)), "{durations:?}");
    let minimal = shrunk.minimal.expect("the last pass was made");
    assert_eq!((minimal.faults, minimal.hosts, minimal.clients), (3, size.hosts, 1));
    assert!(shrunk.robustness.is_some_and(|robustness| robustness.stands && robustness.seeds == (10, 10)));
    assert!(shrunk.case.scenario.is_sound());
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let breaks = |scenario: &Scenario| kills(scenario) % 3 == 1 && pauses(scenario) > 0 || scenario.faults.len() == 12;
    for runs in [None, Some(20)] {
        let one = shrink_with(&Fake::new(breaks), 1, runs);
        let three = shrink_with(&Fake::new(breaks), 3, runs);
        assert_eq!(one.case, three.case);
        assert_eq!((one.runs, one.cut, one.wasted), (three.runs, runs.is_some(), 0));
    }
}

#[test]
fn a_scenario_is_run_once_and_a_budget_of_runs_is_kept() {
    let subject = Fake::new(|scenario: &Scenario| kills(scenario) >= 3);
    let shrunk = shrink_with(&subject, 1, Some(15));
    assert!(shrunk.cut && shrunk.minimal.is_none());
    assert!(shrunk.runs <= 15, "{}", shrunk.runs);
    let whole = Fake::new(|scenario: &Scenario| kills(scenario) >= 3);
    let shrunk = shrink_with(&whole, 1, None);
    // The seeds that are tried in the end are no part of the search.
    assert_eq!(whole.runs.load(Ordering::Relaxed), shrunk.runs + OTHER_SEEDS);
}

#[test]
fn a_fragile_case_is_given_up_for_a_robust_one() {
    // One fault is enough as long as nobody else has a session with ZooKeeper; two are in any case.
    let breaks =
        |scenario: &Scenario| kills(scenario) >= 2 || kills(scenario) == 1 && scenario.workload.sessions.is_empty();
    let shrunk = shrink_with(&Fake::new(breaks), 2, None);
    assert_eq!(shrunk.case.scenario.faults.len(), 2);
    assert!(shrunk.robustness.is_some_and(|robustness| robustness.stands));
    assert!(shrunk.minimal.is_some_and(|minimal| minimal.robustly));
    // And where nothing is robust the smallest stays, and is called fragile.
    let breaks = |scenario: &Scenario| kills(scenario) >= 1 && scenario.workload.sessions.is_empty();
    let shrunk = shrink_with(&Fake::new(breaks), 2, None);
    assert_eq!(shrunk.case.scenario.faults.len(), 1);
    assert!(shrunk.robustness.is_some_and(|robustness| !robustness.stands));
}

#[test]
fn another_law_or_another_signature_does_not_count() {
    let case = case();
    let subject = Fake::new(|_: &Scenario| true);
    let budget = Budget { runs: None, over: &|| false, jobs: 1 };
    let other = Target { law: "Y-LAW".to_owned(), ..target() };
    assert_eq!(shrink(&case, &other, &subject, &budget, &()).map(|shrunk| shrunk.runs), Err(NotFailing));
    let other = Target { signature: Some("broken otherwise".to_owned()), ..target() };
    assert_eq!(shrink(&case, &other, &subject, &budget, &()).map(|shrunk| shrunk.runs), Err(NotFailing));
}
