//! Event queues against each other: alone, with as many events in them as clusters of several sizes have, and under W1.

use std::hint::black_box;

use benches::w1::{self, TENTH, Transport};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use models::random::{Purpose, Random};
use models::time::{Instant, Span};
use sim::kernel::queue::{Queue, QueueKind};

/// Events taken out in one measurement.
const EVENTS: u64 = 100_000;

/// As large as an event of the kernel.
type Payload = [u64; 4];

/// The hold model: each event that is taken out puts one in, at the latency of a packet, and every other one sets a timeout
/// far ahead and cancels the one set before, as requests and their answers do.
fn hold(kind: QueueKind, in_flight: usize, timeouts: bool) -> u64 {
    let mut random = Random::new(1, Purpose::Process, 0);
    let mut queue: Queue<Payload> = Queue::new(kind);
    let latency = |random: &mut Random| Span::from_us(random.within(500, 17_000));
    for _ in 0..in_flight {
        queue.push(Instant::ZERO + latency(&mut random), [0; 4]);
    }
    let mut pending = Vec::new();
    let mut sum = 0;
    for n in 0..EVENTS {
        let Some((now, event)) = queue.pop_until(Instant::MAX) else { break };
        sum += now.as_ns() ^ event[0];
        queue.push(now + latency(&mut random), [n; 4]);
        if timeouts && n % 2 == 0 {
            pending.push(queue.push(now + Span::from_secs(30), [n; 4]));
            if pending.len() > in_flight / 2 {
                queue.cancel(pending.swap_remove(random.below(pending.len() as u64) as usize));
            }
        }
    }
    sum
}

fn alone(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hold");
    group.sample_size(20).throughput(Throughput::Elements(EVENTS));
    for (in_flight, timeouts) in [(64, false), (64, true), (1_024, false), (1_024, true), (65_536, false)] {
        let expected = hold(QueueKind::BinaryHeap, in_flight, timeouts);
        for kind in QueueKind::ALL {
            assert_eq!(hold(kind, in_flight, timeouts), expected, "{kind:?} hands events out in another order");
            let name = format!("{in_flight}{}", if timeouts { "-and-timeouts" } else { "" });
            group.bench_with_input(BenchmarkId::new(kind.name(), name), &kind, |bencher, kind| {
                bencher.iter(|| hold(black_box(*kind), in_flight, timeouts));
            });
        }
    }
    group.finish();
}

fn under_w1(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queues-w1-30s");
    group.sample_size(20);
    for (transport, name) in [(Transport::Datagram, "datagrams"), (Transport::Stream, "streams")] {
        group.throughput(Throughput::Elements(w1::run(1, transport, TENTH).delivered));
        for kind in QueueKind::ALL {
            group.bench_with_input(BenchmarkId::new(kind.name(), name), &kind, |bencher, kind| {
                bencher.iter(|| w1::run_with(black_box(*kind), 1, transport, TENTH));
            });
        }
    }
    group.finish();
}

criterion_group!(queues, alone, under_w1);
criterion_main!(queues);
