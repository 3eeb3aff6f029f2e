//! One draw for each kind: this is the only place that knows how a kind becomes a fault.

use models::random::Random;
use models::time::Span;

use super::aim::Aim;
use super::story::Story;
use super::{ChaosKind, ChaosProfile};
use crate::choice::{Shape, server_hosts};
use crate::fault::{
    DiskOps, DnsAnswer, Errno, Fault, HostSelector, LostRoute, Mode, Place, ProcessSelector, Route, Unsynced,
};
use crate::netem::{Correlated, Distribution, Loss, Netem, Slot};
use crate::scenario::Scenario;
use crate::schedule::Planned;
use crate::topology::SiteId;
use crate::units::Share;

/// How long a flapping route is cut, and sound, at a time.
const FLAP: (Span, Span) = (Span::from_ms(50), Span::from_secs(15));
/// The same for a host: also longer than sessions last.
const HOST_FLAP: (Span, Span) = (Span::from_ms(50), Span::from_secs(40));
/// How long a service may take to end before systemd kills it.
const GRACE: (Span, Span) = (Span::from_secs(1), Span::from_secs(90));
/// Bits a second of a narrow WAN: from a modem's to half of a good line's.
const RATE: (u64, u64) = (64_000, 50_000_000);
/// Bytes that a full disk has left: some to begin with, so that a write may come through in parts.
const LEAVE: (u64, u64) = (1, 10_000_000);
/// How far a wall clock jumps: from what NTP corrects by stepping to a wrong time zone.
const JUMP: (Span, Span) = (Span::from_ms(130), Span::from_secs(12 * 3600));
/// Between two jumps of a clock that jumps to and fro.
const STROBE: (Span, Span) = (Span::from_ms(200), Span::from_secs(10));
/// Parts per million of a bad clock: from a poor crystal to a virtual machine that is starved.
const DRIFT: (u64, u64) = (100, 50_000);
/// Pauses of a garbage collector that cannot keep up.
const GC: (Span, Span) = (Span::from_ms(200), Span::from_secs(20));
/// What an input costs a starved process.
const CPU: (Span, Span) = (Span::from_us(100), Span::from_ms(50));
/// From one turn of a shared medium to the next.
const SLOT: (Span, Span) = (Span::from_ms(1), Span::from_ms(500));
/// Bytes a second, and requests, of a disk behind a quota.
const DISK_RATE: (u64, u64) = (20_000, 50_000_000);
const IOPS: (u64, u64) = (5, 500);

/// How long something without duration lasts.
pub(super) const MOMENT: Span = Span::from_ms(1);

impl ChaosProfile {
    /// What `kind` comes to at that time for so long: one fault, or one for each machine that fails with the others.
    pub(super) fn draw_kind(
        &self,
        kind: ChaosKind,
        scenario: &Scenario,
        aim: &Aim<'_>,
        (at, duration): (Span, Span),
        random: &mut Random,
    ) -> Vec<Planned> {
        match kind {
            ChaosKind::SiteCrash => {
                let site = *random.pick(&scenario.topology.site_ids().collect::<Vec<_>>());
                let servers = server_hosts(scenario);
                let mut hosts: Vec<_> =
                    scenario.topology.hosts_of(site).filter(|host| servers.contains(host)).collect();
                if hosts.is_empty() {
                    hosts.push(*random.pick(&servers));
                }
                let unsynced = unsynced(random);
                let crash = |host| Fault::HostCrash { host: HostSelector::Host(host), unsynced };
                hosts.into_iter().map(|host| Planned::new(at, duration, crash(host))).collect()
            }
            ChaosKind::RollingRestart => {
                let brokers = &scenario.cluster.kafka.brokers;
                // Whole milliseconds, as all times are.
                let every = Span::from_ms((duration / brokers.len().max(1) as u64).as_ms().max(1));
                let restart =
                    |id| Fault::Restart { process: ProcessSelector::Broker(id), grace: every, delay: Span::ZERO };
                let one = |(number, id)| Planned::new(at + every * number, every, restart(id));
                let ids = (0..).zip(brokers.iter().map(|broker| broker.id));
                ids.map(one).filter(|planned| planned.at + planned.duration <= scenario.phases.faults).collect()
            }
            ChaosKind::OustedController => Story::new(scenario, aim, at, random).ousted_controller(),
            ChaosKind::BadReturn => Story::new(scenario, aim, at, random).bad_return(),
            ChaosKind::SeeSaw => Story::new(scenario, aim, at, random).see_saw(),
            ChaosKind::DeafBroker => Story::new(scenario, aim, at, random).deaf_broker(),
            ChaosKind::RoughSync => Story::new(scenario, aim, at, random).rough_sync(),
            ChaosKind::DarkReturn => Story::new(scenario, aim, at, random).dark_return(),
            ChaosKind::HostReset => resets(scenario, aim, (at, duration), random),
            kind => vec![Planned::new(at, duration, self.draw_fault(kind, scenario, aim, duration, random))],
        }
    }

