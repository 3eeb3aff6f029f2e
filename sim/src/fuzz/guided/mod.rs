//! Guided search: schedules that reached something new are kept and changed.
//!
//! Cases come in generations. What a generation runs is decided when it begins, from the corpus as the generation before it
//! left it; what came of it is looked at in the order of the cases' numbers when all are finished. So results depend neither
//! on the number of jobs nor on which case ended first, and a campaign that was killed goes on as if it had not been.
//!
//! A case of two is drawn from its number as in a random search: the same case that a random campaign runs. The others are
//! changes of a schedule of the corpus, whose chance is mostly that of the parent: up to the first change they are the
//! parent's run, so that what happened in it at some moment happens again.

pub mod corpus;
pub mod trace;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use models::random::{Purpose, Random};
use replay::record::Record;
use scenarios::Seeds;
use scenarios::swarm::mutate::{Material, mutate};
use scenarios::swarm::{Case, Swarm, seeds_of, world_of};

use self::corpus::{Corpus, Found};
use self::trace::Trace;
use super::campaign::News;
use super::case::{self, CaseResult, Runner};
use super::spec::Spec;

/// Cases of a generation.
const GENERATION: u64 = 16;
/// One case in so many is drawn anew.
const FRESH: u64 = 2;
/// How often somebody who waits for results is told that there are none yet.
const TICK: Duration = Duration::from_millis(200);

/// A case whose schedule was kept, and the schedule as a scenario file.
pub type Admitted = (u64, String);

/// Called at the end of each generation, with the schedules that it brought.
pub type Keep<'a, E> = dyn FnMut(&Corpus, &[Admitted]) -> Result<(), E> + 'a;

/// A case of a generation.
struct Planned {
    number: u64,
    case: Case,
    parent: Option<u64>,
}

/// What came of it.
struct Ran {
    index: usize,
    result: CaseResult,
    record: Option<Box<Record>>,
    trace: Trace,
}

/// Runs the campaign. `corpus` is empty, or as an earlier process left it; cases for which `is_done` is true are run again only
/// where the corpus needs to know what they reach, and then not reported.
///
/// # Errors
/// Those of `on_news` and of `keep`, which is called with the corpus at the end of each generation.
pub fn run<R: Runner, E>(
    (spec, swarm): (&Spec, &Swarm),
    runner: &R,
    jobs: usize,
    corpus: &mut Corpus,
    (is_done, stop): (&dyn Fn(u64) -> bool, &AtomicBool),
    on_news: &mut dyn FnMut(News) -> Result<(), E>,
    keep: &mut Keep<'_, E>,
) -> Result<(), E> {
    loop {
        let first = spec.from + corpus.generations * GENERATION;
        let end = spec.to.unwrap_or(u64::MAX).min(first.saturating_add(GENERATION));
        if first >= end || stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let planned: Vec<Planned> = (first..end).map(|number| plan(swarm, corpus, number)).collect();
        let mut ran: BTreeMap<usize, Trace> = BTreeMap::new();
        run_generation(&planned, runner, jobs, stop, &mut |news| match news {
            Some(Ran { index, result, record, trace }) => {
                ran.insert(index, trace);
                if is_done(result.seed) { Ok(()) } else { on_news(News::Finished(result, record)) }
            }
            None => on_news(News::Tick),
        })?;
        if ran.len() < planned.len() {
            // Interrupted: the generation is planned again as it was.
            return Ok(());
        }
        let admitted: Vec<Admitted> = planned
            .into_iter()
            .zip(ran.into_values())
            .filter_map(|(planned, trace)| {
                let Planned { number, case, parent } = planned;
                let explicit = case.schedule.written_into(&case.scenario);
                let flags = case.seeds.flags();
                let is_new = corpus.add(Found { number, parent, case, trace });
                is_new.then(|| (number, format!("# Run it with `sim run FILE {flags}`.\n{}", explicit.to_yaml())))
            })
            .collect();
        corpus.generations += 1;
        keep(corpus, &admitted)?;
    }
}

/// What case `number` is.
fn plan(swarm: &Swarm, corpus: &Corpus, number: u64) -> Planned {
    let mut random = Random::new(number, Purpose::Search, 0);
    let parent = if number.is_multiple_of(FRESH) { None } else { corpus.choose(&mut random) };
    let Some(parent) = parent else {
        return Planned { number, case: swarm.case(number), parent: None };
    };
    let world = parent.seeds.start_up;
    let scenario = Arc::new(swarm.world(world));
    let other = corpus.other_of(world, parent.number, &mut random);
    let every_kind = swarm.every_kind(&scenario);
    let material = Material {
        scenario: &scenario,
        every_kind: &every_kind,
        moments: &parent.moments,
        other: other.map(|entry| &entry.schedule),
    };
    let schedule = mutate(&parent.schedule, material, &mut random);
    // Other chance now and then: what depends on it is not found by schedules alone.
    let faults = if random.chance(3, 4) { parent.seeds.faults } else { number };
    let case = Case { scenario, seeds: Seeds { start_up: world, faults }, schedule };
    Planned { number, case, parent: Some(parent.number) }
}

/// Runs the cases of a generation, those of a world together.
fn run_generation<R: Runner, E>(
    planned: &[Planned],
    runner: &R,
    jobs: usize,
    stop: &AtomicBool,
    on_ran: &mut dyn FnMut(Option<Ran>) -> Result<(), E>,
) -> Result<(), E> {
    let mut worlds: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (index, planned) in planned.iter().enumerate() {
        worlds.entry(planned.case.seeds.start_up).or_default().push(index);
    }
    let worlds: Vec<(u64, Vec<usize>)> = worlds.into_iter().collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..jobs.max(1) {
            let (sender, worlds, next) = (sender.clone(), &worlds, &next);
            scope.spawn(move || {
                while let Some((world, indices)) = worlds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let scenario = &planned[indices[0]].case.scenario;
                    let mut started_up = Trace::new(scenario);
                    let started = runner.start_up(scenario, *world, &mut started_up);
                    for &index in indices {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let Planned { number, case, .. } = &planned[index];
                        let mut trace = started_up.clone();
                        let (result, record) = case::run(runner, &started, *number, case, &mut trace);
                        if sender.send(Ran { index, result, record, trace }).is_err() {
                            return;
                        }
                    }
                }
            });
        }
        drop(sender);
        loop {
            let news = match receiver.recv_timeout(TICK) {
                Ok(ran) => Some(ran),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            if let Err(error) = on_ran(news) {
                stop.store(true, Ordering::Relaxed);
                return Err(error);
            }
        }
    })
}

/// Whether a case is one that a random campaign runs too, so that its seed alone repeats it.
pub fn is_drawn(seeds: Seeds) -> bool {
    seeds == seeds_of(seeds.faults) && seeds.start_up == world_of(seeds.faults)
}
