//! Which faults a world knows, how many, how long, how severe.

use models::random::{Purpose, Random};
use models::time::Span;

use super::Profile;
use crate::chaos::{ChaosKind, ChaosProfile, Weights};
use crate::scenario::Scenario;
use crate::units::Share;

/// The stream of a world that decides on its faults.
const STREAM: u64 = 0;

/// What networks between sites do.
const WAN: &[(ChaosKind, u32)] = &[
    (ChaosKind::WanCut, 20),
    (ChaosKind::OneWayCut, 12),
    (ChaosKind::Isolate, 10),
    (ChaosKind::PairCut, 10),
    (ChaosKind::Loss, 9),
    (ChaosKind::Burst, 6),
    (ChaosKind::Delay, 8),
    (ChaosKind::Flap, 8),
    (ChaosKind::Duplicate, 2),
    (ChaosKind::Reorder, 4),
    (ChaosKind::Corrupt, 3),
    (ChaosKind::Rate, 5),
    (ChaosKind::Reset, 5),
    (ChaosKind::Split, 10),
    (ChaosKind::Bridge, 5),
    (ChaosKind::Ring, 4),
    (ChaosKind::Primaries, 8),
    (ChaosKind::RejectingCut, 5),
    (ChaosKind::MtuHole, 3),
    (ChaosKind::FlowLoss, 4),
    (ChaosKind::Slot, 3),
    (ChaosKind::RouteLost, 4),
    (ChaosKind::LinkDown, 5),
    (ChaosKind::Dns, 3),
    (ChaosKind::ZooKeeperCut, 10),
    (ChaosKind::ZooKeeperDelay, 8),
    (ChaosKind::HostDelay, 6),
    (ChaosKind::PairDelay, 8),
    (ChaosKind::HostFlap, 5),
    (ChaosKind::HostReset, 5),
    (ChaosKind::ClientCut, 4),
];
/// What machines do.
const MACHINES: &[(ChaosKind, u32)] = &[
    (ChaosKind::Kill, 14),
    (ChaosKind::Stop, 8),
    (ChaosKind::Pause, 12),
    (ChaosKind::HostCrash, 14),
    (ChaosKind::AuthFailed, 5),
    (ChaosKind::DeleteController, 8),
    (ChaosKind::Restart, 8),
    (ChaosKind::RollingRestart, 4),
    (ChaosKind::Gc, 6),
    (ChaosKind::Cpu, 4),
    (ChaosKind::SiteCrash, 4),
    (ChaosKind::DamageIndexes, 3),
];
/// What disks and power supplies do.
const DISK: &[(ChaosKind, u32)] = &[
    (ChaosKind::SlowDisk, 12),
    (ChaosKind::StallDisk, 8),
    (ChaosKind::FailDisk, 6),
    (ChaosKind::FillDisk, 6),
    (ChaosKind::HostCrash, 14),
    (ChaosKind::LimitDisk, 6),
    (ChaosKind::SiteCrash, 4),
    (ChaosKind::DamageIndexes, 4),
];
/// What clocks do, and processes that stand still.
const CLOCK: &[(ChaosKind, u32)] = &[(ChaosKind::ClockJump, 10), (ChaosKind::ClockDrift, 8), (ChaosKind::Pause, 14)];
/// Many short outages.
const FLAP: &[(ChaosKind, u32)] = &[
    (ChaosKind::Flap, 30),
    (ChaosKind::WanCut, 12),
    (ChaosKind::OneWayCut, 8),
    (ChaosKind::Isolate, 10),
    (ChaosKind::PairCut, 10),
    (ChaosKind::Kill, 10),
    (ChaosKind::Pause, 10),
    (ChaosKind::Reset, 8),
    (ChaosKind::Split, 8),
    (ChaosKind::Gc, 6),
    (ChaosKind::LinkDown, 6),
    (ChaosKind::ZooKeeperCut, 8),
    (ChaosKind::HostFlap, 10),
    (ChaosKind::HostReset, 6),
];

/// What comes between brokers and those who decide who leads: ZooKeeper and the controller.
const CONTROL: &[(ChaosKind, u32)] = &[
    (ChaosKind::ZooKeeperCut, 14),
    (ChaosKind::ZooKeeperDelay, 12),
    (ChaosKind::DeleteController, 10),
    (ChaosKind::PairCut, 10),
    (ChaosKind::PairDelay, 8),
    (ChaosKind::Isolate, 6),
    (ChaosKind::HostFlap, 6),
    (ChaosKind::HostReset, 8),
    (ChaosKind::Kill, 12),
    (ChaosKind::Restart, 8),
    (ChaosKind::Pause, 10),
    (ChaosKind::AuthFailed, 4),
];

/// Recoveries that something disturbs.
const STORIES: &[(ChaosKind, u32)] = &[
    (ChaosKind::OustedController, 10),
    (ChaosKind::BadReturn, 10),
    (ChaosKind::SeeSaw, 24),
    (ChaosKind::DeafBroker, 10),
    (ChaosKind::RoughSync, 10),
    (ChaosKind::DarkReturn, 10),
];

/// So many at most in worlds that have nothing else.
const MOST_STORIES: u32 = 3;

