//! Chance: ChaCha8 streams keyed by (seed, purpose, entity), and draws from them in integer arithmetic.
//!
//! `rand_chacha` promises the same words for the same key on every platform and version; samplers of `rand` do not, and
//! `ln`/`exp` differ between platforms. So words come from the library and everything made of them is ours.

use std::hash::Hasher;

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use crate::fingerprint::Fingerprint;
use crate::time::Span;

/// What a stream is for. Streams of different purposes never influence each other, so that removing a fault or adding a
/// process does not reshuffle the rest of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Draws made by a process; the entity is its name.
    Process = 1,
    /// Fates of packets on one direction between two hosts; the entity is the pair of their names.
    Link = 2,
    /// Latencies and losses of a host's disk; the entity is the host's name.
    Disk = 3,
    /// The schedule drawn from the seed; the entity numbers the fault.
    Schedule = 4,
    /// The clock offset and drift of a host; the entity is the host.
    Clock = 5,
    /// What the clients of the workload do; the entity is the client.
    Workload = 6,
    /// Start-up times of processes; the entity is the process's name.
    Startup = 7,
    /// When monitors scrape; the entity is the pair of the monitor's host and the process, by name.
    Monitor = 8,
    /// What a world of swarm testing is like; the entity numbers its aspects.
    World = 9,
    /// How guided search changes schedules; the entity numbers the case.
    Search = 10,
    /// Which simulated runs stand for measured ones where models are judged against themselves; the entity numbers the case.
    Resampling = 11,
}

/// The number of an entity that has a name. Names stay when others come and go, positions do not.
pub fn named(name: &str) -> u64 {
    let mut fingerprint = Fingerprint::default();
    fingerprint.write(name.as_bytes());
    fingerprint.value()
}

/// The number of an ordered group of entities.
pub fn together(entities: &[u64]) -> u64 {
    let mut fingerprint = Fingerprint::default();
    entities.iter().for_each(|entity| fingerprint.fold(*entity));
    fingerprint.value()
}

/// A stream of chance.
#[derive(Clone, Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// The stream of `purpose` and `entity` in the run of `seed`.
    pub fn new(seed: u64, purpose: Purpose, entity: u64) -> Self {
        let mut key = [0u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
        key[16..24].copy_from_slice(&entity.to_le_bytes());
        key[24..].copy_from_slice(b"faultlin");
        Self(ChaCha8Rng::from_seed(key))
    }

    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..bound`, uniform to within 2^-64 (multiply-shift).
    ///
    /// # Panics
    /// If `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "an empty range has no element to draw");
        ((u128::from(self.word()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `low..=high`.
    ///
    /// # Panics
    /// If `low > high`.
    pub fn within(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "the range {low}..={high} is empty");
        match (high - low).checked_add(1) {
            Some(width) => low + self.below(width),
            None => self.word(),
        }
    }

    /// A span in `low..=high`.
    pub fn span(&mut self, low: Span, high: Span) -> Span {
        Span::from_ns(self.within(low.as_ns(), high.as_ns()))
    }

    /// How long a thread that is ready to run waits for a core: at most `longest`, mostly far less (the product of five
    /// uniform shares of it, a thirty-second in the mean and a hundredth in the median).
    pub fn wait(&mut self, longest: Span) -> Span {
        if longest == Span::ZERO {
            return longest;
        }
        let mut share = || self.word() >> 32;
        let shares = [share(), share(), share(), share(), share()];
        shares.into_iter().fold(longest, |left, share| left.scaled(share, 1 << 32))
    }

    /// The mean of [`Random::wait`].
    pub fn mean_wait(longest: Span) -> Span {
        longest / 32
    }

    /// True with probability `numerator / denominator`.
    pub fn chance(&mut self, numerator: u64, denominator: u64) -> bool {
        self.below(denominator) < numerator
    }

    /// An index of a non-empty slice of weights, drawn by weight.
    ///
    /// # Panics
    /// If the weights add up to zero.
    pub fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut left = self.below(weights.iter().sum());
        for (index, weight) in weights.iter().enumerate() {
            if left < *weight {
                return index;
            }
            left -= weight;
        }
        unreachable!("the draw is below the sum of the weights")
    }

    /// An element of a non-empty slice.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// Fisher-Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }

    /// A number in `low..=high` whose logarithm is uniform, to within the table's step (1/64 of an octave).
    ///
    /// # Panics
    /// If `low` is zero or greater than `high`.
    pub fn log_uniform(&mut self, low: u64, high: u64) -> u64 {
        assert!(0 < low && low <= high, "a log-uniform range needs 0 < low <= high");
        let position = self.within(log2_fixed(low), log2_fixed(high));
        exp2_fixed(position).clamp(low, high)
    }
}

/// log2(x) in 1/2^16 octaves, by repeated squaring in integers.
fn log2_fixed(x: u64) -> u64 {
    let octave = 63 - u64::from(x.leading_zeros());
    let mut mantissa = (u128::from(x) << 63) >> octave;
    let mut fraction = 0;
    for bit in (0..16).rev() {
        mantissa = (mantissa * mantissa) >> 63;
        if mantissa >= 1 << 64 {
            mantissa >>= 1;
            fraction |= 1 << bit;
        }
    }
    (octave << 16) | fraction
}

/// The inverse of [`log2_fixed`], rounded down: a product of the powers 2^(1/2), 2^(1/4) ... that the fraction names.
fn exp2_fixed(position: u64) -> u64 {
    let octave = position >> 16;
    let mut value: u128 = 1 << 63;
    let mut factor: u128 = 2 << 62;
    for bit in (0..16).rev() {
        // `factor` goes 2^(1/2), 2^(1/4), ...: each is the square root of the one before.
        factor = (factor << 62).isqrt();
        if position >> bit & 1 == 1 {
            value = (value * factor) >> 62;
        }
    }
    (value >> (63 - octave.min(63))) as u64
}

#[test]
fn log_uniform_draws_cover_the_range_evenly_by_octave() {
    let mut random = Random::new(7, Purpose::Schedule, 0);
    let mut octaves = [0u32; 10];
    for _ in 0..10_000 {
        let draw = random.log_uniform(1_000, 1_023_999);
        assert!((1_000..1_024_000).contains(&draw));
        octaves[(draw / 1_000).ilog2() as usize] += 1;
    }
    assert!(octaves.iter().all(|&n| (850..1150).contains(&n)), "{octaves:?}");
}

#[test]
fn streams_of_different_keys_are_independent_and_stable() {
    let word = |seed, purpose, entity| Random::new(seed, purpose, entity).word();
    assert_eq!(word(7, Purpose::Process, 0), word(7, Purpose::Process, 0));
    assert_ne!(word(7, Purpose::Process, 0), word(7, Purpose::Process, 1));
    assert_ne!(word(7, Purpose::Process, 0), word(7, Purpose::Link, 0));
    assert_ne!(word(7, Purpose::Process, 0), word(8, Purpose::Process, 0));
}
