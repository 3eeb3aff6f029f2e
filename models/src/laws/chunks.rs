//! A growing array in shared pieces, so that a clone of a long history costs a few pointers.

use std::sync::Arc;

/// A growing array whose clones share all pieces but the last, which is not full: it lies apart, where a write costs no
/// look at who else holds it.
#[derive(Clone, Debug)]
pub(super) struct Chunks<T> {
    /// Full ones.
    sealed: Vec<Arc<[T]>>,
    open: Vec<T>,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self { sealed: Vec::new(), open: Vec::new() }
    }
}

impl<T: Copy> Chunks<T> {
    pub(super) fn len(&self) -> usize {
        self.sealed.len() * CHUNK + self.open.len()
    }

    pub(super) fn get(&self, index: usize) -> Option<T> {
        match index.checked_sub(self.sealed.len() * CHUNK) {
            Some(index) => self.open.get(index).copied(),
            None => Some(self.sealed[index / CHUNK][index % CHUNK]),
        }
    }

    pub(super) fn last(&self) -> Option<T> {
        self.get(self.len().checked_sub(1)?)
    }

    pub(super) fn push(&mut self, value: T) {
        self.open.push(value);
        if self.open.len() == CHUNK {
            self.sealed.push(self.open.as_slice().into());
            self.open.clear();
        }
    }

    /// Keeps the first `len` values.
    pub(super) fn truncate(&mut self, len: usize) {
        if let Some(keep) = len.checked_sub(self.sealed.len() * CHUNK) {
            self.open.truncate(keep);
            return;
        }
        self.open.clear();
        self.open.extend_from_slice(&self.sealed[len / CHUNK][..len % CHUNK]);
        self.sealed.truncate(len / CHUNK);
    }

    /// The first index at which `holds` is false; `holds` must be true up to some index and false from there.
    pub(super) fn partition_point(&self, holds: impl Fn(usize, T) -> bool) -> usize {
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

/// Values in a piece: what a clone copies at most, and half of it on average.
const CHUNK: usize = 128;

#[test]
fn a_clone_is_not_disturbed_and_cuts_hold_at_piece_borders() {
    for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
        let mut chunks = Chunks::default();
        (0..3 * CHUNK).for_each(|i| chunks.push(i));
        let before = chunks.clone();
        chunks.truncate(len);
        assert_eq!((chunks.len(), chunks.last()), (len, len.checked_sub(1)));
        assert_eq!(chunks.get(len), None);
        chunks.push(8);
        assert_eq!((chunks.get(len), chunks.len()), (Some(8), len + 1));
        assert_eq!(before.partition_point(|_, value| value < len), len);
    }
}
