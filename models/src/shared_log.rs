//! A growing array in shared pieces, so that a clone of a long history costs a pointer and a short tail.

use std::sync::Arc;

/// Values in a piece: what a clone copies at most, and half of it on average.
const PIECE: usize = 32;

/// A growing array whose clones share all pieces but the last, which is not full: it lies apart, where a write costs no
/// look at who else holds it.
#[derive(Clone, Debug)]
pub struct SharedLog<T> {
    /// Full ones. A clone takes one pointer, however many there are; the first piece that either of the two fills copies
    /// the list.
    sealed: Arc<Vec<Arc<[T]>>>,
    open: Vec<T>,
}

impl<T> Default for SharedLog<T> {
    fn default() -> Self {
        Self { sealed: Arc::default(), open: Vec::new() }
    }
}

impl<T: Copy> SharedLog<T> {
    /// How many values there are.
    pub fn len(&self) -> usize {
        self.sealed.len() * PIECE + self.open.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.sealed.is_empty()
    }

    /// The value at `index`; nothing behind the end.
    pub fn get(&self, index: usize) -> Option<T> {
        match index.checked_sub(self.sealed.len() * PIECE) {
            Some(index) => self.open.get(index).copied(),
            None => Some(self.sealed[index / PIECE][index % PIECE]),
        }
    }

    /// The last value.
    pub fn last(&self) -> Option<T> {
        self.get(self.len().checked_sub(1)?)
    }

    /// All values, in order.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.sealed.iter().flat_map(|piece| piece.iter()).chain(&self.open).copied()
    }

    /// Appends a value.
    pub fn push(&mut self, value: T) {
        self.open.push(value);
        if self.open.len() == PIECE {
            Arc::make_mut(&mut self.sealed).push(self.open.as_slice().into());
            self.open.clear();
        }
    }

    /// Keeps the first `len` values; all, if there are fewer.
    pub fn truncate(&mut self, len: usize) {
        if let Some(keep) = len.checked_sub(self.sealed.len() * PIECE) {
            self.open.truncate(keep);
            return;
        }
        self.open.clear();
        self.open.extend_from_slice(&self.sealed[len / PIECE][..len % PIECE]);
        Arc::make_mut(&mut self.sealed).truncate(len / PIECE);
    }

    /// The first index at which `holds` is false; `holds` must be true up to some index and false from there.
    pub fn partition_point(&self, holds: impl Fn(usize, T) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle).is_some_and(|value| holds(middle, value)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

impl<T: Copy> Extend<T> for SharedLog<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.push(value));
    }
}

impl<T: Copy> FromIterator<T> for SharedLog<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut log = Self::default();
        log.extend(values);
        log
    }
}

#[test]
fn a_clone_is_not_disturbed_and_cuts_hold_at_piece_borders() {
    for len in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 1] {
        let mut log: SharedLog<usize> = (0..3 * PIECE + 2).collect();
        let before = log.clone();
        log.truncate(len);
        assert_eq!((log.len(), log.last(), log.is_empty()), (len, len.checked_sub(1), len == 0));
        assert_eq!(log.get(len), None);
        log.extend([8; 2 * PIECE]);
        assert_eq!((log.get(len), log.len()), (Some(8), len + 2 * PIECE));
        assert!(log.iter().eq((0..len).chain([8; 2 * PIECE])));
        assert!(before.iter().eq(0..3 * PIECE + 2));
        assert_eq!(before.partition_point(|_, value| value < len), len);
    }
}
