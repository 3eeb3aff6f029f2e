//! Orders that cannot take a key out of their middle: cancelled ones stay until they come to the top, or are swept out.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use models::time::Instant;

use super::Key;

/// Below that many cancelled keys a sweep costs more than it saves.
pub(super) const SWEEP_MIN: usize = 256;

/// A priority queue of keys without removal.
pub(super) trait Keys {
    fn len(&self) -> usize;
    fn push(&mut self, key: Key);
    /// Takes the least key out if it is due at `limit`.
    fn pop_until(&mut self, limit: Instant) -> Option<Key>;
    fn retain(&mut self, keep: impl Fn(Key) -> bool);
    fn iter(&self) -> impl Iterator<Item = Key>;
}

/// Keys, some of which are of events that were cancelled.
#[derive(Clone, Debug, Default)]
pub(super) struct Lazy<K> {
    pub(super) keys: K,
    stale: usize,
}

impl<K: Keys> Lazy<K> {
    pub(super) fn push(&mut self, key: Key) {
        self.keys.push(key);
    }

    /// Some event inside was cancelled.
    pub(super) fn cancel(&mut self, is_live: impl Fn(Key) -> bool) {
        self.stale += 1;
        if self.stale > SWEEP_MIN && self.stale * 2 > self.keys.len() {
            self.keys.retain(is_live);
            self.stale = 0;
        }
    }

    pub(super) fn pop_until(&mut self, limit: Instant, is_live: impl Fn(Key) -> bool) -> Option<Key> {
        while let Some(key) = self.keys.pop_until(limit) {
            if is_live(key) {
                return Some(key);
            }
            self.stale = self.stale.saturating_sub(1);
        }
        None
    }

    pub(super) fn next_at(&self, is_live: impl Fn(Key) -> bool) -> Option<Instant> {
        self.keys.iter().filter(|key| is_live(*key)).map(|key| key.at).min()
    }
}

impl Keys for BinaryHeap<Reverse<Key>> {
    fn len(&self) -> usize {
        self.len()
    }

    fn push(&mut self, key: Key) {
        self.push(Reverse(key));
    }

    fn pop_until(&mut self, limit: Instant) -> Option<Key> {
        if self.peek()?.0.at > limit {
            return None;
        }
        self.pop().map(|Reverse(key)| key)
    }

    fn retain(&mut self, keep: impl Fn(Key) -> bool) {
        self.retain(|Reverse(key)| keep(*key));
    }

    fn iter(&self) -> impl Iterator<Item = Key> {
        self.iter().map(|Reverse(key)| *key)
    }
}

/// A heap whose nodes have four children: half as deep as a binary one.
#[derive(Clone, Debug, Default)]
pub(super) struct Quaternary(Vec<Key>);

const CHILDREN: usize = 4;

impl Quaternary {
    fn sift_up(&mut self, mut index: usize) {
        let key = self.0[index];
        while index > 0 {
            let parent = (index - 1) / CHILDREN;
            if self.0[parent] <= key {
                break;
            }
            self.0[index] = self.0[parent];
            index = parent;
        }
        self.0[index] = key;
    }

    fn sift_down(&mut self, mut index: usize) {
        let key = self.0[index];
        loop {
            let first = index * CHILDREN + 1;
            let children = first..(first + CHILDREN).min(self.0.len());
            let Some(least) = children.min_by_key(|child| self.0[*child]) else { break };
            if self.0[least] >= key {
                break;
            }
            self.0[index] = self.0[least];
            index = least;
        }
        self.0[index] = key;
    }
}

impl Keys for Quaternary {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn push(&mut self, key: Key) {
        self.0.push(key);
        self.sift_up(self.0.len() - 1);
    }

    fn pop_until(&mut self, limit: Instant) -> Option<Key> {
        let top = self.0.first().copied().filter(|key| key.at <= limit)?;
        self.0.swap_remove(0);
        if !self.0.is_empty() {
            self.sift_down(0);
        }
        Some(top)
    }

    fn retain(&mut self, keep: impl Fn(Key) -> bool) {
        self.0.retain(|key| keep(*key));
        (0..self.0.len().div_ceil(CHILDREN)).rev().for_each(|index| self.sift_down(index));
    }

    fn iter(&self) -> impl Iterator<Item = Key> {
        self.0.iter().copied()
    }
}
