//! One run: warm-up, fault phase, quiet phase, and a last read of everything that was written.
//!
//! The fault phase lets nothing heal but by itself. Then all faults are off and every liveness law has to hold for a while,
//! by a deadline that follows from the settings. At the end producers stop and consumers catch up, so that what was
//! acknowledged can be compared with what can be read. Clients of ZooKeeper stop writing then too.

use std::ops::ControlFlow;
use std::sync::Arc;

use models::id::TopicPartition;
use models::node::Node;
use models::observation::Observed;
use models::time::{Instant, Span};
use replay::record::{BrokenLaw, Checkpoint, Outcome};
use replay::subject::Subject;
use scenarios::deployment::{Deployment, ProcessKind};
use scenarios::schedule::Schedule;
use scenarios::{Scenario, Seeds};

use crate::deploy;
use crate::inject::{Injector, Roles};
use crate::judge::{Judgement, Jury};
use crate::kernel::{Observer, Simulation};
use crate::monitor::Monitors;

/// Checkpoints, and looks at the liveness laws, come this often.
const BEAT: Span = Span::from_secs(1);
/// How long the last read may take in a healthy cluster: a batch's retry back-off and a fetch's long poll, many times over.
const LAST_READ: Span = Span::from_secs(20);

/// What [`Run::weight`] allows for a replica with all that brokers, clients and laws know of it: a clone of
/// `stretch-cluster` with its 100 partitions holds 0.8 MiB after 200 s, and this gives 1 MiB.
const REPLICA_BYTES: u64 = 2_048;
/// And for a process with its connections.
const PROCESS_BYTES: u64 = 16_384;

/// A run in progress: a value. A clone goes on as the original does; [`Run::fork`] and [`Run::branch`] go on differently.
#[derive(Clone, Debug)]
pub struct Run {
    scenario: Arc<Scenario>,
    deployment: Arc<Deployment>,
    sim: Simulation<Node>,
    injector: Injector,
    monitors: Monitors,
    roles: Roles,
    jury: Jury,
    start_up_seed: u64,
    /// The streams begin anew from this seed when the start-up is over.
    rekey: Option<u64>,
    phase: Phase,
    /// When the phase is over, or whether it is will be looked at.
    look: Instant,
    /// When the next checkpoint is due.
    beat: Instant,
    /// Everything that was due by now has happened; not so between two events of the same instant.
    is_complete: bool,
    faults_end: Instant,
    beyond_violations: bool,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The warm-up: the schedule does nothing yet.
    StartUp,
    /// The schedule acts, and nothing heals but by itself.
    Faults,
    /// All faults are off.
    Quiet,
    /// Producers have stopped, consumers catch up.
    LastRead {
        /// When the run ends in any case.
        deadline: Instant,
    },
    /// The run is over.
    Over {
        /// A law was broken, or whoever looked on had seen enough; so nothing can be said of what would have come.
        early: bool,
    },
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

impl Run {
    /// A run before its first event.
    pub fn new(scenario: impl Into<Arc<Scenario>>, seeds: impl Into<Seeds>, schedule: &Schedule) -> Self {
        let (scenario, seeds) = (scenario.into(), seeds.into());
        let deployment = Arc::new(scenario.deployment());
        let start = Instant::ZERO + scenario.phases.warm_up;
        let injector = Injector::new(schedule, start);
        let monitors = Monitors::new(&scenario, &deployment, seeds.start_up);
        let faults_end = injector.end().max(start + scenario.phases.faults);
        Self {
            sim: Simulation::new(deploy::simulation(&scenario, &deployment, seeds.start_up)),
            jury: Jury::new(&scenario, &deployment, start),
            scenario,
            deployment,
            injector,
            monitors,
            roles: Roles::default(),
            start_up_seed: seeds.start_up,
            rekey: seeds.rekeyed(),
            phase: Phase::StartUp,
            look: start,
            beat: Instant::ZERO + BEAT,
            is_complete: true,
            faults_end,
            beyond_violations: false,
        }
    }

    /// A run without a schedule at the end of its start-up, to be forked.
    pub fn start_up(scenario: impl Into<Arc<Scenario>>, seed: u64) -> Self {
        let mut run = Self::new(scenario, seed, &Schedule::default());
        run.advance_to(run.start(), &mut |_: &Observed| {}, &mut |_| ControlFlow::Continue(()));
        run
    }

