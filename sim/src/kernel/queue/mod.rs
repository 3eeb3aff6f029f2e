//! The event queue: ordered by time, then by insertion, with cancellation.
//!
//! Events stay put in a slab. What puts them in order holds small keys, and there are four of these; they differ in speed
//! and in nothing else. `docs/performance.md` compares them.

mod lazy;
mod radix;
#[cfg(test)]
mod tests;
mod wheel;

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use models::time::Instant;

use self::lazy::{Lazy, Quaternary};
use self::radix::Radix;
use self::wheel::Wheel;

/// What puts the events in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueKind {
    /// A hierarchical timing wheel: constant time for everything, cancellation included.
    #[default]
    Wheel,
    /// The standard library's binary heap. Cancelled events stay in it until they are due, or the majority.
    BinaryHeap,
    /// A heap whose nodes have four children.
    QuaternaryHeap,
    /// A radix heap: events move to finer buckets as their time comes near.
    RadixHeap,
}

impl QueueKind {
    /// All of them, the default first.
    pub const ALL: [Self; 4] = [Self::Wheel, Self::BinaryHeap, Self::QuaternaryHeap, Self::RadixHeap];

    /// As it is written on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wheel => "wheel",
            Self::BinaryHeap => "binary-heap",
            Self::QuaternaryHeap => "4-ary-heap",
            Self::RadixHeap => "radix-heap",
        }
    }

    /// The one of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Names an event that is still in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    slot: u32,
    sequence: u64,
}

/// Where an event stands in the order, and in the slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    at: Instant,
    sequence: u64,
    slot: u32,
}

impl Key {
    /// One number to compare. Sequences differ, so the slot never decides.
    fn rank(self) -> u128 {
        u128::from(self.at.as_ns()) << 64 | u128::from(self.sequence)
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

#[derive(Clone, Debug)]
enum Order {
    Wheel(Wheel),
    BinaryHeap(Lazy<BinaryHeap<Reverse<Key>>>),
    QuaternaryHeap(Lazy<Quaternary>),
    RadixHeap(Lazy<Radix>),
}

impl Order {
    fn new(kind: QueueKind) -> Self {
        match kind {
            QueueKind::Wheel => Self::Wheel(Wheel::default()),
            QueueKind::BinaryHeap => Self::BinaryHeap(Lazy::default()),
            QueueKind::QuaternaryHeap => Self::QuaternaryHeap(Lazy::default()),
            QueueKind::RadixHeap => Self::RadixHeap(Lazy::default()),
        }
    }

    fn kind(&self) -> QueueKind {
        match self {
            Self::Wheel(_) => QueueKind::Wheel,
            Self::BinaryHeap(_) => QueueKind::BinaryHeap,
            Self::QuaternaryHeap(_) => QueueKind::QuaternaryHeap,
            Self::RadixHeap(_) => QueueKind::RadixHeap,
        }
    }

    fn push(&mut self, key: Key) {
        match self {
            Self::Wheel(wheel) => wheel.push(key),
            Self::BinaryHeap(heap) => heap.push(key),
            Self::QuaternaryHeap(heap) => heap.push(key),
            Self::RadixHeap(heap) => heap.push(key),
        }
    }
}

#[derive(Clone, Debug)]
struct Entry<E> {
    /// Of the event inside. A key with another sequence is left over from a cancelled event.
    sequence: u64,
    event: Option<E>,
}

/// The events that are to come.
#[derive(Clone, Debug)]
pub struct Queue<E> {
    order: Order,
    entries: Vec<Entry<E>>,
    free: Vec<u32>,
    sequence: u64,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self::new(QueueKind::default())
    }
}

impl<E> Queue<E> {
    /// No events.
    pub fn new(kind: QueueKind) -> Self {
        Self { order: Order::new(kind), entries: Vec::new(), free: Vec::new(), sequence: 0 }
    }

