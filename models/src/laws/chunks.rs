//! A growing array in shared pieces, so that a clone of a long history costs a few pointers.

use std::sync::Arc;

/// A growing array whose clones share all pieces but those written afterwards.
#[derive(Clone, Debug)]
pub(super) struct Chunks<T> {
    chunks: Vec<Arc<Vec<T>>>,
    len: usize,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<T: Copy> Chunks<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, index: usize) -> Option<T> {
        self.chunks.get(index / CHUNK)?.get(index % CHUNK).copied()
    }

    pub(super) fn last(&self) -> Option<T> {
        self.get(self.len.checked_sub(1)?)
    }

    pub(super) fn push(&mut self, value: T) {
        if self.len.is_multiple_of(CHUNK) {
            self.chunks.push(Arc::default());
        }
        if let Some(chunk) = self.chunks.last_mut() {
            Arc::make_mut(chunk).push(value);
            self.len += 1;
        }
    }

    /// Keeps the first `len` values.
    pub(super) fn truncate(&mut self, len: usize) {
        if len >= self.len {
            return;
        }
        self.chunks.truncate(len.div_ceil(CHUNK));
        if let Some(chunk) = self.chunks.last_mut() {
            Arc::make_mut(chunk).truncate(len - (len.div_ceil(CHUNK) - 1) * CHUNK);
        }
        self.len = len;
    }

    /// The first index at which `holds` is false; `holds` must be true up to some index and false from there.
    pub(super) fn partition_point(&self, holds: impl Fn(usize, T) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len);
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

/// Values in a piece: what the first write after a clone copies.
const CHUNK: usize = 512;

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
