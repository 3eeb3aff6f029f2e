use models::random::{Purpose, Random};
use models::time::{Instant, Span};

use super::lazy::SWEEP_MIN;
use super::{Order, Queue, QueueKind, Ticket};

fn at(ns: u64) -> Instant {
    Instant::from_ns(ns)
}

#[test]
fn events_leave_by_time_then_by_insertion_and_cancelled_ones_never() {
    for kind in QueueKind::ALL {
        let mut queue = Queue::new(kind);
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
        assert_eq!((queue.pop_until(at(4)), queue.next_at()), (None, Some(at(5))), "{kind:?}");
    }
}

#[test]
fn cancelled_events_do_not_pile_up() {
    for kind in QueueKind::ALL {
        let mut queue = Queue::new(kind);
        for n in 0..100_000 {
            let ticket = queue.push(at(1_000_000 + n), n);
            queue.cancel(ticket);
        }
        assert_eq!(queue.entries.len(), 1);
        let left = match &queue.order {
            Order::Wheel(_) => usize::from(queue.next_at().is_some()),
            Order::BinaryHeap(heap) => heap.keys.len(),
            Order::QuaternaryHeap(heap) => super::lazy::Keys::len(&heap.keys),
            Order::RadixHeap(heap) => super::lazy::Keys::len(&heap.keys),
        };
        assert!(left <= SWEEP_MIN + 1, "{kind:?} keeps {left}");
    }
}

#[test]
fn the_end_of_time_is_a_moment_too() {
    for kind in QueueKind::ALL {
        let mut queue = Queue::new(kind);
        queue.push(Instant::MAX, 2);
        queue.push(at(u64::MAX - 1), 1);
        assert_eq!(queue.pop_until(at(1 << 62)), None);
        assert_eq!(queue.pop_until(Instant::MAX), Some((at(u64::MAX - 1), 1)));
        assert_eq!(queue.pop_until(Instant::MAX), Some((Instant::MAX, 2)), "{kind:?}");
        assert_eq!(queue.pop_until(Instant::MAX), None);
    }
}

/// A span of any magnitude from nothing to hours, often one that came before.
fn draw_span(random: &mut Random) -> Span {
    match random.below(4) {
        0 => Span::from_us(random.below(3) * 500),
        _ => {
            let bits = random.below(44);
            Span::from_ns(random.below(1 << bits))
        }
    }
}

#[test]
fn all_kinds_do_the_same_whatever_is_asked() {
    for seed in 0..40 {
        let mut random = Random::new(seed, Purpose::Process, 0);
        let mut queues = QueueKind::ALL.map(Queue::new);
        let mut tickets: Vec<[Ticket; 4]> = Vec::new();
        let (mut now, mut turn) = (Instant::ZERO, 0);
        for step in 0..3_000u64 {
            match random.below(8) {
                0..3 => {
                    let due = now + draw_span(&mut random);
                    tickets.push(queues.each_mut().map(|queue| queue.push(due, step)));
                }
                3 | 4 if !tickets.is_empty() => {
                    // Most timers are cancelled soon, some are long gone.
                    let back = random.below(tickets.len() as u64).min(random.below(2_000)) as usize;
                    let ticket = tickets[tickets.len() - 1 - back];
                    let done: Vec<_> = queues.iter_mut().zip(ticket).map(|(queue, t)| queue.cancel(t)).collect();
                    assert!(done.iter().all(|d| *d == done[0]), "seed {seed}, step {step}: {done:?}");
                }
                5 if random.below(50) == 0 => {
                    // A clone goes on as the original would, and so does a queue of another kind.
                    turn += 1;
                    let kinds = QueueKind::ALL.into_iter().cycle().skip(turn);
                    queues.iter_mut().zip(kinds).for_each(|(queue, kind)| queue.reorder(kind));
                    queues = queues.clone();
                    // Some events come later, some at once.
                    let later = draw_span(&mut random);
                    let change = |step: &u64, at| if step.is_multiple_of(3) { at + later } else { at };
                    queues.iter_mut().for_each(|queue| queue.retime(change));
                    queues.iter_mut().for_each(|queue| queue.retime(|step, at| if *step % 5 == 0 { now } else { at }));
                }
                _ => {
                    let limit = now + draw_span(&mut random);
                    let next = queues.each_ref().map(Queue::next_at);
                    let popped = queues.each_mut().map(|queue| queue.pop_until(limit));
                    assert!(next.iter().all(|n| *n == next[0]), "seed {seed}, step {step}: {next:?}");
                    assert!(popped.iter().all(|p| *p == popped[0]), "seed {seed}, step {step}: {popped:?}");
                    assert_eq!(popped[0].map(|(due, _)| due), next[0].filter(|due| *due <= limit));
                    now = popped[0].map_or(limit, |(due, _)| due);
                }
            }
        }
    }
}
