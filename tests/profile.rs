//! The chaos of `stretch-cluster` is rough enough to mean something, and nothing breaks in it.

use models::laws::Coverage;

use crate::{complaints, run, scenario};

/// Seeds that are run; the survey of the command line runs more.
const SEEDS: u64 = 60;
/// Least share of seeds that must reach each state, in percent. A profile below it is too mild to judge recovery by.
const LEAST_PERCENT: u64 = 10;
/// Needs `unclean.leader.election.enable`, which the stretch cluster leaves off.
const NOT_WANTED: &str = "unclean election";

#[test]
fn each_hardship_is_met_by_a_tenth_of_the_seeds_and_no_law_breaks() {
    let scenario = scenario("stretch-cluster");
    let half = |odd: u64| {
        let scenario = scenario.clone();
        move || (0..SEEDS / 2).map(|i| one(&scenario, 2 * i + odd)).collect::<Vec<_>>()
    };
    // Two threads, since two cores are what a small machine has; runs share nothing.
    let coverages: Vec<Coverage> = std::thread::scope(|scope| {
        let halves = [scope.spawn(half(0)), scope.spawn(half(1))];
        halves.into_iter().flat_map(|h| h.join().expect("no run panics")).collect()
    });
    for (index, (word, _)) in Coverage::default().flags().into_iter().enumerate() {
        let reached = coverages.iter().filter(|coverage| coverage.flags()[index].1).count() as u64;
        let enough = reached * 100 >= SEEDS * LEAST_PERCENT;
        assert!(enough || word == NOT_WANTED, "{word}: {reached} of {SEEDS} seeds");
    }
}

fn one(scenario: &scenarios::Scenario, seed: u64) -> Coverage {
    let finished = run(scenario, seed);
    assert_eq!(complaints(&finished), Vec::<String>::new(), "cargo run -p sim -- --seed {seed}");
    finished.judgement.coverage
}
