//! What a fork costs: the clone of a running simulation, alone and with 100 virtual milliseconds of another future.
//!
//! The stretch cluster is forked with its laws, as searches do.

use std::hint::black_box;
use std::ops::ControlFlow;

use benches::w1::{self, FULL, Transport};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use models::observation::Observed;
use models::time::{Instant, Span};
use scenarios::Scenario;
use scenarios::schedule::Schedule;
use sim::run::Run;

const SEED: u64 = 7;
/// How far each fork goes.
const FUTURE: Span = Span::from_ms(100);
/// Clones that are held at a time to see what one takes.
const HELD: u64 = 200;

fn w1_forks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forks-w1");
    group.throughput(Throughput::Elements(1));
    for (transport, name) in [(Transport::Datagram, "datagrams"), (Transport::Stream, "streams")] {
        let mut sim = w1::simulation(1, transport, FULL);
        let observer = &mut |_: &Observed| {};
        sim.run_until(Instant::ZERO + Span::from_secs(50), observer);
        let until = sim.now() + FUTURE;
        group.bench_function(format!("{name}-clone"), |bencher| bencher.iter(|| black_box(sim.clone())));
        group.bench_function(format!("{name}-fork-100ms"), |bencher| {
            bencher.iter(|| {
                let mut fork = sim.clone();
                fork.run_until(black_box(until), &mut |_: &Observed| {});
                fork.fingerprint()
            });
        });
    }
    group.finish();
}

/// The default of `sim fuzz`.
fn scenario() -> Scenario {
    let scenario = scenarios::library::find("stretch-cluster").expect("it is the default").scenario();
    let mut scenario = scenario.unwrap_or_else(|errors| panic!("{errors:?}"));
    scenario.workload.topics = 1;
    scenario.workload.partitions = 10;
    scenario.workload.records_per_second = 100;
    scenario
}

/// Memory of this process, in KiB; nothing where the system does not tell.
fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

fn advance(run: &mut Run, until: Instant) {
    run.advance_to(until, &mut |_: &Observed| {}, &mut |_| ControlFlow::Continue(()));
}

#[expect(clippy::print_stdout, reason = "a benchmark reports its figures")]
fn stretch_forks(criterion: &mut Criterion) {
    let scenario = scenario();
    let schedule = Schedule::draw(&scenario, SEED);
    let mut run = Run::new(scenario, SEED, &schedule);
    let mut group = criterion.benchmark_group("forks-stretch-cluster");
    group.throughput(Throughput::Elements(1));
    for second in [30, 120, 300] {
        advance(&mut run, Instant::ZERO + Span::from_secs(second));
        assert!(!run.is_over(), "the run ended early");
        let before = resident_kib();
        let held: Vec<Run> = (0..HELD).map(|_| run.clone()).collect();
        if let (Some(before), Some(after)) = (before, resident_kib()) {
            println!("at {second} s: {} KiB a clone", (after - before) / HELD);
        }
        drop(held);
        group.bench_function(format!("clone-at-{second}s"), |bencher| bencher.iter(|| black_box(run.clone())));
        let until = run.now() + FUTURE;
        group.bench_function(format!("fork-100ms-at-{second}s"), |bencher| {
            bencher.iter(|| {
                let mut fork = run.clone();
                advance(&mut fork, black_box(until));
                fork.checkpoint()
            });
        });
    }
    group.finish();
}

criterion_group!(forks, w1_forks, stretch_forks);
criterion_main!(forks);
