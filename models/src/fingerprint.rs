//! A rolling 64-bit hash whose input is fixed-width and little-endian, so that every platform and build agrees on it.

use std::hash::{Hash, Hasher};

/// A rolling fingerprint. It is a [`Hasher`], so whatever derives `Hash` can be folded in; `usize` goes in as 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Self {
        // The first digits of pi: any constant would do, zero would swallow leading zeros.
        Self(0x243f_6a88_85a3_08d3)
    }
}

impl Fingerprint {
    /// Continues from an earlier [`Fingerprint::value`].
    pub const fn from_value(value: u64) -> Self {
        Self(value)
    }

    /// The fingerprint of all that was folded in so far, in order.
    pub const fn value(self) -> u64 {
        self.0
    }

    /// The fingerprint of one value.
    pub fn of(value: &impl Hash) -> u64 {
        let mut fingerprint = Self::default();
        value.hash(&mut fingerprint);
        fingerprint.0
    }

    /// Folds one word in: a 64x64 to 128 bit multiply, both halves kept (the mixing step of wyhash).
    pub const fn fold(&mut self, word: u64) {
        let product = (self.0 ^ 0x9e37_79b9_7f4a_7c15) as u128 * ((word ^ 0xa076_1d64_78bd_642f) as u128);
        // Adding the word keeps a zero product from forgetting it.
        self.0 = ((product >> 64) as u64 ^ product as u64).wrapping_add(word.rotate_left(32));
    }
}

impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.fold(u64::from_le_bytes(word));
        }
        self.fold(bytes.len() as u64);
    }

    fn write_u8(&mut self, i: u8) {
        self.fold(u64::from(i));
    }

    fn write_u16(&mut self, i: u16) {
        self.fold(u64::from(i));
    }

    fn write_u32(&mut self, i: u32) {
        self.fold(u64::from(i));
    }

    fn write_u64(&mut self, i: u64) {
        self.fold(i);
    }

    fn write_usize(&mut self, i: usize) {
        self.fold(i as u64);
    }

    fn write_i8(&mut self, i: i8) {
        self.fold(i as u64);
    }

    fn write_i16(&mut self, i: i16) {
        self.fold(i as u64);
    }

    fn write_i32(&mut self, i: i32) {
        self.fold(i as u64);
    }

    fn write_i64(&mut self, i: i64) {
        self.fold(i as u64);
    }

    fn write_isize(&mut self, i: isize) {
        self.fold(i as u64);
    }
}

#[test]
fn order_and_leading_zeros_matter() {
    let of = |words: &[u64]| {
        let mut fingerprint = Fingerprint::default();
        words.iter().for_each(|w| fingerprint.fold(*w));
        fingerprint.value()
    };
    assert_ne!(of(&[1, 2]), of(&[2, 1]));
    assert_ne!(of(&[0, 1]), of(&[1]));
    assert_ne!(of(&[0, 0]), of(&[0]));
}
