//! Faults onto the engine: when each begins and ends, and what has to be undone. [`scope`] says whom a fault hits, [`strike`]
//! does what it does, [`words`] translates, [`roles`] knows who fills a role at the moment.

mod roles;
mod scope;
mod strike;
mod words;

use std::collections::BTreeMap;

use models::id::{HostId, ProcessId};
use models::node::Node;
use models::observation::Observation;
use models::time::{Instant, Span};
use models::zk::server::Ensemble;
use scenarios::Scenario;
use scenarios::deployment::Deployment;
use scenarios::fault::Fault;
use scenarios::schedule::{Schedule, Timed};

use crate::disk::DiskFault;
use crate::kernel::Simulation;
use crate::net::resolver::Answer;
use crate::net::rule::{Effect, PortFilter, RuleId};

pub(crate) use self::roles::Roles;
use self::strike::{add_rules, remove_rules};
pub(crate) use self::words::netem;

/// How often a process that is restarted is looked at, whether it has ended.
const LOOK: Span = Span::from_ms(100);

/// A clock has to go on, in parts per billion.
const SLOWEST: i32 = -999_000_000;

/// Something that the schedule does at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// A process that was told to end is killed if it still runs; before the fault that told it so ends.
    GraceOver(usize, ProcessId),
    /// Ends come before beginnings of the same moment, so that back-to-back faults do not overlap.
    End(usize),
    Begin(usize),
    /// Faults that come and go: they strike, and let go.
    On(usize),
    Off(usize),
    /// Whether a process that is restarted has ended.
    Look(usize, ProcessId),
    StartAgain(usize, ProcessId),
}

/// What undoes a fault.
#[derive(Clone, Debug)]
enum Undo {
    Rules(Vec<RuleId>),
    Start(ProcessId),
    Resume(ProcessId),
    Busy(ProcessId, Span),
    Boot(HostId),
    Disk(HostId, DiskFault),
    Dir(ProcessId, u8),
    Room(HostId, u64),
    Jump(HostId, i64),
    Drift(HostId, i32),
    Name(HostId, HostId, Answer),
    Ensemble(Ensemble, Vec<ProcessId>),
}

/// A fault that comes and goes.
#[derive(Clone, Debug)]
struct Cycle {
    what: Striking,
    /// How long it strikes, and how long it lets go.
    on: Span,
    off: Span,
}

#[derive(Clone, Debug)]
enum Striking {
    Cut(Vec<(HostId, HostId)>, PortFilter),
    Pause(Vec<ProcessId>),
    Jump(Vec<HostId>, i64),
}

/// Carries a schedule out.
#[derive(Clone, Debug)]
pub(crate) struct Injector {
    faults: Vec<Timed>,
    start: Instant,
    /// Future steps by time; within a moment by [`Step`]'s order.
    steps: BTreeMap<(Instant, Step), ()>,
    undo: BTreeMap<usize, Vec<Undo>>,
    cycles: BTreeMap<usize, Cycle>,
    /// How many faults hold a process down, paused or without power; it is released with the last of them.
    holds: BTreeMap<Hold, u32>,
    /// How long an input keeps a process busy: what all faults take together.
    busy: BTreeMap<ProcessId, Span>,
    /// Disks that faults have filled: the least room that one of them leaves is what there is.
    room: BTreeMap<HostId, Piled<u64>>,
    /// Clocks that faults make drift, in parts per billion: drifts add up.
    drift: BTreeMap<HostId, Piled<i32>>,
}

/// A value of a host, and what the faults that are in force make of it.
#[derive(Clone, Debug)]
struct Piled<T> {
    without: T,
    faults: Vec<T>,
}

impl<T: Copy + PartialEq> Piled<T> {
    fn remove(&mut self, fault: T) {
        if let Some(index) = self.faults.iter().position(|other| *other == fault) {
            self.faults.remove(index);
        }
    }
}

impl Piled<u64> {
    fn least(&self) -> u64 {
        self.faults.iter().copied().fold(self.without, u64::min)
    }
}

