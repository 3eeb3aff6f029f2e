//! Changes of a schedule: a fault moved, lengthened, shortened, added, taken away, given another target, or put to a moment at
//! which something happened.

use models::random::Random;
use models::time::Span;

use crate::chaos::{ChaosProfile, Weights};
use crate::fault::{Fault, HostSelector, ProcessSelector};
use crate::scenario::Scenario;
use crate::schedule::{Planned, Schedule, Timed};

/// More faults than this hide each other.
const MOST_FAULTS: usize = 24;
/// A move is this long at least, and the fault phase at most.
const SHORTEST_MOVE: Span = Span::from_ms(20);
/// How far from a moment a fault may begin: half of the time before it, half after.
const NEAR: (Span, Span) = (Span::from_ms(1), Span::from_secs(3));

/// What a schedule is changed with.
#[derive(Clone, Copy, Debug)]
pub struct Material<'a> {
    /// What is there. New faults have the lengths and severities of its chaos profile.
    pub scenario: &'a Scenario,
    /// Kinds that a new fault may have although the profile leaves them out.
    pub every_kind: &'a Weights,
    /// Moments of the parent's run at which something happened, since the end of the warm-up.
    pub moments: &'a [Span],
    /// Another schedule for the same scenario.
    pub other: Option<&'a Schedule>,
}

#[derive(Clone, Copy)]
enum Change {
    Move,
    Resize,
    Add,
    Drop,
    Splice,
    Retarget,
    Align,
    AddAligned,
}

/// How often each is tried. Faults at interesting moments are what chance alone rarely finds.
const CHANGES: [(Change, u64); 8] = [
    (Change::Move, 10),
    (Change::Resize, 12),
    (Change::Add, 12),
    (Change::Drop, 8),
    (Change::Splice, 10),
    (Change::Retarget, 12),
    (Change::Align, 18),
    (Change::AddAligned, 18),
];

/// A schedule that differs from `parent` in one to four changes.
pub fn mutate(parent: &Schedule, material: Material<'_>, random: &mut Random) -> Schedule {
    let planned = |timed: &Timed| Planned::new(timed.at, timed.duration, timed.fault.clone());
    let mut faults: Vec<Planned> = parent.faults.iter().map(planned).collect();
    let changes = 1 + random.weighted(&[40, 30, 20, 10]);
    for _ in 0..changes {
        let change = CHANGES[random.weighted(&CHANGES.map(|(_, weight)| weight))].0;
        apply(change, &mut faults, material, random);
    }
    if faults.is_empty() {
        add(&mut faults, material, random);
    }
    faults.truncate(MOST_FAULTS);
    let phase = material.scenario.phases.faults;
    faults.iter_mut().for_each(|planned| fit(planned, phase));
    Schedule::new(faults)
}

fn apply(change: Change, faults: &mut Vec<Planned>, material: Material<'_>, random: &mut Random) {
    let phase = material.scenario.phases.faults;
    let chosen = |random: &mut Random| random.below(faults.len().max(1) as u64) as usize;
    match change {
        Change::Add => add(faults, material, random),
        Change::Splice => splice(faults, material, random),
        Change::AddAligned => {
            let before = faults.len();
            add(faults, material, random);
            faults[before..].iter_mut().for_each(|planned| align(planned, material.moments, random));
        }
        _ if faults.is_empty() => {}
        Change::Drop => {
            let index = chosen(random);
            faults.remove(index);
        }
        Change::Move => {
            let (index, longest) = (chosen(random), phase.max(SHORTEST_MOVE).as_ns());
            let by = Span::from_ns(random.log_uniform(SHORTEST_MOVE.as_ns(), longest));
            let fault = &mut faults[index];
            fault.at = if random.chance(1, 2) { fault.at + by } else { fault.at.saturating_sub(by) };
        }
        Change::Resize => {
            let index = chosen(random);
            let fault = &mut faults[index];
            // From a quarter to four times as long.
            fault.duration = fault.duration.scaled(random.log_uniform(16, 256), 64);
        }
        Change::Retarget => {
            let index = chosen(random);
            faults[index].fault = retarget(&faults[index].fault, material.scenario, random);
        }
        Change::Align => {
            let index = chosen(random);
            align(&mut faults[index], material.moments, random);
        }
    }
}

