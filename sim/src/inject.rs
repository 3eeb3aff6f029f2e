//! Faults onto the engine: the one match over all of them, and who fills a role at the moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use models::id::{HostId, ProcessId, TopicPartition};
use models::kafka;
use models::kafka::broker::BrokerTimer;
use models::kafka::client::ClientTimer;
use models::node::Node;
use models::observation::{FaultScope, Observation, Observed, ZkRole};
use models::time::{Instant, Span};
use models::world::Timer;
use models::zk::server::Ensemble;
use scenarios::Scenario;
use scenarios::deployment::Deployment;
use scenarios::fault::{Fault, HostSelector, ProcessSelector, Route};
use scenarios::netem as words;
use scenarios::schedule::{Schedule, Timed};
use scenarios::units::Share;

use crate::disk::DiskFault;
use crate::kernel::Simulation;
use crate::net::netem::{Chance, Distribution, Loss, Netem, Ppm};
use crate::net::rule::{Effect, Rule, RuleId};

/// Who fills which role, as observed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roles {
    controller: Option<(i32, ProcessId)>,
    zookeeper_leader: Option<(u32, ProcessId)>,
    leaders: BTreeMap<TopicPartition, (i32, ProcessId)>,
}

impl Roles {
    /// Takes an observation.
    pub(crate) fn observe(&mut self, seen: &Observed) {
        match seen.what {
            Observation::ControllerBegin { epoch } if self.controller.is_none_or(|(newest, _)| epoch >= newest) => {
                self.controller = Some((epoch, seen.process));
            }
            Observation::ZkRole { role: ZkRole::Leading, epoch, .. }
                if self.zookeeper_leader.is_none_or(|(newest, _)| epoch >= newest) =>
            {
                self.zookeeper_leader = Some((epoch, seen.process));
            }
            Observation::LeaderBegin { partition, leader_epoch, .. } => {
                let newest = self.leaders.entry(partition).or_insert((leader_epoch, seen.process));
                if leader_epoch >= newest.0 {
                    *newest = (leader_epoch, seen.process);
                }
            }
            _ => {}
        }
    }

    /// The process that a selector means now; `None` if nobody fills the role.
    pub(crate) fn resolve(&self, selector: ProcessSelector, deployment: &Deployment) -> Option<ProcessId> {
        match selector {
            ProcessSelector::Controller => self.controller.map(|(_, process)| process),
            ProcessSelector::ZooKeeperLeader => self.zookeeper_leader.map(|(_, process)| process),
            ProcessSelector::LeaderOf(partition) => self.leaders.get(&partition).map(|(_, process)| *process),
            fixed => fixed.fixed(deployment),
        }
    }

    fn host(&self, selector: HostSelector, deployment: &Deployment) -> Option<HostId> {
        match selector {
            HostSelector::Host(host) => Some(host),
            HostSelector::Of(process) => {
                let process = self.resolve(process, deployment)?;
                deployment.process(process).map(|p| p.host)
            }
        }
    }
}

/// Something that the schedule does at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// A process that was told to end is killed if it still runs; before the fault that told it so ends.
    GraceOver(usize, ProcessId),
    /// Ends come before beginnings of the same moment, so that back-to-back faults do not overlap.
    End(usize),
    Begin(usize),
    FlapDown(usize),
    FlapUp(usize),
}

/// What undoes a fault.
#[derive(Clone, Debug)]
enum Undo {
    Rules(Vec<RuleId>),
    Start(ProcessId),
    Resume(ProcessId),
    Boot(HostId),
    Disk(HostId, DiskFault),
    Dir(ProcessId, u8),
    Capacity(HostId, u64),
    Jump(HostId, i64),
    Drift(HostId, i32),
    Ensemble(Ensemble, Vec<ProcessId>),
}

