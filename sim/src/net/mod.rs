//! The virtual network: which packets arrive, and when.
//!
//! A packet takes its route over the graph of sites ([`topology`]); then the rules that are in force between its two hosts
//! ([`rule`]) add what is wrong: some stop packets, the others are in netem's words ([`netem`]). A fate is decided when the packet is sent: what is under
//! way when a cut begins still arrives. [`connection`] and [`tcp`] hold the state of streams, which the kernel drives.

pub(crate) mod connection;
pub mod netem;
pub mod resolver;
pub mod rule;
pub mod tcp;
pub mod topology;

use std::collections::BTreeMap;
use std::sync::Arc;

use models::id::HostId;
use models::random::{Purpose, Random, together};
use models::time::{Instant, Span};

use self::netem::NetemState;
use self::rule::{Effect, Header, Rule, RuleId};
use self::topology::{CERTAIN, Line, Route, SiteGraph, routes};

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    /// When it arrives, unless it is lost.
    pub(crate) at: Option<Instant>,
    /// When a copy of it arrives, if there is one.
    pub(crate) copy: Option<Instant>,
    /// Whether it keeps its place among the packets of its stream: netem alone lets them overtake each other.
    pub(crate) ordered: bool,
    /// What its sender learns at once of a packet that is stopped.
    pub(crate) told: Told,
}

/// What a sender learns of a packet that is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Nothing,
    /// RST.
    Reset,
    /// There is no route.
    NoRoute,
}

pub(crate) const LOST: Fate = Fate { at: None, copy: None, ordered: true, told: Told::Nothing };

/// A directed pair of hosts.
#[derive(Clone, Debug)]
struct Pair {
    /// `None` on the same host.
    route: Option<u32>,
    /// Rules in force that drop every packet, and one more if there is no way at all.
    cuts: u32,
    /// Other rules in force that stop packets, oldest first.
    filters: Vec<RuleId>,
    /// Netem rules in force, oldest first.
    netems: Vec<RuleId>,
    /// Draws of the route, and apart from them those of rules, so that a rule leaves the rest as it was. Made when needed.
    base: Option<Box<Random>>,
    disturbed: Option<Box<Random>>,
}

#[derive(Clone, Debug)]
struct ActiveRule {
    rule: Rule,
    /// One netem per sending host, as on its interface.
    states: Vec<NetemState>,
}

/// The network.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    seed: u64,
    hosts: usize,
    /// What keys the streams of each host's links.
    streams: Arc<[u64]>,
    loopback: Span,
    routes: Arc<[Option<Route>]>,
    lines: Vec<Line>,
    pairs: Vec<Pair>,
    rules: BTreeMap<RuleId, ActiveRule>,
    next_rule: u32,
}

impl Network {
    pub(crate) fn new(seed: u64, graph: &SiteGraph, sites: &[u16], streams: Arc<[u64]>, loopback: Span) -> Self {
        let (routes, lines) = routes(graph);
        let width = graph.node_count();
        let mut pairs = Vec::with_capacity(sites.len() * sites.len());
        for (from, from_site) in sites.iter().enumerate() {
            for (to, to_site) in sites.iter().enumerate() {
                let index = usize::from(*from_site) * width + usize::from(*to_site);
                let reachable = from == to || routes[index].is_some();
                let route = (from != to && reachable).then_some(index as u32);
                pairs.push(Pair {
                    route,
                    cuts: u32::from(!reachable),
                    filters: Vec::new(),
                    netems: Vec::new(),
                    base: None,
                    disturbed: None,
                });
            }
        }
        let (routes, hosts) = (routes.into(), sites.len());
        Self { seed, hosts, streams, loopback, routes, lines, pairs, rules: BTreeMap::new(), next_rule: 0 }
    }

    /// Draws from the streams of another seed from now on.
    pub(crate) fn rekey(&mut self, seed: u64) {
        self.seed = seed;
        for pair in &mut self.pairs {
            (pair.base, pair.disturbed) = (None, None);
        }
    }

    pub(crate) fn add_rule(&mut self, rule: Rule) -> RuleId {
        let id = RuleId(self.next_rule);
        self.next_rule += 1;
        for pair in rule.pairs(self.hosts) {
            let pair = &mut self.pairs[pair];
            match rule.effect {
                Effect::Netem(_) => pair.netems.push(id),
                _ if rule.is_plain_cut() => pair.cuts += 1,
                _ => pair.filters.push(id),
            }
        }
        let states = if let Effect::Netem(_) = rule.effect { self.hosts } else { 0 };
        self.rules.insert(id, ActiveRule { rule, states: vec![NetemState::default(); states] });
        id
    }

    /// Returns whether the rule was in force.
    pub(crate) fn remove_rule(&mut self, id: RuleId) -> bool {
        let Some(ActiveRule { rule, .. }) = self.rules.remove(&id) else { return false };
        for pair in rule.pairs(self.hosts) {
            let pair = &mut self.pairs[pair];
            match rule.effect {
                Effect::Netem(_) => pair.netems.retain(|other| *other != id),
                _ if rule.is_plain_cut() => pair.cuts -= 1,
                _ => pair.filters.retain(|other| *other != id),
            }
        }
        true
    }

    /// Whether there is a way and no cut on it.
    pub(crate) fn is_open(&self, from: HostId, to: HostId) -> bool {
        self.pairs[usize::from(from.0) * self.hosts + usize::from(to.0)].cuts == 0
    }

