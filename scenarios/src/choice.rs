//! What a scenario leaves to the seed of a run: which of some targets a fault hits, and how a partition splits the servers.
//!
//! A choice is made when the schedule is drawn; the schedule then names what was chosen. Each entry of a scenario draws from a
//! stream of its own.

use models::id::HostId;
use models::random::{Purpose, Random};
use models::time::Span;
use serde::{Deserialize, Serialize};

use crate::deployment::ProcessKind;
use crate::fault::{Fault, HostSelector, Mode, Place, ProcessSelector, Route};
use crate::scenario::Scenario;
use crate::schedule::Planned;

/// Something that the seed decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Choice {
    /// Which processes are hit, each by a fault of its own, one `every` so much time.
    Processes {
        /// Out of which, and how many.
        any: AnyOf<ProcessSelector>,
        /// From the beginning of one to that of the next.
        every: Span,
    },
    /// Which hosts are hit, each by a fault of its own, one `every` so much time.
    Hosts {
        /// Out of which, and how many.
        any: AnyOf<HostSelector>,
        /// From the beginning of one to that of the next.
        every: Span,
    },
    /// The senders of a route.
    From(AnyOf<Place>),
    /// The receivers of a route.
    To(AnyOf<Place>),
    /// The groups of a partition.
    Split {
        /// How they lie.
        shape: Shape,
        /// The hosts that are split; none named means all hosts of brokers and ZooKeeper servers.
        hosts: Vec<HostId>,
    },
}

/// Some of several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnyOf<T> {
    /// How many; at least one and at most all.
    pub count: u32,
    /// Out of which.
    pub of: Vec<T>,
}

/// How a partition splits hosts. Who stands where is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shape {
    /// Two halves; the second has one more if the number is odd.
    Halves,
    /// One host, and all others.
    One,
    /// The smallest majority, and the others.
    Majority,
    /// At least one host and less than a third of them, and the others.
    MinorityThird,
    /// Each host reaches a majority, no two hosts the same one.
    MajoritiesRing,
    /// Two halves, and one host that reaches both.
    Bridge,
    /// The host of the controller, that of ZooKeeper's leader, or both are alone, as the roles are when it begins.
    Primaries,
}

impl Shape {
    /// The words for them in scenario files.
    pub const WORDS: &[(&str, Self)] = &[
        ("halves", Self::Halves),
        ("one", Self::One),
        ("majority", Self::Majority),
        ("minority-third", Self::MinorityThird),
        ("majorities-ring", Self::MajoritiesRing),
        ("bridge", Self::Bridge),
        ("primaries", Self::Primaries),
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, shape)| *shape == self).map_or("", |(word, _)| word)
    }

    /// The fewest hosts that can be split so.
    pub fn least_hosts(self) -> usize {
        match self {
            Self::Halves | Self::One | Self::Primaries => 2,
            Self::Majority | Self::Bridge => 3,
            Self::MinorityThird | Self::MajoritiesRing => 4,
        }
    }

    /// The fault that splits `hosts` so.
    pub fn split(self, hosts: &[HostId], mode: Mode, scenario: &Scenario, random: &mut Random) -> Fault {
        let place = |host: &HostId| Place::Host(HostSelector::Host(*host));
        let mut hosts = hosts.to_vec();
        if self == Self::Primaries {
            let from = primaries(scenario, random);
            let to = hosts.iter().map(place).collect();
            return Fault::Cut { route: Route { from, to, both_ways: true, ..Route::default() }, mode };
        }
        random.shuffle(&mut hosts);
        let count = hosts.len();
        let at = |index: usize| hosts.split_at(index.min(count));
        let groups: Vec<Vec<HostId>> = match self {
            Self::Halves => vec![at(count / 2).0.to_vec(), at(count / 2).1.to_vec()],
            Self::One => vec![at(1).0.to_vec(), at(1).1.to_vec()],
            Self::Majority => vec![at(count / 2 + 1).0.to_vec(), at(count / 2 + 1).1.to_vec()],
            Self::MinorityThird => {
                let minority = random.within(1, (count as u64).saturating_sub(1).max(3) / 3) as usize;
                vec![at(minority).0.to_vec(), at(minority).1.to_vec()]
            }
            Self::Bridge => {
                let (bridge, rest) = at(1);
                let (a, b) = rest.split_at(rest.len() / 2);
                vec![[a, bridge].concat(), [bridge, b].concat()]
            }
            // Whoever is at most `reach` places away on the ring is reached: that many on either side are a majority.
            Self::MajoritiesRing => {
                let reach = (count / 2).div_ceil(2);
                (0..count).map(|start| (start..=start + reach).map(|place| hosts[place % count]).collect()).collect()
            }
            Self::Primaries => Vec::new(),
        };
        let sorted = |mut group: Vec<HostId>| {
            group.sort_unstable();
            group.iter().map(place).collect()
        };
        Fault::Partition { groups: groups.into_iter().map(sorted).collect(), mode }
    }
}

