//! A defect that is switched on breaks its law; with the repaired rule the same seeds hold it.

use models::defect::Defects;
use models::laws::{Law, Outcome};

use crate::{run, scenario};

/// Seeds that are tried; who becomes controller differs among them, and not every choice leads into the defect.
const SEEDS: std::ops::Range<u64> = 0..8;

/// `name` has a defect switched on. Some seed must break `law` with it, and no seed anything without.
fn check(name: &str, law: Law) {
    let with = scenario(name);
    let mut without = with.clone();
    without.cluster.kafka.defects = Defects::NONE;
    without.cluster.zookeeper.defects = Defects::NONE;
    let breaks = |reports: &[models::laws::LawReport], law: Option<Law>| {
        let broken = |report: &&models::laws::LawReport| matches!(report.outcome, Outcome::Broken(_));
        reports.iter().filter(broken).any(|report| law.is_none_or(|law| report.law == law))
    };
    let hit = SEEDS.filter(|seed| breaks(&run(&with, *seed).judgement.reports, Some(law))).count();
    assert!(hit > 0, "{name}: no seed of {SEEDS:?} breaks {law}");
    for seed in SEEDS {
        let reports = run(&without, seed).judgement.reports;
        assert!(!breaks(&reports, None), "{name} without its defect, seed {seed}: {reports:#?}");
    }
}

#[test]
fn an_unnoticed_restart_makes_a_leader_without_committed_records() {
    check("unnoticed-restart", Law::LeaderComplete);
}

#[test]
fn a_leader_that_lost_records_and_kept_its_epoch_is_never_followed_again() {
    check("power-loss-stuck", Law::IsrFull);
}
