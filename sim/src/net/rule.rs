//! Rules that disturb the packets between hosts, in one direction.

use models::id::{HostId, Port};

use super::netem::{Netem, Ppm};

/// Names a rule in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub(crate) u32);

/// What a rule does to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Drops it silently.
    Cut,
    /// Drops it and answers with RST: `reject with tcp reset`.
    Reset,
    /// Answers the first packet of a connection with RST, and lets all others pass.
    RefuseNew,
    /// Drops the first packet of a connection silently, and lets all others pass: `ct state new drop`.
    DropNew,
    /// The sender has no route: it drops the packet, and who dials is told at once.
    NoRoute,
    /// Drops it silently if it is larger, with its headers, than so many bytes. Packets are 1,500 bytes at most.
    Above(u32),
    /// Drops packets of some connections.
    Flows {
        /// The share of connections; which ones is a hash of the connection and the seed.
        flows: Ppm,
        /// The share of their packets.
        packets: Ppm,
    },
    /// Treats it as netem would.
    Netem(Netem),
}

/// Which packets a rule is for, by the port that the accepting end of their connection listens on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PortFilter {
    /// Packets from that end.
    pub src: Vec<Port>,
    /// Packets to that end.
    pub dst: Vec<Port>,
}

impl PortFilter {
    /// Whether it lets all packets pass.
    pub fn is_all(&self) -> bool {
        self.src.is_empty() && self.dst.is_empty()
    }

    fn matches(&self, packet: &Header) -> bool {
        self.is_all()
            || packet.src.is_some_and(|port| self.src.contains(&port))
            || packet.dst.is_some_and(|port| self.dst.contains(&port))
    }
}

/// A rule for packets from any host of one set to any of another. Packets that stay on one host are not touched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Who sends.
    pub from: Vec<HostId>,
    /// Who receives.
    pub to: Vec<HostId>,
    /// Which packets.
    pub ports: PortFilter,
    /// What happens.
    pub effect: Effect,
}

/// What rules look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    /// With IP and TCP headers.
    pub(crate) bytes: u32,
    /// The port that it comes from, if its sender listens there.
    pub(crate) src: Option<Port>,
    /// The port that it goes to, if its receiver listens there.
    pub(crate) dst: Option<Port>,
    /// Names its connection, or the pair of processes of a datagram.
    pub(crate) flow: u64,
    /// It opens a connection.
    pub(crate) opens: bool,
}

/// Packets are no longer than that: a longer message travels in several.
const FULL_PACKET: u32 = 1_500;

impl Rule {
    /// A silent cut in one direction.
    pub fn cut(from: Vec<HostId>, to: Vec<HostId>) -> Self {
        Self::new(from, to, Effect::Cut)
    }

    /// A disturbance in one direction.
    pub fn netem(from: Vec<HostId>, to: Vec<HostId>, netem: Netem) -> Self {
        Self::new(from, to, Effect::Netem(netem))
    }

    /// A rule for all packets in one direction.
    pub fn new(from: Vec<HostId>, to: Vec<HostId>, effect: Effect) -> Self {
        Self { from, to, ports: PortFilter::default(), effect }
    }

    /// Whether the rule is for this packet.
    pub(crate) fn is_for(&self, packet: &Header) -> bool {
        self.ports.matches(packet)
            && match self.effect {
                Effect::RefuseNew | Effect::DropNew => packet.opens,
                Effect::Above(above) => packet.bytes.min(FULL_PACKET) > above,
                Effect::Cut | Effect::Reset | Effect::NoRoute | Effect::Flows { .. } | Effect::Netem(_) => true,
            }
    }

    /// Whether it drops every packet between its hosts.
    pub(super) fn is_plain_cut(&self) -> bool {
        self.effect == Effect::Cut && self.ports.is_all()
    }

    /// The directed pairs it holds for, each once, as `from * hosts + to`.
    pub(super) fn pairs(&self, hosts: usize) -> Vec<usize> {
        let mut pairs = Vec::with_capacity(self.from.len() * self.to.len());
        for from in &self.from {
            for to in self.to.iter().filter(|to| *to != from) {
                pairs.push(usize::from(from.0) * hosts + usize::from(to.0));
            }
        }
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }
}
