use std::collections::BTreeSet;

use models::time::Span;

use super::{Configuration, Profile, SEEDS_PER_WORLD, Swarm, world_of};
use crate::library;
use crate::scenario::Scenario;

fn swarm(base: &str, profile: Profile) -> Swarm {
    let mut base = library::find(base).unwrap().scenario().unwrap();
    base.phases.faults = Span::from_secs(120);
    Swarm { base, profile, configuration: Configuration::Drawn }
}

#[test]
fn a_drawn_world_is_one_that_a_file_could_have_said() {
    for base in ["stretch-cluster", "consumer-group-wan-cut", "zookeeper-2-2-cut", "wan-cut-two-controllers"] {
        for profile in Profile::ALL {
            for world in 0..60 {
                let drawn = swarm(base, profile).world(world);
                let text = drawn.to_yaml();
                let read = Scenario::parse("drawn.yaml", &text);
                assert_eq!(read, Ok(drawn), "{base}, {profile:?}, world {world}:\n{text}");
            }
        }
    }
}

#[test]
fn a_schedule_can_be_written_into_its_scenario() {
    let swarm = swarm("stretch-cluster", Profile::Everything);
    for seed in 0..200 {
        let case = swarm.case(seed);
        assert!(!case.schedule.faults.is_empty());
        assert!(case.schedule.end() <= case.scenario.phases.faults, "seed {seed}");
        let explicit = case.schedule.written_into(&case.scenario);
        let read = Scenario::parse("explicit.yaml", &explicit.to_yaml()).unwrap_or_else(|errors| {
            panic!("seed {seed}: {}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        });
        assert_eq!(read, explicit, "seed {seed}");
        assert_eq!(crate::schedule::Schedule::draw(&read, seed), case.schedule, "seed {seed}");
    }
}

#[test]
fn a_leader_that_nobody_joins_has_given_up_before_the_start_is_over() {
    let worlds = |base| (0..60).map(move |world| swarm(base, Profile::Everything).world(world));
    let mut longer = 0;
    for world in worlds("stretch-cluster").chain(worlds("zookeeper-2-2-cut")) {
        let config = &world.cluster.zookeeper.config;
        let alone = Span::from_ms(u64::from(config.init_limit) * u64::from(config.tick_time));
        assert!(world.phases.warm_up >= Span::from_secs(30).max(world.start_up.1 + alone + Span::from_secs(10)));
        longer += usize::from(world.phases.warm_up > Span::from_secs(60));
    }
    assert!(longer > 0, "the drawn limits reach beyond the library's warm-up");
}

#[test]
fn seeds_of_a_world_differ_in_their_schedules_alone() {
    let swarm = swarm("stretch-cluster", Profile::Everything);
    let cases: Vec<_> = (0..SEEDS_PER_WORLD * 2).map(|seed| swarm.case(seed)).collect();
    for (seed, case) in (0..).zip(&cases) {
        assert_eq!(case, &swarm.case_in(swarm.world(world_of(seed)).into(), seed));
        let first = &cases[(world_of(seed) * SEEDS_PER_WORLD) as usize];
        assert_eq!(case.scenario, first.scenario);
    }
    assert_ne!(cases[0].scenario, cases[SEEDS_PER_WORLD as usize].scenario);
    let schedules: BTreeSet<String> = cases.iter().map(|case| format!("{:?}", case.schedule)).collect();
    assert_eq!(schedules.len(), cases.len());
}

#[test]
fn worlds_reach_every_size_and_switch_kinds_off() {
    let swarm = swarm("stretch-cluster", Profile::Everything);
    let (mut brokers, mut servers, mut sites, mut shapes) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let (mut on, mut unclean) = (std::collections::BTreeMap::new(), 0);
    const WORLDS: u32 = 400;
    for world in 0..WORLDS {
        let drawn = swarm.world(world.into());
        brokers.insert(drawn.cluster.kafka.brokers.len());
        servers.insert(drawn.cluster.zookeeper.servers.len());
        sites.insert(drawn.topology.sites.len());
        let config = &drawn.cluster.kafka.brokers[0].config;
        assert!(config.min_insync_replicas <= config.default_replication_factor);
        unclean += u32::from(config.unclean_leader_election_enable);
        shapes.insert((config.default_replication_factor, config.min_insync_replicas));
        for (kind, _) in drawn.chaos.as_ref().unwrap().weights.iter() {
            *on.entry(kind).or_insert(0u32) += 1;
        }
    }
    assert!((WORLDS / 20..WORLDS / 5).contains(&unclean), "{unclean}");
    assert_eq!(brokers, BTreeSet::from([1, 2, 3, 4, 5, 6]));
    assert_eq!(servers, BTreeSet::from([3, 4, 5]));
    assert_eq!(sites, BTreeSet::from([1, 2, 3]));
    assert!(shapes.len() > 10, "{shapes:?}");
    assert!(on.len() > 20, "{on:?}");
    assert!(on.values().all(|worlds| (WORLDS / 20..WORLDS / 2).contains(worlds)), "{on:?}");
}

#[test]
fn without_drawn_configuration_the_cluster_stays() {
    let mut swarm = swarm("stretch-cluster", Profile::Wan);
    swarm.configuration = Configuration::Kept;
    let world = swarm.world(5);
    assert_eq!((&world.cluster, &world.topology), (&swarm.base.cluster, &swarm.base.topology));
    assert_eq!(world.workload, swarm.base.workload);
}

#[test]
fn a_wrong_profile_is_named_with_the_nearest() {
    assert_eq!(Profile::parse("disk"), Ok(Profile::Disk));
    let error = Profile::parse("disc").unwrap_err();
    assert_eq!(error, "there is no profile `disc`; did you mean `disk`?; valid: wan, disk, clock, flap, everything");
}
