//! When and whom the faults of a schedule hit.

use models::id::{BrokerId, Sid};
use models::random::{Purpose, Random};
use models::time::Span;

use super::ChaosProfile;
use crate::fault::ProcessSelector;
use crate::scenario::Scenario;

/// The stream of what all faults of a schedule have in common: no fault has that number.
const STREAM: u64 = u64::MAX;

/// What all faults of a schedule have in common.
pub(super) struct Aim<'a> {
    scenario: &'a Scenario,
    /// Beginning and length of the time that they begin in.
    pub(super) stretch: (Span, Span),
    /// Whom they hit; everybody if there is none.
    victims: Vec<ProcessSelector>,
}

impl<'a> Aim<'a> {
    /// That of `seed`.
    pub(super) fn draw(profile: &ChaosProfile, scenario: &'a Scenario, seed: u64) -> Self {
        let mut random = Random::new(seed, Purpose::Schedule, STREAM);
        let phase = scenario.phases.faults;
        let stretch = profile.stretch.map_or((Span::ZERO, phase), |(low, high)| {
            let high = high.min(phase).as_ms().max(1);
            let width = Span::from_ms(random.log_uniform(low.as_ms().clamp(1, high), high)).min(phase);
            (Span::from_ms(random.span(Span::ZERO, phase - width).as_ms()), width)
        });
        let victims = profile.victims.map_or_else(Vec::new, |(low, high)| {
            let count = random.within(low.into(), high.into());
            (0..count).map(|_| victim(scenario, &mut random)).collect()
        });
        Self { scenario, stretch, victims }
    }

    /// Whom to hit: the leaders more often than chance would have it, brokers more often than ZooKeeper.
    pub(super) fn server(&self, random: &mut Random) -> ProcessSelector {
        if !self.victims.is_empty() {
            return *random.pick(&self.victims);
        }
        let (brokers, servers) = ids(self.scenario);
        match random.weighted(&[35, 35, 15, 15]) {
            0 => ProcessSelector::Controller,
            1 if !brokers.is_empty() => ProcessSelector::Broker(*random.pick(&brokers)),
            2 if !servers.is_empty() => ProcessSelector::ZooKeeper(*random.pick(&servers)),
            _ => ProcessSelector::ZooKeeperLeader,
        }
    }

    /// A broker: the controller as often as all others together.
    pub(super) fn broker(&self, random: &mut Random) -> ProcessSelector {
        let is_broker = |victim: &&ProcessSelector| {
            !matches!(victim, ProcessSelector::ZooKeeper(_) | ProcessSelector::ZooKeeperLeader)
        };
        let victims: Vec<ProcessSelector> = self.victims.iter().filter(is_broker).copied().collect();
        if !victims.is_empty() {
            return *random.pick(&victims);
        }
        let brokers = &self.scenario.cluster.kafka.brokers;
        match random.chance(1, 2) || brokers.is_empty() {
            true => ProcessSelector::Controller,
            false => ProcessSelector::Broker(random.pick(brokers).id),
        }
    }

    /// Another one of few victims, if there is one.
    pub(super) fn other_than(&self, victim: ProcessSelector, random: &mut Random) -> Option<ProcessSelector> {
        let others: Vec<ProcessSelector> = self.victims.iter().filter(|other| **other != victim).copied().collect();
        (!others.is_empty()).then(|| *random.pick(&others))
    }
}

fn ids(scenario: &Scenario) -> (Vec<BrokerId>, Vec<Sid>) {
    let cluster = &scenario.cluster;
    let brokers = cluster.kafka.brokers.iter().map(|broker| broker.id).collect();
    (brokers, cluster.zookeeper.servers.iter().map(|server| server.sid).collect())
}

/// One of few victims. Who leads a partition is worth more than a broker by its id: what it leads moves.
fn victim(scenario: &Scenario, random: &mut Random) -> ProcessSelector {
    let (brokers, servers) = ids(scenario);
    let partitions: Vec<_> = scenario.workload.all_partitions().collect();
    match random.weighted(&[25, 35, 15, 15, 10]) {
        0 if !brokers.is_empty() => ProcessSelector::Controller,
        1 if !brokers.is_empty() => ProcessSelector::Broker(*random.pick(&brokers)),
        2 if !brokers.is_empty() && !partitions.is_empty() => ProcessSelector::LeaderOf(*random.pick(&partitions)),
        3 if !servers.is_empty() => ProcessSelector::ZooKeeper(*random.pick(&servers)),
        _ => ProcessSelector::ZooKeeperLeader,
    }
}
