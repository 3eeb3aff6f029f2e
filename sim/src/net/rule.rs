//! Rules that disturb the packets between hosts, in one direction.

use models::id::HostId;

use super::netem::Netem;

/// Names a rule in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub(crate) u32);

/// What a rule does to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Drops it silently.
    Cut,
    /// Treats it as netem would.
    Netem(Netem),
}

/// A rule for packets from any host of one set to any of another. Packets that stay on one host are not touched.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Who sends.
    pub from: Vec<HostId>,
    /// Who receives.
    pub to: Vec<HostId>,
    /// What happens.
    pub effect: Effect,
}

impl Rule {
    /// A silent cut in one direction.
    pub fn cut(from: Vec<HostId>, to: Vec<HostId>) -> Self {
        Self { from, to, effect: Effect::Cut }
    }

    /// A disturbance in one direction.
    pub fn netem(from: Vec<HostId>, to: Vec<HostId>, netem: Netem) -> Self {
        Self { from, to, effect: Effect::Netem(netem) }
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
