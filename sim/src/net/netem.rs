//! One packet's fate under netem's vocabulary, in integers, with netem's order of decisions and its correlated draws.
//!
//! The order is that of `netem_enqueue` in the kernel's `sch_netem.c`: duplicate, loss, corrupt, limit, then the way of the
//! copy, then reorder or delay, then rate, then slots. A correlated draw mixes the last answer into the next word, so correlation changes the rate of loss
//! (`loss 10% 25%` loses 2 %) as it does in the kernel.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use models::random::Random;
use models::time::{Instant, Span};

/// A probability in parts per million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ppm(pub u32);

impl Ppm {
    /// Never.
    pub const NEVER: Self = Self(0);
    /// Always.
    pub const ALWAYS: Self = Self(1_000_000);

    /// The 32-bit threshold below which a draw means yes. [`Ppm::ALWAYS`] and above is every draw.
    pub(super) fn threshold(self) -> u64 {
        (u64::from(self.0.min(1_000_000)) << 32) / 1_000_000
    }
}

/// A probability, and how strongly each draw depends on the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Chance {
    /// How probable.
    pub probability: Ppm,
    /// How strongly correlated with the draw before.
    pub correlation: Ppm,
}

/// How jitter is spread around the delay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Distribution {
    /// Delay plus or minus jitter, all equally likely.
    #[default]
    Uniform,
    /// Jitter is the standard deviation.
    Normal,
    /// Many packets a little early, a few very late; jitter is the standard deviation. The shape parameter is 3.
    Pareto,
    /// A quarter of the normal and three quarters of the Pareto deviation, as iproute2 makes its table.
    ParetoNormal,
}

/// How packets are lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Loss {
    /// None is.
    #[default]
    None,
    /// `loss random`.
    Random(Chance),
    /// `loss gemodel`: a good and a bad state.
    GilbertElliott {
        /// From good to bad.
        p: Ppm,
        /// From bad to good.
        r: Ppm,
        /// Loss in the bad state (`1-h`).
        bad: Ppm,
        /// Loss in the good state (`1-k`).
        good: Ppm,
    },
    /// `loss state`: the 4-state Markov chain. State 1 is a good gap, 2 good in a burst, 3 lost in a burst, 4 lost alone.
    FourState {
        /// From 1 to 3.
        p13: Ppm,
        /// From 3 to 1.
        p31: Ppm,
        /// From 3 to 2.
        p32: Ppm,
        /// From 2 to 3.
        p23: Ppm,
        /// From 1 to 4.
        p14: Ppm,
    },
}

/// What one netem does to the packets that pass it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Netem {
    /// Added to every packet that is not reordered.
    pub delay: Span,
    /// Spread of the delay. It reorders packets, as it does in the kernel.
    pub jitter: Span,
    /// How strongly a packet's jitter depends on the one before.
    pub delay_correlation: Ppm,
    /// The shape of the jitter.
    pub distribution: Distribution,
    /// How packets are lost.
    pub loss: Loss,
    /// How many come twice.
    pub duplicate: Chance,
    /// How many arrive damaged. Checksums catch them, so they are lost.
    pub corrupt: Chance,
    /// How many are sent at once, overtaking those that are delayed.
    pub reorder: Chance,
    /// Only every `gap`-th packet may be reordered; 0 and 1 mean any.
    pub gap: u32,
    /// Bytes per second that leave; 0 is no bound. With a rate packets keep their order, whatever the jitter.
    pub rate: u64,
    /// Bytes that each packet has more on the line, or fewer.
    pub overhead: i32,
    /// Bytes of the line's cells: packets take whole ones. 0 is no cells.
    pub cell: u32,
    /// Whether jitter leaves packets in their order. On a host this is a rate that no packet notices.
    pub keep_order: bool,
    /// Packets leave only when a slot is open.
    pub slot: Option<Slot>,
    /// Packets that may wait inside; 0 is no bound. The kernel's default is 1,000.
    pub limit: u32,
}

