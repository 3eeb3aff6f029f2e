//! The rules of older protocols among brokers hold the laws as well: they were replaced for other reasons, or are repaired.

use models::kafka::inter_broker_protocol::ProtocolVersion;
use models::kafka::znode;
use models::observation::{Observation, TruncateReason};
use models::options::OptionValue;
use models::zk::protocol::{Txn, TxnBody};
use scenarios::Scenario;

use crate::{complaints, run, scenario, watch};

/// What a run has shown of the old rules.
#[derive(Default)]
struct Seen {
    epoch_queries: u32,
    divergences: u32,
    notifications: u32,
}

fn notifies(txn: &Txn) -> bool {
    let parent = znode::ISR_CHANGE_NOTIFICATION;
    matches!(&txn.body, TxnBody::Create { path, .. } if path.starts_with(parent) && path.len() > parent.len())
}

/// Runs the stretch cluster under a protocol.
fn check(protocol: &str, seeds: std::ops::Range<u64>) -> Seen {
    let mut scenario = scenario("stretch-cluster");
    let version = ProtocolVersion::parse(protocol).expect("a version");
    for broker in &mut scenario.cluster.kafka.brokers {
        broker.config.inter_broker_protocol_version = Some(version);
    }
    let mut seen = Seen::default();
    for seed in seeds {
        let finished = watch(&scenario, seed, |observed| match &observed.what {
            Observation::Truncate { reason: TruncateReason::EpochQuery, .. } => seen.epoch_queries += 1,
            Observation::Truncate { reason: TruncateReason::DivergingEpoch, .. } => seen.divergences += 1,
            Observation::ZkApply { txn, .. } if notifies(txn) => seen.notifications += 1,
            _ => {}
        });
        assert_eq!(complaints(&finished), Vec::<String>::new(), "stretch-cluster under {protocol}, seed {seed}");
    }
    seen
}

#[test]
fn the_rules_of_2_6_hold_the_laws() {
    let seen = check("2.6", 0..6);
    assert!(seen.epoch_queries > 0 && seen.notifications > 0, "leaders write the ISR, followers ask for epochs");
    assert_eq!(seen.divergences, 0, "no fetch tells where logs part");
}

/// Broker 3 stands still for longer than its session, while brokers 2 and 4 do not hear of broker 1: whoever leads beside the
/// controller, and cannot hear it, takes broker 3 back before that has registered again.
const UNTOLD_LEADER: &str = "
name: untold-leader
topology:
  sites: [london, frankfurt]
  hosts:
    kafka1: {site: london}
    kafka2: {site: london}
    kafka3: {site: frankfurt}
    kafka4: {site: frankfurt}
    zk1: {site: london}
    zk2: {site: frankfurt}
    zk3: {site: frankfurt}
    app: {site: london}
  links:
    - {from: london, to: frankfurt, delay: 15ms}
    - {from: frankfurt, to: london, delay: 15ms}
cluster:
  zookeeper:
    servers: {1: zk1, 2: zk2, 3: zk3}
  kafka:
    options:
      zookeeper.session.timeout.ms: 6000
      replica.lag.time.max.ms: 5000
      default.replication.factor: 3
      min.insync.replicas: 1
      offsets.topic.replication.factor: 3
      inter.broker.protocol.version: 2.7-IV1
    brokers: {1: kafka1, 2: kafka2, 3: kafka3, 4: kafka4}
workload:
  topics: 1
  partitions: 8
  replication_factor: 3
  records_per_second: 20
  record_size: 100B
  producers: [{host: app}]
  consumers: [{host: app, options: {auto.offset.reset: earliest}}]
phases: {warm_up: 20s, faults: 40s, quiet_hold: 10s}
schedule:
  faults:
    - {at: 1s, for: 16s, fault: pause, process: broker3}
    - {at: 2s, for: 30s, fault: cut, from: kafka1, to: [kafka2, kafka4], direction: both}
";

#[test]
fn a_leader_that_writes_the_isr_without_having_heard_is_reported_and_no_more() {
    let scenario = Scenario::parse("untold-leader.yaml", UNTOLD_LEADER).expect("a valid scenario");
    let mut permitted = 0;
    for seed in 0..4 {
        let finished = run(&scenario, seed);
        assert_eq!(complaints(&finished), Vec::<String>::new(), "seed {seed}");
        let reports = finished.judgement.reports.iter().filter(|report| report.name == "R-NO-FENCED-IN-ISR");
        permitted += reports.map(|report| report.permitted).sum::<u64>();
    }
    assert!(permitted > 0, "some leader took broker 3 back before it had registered");
}

#[test]
fn the_rules_of_2_7_hold_the_laws() {
    let seen = check("2.7-IV1", 0..3);
    assert!(seen.divergences > 0 && seen.notifications > 0, "leaders still write the ISR");
    assert_eq!(seen.epoch_queries, 0, "fetches tell where logs part");
}
