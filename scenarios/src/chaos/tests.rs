use models::time::Span;

use crate::library;
use crate::scenario::Scenario;
use crate::schedule::Schedule;

fn stretch_cluster() -> Scenario {
    library::find("stretch-cluster").unwrap().scenario().unwrap()
}

fn lines(scenario: &Scenario, schedule: &Schedule) -> Vec<String> {
    let line = |timed: &crate::schedule::Timed| {
        format!("{} at {} for {}: {}", timed.id, timed.at, timed.duration, timed.fault.text(scenario))
    };
    schedule.faults.iter().map(line).collect()
}

#[test]
fn a_seed_draws_the_same_faults_for_ever() {
    let scenario = stretch_cluster();
    let golden: &[(u64, &[&str])] = &[
        (
            1,
            &[
                "f0 at 233.078 s for 31.668 s: pause broker3",
                "f1 at 242.824 s for 5.896 s: cut london <-> frankfurt",
                "f2 at 243.270 s for 1.733 s: kill zk4",
                "f3 at 248.288 s for 241.0 ms: loss 6.8% on frankfurt -> london",
            ],
        ),
        (
            7,
            &[
                "f0 at 22.025 s for 40.058 s: host crash of controller's host",
                "f1 at 160.238 s for 423.0 ms: cut london <-> frankfurt",
            ],
        ),
    ];
    for (seed, expected) in golden {
        assert_eq!(lines(&scenario, &Schedule::draw(&scenario, *seed)), *expected, "seed {seed}");
    }
}

#[test]
fn faults_do_not_depend_on_how_many_there_are() {
    let scenario = stretch_cluster();
    let profile = scenario.chaos.clone().unwrap();
    for seed in 0..100 {
        let mut six = profile.clone();
        six.faults = (6, 6);
        let six = six.draw(&scenario, seed);
        let some = profile.draw(&scenario, seed);
        assert_eq!(six[..some.len()], some, "seed {seed}");
    }
}

#[test]
fn the_profile_is_kept_and_no_kind_of_fault_is_rare() {
    let scenario = stretch_cluster();
    let mut seeds_with = std::collections::BTreeMap::new();
    let mut long_cuts = 0;
    const SEEDS: u64 = 1_000;
    for seed in 0..SEEDS {
        let schedule = Schedule::draw(&scenario, seed);
        assert!((1..=6).contains(&schedule.faults.len()));
        assert!(schedule.end() <= scenario.phases.faults);
        assert!(schedule.faults.is_sorted_by_key(|fault| fault.at));
        let mut kinds: Vec<&str> = schedule.faults.iter().map(|fault| fault.fault.kind()).collect();
        for fault in &schedule.faults {
            assert!((Span::from_ms(100)..=Span::from_secs(120)).contains(&fault.duration), "seed {seed}");
        }
        let long = |fault: &crate::schedule::Timed| {
            matches!(fault.fault.kind(), "cut" | "one-way-cut") && fault.duration > Span::from_secs(11)
        };
        long_cuts += u64::from(schedule.faults.iter().any(long));
        kinds.sort_unstable();
        kinds.dedup();
        for kind in kinds {
            *seeds_with.entry(kind).or_insert(0u64) += 1;
        }
    }
    assert_eq!(seeds_with.len(), 9, "{seeds_with:?}");
    assert!(seeds_with.values().all(|seeds| *seeds * 10 > SEEDS), "{seeds_with:?}");
    assert!(long_cuts * 4 > SEEDS, "{long_cuts}");
}

#[test]
fn faults_of_a_stretch_begin_together() {
    let scenario = stretch_cluster();
    let stretch = Some((Span::from_secs(1), Span::from_secs(5)));
    let profile = super::ChaosProfile { stretch, ..scenario.chaos.clone().unwrap() };
    let mut close = 0;
    const SEEDS: u64 = 300;
    for seed in 0..SEEDS {
        let faults = profile.draw(&scenario, seed);
        let begins = || faults.iter().map(|planned| planned.at);
        assert!(faults.iter().all(|planned| planned.end() <= scenario.phases.faults), "seed {seed}");
        let apart = begins().max().unwrap() - begins().min().unwrap();
        close += u64::from(apart <= Span::from_secs(10));
    }
    // The others begin when a long one ends.
    assert!(close > SEEDS / 3, "{close}");
}

