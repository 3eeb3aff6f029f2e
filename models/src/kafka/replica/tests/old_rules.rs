//! The rules of protocols before 2.7, and the defects of their time.

use super::*;
use crate::defect::Defect;
use crate::options::OptionValue;

/// A cluster with these defects, or else of that protocol, in which broker 0 leads `P0` in epoch 1.
fn led_by_0(protocol: Option<&str>, defects: &[Defect]) -> Cluster {
    let version = protocol.map(|text| OptionValue::parse(text).expect("a version"));
    let set = |config: &mut BrokerConfig| config.inter_broker_protocol_version = version;
    let mut cluster = Cluster::with_defects(set, defects.iter().copied().collect());
    cluster.elect(&ALL, 0, 1, &ALL);
    cluster.run_ms(100);
    cluster
}

fn hold_all(cluster: &mut Cluster) {
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        cluster.harness.hold(a, b);
    }
}

/// KIP-101, KIP-279: in epochs that the leader does not know logs are cut to the common prefix, unless its answer names no
/// epoch.
#[test]
fn an_epoch_that_the_leader_does_not_know_is_asked_about_until_both_agree() {
    let check = |protocol, defects: &[Defect], expected: &[u64]| {
        let mut cluster = led_by_0(protocol, defects);
        cluster.produce(0, Acks::All, 5);
        cluster.run_ms(600);
        hold_all(&mut cluster);
        cluster.produce(0, Acks::Leader, 1); // Value 6 at offset 5 in epoch 1.
        cluster.elect(&[1], 1, 2, &ALL);
        cluster.produce(1, Acks::Leader, 1); // Value 7 at offset 5 in epoch 2.
        cluster.elect(&[0], 0, 3, &ALL);
        cluster.produce(0, Acks::Leader, 1); // Value 8 at offset 6 in epoch 3.
        cluster.elect(&[1], 0, 3, &ALL);
        cluster.harness.release(0, 1);
        cluster.run_ms(2_000);
        assert_eq!(cluster.values(1), expected, "{protocol:?} {defects:?}");
    };
    let repaired = [1, 2, 3, 4, 5, 6, 8];
    check(Some("2.6"), &[], &repaired);
    check(Some("2.0"), &[], &repaired);
    check(Some("2.7-IV1"), &[], &repaired);
    let forked = [1, 2, 3, 4, 5, 7, 8];
    check(None, &[Defect::EpochQueryTooCoarse], &forked);
    check(Some("1.1"), &[], &forked);
}

/// KAFKA-1211 (R01): a follower that has not heard of the high watermark yet keeps what is committed.
#[test]
fn a_follower_cuts_to_its_own_high_watermark_only_before_epochs() {
    let check = |protocol, defects: &[Defect], expected: &[(u64, u64)]| {
        let mut cluster = led_by_0(protocol, defects);
        cluster.produce(0, Acks::All, 2);
        cluster.run_ms(5);
        assert_eq!((cluster.ends(0), cluster.ends(1)), ((2, 2), (2, 0)), "committed, and not yet told");
        cluster.elect(&[1, 2], 2, 2, &[1, 2]);
        cluster.run_ms(2_000);
        assert_eq!(cluster.cuts(1), expected, "{protocol:?} {defects:?}");
        assert_eq!(cluster.values(1), [1, 2]);
    };
    check(Some("2.6"), &[], &[]);
    check(Some("0.11.0"), &[], &[]);
    check(None, &[Defect::HwTruncation], &[(2, 0)]);
    check(Some("0.10.2"), &[], &[(2, 0)]);
}

/// KAFKA-7415 (R04): a leader that has appended nothing yet knows where earlier epochs end.
#[test]
fn an_idle_leader_bounds_the_epochs_before_its_own() {
    let check = |protocol, defects: &[Defect], expected: (u64, u64)| {
        let mut cluster = led_by_0(protocol, defects);
        cluster.produce(0, Acks::All, 3);
        cluster.run_ms(5);
        hold_all(&mut cluster);
        cluster.elect(&[1], 1, 2, &ALL);
        cluster.produce(1, Acks::Leader, 1); // At offset 3, and nowhere else.
        cluster.elect(&[2], 2, 3, &ALL);
        cluster.elect(&[1], 2, 3, &ALL);
        cluster.harness.release(1, 2);
        cluster.run_ms(2_000);
        assert_eq!(cluster.cuts(1), [expected], "{protocol:?} {defects:?}");
    };
    check(Some("2.6"), &[], (4, 3));
    check(None, &[Defect::EpochNotStoredOnElection], (4, 0)); // Its high watermark.
}

/// KAFKA-7164 (R06), KAFKA-7395 (R07): broker 1 misses an epoch in which its leader follows another one, and cuts its log.
#[test]
fn a_follower_that_misses_an_epoch_is_not_served_in_the_next_one() {
    let check = |protocol, defects: &[Defect], told: bool, expected: &[u64]| {
        let mut cluster = led_by_0(protocol, defects);
        cluster.produce(0, Acks::All, 1);
        cluster.run_ms(600);
        cluster.harness.hold(0, 2);
        cluster.produce(0, Acks::Leader, 1); // Value 2 at offset 1, on brokers 0 and 1.
        cluster.run_ms(10);
        cluster.harness.hold(0, 1);
        cluster.harness.hold(1, 2);
        cluster.elect(&[2], 2, 2, &ALL);
        cluster.produce(2, Acks::Leader, 1); // Value 3 at offset 1.
        cluster.elect(&[0], 2, 2, &ALL);
        cluster.harness.release(0, 2);
        cluster.run_ms(2_000);
        assert_eq!(cluster.values(0), [1, 3]);
        cluster.elect(&[0, 2], 0, 3, &ALL);
        cluster.produce(0, Acks::Leader, 1); // Value 4 at offset 2.
        if told {
            cluster.elect(&[1], 0, 3, &ALL);
        }
        cluster.harness.release(0, 1);
        cluster.run_ms(3_000);
        assert_eq!(cluster.values(1), expected, "{protocol:?} {defects:?} {told}");
    };
    let (right, fenced, forked) = ([1, 3, 4], [1, 2], [1, 2, 4]);
    check(Some("2.6"), &[], true, &right);
    check(Some("2.6"), &[], false, &fenced);
    check(None, &[Defect::FetchWithoutEpoch], true, &right);
    check(None, &[Defect::FetchWithoutEpoch], false, &forked);
    check(Some("2.0"), &[], false, &forked);
    check(None, &[Defect::SkipTruncationSameLeader], true, &forked);
}

/// Before KIP-227 every fetch names every partition.
#[test]
fn fetches_are_incremental_since_1_1() {
    let fetched = |protocol| {
        let mut cluster = led_by_0(Some(protocol), &[]);
        let ids: Vec<_> = (0..5).map(|partition| TopicPartition { topic: Topic(0), partition }).collect();
        cluster.elect_all(&ALL, &ids, 0, 2, &ALL);
        cluster.run_ms(3_000);
        cluster.harness.process_mut(1).fetch_sizes.clear();
        cluster.run_ms(3_000);
        cluster.harness.process(1).fetch_sizes.iter().copied().max()
    };
    assert_eq!((fetched("1.0"), fetched("1.1")), (Some(5), Some(0)));
}
