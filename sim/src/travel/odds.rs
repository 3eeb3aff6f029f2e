//! Where did it become likely? From moments of a failing run many futures are run, each with streams of its own but the same
//! state and the same rest of the schedule, and those that break the same law are counted.

use std::ops::ControlFlow;

use models::observation::Observed;
use models::random::together;
use models::time::{Instant, Span};
use replay::record::Record;

use crate::interval::wilson;
use crate::report::names::Names;
use crate::report::timeline::{Line, Timeline};
use crate::run::{Finished, Run};

/// How much is run.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Futures of each moment.
    pub futures: u64,
    /// Moments, the first and the last included.
    pub moments: u64,
    /// How often the stretch of the jump is halved.
    pub refinements: u32,
}

/// What became of a future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It broke the law in question.
    Broke,
    /// It broke another law, and was not pursued.
    BrokeAnother,
    /// It broke nothing.
    Held,
}

/// The futures of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// When they part from the run.
    pub at: Instant,
    /// How many were run.
    pub futures: u64,
    /// How many broke the law.
    pub broke: u64,
    /// How many broke another law instead.
    pub broke_another: u64,
}

impl Point {
    /// The share that broke the law.
    pub fn share(&self) -> f64 {
        self.broke as f64 / self.futures as f64
    }

    /// Wilson's 95 % interval of the probability.
    pub fn interval(&self) -> (f64, f64) {
        wilson(self.broke, self.futures)
    }

    /// Whether `later` is more probable beyond doubt: the intervals do not meet.
    pub fn is_below(&self, later: &Self) -> bool {
        self.interval().1 < later.interval().0
    }
}

/// Where the probability rises most.
#[derive(Clone, Debug)]
pub struct Jump {
    /// The last moment before it.
    pub from: Point,
    /// The first moment after it.
    pub to: Point,
    /// Whether the rise is beyond doubt.
    pub is_significant: bool,
    /// What happened in the run meanwhile.
    pub story: Vec<Line>,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Odds {
    /// The law, or the expectation.
    pub law: String,
    /// When the run broke it.
    pub broken_at: Instant,
    /// The end of the run's start-up; moments count from it.
    pub start: Instant,
    /// By time.
    pub points: Vec<Point>,
    /// Where it became likely; nothing if it never rose.
    pub jump: Option<Jump>,
}

/// Calls the task with every number below the count, and returns the results in the order of the numbers.
pub type Map<'a> = &'a dyn Fn(u64, &(dyn Fn(u64) -> Fate + Sync)) -> Vec<Fate>;

struct Asking<'a> {
    seed: u64,
    law: &'a str,
    futures: u64,
    map: Map<'a>,
}

/// Asks for the odds along a recorded run that broke something. Nothing if it did not. `map` may use as many threads as it
/// likes: the answer does not depend on them.
pub fn ask(record: &Record, effort: Effort, map: Map<'_>) -> Option<Odds> {
    let violation = record.outcome.violation.as_ref()?;
    let run = Run::new(record.scenario.clone(), record.seeds, &record.schedule);
    let (start, broken_at) = (run.start(), violation.at);
    let asking = Asking { seed: record.seeds.faults, law: &violation.law, futures: effort.futures, map };
    let names = Names::new(run.deployment().processes.iter().map(|p| p.name.clone()));
    let mut story = Timeline::new(names);
    let mut known = Vec::new();
    let mut run = run;
    for at in moments(start, broken_at, effort.moments) {
        advance(&mut run, at, &mut |seen| story.observe(seen));
        known.push((run.clone(), asking.point(&run, at)));
    }
    advance(&mut run, broken_at, &mut |seen| story.observe(seen));
    let mut window = steepest(&known);
    for _ in 0..effort.refinements {
        let Some(index) = window else { break };
        let (early, late) = (&known[index], &known[index + 1]);
        let half = (late.1.at - early.1.at) / 2;
        if half == Span::ZERO {
            break;
        }
        let at = early.1.at + half;
        let mut middle = early.0.clone();
        advance(&mut middle, at, &mut |_| {});
        let point = asking.point(&middle, at);
        let first_half = point.share() - early.1.share() >= late.1.share() - point.share();
        let narrower = if first_half { early.1.is_below(&point) } else { point.is_below(&late.1) };
        known.insert(index + 1, (middle, point));
        if !narrower {
            // The rise is spread over both halves.
            window = None;
            break;
        }
        window = Some(if first_half { index } else { index + 1 });
    }
    let points: Vec<_> = known.iter().map(|(_, point)| *point).collect();
    let lines = story.finish(broken_at);
    let jump = window.map(|index| (points[index], points[index + 1])).or_else(|| widest(&points));
    let jump = jump.map(|(from, to)| Jump {
        from,
        to,
        is_significant: from.is_below(&to),
        story: lines.into_iter().filter(|line| line.until > from.at && line.at <= to.at).collect(),
    });
    Some(Odds { law: violation.law.clone(), broken_at, start, points, jump })
}

