//! What faults do to the engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use models::id::{HostId, Port, ProcessId};
use models::kafka;
use models::kafka::broker::BrokerTimer;
use models::kafka::client::ClientTimer;
use models::node::Node;
use models::observation::FaultScope;
use models::time::Span;
use models::world::Timer;
use models::zk::server::Ensemble;
use scenarios::Scenario;
use scenarios::deployment::Deployment;
use scenarios::fault::{Fault, Route};

use super::{Cycle, Hold, Injector, LOOK, Piled, Step, Striking, Undo, words};
use crate::disk::DiskFault;
use crate::kernel::Simulation;
use crate::net::rule::{Effect, PortFilter, Rule, RuleId};

impl Injector {
    /// Does what the fault does, and says what undoes it.
    pub(super) fn strike(
        &mut self,
        index: usize,
        fault: &Fault,
        scope: &FaultScope,
        (scenario, deployment): (&Scenario, &Deployment),
        sim: &mut Simulation<Node>,
    ) -> Vec<Undo> {
        match fault {
            Fault::Kill { .. }
            | Fault::Stop { .. }
            | Fault::Restart { .. }
            | Fault::Pause { .. }
            | Fault::Gc { .. }
            | Fault::Cpu { .. }
            | Fault::AuthFailed { .. }
            | Fault::DeleteController
            | Fault::DamageIndexes { .. } => self.strike_processes(index, fault, &scope.processes, sim),
            Fault::Reconfigure { .. } => {
                let whole: Ensemble = Arc::new(deployment.zookeepers().collect());
                let part = whole.iter().filter(|(_, process)| scope.processes.contains(process));
                let part = Arc::new(part.map(|(sid, process)| (*sid, *process)).collect());
                self.reconfigure(sim, &part, &scope.processes);
                vec![Undo::Ensemble(whole, scope.processes.clone())]
            }
            Fault::HostCrash { unsynced, .. } => {
                for host in &scope.hosts {
                    self.hold(Hold::Dark(*host));
                    sim.crash_host(*host, words::crash_loss(*unsynced));
                }
                scope.hosts.iter().map(|host| Undo::Boot(*host)).collect()
            }
            Fault::FillDisk { leave, .. } => self.fill_disks(*leave, &scope.hosts, sim),
            Fault::SlowDisk { .. } | Fault::DiskRate { .. } | Fault::StallDisk { .. } | Fault::FailDisk { .. } => {
                strike_disks(fault, &scope.hosts, scenario, deployment, sim)
            }
            Fault::ClockJump { .. } | Fault::ClockDrift { .. } | Fault::ClockStrobe { .. } => {
                self.strike_clocks(index, fault, &scope.hosts, sim)
            }
            Fault::Cut { .. }
            | Fault::Partition { .. }
            | Fault::Impair { .. }
            | Fault::MtuHole { .. }
            | Fault::FlowLoss { .. }
            | Fault::Flap { .. }
            | Fault::RouteLost { .. }
            | Fault::LinkDown { .. }
            | Fault::Dns { .. }
            | Fault::ResetConnections(_) => self.strike_network(index, fault, scope, sim),
        }
    }