/// Turns on a shared medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    /// The least time until the next slot.
    pub min: Span,
    /// The longest.
    pub max: Span,
    /// Packets of a slot; 0 is no bound.
    pub packets: u32,
    /// Bytes of a slot; 0 is no bound.
    pub bytes: u32,
}

/// When copies of a packet leave a netem: up to two.
pub(crate) type Departures = [Option<Instant>; 2];

impl Netem {
    /// How long a packet keeps the line busy (`packet_time_ns`).
    fn line_time(&self, bytes: u32) -> Span {
        if self.rate == 0 {
            return Span::ZERO;
        }
        let bytes = u64::from(bytes).saturating_add_signed(i64::from(self.overhead));
        let cell = u64::from(self.cell);
        let bytes = if cell > 0 { bytes.div_ceil(cell) * cell } else { bytes };
        Span::from_secs(1).scaled(bytes, self.rate)
    }
}

/// What one netem remembers from packet to packet.
#[derive(Clone, Debug, Default)]
pub(crate) struct NetemState {
    last_delay: u32,
    last_loss: u32,
    last_duplicate: u32,
    last_corrupt: u32,
    last_reorder: u32,
    /// Of the Markov chain, 0 is the first state.
    chain: u8,
    since_reordered: u32,
    last_departure: Instant,
    slot_at: Instant,
    slot_packets: u32,
    slot_bytes: u32,
    waiting: BinaryHeap<Reverse<Instant>>,
}

impl NetemState {
    /// Passes one packet of `bytes` that arrives at `now`.
    pub(crate) fn pass(&mut self, netem: &Netem, random: &mut Random, now: Instant, bytes: u32) -> Departures {
        let doubled = hit(netem.duplicate, &mut self.last_duplicate, random);
        let lost = self.loses(netem.loss, random);
        // A packet that is both arrives once.
        if lost && !doubled {
            return [None, None];
        }
        let damaged = hit(netem.corrupt, &mut self.last_corrupt, random);
        if self.is_full(netem, now) {
            return [None, None];
        }
        // The copy enters anew at the root, with draws of its own, and is not doubled again.
        let copy = if doubled && !lost { self.pass_copy(netem, random, now, bytes) } else { None };
        let first = self.depart(netem, random, now, bytes);
        if damaged { [copy, None] } else { [Some(first), copy] }
    }

    fn pass_copy(&mut self, netem: &Netem, random: &mut Random, now: Instant, bytes: u32) -> Option<Instant> {
        if self.loses(netem.loss, random) {
            return None;
        }
        let damaged = hit(netem.corrupt, &mut self.last_corrupt, random);
        if self.is_full(netem, now) {
            return None;
        }
        let leaves = self.depart(netem, random, now, bytes);
        // The receiver throws it away; until then it has had its place in the queue.
        (!damaged).then_some(leaves)
    }

    fn is_full(&mut self, netem: &Netem, now: Instant) -> bool {
        if netem.limit == 0 {
            return false;
        }
        while self.waiting.peek().is_some_and(|Reverse(at)| *at <= now) {
            self.waiting.pop();
        }
        self.waiting.len() >= netem.limit as usize
    }

    fn depart(&mut self, netem: &Netem, random: &mut Random, now: Instant, bytes: u32) -> Instant {
        let may_overtake = self.since_reordered + 1 >= netem.gap.max(1);
        let mut at = if may_overtake && hit(netem.reorder, &mut self.last_reorder, random) {
            self.since_reordered = 0;
            now
        } else {
            self.since_reordered = self.since_reordered.saturating_add(1);
            let mut at = now + self.delay(netem, random);
            if netem.rate > 0 || netem.keep_order {
                at = at.max(self.last_departure) + netem.line_time(bytes);
                self.last_departure = at;
            }
            at
        };
        if let Some(slot) = netem.slot {
            at = self.in_slot(slot, random, (now, at), bytes);
        }
        if netem.limit > 0 {
            self.waiting.push(Reverse(at));
        }
        at
    }