/// Evenly from the end of the start-up to the last moment before the law was broken.
fn moments(start: Instant, broken_at: Instant, count: u64) -> Vec<Instant> {
    let last = Instant::from_ns(broken_at.as_ns().saturating_sub(1));
    if last <= start {
        return vec![last];
    }
    let steps = count.max(2) - 1;
    (0..=steps).map(|step| start + (last - start).scaled(step, steps)).collect()
}

fn advance(run: &mut Run, until: Instant, seen: &mut impl FnMut(&Observed)) {
    run.advance_to(until, seen, &mut |_| ControlFlow::Continue(()));
}

/// The neighbours between which the probability rises most, if it rises beyond doubt.
fn steepest(known: &[(Run, Point)]) -> Option<usize> {
    let rise = |index: &usize| (known[index + 1].1.share() - known[*index].1.share(), std::cmp::Reverse(*index));
    let candidates = (0..known.len().saturating_sub(1)).filter(|i| known[*i].1.is_below(&known[i + 1].1));
    candidates.max_by(|a, b| rise(a).partial_cmp(&rise(b)).unwrap_or(std::cmp::Ordering::Equal))
}

/// The shortest stretch over which the probability rises beyond doubt; of equally short ones the steepest. Failing that, the
/// neighbours with the largest rise at all.
fn widest(points: &[Point]) -> Option<(Point, Point)> {
    let pairs = (0..points.len()).flat_map(|a| (a + 1..points.len()).map(move |b| (points[a], points[b])));
    let certain =
        pairs.filter(|(a, b)| a.is_below(b)).min_by_key(|(a, b)| (b.at - a.at, a.futures - (b.broke - a.broke)));
    let rising = || {
        let rises = points.windows(2).filter(|pair| pair[1].broke > pair[0].broke);
        rises.max_by_key(|pair| pair[1].broke - pair[0].broke).map(|pair| (pair[0], pair[1]))
    };
    certain.or_else(rising)
}

impl Asking<'_> {
    fn point(&self, run: &Run, at: Instant) -> Point {
        let (seed, law) = (self.seed, self.law);
        let fates = (self.map)(self.futures, &|number| {
            let future = run.branch(together(&[seed, at.as_ns(), number]));
            fate(&future.finish(&mut |_: &Observed| {}, &mut |_| ControlFlow::Continue(())), law)
        });
        let count = |wanted| fates.iter().filter(|fate| **fate == wanted).count() as u64;
        Point { at, futures: self.futures, broke: count(Fate::Broke), broke_another: count(Fate::BrokeAnother) }
    }
}

fn fate(finished: &Finished, law: &str) -> Fate {
    let broken = finished.judgement.broken().map(|(law, _)| law);
    let unmet = finished.judgement.expectations.iter().filter(|met| !met.met).map(|met| met.name.as_str());
    let all: Vec<_> = broken.chain(unmet).collect();
    match all.is_empty() {
        true => Fate::Held,
        false if all.contains(&law) => Fate::Broke,
        false => Fate::BrokeAnother,
    }
}

#[test]
fn moments_go_from_the_start_to_just_before_the_end() {
    let at = Instant::from_ns;
    assert_eq!(moments(at(100), at(201), 3), [at(100), at(150), at(200)]);
    assert_eq!(moments(at(100), at(50), 3), [at(49)], "broken during the start-up");
}
