//! What it costs to clone a run, and to let the clone go on for 100 virtual milliseconds: an element is such a fork.
//!
//! ```text
//! cargo bench -p benches --bench forks
//! ```

use std::hint::black_box;
use std::ops::ControlFlow;

use benches::w1::{self, Transport};
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use models::observation::Observed;
use models::time::{Instant, Span};
use scenarios::schedule::Schedule;
use sim::run::Run;

const SEED: u64 = 7;
/// How long a fork goes on.
const STRETCH: Span = Span::from_ms(100);
/// Where it is forked: in the middle of what happens, with a history behind it.
const MOMENT: Instant = Instant::from_ns(200_000_000_000);

/// Times clones alone, and forks.
fn measure<R: Clone>(group: &mut BenchmarkGroup<'_, WallTime>, run: &R, go_on: impl Fn(&mut R)) {
    group.throughput(Throughput::Elements(1));
    group.bench_function("clone-and-drop", |bencher| bencher.iter(|| drop(black_box(run.clone()))));
    group.bench_function("fork-100ms", |bencher| {
        bencher.iter(|| {
            let mut fork = run.clone();
            go_on(&mut fork);
            black_box(fork)
        });
    });
    // Without the clone and the drop, but with what the clone put off.
    group.bench_function("go-on-100ms", |bencher| {
        bencher.iter_batched_ref(|| run.clone(), &go_on, BatchSize::SmallInput);
    });
}

fn engine(criterion: &mut Criterion) {
    let nobody = &mut |_: &Observed| {};
    for (name, transport) in [("w1-forks/datagrams", Transport::Datagram), ("w1-forks/streams", Transport::Stream)] {
        let mut sim = w1::simulation(SEED, transport, w1::FULL);
        sim.run_until(MOMENT, nobody);
        measure(&mut criterion.benchmark_group(name), &sim, |sim| {
            sim.run_until(sim.now() + STRETCH, &mut |_: &Observed| {});
        });
    }
}

fn stretch_cluster(criterion: &mut Criterion) {
    let scenario = scenarios::library::find("stretch-cluster").expect("it is the default").scenario();
    let mut scenario = scenario.unwrap_or_else(|errors| panic!("{errors:?}"));
    // As it is, with 100 partitions; and as it is fuzzed.
    for partitions in [100, 10] {
        (scenario.workload.topics, scenario.workload.partitions) = (partitions / 10, 10);
        let schedule = Schedule::draw(&scenario, SEED);
        let mut run = Run::new(scenario.clone(), SEED, &schedule);
        let go_on = |run: &mut Run, until| {
            run.advance_to(until, &mut |_: &Observed| {}, &mut |_| ControlFlow::Continue(()));
        };
        go_on(&mut run, MOMENT);
        assert!(!run.is_over(), "seed {SEED} with {partitions} partitions ended at {}", run.now());
        let mut group = criterion.benchmark_group(format!("stretch-cluster-forks/{partitions}-partitions"));
        measure(&mut group, &run, |run| go_on(run, run.now() + STRETCH));
    }
}

criterion_group!(forks, engine, stretch_cluster);
criterion_main!(forks);
