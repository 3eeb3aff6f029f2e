//! The fate of packets on one direction of a path, in netem's words.

use models::random::{Purpose, Random};
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

    /// The share of draws that are below the threshold in truth, to about a hundredth of a percent: each is an average of a fresh
    /// word and the one before (`get_crandom`), so that they crowd in the middle and seldom reach a threshold far from 50 %.
    pub fn effective(self) -> Share {
        const DRAWS: u64 = 1 << 18;
        if self.correlation == Share::NONE {
            return self.share;
        }
        let part = |share: Share| (u64::from(share.ppm()) << 32) / 1_000_000;
        let (threshold, rho) = (part(self.share), part(self.correlation));
        let mut random = Random::new(0, Purpose::Link, 0);
        let mut last = 0;
        let hits = (0..DRAWS).filter(|_| {
            let fresh = u128::from(random.word() >> 32);
            last = ((fresh * u128::from((1 << 32) - rho) + u128::from(last) * u128::from(rho)) >> 32) as u64;
            last < threshold
        });
        Share::from_ppm((hits.count() as u64 * 1_000_000 / DRAWS) as u32)
    }

    /// `10%`, or `10% (with correlation 25%: 1.8% in effect)`.
    fn text(self) -> String {
        if self.correlation == Share::NONE {
            return self.share.to_string();
        }
        let effective = Share::from_ppm((self.effective().ppm() + 500) / 1_000 * 1_000);
        format!("{} (with correlation {}: {effective} in effect)", self.share, self.correlation)
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

    /// How packets are doubled in effect. tc sends no correlation for it unless something else is correlated too: alone it has no
    /// effect on a host, nor here.
    pub fn duplicates(&self) -> Correlated {
        let loss = if let Loss::Random(loss) = self.loss { loss.correlation } else { Share::NONE };
        let others = [self.correlation, loss, self.corrupt.correlation, self.reorder.correlation];
        let sent = others.iter().any(|correlation| *correlation != Share::NONE);
        if sent { self.duplicate } else { Correlated::independent(self.duplicate.share) }
    }

    /// What it does, for people, such as `loss 5%, delay +80ms`.
    pub fn text(&self) -> String {
        let mut parts = Vec::new();
        if self.delay != Span::ZERO || self.jitter != Span::ZERO {
            let jitter =
                if self.jitter == Span::ZERO { String::new() } else { format!(" jitter {}", show_span(self.jitter)) };
            let order = if self.keep_order { " in order" } else { "" };
            parts.push(format!("delay +{}{jitter}{order}", show_span(self.delay)));
        }
        match self.loss {
            Loss::Random(Correlated { share: Share::NONE, .. }) => {}
            Loss::Random(loss) => parts.push(format!("loss {}", loss.text())),
            Loss::State { .. } => parts.push("loss in bursts (4 states)".to_owned()),
            Loss::GilbertElliott { .. } => parts.push("loss in bursts (Gilbert-Elliott)".to_owned()),
        }
        for (name, value) in [("duplicate", self.duplicates()), ("corrupt", self.corrupt), ("reorder", self.reorder)] {
            if value.share != Share::NONE {
                parts.push(format!("{name} {}", value.text()));
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

#[test]
fn a_correlated_share_says_what_it_is_in_effect() {
    let of = |share, correlation| {
        let ppm = |percent: u32| Share::from_ppm(percent * 10_000);
        Correlated { share: ppm(share), correlation: ppm(correlation) }.effective().ppm()
    };
    // What a model of the kernel's arithmetic found, and a real kernel.
    for (share, correlation, expected) in
        [(10, 0, 100_000..=100_000), (10, 25, 16_500..=19_000), (30, 25, 230_000..=237_000), (1, 25, 0..=50)]
    {
        let found = of(share, correlation);
        assert!(expected.contains(&found), "{share}% {correlation}%: {found}");
    }
    let loss = Correlated { share: Share::from_ppm(100_000), correlation: Share::from_ppm(250_000) };
    let text = Netem { loss: Loss::Random(loss), ..Netem::default() }.text();
    assert!(text.starts_with("loss 10% (with correlation 25%: 1.") && text.ends_with("% in effect)"), "{text}");
}