    fn draw_fault(
        &self,
        kind: ChaosKind,
        scenario: &Scenario,
        aim: &Aim<'_>,
        duration: Span,
        random: &mut Random,
    ) -> Fault {
        match kind {
            ChaosKind::WanCut => Fault::cut(wan(scenario, true, random)),
            ChaosKind::OneWayCut => Fault::cut(wan(scenario, false, random)),
            ChaosKind::Isolate => Fault::cut(isolation(scenario, aim, random)),
            ChaosKind::PairCut => Fault::cut(pair(scenario, aim, random)),
            ChaosKind::Split => {
                split(&[Shape::Halves, Shape::One, Shape::Majority, Shape::MinorityThird], scenario, random)
            }
            ChaosKind::Bridge => split(&[Shape::Bridge], scenario, random),
            ChaosKind::Ring => split(&[Shape::MajoritiesRing], scenario, random),
            ChaosKind::Primaries => split(&[Shape::Primaries], scenario, random),
            ChaosKind::RejectingCut => {
                let mode = *random.pick(&[Mode::Reset, Mode::Refuse, Mode::NewOnly]);
                Fault::Cut { route: mostly_both_ways(scenario, random), mode }
            }
            ChaosKind::Loss
            | ChaosKind::Delay
            | ChaosKind::Burst
            | ChaosKind::Duplicate
            | ChaosKind::Reorder
            | ChaosKind::Corrupt
            | ChaosKind::Rate
            | ChaosKind::Slot => {
                let netem = self.impairment(kind, random);
                Fault::Impair { route: mostly_both_ways(scenario, random), netem }
            }
            ChaosKind::MtuHole => {
                let above = random.within(68, 1_499) as u32;
                Fault::MtuHole { route: mostly_both_ways(scenario, random), above }
            }
            ChaosKind::FlowLoss => {
                let flows = Share::from_ppm(random.within(5, 60) as u32 * 10_000);
                let packets = if random.chance(1, 2) { Share::ALL } else { share(self.loss, random) };
                Fault::FlowLoss { route: mostly_both_ways(scenario, random), flows, packets }
            }
            ChaosKind::Flap => {
                let (down, up) = (log_span(FLAP, random), log_span(FLAP, random));
                Fault::Flap { route: mostly_both_ways(scenario, random), down, up }
            }
            ChaosKind::RouteLost => {
                let kind = *random.pick(&[LostRoute::Blackhole, LostRoute::Unreachable, LostRoute::Prohibit]);
                Fault::RouteLost { route: mostly_both_ways(scenario, random), kind }
            }
            ChaosKind::Reset => Fault::ResetConnections(wan(scenario, true, random)),
            ChaosKind::DeleteController => Fault::DeleteController,
            ChaosKind::Kill
            | ChaosKind::Stop
            | ChaosKind::Restart
            | ChaosKind::Pause
            | ChaosKind::Gc
            | ChaosKind::Cpu
            | ChaosKind::AuthFailed
            | ChaosKind::DamageIndexes => process_fault(kind, aim, duration, random),
            ChaosKind::ZooKeeperCut => Fault::cut(to_zookeeper(scenario, aim, random)),
            ChaosKind::ZooKeeperDelay => self.slow(to_zookeeper(scenario, aim, random), random),
            ChaosKind::HostDelay => self.slow(isolation(scenario, aim, random), random),
            ChaosKind::PairDelay => self.slow(pair(scenario, aim, random), random),
            ChaosKind::HostFlap => {
                let (down, up) = (log_span(HOST_FLAP, random), log_span(HOST_FLAP, random));
                Fault::Flap { route: isolation(scenario, aim, random), down, up }
            }
            ChaosKind::ClientCut => Fault::cut(to_clients(scenario, aim, random)),
            kind => self.host_fault(kind, scenario, aim, random),
        }
    }

    /// Packets of the route come late.
    fn slow(&self, route: Route, random: &mut Random) -> Fault {
        Fault::Impair { route, netem: Netem::delay(log_span(self.delay, random)) }
    }