/// Carries a schedule out.
#[derive(Clone, Debug)]
pub(crate) struct Injector {
    faults: Vec<Timed>,
    start: Instant,
    /// Future steps by time; within a moment by [`Step`]'s order.
    steps: BTreeMap<(Instant, Step), ()>,
    undo: BTreeMap<usize, Vec<Undo>>,
    flapping: BTreeMap<usize, Vec<(HostId, HostId)>>,
    /// How many faults hold a process down, paused or without power; it is released with the last of them.
    holds: BTreeMap<Hold, u32>,
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
            flapping: BTreeMap::new(),
            holds: BTreeMap::new(),
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
                Step::FlapDown(index) => self.flap(index, true, sim),
                Step::FlapUp(index) => self.flap(index, false, sim),
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
        let Timed { id, fault, .. } = self.faults[index].clone();
        let process = |selector: ProcessSelector| roles.resolve(selector, deployment);
        let host = |selector: HostSelector| roles.host(selector, deployment);
        let pairs = |route: &Route| route.pairs(scenario, host);
        let mut scope = FaultScope::default();
        // Where a role is meant, the story names who fills it.
        let mut whom = None;
        match &fault {
            Fault::Cut { route, .. } | Fault::Flap { route, .. } => {
                scope.links = pairs(route);
                scope.silent = true;
            }
            Fault::Impair { route, .. } | Fault::ResetConnections(route) => scope.links = pairs(route),
            Fault::Kill { process: selector }
            | Fault::Stop { process: selector, .. }
            | Fault::Pause { process: selector }
            | Fault::AuthFailed { process: selector } => {
                whom = process(*selector);
                scope.processes.extend(whom);
            }
            Fault::DeleteController => scope.processes.extend(deployment.named("admin")),
            Fault::HostCrash { host: selector, .. }
            | Fault::SlowDisk { host: selector, .. }
            | Fault::StallDisk { host: selector }
            | Fault::FailDisk { host: selector, .. }
            | Fault::FillDisk { host: selector, .. }
            | Fault::ClockJump { host: selector, .. }
            | Fault::ClockDrift { host: selector, .. } => scope.hosts.extend(host(*selector)),
            Fault::Reconfigure { servers } => {
                scope.processes.extend(servers.iter().filter_map(|sid| deployment.zookeeper(*sid)));
            }
            _ => {}
        }
        let mut text = fault.text(scenario);
        if let Some(process) = whom {
            let name = deployment.name(process);
            if !text.contains(name) {
                text = format!("{text} ({name})");
            }
        }
        if let Some(host) = scope.hosts.first() {
            let name = scenario.topology.host_name(*host);
            if !text.contains(name) {
                text = format!("{text} ({name})");
            }
        }
        if scope.links.is_empty() && scope.processes.is_empty() && scope.hosts.is_empty() {
            text = format!("{text}: nobody fills that role now, nothing happens");
        }
        let begin =
            Observation::FaultBegin { fault: id, name: fault.kind().into(), text: text.into(), scope: scope.clone() };
        sim.observe(ProcessId(0), begin);
        let undo = self.strike(index, &fault, &scope, (scenario, deployment), sim);
        self.undo.insert(index, undo);
    }

    /// Does what the fault does, and says what undoes it.
    fn strike(
        &mut self,
        index: usize,
        fault: &Fault,
        scope: &FaultScope,
        (scenario, deployment): (&Scenario, &Deployment),
        sim: &mut Simulation<Node>,
    ) -> Vec<Undo> {
        let mut undo = Vec::new();
        match fault {
            Fault::Cut { .. } => undo.push(Undo::Rules(add_rules(sim, &scope.links, Effect::Cut))),
            Fault::Impair { netem: words, .. } => {
                undo.push(Undo::Rules(add_rules(sim, &scope.links, Effect::Netem(netem(words)))));
            }
            Fault::Flap { .. } => {
                self.flapping.insert(index, scope.links.clone());
                self.steps.insert((sim.now(), Step::FlapDown(index)), ());
            }
            Fault::ResetConnections(_) => {
                for (from, to) in &scope.links {
                    sim.reset_connections(&[*from], &[*to]);
                }
            }
            Fault::Reconfigure { .. } => {
                let whole: Ensemble = Arc::new(deployment.zookeepers().collect());
                let part = whole.iter().filter(|(_, process)| scope.processes.contains(process));
                let part = Arc::new(part.map(|(sid, process)| (*sid, *process)).collect());
                self.reconfigure(sim, &part, &scope.processes);
                undo.push(Undo::Ensemble(whole, scope.processes.clone()));
            }
            Fault::Kill { .. } => {
                for process in &scope.processes {
                    self.hold(Hold::Down(*process));
                    sim.kill(*process);
                    sim.hold_down(*process);
                    undo.push(Undo::Start(*process));
                }
            }
            Fault::Stop { grace, .. } => {
                for process in &scope.processes {
                    self.hold(Hold::Down(*process));
                    sim.hold_down(*process);
                    sim.terminate(*process);
                    undo.push(Undo::Start(*process));
                    // Whatever it has not done by then it will not do.
                    self.steps.insert((sim.now() + *grace, Step::GraceOver(index, *process)), ());
                }
            }
            Fault::Pause { .. } => {
                for process in &scope.processes {
                    self.hold(Hold::Paused(*process));
                    sim.pause(*process);
                    undo.push(Undo::Resume(*process));
                }
            }
            Fault::AuthFailed { .. } => {
                let timer = Timer::Kafka(kafka::Timer::Broker(BrokerTimer::ZkAuthFailed));
                scope.processes.iter().for_each(|process| sim.signal(*process, timer));
            }
            Fault::DeleteController => {
                let timer = Timer::Kafka(kafka::Timer::Client(ClientTimer::DeleteController));
                scope.processes.iter().for_each(|process| sim.signal(*process, timer));
            }
            Fault::HostCrash { .. } => {
                for host in &scope.hosts {
                    self.hold(Hold::Dark(*host));
                    sim.crash_host(*host);
                    undo.push(Undo::Boot(*host));
                }
            }
            Fault::SlowDisk { .. } | Fault::StallDisk { .. } | Fault::FailDisk { .. } | Fault::FillDisk { .. } => {
                undo = strike_disks(fault, &scope.hosts, scenario, deployment, sim);
            }
            Fault::ClockJump { by_ns, .. } => {
                for host in &scope.hosts {
                    sim.jump_clock(*host, *by_ns);
                    undo.push(Undo::Jump(*host, by_ns.saturating_neg()));
                }
            }
            Fault::ClockDrift { ppm, .. } => {
                for host in &scope.hosts {
                    let before = sim.set_clock_drift(*host, ppm.saturating_mul(1_000));
                    undo.push(Undo::Drift(*host, before));
                }
            }
            _ => {}
        }
        undo
    }

    fn end_fault(&mut self, index: usize, sim: &mut Simulation<Node>) {
        self.flapping.remove(&index);
        for undo in self.undo.remove(&index).unwrap_or_default() {
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
                Undo::Boot(host) => {
                    if self.release(Hold::Dark(host)) {
                        sim.boot_host(host);
                    }
                }
                Undo::Disk(host, fault) => sim.clear_disk_fault(host, fault),
                Undo::Dir(process, dir) => sim.set_dir_failing(process, dir, false),
                Undo::Capacity(host, capacity) => {
                    sim.set_disk_capacity(host, capacity);
                }
                Undo::Ensemble(whole, processes) => self.reconfigure(sim, &whole, &processes),
                Undo::Jump(host, by_ns) => sim.jump_clock(host, by_ns),
                Undo::Drift(host, ppb) => {
                    sim.set_clock_drift(host, ppb);
                }
            }
        }
        let fault = self.faults[index].id;
        sim.observe(ProcessId(0), Observation::FaultEnd { fault });
    }

    fn flap(&mut self, index: usize, down: bool, sim: &mut Simulation<Node>) {
        let Some(links) = self.flapping.get(&index) else { return };
        let Fault::Flap { down: cut_for, up: sound_for, .. } = self.faults[index].fault else { return };
        let (rest, next) = if down {
            let rules = add_rules(sim, links, Effect::Cut);
            self.undo.entry(index).or_default().push(Undo::Rules(rules));
            (cut_for, Step::FlapUp(index))
        } else {
            for undo in self.undo.remove(&index).unwrap_or_default() {
                if let Undo::Rules(rules) = undo {
                    remove_rules(sim, rules);
                }
            }
            (sound_for, Step::FlapDown(index))
        };
        // A flap of no length would never let time pass.
        self.steps.insert((sim.now() + rest.max(Span::from_ms(1)), next), ());
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

/// Disk faults: what they do to each of `hosts`, and what undoes them.
fn strike_disks(
    fault: &Fault,
    hosts: &[HostId],
    scenario: &Scenario,
    deployment: &Deployment,
    sim: &mut Simulation<Node>,
) -> Vec<Undo> {
    let mut undo = Vec::new();
    match fault {
        Fault::SlowDisk { sync, .. } => {
            let slow = DiskFault::Slow { percent: 100, extra: *sync };
            undo.extend(hosts.iter().map(|host| Undo::Disk(*host, slow)));
        }
        Fault::StallDisk { .. } => undo.extend(hosts.iter().map(|h| Undo::Disk(*h, DiskFault::Stall))),
        Fault::FailDisk { dir: None, .. } => {
            undo.extend(hosts.iter().map(|h| Undo::Disk(*h, DiskFault::Error)));
        }
        Fault::FailDisk { dir: Some(path), .. } => {
            for broker in scenario.cluster.kafka.brokers.iter().filter(|b| hosts.contains(&b.host)) {
                let found = deployment.broker(broker.id).zip(broker.config.log_dirs.position(path));
                let Some((process, dir)) = found else { continue };
                sim.set_dir_failing(process, dir, true);
                undo.push(Undo::Dir(process, dir));
            }
        }
        Fault::FillDisk { leave, .. } => {
            for host in hosts {
                let used = sim.disk(*host).used;
                undo.push(Undo::Capacity(*host, sim.set_disk_capacity(*host, used.saturating_add(*leave))));
            }
        }
        _ => {}
    }
    for undo in &undo {
        if let Undo::Disk(host, fault) = undo {
            sim.set_disk_fault(*host, *fault);
        }
    }
    undo
}

/// One rule per sender, so that a route's pairs are covered and nothing else.
fn add_rules(sim: &mut Simulation<Node>, links: &[(HostId, HostId)], effect: Effect) -> Vec<RuleId> {
    let mut receivers: BTreeMap<HostId, Vec<HostId>> = BTreeMap::new();
    for (from, to) in links {
        receivers.entry(*from).or_default().push(*to);
    }
    receivers.into_iter().map(|(from, to)| sim.add_rule(Rule { from: vec![from], to, effect })).collect()
}

fn remove_rules(sim: &mut Simulation<Node>, rules: Vec<RuleId>) {
    for rule in rules {
        let was_in_force = sim.remove_rule(rule);
        assert!(was_in_force, "a fault removes each of its rules once");
    }
}

/// A share in the engine's unit.
pub(crate) fn ppm(share: Share) -> Ppm {
    Ppm(share.ppm())
}

/// A scenario's netem in the engine's terms. Rates go from bits to bytes.
pub(crate) fn netem(words: &words::Netem) -> Netem {
    let chance = |c: words::Correlated| Chance { probability: ppm(c.share), correlation: ppm(c.correlation) };
    Netem {
        delay: words.delay,
        jitter: words.jitter,
        delay_correlation: ppm(words.correlation),
        distribution: match words.distribution {
            words::Distribution::Uniform => Distribution::Uniform,
            words::Distribution::Normal => Distribution::Normal,
            words::Distribution::Pareto => Distribution::Pareto,
            words::Distribution::ParetoNormal => Distribution::ParetoNormal,
        },
        loss: match words.loss {
            words::Loss::Random(c) if c.share == Share::NONE => Loss::None,
            words::Loss::Random(c) => Loss::Random(chance(c)),
            words::Loss::State { p13, p31, p32, p23, p14 } => {
                Loss::FourState { p13: ppm(p13), p31: ppm(p31), p32: ppm(p32), p23: ppm(p23), p14: ppm(p14) }
            }
            words::Loss::GilbertElliott { p, r, one_minus_h, one_minus_k } => {
                Loss::GilbertElliott { p: ppm(p), r: ppm(r), bad: ppm(one_minus_h), good: ppm(one_minus_k) }
            }
        },
        duplicate: chance(words.duplicate),
        corrupt: chance(words.corrupt),
        reorder: chance(words.reorder),
        gap: words.gap,
        rate: words.rate.unwrap_or(0) / 8,
        limit: words.limit.unwrap_or(0),
    }
}
