//! The virtual network: which packets arrive, and when.
//!
//! A packet takes its route over the graph of sites ([`topology`]); then the rules that are in force between its two hosts
//! ([`rule`]) add what is wrong: some stop packets, the others are in netem's words ([`netem`]). A fate is decided when the packet is sent: what is under
//! way when a cut begins still arrives. [`connection`] and [`tcp`] hold the state of streams, which the kernel drives.

mod congestion;
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

use self::netem::{Departures, Netem, NetemState};
use self::rule::{Effect, Header, Rule, RuleId};
use self::topology::{CERTAIN, Line, Route, Shaper, SiteGraph, Ways, ways};

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
    shapers: Vec<Shaper>,
    pairs: Vec<Pair>,
    rules: BTreeMap<RuleId, ActiveRule>,
    next_rule: u32,
}

impl Network {
    pub(crate) fn new(seed: u64, graph: &SiteGraph, sites: &[u16], streams: Arc<[u64]>, loopback: Span) -> Self {
        let Ways { routes, lines, shapers } = ways(graph, sites.len());
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
        Self { seed, hosts, streams, loopback, routes, lines, shapers, pairs, rules: BTreeMap::new(), next_rule: 0 }
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
    pub(crate) fn transit(
        &mut self,
        now: Instant,
        (from, to): (HostId, HostId),
        bytes: u32,
        header: impl FnOnce() -> Header,
    ) -> Fate {
        let index = usize::from(from.0) * self.hosts + usize::from(to.0);
        let pair = &mut self.pairs[index];
        if pair.cuts > 0 || !pair.filters.is_empty() || !pair.netems.is_empty() {
            return self.transit_under_rules(now, from, to, &header());
        }
        let mut way = Some(self.loopback);
        if let Some(route) = pair.route {
            let route = self.routes[route as usize].as_ref().expect("a pair refers to a route that exists");
            if !route.shapers.is_empty() {
                return self.transit_under_rules(now, from, to, &header());
            }
            let draws = || Box::new(stream(self.seed, &self.streams, from, to, 0));
            way = on_links(route, &mut self.lines, (&mut pair.base, draws), now, bytes);
        }
        Fate { at: way.map(|way| now + way), ..LOST }
    }

    fn transit_under_rules(&mut self, now: Instant, from: HostId, to: HostId, packet: &Header) -> Fate {
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
        let is_disturbed = !pair.netems.is_empty();
        let (mut ways, mut ordered) = ([Some(self.loopback), None], true);
        if let Some(route) = pair.route {
            let route = self.routes[route as usize].as_ref().expect("a pair refers to a route that exists");
            let draws = || Box::new(stream(self.seed, &self.streams, from, to, 0));
            if route.shapers.is_empty() {
                ways[0] = on_links(route, &mut self.lines, (&mut pair.base, draws), now, bytes);
                if ways[0].is_none() {
                    return LOST;
                }
            } else {
                let random = pair.base.get_or_insert_with(draws);
                let leave = shape(route, &mut self.shapers, random, from, now, bytes);
                let mut arrive = leave.into_iter().flatten().filter_map(|leaves| {
                    let way = on_links(route, &mut self.lines, (&mut pair.base, draws), now, bytes)?;
                    Some(way + (leaves - now))
                });
                (ways, ordered) = ([arrive.next(), arrive.next()], false);
            }
        }
        if is_disturbed {
            return self.disturb(index, from, to, (now, ways), packet);
        }
        let [at, copy] = ways.map(|way| way.map(|way| now + way));
        Fate { at, copy, ordered, told: Told::Nothing }
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

    /// Passes a packet through the rules of its pair, one after the other; its copies on the route are under way for `ways`
    /// besides.
    fn disturb(
        &mut self,
        pair: usize,
        from: HostId,
        to: HostId,
        (now, ways): (Instant, [Option<Span>; 2]),
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
            copies = pass(state, netem, random, copies, packet.bytes);
        }
        let arrivals = |way: Span| copies.into_iter().flatten().map(move |at| at + way);
        let mut arrive = ways.into_iter().flatten().flat_map(arrivals);
        Fate { at: arrive.next(), copy: arrive.next(), ordered: false, told: Told::Nothing }
    }
}

/// How long a packet is under way on the links of a route as far as they have no netem; `None` if it is lost there.
#[inline]
fn on_links(
    route: &Route,
    lines: &mut [Line],
    (base, draws): (&mut Option<Box<Random>>, impl FnOnce() -> Box<Random>),
    now: Instant,
    bytes: u32,
) -> Option<Span> {
    let mut way = route.delay;
    if route.jitter > Span::ZERO || route.survival < CERTAIN {
        // One word decides both, so that loss and jitter can be switched without shifting each other's draws.
        let word = base.get_or_insert_with(draws).word();
        if word & u64::from(u32::MAX) >= route.survival {
            return None;
        }
        let width = u128::from(route.jitter.as_ns()) * 2 + 1;
        let off = Span::from_ns(((width * u128::from(word >> 32)) >> 32) as u64);
        way = (way + off).saturating_sub(route.jitter);
    }
    for line in &route.lines {
        let line = &mut lines[*line as usize];
        let start = line.free_at.max(now);
        if line.queue > Span::ZERO && start - now > line.queue {
            return None;
        }
        line.free_at = start + Span::from_secs(1).scaled(u64::from(bytes), line.rate);
        way += line.free_at - now;
    }
    Some(way)
}

/// When the copies of a packet have left the netems of its route, one after the other.
fn shape(
    route: &Route,
    shapers: &mut [Shaper],
    random: &mut Random,
    from: HostId,
    now: Instant,
    bytes: u32,
) -> Departures {
    let mut copies = [Some(now), None];
    for shaper in &route.shapers {
        let shaper = &mut shapers[*shaper as usize];
        let netem = shaper.netem;
        copies = pass(shaper.state(from), &netem, random, copies, bytes);
    }
    copies
}

/// Passes the copies of a packet through a netem.
fn pass(state: &mut NetemState, netem: &Netem, random: &mut Random, copies: Departures, bytes: u32) -> Departures {
    let mut leave = copies.into_iter().flatten().flat_map(|at| state.pass(netem, random, at, bytes)).flatten();
    let first_two = [leave.next(), leave.next()];
    // Copies of copies beyond the second tell nothing new, but all of them pass.
    leave.for_each(drop);
    first_two
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