    /// What is wrong with a machine.
    fn host_fault(&self, kind: ChaosKind, scenario: &Scenario, aim: &Aim<'_>, random: &mut Random) -> Fault {
        let host = |random: &mut Random| HostSelector::Of(aim.server(random));
        let sign = |random: &mut Random| if random.chance(1, 2) { 1 } else { -1 };
        match kind {
            ChaosKind::LinkDown => Fault::LinkDown { host: host(random) },
            ChaosKind::Dns => {
                let servers = server_hosts(scenario);
                let answer = match random.below(4) {
                    0 => DnsAnswer::Error,
                    1 => DnsAnswer::Timeout,
                    2 => DnsAnswer::Stale,
                    _ => DnsAnswer::Host(*random.pick(&servers)),
                };
                Fault::Dns { host: host(random), name: *random.pick(&servers), answer }
            }
            ChaosKind::SlowDisk => {
                let latency = log_span(self.disk_latency, random);
                Fault::SlowDisk { host: host(random), read: latency, sync: latency }
            }
            ChaosKind::LimitDisk => {
                let rate = |random: &mut Random| Some(random.log_uniform(DISK_RATE.0, DISK_RATE.1) / 1_000 * 1_000);
                let (read, write) = (rate(random), rate(random));
                let iops = random.chance(1, 2).then(|| random.log_uniform(IOPS.0, IOPS.1) as u32);
                Fault::DiskRate { host: host(random), read, write, iops }
            }
            ChaosKind::StallDisk => Fault::StallDisk { host: host(random) },
            ChaosKind::FailDisk => {
                let errno = *random.pick(&[Errno::Io, Errno::NoSpace, Errno::ReadOnly]);
                let ops = if errno == Errno::Io { DiskOps::ALL } else { DiskOps::WRITING };
                Fault::FailDisk { host: host(random), dir: None, errno, ops, share: Share::ALL }
            }
            ChaosKind::FillDisk => {
                let leave = random.log_uniform(LEAVE.0, LEAVE.1);
                Fault::FillDisk { host: host(random), leave }
            }
            ChaosKind::ClockJump => {
                let by_ns = log_span(JUMP, random).as_ms() as i64 * 1_000_000 * sign(random);
                Fault::ClockJump { host: host(random), by_ns }
            }
            ChaosKind::ClockStrobe => {
                let by_ns = log_span(JUMP, random).as_ms() as i64 * 1_000_000 * sign(random);
                Fault::ClockStrobe { host: host(random), by_ns, period: log_span(STROBE, random) }
            }
            ChaosKind::ClockDrift => {
                let ppm = random.log_uniform(DRIFT.0, DRIFT.1) as i32 * sign(random) as i32;
                Fault::ClockDrift { host: host(random), ppm }
            }
            // Schedules of scenario files were drawn before there was a choice: it is `torn` for them, and always.
            _ => Fault::HostCrash { host: host(random), unsynced: Unsynced::Torn },
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
            ChaosKind::Slot => {
                let (a, b) = (log_span(SLOT, random), log_span(SLOT, random));
                let slot = Slot { min: a.min(b), max: a.max(b), packets: random.within(1, 64) as u32, bytes: 0 };
                Netem { slot: Some(slot), ..Netem::default() }
            }
            _ => Netem::loss(share(random)),
        }
    }
}

/// What is done to a process.
fn process_fault(kind: ChaosKind, aim: &Aim<'_>, duration: Span, random: &mut Random) -> Fault {
    match kind {
        ChaosKind::Pause => Fault::Pause { process: aim.server(random) },
        ChaosKind::Stop => {
            let grace = log_span(GRACE, random).min(duration);
            Fault::Stop { process: aim.server(random), grace }
        }
        ChaosKind::Restart => {
            let grace = log_span(GRACE, random).min(duration);
            let delay = Span::from_ms(random.span(Span::ZERO, duration - grace).as_ms());
            Fault::Restart { process: aim.server(random), grace, delay }
        }
        ChaosKind::Gc => {
            let (pause, work) = (log_span(GC, random), log_span(GC, random));
            Fault::Gc { process: aim.server(random), pause, period: pause + work }
        }
        ChaosKind::Cpu => {
            let delay = log_span(CPU, random);
            Fault::Cpu { process: aim.server(random), delay }
        }
        ChaosKind::AuthFailed => Fault::AuthFailed { process: aim.broker(random) },
        ChaosKind::DamageIndexes => Fault::DamageIndexes { process: aim.broker(random) },
        _ => Fault::Kill { process: aim.server(random) },
    }
}

/// What a power loss leaves of what was not synced: mostly a part.
pub(super) fn unsynced(random: &mut Random) -> Unsynced {
    [Unsynced::Torn, Unsynced::Lose, Unsynced::Keep][random.weighted(&[2, 1, 1])]
}