    /// Goes on with another kind of order. Tickets stay valid.
    pub fn reorder(&mut self, kind: QueueKind) {
        let mut order = Order::new(kind);
        while let Some(key) = self.next_key(Instant::MAX) {
            order.push(key);
        }
        self.order = order;
    }

    /// Moves events to other times; `f` is given an event and its time. Those of one moment stay in the order in which they
    /// were put in. No event may be moved before one that was taken out. Looks at all events: for rare occasions.
    pub fn retime(&mut self, mut f: impl FnMut(&E, Instant) -> Instant) {
        let mut keys = Vec::new();
        while let Some(key) = self.next_key(Instant::MAX) {
            let event = self.entries[key.slot as usize].event.as_ref().expect("a key that is handed out has its event");
            keys.push(Key { at: f(event, key.at), ..key });
        }
        // Keys of one moment are expected in order.
        keys.sort_unstable();
        self.order = Order::new(self.order.kind());
        keys.into_iter().for_each(|key| self.order.push(key));
    }

    /// Puts an event in. It comes behind all others of the same moment. `at` must not lie before an event that was taken out.
    pub fn push(&mut self, at: Instant, event: E) -> Ticket {
        self.sequence += 1;
        let sequence = self.sequence;
        let entry = Entry { sequence, event: Some(event) };
        let slot = if let Some(slot) = self.free.pop() {
            self.entries[slot as usize] = entry;
            slot
        } else {
            self.entries.push(entry);
            (self.entries.len() - 1) as u32
        };
        self.order.push(Key { at, sequence, slot });
        Ticket { slot, sequence }
    }

    /// Takes an event out before its time. Returns whether it was still there.
    pub fn cancel(&mut self, ticket: Ticket) -> bool {
        let entry = &mut self.entries[ticket.slot as usize];
        if entry.sequence != ticket.sequence || entry.event.take().is_none() {
            return false;
        }
        self.free.push(ticket.slot);
        let entries = &self.entries;
        let is_live = |key: Key| is_live(entries, key);
        match &mut self.order {
            Order::Wheel(wheel) => wheel.cancel(ticket.slot),
            Order::BinaryHeap(heap) => heap.cancel(is_live),
            Order::QuaternaryHeap(heap) => heap.cancel(is_live),
            Order::RadixHeap(heap) => heap.cancel(is_live),
        }
        true
    }

    /// The next event if it is due at `limit`.
    pub fn pop_until(&mut self, limit: Instant) -> Option<(Instant, E)> {
        let key = self.next_key(limit)?;
        let event = self.entries[key.slot as usize].event.take().expect("a key that is handed out has its event");
        self.free.push(key.slot);
        Some((key.at, event))
    }

    fn next_key(&mut self, limit: Instant) -> Option<Key> {
        let entries = &self.entries;
        let is_live = |key: Key| is_live(entries, key);
        match &mut self.order {
            Order::Wheel(wheel) => wheel.pop_until(limit),
            Order::BinaryHeap(heap) => heap.pop_until(limit, is_live),
            Order::QuaternaryHeap(heap) => heap.pop_until(limit, is_live),
            Order::RadixHeap(heap) => heap.pop_until(limit, is_live),
        }
    }

    /// When the next event is due. Looks at many of them: not for every event.
    pub fn next_at(&self) -> Option<Instant> {
        let is_live = |key: Key| is_live(&self.entries, key);
        match &self.order {
            Order::Wheel(wheel) => wheel.next_at(),
            Order::BinaryHeap(heap) => heap.next_at(is_live),
            Order::QuaternaryHeap(heap) => heap.next_at(is_live),
            Order::RadixHeap(heap) => heap.next_at(is_live),
        }
    }
}

fn is_live<E>(entries: &[Entry<E>], key: Key) -> bool {
    let entry = &entries[key.slot as usize];
    entry.sequence == key.sequence && entry.event.is_some()
}
