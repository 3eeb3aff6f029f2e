//! One case: from a world that has started up to a result.

use std::ops::ControlFlow;
use std::sync::Arc;

use replay::record::{Checkpoint, Outcome, Record};
use replay::subject::Subject;
use scenarios::schedule::Schedule;
use scenarios::swarm::Case;
use scenarios::{Scenario, Seeds};
use serde::{Deserialize, Serialize};

use crate::guard::{Panicked, guard};
use crate::kernel::Observer;
use crate::run::{Finished, Run};

/// What came of a case; a line of `results.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseResult {
    /// The case's number: the seed, as long as schedules are drawn from seeds.
    pub seed: u64,
    /// The fingerprint of all events.
    pub fingerprint: u64,
    /// Inputs that processes were given.
    pub inputs: u64,
    /// Virtual nanoseconds.
    pub virtual_ns: u64,
    /// States of interest that it reached.
    pub reached: Vec<String>,
    /// What it broke first.
    pub failure: Option<Failure>,
}

/// What a case broke.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The law, the expectation, or [`crate::guard::PANIC`].
    pub law: String,
    /// When, in virtual nanoseconds.
    pub at_ns: u64,
    /// What was wrong.
    pub what: String,
    /// The same without what differs from seed to seed.
    pub signature: String,
    /// How many faults the schedule has.
    pub faults: usize,
    /// The replay file within the output directory.
    pub replay: Option<String>,
}

/// Runs cases. What a campaign runs is [`Forks`]; tests plant others.
pub trait Runner: Sync {
    /// A world that has started up.
    type World;

    /// Starts a world up, and shows every observation to `watcher`.
    fn start_up(&self, scenario: &Arc<Scenario>, seed: u64, watcher: &mut impl Observer) -> Self::World;

    /// Runs a case in its world, shows every observation after the start-up to `watcher`, and all checkpoints from the
    /// beginning to `on_checkpoint`.
    fn run(
        &self,
        world: &Self::World,
        case: &Case,
        watcher: &mut impl Observer,
        on_checkpoint: &mut dyn FnMut(Checkpoint) -> ControlFlow<()>,
    ) -> Finished;
}

/// Starts each world up once and forks it for each of its seeds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Forks;

/// A world at the end of its start-up; `None` if it never got there.
#[derive(Debug)]
pub struct StartedUp(Option<(Run, Vec<Checkpoint>)>);

impl Runner for Forks {
    type World = StartedUp;

    fn start_up(&self, scenario: &Arc<Scenario>, seed: u64, watcher: &mut impl Observer) -> StartedUp {
        let mut checkpoints = Vec::new();
        let started = guard(|| {
            let mut run = Run::new(scenario.clone(), seed, &Schedule::default());
            run.advance_to(run.start(), watcher, &mut |checkpoint| {
                checkpoints.push(checkpoint);
                ControlFlow::Continue(())
            });
            run
        });
        // What panics or breaks a law before any fault is found again by each of the seeds, from the start.
        let started = started.ok().filter(|run| !run.is_over() && !run.is_broken());
        StartedUp(started.map(|run| (run, checkpoints)))
    }

    fn run(
        &self,
        world: &StartedUp,
        case: &Case,
        watcher: &mut impl Observer,
        on_checkpoint: &mut dyn FnMut(Checkpoint) -> ControlFlow<()>,
    ) -> Finished {
        let Some((run, checkpoints)) = &world.0 else {
            return Run::new(case.scenario.clone(), case.seeds, &case.schedule).finish(watcher, on_checkpoint);
        };
        // They were taken before anybody could have had enough.
        let _ = checkpoints.iter().try_for_each(|checkpoint| on_checkpoint(*checkpoint));
        run.fork(case.seeds.faults, &case.schedule).finish(watcher, on_checkpoint)
    }
}

/// Runs case `number`. A failure comes with its record.
pub fn run<R: Runner>(
    runner: &R,
    world: &R::World,
    number: u64,
    case: &Case,
    watcher: &mut impl Observer,
) -> (CaseResult, Option<Box<Record>>) {
    let mut checkpoints = Vec::new();
    let finished = guard(|| {
        runner.run(world, case, watcher, &mut |checkpoint| {
            checkpoints.push(checkpoint);
            ControlFlow::Continue(())
        })
    });
    let (outcome, inputs, reached) = match &finished {
        Ok(finished) => {
            let flags = finished.judgement.coverage.flags();
            let reached = flags.into_iter().filter(|(_, reached)| *reached).map(|(word, _)| word.to_owned());
            (finished.outcome.clone(), finished.delivered, reached.collect())
        }
        Err(panicked) => (panicked.outcome(checkpoints.last().copied()), 0, Vec::new()),
    };
    let failure = outcome.violation.as_ref().map(|broken| Failure {
        law: broken.law.clone(),
        at_ns: broken.at.as_ns(),
        signature: broken.signature(),
        what: broken.what.clone(),
        faults: case.schedule.faults.len(),
        replay: None,
    });
    let result = CaseResult {
        seed: number,
        fingerprint: outcome.fingerprint,
        inputs,
        virtual_ns: outcome.ended.as_ns(),
        reached,
        failure,
    };
    let record = result.failure.is_some().then(|| {
        Box::new(Record {
            build: crate::build_identity(),
            scenario: (*case.scenario).clone(),
            seeds: case.seeds,
            schedule: case.schedule.clone(),
            checkpoints,
            outcome,
        })
    });
    (result, record)
}

/// A subject whose panics are outcomes: what a campaign recorded of a panic can be verified as any other record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Guarded<S>(pub S);

impl<S: Subject> Subject for Guarded<S> {
    type Error = S::Error;

    fn run(
        &self,
        scenario: &Scenario,
        seeds: Seeds,
        schedule: &Schedule,
        on_checkpoint: &mut dyn FnMut(Checkpoint) -> ControlFlow<()>,
    ) -> Result<Outcome, Self::Error> {
        let mut last = None;
        let outcome = guard(|| {
            self.0.run(scenario, seeds, schedule, &mut |checkpoint| {
                last = Some(checkpoint);
                on_checkpoint(checkpoint)
            })
        });
        outcome.unwrap_or_else(|panicked: Panicked| Ok(panicked.outcome(last)))
    }
}
