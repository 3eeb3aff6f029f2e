//! A small ordered map that keeps its memory: for maps on the hot path that fill and empty all the time.

/// A map as a sorted vector. Insertion before others and removal cost its length, so it is for at most some thousands of
/// entries, or for keys that only grow and leave about in order.
#[derive(Clone, Debug, Hash)]
pub(crate) struct SortedMap<K, V>(Vec<(K, V)>);

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Copy + Ord, V> SortedMap<K, V> {
    /// The value of a key.
    pub(crate) fn get(&self, key: K) -> Option<&V> {
        self.find(key).ok().map(|index| &self.0[index].1)
    }

    /// The value of a key.
    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        self.find(key).ok().map(|index| &mut self.0[index].1)
    }

    /// Puts a value in, and returns the one that was there.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(key) {
            Ok(index) => Some(std::mem::replace(&mut self.0[index].1, value)),
            Err(index) => {
                self.0.insert(index, (key, value));
                None
            }
        }
    }

    /// The value of a key, which is made if there is none.
    pub(crate) fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let index = match self.find(key) {
            Ok(index) => index,
            Err(index) => {
                self.0.insert(index, (key, make()));
                index
            }
        };
        &mut self.0[index].1
    }

    /// Takes a value out.
    pub(crate) fn remove(&mut self, key: K) -> Option<V> {
        self.find(key).ok().map(|index| self.0.remove(index).1)
    }

    /// Takes out what `keep` does not keep.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(K, &V) -> bool) {
        self.0.retain(|(key, value)| keep(*key, value));
    }

    /// Takes everything out.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// All entries, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.0.iter().map(|(key, value)| (*key, value))
    }

    /// All entries, in order.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (*key, value))
    }

    /// All keys, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = K> {
        self.0.iter().map(|(key, _)| *key)
    }

    /// All values, in the order of their keys.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// All entries, taken out, in order.
    pub(crate) fn into_entries(self) -> impl Iterator<Item = (K, V)> {
        self.0.into_iter()
    }

    fn find(&self, key: K) -> Result<usize, usize> {
        // New keys are mostly the largest.
        match self.0.last() {
            Some((last, _)) if *last >= key => self.0.binary_search_by(|(other, _)| other.cmp(&key)),
            _ => Err(self.0.len()),
        }
    }
}

#[test]
fn it_does_what_a_tree_does() {
    let mut random = crate::random::Random::new(1, crate::random::Purpose::Process, 0);
    let (mut map, mut tree) = (SortedMap::default(), std::collections::BTreeMap::new());
    for n in 0..2_000u64 {
        let key = random.below(50);
        match random.below(4) {
            0 | 1 => assert_eq!(map.insert(key, n), tree.insert(key, n)),
            2 => assert_eq!(*map.get_or_insert_with(key, || n), *tree.entry(key).or_insert(n)),
            _ => assert_eq!(map.remove(key), tree.remove(&key)),
        }
        if n % 100 == 0 {
            map.retain(|key, value| (key + value) % 3 > 0);
            tree.retain(|key, value| (*key + *value) % 3 > 0);
        }
        assert_eq!(map.get(key), tree.get(&key));
        assert_eq!(map.get_mut(key), tree.get_mut(&key));
        assert!(map.iter().eq(tree.iter().map(|(key, value)| (*key, value))));
    }
}
