//! Each scenario of the library ends as it says it does.

use models::laws::Outcome;

use crate::{complaints, run, scenario};

/// Runs a scenario with a few seeds; none may break a law or an expectation.
fn check(name: &str, seeds: std::ops::Range<u64>) {
    let scenario = scenario(name);
    for seed in seeds {
        let finished = run(&scenario, seed);
        assert_eq!(complaints(&finished), Vec::<String>::new(), "cargo run -p sim -- run {name} --seed {seed}");
        let judged: u64 = finished.judgement.reports.iter().map(|report| report.judged).sum();
        assert!(judged > 10_000, "{name} judged {judged} facts: the laws saw nothing of the run");
    }
}

#[test]
fn wan_cut_zero_controllers_recovers_by_itself() {
    check("wan-cut-zero-controllers", 0..3);
}

#[test]
fn wan_cut_two_controllers_recovers_by_itself() {
    check("wan-cut-two-controllers", 0..3);
}

#[test]
fn controller_host_crash_moves_the_controller() {
    check("controller-host-crash", 0..3);
}

#[test]
fn one_way_wan_cut_heals() {
    check("one-way-wan-cut", 0..3);
}

#[test]
fn three_zookeepers_keep_the_majority() {
    check("three-zookeepers-2-1", 0..3);
}

#[test]
fn a_rolling_restart_moves_leaders_without_waiting_for_sessions() {
    check("rolling-restart", 0..2);
}

#[test]
fn a_full_disk_halts_its_broker_and_the_others_follow() {
    check("skewed-disk-full", 0..2);
}

#[test]
fn killing_everything_loses_nothing_and_is_recovered_from() {
    check("kill-everything", 0..2);
}

#[test]
fn power_loss_everywhere_loses_what_nobody_had_flushed() {
    check("power-loss-everywhere", 0..2);
}

#[test]
fn consumer_groups_survive_a_wan_cut() {
    check("consumer-group-wan-cut", 0..3);
}

#[test]
fn stretch_cluster_holds_its_laws() {
    check("stretch-cluster", 0..4);
}

#[test]
fn every_law_is_exercised_by_the_library() {
    let mut silent: Option<Vec<&str>> = None;
    for (name, seeds) in [("consumer-group-wan-cut", 0..2), ("stretch-cluster", 0..12)] {
        let scenario = scenario(name);
        for seed in seeds {
            let reports = run(&scenario, seed).judgement.reports;
            let not_judged =
                reports.iter().filter(|r| matches!(r.outcome, Outcome::NotExercised | Outcome::NotJudged(_)));
            let names: Vec<_> = not_judged.map(|r| r.name).collect();
            silent.get_or_insert_with(|| names.clone()).retain(|name| names.contains(name));
        }
    }
    let silent = silent.unwrap_or_default();
    assert_eq!(silent, Vec::<&str>::new(), "laws that no seed exercises prove nothing");
}
