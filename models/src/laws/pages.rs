//! A table from sparse numbers to small values, in shared pages: numbers that are near each other lie together.

use std::sync::Arc;

/// A table whose clones share all pages but those written afterwards. Numbers may come from several counters, each dense.
#[derive(Clone, Debug)]
pub(super) struct Pages<T> {
    /// By number of the page.
    pages: Vec<(u64, Arc<Vec<T>>)>,
    /// Index of the page used last: most accesses stay on it.
    hint: usize,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), hint: 0 }
    }
}

impl<T: Copy + Default> Pages<T> {
    /// The value of `number`; the default if it was never written.
    pub(super) fn get(&self, number: u64) -> T {
        let Ok(index) = self.find(number / PAGE) else { return T::default() };
        self.pages[index].1[(number % PAGE) as usize]
    }

    /// The value of `number`, to be written.
    pub(super) fn entry(&mut self, number: u64) -> &mut T {
        let index = self.find(number / PAGE).unwrap_or_else(|index| {
            self.pages.insert(index, (number / PAGE, Arc::new(vec![T::default(); PAGE as usize])));
            index
        });
        self.hint = index;
        &mut Arc::make_mut(&mut self.pages[index].1)[(number % PAGE) as usize]
    }

    fn find(&self, page: u64) -> Result<usize, usize> {
        match self.pages.get(self.hint) {
            Some((key, _)) if *key == page => Ok(self.hint),
            _ => self.pages.binary_search_by_key(&page, |(key, _)| *key),
        }
    }
}

const PAGE: u64 = 64; // Small enough that scattered numbers do not waste much.

#[test]
fn numbers_of_two_counters_do_not_meet() {
    let mut pages = Pages::default();
    let numbers = [0, 63, 64, 1 << 40, u64::MAX];
    for (value, number) in numbers.iter().enumerate() {
        *pages.entry(*number) = value + 1;
    }
    let before = pages.clone();
    *pages.entry(63) = 9;
    assert_eq!(numbers.map(|number| before.get(number)), [1, 2, 3, 4, 5]);
    assert_eq!((pages.get(63), pages.get(62), pages.get(1 << 41)), (9, 0, 0));
}