/// One fault more. Half of the time it has a kind that the world does not draw: swarm testing leaves kinds out so that they do
/// not hide others, and what needs two kinds that no world has together would never be seen. Half of the time it hits whom
/// another fault hits.
fn add(faults: &mut Vec<Planned>, material: Material<'_>, random: &mut Random) {
    let Some(profile) = &material.scenario.chaos else { return };
    // Of a seed of its own: the number of the fault is of no importance then.
    let seed = random.word();
    let mut new = if random.chance(1, 2) && !material.every_kind.is_empty() {
        let weights = material.every_kind.clone();
        ChaosProfile { weights, ..profile.clone() }.fault(material.scenario, seed, 1)
    } else {
        profile.fault(material.scenario, seed, 1)
    };
    if random.chance(1, 2) {
        let targets: Vec<ProcessSelector> = faults.iter().filter_map(|planned| target(&planned.fault)).collect();
        if !targets.is_empty() {
            let same = *random.pick(&targets);
            new.iter_mut().for_each(|planned| planned.fault = aimed(&planned.fault, same));
        }
    }
    faults.extend(new);
}

/// The process that a fault hits, itself or by its host.
fn target(fault: &Fault) -> Option<ProcessSelector> {
    fault.process().or_else(|| match fault.host() {
        Some(HostSelector::Of(process)) => Some(process),
        _ => None,
    })
}

/// The same fault of that process or of its host, if it hits one that can be it.
fn aimed(fault: &Fault, process: ProcessSelector) -> Fault {
    let is_zookeeper = matches!(process, ProcessSelector::ZooKeeper(_) | ProcessSelector::ZooKeeperLeader);
    if is_of_a_broker(fault) && is_zookeeper {
        fault.clone()
    } else if fault.process().is_some() {
        fault.with_process(process)
    } else if fault.host().is_some() {
        fault.with_host(HostSelector::Of(process))
    } else {
        fault.clone()
    }
}

fn is_of_a_broker(fault: &Fault) -> bool {
    matches!(fault, Fault::AuthFailed { .. } | Fault::DamageIndexes { .. })
}

/// What the other schedule does from some moment on takes the place of what this one does.
fn splice(faults: &mut Vec<Planned>, material: Material<'_>, random: &mut Random) {
    let Some(other) = material.other else { return };
    let at = random.span(Span::ZERO, material.scenario.phases.faults);
    let first_half = random.chance(1, 2);
    faults.retain(|planned| (planned.at < at) == first_half);
    let theirs = other.faults.iter().filter(|timed| (timed.at < at) != first_half);
    faults.extend(theirs.map(|timed| Planned::new(timed.at, timed.duration, timed.fault.clone())));
}

/// Begins the fault just before or after a moment, or ends it there.
fn align(planned: &mut Planned, moments: &[Span], random: &mut Random) {
    if moments.is_empty() {
        return;
    }
    let moment = *random.pick(moments);
    let off = Span::from_ns(random.log_uniform(NEAR.0.as_ns(), NEAR.1.as_ns()));
    let near = if random.chance(1, 2) { moment + off } else { moment.saturating_sub(off) };
    if random.chance(3, 4) {
        planned.at = near;
    } else if near > planned.at {
        planned.duration = near - planned.at;
    }
}

/// The same fault of somebody else.
fn retarget(fault: &Fault, scenario: &Scenario, random: &mut Random) -> Fault {
    let brokers = scenario.cluster.kafka.brokers.iter().map(|broker| ProcessSelector::Broker(broker.id));
    let mut targets: Vec<ProcessSelector> = brokers.collect();
    if scenario.cluster.has_kafka() {
        targets.push(ProcessSelector::Controller);
        let partitions: Vec<_> = scenario.workload.all_partitions().collect();
        targets.push(ProcessSelector::LeaderOf(*random.pick(&partitions)));
    }
    if !is_of_a_broker(fault) {
        targets.push(ProcessSelector::ZooKeeperLeader);
        targets.extend(scenario.cluster.zookeeper.servers.iter().map(|server| ProcessSelector::ZooKeeper(server.sid)));
    }
    if targets.is_empty() {
        return fault.clone();
    }
    let target = *random.pick(&targets);
    if fault.process().is_some() || fault.host().is_some() {
        aimed(fault, target)
    } else {
        fault.with_route(|route| match random.below(2) {
            0 => route.both_ways = !route.both_ways,
            _ => std::mem::swap(&mut route.from, &mut route.to),
        })
    }
}

/// Within the phase, in whole milliseconds, and with parts that are no longer than the whole.
fn fit(planned: &mut Planned, phase: Span) {
    let whole = |span: Span| Span::from_ms(span.as_ms());
    planned.duration = whole(planned.duration).max(Span::from_ms(1)).min(phase);
    planned.at = whole(planned.at).min(phase - planned.duration);
    let longest = planned.duration;
    match &mut planned.fault {
        Fault::Stop { grace, .. } => *grace = (*grace).min(longest),
        Fault::Restart { grace, delay, .. } => {
            *grace = (*grace).min(longest);
            *delay = (*delay).min(longest - *grace);
        }
        _ => {}
    }
}
