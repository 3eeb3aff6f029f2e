//! Events a second of the engine alone, on W1.

use std::hint::black_box;

use benches::w1::{Transport, run};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn w1(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("w1");
    group.sample_size(20);
    for (name, transport) in [("datagrams", Transport::Datagram), ("streams", Transport::Stream)] {
        group.throughput(Throughput::Elements(run(1, transport).delivered));
        group.bench_function(name, |bencher| bencher.iter(|| run(black_box(1), transport)));
    }
    group.finish();
}

criterion_group!(engine, w1);
criterion_main!(engine);
