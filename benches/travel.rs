//! What it costs to move through the time of a five-minute run of the default scenario, in one process after the first pass.
//!
//! ```text
//! cargo bench -p benches --bench travel
//! ```

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use models::random::{Purpose, Random};
use models::time::{Instant, Span};
use scenarios::schedule::Schedule;
use sim::run::Run;
use sim::travel::tape::{SNAPSHOTS, Tape};

const SEED: u64 = 7;

fn run() -> Run {
    let scenario = scenarios::library::find("stretch-cluster").expect("it is the default").scenario();
    let scenario = scenario.unwrap_or_else(|errors| panic!("{errors:?}"));
    let schedule = Schedule::draw(&scenario, SEED);
    Run::new(scenario, SEED, &schedule)
}

/// Memory of this process, in MiB; nothing where the system does not tell.
fn resident_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib / 1024)
}

#[expect(clippy::print_stdout, reason = "a benchmark reports its figures")]
fn travel(criterion: &mut Criterion) {
    let before = resident_mib();
    let mut tape = Tape::record(run(), SNAPSHOTS, &mut |_| {});
    let (snapshots, distance) = tape.density();
    let (steps, end) = (tape.steps(), tape.end());
    println!("{steps} steps, {snapshots} snapshots, one every {distance} steps");
    if let (Some(before), Some(after)) = (before, resident_mib()) {
        println!("resident: {before} MiB before, {after} MiB with all snapshots");
    }
    let mut group = criterion.benchmark_group("five-minutes");
    let mut random = Random::new(SEED, Purpose::Schedule, 0);
    group.sample_size(50).bench_function("jump-to-any-event", |bencher| {
        bencher.iter(|| {
            tape.wind_to_step(random.below(steps));
            black_box(tape.head().run.now())
        });
    });
    // Just before a snapshot is due is the farthest from one.
    group.bench_function("jump-at-worst", |bencher| {
        bencher.iter(|| {
            tape.wind_to_step(0);
            tape.wind_to_step((random.below(steps / distance) + 1) * distance - 1);
            black_box(tape.head().run.now())
        });
    });
    for second in [30, 180, 330] {
        tape.wind_to((Instant::ZERO + Span::from_secs(second)).min(end));
        let head = tape.head().run.clone();
        group.bench_function(format!("clone-at-{second}s"), |bencher| {
            bencher.iter_batched(|| (), |()| head.clone(), BatchSize::SmallInput);
        });
    }
    group.finish();
}

criterion_group!(benches, travel);
criterion_main!(benches);