    /// When a packet that is due at `at` leaves: with the slot that is being waited for, or with a new one.
    fn in_slot(&mut self, slot: Slot, random: &mut Random, (now, at): (Instant, Instant), bytes: u32) -> Instant {
        if self.slot_at < at {
            self.next_slot(slot, random, now);
        }
        let leaves = self.slot_at.max(at);
        self.slot_packets = self.slot_packets.saturating_sub(1);
        self.slot_bytes = self.slot_bytes.saturating_sub(bytes);
        if self.slot_packets == 0 || self.slot_bytes == 0 {
            self.next_slot(slot, random, leaves);
        }
        leaves
    }

    fn next_slot(&mut self, slot: Slot, random: &mut Random, now: Instant) {
        let unbounded = |bound: u32| if bound == 0 { u32::MAX } else { bound };
        let wait = if slot.max > slot.min { random.span(slot.min, slot.max) } else { slot.min };
        self.slot_at = now + wait;
        self.slot_packets = unbounded(slot.packets);
        self.slot_bytes = unbounded(slot.bytes);
    }

    fn delay(&mut self, netem: &Netem, random: &mut Random) -> Span {
        if netem.jitter == Span::ZERO {
            return netem.delay;
        }
        let draw = correlated(netem.delay_correlation, &mut self.last_delay, random);
        let (delay, jitter) = (i128::from(netem.delay.as_ns()), i128::from(netem.jitter.as_ns()));
        let off = match netem.distribution {
            Distribution::Uniform => ((2 * jitter * i128::from(draw)) >> 32) - jitter,
            Distribution::Normal => jitter * normal(draw >> 24) / NORMAL_ONE,
            Distribution::Pareto => jitter * pareto(draw) / NORMAL_ONE,
            Distribution::ParetoNormal => jitter * (normal(draw >> 24) + 3 * pareto(draw << 8)) / (4 * NORMAL_ONE),
        };
        Span::from_ns(u64::try_from((delay + off).max(0)).unwrap_or(u64::MAX))
    }

    fn loses(&mut self, loss: Loss, random: &mut Random) -> bool {
        match loss {
            Loss::None => false,
            Loss::Random(chance) => hit(chance, &mut self.last_loss, random),
            Loss::GilbertElliott { p, r, bad, good } => {
                let leave = if self.chain == 0 { p } else { r };
                let lose = if self.chain == 0 { good } else { bad };
                if draw(random) < leave.threshold() {
                    self.chain ^= 1;
                }
                draw(random) < lose.threshold()
            }
            Loss::FourState { p13, p31, p32, p23, p14 } => {
                let word = draw(random);
                let pick = |first: Ppm, then: Ppm, to_first, to_then, stay| {
                    if word < first.threshold() {
                        to_first
                    } else if word < first.threshold() + then.threshold() {
                        to_then
                    } else {
                        stay
                    }
                };
                self.chain = match self.chain {
                    0 => pick(p14, p13, 3, 2, 0),
                    1 => pick(p23, Ppm::NEVER, 2, 2, 1),
                    2 => pick(p32, p31, 1, 0, 2),
                    _ => 0,
                };
                self.chain >= 2
            }
        }
    }
}

fn draw(random: &mut Random) -> u64 {
    random.word() >> 32
}

fn hit(chance: Chance, last: &mut u32, random: &mut Random) -> bool {
    chance.probability > Ppm::NEVER
        && u64::from(correlated(chance.correlation, last, random)) < chance.probability.threshold()
}

/// A draw that leans on the last one (`get_crandom`).
fn correlated(correlation: Ppm, last: &mut u32, random: &mut Random) -> u32 {
    let fresh = draw(random);
    if correlation == Ppm::NEVER {
        return fresh as u32;
    }
    let rho = correlation.threshold();
    let answer = (u128::from(fresh) * u128::from((1u64 << 32) - rho) + u128::from(*last) * u128::from(rho)) >> 32;
    *last = answer as u32;
    *last
}