#[test]
fn faults_with_one_victim_hit_no_other_process() {
    let scenario = stretch_cluster();
    let profile = super::ChaosProfile { victims: Some((1, 1)), faults: (6, 6), ..scenario.chaos.clone().unwrap() };
    let mut victims = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let faults = profile.draw(&scenario, seed);
        let hit: std::collections::BTreeSet<String> =
            faults.iter().filter_map(|planned| planned.fault.process()).map(|process| format!("{process:?}")).collect();
        assert!(hit.len() <= 1, "seed {seed}: {hit:?}");
        victims.extend(hit);
    }
    assert!(victims.len() > 6, "{victims:?}");
}

/// The faults of 200 seeds of a profile that tells one story each, of this kind.
fn stories(kind: super::ChaosKind) -> Vec<Vec<crate::schedule::Planned>> {
    let mut scenario = stretch_cluster();
    scenario.phases.faults = Span::from_secs(120);
    let profile = super::ChaosProfile {
        faults: (1, 1),
        weights: [(kind, 1)].into_iter().collect(),
        ..scenario.chaos.clone().unwrap()
    };
    (0..200).map(|seed| profile.draw(&scenario, seed)).collect()
}

#[test]
fn a_story_has_all_its_parts_within_the_phase() {
    use super::ChaosKind::{BadReturn, DarkReturn, DeafBroker, OustedController, RoughSync, SeeSaw};
    let parts: [(super::ChaosKind, &[&str]); 6] = [
        (OustedController, &["delete-controller", "delay", "pause", "kill"]),
        (BadReturn, &["cut", "delay", "flap", "reset-connections"]),
        (SeeSaw, &["cut", "delay", "slow-disk", "kill", "restart"]),
        (DeafBroker, &["cut", "kill", "restart"]),
        (RoughSync, &["kill", "cut", "delay", "rate", "loss", "reset-connections"]),
        (DarkReturn, &["kill", "cut", "slow-disk", "host-crash"]),
    ];
    for (kind, parts) in parts {
        let told = stories(kind);
        let mut seen = std::collections::BTreeSet::new();
        for faults in &told {
            assert!(faults.len() > 1, "{kind:?}: {faults:?}");
            for planned in faults {
                assert!(planned.duration > Span::ZERO && planned.end() <= Span::from_secs(120), "{planned:?}");
                seen.insert(planned.fault.kind());
            }
        }
        assert!(parts.iter().all(|part| seen.contains(part)), "{kind:?}: {seen:?}");
    }
}

#[test]
fn a_broker_has_lost_its_session_when_its_return_is_disturbed() {
    let session = Span::from_secs(18);
    let told = stories(super::ChaosKind::BadReturn);
    let lost = told.iter().filter(|faults| faults[0].duration > session);
    // What hits its way afterwards.
    let disturbed =
        |faults: &&Vec<_>| faults.iter().any(|planned: &crate::schedule::Planned| planned.at >= faults[0].end());
    assert!(lost.filter(disturbed).count() > told.len() / 2);
}

#[test]
fn few_stories_are_cut_off_by_the_end_of_the_phase() {
    let phase = Span::from_secs(120);
    for kind in [super::ChaosKind::SeeSaw, super::ChaosKind::BadReturn, super::ChaosKind::DarkReturn] {
        let told = stories(kind);
        // What is told in full needs no room to the very end.
        let cut_off = told.iter().filter(|faults| faults.iter().any(|planned| planned.at + Span::from_ms(1) >= phase));
        assert!(cut_off.count() < told.len() / 5, "{kind:?}");
    }
}
