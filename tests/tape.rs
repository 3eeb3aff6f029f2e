//! Winding a run: wherever the tape is wound to, and from wherever, the run stands as if it had come straight there.

use std::ops::ControlFlow;

use models::observation::Observed;
use models::random::{Purpose, Random};
use models::time::Span;
use scenarios::schedule::Schedule;
use sim::kernel::trace::What;
use sim::run::Run;
use sim::travel::tape::{Head, NodeNoted, Tape};

use crate::scenario;

fn run() -> Run {
    let mut scenario = scenario("stretch-cluster");
    scenario.phases.faults = Span::from_secs(40);
    scenario.workload.topics = 1;
    scenario.workload.partitions = 4;
    scenario.workload.records_per_second = 40;
    let schedule = Schedule::draw(&scenario, 12);
    Run::new(scenario, 12, &schedule)
}

fn state(head: &Head) -> (u64, u64, String) {
    let checkpoint = head.run.checkpoint();
    let text = head.board.text(head.run.simulation(), head.run.start());
    (head.steps, checkpoint.fingerprint, format!("{} {} {text}", checkpoint.at, checkpoint.events))
}

#[test]
fn every_way_to_a_moment_leads_to_the_same_state() {
    let mut checkpoints = Vec::new();
    // Few snapshots, so that thinning has work to do.
    let mut tape = Tape::record(run(), 6, &mut |checkpoint| checkpoints.push(checkpoint));
    let whole = run().finish(&mut |_: &Observed| {}, &mut |_| ControlFlow::Continue(()));
    assert_eq!(tape.end(), whole.outcome.ended);
    let (kept, distance) = tape.density();
    assert!(kept <= 6 && distance >= tape.steps() / 6, "{kept} snapshots, {distance} steps apart");

    let mut random = Random::new(1, Purpose::Schedule, 0);
    for _ in 0..12 {
        let at = models::time::Instant::ZERO + random.span(Span::ZERO, Span::from_secs(70));
        tape.wind_to(at);
        let mut straight = Head::new(run());
        straight.advance_to(at, &mut |_| {}, &mut |_| {});
        assert_eq!(state(tape.head()), state(&straight));
        let place = random.below(tape.steps());
        tape.wind_to_step(place);
        assert_eq!(tape.head().steps, place);
        let by_step = state(tape.head());
        tape.wind_to_step(0);
        tape.wind_to_step(place);
        assert_eq!(by_step, state(tape.head()));
    }
}

#[test]
fn what_is_passed_forwards_is_passed_backwards_in_the_other_order() {
    let mut tape = Tape::record(run(), 8, &mut |_| {});
    let is_input = |noted: &NodeNoted| matches!(noted.what, What::Input(_));
    // Over the border of a snapshot.
    let (_, distance) = tape.density();
    tape.wind_to_step(2 * distance - 60);
    let mut places = Vec::new();
    for _ in 0..100 {
        tape.forward(is_input).expect("the run goes on");
        places.push(state(tape.head()));
    }
    for expected in places.iter().rev().skip(1) {
        tape.back(is_input).expect("there were inputs before");
        assert_eq!(&state(tape.head()), expected);
    }
    tape.wind_to_step(0);
    assert!(tape.back(is_input).is_none());
}