fn normal(slice: u32) -> i128 {
    i128::from(NORMAL[(slice & 0xff) as usize])
}

/// The deviation of a Pareto distribution of shape 3 from its mean 3/2, in units of its standard deviation sqrt(3)/2 over
/// [`NORMAL_ONE`]: the cube root of 1/u, for u in 4,096 equal slices by the upper bits of `draw`.
fn pareto(draw: u32) -> i128 {
    let slice = u128::from(draw >> 20);
    // 8,192 / 2 slice + 1 is 1/u; three times 16 bits more give the root 16 binary places.
    let cube = (8_192u128 << 48) / (2 * slice + 1);
    let mut root = 0u128;
    for bit in (0..24).rev() {
        let candidate = root | 1 << bit;
        if candidate * candidate * candidate <= cube {
            root = candidate;
        }
    }
    let deviation = root as i128 - (3 << 15);
    deviation * NORMAL_ONE * 10_000 / (8_660 << 16)
}

const NORMAL_ONE: i128 = 8_192;

/// Mid-points of 256 equally likely slices of the normal distribution; its standard deviation is [`NORMAL_ONE`].
#[rustfmt::skip]
const NORMAL: [i16; 256] = [
    -23639, -20648, -19130, -18076, -17257, -16581, -16002, -15493, -15038, -14625, -14246, -13895, -13569, -13262, -12973, -12699,
    -12439, -12191, -11953, -11725, -11506, -11295, -11091, -10893, -10702, -10517, -10336, -10161, -9990, -9823, -9661, -9502,
    -9346, -9194, -9045, -8899, -8756, -8615, -8477, -8341, -8207, -8076, -7946, -7819, -7693, -7570, -7448, -7327,
    -7208, -7091, -6975, -6860, -6747, -6635, -6524, -6415, -6306, -6199, -6093, -5987, -5883, -5780, -5677, -5576,
    -5475, -5375, -5276, -5178, -5080, -4983, -4887, -4792, -4697, -4603, -4509, -4416, -4324, -4232, -4140, -4049,
    -3959, -3869, -3780, -3691, -3602, -3514, -3426, -3339, -3252, -3165, -3079, -2993, -2907, -2822, -2737, -2653,
    -2568, -2484, -2400, -2317, -2233, -2150, -2067, -1984, -1902, -1820, -1737, -1656, -1574, -1492, -1411, -1329,
    -1248, -1167, -1086, -1005, -924, -844, -763, -683, -602, -522, -441, -361, -281, -201, -120, -40,
    40, 120, 201, 281, 361, 441, 522, 602, 683, 763, 844, 924, 1005, 1086, 1167, 1248,
    1329, 1411, 1492, 1574, 1656, 1737, 1820, 1902, 1984, 2067, 2150, 2233, 2317, 2400, 2484, 2568,
    2653, 2737, 2822, 2907, 2993, 3079, 3165, 3252, 3339, 3426, 3514, 3602, 3691, 3780, 3869, 3959,
    4049, 4140, 4232, 4324, 4416, 4509, 4603, 4697, 4792, 4887, 4983, 5080, 5178, 5276, 5375, 5475,
    5576, 5677, 5780, 5883, 5987, 6093, 6199, 6306, 6415, 6524, 6635, 6747, 6860, 6975, 7091, 7208,
    7327, 7448, 7570, 7693, 7819, 7946, 8076, 8207, 8341, 8477, 8615, 8756, 8899, 9045, 9194, 9346,
    9502, 9661, 9823, 9990, 10161, 10336, 10517, 10702, 10893, 11091, 11295, 11506, 11725, 11953, 12191, 12439,
    12699, 12973, 13262, 13569, 13895, 14246, 14625, 15038, 15493, 16002, 16581, 17257, 18076, 19130, 20648, 23639,
];

#[cfg(test)]
mod tests;
