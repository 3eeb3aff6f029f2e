//! A run that can be wound to any of its moments, forwards and backwards.
//!
//! The first pass goes through the whole run and keeps a snapshot every so many steps. When there are more snapshots than
//! wanted, every second one is dropped and the distance doubles, so that memory stays bounded and any moment is at most one
//! distance from a snapshot. A jump is then a clone and the steps after it. How many are wanted is bounded by their number
//! and by their bytes.

use std::ops::ControlFlow;

use models::node::Node;
use models::observation::Observed;
use models::process::Process;
use models::time::Instant;
use replay::record::Checkpoint;

use crate::kernel::Observer;
use crate::kernel::trace::Noted;
use crate::report::board::Board;
use crate::run::Run;

/// What is noted of a node.
pub type NodeNoted = Noted<<Node as Process>::Message, <Node as Process>::Timer>;

/// Steps between two snapshots at first; a millisecond or two of work.
const FIRST_DISTANCE: u64 = 1 << 10;
/// Snapshots kept at most: a five-minute run then has one every second or so, and shares most of its memory between them.
pub const SNAPSHOTS: usize = 512;
/// Bytes that they may hold apart from each other, as [`Run::weight`] estimates: large deployments have fewer snapshots.
const BUDGET: u64 = 512 << 20;

/// A place in a run.
#[derive(Clone, Debug)]
pub struct Head {
    /// The run up to here.
    pub run: Run,
    /// What its observations came to.
    pub board: Board,
    /// How many steps lie behind: events, and what the run itself did.
    pub steps: u64,
}

impl Head {
    /// The beginning of a run.
    pub fn new(run: Run) -> Self {
        let board = Board::new(run.deployment().clone());
        Self { run, board, steps: 0 }
    }

    /// Runs up to a moment, or to the end if that comes first.
    pub fn advance_to(
        &mut self,
        until: Instant,
        watcher: &mut impl FnMut(&Observed),
        on_checkpoint: &mut dyn FnMut(Checkpoint),
    ) {
        let Self { run, board, steps } = self;
        let mut both = |observed: &Observed| {
            board.observe(observed);
            watcher(observed);
        };
        while run.step_until(until, &mut both, &mut |checkpoint| {
            on_checkpoint(checkpoint);
            ControlFlow::Continue(())
        }) {
            *steps += 1;
        }
    }

    /// Takes one step if it is due at `limit`, and shows it. Otherwise stands at `limit`.
    fn step(&mut self, limit: Instant, seen: &mut impl FnMut(&Observed)) -> bool {
        let Self { run, board, steps } = self;
        let mut both = |observed: &Observed| {
            board.observe(observed);
            seen(observed);
        };
        let happened = run.step_until(limit, &mut both, &mut |_| ControlFlow::Continue(()));
        *steps += u64::from(happened);
        happened
    }
}

/// A run that can be wound.
#[derive(Clone, Debug)]
pub struct Tape {
    snapshots: Vec<Head>,
    distance: u64,
    head: Head,
    end: Instant,
    steps: u64,
}

impl Tape {
    /// Runs to the end, keeping at most `most` snapshots, and no more than [`Tape::room`]. The head is then at the beginning.
    /// Checkpoints are shown as they pass.
    ///
    /// # Panics
    /// If `most` is less than 2.
    pub fn record(run: Run, most: usize, on_checkpoint: &mut dyn FnMut(Checkpoint)) -> Self {
        assert!(most >= 2, "without snapshots there is no way back");
        let most = most.min(Self::room(&run));
        let mut head = Head::new(run);
        let mut snapshots = vec![head.clone()];
        let mut distance = FIRST_DISTANCE;
        loop {
            let Head { run, board, steps } = &mut head;
            let happened = run.step_until(Instant::MAX, board, &mut |checkpoint| {
                on_checkpoint(checkpoint);
                ControlFlow::Continue(())
            });
            if !happened {
                break;
            }
            *steps += 1;
            if steps.is_multiple_of(distance) {
                if snapshots.len() == most {
                    distance *= 2;
                    snapshots.retain(|kept| kept.steps.is_multiple_of(distance));
                }
                if head.steps.is_multiple_of(distance) {
                    snapshots.push(head.clone());
                }
            }
        }
        let (end, steps) = (head.run.now(), head.steps);
        Self { head: snapshots[0].clone(), snapshots, distance, end, steps }
    }

