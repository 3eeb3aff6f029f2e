//! An array whose elements are shared until they are written.

use std::ops::{Index, IndexMut};
use std::sync::Arc;

/// An array whose clones share every element until one of them writes to it. For elements that own much and of which few
/// change between two clones; a write costs a look at whether somebody else holds the element.
#[derive(Clone, Debug)]
pub struct SharedVec<T>(Vec<Arc<T>>);

impl<T> SharedVec<T> {
    /// All elements, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> + ExactSizeIterator {
        self.0.iter().map(|element| &**element)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Default> SharedVec<T> {
    /// An array of `len` elements as they are by default.
    pub fn new(len: usize) -> Self {
        (0..len).map(|_| T::default()).collect()
    }
}

impl<T> FromIterator<T> for SharedVec<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        Self(elements.into_iter().map(Arc::new).collect())
    }
}

impl<T> Index<usize> for SharedVec<T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        &self.0[index]
    }
}

impl<T: Clone> IndexMut<usize> for SharedVec<T> {
    fn index_mut(&mut self, index: usize) -> &mut T {
        Arc::make_mut(&mut self.0[index])
    }
}

#[test]
fn a_write_parts_one_element_and_leaves_the_others_shared() {
    let mut array: SharedVec<Vec<u64>> = SharedVec::new(3);
    array[1].push(7);
    let before = array.clone();
    array[2].push(8);
    assert!(array.iter().eq([&vec![], &vec![7], &vec![8]]) && before.iter().eq([&vec![], &vec![7], &vec![]]));
    let shared = |index: usize| std::ptr::eq(&array[index], &before[index]);
    assert_eq!([0, 1, 2].map(shared), [true, true, false]);
}
