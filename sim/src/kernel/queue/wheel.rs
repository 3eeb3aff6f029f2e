//! A hierarchical timing wheel (Varghese and Lauck 1987). Time is cut into ticks; keys of the present tick are sorted, those of
//! later ones wait in the slots of coarser and coarser levels, unsorted, and move down as their time comes near. Most
//! timers are cancelled before they ever move.

use models::time::Instant;

use super::Key;

/// A tick lasts 2^20 ns, about a millisecond: longer, and more keys are sorted than need be; shorter, and most ticks are empty.
const TICK_BITS: u32 = 20;
/// Each level has 64 slots, as many as a word has bits.
const LEVEL_BITS: u32 = 6;
const SLOTS: usize = 1 << LEVEL_BITS;
/// Enough for every moment that there is.
const LEVELS: usize = (u64::BITS - TICK_BITS).div_ceil(LEVEL_BITS) as usize;
/// Instead of a slot: the key is among the sorted ones.
const NEAR: u32 = u32::MAX;
/// Instead of a link: there is none.
const END: u32 = u32::MAX;

/// A key in a slot's list.
#[derive(Clone, Copy, Debug)]
struct Link {
    at: Instant,
    sequence: u64,
    next: u32,
    previous: u32,
    /// Level and slot in one number, or [`NEAR`].
    home: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Wheel {
    /// The present tick. Keys of this one and of earlier ones are in `near`.
    tick: u64,
    /// In order, the next one at the end.
    near: Vec<Key>,
    /// By slot of the slab.
    links: Vec<Link>,
    /// The first link of each slot.
    heads: Vec<u32>,
    /// Which slots of each level hold something. They all lie ahead of the present tick.
    occupied: [u64; LEVELS],
}

impl Default for Wheel {
    fn default() -> Self {
        let heads = vec![END; LEVELS * SLOTS];
        Self { tick: 0, near: Vec::new(), links: Vec::new(), heads, occupied: [0; LEVELS] }
    }
}

impl Wheel {
    pub(super) fn push(&mut self, key: Key) {
        let slot = key.slot as usize;
        if slot >= self.links.len() {
            let unused = Link { at: key.at, sequence: 0, next: END, previous: END, home: NEAR };
            self.links.resize(slot + 1, unused);
        }
        let tick = key.at.as_ns() >> TICK_BITS;
        if tick <= self.tick {
            let place = self.near.partition_point(|other| *other > key);
            self.near.insert(place, key);
            self.links[slot] = Link { at: key.at, sequence: key.sequence, next: END, previous: END, home: NEAR };
        } else {
            self.link(key, tick);
        }
    }

    /// Puts a key of a later tick into its slot: that of the highest digit in which the two ticks differ.
    fn link(&mut self, key: Key, tick: u64) {
        let level = (tick ^ self.tick).ilog2() / LEVEL_BITS;
        let slot = (tick >> (level * LEVEL_BITS)) as usize % SLOTS;
        let home = level as usize * SLOTS + slot;
        let next = std::mem::replace(&mut self.heads[home], key.slot);
        if let Some(next) = self.links.get_mut(next as usize) {
            next.previous = key.slot;
        }
        self.links[key.slot as usize] =
            Link { at: key.at, sequence: key.sequence, next, previous: END, home: home as u32 };
        self.occupied[level as usize] |= 1 << slot;
    }

    pub(super) fn cancel(&mut self, slot: u32) {
        let Link { at, sequence, next, previous, home } = self.links[slot as usize];
        if home == NEAR {
            let key = Key { at, sequence, slot };
            let place = self.near.partition_point(|other| *other > key);
            assert_eq!(self.near.get(place), Some(&key), "a key without a home is among the sorted ones");
            self.near.remove(place);
            return;
        }
        if let Some(next) = self.links.get_mut(next as usize) {
            next.previous = previous;
        }
        match self.links.get_mut(previous as usize) {
            Some(previous) => previous.next = next,
            None => self.heads[home as usize] = next,
        }
        if self.heads[home as usize] == END {
            self.occupied[home as usize / SLOTS] &= !(1 << (home as usize % SLOTS));
        }
    }

    pub(super) fn pop_until(&mut self, limit: Instant) -> Option<Key> {
        while self.near.is_empty() {
            if !self.turn(limit.as_ns() >> TICK_BITS) {
                return None;
            }
        }
        if self.near.last().is_none_or(|key| key.at > limit) {
            return None;
        }
        self.near.pop()
    }

    /// Turns to the next slot that holds something, unless it begins after the tick `limit`.
    fn turn(&mut self, limit: u64) -> bool {
        let Some(level) = self.occupied.iter().position(|slots| *slots != 0) else { return false };
        let slot = self.occupied[level].trailing_zeros() as usize;
        let (shift, above) = (level as u32 * LEVEL_BITS, (level as u32 + 1) * LEVEL_BITS);
        let before = self.tick.checked_shr(above).and_then(|digits| digits.checked_shl(above)).unwrap_or(0);
        let tick = before | (slot as u64) << shift;
        if tick > limit {
            return false;
        }
        self.tick = tick;
        self.occupied[level] &= !(1 << slot);
        let mut next = std::mem::replace(&mut self.heads[level * SLOTS + slot], END);
        while let Some(link) = self.links.get_mut(next as usize) {
            let key = Key { at: link.at, sequence: link.sequence, slot: next };
            next = link.next;
            let tick = key.at.as_ns() >> TICK_BITS;
            if tick == self.tick {
                link.home = NEAR;
                self.near.push(key);
            } else {
                self.link(key, tick);
            }
        }
        self.near.sort_unstable_by(|a, b| b.cmp(a));
        true
    }

    pub(super) fn next_at(&self) -> Option<Instant> {
        let in_slot = |home: usize| {
            let follow = |slot: &u32| self.links.get(*slot as usize).map(|link| link.next);
            let slots = std::iter::successors(Some(self.heads[home]), follow);
            slots.filter_map(|slot| self.links.get(slot as usize)).map(|link| link.at).min()
        };
        self.near.last().map(|key| key.at).or_else(|| {
            let level = self.occupied.iter().position(|slots| *slots != 0)?;
            in_slot(level * SLOTS + self.occupied[level].trailing_zeros() as usize)
        })
    }
}
