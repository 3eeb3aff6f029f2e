//! Sites, and the links between them, as a graph; what a packet meets on its way when nothing is wrong.

use std::sync::Arc;

use models::time::{Instant, Span};
use petgraph::algo::astar;
use petgraph::stable_graph::{NodeIndex, StableDiGraph};
use petgraph::visit::{EdgeRef, IntoEdgeReferences};

use super::netem::Ppm;

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
}

/// A site: hosts that are near each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// For people.
    pub name: Arc<str>,
    /// Between two hosts of the site, each way. Its rate and queue are not looked at: a site's switch is no bottleneck.
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
}

/// A link with a bounded rate.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) rate: u64,
    pub(crate) queue: Span,
    pub(crate) free_at: Instant,
}

/// The routes between all sites, `None` where there is no way, by `from * sites + to`; and the lines they share.
pub(crate) fn routes(graph: &SiteGraph) -> (Vec<Option<Route>>, Vec<Line>) {
    let mut lines = Vec::new();
    let mut line_of_edge = Vec::new();
    for edge in graph.edge_references() {
        line_of_edge.resize(edge.id().index() + 1, None);
        if edge.weight().rate > 0 {
            line_of_edge[edge.id().index()] = Some(lines.len() as u32);
            lines.push(Line { rate: edge.weight().rate, queue: edge.weight().queue, free_at: Instant::ZERO });
        }
    }
    let sites: Vec<NodeIndex> = graph.node_indices().collect();
    let mut routes = Vec::with_capacity(sites.len() * sites.len());
    for from in &sites {
        for to in &sites {
            if from == to {
                routes.push(Some(inside(&graph[*from].inside)));
                continue;
            }
            let shortest = astar(graph, *from, |site| site == *to, |edge| edge.weight().delay.as_ns(), |_| 0);
            routes.push(shortest.map(|(_, path)| along(graph, &path, &line_of_edge)));
        }
    }
    (routes, lines)
}

fn inside(profile: &LinkProfile) -> Route {
    let survival = survival(profile.loss);
    Route { delay: profile.delay, jitter: profile.jitter, survival, lines: Vec::new() }
}

fn along(graph: &SiteGraph, path: &[NodeIndex], line_of_edge: &[Option<u32>]) -> Route {
    let mut route = Route { delay: Span::ZERO, jitter: Span::ZERO, survival: CERTAIN, lines: Vec::new() };
    for hop in path.windows(2) {
        let edges = graph.edges_connecting(hop[0], hop[1]);
        let edge = edges.min_by_key(|edge| edge.weight().delay).expect("the path follows edges");
        route.delay += edge.weight().delay;
        route.jitter += edge.weight().jitter;
        route.survival = ((u128::from(route.survival) * u128::from(survival(edge.weight().loss))) >> 32) as u64;
        route.lines.extend(line_of_edge[edge.id().index()]);
    }
    route
}

fn survival(loss: Ppm) -> u64 {
    CERTAIN - (u64::from(loss.0.min(1_000_000)) << 32) / 1_000_000
}

/// A [`Route::survival`] without loss.
pub(crate) const CERTAIN: u64 = 1 << 32;
