//! One draw for each kind: this is the only place that knows how a kind becomes a fault.

use models::id::{BrokerId, HostId, Sid};
use models::random::Random;
use models::time::Span;

use super::{ChaosKind, ChaosProfile};
use crate::fault::{Fault, HostSelector, Place, ProcessSelector, Route};
use crate::netem::{Correlated, Distribution, Loss, Netem};
use crate::scenario::Scenario;
use crate::topology::SiteId;
use crate::units::Share;

/// How long a flapping route is cut, and sound, at a time.
const FLAP: (Span, Span) = (Span::from_ms(50), Span::from_secs(15));
/// How long a service may take to end before systemd kills it.
const GRACE: (Span, Span) = (Span::from_secs(1), Span::from_secs(90));
/// Bits a second of a narrow WAN: from a modem's to half of a good line's.
const RATE: (u64, u64) = (64_000, 50_000_000);
/// Bytes that a full disk has left: some to begin with, so that a write may come through in parts.
const LEAVE: (u64, u64) = (1, 10_000_000);
/// How far a wall clock jumps: from what NTP corrects by stepping to a wrong time zone.
const JUMP: (Span, Span) = (Span::from_ms(130), Span::from_secs(12 * 3600));
/// Parts per million of a bad clock: from a poor crystal to a virtual machine that is starved.
const DRIFT: (u64, u64) = (100, 50_000);

impl ChaosProfile {
    /// A fault of `kind`. `duration` is how long it will last.
    pub(crate) fn draw_kind(&self, kind: ChaosKind, scenario: &Scenario, duration: Span, random: &mut Random) -> Fault {
        match kind {
            ChaosKind::WanCut => Fault::Cut(wan(scenario, true, random)),
            ChaosKind::OneWayCut => Fault::Cut(wan(scenario, false, random)),
            ChaosKind::Isolate => Fault::Cut(isolation(scenario, random)),
            ChaosKind::PairCut => Fault::Cut(pair(scenario, random)),
            ChaosKind::Loss
            | ChaosKind::Delay
            | ChaosKind::Burst
            | ChaosKind::Duplicate
            | ChaosKind::Reorder
            | ChaosKind::Corrupt
            | ChaosKind::Rate => {
                let netem = self.impairment(kind, random);
                let both_ways = random.chance(3, 4);
                Fault::Impair { route: wan(scenario, both_ways, random), netem }
            }
            ChaosKind::Flap => {
                let (down, up) = (log_span(FLAP, random), log_span(FLAP, random));
                let both_ways = random.chance(3, 4);
                Fault::Flap { route: wan(scenario, both_ways, random), down, up }
            }
            ChaosKind::Reset => Fault::ResetConnections(wan(scenario, true, random)),
            ChaosKind::Kill => Fault::Kill { process: server(scenario, random) },
            ChaosKind::Pause => Fault::Pause { process: server(scenario, random) },
            ChaosKind::Stop => {
                let grace = log_span(GRACE, random).min(duration);
                Fault::Stop { process: server(scenario, random), grace }
            }
            ChaosKind::AuthFailed => Fault::AuthFailed { process: broker(scenario, random) },
            ChaosKind::DeleteController => Fault::DeleteController,
            kind => self.host_fault(kind, scenario, random),
        }
    }

    /// What is wrong with a machine.
    fn host_fault(&self, kind: ChaosKind, scenario: &Scenario, random: &mut Random) -> Fault {
        let host = |random: &mut Random| HostSelector::Of(server(scenario, random));
        let sign = |random: &mut Random| if random.chance(1, 2) { 1 } else { -1 };
        match kind {
            ChaosKind::SlowDisk => {
                let latency = log_span(self.disk_latency, random);
                Fault::SlowDisk { host: host(random), latency }
            }
            ChaosKind::StallDisk => Fault::StallDisk { host: host(random) },
            ChaosKind::FailDisk => Fault::FailDisk { host: host(random), dir: None },
            ChaosKind::FillDisk => {
                let leave = random.log_uniform(LEAVE.0, LEAVE.1);
                Fault::FillDisk { host: host(random), leave }
            }
            ChaosKind::ClockJump => {
                let by_ns = log_span(JUMP, random).as_ms() as i64 * 1_000_000 * sign(random);
                Fault::ClockJump { host: host(random), by_ns }
            }
            ChaosKind::ClockDrift => {
                let ppm = random.log_uniform(DRIFT.0, DRIFT.1) as i32 * sign(random) as i32;
                Fault::ClockDrift { host: host(random), ppm }
            }
            _ => Fault::HostCrash { host: host(random) },
        }
    }

