//! Schedules drawn from a seed.
//!
//! Each fault has a stream of its own, so that leaving one out leaves the others as they are. The first fault is the
//! anchor: half of the others begin while it lasts, or just after, since what breaks clusters is the second fault.

use models::id::{BrokerId, Sid};
use models::random::{Purpose, Random};
use models::time::Span;
use serde::{Deserialize, Serialize};

use crate::fault::{Fault, HostSelector, Place, ProcessSelector, Route, Unsynced};
use crate::netem::{Distribution, Netem};
use crate::scenario::Scenario;
use crate::schedule::Planned;
use crate::topology::SiteId;
use crate::units::Share;

/// What a seed draws faults from. Ranges include both ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChaosProfile {
    /// How many faults.
    pub faults: (u32, u32),
    /// How long each lasts, log-uniform.
    pub lengths: (Span, Span),
    /// How much is lost.
    pub loss: (Share, Share),
    /// How much delay is added, log-uniform.
    pub delay: (Span, Span),
    /// How much a slow disk adds to each completion, log-uniform.
    pub disk_latency: (Span, Span),
    /// How often each kind is drawn, relative to the others, in the order of [`ChaosKind::ALL`].
    pub weights: [u32; ChaosKind::ALL.len()],
}

/// What can be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChaosKind {
    /// Two sites are cut from each other.
    WanCut,
    /// Packets from one site to another are lost, the other way they arrive.
    OneWayCut,
    /// A broker's or ZooKeeper server's host is cut from all other servers; clients still reach it.
    Isolate,
    /// The WAN loses packets.
    Loss,
    /// The WAN is slow.
    Delay,
    /// The WAN comes and goes.
    Flap,
    /// A broker or ZooKeeper server is killed.
    Kill,
    /// A broker or ZooKeeper server stands still.
    Pause,
    /// A host loses power.
    HostCrash,
    /// A disk is slow.
    SlowDisk,
}

impl ChaosKind {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::WanCut,
        Self::OneWayCut,
        Self::Isolate,
        Self::Loss,
        Self::Delay,
        Self::Flap,
        Self::Kill,
        Self::Pause,
        Self::HostCrash,
        Self::SlowDisk,
    ];

    /// The word for it in scenario files.
    pub fn word(self) -> &'static str {
        match self {
            Self::WanCut => "wan-cut",
            Self::OneWayCut => "one-way-cut",
            Self::Isolate => "isolate",
            Self::Loss => "loss",
            Self::Delay => "delay",
            Self::Flap => "flap",
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::HostCrash => "host-crash",
            Self::SlowDisk => "slow-disk",
        }
    }

    /// Whether it needs two sites.
    pub fn needs_wan(self) -> bool {
        matches!(self, Self::WanCut | Self::OneWayCut | Self::Loss | Self::Delay | Self::Flap)
    }
}

impl Default for ChaosProfile {
    fn default() -> Self {
        Self {
            faults: (1, 6),
            lengths: (Span::from_ms(100), Span::from_secs(120)),
            loss: (Share::from_ppm(10_000), Share::from_ppm(300_000)),
            delay: (Span::from_ms(10), Span::from_secs(1)),
            disk_latency: (Span::from_ms(5), Span::from_secs(1)),
            weights: [20, 9, 7, 9, 6, 7, 13, 9, 14, 6],
        }
    }
}

/// The stream that draws how many faults there are; faults take the streams from 1 on.
const COUNT_STREAM: u64 = 0;
/// How long after the end of the anchor a fault still counts as "just after": recovery is under way then.
const AFTERMATH: Span = Span::from_secs(20);

impl ChaosProfile {
    /// Draws the faults of `seed`. Fault `n` depends on `seed`, `n` and the time of fault 1 only.
    pub fn draw(&self, scenario: &Scenario, seed: u64) -> Vec<Planned> {
        let count =
            Random::new(seed, Purpose::Schedule, COUNT_STREAM).within(self.faults.0.into(), self.faults.1.into());
        (1..=count).map(|number| self.fault(scenario, seed, number)).collect()
    }

