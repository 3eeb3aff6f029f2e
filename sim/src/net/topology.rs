//! Sites, and the links between them, as a graph; what a packet meets on its way when nothing is wrong.

use std::sync::Arc;

use models::id::HostId;
use models::time::{Instant, Span};
use petgraph::algo::astar;
use petgraph::stable_graph::{NodeIndex, StableDiGraph};
use petgraph::visit::{EdgeRef, IntoEdgeReferences};

use super::netem::{Netem, NetemState, Ppm};

/// One direction of a link between sites, or the inside of a site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LinkProfile {
    /// How long a packet is under way.
    pub delay: Span,
    /// Plus or minus up to this much, uniformly. Streams stay in order; datagrams may overtake each other.
    pub jitter: Span,
    /// How many packets are lost.
    pub loss: Ppm,
    /// Bytes per second; 0 is no bound. Shared by all that use the link.
    pub rate: u64,
    /// How long a packet may wait for the line before it is dropped. Zero is no bound.
    pub queue: Span,
    /// What packets pass besides, before all that. All that use a link share it; inside a site each host has one of its own.
    /// With it packets of a stream may overtake each other, as netem lets them.
    pub netem: Option<Netem>,
}

impl LinkProfile {
    /// By this the shortest way is found.
    fn length(&self) -> Span {
        self.delay + self.netem.map_or(Span::ZERO, |netem| netem.delay)
    }
}

/// A site: hosts that are near each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// For people.
    pub name: Arc<str>,
    /// Between two hosts of the site, each way. Its `rate` and `queue` are not looked at: a site's switch is no bottleneck,
    /// but a host's interface may be, which its netem says.
    pub inside: LinkProfile,
}

/// The sites, in the order of their indices, and the directed links between them.
pub type SiteGraph = StableDiGraph<Site, LinkProfile>;

/// The way from one site to another: properties add up over its links.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) delay: Span,
    pub(crate) jitter: Span,
    /// Chance of arriving, in parts per 2^32.
    pub(crate) survival: u64,
    /// Links with a bounded rate, as indices into the network's lines.
    pub(crate) lines: Vec<u32>,
    /// Links with a netem, as indices into the network's shapers, in the order of the way.
    pub(crate) shapers: Vec<u32>,
}

/// A link with a bounded rate.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) rate: u64,
    pub(crate) queue: Span,
    pub(crate) free_at: Instant,
}

/// A netem that stands in the way.
#[derive(Clone, Debug)]
pub(crate) struct Shaper {
    pub(crate) netem: Netem,
    /// One for all that use a link; inside a site one for each host of the network.
    pub(crate) states: Vec<NetemState>,
}

impl Shaper {
    /// What a packet from `host` meets.
    pub(crate) fn state(&mut self, host: HostId) -> &mut NetemState {
        let index = if self.states.len() == 1 { 0 } else { usize::from(host.0) };
        &mut self.states[index]
    }
}

/// What lies between the sites.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ways {
    /// `None` where there is no way, by `from * sites + to`.
    pub(crate) routes: Vec<Option<Route>>,
    pub(crate) lines: Vec<Line>,
    pub(crate) shapers: Vec<Shaper>,
}

/// What an edge of the graph has of its own.
#[derive(Clone, Copy, Debug, Default)]
struct Own {
    line: Option<u32>,
    shaper: Option<u32>,
}

/// The routes between all sites, and what they share, for a network of so many hosts.
pub(crate) fn ways(graph: &SiteGraph, hosts: usize) -> Ways {
    let (mut lines, mut shapers) = (Vec::new(), Vec::new());
    let mut shaper = |netem: Option<Netem>, states| {
        netem.map(|netem| {
            shapers.push(Shaper { netem, states: vec![NetemState::default(); states] });
            shapers.len() as u32 - 1
        })
    };
    let mut of_edge: Vec<Own> = Vec::new();
    for edge in graph.edge_references() {
        of_edge.resize(edge.id().index() + 1, Own::default());
        let own = &mut of_edge[edge.id().index()];
        own.shaper = shaper(edge.weight().netem, 1);
        if edge.weight().rate > 0 {
            own.line = Some(lines.len() as u32);
            lines.push(Line { rate: edge.weight().rate, queue: edge.weight().queue, free_at: Instant::ZERO });
        }
    }
    let sites: Vec<NodeIndex> = graph.node_indices().collect();
    let mut routes = Vec::with_capacity(sites.len() * sites.len());
    for from in &sites {
        for to in &sites {
            if from == to {
                let profile = &graph[*from].inside;
                routes.push(Some(inside(profile, shaper(profile.netem, hosts))));
                continue;
            }
            let shortest = astar(graph, *from, |site| site == *to, |edge| edge.weight().length().as_ns(), |_| 0);
            routes.push(shortest.map(|(_, path)| along(graph, &path, &of_edge)));
        }
    }
    Ways { routes, lines, shapers }
}

fn inside(profile: &LinkProfile, shaper: Option<u32>) -> Route {
    Route {
        delay: profile.delay,
        jitter: profile.jitter,
        survival: survival(profile.loss),
        lines: Vec::new(),
        shapers: shaper.into_iter().collect(),
    }
}

fn along(graph: &SiteGraph, path: &[NodeIndex], of_edge: &[Own]) -> Route {
    let (lines, shapers) = (Vec::new(), Vec::new());
    let mut route = Route { delay: Span::ZERO, jitter: Span::ZERO, survival: CERTAIN, lines, shapers };
    for hop in path.windows(2) {
        let edges = graph.edges_connecting(hop[0], hop[1]);
        let edge = edges.min_by_key(|edge| edge.weight().length()).expect("the path follows edges");
        route.delay += edge.weight().delay;
        route.jitter += edge.weight().jitter;
        route.survival = ((u128::from(route.survival) * u128::from(survival(edge.weight().loss))) >> 32) as u64;
        let own = of_edge[edge.id().index()];
        route.lines.extend(own.line);
        route.shapers.extend(own.shaper);
    }
    route
}

fn survival(loss: Ppm) -> u64 {
    CERTAIN - (u64::from(loss.0.min(1_000_000)) << 32) / 1_000_000
}

/// A [`Route::survival`] without loss.
pub(crate) const CERTAIN: u64 = 1 << 32;