    /// What the WAN does to packets.
    fn impairment(&self, kind: ChaosKind, random: &mut Random) -> Netem {
        let share = |random: &mut Random| share(self.loss, random);
        let some = |random: &mut Random| Correlated::independent(share(random));
        match kind {
            ChaosKind::Delay => {
                let delay = log_span(self.delay, random);
                let jitter = Span::from_us((delay.as_ns() / 1_000) * random.below(3) / 4);
                // Without jitter there is nothing to be distributed.
                let distribution = if jitter == Span::ZERO { Distribution::Uniform } else { Distribution::Normal };
                Netem { jitter, distribution, ..Netem::delay(delay) }
            }
            ChaosKind::Burst => {
                // Good until a burst of 4 to 100 packets begins, in which all but a few are lost.
                let p = Share::from_ppm(random.within(1, 20) as u32 * 1_000);
                let r = Share::from_ppm(random.within(1, 25) as u32 * 10_000);
                let (one_minus_h, one_minus_k) = (Share::from_ppm(950_000), Share::NONE);
                Netem { loss: Loss::GilbertElliott { p, r, one_minus_h, one_minus_k }, ..Netem::default() }
            }
            ChaosKind::Duplicate => Netem { duplicate: some(random), ..Netem::default() },
            ChaosKind::Reorder => Netem { reorder: some(random), ..Netem::delay(log_span(self.delay, random)) },
            ChaosKind::Corrupt => Netem { corrupt: some(random), ..Netem::default() },
            ChaosKind::Rate => {
                let rate = random.log_uniform(RATE.0, RATE.1) / 1_000 * 1_000;
                Netem { rate: Some(rate), ..Netem::default() }
            }
            _ => Netem::loss(share(random)),
        }
    }
}

/// Whole tenths of a percent, but never below the least.
fn share((low, high): (Share, Share), random: &mut Random) -> Share {
    let ppm = random.within(low.ppm().into(), high.ppm().into()) as u32;
    Share::from_ppm((ppm / 1_000 * 1_000).max(low.ppm()))
}

/// A log-uniform span in whole tenths of a millisecond.
fn log_span((low, high): (Span, Span), random: &mut Random) -> Span {
    const STEP: u64 = 100_000;
    let low = low.as_ns().max(1);
    let drawn = random.log_uniform(low, high.as_ns().max(low));
    Span::from_ns((drawn / STEP * STEP).max(low))
}

/// Two different sites; with only one, the hosts of the site against all others, which is nobody.
fn wan(scenario: &Scenario, both_ways: bool, random: &mut Random) -> Route {
    let mut sites: Vec<SiteId> = scenario.topology.site_ids().collect();
    random.shuffle(&mut sites);
    // A cut both ways reads the same from either end: keep the order of the file.
    if both_ways && sites.len() > 1 && sites[0] > sites[1] {
        sites.swap(0, 1);
    }
    let place = |index: usize| sites.get(index).map(|site| Place::Site(*site)).into_iter().collect();
    Route { from: place(0), to: place(1), both_ways }
}

/// The hosts of all servers, ascending.
fn server_hosts(scenario: &Scenario) -> Vec<HostId> {
    let cluster = &scenario.cluster;
    let hosts = cluster.zookeeper.servers.iter().map(|server| server.host);
    let mut hosts: Vec<_> = hosts.chain(cluster.kafka.brokers.iter().map(|broker| broker.host)).collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

/// One server's host against the hosts of all other servers. Clients still reach it: that makes a zombie.
fn isolation(scenario: &Scenario, random: &mut Random) -> Route {
    let victim = server(scenario, random);
    let place = |host| Place::Host(HostSelector::Host(host));
    Route {
        from: vec![Place::Host(HostSelector::Of(victim))],
        to: server_hosts(scenario).into_iter().map(place).collect(),
        both_ways: true,
    }
}

/// One server's host against that of another: no majority is lost, but they cannot talk.
fn pair(scenario: &Scenario, random: &mut Random) -> Route {
    let victim = HostSelector::Of(server(scenario, random));
    let own = victim.fixed(&scenario.deployment());
    let mut peers = server_hosts(scenario);
    peers.retain(|host| Some(*host) != own);
    // A single server has no peer; then it is cut from nobody.
    let peer = peers.get(random.below(peers.len().max(1) as u64) as usize).map(|host| HostSelector::Host(*host));
    let (from, to) = (Place::Host(victim), Place::Host(peer.unwrap_or(victim)));
    if random.chance(2, 3) { Route::between(from, to) } else { Route::one_way(from, to) }
}

/// A broker: the controller as often as all others together.
fn broker(scenario: &Scenario, random: &mut Random) -> ProcessSelector {
    let brokers = &scenario.cluster.kafka.brokers;
    match random.chance(1, 2) || brokers.is_empty() {
        true => ProcessSelector::Controller,
        false => ProcessSelector::Broker(random.pick(brokers).id),
    }
}

/// Whom to hit: the leaders more often than chance would have it, brokers more often than ZooKeeper.
fn server(scenario: &Scenario, random: &mut Random) -> ProcessSelector {
    let brokers: Vec<BrokerId> = scenario.cluster.kafka.brokers.iter().map(|broker| broker.id).collect();
    let servers: Vec<Sid> = scenario.cluster.zookeeper.servers.iter().map(|server| server.sid).collect();
    match random.weighted(&[35, 35, 15, 15]) {
        0 => ProcessSelector::Controller,
        1 if !brokers.is_empty() => ProcessSelector::Broker(*random.pick(&brokers)),
        2 if !servers.is_empty() => ProcessSelector::ZooKeeper(*random.pick(&servers)),
        _ => ProcessSelector::ZooKeeperLeader,
    }
}
