//! The fate of packets on one direction of a path, in netem's words.

use models::time::Span;
use serde::{Deserialize, Serialize};

use crate::units::{Share, show_rate, show_span};

/// What one direction of a path does to packets. All zero is a perfect wire.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Netem {
    /// Added to each packet.
    pub delay: Span,
    /// Half the range of a uniform delay, the standard deviation of the others.
    pub jitter: Span,
    /// How much a packet's delay follows that of the packet before.
    pub correlation: Share,
    /// The shape of the jitter.
    pub distribution: Distribution,
    /// Packets that never arrive.
    pub loss: Loss,
    /// Packets that arrive twice.
    pub duplicate: Correlated,
    /// Packets with a flipped bit: checksums turn them into losses.
    pub corrupt: Correlated,
    /// Packets that overtake; needs a delay.
    pub reorder: Correlated,
    /// Every how many packets one may overtake; 0 and 1 mean each.
    pub gap: u32,
    /// Bits a second; `None` is unlimited.
    pub rate: Option<u64>,
    /// Bytes that the line adds to each packet, or takes off.
    pub overhead: i32,
    /// Bytes of a cell: packets take whole cells of the line. 0 is no cells.
    pub cell: u32,
    /// Packets held before new ones are dropped; `None` is unlimited.
    pub limit: Option<u32>,
    /// Jitter does not make packets overtake one another.
    pub keep_order: bool,
    /// Packets leave only in slots.
    pub slot: Option<Slot>,
}

/// When packets may leave: slots as of a medium that is shared in turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The least time from one slot to the next.
    pub min: Span,
    /// The longest.
    pub max: Span,
    /// Packets of a slot; 0 is no bound.
    pub packets: u32,
    /// Bytes of a slot; 0 is no bound.
    pub bytes: u32,
}

/// The shape of jitter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Distribution {
    /// Evenly within `delay - jitter .. delay + jitter`, as netem without a table.
    #[default]
    Uniform,
    /// The table `normal`.
    Normal,
    /// The table `pareto`.
    Pareto,
    /// The table `paretonormal`.
    ParetoNormal,
}

impl Distribution {
    /// The words for them in scenario files.
    pub const WORDS: &[(&str, Self)] = &[
        ("uniform", Self::Uniform),
        ("normal", Self::Normal),
        ("pareto", Self::Pareto),
        ("paretonormal", Self::ParetoNormal),
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, distribution)| *distribution == self).map_or("", |(word, _)| word)
    }
}

/// A share of packets, each draw following the one before to some degree. Correlation changes the effective share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correlated {
    /// The nominal share.
    pub share: Share,
    /// The weight of the previous draw.
    pub correlation: Share,
}

impl Correlated {
    /// Independent draws.
    pub const fn independent(share: Share) -> Self {
        Self { share, correlation: Share::NONE }
    }
}

/// How packets are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Loss {
    /// `loss random`.
    Random(Correlated),
    /// `loss state`: the 4-state Markov chain.
    State {
        /// From delivered to a burst of losses.
        p13: Share,
        /// From a burst back.
        p31: Share,
        /// From lost in a burst to delivered in a burst.
        p32: Share,
        /// From delivered in a burst to lost.
        p23: Share,
        /// From delivered to a single loss.
        p14: Share,
    },
    /// `loss gemodel`: Gilbert-Elliott.
    GilbertElliott {
        /// Good to bad.
        p: Share,
        /// Bad to good.
        r: Share,
        /// Loss in the bad state.
        one_minus_h: Share,
        /// Loss in the good state.
        one_minus_k: Share,
    },
}

impl Default for Loss {
    fn default() -> Self {
        Self::Random(Correlated::default())
    }
}

impl Netem {
    /// A wire with this one-way delay.
    pub fn delay(delay: Span) -> Self {
        Self { delay, ..Self::default() }
    }

    /// A wire that loses this share of packets, independently.
    pub fn loss(share: Share) -> Self {
        Self { loss: Loss::Random(Correlated::independent(share)), ..Self::default() }
    }

    /// What it does, for people, such as `loss 5%, delay +80ms`.
    pub fn text(&self) -> String {
        let mut parts = Vec::new();
        if self.delay != Span::ZERO || self.jitter != Span::ZERO {
            let jitter =
                if self.jitter == Span::ZERO { String::new() } else { format!(" jitter {}", show_span(self.jitter)) };
            parts.push(format!("delay +{}{jitter}", show_span(self.delay)));
        }
        match self.loss {
            Loss::Random(Correlated { share: Share::NONE, .. }) => {}
            Loss::Random(loss) => parts.push(format!("loss {}", loss.share)),
            Loss::State { .. } => parts.push("loss in bursts (4 states)".to_owned()),
            Loss::GilbertElliott { .. } => parts.push("loss in bursts (Gilbert-Elliott)".to_owned()),
        }
        for (name, value) in [("duplicate", self.duplicate), ("corrupt", self.corrupt), ("reorder", self.reorder)] {
            if value.share != Share::NONE {
                parts.push(format!("{name} {}", value.share));
            }
        }
        parts.extend(self.rate.map(|rate| format!("rate {}", show_rate(rate))));
        parts.extend(self.limit.map(|limit| format!("limit {limit} packets")));
        if let Some(Slot { min, max, .. }) = self.slot {
            let max = if max == min { String::new() } else { format!("..{}", show_span(max)) };
            parts.push(format!("slots every {}{max}", show_span(min)));
        }
        if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
    }
}
