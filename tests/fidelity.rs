//! Agreement with real ZooKeeper: a bounded part of what `sim fidelity` judges.

use models::time::Span;
use scenarios::Scenario;
use scenarios::fault::Fault;
use sim::fidelity::lab::Measured;
use sim::fidelity::metrics::{Category, Measures, measure};
use sim::fidelity::{ZOOKEEPER_3_8_0, exact, rig, simulate};

/// Seeds of each case. All of them are `sim fidelity`.
const SEEDS: u64 = 4;

#[test]
fn every_measured_case_takes_a_measured_course_and_loses_nothing() {
    let measured = Measured::read(ZOOKEEPER_3_8_0);
    assert_eq!(measured.skipped, Vec::<String>::new());
    assert_eq!(measured.cases.values().map(Vec::len).sum::<usize>(), 61);
    for (case, runs) in &measured.cases {
        let real: Vec<Measures> = runs.iter().map(|run| measure(&run.story())).collect();
        for seed in 0..SEEDS {
            let story = simulate::story(&runs[seed as usize % runs.len()], seed);
            let told = measure(&story.unwrap_or_else(|what| panic!("{case}, seed {seed}: {what}")));
            if told.branch < sim::fidelity::metrics::Branch::SecondElection {
                let known = real.iter().any(|real| real.branch == told.branch);
                assert!(known, "{case}, seed {seed}: {:?} was never measured", told.branch);
            }
            if let Some(lost) = told.categories.get(&Category::AcknowledgedLost) {
                assert_eq!(lost, "0", "{case}, seed {seed}: acknowledged writes lost");
            }
        }
    }
}

/// A run in the raw format with everything that the built-in ones do not have.
const OTHER: &str = r#"{"schema":"zk-run/1","case":"3+2/oneway-fromL-30s/Lmin/rtt80/tcp_retries2=3/tcp_rto_max_ms=1000","run":1,
"sites":{"s1":"A","s2":"A","s3":"A","s4":"B","s5":"B"},"leader0":"s5","fault":"oneway-ba","dur_s":30.0,"rtt_ms":80.0,
"conf":{"zk":"3.8.0","tickTime":2000,"initLimit":10,"syncLimit":5,"session_ms":9000,"pause_ms":20,
"extra":["tickTime=1000","syncLimit=4"]},"t_fault":1000000.0,"t_heal":1030000.5,"recovered":true,"clients":{},"events":[]}"#;

#[test]
fn a_rig_is_built_from_what_a_run_recorded_and_is_an_ordinary_scenario() {
    let measured = Measured::read(&format!("{}\n{{\"no\": \"run\"}}\n", OTHER.replace('\n', "")));
    assert_eq!(measured.skipped.len(), 1, "a line that is no run is passed over");
    let run = &measured.cases.values().next().expect("the line is a run")[0];
    let rig = rig::scenario(run, Span::from_ms(300)).expect("it can be expressed");
    let config = &rig.cluster.zookeeper.config;
    assert_eq!((config.tick_time, config.init_limit, config.sync_limit), (1_000, 10, 4));
    let kernel = |host: usize| rig.topology.hosts[host].tcp.as_ref().map(|tcp| (tcp.retries2, tcp.rto_max));
    assert_eq!(kernel(4), Some((3, Span::from_ms(1_000))), "servers have the settings");
    assert_eq!(kernel(5), None, "clients do not");
    assert_eq!(rig.faults[0].duration, Span::from_us(30_000_500));
    assert!(matches!(&rig.faults[0].fault, Fault::Cut { route, .. } if !route.both_ways));
    assert_eq!(rig.topology.links[0].netem.delay, Span::from_us(40_100), "half the round trip, and the bridges");
    let servers: Vec<usize> = rig.workload.sessions.iter().map(|group| group.config.servers.len()).collect();
    assert_eq!(servers, [5, 3, 5, 2]);
    let again = Scenario::parse("rig.yaml", &rig.to_yaml()).unwrap_or_else(|errors| panic!("{errors:?}"));
    assert_eq!(again, rig);
    let story = simulate::story(run, 1).unwrap_or_else(|what| panic!("{what}"));
    assert!(story.recovered, "it heals");
}

#[test]
fn incompatible_shares_are_told_from_compatible_ones() {
    assert!(exact::p_value(&[5, 5, 2, 2], &[35, 4, 0, 1]) < 0.01);
    assert!(exact::p_value(&[5, 5, 2, 2], &[22, 19, 5, 4]) > 0.5);
}
