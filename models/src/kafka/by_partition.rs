//! A map from partitions, for the hot path: topics and partitions are small dense numbers, so a lookup is two indexings.

use crate::id::{Topic, TopicPartition};

/// A map ordered by partition.
#[derive(Clone, Debug, Hash)]
pub(crate) struct ByPartition<V> {
    topics: Vec<Vec<Option<V>>>,
    /// The brokers' own topics, whose numbers are large.
    internal: Vec<Vec<Option<V>>>,
    len: usize,
}

impl<V> Default for ByPartition<V> {
    fn default() -> Self {
        Self { topics: Vec::new(), internal: Vec::new(), len: 0 }
    }
}

impl<V> ByPartition<V> {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether there is one for the partition.
    pub(crate) fn contains_key(&self, id: TopicPartition) -> bool {
        self.get(id).is_some()
    }

    /// The partition's.
    pub(crate) fn get(&self, id: TopicPartition) -> Option<&V> {
        self.topic(id.topic)?.get(usize::from(id.partition))?.as_ref()
    }

    /// The partition's.
    pub(crate) fn get_mut(&mut self, id: TopicPartition) -> Option<&mut V> {
        self.topic_mut(id.topic)?.get_mut(usize::from(id.partition))?.as_mut()
    }

    /// Puts one in; returns the one that was there.
    pub(crate) fn insert(&mut self, id: TopicPartition, value: V) -> Option<V> {
        let before = self.slot(id).replace(value);
        self.len += usize::from(before.is_none());
        before
    }

    /// Takes one out.
    pub(crate) fn remove(&mut self, id: TopicPartition) -> Option<V> {
        let value = self.topic_mut(id.topic)?.get_mut(usize::from(id.partition))?.take()?;
        self.len -= 1;
        Some(value)
    }

    /// All, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TopicPartition, &V)> {
        let internal = (Topic::FIRST_INTERNAL..=u16::MAX).zip(&self.internal);
        (0..=u16::MAX).zip(&self.topics).chain(internal).flat_map(|(topic, partitions)| {
            partitions.iter().enumerate().filter_map(move |(partition, value)| {
                let id = TopicPartition { topic: Topic(topic), partition: partition as u16 };
                value.as_ref().map(|value| (id, value))
            })
        })
    }

    /// All partitions, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = TopicPartition> {
        self.iter().map(|(id, _)| id)
    }

    /// All values, in the order of the partitions.
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.topics.iter().chain(&self.internal).flatten().flatten()
    }

    /// All values, in the order of the partitions.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.topics.iter_mut().chain(&mut self.internal).flatten().flatten()
    }

    /// The values of a topic, in the order of its partitions.
    pub(crate) fn of_topic(&self, topic: Topic) -> impl Iterator<Item = &V> {
        self.topic(topic).into_iter().flatten().flatten()
    }

    fn topic(&self, topic: Topic) -> Option<&Vec<Option<V>>> {
        match topic.0.checked_sub(Topic::FIRST_INTERNAL) {
            None => self.topics.get(usize::from(topic.0)),
            Some(number) => self.internal.get(usize::from(number)),
        }
    }

    fn topic_mut(&mut self, topic: Topic) -> Option<&mut Vec<Option<V>>> {
        match topic.0.checked_sub(Topic::FIRST_INTERNAL) {
            None => self.topics.get_mut(usize::from(topic.0)),
            Some(number) => self.internal.get_mut(usize::from(number)),
        }
    }

    fn slot(&mut self, id: TopicPartition) -> &mut Option<V> {
        let (topics, topic) = match id.topic.0.checked_sub(Topic::FIRST_INTERNAL) {
            None => (&mut self.topics, usize::from(id.topic.0)),
            Some(number) => (&mut self.internal, usize::from(number)),
        };
        let partition = usize::from(id.partition);
        if topics.len() <= topic {
            topics.resize_with(topic + 1, Vec::new);
        }
        let partitions = &mut topics[topic];
        if partitions.len() <= partition {
            partitions.resize_with(partition + 1, || None);
        }
        &mut partitions[partition]
    }
}

impl<V> FromIterator<(TopicPartition, V)> for ByPartition<V> {
    fn from_iter<I: IntoIterator<Item = (TopicPartition, V)>>(items: I) -> Self {
        let mut map = Self::default();
        for (id, value) in items {
            map.insert(id, value);
        }
        map
    }
}
