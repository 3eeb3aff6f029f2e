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
fn an_ensemble_without_kafka_is_judged_by_the_laws_of_zookeeper_alone() {
    let scenario = scenario("zookeeper-2-2-cut");
    for seed in 0..3 {
        let finished = run(&scenario, seed);
        assert_eq!(
            complaints(&finished),
            Vec::<String>::new(),
            "cargo run -p sim -- run zookeeper-2-2-cut --seed {seed}"
        );
        let reports = &finished.judgement.reports;
        let outcome = |name: &str| &reports.iter().find(|report| report.name == name).expect("a law").outcome;
        for name in ["Z-PREFIX", "L-ZK-QUORUM"] {
            assert_eq!(*outcome(name), Outcome::Held, "{name}");
        }
        for name in ["J-LOST-WRITE", "J-UNSEEN", "R-LOG-MATCH", "C-ONE-PER-EPOCH", "L-ONE-CONTROLLER", "L-PRODUCE"] {
            assert_eq!(*outcome(name), Outcome::NotExercised, "{name}");
        }
    }
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

/// Laws that need what the stretch cluster does not show: a client that asks for the ends of logs, and a run that goes on long
/// after the deadline of recovery.
const NOT_SHOWN: [&str; 3] = ["J-OFFSET-REGRESS", "L-NO-CHURN", "L-NO-SPURIOUS-FENCING"];

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
    let mut silent = silent.unwrap_or_default();
    silent.retain(|name| !NOT_SHOWN.contains(name));
    assert_eq!(silent, Vec::<&str>::new(), "laws that no seed exercises prove nothing");
}
