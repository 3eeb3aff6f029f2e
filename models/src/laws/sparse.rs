//! A table from sparse numbers to small values, in shared pages: a page holds what was written and nothing else, however
//! far apart the numbers lie.

use std::sync::Arc;

/// Numbers with their values, in order.
type Page<T> = Vec<(u64, T)>;

/// A table whose clones share all pages but those written afterwards. Numbers come from a few counters, and a new one is
/// mostly the largest of its counter so far.
#[derive(Clone, Debug)]
pub(super) struct Sparse<T> {
    /// In order, none empty, each with its first number.
    pages: Vec<(u64, Arc<Page<T>>)>,
    /// Which page a counter used last: most likely the one that it uses next. Counters of producers are 2^40 apart.
    recent: [u32; COUNTERS],
}

impl<T> Default for Sparse<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), recent: [0; COUNTERS] }
    }
}

impl<T: Copy + Default> Sparse<T> {
    /// The value of `number`, to be written; the default if it never was.
    pub(super) fn entry(&mut self, number: u64) -> &mut T {
        let counter = (number >> 40) as usize % COUNTERS;
        let at = self.page_for(number, self.recent[counter] as usize);
        let (at, index) = match self.pages.get(at) {
            None => {
                self.pages.push((number, Arc::new(vec![(number, T::default())])));
                (0, 0)
            }
            Some((_, page)) => match search(page, number) {
                Ok(index) => (at, index),
                Err(index) => self.insert(at, index, number),
            },
        };
        self.recent[counter] = at as u32;
        &mut Arc::make_mut(&mut self.pages[at].1)[index].1
    }

    /// Every number that was written with its value, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.pages.iter().flat_map(|(_, page)| page.iter().map(|(number, value)| (*number, value)))
    }

    /// The last page that begins at the number or before it, or else the first one; `likely` is looked at before all others.
    fn page_for(&self, number: u64, likely: usize) -> usize {
        let begins_behind = |at: usize| self.pages.get(at).is_none_or(|(first, _)| *first > number);
        if !begins_behind(likely) && begins_behind(likely + 1) {
            return likely;
        }
        self.pages.partition_point(|(first, _)| *first <= number).saturating_sub(1)
    }

    /// Puts a number into a page, or behind what lies before it in a full one. Returns its place.
    fn insert(&mut self, at: usize, index: usize, number: u64) -> (usize, usize) {
        let (first, page) = &mut self.pages[at];
        let page = Arc::make_mut(page);
        let mut rest = if page.len() == PAGE { page.split_off(index) } else { Vec::new() };
        if page.len() == PAGE {
            self.pages.insert(at + 1, (number, Arc::new(vec![(number, T::default())])));
            return (at + 1, 0);
        }
        page.insert(index, (number, T::default()));
        *first = (*first).min(number);
        // What lies behind belongs to another counter, so that this one has room to grow.
        if !rest.is_empty() {
            rest.reserve_exact(PAGE - rest.len());
            self.pages.insert(at + 1, (rest[0].0, Arc::new(rest)));
        }
        (at, index)
    }
}

/// Nearly always one of the last numbers is wanted, and the middle of a page is cold memory.
fn search<T>(page: &[(u64, T)], number: u64) -> Result<usize, usize> {
    let tail = page.len().saturating_sub(TAIL);
    match page[tail..].iter().rposition(|(other, _)| *other <= number) {
        Some(index) if page[tail + index].0 == number => Ok(tail + index),
        Some(index) => Err(tail + index + 1),
        None => page[..tail].binary_search_by_key(&number, |(other, _)| *other),
    }
}

/// Counters whose last pages are remembered.
const COUNTERS: usize = 8;
/// Values at the end of a page that are looked at first.
const TAIL: usize = 4;
/// Values of a page: what the first write after a clone copies.
const PAGE: usize = 16;

#[test]
fn it_does_what_a_tree_does_and_a_clone_is_not_disturbed() {
    let (mut table, mut tree) = (Sparse::<u64>::default(), std::collections::BTreeMap::new());
    let mut write = |table: &mut Sparse<u64>, number: u64, value: u64| {
        *table.entry(number) = value;
        tree.insert(number, value);
        assert!(table.iter().map(|(number, value)| (number, *value)).eq(tree.iter().map(|(n, v)| (*n, *v))));
    };
    // Three counters by turns, with gaps; then what lies in between, and before all.
    for n in 0..200 {
        [7 << 40, 0, 9].iter().enumerate().for_each(|(i, base)| write(&mut table, base + 97 * n + i as u64, n));
    }
    let before = table.clone();
    let snapshot: Vec<_> = before.iter().map(|(number, value)| (number, *value)).collect();
    for n in (0..400).rev() {
        write(&mut table, 49 * n, 1_000 + n);
    }
    assert!(before.iter().map(|(number, value)| (number, *value)).eq(snapshot));
}
