//! One run: warm-up, fault phase, quiet phase, and a last read of everything that was written.
//!
//! The fault phase lets nothing heal but by itself. Then all faults are off and every liveness law has to hold for a while,
//! by a deadline that follows from the settings. At the end producers stop and consumers catch up, so that what was
//! acknowledged can be compared with what can be read. Clients of ZooKeeper stop writing then too.

use std::ops::ControlFlow;

use models::id::TopicPartition;
use models::node::Node;
use models::observation::Observed;
use models::time::{Instant, Span};
use replay::record::{BrokenLaw, Checkpoint, Outcome};
use replay::subject::Subject;
use scenarios::deployment::{Deployment, ProcessKind};
use scenarios::{Scenario, schedule::Schedule};

use crate::deploy;
use crate::inject::{Injector, Roles};
use crate::judge::{Judgement, Jury};
use crate::kernel::{Observer, Simulation};
use crate::monitor::Monitors;

/// Checkpoints, and looks at the liveness laws, come this often.
const BEAT: Span = Span::from_secs(1);
/// How long the last read may take in a healthy cluster: a batch's retry back-off and a fetch's long poll, many times over.
const LAST_READ: Span = Span::from_secs(20);

/// A run in progress. Cloning it forks it.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    scenario: &'a Scenario,
    deployment: Deployment,
    sim: Simulation<Node>,
    injector: Injector,
    monitors: Monitors,
    roles: Roles,
    jury: Jury,
    faults_end: Instant,
    beyond_violations: bool,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Finished {
    /// For the replay file.
    pub outcome: Outcome,
    /// What the laws and the expectations say.
    pub judgement: Judgement,
    /// When the warm-up ended.
    pub start: Instant,
    /// When the last fault was over.
    pub quiet_since: Instant,
    /// Inputs that processes were given.
    pub delivered: u64,
}

/// Feeds the jury and whoever else watches.
struct Watching<'a, W> {
    jury: &'a mut Jury,
    roles: &'a mut Roles,
    watcher: &'a mut W,
}

impl<W: Observer> Observer for Watching<'_, W> {
    fn observe(&mut self, seen: &Observed) {
        self.roles.observe(seen);
        self.jury.observe(seen);
        self.watcher.observe(seen);
    }
}

impl<'a> Run<'a> {
    /// A run before its first event.
    pub fn new(scenario: &'a Scenario, seed: u64, schedule: &Schedule) -> Self {
        let deployment = scenario.deployment();
        let start = Instant::ZERO + scenario.phases.warm_up;
        let injector = Injector::new(schedule, start);
        let monitors = Monitors::new(scenario, &deployment, seed);
        let faults_end = injector.end().max(start + scenario.phases.faults);
        Self {
            scenario,
            sim: Simulation::new(deploy::simulation(scenario, &deployment, seed)),
            jury: Jury::new(scenario, &deployment, start),
            deployment,
            injector,
            monitors,
            roles: Roles::default(),
            faults_end,
            beyond_violations: false,
        }
    }

    /// Goes on after a broken safety law, where the consequences are the question.
    #[must_use]
    pub fn beyond_violations(mut self) -> Self {
        self.beyond_violations = true;
        self
    }

    /// The names and ids of its processes.
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// Runs to the end, or until `on_checkpoint` breaks off. Unless asked to go on, the first broken safety law ends the run:
    /// what follows would only be consequences.
    pub fn finish(
        mut self,
        watcher: &mut impl Observer,
        on_checkpoint: &mut dyn FnMut(Checkpoint) -> ControlFlow<()>,
    ) -> Finished {
        let start = Instant::ZERO + self.scenario.phases.warm_up;
        let faults_end = self.faults_end;
        let ended_early = self.advance(start, watcher, on_checkpoint).is_break()
            || self.begin_faults(watcher, on_checkpoint).is_break()
            || self.quiet(watcher, on_checkpoint).is_break()
            || self.last_read(watcher, on_checkpoint).is_break();
        let now = self.sim.now();
        let judgement = self.jury.finish(now, ended_early);
        Finished {
            outcome: Outcome {
                ended: now,
                events: self.sim.events().queued,
                fingerprint: self.sim.fingerprint(),
                violation: judgement.first_broken(now).map(|(law, at, what)| BrokenLaw { law, at, what }),
            },
            judgement,
            start,
            quiet_since: faults_end.min(now),
            delivered: self.sim.events().delivered(),
        }
    }

