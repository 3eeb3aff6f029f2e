//! Events a second with the models in place: the ensemble alone, and the whole stretch cluster with its laws.

use std::hint::black_box;
use std::ops::ControlFlow;

use benches::ensemble;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use models::observation::Observed;
use models::time::{Instant, Span};
use replay::record::Checkpoint;
use scenarios::Scenario;
use scenarios::schedule::Schedule;
use sim::run::{Finished, Run};

const SEED: u64 = 7;
/// Half of it is warm-up, in which elections, the creation of a hundred partitions and the first records fall.
const LENGTH: Span = Span::from_secs(60);

fn zookeeper(criterion: &mut Criterion) {
    let outcome = ensemble::run(SEED);
    outcome.assert_complete();
    let mut group = criterion.benchmark_group("zookeeper-30s");
    group.sample_size(20).throughput(Throughput::Elements(outcome.delivered));
    group.bench_function("four-servers", |bencher| bencher.iter(|| ensemble::run(black_box(SEED))));
    group.finish();
}

/// Runs as the command line does, jury included, and breaks off at [`LENGTH`].
fn run(scenario: &Scenario, schedule: &Schedule, seed: u64) -> Finished {
    let until = |checkpoint: Checkpoint| {
        if checkpoint.at < Instant::ZERO + LENGTH { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    Run::new(scenario.clone(), seed, schedule).finish(&mut |_: &Observed| {}, &mut { until })
}

fn stretch_cluster(criterion: &mut Criterion) {
    let scenario = scenarios::library::find("stretch-cluster").expect("it is the default").scenario();
    let scenario = scenario.unwrap_or_else(|errors| panic!("{errors:?}"));
    let schedule = Schedule::draw(&scenario, SEED);
    let finished = run(&scenario, &schedule, SEED);
    assert_eq!(finished.outcome.ended, Instant::ZERO + LENGTH, "the run ended early: {:?}", finished.outcome);
    let mut group = criterion.benchmark_group("stretch-cluster-60s");
    group.sample_size(10).throughput(Throughput::Elements(finished.delivered));
    group.bench_function("seed-7", |bencher| bencher.iter(|| run(&scenario, &schedule, black_box(SEED))));
    group.finish();
}

criterion_group!(cluster, zookeeper, stretch_cluster);
criterion_main!(cluster);