impl Piled<i32> {
    fn sum(&self) -> i32 {
        self.faults.iter().fold(self.without, |sum, more| sum.saturating_add(*more)).max(SLOWEST)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hold {
    Down(ProcessId),
    Paused(ProcessId),
    Dark(HostId),
}

impl Injector {
    /// A schedule whose times count from `start`, the end of the warm-up.
    pub(crate) fn new(schedule: &Schedule, start: Instant) -> Self {
        let mut steps = BTreeMap::new();
        for (index, fault) in schedule.faults.iter().enumerate() {
            steps.insert((start + fault.at, Step::Begin(index)), ());
            steps.insert((start + fault.end(), Step::End(index)), ());
        }
        Self {
            faults: schedule.faults.clone(),
            start,
            steps,
            undo: BTreeMap::new(),
            cycles: BTreeMap::new(),
            holds: BTreeMap::new(),
            busy: BTreeMap::new(),
            room: BTreeMap::new(),
            drift: BTreeMap::new(),
        }
    }

    /// When the schedule next does something.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.steps.first_key_value().map(|((at, _), ())| *at)
    }

    /// When the last fault ends; the start if there is none.
    pub(crate) fn end(&self) -> Instant {
        self.start + self.faults.iter().map(Timed::end).max().unwrap_or(Span::ZERO)
    }

    /// Does what is due by now.
    pub(crate) fn act(
        &mut self,
        sim: &mut Simulation<Node>,
        scenario: &Scenario,
        deployment: &Deployment,
        roles: &Roles,
    ) {
        while let Some((&(at, step), ())) = self.steps.first_key_value()
            && at <= sim.now()
        {
            self.steps.remove(&(at, step));
            match step {
                Step::Begin(index) => self.begin(index, sim, scenario, deployment, roles),
                Step::GraceOver(index, process) => {
                    if self.undo.contains_key(&index) {
                        sim.kill(process);
                    }
                }
                Step::End(index) => self.end_fault(index, sim),
                Step::On(index) => self.cycle(index, true, sim),
                Step::Off(index) => self.cycle(index, false, sim),
                Step::Look(index, process) => self.look(index, process, sim),
                Step::StartAgain(index, process) => self.start_again(index, process, sim),
            }
        }
    }

    fn begin(
        &mut self,
        index: usize,
        sim: &mut Simulation<Node>,
        scenario: &Scenario,
        deployment: &Deployment,
        roles: &Roles,
    ) {
        let Timed { id, name, fault, .. } = self.faults[index].clone();
        let (scope, text) = scope::of(&fault, scenario, deployment, roles);
        let text = name.map_or(text.clone(), |name| format!("{name}: {text}"));
        let begin = Observation::FaultBegin {
            fault: id,
            name: fault.kind().into(),
            text: text.into(),
            scope: Box::new(scope.clone()),
        };
        sim.observe(ProcessId(0), begin);
        let undo = self.strike(index, &fault, &scope, (scenario, deployment), sim);
        self.undo.insert(index, undo);
    }

    fn end_fault(&mut self, index: usize, sim: &mut Simulation<Node>) {
        self.cycles.remove(&index);
        for undo in self.undo.remove(&index).unwrap_or_default() {
            self.undo(undo, sim);
        }
        let fault = self.faults[index].id;
        sim.observe(ProcessId(0), Observation::FaultEnd { fault });
    }

    fn undo(&mut self, undo: Undo, sim: &mut Simulation<Node>) {
        match undo {
            Undo::Rules(rules) => remove_rules(sim, rules),
            Undo::Start(process) => {
                if self.release(Hold::Down(process)) {
                    sim.start(process);
                }
            }
            Undo::Resume(process) => {
                if self.release(Hold::Paused(process)) {
                    sim.resume(process);
                }
            }
            Undo::Busy(process, takes) => {
                let left = self.busy.get(&process).map_or(Span::ZERO, |all| all.saturating_sub(takes));
                self.busy.insert(process, left);
                sim.set_input_time(process, left);
            }
            Undo::Boot(host) => {
                if self.release(Hold::Dark(host)) {
                    sim.boot_host(host);
                }
            }
            Undo::Disk(host, fault) => sim.clear_disk_fault(host, fault),
            Undo::Dir(process, dir) => sim.set_dir_failing(process, dir, false),
            Undo::Room(host, capacity) => {
                if let Some(room) = self.room.get_mut(&host) {
                    room.remove(capacity);
                    sim.set_disk_capacity(host, room.least());
                }
            }
            Undo::Ensemble(whole, processes) => self.reconfigure(sim, &whole, &processes),
            Undo::Jump(host, by_ns) => sim.jump_clock(host, by_ns),
            Undo::Drift(host, ppb) => {
                if let Some(drift) = self.drift.get_mut(&host) {
                    drift.remove(ppb);
                    sim.set_clock_drift(host, drift.sum());
                }
            }
            Undo::Name(at, name, answer) => sim.mend_name(at, name, answer),
        }
    }

    /// A fault that comes and goes strikes or lets go, and its next step is set.
    fn cycle(&mut self, index: usize, on: bool, sim: &mut Simulation<Node>) {
        let Some(Cycle { what, on: strikes_for, off: sound_for }) = self.cycles.get(&index).cloned() else { return };
        let (rest, next) = if on {
            let undo = match what {
                Striking::Cut(links, ports) => vec![Undo::Rules(add_rules(sim, &links, &ports, Effect::Cut))],
                Striking::Pause(processes) => self.pause(&processes, sim),
                Striking::Jump(hosts, by_ns) => {
                    hosts.iter().for_each(|host| sim.jump_clock(*host, by_ns));
                    hosts.iter().map(|host| Undo::Jump(*host, by_ns.saturating_neg())).collect()
                }
            };
            self.undo.entry(index).or_default().extend(undo);
            (strikes_for, Step::Off(index))
        } else {
            for undo in self.undo.get_mut(&index).map(std::mem::take).unwrap_or_default() {
                self.undo(undo, sim);
            }
            (sound_for, Step::On(index))
        };
        // A cycle of no length would never let time pass.
        self.steps.insert((sim.now() + rest.max(Span::from_ms(1)), next), ());
    }

    /// A process that is restarted has ended, or is looked at again.
    fn look(&mut self, index: usize, process: ProcessId, sim: &Simulation<Node>) {
        let Fault::Restart { delay, .. } = self.faults[index].fault else { return };
        if !self.undo.contains_key(&index) {
            return;
        }
        let (after, next) = if sim.is_up(process) {
            (LOOK, Step::Look(index, process))
        } else {
            (delay, Step::StartAgain(index, process))
        };
        self.steps.insert((sim.now() + after, next), ());
    }

    fn start_again(&mut self, index: usize, process: ProcessId, sim: &mut Simulation<Node>) {
        // Its new life has nothing to do with the grace of the old one.
        self.steps.retain(|(_, step), ()| *step != Step::GraceOver(index, process));
        for undo in self.undo.get_mut(&index).map(std::mem::take).unwrap_or_default() {
            self.undo(undo, sim);
        }
    }

    /// Restarts ZooKeeper servers with other `server.N` lines. A server that a fault holds down reads them later.
    fn reconfigure(&self, sim: &mut Simulation<Node>, ensemble: &Ensemble, servers: &[ProcessId]) {
        for server in servers {
            sim.kill(*server);
            sim.edit(*server, |node| {
                let Node::ZooKeeper(server) = node else { unreachable!("the deployment lists ZooKeeper servers") };
                server.set_ensemble(ensemble.clone());
            });
            if !self.holds.contains_key(&Hold::Down(*server)) {
                sim.start(*server);
            }
        }
    }

    fn hold(&mut self, hold: Hold) {
        *self.holds.entry(hold).or_default() += 1;
    }

    /// Whether nothing else holds it any more.
    fn release(&mut self, hold: Hold) -> bool {
        let Some(count) = self.holds.get_mut(&hold) else { return false };
        *count -= 1;
        if *count == 0 {
            self.holds.remove(&hold);
            return true;
        }
        false
    }
}