    /// Fault `number` of `seed`, from 1.
    pub fn fault(&self, scenario: &Scenario, seed: u64, number: u64) -> Planned {
        let mut random = Random::new(seed, Purpose::Schedule, number);
        let phase = scenario.phases.faults;
        let (mut at, duration) = self.window(phase, &mut random);
        let linked = random.chance(1, 2);
        if linked && number > 1 {
            let (anchor, length) = self.window(phase, &mut Random::new(seed, Purpose::Schedule, 1));
            let latest = (anchor + length + AFTERMATH).min(phase - duration);
            at = Span::from_ms(random.span(anchor.min(latest), latest).as_ms());
        }
        let kind = ChaosKind::ALL[random.weighted(&self.weights.map(u64::from))];
        Planned::new(at, duration, self.draw_kind(kind, scenario, &mut random))
    }

    /// Beginning and length, inside the fault phase.
    fn window(&self, phase: Span, random: &mut Random) -> (Span, Span) {
        let longest = self.lengths.1.min(phase).as_ns().max(1);
        let duration = Span::from_ns(random.log_uniform(self.lengths.0.as_ns().clamp(1, longest), longest));
        // Whole milliseconds: exact enough, and readable in a report and in a file.
        let duration = Span::from_ms(duration.as_ms().max(1)).min(phase);
        let at = random.span(Span::ZERO, phase - duration);
        (Span::from_ms(at.as_ms()), duration)
    }

    fn draw_kind(&self, kind: ChaosKind, scenario: &Scenario, random: &mut Random) -> Fault {
        match kind {
            ChaosKind::WanCut => Fault::cut(wan(scenario, true, random)),
            ChaosKind::OneWayCut => Fault::cut(wan(scenario, false, random)),
            ChaosKind::Isolate => Fault::cut(isolation(scenario, random)),
            ChaosKind::Loss => {
                let ppm = random.within(self.loss.0.ppm().into(), self.loss.1.ppm().into());
                // Whole tenths of a percent, but never below the profile's least.
                let share = Share::from_ppm((ppm as u32 / 1_000 * 1_000).max(self.loss.0.ppm()));
                let both_ways = random.chance(3, 4);
                Fault::Impair { route: wan(scenario, both_ways, random), netem: Netem::loss(share) }
            }
            ChaosKind::Delay => {
                let delay = log_span(self.delay, random);
                let jitter = Span::from_us((delay.as_ns() / 1_000) * random.below(3) / 4);
                let both_ways = random.chance(3, 4);
                let netem = Netem { jitter, distribution: Distribution::Normal, ..Netem::delay(delay) };
                Fault::Impair { route: wan(scenario, both_ways, random), netem }
            }
            ChaosKind::Flap => {
                let down = log_span((Span::from_ms(50), Span::from_secs(15)), random);
                let up = log_span((Span::from_ms(50), Span::from_secs(15)), random);
                let both_ways = random.chance(3, 4);
                Fault::Flap { route: wan(scenario, both_ways, random), down, up }
            }
            ChaosKind::Kill => Fault::Kill { process: server(scenario, random) },
            ChaosKind::Pause => Fault::Pause { process: server(scenario, random) },
            ChaosKind::HostCrash => {
                let host = HostSelector::Of(server(scenario, random));
                Fault::HostCrash { host, unsynced: Unsynced::Torn }
            }
            ChaosKind::SlowDisk => {
                let latency = log_span(self.disk_latency, random);
                Fault::SlowDisk { host: HostSelector::Of(server(scenario, random)), read: latency, sync: latency }
            }
        }
    }
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
    Route { from: place(0), to: place(1), both_ways, ..Route::default() }
}

/// One server's host against the hosts of all other servers. Clients still reach it: that makes a zombie.
fn isolation(scenario: &Scenario, random: &mut Random) -> Route {
    let victim = server(scenario, random);
    let cluster = &scenario.cluster;
    let hosts = cluster.zookeeper.servers.iter().map(|server| server.host);
    let mut hosts: Vec<_> = hosts.chain(cluster.kafka.brokers.iter().map(|broker| broker.host)).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let place = |host| Place::Host(HostSelector::Host(host));
    Route {
        from: vec![Place::Host(HostSelector::Of(victim))],
        to: hosts.into_iter().map(place).collect(),
        both_ways: true,
        ..Route::default()
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

#[cfg(test)]
mod tests;