    fn strike_network(
        &mut self,
        index: usize,
        fault: &Fault,
        scope: &FaultScope,
        sim: &mut Simulation<Node>,
    ) -> Vec<Undo> {
        let ports = fault.route().map(|route| words::ports(&route.ports)).unwrap_or_default();
        let mut rules = |effect| vec![Undo::Rules(add_rules(sim, &scope.links, &ports, effect))];
        match fault {
            Fault::Cut { mode, .. } | Fault::Partition { mode, .. } => rules(words::effect(*mode)),
            Fault::Impair { netem, .. } => rules(Effect::Netem(words::netem(netem))),
            Fault::MtuHole { above, .. } => rules(Effect::Above(*above)),
            Fault::FlowLoss { flows, packets, .. } => {
                rules(Effect::Flows { flows: words::ppm(*flows), packets: words::ppm(*packets) })
            }
            Fault::RouteLost { .. } => rules(Effect::NoRoute),
            Fault::LinkDown { host: _ } => {
                // Of all pairs of the host each stands there both ways; those that it sends on are told of.
                let Some(host) = fault_host(&scope.links) else { return Vec::new() };
                let (own, others): (Vec<_>, Vec<_>) = scope.links.iter().copied().partition(|(from, _)| *from == host);
                let told = add_rules(sim, &own, &ports, Effect::NoRoute);
                vec![Undo::Rules(told), Undo::Rules(add_rules(sim, &others, &ports, Effect::Cut))]
            }
            Fault::Flap { down, up, .. } => {
                self.come_and_go(index, Striking::Cut(scope.links.clone(), ports), *down, *up, sim)
            }
            Fault::Dns { name, answer, .. } => {
                let answer = words::answer(*answer);
                scope.hosts.iter().for_each(|host| sim.break_name(*host, *name, answer));
                scope.hosts.iter().map(|host| Undo::Name(*host, *name, answer)).collect()
            }
            Fault::ResetConnections(route) => {
                let ports = listed(route);
                for (from, to) in &scope.links {
                    sim.reset_connections(&[*from], &[*to], &ports);
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// Begins a fault that comes and goes.
    fn come_and_go(&mut self, index: usize, what: Striking, on: Span, off: Span, sim: &Simulation<Node>) -> Vec<Undo> {
        self.cycles.insert(index, Cycle { what, on, off });
        self.steps.insert((sim.now(), Step::On(index)), ());
        Vec::new()
    }

    fn strike_processes(
        &mut self,
        index: usize,
        fault: &Fault,
        processes: &[ProcessId],
        sim: &mut Simulation<Node>,
    ) -> Vec<Undo> {
        match fault {
            Fault::Kill { .. } => {
                for process in processes {
                    self.hold(Hold::Down(*process));
                    sim.kill(*process);
                    sim.hold_down(*process);
                }
                processes.iter().map(|process| Undo::Start(*process)).collect()
            }
            Fault::Stop { grace, .. } | Fault::Restart { grace, .. } => {
                let again = matches!(fault, Fault::Restart { .. });
                for process in processes {
                    self.hold(Hold::Down(*process));
                    sim.hold_down(*process);
                    sim.terminate(*process);
                    // Whatever it has not done by then it will not do.
                    self.steps.insert((sim.now() + *grace, Step::GraceOver(index, *process)), ());
                    if again {
                        self.steps.insert((sim.now() + LOOK, Step::Look(index, *process)), ());
                    }
                }
                processes.iter().map(|process| Undo::Start(*process)).collect()
            }
            Fault::Pause { .. } => self.pause(processes, sim),
            Fault::Gc { pause, period, .. } => {
                let rest = period.saturating_sub(*pause);
                self.come_and_go(index, Striking::Pause(processes.to_vec()), *pause, rest, sim)
            }
            Fault::Cpu { delay, .. } => {
                for process in processes {
                    let takes = self.busy.entry(*process).or_default();
                    *takes += *delay;
                    sim.set_input_time(*process, *takes);
                }
                processes.iter().map(|process| Undo::Busy(*process, *delay)).collect()
            }
            Fault::AuthFailed { .. } => {
                let timer = Timer::Kafka(kafka::Timer::Broker(BrokerTimer::ZkAuthFailed));
                processes.iter().for_each(|process| sim.signal(*process, timer));
                Vec::new()
            }
            Fault::DeleteController => {
                let timer = Timer::Kafka(kafka::Timer::Client(ClientTimer::DeleteController));
                processes.iter().for_each(|process| sim.signal(*process, timer));
                Vec::new()
            }
            Fault::DamageIndexes { .. } => {
                for process in processes {
                    if let Node::Broker(broker) = sim.process_mut(*process) {
                        broker.damage_indexes();
                    }
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn pause(&mut self, processes: &[ProcessId], sim: &mut Simulation<Node>) -> Vec<Undo> {
        for process in processes {
            self.hold(Hold::Paused(*process));
            sim.pause(*process);
        }
        processes.iter().map(|process| Undo::Resume(*process)).collect()
    }

    /// Leaves so many bytes of each disk.
    fn fill_disks(&mut self, leave: u64, hosts: &[HostId], sim: &mut Simulation<Node>) -> Vec<Undo> {
        let fill = |host: &HostId| {
            let capacity = sim.disk(*host).used.saturating_add(leave);
            let before = sim.set_disk_capacity(*host, capacity);
            let room = self.room.entry(*host).or_insert(Piled { without: before, faults: Vec::new() });
            room.faults.push(capacity);
            sim.set_disk_capacity(*host, room.least());
            Undo::Room(*host, capacity)
        };
        hosts.iter().map(fill).collect()
    }

    fn strike_clocks(
        &mut self,
        index: usize,
        fault: &Fault,
        hosts: &[HostId],
        sim: &mut Simulation<Node>,
    ) -> Vec<Undo> {
        match fault {
            Fault::ClockJump { by_ns, .. } => {
                hosts.iter().for_each(|host| sim.jump_clock(*host, *by_ns));
                hosts.iter().map(|host| Undo::Jump(*host, by_ns.saturating_neg())).collect()
            }
            Fault::ClockDrift { ppm, .. } => {
                let ppb = ppm.saturating_mul(1_000);
                let drift = |host: &HostId| {
                    let without = sim.set_clock_drift(*host, 0);
                    let drift = self.drift.entry(*host).or_insert(Piled { without, faults: Vec::new() });
                    drift.faults.push(ppb);
                    sim.set_clock_drift(*host, drift.sum());
                    Undo::Drift(*host, ppb)
                };
                hosts.iter().map(drift).collect()
            }
            Fault::ClockStrobe { by_ns, period, .. } => {
                self.come_and_go(index, Striking::Jump(hosts.to_vec(), *by_ns), *period, *period, sim)
            }
            _ => Vec::new(),
        }
    }
}

/// The host that all pairs of a link that is down have in common; with two hosts in all, the first.
fn fault_host(links: &[(HostId, HostId)]) -> Option<HostId> {
    let (a, b) = *links.first()?;
    [a, b].into_iter().find(|host| links.iter().all(|(from, to)| from == host || to == host))
}

/// The ports of either list: a connection that is reset has both ends.
fn listed(route: &Route) -> Vec<Port> {
    let mut ports = [route.ports.src.clone(), route.ports.dst.clone()].concat();
    ports.sort_unstable();
    ports.dedup();
    ports
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
        Fault::SlowDisk { read, sync, .. } => {
            let slow = DiskFault::Slow { read: *read, sync: *sync };
            undo.extend(hosts.iter().map(|host| Undo::Disk(*host, slow)));
        }
        Fault::StallDisk { .. } => undo.extend(hosts.iter().map(|h| Undo::Disk(*h, DiskFault::Stall))),
        Fault::DiskRate { read, write, iops, .. } => {
            let (read, write, iops) = (read.unwrap_or(0), write.unwrap_or(0), iops.unwrap_or(0));
            undo.extend(hosts.iter().map(|h| Undo::Disk(*h, DiskFault::Limited { read, write, iops })));
        }
        Fault::FailDisk { dir: None, errno, ops, share, .. } => {
            let fails = DiskFault::Fails(words::failing(*errno, *ops, *share));
            undo.extend(hosts.iter().map(|h| Undo::Disk(*h, fails)));
        }
        Fault::FailDisk { dir: Some(path), .. } => {
            for broker in scenario.cluster.kafka.brokers.iter().filter(|b| hosts.contains(&b.host)) {
                let found = deployment.broker(broker.id).zip(broker.config.log_dirs.position(path));
                let Some((process, dir)) = found else { continue };
                sim.set_dir_failing(process, dir, true);
                undo.push(Undo::Dir(process, dir));
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
pub(super) fn add_rules(
    sim: &mut Simulation<Node>,
    links: &[(HostId, HostId)],
    ports: &PortFilter,
    effect: Effect,
) -> Vec<RuleId> {
    let mut receivers: BTreeMap<HostId, Vec<HostId>> = BTreeMap::new();
    for (from, to) in links {
        receivers.entry(*from).or_default().push(*to);
    }
    let rule = |(from, to)| Rule { from: vec![from], to, ports: ports.clone(), effect };
    receivers.into_iter().map(|receiver| sim.add_rule(rule(receiver))).collect()
}

pub(super) fn remove_rules(sim: &mut Simulation<Node>, rules: Vec<RuleId>) {
    for rule in rules {
        let was_in_force = sim.remove_rule(rule);
        assert!(was_in_force, "a fault removes each of its rules once");
    }
}
