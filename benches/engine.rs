//! Messages a second of the engine alone, on W1, beside those of turmoil and nexosim.

use std::hint::black_box;

use benches::w1::{FULL, Outcome, TENTH, Transport, on_nexosim, on_turmoil, run};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};

fn measure(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, run: impl Fn(u64) -> Outcome) {
    group.throughput(Throughput::Elements(run(1).delivered));
    group.bench_function(name, |bencher| bencher.iter(|| run(black_box(1))));
}

/// Like for like: thirty virtual seconds of the same workload. Ratios are to be taken here.
fn side_by_side(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("w1-30s");
    // Turmoil takes a third of a second a run; flat sampling runs it once a sample.
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    run(1, Transport::Datagram, TENTH).assert_complete(TENTH);
    measure(&mut group, "datagrams", |seed| run(seed, Transport::Datagram, TENTH));
    measure(&mut group, "streams", |seed| run(seed, Transport::Stream, TENTH));
    on_turmoil::run(1, TENTH).assert_complete(TENTH);
    measure(&mut group, "turmoil-datagrams", |seed| on_turmoil::run(seed, TENTH));
    on_nexosim::run(1, TENTH).assert_complete(TENTH);
    measure(&mut group, "nexosim-datagrams", |seed| on_nexosim::run(seed, TENTH));
    group.finish();
}

/// W1 as it is defined, on our engine.
fn whole(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("w1");
    group.sample_size(20);
    run(1, Transport::Datagram, FULL).assert_complete(FULL);
    measure(&mut group, "datagrams", |seed| run(seed, Transport::Datagram, FULL));
    measure(&mut group, "streams", |seed| run(seed, Transport::Stream, FULL));
    group.finish();
}

criterion_group!(engine, side_by_side, whole);
criterion_main!(engine);
