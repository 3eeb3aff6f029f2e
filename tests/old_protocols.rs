//! The rules of older protocols among brokers hold the laws as well: they were replaced for other reasons, or are repaired.

use models::kafka::inter_broker_protocol::ProtocolVersion;
use models::kafka::znode;
use models::observation::{Observation, TruncateReason};
use models::options::OptionValue;
use models::zk::protocol::{Txn, TxnBody};

use crate::{complaints, scenario, watch};

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

#[test]
fn the_rules_of_2_7_hold_the_laws() {
    let seen = check("2.7-IV1", 0..3);
    assert!(seen.divergences > 0 && seen.notifications > 0, "leaders still write the ISR");
    assert_eq!(seen.epoch_queries, 0, "fetches tell where logs part");
}