    /// Decides the fate of a packet that leaves at `now`.
    pub(crate) fn transit(&mut self, now: Instant, from: HostId, to: HostId, packet: &Header) -> Fate {
        let index = usize::from(from.0) * self.hosts + usize::from(to.0);
        let bytes = packet.bytes;
        if !self.pairs[index].filters.is_empty()
            && let Some(told) = self.stopped(index, from, to, packet)
        {
            return Fate { told, ..LOST };
        }
        let pair = &mut self.pairs[index];
        if pair.cuts > 0 {
            return LOST;
        }
        let mut at = now + self.loopback;
        if let Some(route) = pair.route {
            let route = self.routes[route as usize].as_ref().expect("a pair refers to a route that exists");
            let mut delay = route.delay;
            if route.jitter > Span::ZERO || route.survival < CERTAIN {
                let random = pair.base.get_or_insert_with(|| Box::new(stream(self.seed, &self.streams, from, to, 0)));
                // One word decides both, so that loss and jitter can be switched without shifting each other's draws.
                let word = random.word();
                if word & u64::from(u32::MAX) >= route.survival {
                    return LOST;
                }
                let width = u128::from(route.jitter.as_ns()) * 2 + 1;
                let off = Span::from_ns(((width * u128::from(word >> 32)) >> 32) as u64);
                delay = (delay + off).saturating_sub(route.jitter);
            }
            at = now + delay;
            for line in &route.lines {
                let line = &mut self.lines[*line as usize];
                let start = line.free_at.max(now);
                if line.queue > Span::ZERO && start - now > line.queue {
                    return LOST;
                }
                line.free_at = start + Span::from_secs(1).scaled(u64::from(bytes), line.rate);
                at += line.free_at - now;
            }
        }
        if pair.netems.is_empty() {
            return Fate { at: Some(at), copy: None, ordered: true, told: Told::Nothing };
        }
        self.disturb(index, from, to, (now, at - now), packet)
    }

    /// Whether one of the pair's rules stops a packet, and what its sender learns. The routing table of the sender is asked
    /// before any firewall; of those, the one that drops silently is the last word.
    fn stopped(&mut self, pair: usize, from: HostId, to: HostId, packet: &Header) -> Option<Told> {
        let pair = &mut self.pairs[pair];
        let mut answer = None;
        for id in &pair.filters {
            let rule = &self.rules.get(id).expect("a pair refers to rules in force").rule;
            if !rule.is_for(packet) {
                continue;
            }
            match rule.effect {
                Effect::NoRoute => return Some(Told::NoRoute),
                Effect::Reset | Effect::RefuseNew => answer = answer.or(Some(Told::Reset)),
                Effect::Flows { flows, packets } => {
                    if chosen(packet.flow, self.seed) < flows.threshold() {
                        let random = pair
                            .disturbed
                            .get_or_insert_with(|| Box::new(stream(self.seed, &self.streams, from, to, 1)));
                        if random.word() >> 32 < packets.threshold() {
                            answer = Some(Told::Nothing);
                        }
                    }
                }
                Effect::Cut | Effect::DropNew | Effect::Above(_) => answer = Some(Told::Nothing),
                Effect::Netem(_) => {}
            }
        }
        if pair.cuts > 0 { answer.map(|_| Told::Nothing) } else { answer }
    }

    /// Passes a packet through the rules of its pair, one after the other; the route takes `under_way` besides.
    fn disturb(
        &mut self,
        pair: usize,
        from: HostId,
        to: HostId,
        (now, under_way): (Instant, Span),
        packet: &Header,
    ) -> Fate {
        let pair = &mut self.pairs[pair];
        let random = pair.disturbed.get_or_insert_with(|| Box::new(stream(self.seed, &self.streams, from, to, 1)));
        let mut copies = [Some(now), None];
        for id in &pair.netems {
            let active = self.rules.get_mut(id).expect("a pair refers to rules in force");
            let Effect::Netem(netem) = &active.rule.effect else { continue };
            if !active.rule.is_for(packet) {
                continue;
            }
            let state = &mut active.states[usize::from(from.0)];
            let mut next = [None; 2];
            for leaves in
                copies.into_iter().flatten().flat_map(|at| state.pass(netem, random, at, packet.bytes)).flatten()
            {
                // Copies of copies beyond the second tell nothing new.
                if let Some(free) = next.iter_mut().find(|slot| slot.is_none()) {
                    *free = Some(leaves);
                }
            }
            copies = next;
        }
        let arrive = |leaves: Option<Instant>| leaves.map(|at| at + under_way);
        Fate { at: arrive(copies[0]), copy: arrive(copies[1]), ordered: false, told: Told::Nothing }
    }
}

/// Where a connection falls in 2^32 equal parts: a hash of it and the run's seed (splitmix64), as nft's `jhash ... seed`.
fn chosen(flow: u64, seed: u64) -> u64 {
    let mut word = flow.wrapping_add(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (word ^ word >> 31) >> 32
}

fn stream(seed: u64, streams: &[u64], from: HostId, to: HostId, layer: u64) -> Random {
    let [from, to] = [from, to].map(|host| streams[usize::from(host.0)]);
    Random::new(seed, Purpose::Link, together(&[layer, from, to]))
}
