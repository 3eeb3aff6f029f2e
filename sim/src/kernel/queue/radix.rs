//! A radix heap (Ahuja, Mehlhorn, Orlin, Tarjan 1990): since time never runs backwards, a key lies in the bucket of the highest
//! bit in which its time differs from the last one taken out. Keys of one moment are in one bucket, in the order of insertion.

use std::collections::VecDeque;

use models::time::Instant;

use super::Key;
use super::lazy::Keys;

const BUCKETS: usize = u64::BITS as usize;

#[derive(Clone, Debug)]
pub(super) struct Radix {
    len: usize,
    /// Not later than any key inside.
    last: u64,
    /// Keys of the moment `last`.
    due: VecDeque<Key>,
    /// By the highest bit that differs from `last`.
    buckets: Vec<Vec<Key>>,
    /// Which buckets hold something.
    occupied: u64,
}

impl Default for Radix {
    fn default() -> Self {
        Self { len: 0, last: 0, due: VecDeque::new(), buckets: vec![Vec::new(); BUCKETS], occupied: 0 }
    }
}

impl Radix {
    fn place(&mut self, key: Key) {
        match (key.at.as_ns() ^ self.last).checked_ilog2() {
            None => self.due.push_back(key),
            Some(bit) => {
                self.buckets[bit as usize].push(key);
                self.occupied |= 1 << bit;
            }
        }
    }
}

impl Keys for Radix {
    fn len(&self) -> usize {
        self.len
    }

    fn push(&mut self, key: Key) {
        assert!(key.at.as_ns() >= self.last, "an event is put before one that has been taken out");
        self.len += 1;
        self.place(key);
    }

    fn pop_until(&mut self, limit: Instant) -> Option<Key> {
        if self.due.is_empty() {
            let first = self.occupied.trailing_zeros() as usize;
            let next = self.buckets.get(first)?.iter().map(|key| key.at).min().filter(|at| *at <= limit)?;
            self.last = next.as_ns();
            self.occupied &= !(1 << first);
            let mut keys = std::mem::take(&mut self.buckets[first]);
            keys.drain(..).for_each(|key| self.place(key));
            self.buckets[first] = keys;
        }
        if self.last > limit.as_ns() {
            return None;
        }
        self.len -= 1;
        self.due.pop_front()
    }

    fn retain(&mut self, keep: impl Fn(Key) -> bool) {
        self.due.retain(|key| keep(*key));
        self.len = self.due.len();
        for (bit, bucket) in self.buckets.iter_mut().enumerate() {
            bucket.retain(|key| keep(*key));
            self.len += bucket.len();
            if bucket.is_empty() {
                self.occupied &= !(1 << bit);
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = Key> {
        self.due.iter().chain(self.buckets.iter().flatten()).copied()
    }
}