/// A non-empty subset of the roles whose loss hurts most.
fn primaries(scenario: &Scenario, random: &mut Random) -> Vec<Place> {
    let mut roles = vec![ProcessSelector::ZooKeeperLeader];
    if scenario.cluster.has_kafka() {
        roles.insert(0, ProcessSelector::Controller);
    }
    let subset = random.within(1, (1 << roles.len()) - 1);
    let chosen = roles.into_iter().enumerate().filter(|(index, _)| subset >> index & 1 == 1);
    chosen.map(|(_, role)| Place::Host(HostSelector::Of(role))).collect()
}

impl<T: Clone> AnyOf<T> {
    /// The chosen ones, in the order of the list.
    fn draw(&self, random: &mut Random) -> Vec<T> {
        let mut indices: Vec<usize> = (0..self.of.len()).collect();
        random.shuffle(&mut indices);
        indices.truncate(self.count as usize);
        indices.sort_unstable();
        indices.into_iter().map(|index| self.of[index].clone()).collect()
    }
}

/// Choices have streams of their own, apart from those of drawn faults.
const CHOICE_STREAMS: u64 = 1 << 32;

/// The hosts of brokers and ZooKeeper servers, ascending.
pub(crate) fn server_hosts(scenario: &Scenario) -> Vec<HostId> {
    let deployment = scenario.deployment();
    let servers = deployment.processes.iter();
    let servers = servers.filter(|p| matches!(p.kind, ProcessKind::ZooKeeper { .. } | ProcessKind::Broker { .. }));
    let mut hosts: Vec<HostId> = servers.map(|process| process.host).collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

impl Planned {
    /// What `seed` makes of entry `number` of the scenario: one fault, or one for each target that is chosen.
    pub(crate) fn draw(&self, scenario: &Scenario, seed: u64, number: u64) -> Vec<Self> {
        let mut random = Random::new(seed, Purpose::Schedule, CHOICE_STREAMS + number);
        let decided = |fault: Fault| Self { choice: None, fault, ..self.clone() };
        match &self.choice {
            None => vec![self.clone()],
            Some(Choice::Processes { any, every }) => {
                let faults = any.draw(&mut random).into_iter().map(|process| self.fault.with_process(process));
                self.one_by_one(faults.collect(), *every)
            }
            Some(Choice::Hosts { any, every }) => {
                let faults = any.draw(&mut random).into_iter().map(|host| self.fault.with_host(host));
                self.one_by_one(faults.collect(), *every)
            }
            Some(Choice::From(any)) => {
                let from = any.draw(&mut random);
                vec![decided(self.fault.with_route(|route| route.from = from))]
            }
            Some(Choice::To(any)) => {
                let to = any.draw(&mut random);
                vec![decided(self.fault.with_route(|route| route.to = to))]
            }
            Some(Choice::Split { shape, hosts }) => {
                let all = if hosts.is_empty() { server_hosts(scenario) } else { hosts.clone() };
                let mode = if let Fault::Partition { mode, .. } = &self.fault { *mode } else { Mode::Silent };
                vec![decided(shape.split(&all, mode, scenario, &mut random))]
            }
        }
    }

    /// Faults that begin one after the other; with a name, each has a number in it.
    pub(crate) fn one_by_one(&self, faults: Vec<Fault>, every: Span) -> Vec<Self> {
        let alone = faults.len() == 1;
        let one = |(number, fault): (u64, Fault)| Self {
            name: self.name.as_ref().map(|name| if alone { name.clone() } else { format!("{name}-{}", number + 1) }),
            at: self.at + every * number,
            duration: self.duration,
            fault,
            choice: None,
        };
        (0..).zip(faults).map(one).collect()
    }
}