/// The hosts of all servers, split in one of these ways that so many hosts can be split in.
fn split(shapes: &[Shape], scenario: &Scenario, random: &mut Random) -> Fault {
    let hosts = server_hosts(scenario);
    let possible: Vec<Shape> = shapes.iter().copied().filter(|shape| shape.least_hosts() <= hosts.len()).collect();
    let shape = if possible.is_empty() { Shape::Primaries } else { *random.pick(&possible) };
    shape.split(&hosts, Mode::Silent, scenario, random)
}

/// Whole tenths of a percent, but never below the least.
fn share((low, high): (Share, Share), random: &mut Random) -> Share {
    let ppm = random.within(low.ppm().into(), high.ppm().into()) as u32;
    Share::from_ppm((ppm / 1_000 * 1_000).max(low.ppm()))
}

/// A log-uniform span in whole tenths of a millisecond.
pub(super) fn log_span((low, high): (Span, Span), random: &mut Random) -> Span {
    const STEP: u64 = 100_000;
    let low = low.as_ns().max(1);
    let drawn = random.log_uniform(low, high.as_ns().max(low));
    Span::from_ns((drawn / STEP * STEP).max(low))
}

/// Two different sites, three times in four both ways.
fn mostly_both_ways(scenario: &Scenario, random: &mut Random) -> Route {
    let both_ways = random.chance(3, 4);
    wan(scenario, both_ways, random)
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
    Route { from: place(0), to: place(1), both_ways, ..Route::default() }
}

/// One server's host against the hosts of all other servers. Clients still reach it: that makes a zombie.
fn isolation(scenario: &Scenario, aim: &Aim<'_>, random: &mut Random) -> Route {
    let victim = aim.server(random);
    let place = |host| Place::Host(HostSelector::Host(host));
    Route {
        from: vec![Place::Host(HostSelector::Of(victim))],
        to: server_hosts(scenario).into_iter().map(place).collect(),
        both_ways: true,
        ..Route::default()
    }
}

/// One server's host against that of another: no majority is lost, but they cannot talk.
fn pair(scenario: &Scenario, aim: &Aim<'_>, random: &mut Random) -> Route {
    let process = aim.server(random);
    let victim = HostSelector::Of(process);
    let own = victim.fixed(&scenario.deployment());
    let mut peers = server_hosts(scenario);
    peers.retain(|host| Some(*host) != own);
    // A single server has no peer; then it is cut from nobody.
    let peer = peers.get(random.below(peers.len().max(1) as u64) as usize).map(|host| HostSelector::Host(*host));
    let peer = aim.other_than(process, random).map(HostSelector::Of).or(peer);
    let (from, to) = (Place::Host(victim), Place::Host(peer.unwrap_or(victim)));
    if random.chance(2, 3) { Route::between(from, to) } else { Route::one_way(from, to) }
}

/// A broker's host and those of all ZooKeeper servers.
fn to_zookeeper(scenario: &Scenario, aim: &Aim<'_>, random: &mut Random) -> Route {
    let broker = Place::Host(HostSelector::Of(aim.broker(random)));
    let servers = scenario.cluster.zookeeper.servers.iter();
    let servers = servers.map(|server| Place::Host(HostSelector::Host(server.host))).collect();
    some_ways(vec![broker], servers, random)
}

/// The hosts without servers, which is where clients run, and a broker's.
fn to_clients(scenario: &Scenario, aim: &Aim<'_>, random: &mut Random) -> Route {
    let broker = Place::Host(HostSelector::Of(aim.broker(random)));
    let servers = server_hosts(scenario);
    let clients = scenario.topology.host_ids().filter(|host| !servers.contains(host));
    some_ways(clients.map(|host| Place::Host(HostSelector::Host(host))).collect(), vec![broker], random)
}

/// Both ways, or one of them.
fn some_ways(from: Vec<Place>, to: Vec<Place>, random: &mut Random) -> Route {
    let both_ways = random.chance(1, 2);
    let (from, to) = if !both_ways && random.chance(1, 2) { (to, from) } else { (from, to) };
    Route { from, to, both_ways, ..Route::default() }
}

/// The connections of a host reset up to eight times, evenly over the time given: all of them, or a broker's to ZooKeeper.
fn resets(scenario: &Scenario, aim: &Aim<'_>, (at, duration): (Span, Span), random: &mut Random) -> Vec<Planned> {
    let route = if random.chance(1, 2) && scenario.cluster.has_kafka() {
        Route { both_ways: true, ..to_zookeeper(scenario, aim, random) }
    } else {
        isolation(scenario, aim, random)
    };
    let count = random.within(1, 8);
    let every = Span::from_ms((duration / count).as_ms().max(1));
    let last = scenario.phases.faults - MOMENT;
    let reset = |number| Planned::new((at + every * number).min(last), MOMENT, Fault::ResetConnections(route.clone()));
    (0..count).map(reset).collect()
}