    /// How many snapshots of a run may be kept, at least 2: as many as fit into half a gibibyte.
    pub fn room(run: &Run) -> usize {
        usize::try_from(BUDGET / run.weight()).map_or(usize::MAX, |room| room.max(2))
    }

    /// Where it stands.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// When the run ends.
    pub fn end(&self) -> Instant {
        self.end
    }

    /// Steps of the whole run.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Snapshots kept, and steps between two of them.
    pub fn density(&self) -> (usize, u64) {
        (self.snapshots.len(), self.distance)
    }

    /// Winds to a moment: all that happens up to it has happened.
    pub fn wind_to(&mut self, at: Instant) {
        let nearest = self.snapshots.partition_point(|kept| kept.run.now() <= at).saturating_sub(1);
        let is_ahead = self.head.run.now() <= at && self.head.steps >= self.snapshots[nearest].steps;
        if !is_ahead {
            self.head = self.snapshots[nearest].clone();
        }
        while self.head.step(at, &mut |_| {}) {}
    }

    /// Winds to a place: exactly so many steps lie behind, or all.
    pub fn wind_to_step(&mut self, steps: u64) {
        let nearest = self.snapshot_before(steps);
        if self.head.steps > steps || self.head.steps < self.snapshots[nearest].steps {
            self.head = self.snapshots[nearest].clone();
        }
        while self.head.steps < steps && self.head.step(Instant::MAX, &mut |_| {}) {}
    }

    /// The last snapshot with at most so many steps behind it.
    fn snapshot_before(&self, steps: u64) -> usize {
        self.snapshots.partition_point(|kept| kept.steps <= steps).saturating_sub(1)
    }

    /// Goes on until something happens that `wanted` wants, and returns what happened on the last step; nothing if the run
    /// ends before.
    pub fn forward(&mut self, wanted: impl Fn(&NodeNoted) -> bool) -> Option<Vec<NodeNoted>> {
        self.head.run.simulation_mut().start_trace();
        let mut found = None;
        while found.is_none() && self.head.step(Instant::MAX, &mut |_| {}) {
            let happened = self.head.run.simulation_mut().take_trace();
            found = happened.iter().any(&wanted).then_some(happened);
        }
        self.head.run.simulation_mut().end_trace();
        found
    }

    /// Goes back to just after the last earlier step on which something happened that `wanted` wants, and returns what
    /// happened on it; nothing, and the head stays, if there is none.
    pub fn back(&mut self, wanted: impl Fn(&NodeNoted) -> bool) -> Option<Vec<NodeNoted>> {
        let mut last = self.head.steps.saturating_sub(1);
        while last > 0 {
            let mut head = self.snapshots[self.snapshot_before(last - 1)].clone();
            let begins = head.steps;
            head.run.simulation_mut().start_trace();
            let mut found = None;
            while head.steps < last && head.step(Instant::MAX, &mut |_| {}) {
                let happened = head.run.simulation_mut().take_trace();
                if happened.iter().any(&wanted) {
                    found = Some((head.steps, happened));
                }
            }
            if let Some((steps, happened)) = found {
                self.wind_to_step(steps);
                return Some(happened);
            }
            last = begins;
        }
        None
    }

    /// What happens next: the first `most` things that `wanted` wants, without moving.
    pub fn ahead(&self, most: usize, wanted: impl Fn(&NodeNoted) -> bool) -> Vec<NodeNoted> {
        let mut head = self.head.clone();
        head.run.simulation_mut().start_trace();
        let mut found = Vec::new();
        while found.len() < most && head.step(Instant::MAX, &mut |_| {}) {
            found.extend(head.run.simulation_mut().take_trace().into_iter().filter(&wanted));
        }
        found.truncate(most);
        found
    }
}