    /// The run with another schedule and from the end of its start-up on other streams: event by event the run that has
    /// `faults_seed` as [`Seeds::faults`] and the same [`Seeds::start_up`] from its beginning.
    ///
    /// # Panics
    /// If the start-up is over.
    #[must_use]
    pub fn fork(&self, faults_seed: u64, schedule: &Schedule) -> Self {
        let seeds = Seeds { start_up: self.start_up_seed, faults: faults_seed };
        assert_eq!(self.phase, Phase::StartUp, "a schedule can be exchanged only before it begins");
        let injector = Injector::new(schedule, self.start());
        let faults_end = injector.end().max(self.start() + self.scenario.phases.faults);
        Self { injector, faults_end, rekey: seeds.rekeyed(), ..self.clone() }
    }

    /// The run as it goes on by other chance: the same state and the same schedule, but every stream begins anew from `seed`.
    #[must_use]
    pub fn branch(&self, seed: u64) -> Self {
        let mut branch = self.clone();
        branch.rekey = None;
        branch.sim.rekey(seed);
        branch
    }

    /// Goes on after a broken safety law, where the consequences are the question.
    #[must_use]
    pub fn beyond_violations(mut self) -> Self {
        self.beyond_violations = true;
        self
    }

    /// What is run.
    pub fn scenario(&self) -> &Arc<Scenario> {
        &self.scenario
    }

    /// The names and ids of its processes.
    pub fn deployment(&self) -> &Arc<Deployment> {
        &self.deployment
    }

    /// The moment up to which everything has happened.
    pub fn now(&self) -> Instant {
        self.sim.now()
    }

    /// The end of the warm-up.
    pub fn start(&self) -> Instant {
        Instant::ZERO + self.scenario.phases.warm_up
    }

    /// When the faults are over and the quiet phase begins.
    pub fn faults_end(&self) -> Instant {
        self.faults_end
    }

    /// Roughly how many bytes a clone of it holds that it does not share with a clone a second of virtual time apart; never 0.
    pub fn weight(&self) -> u64 {
        let workload = &self.scenario.workload;
        let partitions = u64::from(workload.topics) * u64::from(workload.partitions);
        let replicas = partitions * u64::from(workload.replication_factor);
        REPLICA_BYTES * replicas + PROCESS_BYTES * self.deployment.processes.len() as u64
    }

    /// Where it is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over { .. })
    }

    /// Whether a law is broken already.
    pub fn is_broken(&self) -> bool {
        self.jury.is_broken()
    }

    /// The deployment as it stands.
    pub fn simulation(&self) -> &Simulation<Node> {
        &self.sim
    }

    /// The deployment as it stands, to be traced.
    pub fn simulation_mut(&mut self) -> &mut Simulation<Node> {
        &mut self.sim
    }