/// All kinds that a profile knows and that can be in that scenario.
pub(super) fn every_kind(profile: Profile, scenario: &Scenario) -> Weights {
    let all = match profile {
        Profile::Wan => WAN.to_vec(),
        Profile::Disk => DISK.to_vec(),
        Profile::Clock => CLOCK.to_vec(),
        Profile::Flap => FLAP.to_vec(),
        Profile::Everything => [WAN, MACHINES, DISK, CLOCK, STORIES].concat(),
    };
    all.into_iter().filter(|(kind, _)| is_possible(*kind, scenario)).collect()
}

fn is_possible(kind: ChaosKind, scenario: &Scenario) -> bool {
    let (two_sites, has_kafka) = (scenario.topology.sites.len() > 1, scenario.cluster.has_kafka());
    (two_sites || !kind.needs_wan()) && (has_kafka || !kind.needs_kafka())
}

/// The kinds that a world of a profile may have, with their weights. Two given kinds out of sixty hardly ever meet: half of
/// the worlds that may have any kind keep to a group of kinds that have to do with each other.
fn kinds(profile: Profile, random: &mut Random) -> Vec<(ChaosKind, u32)> {
    let mut kinds = match profile {
        Profile::Wan => WAN.to_vec(),
        Profile::Disk => DISK.to_vec(),
        Profile::Clock => CLOCK.to_vec(),
        Profile::Flap => FLAP.to_vec(),
        Profile::Everything => match random.weighted(&[32, 18, 8, 12, 30]) {
            0 => [WAN, MACHINES, DISK, CLOCK, STORIES].concat(),
            1 => CONTROL.to_vec(),
            2 => WAN.to_vec(),
            4 => STORIES.to_vec(),
            _ => [MACHINES, DISK].concat(),
        },
    };
    kinds.sort_by_key(|(kind, weight)| (*kind, std::cmp::Reverse(*weight)));
    kinds.dedup_by_key(|(kind, _)| *kind);
    kinds
}

/// The chaos profile of a world.
pub(super) fn draw(profile: Profile, scenario: &Scenario, world: u64) -> ChaosProfile {
    let mut random = Random::new(world, Purpose::World, STREAM);
    let random = &mut random;
    let mut kinds = kinds(profile, random);
    kinds.retain(|(kind, _)| is_possible(*kind, scenario));
    if kinds.is_empty() {
        // One site has no WAN to be disturbed: what remains of a network is the way to a host.
        kinds = vec![(ChaosKind::Isolate, 1), (ChaosKind::PairCut, 1)];
    }
    let always = *random.pick(&kinds);
    // Half of the kinds are off, or more: what they would hide can be seen. What takes the same kind of fault twice or three
    // times is found where few others are on.
    let one_of = *random.pick(&[2, 5, 12]);
    let mut on: Weights = kinds.into_iter().filter(|_| random.chance(1, one_of)).collect();
    if on.is_empty() {
        on = [always].into_iter().collect();
    }
    let short = profile == Profile::Flap;
    let most = random.log_uniform(if short { 4 } else { 3 }, if short { 30 } else { 24 }) as u32;
    // A story is some faults by itself, and is understood best alone.
    let told = on.iter().all(|(kind, _)| STORIES.iter().any(|(story, _)| *story == kind));
    ChaosProfile {
        faults: (1, if told { most.min(MOST_STORIES) } else { most }),
        lengths: lengths(short, scenario.phases.faults, random),
        loss: loss(random),
        delay: spread((Span::from_ms(20), Span::from_secs(8)), random),
        disk_latency: spread((Span::from_ms(2), Span::from_secs(15)), random),
        stretch: stretch(scenario.phases.faults, random),
        victims: victims(random),
        weights: on,
    }
}

/// In two worlds of three faults come close together, from within seconds to within the phase.
fn stretch(phase: Span, random: &mut Random) -> Option<(Span, Span)> {
    let close = random.chance(2, 3);
    close.then(|| (Span::from_secs(1).min(phase), Span::from_secs(60).min(phase)))
}

/// In two worlds of three the faults of a schedule hit the same few processes.
fn victims(random: &mut Random) -> Option<(u32, u32)> {
    [None, Some((1, 2)), Some((1, 4))][random.weighted(&[1, 1, 1])]
}

/// How long faults last. What breaks clusters is often an outage about as long as a timeout, so worlds differ by decades.
fn lengths(short: bool, phase: Span, random: &mut Random) -> (Span, Span) {
    let (low, high) = match if short { 0 } else { random.weighted(&[20, 25, 25, 30]) } {
        0 => (Span::from_ms(50), Span::from_secs(8)),
        1 => (Span::from_secs(2), Span::from_secs(30)),
        2 => (Span::from_secs(15), Span::from_secs(90)),
        _ => (Span::from_ms(100), Span::from_secs(120)),
    };
    let high = high.min(phase);
    (low.min(high), high)
}

/// A part of a range on a logarithmic scale, in whole milliseconds.
fn spread((low, high): (Span, Span), random: &mut Random) -> (Span, Span) {
    let mut draw = || Span::from_ms(random.log_uniform(low.as_ms().max(1), high.as_ms().max(1)));
    let (a, b) = (draw(), draw());
    (a.min(b), a.max(b))
}

/// Shares of lost packets, in whole percent.
fn loss(random: &mut Random) -> (Share, Share) {
    let mut draw = || Share::from_ppm(random.log_uniform(1, 60) as u32 * 10_000);
    let (a, b) = (draw(), draw());
    if a < b { (a, b) } else { (b, a) }
}
