//! A small ordered set that keeps its memory: for sets on the hot path that fill and empty all the time.

/// A set as a sorted vector. Insertion costs its length, so it is for sets of at most some thousands.
#[derive(Clone, Debug, Hash)]
pub(crate) struct SortedSet<T>(Vec<T>);

impl<T> Default for SortedSet<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy + Ord> SortedSet<T> {
    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it holds `item`.
    pub(crate) fn contains(&self, item: &T) -> bool {
        self.0.binary_search(item).is_ok()
    }

    /// Puts an item in. Returns whether it is new.
    pub(crate) fn insert(&mut self, item: T) -> bool {
        let place = self.0.binary_search(&item);
        if let Err(index) = place {
            self.0.insert(index, item);
        }
        place.is_err()
    }

    /// Takes an item out. Returns whether it was there.
    pub(crate) fn remove(&mut self, item: &T) -> bool {
        let place = self.0.binary_search(item);
        if let Ok(index) = place {
            self.0.remove(index);
        }
        place.is_ok()
    }

    /// The least item.
    pub(crate) fn first(&self) -> Option<T> {
        self.0.first().copied()
    }

    /// The least item above `item`.
    pub(crate) fn after(&self, item: T) -> Option<T> {
        self.0.get(self.0.partition_point(|other| *other <= item)).copied()
    }

    /// Takes everything out.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// All items, in order.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

impl<T: Copy + Ord> FromIterator<T> for SortedSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut items: Vec<T> = items.into_iter().collect();
        items.sort_unstable();
        items.dedup();
        Self(items)
    }
}

#[test]
fn it_does_what_a_tree_does() {
    let mut random = crate::random::Random::new(1, crate::random::Purpose::Process, 0);
    let (mut set, mut tree) = (SortedSet::default(), std::collections::BTreeSet::new());
    for _ in 0..2_000 {
        let item = random.below(50);
        if random.below(2) == 0 {
            assert_eq!(set.insert(item), tree.insert(item));
        } else {
            assert_eq!(set.remove(&item), tree.remove(&item));
        }
        assert_eq!(set.contains(&item), tree.contains(&item));
        assert_eq!(set.first(), tree.first().copied());
        assert_eq!(set.after(item), tree.range(item + 1..).next().copied());
        assert!(set.iter().eq(&tree));
    }
    assert!(tree.iter().rev().copied().collect::<SortedSet<_>>().iter().eq(set.iter()));
}