    fn begin_faults(
        &mut self,
        watcher: &mut impl Observer,
        on_checkpoint: &mut dyn FnMut(Checkpoint) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.jury.faults_begin(self.sim.now());
        self.advance(self.faults_end, watcher, on_checkpoint)
    }

    fn quiet(
        &mut self,
        watcher: &mut impl Observer,
        on_checkpoint: &mut dyn FnMut(Checkpoint) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let now = self.sim.now();
        self.roll_back();
        self.jury.quiet_begins(now);
        loop {
            let next = self.sim.now() + BEAT;
            self.advance(next, watcher, on_checkpoint)?;
            if self.jury.is_settled(next) {
                return ControlFlow::Continue(());
            }
        }
    }

    /// What the scenario's operator does when the faults are over.
    fn roll_back(&mut self) {
        for selector in &self.scenario.rollback.restart {
            if let Some(process) = self.roles.resolve(*selector, &self.deployment) {
                self.sim.kill(process);
                self.sim.start(process);
            }
        }
    }

    fn last_read(
        &mut self,
        watcher: &mut impl Observer,
        on_checkpoint: &mut dyn FnMut(Checkpoint) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.jury.producers_stop(self.sim.now());
        let ids: Vec<_> = self.deployment.processes.iter().map(|p| p.id).collect();
        for id in &ids {
            match self.sim.process_mut(*id) {
                Node::Producer(producer) => producer.stop_sending(),
                Node::Session(session) => session.stop_writing(),
                _ => {}
            }
        }
        let deadline = self.sim.now() + LAST_READ;
        while self.sim.now() < deadline && !(self.writers_drained() && self.consumers_caught_up()) {
            let next = self.sim.now() + BEAT;
            self.advance(next, watcher, on_checkpoint)?;
        }
        ControlFlow::Continue(())
    }

    fn writers_drained(&self) -> bool {
        self.deployment.processes.iter().all(|p| match self.sim.process(p.id) {
            Node::Producer(producer) => producer.is_drained(),
            Node::Session(session) => session.is_idle(),
            _ => true,
        })
    }

    /// Every consumer has read past every acknowledged record of its partitions, in a group of its share.
    fn consumers_caught_up(&self) -> bool {
        let behind = |process: &scenarios::deployment::Process, partition: &TopicPartition| {
            let Node::Consumer(consumer) = self.sim.process(process.id) else { return false };
            let position = consumer.position(*partition).unwrap_or(0);
            consumer.reads(*partition) && self.jury.acknowledged_end(*partition) > position
        };
        self.deployment.processes.iter().all(|process| match &process.kind {
            ProcessKind::Consumer { partitions, .. } => !partitions.iter().any(|p| behind(process, p)),
            _ => true,
        })
    }

    /// Runs until `end`, doing what the schedule asks on the way. Breaks off at a broken safety law.
    fn advance(
        &mut self,
        end: Instant,
        watcher: &mut impl Observer,
        on_checkpoint: &mut dyn FnMut(Checkpoint) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        while self.sim.now() < end {
            let beat = Instant::from_ns((self.sim.now().as_ns() / BEAT.as_ns() + 1) * BEAT.as_ns());
            let next = [Some(end), Some(beat), self.injector.next(), self.monitors.next()];
            let next = next.into_iter().flatten().min().unwrap_or(end);
            let Self { sim, injector, monitors, roles, jury, scenario, deployment, .. } = self;
            let mut watching = Watching { jury, roles, watcher };
            sim.run_until(next, &mut watching);
            if injector.next().is_some_and(|due| due <= next) {
                let roles = watching.roles.clone();
                injector.act(sim, scenario, deployment, &roles);
            }
            monitors.act(sim);
            if next == beat {
                let checkpoint =
                    Checkpoint { at: next, events: self.sim.events().queued, fingerprint: self.sim.fingerprint() };
                on_checkpoint(checkpoint)?;
                if self.jury.is_broken() && !self.beyond_violations {
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }
}

/// The simulator, as replay and shrinking see it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Simulator;

impl Subject for Simulator {
    type Error = std::convert::Infallible;

    fn run(
        &self,
        scenario: &Scenario,
        seed: u64,
        schedule: &Schedule,
        on_checkpoint: &mut dyn FnMut(Checkpoint) -> ControlFlow<()>,
    ) -> Result<Outcome, Self::Error> {
        let mut nobody = |_: &Observed| {};
        Ok(Run::new(scenario, seed, schedule).finish(&mut nobody, on_checkpoint).outcome)
    }
}
