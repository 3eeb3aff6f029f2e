//! The event queue: ordered by time, then by insertion, with cancellation.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use models::time::Instant;

/// Names an event that is still in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    slot: u32,
    sequence: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    at: Instant,
    sequence: u64,
    slot: u32,
}

impl Key {
    /// One number to compare: the heap does little else. Sequences differ, so the slot never decides.
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
struct Entry<E> {
    /// Of the event inside. A key with another sequence is left over from a cancelled event.
    sequence: u64,
    event: Option<E>,
}

/// The queue. Keys are small and live in the heap; events stay put in a slab.
#[derive(Clone, Debug)]
pub(crate) struct Queue<E> {
    heap: BinaryHeap<Reverse<Key>>,
    entries: Vec<Entry<E>>,
    free: Vec<u32>,
    sequence: u64,
    stale: usize,
}

impl<E> Queue<E> {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new(), entries: Vec::new(), free: Vec::new(), sequence: 0, stale: 0 }
    }

    pub(crate) fn push(&mut self, at: Instant, event: E) -> Ticket {
        self.sequence += 1;
        let entry = Entry { sequence: self.sequence, event: Some(event) };
        let slot = if let Some(slot) = self.free.pop() {
            self.entries[slot as usize] = entry;
            slot
        } else {
            self.entries.push(entry);
            (self.entries.len() - 1) as u32
        };
        self.heap.push(Reverse(Key { at, sequence: self.sequence, slot }));
        Ticket { slot, sequence: self.sequence }
    }

    /// Takes an event out before its time. Returns whether it was still there.
    pub(crate) fn cancel(&mut self, ticket: Ticket) -> bool {
        let entry = &mut self.entries[ticket.slot as usize];
        if entry.sequence != ticket.sequence || entry.event.take().is_none() {
            return false;
        }
        self.free.push(ticket.slot);
        self.stale += 1;
        // Cancelled long timers must not make the heap deep: sweep them once they are the majority.
        if self.stale > SWEEP_MIN && self.stale * 2 > self.heap.len() {
            let entries = &self.entries;
            self.heap.retain(|Reverse(key)| is_live(entries, *key));
            self.stale = 0;
        }
        true
    }

    /// The next event if it is due at `limit`.
    pub(crate) fn pop_until(&mut self, limit: Instant) -> Option<(Instant, E)> {
        while let Some(Reverse(key)) = self.heap.peek().copied()
            && key.at <= limit
        {
            self.heap.pop();
            let entry = &mut self.entries[key.slot as usize];
            if entry.sequence == key.sequence
                && let Some(event) = entry.event.take()
            {
                self.free.push(key.slot);
                return Some((key.at, event));
            }
            self.stale = self.stale.saturating_sub(1);
        }
        None
    }

    /// When the next event is due.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        let Reverse(key) = self.heap.peek()?;
        if is_live(&self.entries, *key) {
            return Some(key.at);
        }
        self.heap.iter().filter(|Reverse(key)| is_live(&self.entries, *key)).map(|Reverse(key)| key.at).min()
    }
}

fn is_live<E>(entries: &[Entry<E>], key: Key) -> bool {
    let entry = &entries[key.slot as usize];
    entry.sequence == key.sequence && entry.event.is_some()
}

const SWEEP_MIN: usize = 1_024; // Below that a sweep costs more than it saves.

#[test]
fn events_leave_by_time_then_by_insertion_and_cancelled_ones_never() {
    let mut queue = Queue::new();
    let at = Instant::from_ns;
    queue.push(at(5), "late");
    let gone = queue.push(at(1), "cancelled");
    queue.push(at(1), "first");
    queue.push(at(1), "second");
    assert!(queue.cancel(gone) && !queue.cancel(gone));
    let reused = queue.push(at(0), "in the freed slot");
    assert_eq!(queue.next_at(), Some(at(0)));
    assert_eq!(queue.pop_until(at(0)), Some((at(0), "in the freed slot")));
    assert!(!queue.cancel(reused));
    let order: Vec<_> = std::iter::from_fn(|| queue.pop_until(at(4)).map(|(_, e)| e)).collect();
    assert_eq!(order, ["first", "second"]);
    assert_eq!((queue.pop_until(at(4)), queue.next_at()), (None, Some(at(5))));
}

#[test]
fn cancelled_events_do_not_pile_up() {
    let mut queue = Queue::new();
    for n in 0..100_000 {
        let ticket = queue.push(Instant::from_ns(1_000_000 + n), n);
        queue.cancel(ticket);
    }
    assert!(queue.heap.len() <= SWEEP_MIN + 1 && queue.entries.len() == 1, "{}", queue.heap.len());
}
