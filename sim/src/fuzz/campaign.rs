//! Runs the cases of a campaign on several threads.
//!
//! A thread takes a whole world, starts it up, and forks it for each of its seeds. What comes of a case depends on its seed
//! alone; only the order in which results arrive depends on the threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use models::observation::Observed;
use replay::record::Record;
use scenarios::swarm::{SEEDS_PER_WORLD, Swarm, world_of};

use super::case::{self, CaseResult, Runner};
use super::spec::Spec;

/// How often somebody who waits for results is told that there are none yet.
const TICK: Duration = Duration::from_millis(200);

/// What a campaign tells whoever looks on.
pub enum News {
    /// A case is finished; a failure comes with its record.
    Finished(CaseResult, Option<Box<Record>>),
    /// Time has passed.
    Tick,
}

/// The seeds that are still to be run, world by world.
struct Work<'a> {
    spec: &'a Spec,
    is_done: &'a (dyn Fn(u64) -> bool + Sync),
    next_world: AtomicU64,
    stop: &'a AtomicBool,
}

impl Work<'_> {
    /// The next world with something to do, and what; `None` when all is done.
    fn next(&self) -> Option<(u64, Vec<u64>)> {
        while !self.stop.load(Ordering::Relaxed) {
            let world = self.next_world.fetch_add(1, Ordering::Relaxed);
            let first = world.checked_mul(SEEDS_PER_WORLD)?;
            if self.spec.to.is_some_and(|to| to <= first) {
                return None;
            }
            let seeds = (first..first.saturating_add(SEEDS_PER_WORLD))
                .filter(|seed| self.spec.includes(*seed) && !(self.is_done)(*seed));
            let seeds: Vec<u64> = seeds.collect();
            if !seeds.is_empty() {
                return Some((world, seeds));
            }
        }
        None
    }
}

/// Runs every seed of `spec` that is not done, until `stop` is set; then cases under way are still finished. `on_news` is
/// called on this thread; an error of it stops the campaign.
///
/// # Errors
/// That of `on_news`.
pub fn run<R: Runner, E>(
    spec: &Spec,
    swarm: &Swarm,
    runner: &R,
    jobs: usize,
    is_done: &(dyn Fn(u64) -> bool + Sync),
    stop: &AtomicBool,
    on_news: &mut dyn FnMut(News) -> Result<(), E>,
) -> Result<(), E> {
    let work = Work { spec, is_done, next_world: AtomicU64::new(world_of(spec.from)), stop };
    std::thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..jobs.max(1) {
            let (sender, work) = (sender.clone(), &work);
            scope.spawn(move || run_worlds(swarm, runner, work, &sender));
        }
        drop(sender);
        loop {
            let news = match receiver.recv_timeout(TICK) {
                Ok((result, record)) => News::Finished(result, record),
                Err(RecvTimeoutError::Timeout) => News::Tick,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            if let Err(error) = on_news(news) {
                stop.store(true, Ordering::Relaxed);
                return Err(error);
            }
        }
    })
}

type Sender = mpsc::Sender<(CaseResult, Option<Box<Record>>)>;

fn run_worlds<R: Runner>(swarm: &Swarm, runner: &R, work: &Work<'_>, sender: &Sender) {
    while let Some((world, seeds)) = work.next() {
        let scenario = Arc::new(swarm.world(world));
        let started = runner.start_up(&scenario, world, &mut |_: &Observed| {});
        for seed in seeds {
            if work.stop.load(Ordering::Relaxed) {
                return;
            }
            let case = swarm.case_in(scenario.clone(), seed);
            let result = case::run(runner, &started, seed, &case, &mut |_: &Observed| {});
            if sender.send(result).is_err() {
                // Nobody listens any more: writing a result has failed.
                return;
            }
        }
    }
}