    /// The fingerprint so far.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint { at: self.sim.now(), events: self.sim.events().queued, fingerprint: self.sim.fingerprint() }
    }

    /// Runs to the end, or until `on_checkpoint` breaks off. Unless asked to go on, the first broken safety law ends the run:
    /// what follows would only be consequences.
    pub fn finish(
        mut self,
        watcher: &mut impl Observer,
        on_checkpoint: &mut dyn FnMut(Checkpoint) -> ControlFlow<()>,
    ) -> Finished {
        self.advance_to(Instant::MAX, watcher, on_checkpoint);
        let early = self.phase == Phase::Over { early: true };
        let Checkpoint { at: ended, events, fingerprint } = self.checkpoint();
        let judgement = self.jury.finish(ended, early);
        let violation = judgement.first_broken(ended).map(|(law, at, what)| BrokenLaw { law, at, what });
        Finished {
            outcome: Outcome { ended, events, fingerprint, violation },
            judgement,
            start: Instant::ZERO + self.scenario.phases.warm_up,
            quiet_since: self.faults_end.min(ended),
            delivered: self.sim.events().delivered(),
        }
    }

    /// Runs all that happens up to `until`, that moment included, or less if the run ends before. Where a phase ends at that
    /// moment, the next one has not begun.
    pub fn advance_to(
        &mut self,
        until: Instant,
        watcher: &mut impl Observer,
        on_checkpoint: &mut dyn FnMut(Checkpoint) -> ControlFlow<()>,
    ) {
        while !self.is_complete || self.now() < until && self.enter_phase(watcher) {
            let due = self.due();
            self.run_until(due.min(until), watcher);
            if due <= until {
                self.act(watcher, on_checkpoint);
            }
        }
    }

    /// Runs the next event, or what the run itself has to do before it: a step of the schedule, a scrape, a checkpoint, the
    /// beginning of a phase. Returns false if nothing more is due at `limit`, and then stands there, or if the run is over.
    pub fn step_until(
        &mut self,
        limit: Instant,
        watcher: &mut impl Observer,
        on_checkpoint: &mut dyn FnMut(Checkpoint) -> ControlFlow<()>,
    ) -> bool {
        let waits = self.now() >= self.look && self.now() >= limit;
        if self.is_complete && (waits || !self.enter_phase(watcher)) {
            return false;
        }
        let due = self.due();
        let Self { sim, roles, jury, .. } = self;
        if sim.step(due.min(limit), &mut Watching { jury, roles, watcher }) {
            self.is_complete = false;
            return true;
        }
        self.run_until(due.min(limit), watcher);
        if due <= limit {
            self.act(watcher, on_checkpoint);
        }
        due <= limit
    }

    fn run_until(&mut self, until: Instant, watcher: &mut impl Observer) {
        let Self { sim, roles, jury, .. } = self;
        sim.run_until(until, &mut Watching { jury, roles, watcher });
        self.is_complete = true;
    }

    /// When the run itself has something to do next.
    fn due(&self) -> Instant {
        let fault = if self.phase == Phase::StartUp { None } else { self.injector.next() };
        [Some(self.look), fault, self.monitors.next()].into_iter().flatten().fold(self.beat, Instant::min)
    }

    /// Does what is due now.
    fn act(&mut self, watcher: &mut impl Observer, on_checkpoint: &mut dyn FnMut(Checkpoint) -> ControlFlow<()>) {
        self.inject();
        self.monitors.act(&mut self.sim);
        if self.now() >= self.beat {
            self.beat = self.now() + BEAT;
            let enough = on_checkpoint(self.checkpoint()).is_break();
            if enough || self.jury.is_broken() && !self.beyond_violations {
                self.phase = Phase::Over { early: true };
            }
        }
        self.show(watcher);
    }

    fn show(&mut self, watcher: &mut impl Observer) {
        let Self { sim, roles, jury, .. } = self;
        sim.show(&mut Watching { jury, roles, watcher });
    }

    fn inject(&mut self) {
        let Self { sim, injector, roles, scenario, deployment, phase, .. } = self;
        if *phase != Phase::StartUp && injector.next().is_some_and(|due| due <= sim.now()) {
            injector.act(sim, scenario, deployment, roles);
        }
    }

    /// Goes on to the phase that begins now. Returns false if the run is over.
    fn enter_phase(&mut self, watcher: &mut impl Observer) -> bool {
        while !self.is_over() && self.now() >= self.look {
            match self.phase {
                Phase::StartUp => self.begin_faults(),
                Phase::Faults => self.begin_quiet(),
                Phase::Quiet if self.jury.is_settled(self.now()) => self.begin_last_read(),
                Phase::LastRead { deadline } if self.now() >= deadline || self.has_read_all() => {
                    self.phase = Phase::Over { early: false };
                }
                Phase::Quiet | Phase::LastRead { .. } => self.look = self.now() + BEAT,
                Phase::Over { .. } => {}
            }
            self.show(watcher);
        }
        !self.is_over()
    }

    fn begin_faults(&mut self) {
        self.jury.faults_begin(self.now());
        if let Some(seed) = self.rekey.take() {
            self.sim.rekey(seed);
        }
        (self.phase, self.look) = (Phase::Faults, self.faults_end);
        self.inject();
    }

    fn begin_quiet(&mut self) {
        let now = self.now();
        self.roll_back();
        self.jury.quiet_begins(now);
        (self.phase, self.look) = (Phase::Quiet, now + BEAT);
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

    fn begin_last_read(&mut self) {
        let now = self.now();
        self.jury.producers_stop(now);
        for process in &self.deployment.processes {
            match self.sim.process_mut(process.id) {
                Node::Producer(producer) => producer.stop_sending(),
                Node::Session(session) => session.stop_writing(),
                _ => {}
            }
        }
        // Looked at once more at this moment: there may be nothing to wait for.
        self.phase = Phase::LastRead { deadline: now + LAST_READ };
    }

    fn has_read_all(&self) -> bool {
        self.writers_drained() && self.consumers_caught_up()
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
}

/// The simulator, as replay and shrinking see it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Simulator;

impl Subject for Simulator {
    type Error = std::convert::Infallible;

    fn run(
        &self,
        scenario: &Scenario,
        seeds: Seeds,
        schedule: &Schedule,
        on_checkpoint: &mut dyn FnMut(Checkpoint) -> ControlFlow<()>,
    ) -> Result<Outcome, Self::Error> {
        let mut nobody = |_: &Observed| {};
        Ok(Run::new(scenario.clone(), seeds, schedule).finish(&mut nobody, on_checkpoint).outcome)
    }
}
