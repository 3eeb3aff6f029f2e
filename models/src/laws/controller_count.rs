//! How long the sum of ActiveControllerCount over all brokers was 0, 1 or more, as a scrape of all gauges at one instant
//! would have it. A broker that is down shows no gauge, a paused one keeps its last.

use crate::id::ProcessId;
use crate::time::{Instant, Span};

/// Time with each sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControllerTime {
    /// Nobody was active.
    pub none: Span,
    /// One was.
    pub one: Span,
    /// Two or more were.
    pub several: Span,
}

/// The sum of the gauges over time.
#[derive(Clone, Debug)]
pub struct ControllerCount {
    active: Vec<ProcessId>,
    /// Up to here time is accounted for.
    counted: Instant,
    /// Start-up up to here is not counted.
    start: Instant,
    quiet: Option<Instant>,
    whole: ControllerTime,
    since_quiet: ControllerTime,
}

impl ControllerCount {
    /// Counts from `start` on: before that, nobody can have been controller.
    pub(super) fn new(start: Instant) -> Self {
        let none = ControllerTime::default();
        Self { active: Vec::new(), counted: start, start, quiet: None, whole: none, since_quiet: none }
    }

    pub(super) fn on_active(&mut self, process: ProcessId, active: bool, at: Instant) {
        self.count_to(at);
        self.active.retain(|other| *other != process);
        if active {
            self.active.push(process);
        }
    }

    pub(super) fn quiet_begins(&mut self, at: Instant) {
        self.count_to(at);
        self.quiet.get_or_insert(at.max(self.start));
    }

    /// The sum now.
    pub fn sum(&self) -> usize {
        self.active.len()
    }

    /// From the end of start-up until `now`, and from the end of the faults until `now`.
    pub fn times(&self, now: Instant) -> (ControllerTime, ControllerTime) {
        let mut counted = self.clone();
        counted.count_to(now);
        (counted.whole, counted.since_quiet)
    }

    fn count_to(&mut self, now: Instant) {
        let passed = now - self.counted;
        self.counted = self.counted.max(now);
        let quiet = self.quiet.map(|_| &mut self.since_quiet);
        for times in std::iter::once(&mut self.whole).chain(quiet) {
            *match self.active.len() {
                0 => &mut times.none,
                1 => &mut times.one,
                _ => &mut times.several,
            } += passed;
        }
    }
}

#[test]
fn sums_are_those_of_the_moment() {
    let at = |s| Instant::ZERO + Span::from_secs(s);
    let mut count = ControllerCount::new(at(10));
    count.on_active(ProcessId(1), true, at(5));
    count.on_active(ProcessId(2), true, at(20));
    count.on_active(ProcessId(2), true, at(21));
    count.quiet_begins(at(22));
    count.on_active(ProcessId(1), false, at(25));
    count.on_active(ProcessId(2), false, at(30));
    let (whole, quiet) = count.times(at(31));
    let seconds = |t: ControllerTime| [t.none, t.one, t.several].map(|span| span.as_ms() / 1000);
    assert_eq!((seconds(whole), seconds(quiet)), ([1, 15, 5], [1, 5, 3]));
}
