use std::sync::Arc;

use super::{Broker, Node, P0, addresses, cluster, partitions};
use crate::defect::Defects;
use crate::id::{BrokerId, TopicPartition, ValueId};
use crate::kafka::client::{Consumer, ConsumerSpec, Subscribed};
use crate::kafka::config::ConsumerConfig;
use crate::kafka::protocol::{FetchRequest, RecordBatch, Request};
use crate::observation::Observation;
use crate::testing::Harness;
use crate::time::{Instant, Span};

const SECOND: Span = Span::from_secs(1);

fn consumer(n: u16, reset: &str) -> Harness<Node> {
    consumer_with(n, reset, Defects::NONE)
}

fn consumer_with(n: u16, reset: &str, defects: Defects) -> Harness<Node> {
    let mut config = ConsumerConfig::default();
    config.set("auto.offset.reset", reset).expect("a valid option");
    let spec = ConsumerSpec {
        config: Arc::new(config),
        bootstrap: addresses(),
        partitions: partitions(n),
        subscribed: Subscribed::Manually,
        start_after: Span::ZERO,
        end_offsets_every: None,
        defects,
    };
    cluster(Node::Consumer(Box::new(Consumer::new(spec))), n)
}

/// Appends one batch to a partition's log on a broker.
fn append(harness: &mut Harness<Node>, broker: u16, partition: TopicPartition, epoch: i32, values: &[u64]) {
    let values = values.iter().map(|value| ValueId(*value)).collect();
    let (base_offset, size, timestamp) = (0, 100, Instant::ZERO);
    let batch =
        RecordBatch { base_offset, leader_epoch: epoch, producer: None, values, content: None, size, timestamp };
    harness.broker_mut(broker).append(partition, &batch, epoch);
}

fn position(harness: &Harness<Node>, partition: TopicPartition) -> Option<u64> {
    let Node::Consumer(consumer) = harness.process(0) else { panic!("process 0 is the client") };
    consumer.position(partition)
}

/// Offset and value of everything that was read of [`P0`], in order.
fn read(harness: &Harness<Node>) -> Vec<(u64, u64)> {
    let polls = harness.seen().into_iter().filter_map(|what| match what {
        Observation::Poll { partition: P0, base_offset, values, .. } => Some((base_offset, values)),
        _ => None,
    });
    polls.flat_map(|(base, values)| (base..).zip(values.iter().map(|v| v.0).collect::<Vec<_>>())).collect()
}

fn resets(harness: &Harness<Node>) -> Vec<(u64, u64)> {
    let reset = |what| if let Observation::PositionReset { from, to, .. } = what { Some((from, to)) } else { None };
    harness.seen().into_iter().filter_map(reset).collect()
}

fn fetches(harness: &Harness<Node>, broker: u16) -> Vec<&FetchRequest> {
    let requests = harness.broker(broker).seen.iter();
    requests
        .filter_map(|(_, _, request)| if let Request::Fetch(fetch) = request { Some(&**fetch) } else { None })
        .collect()
}

#[test]
fn everything_is_read_from_the_earliest_offset_and_the_end_is_told_once() {
    let mut harness = consumer(2, "earliest");
    append(&mut harness, 1, P0, 0, &[10, 11]);
    append(&mut harness, 1, P0, 0, &[12]);
    assert_eq!(position(&harness, P0), None);
    harness.run_for(SECOND);
    append(&mut harness, 1, P0, 0, &[13]);
    harness.run_for(SECOND);
    assert_eq!(read(&harness), [(0, 10), (1, 11), (2, 12), (3, 13)]);
    assert_eq!(position(&harness, P0), Some(4));
    let seen = harness.seen();
    assert!(matches!(&seen[0], Observation::Assign { partitions } if partitions.len() == 2));
    let ends = seen.iter().filter_map(|what| match what {
        Observation::EndOffset { partition: P0, offset } => Some(*offset),
        _ => None,
    });
    assert_eq!(ends.collect::<Vec<_>>(), [3, 4]);
    let polls = seen.iter().filter(|what| matches!(what, Observation::Poll { partition: P0, .. }));
    assert_eq!(polls.count(), 2, "batches that follow each other are one poll");
    assert_eq!(resets(&harness), []);
}

#[test]
fn an_incremental_session_names_only_what_moved() {
    let mut harness = consumer(50, "earliest");
    harness.run_for(SECOND);
    append(&mut harness, 1, P0, 0, &[10]);
    harness.run_for(SECOND);
    let requests = fetches(&harness, 1);
    assert_eq!((requests[0].session.epoch, requests[0].partitions.len()), (0, 50));
    assert!(requests.iter().skip(1).all(|request| request.session.id == 7 && request.forgotten.is_empty()));
    let named: Vec<_> = requests.iter().skip(1).flat_map(|request| &request.partitions).collect();
    assert_eq!(named.len(), 1);
    assert_eq!((named[0].partition, named[0].fetch_offset), (P0, 1));
    assert!(requests.len() > 50, "one fetch after the other");
}

#[test]
fn a_new_leader_is_followed_with_the_position_validated() {
    let mut harness = consumer(2, "earliest");
    append(&mut harness, 1, P0, 0, &[10, 11]);
    append(&mut harness, 2, P0, 0, &[10, 11]);
    harness.run_for(SECOND);
    harness.elect(Some(2), 1);
    append(&mut harness, 2, P0, 1, &[12]);
    harness.run_for(SECOND);
    assert_eq!(read(&harness), [(0, 10), (1, 11), (2, 12)]);
    assert_eq!(resets(&harness), []);
    let validated = |(_, _, request): &&(Instant, _, Request)| matches!(request, Request::OffsetsForLeaderEpoch(_));
    assert_eq!(harness.broker(2).seen.iter().filter(validated).count(), 1);
    let forgotten: Vec<_> = fetches(&harness, 1).iter().flat_map(|request| request.forgotten.clone()).collect();
    assert_eq!(forgotten, [P0]);
    assert!(fetches(&harness, 2).iter().flat_map(|r| &r.partitions).all(|p| p.current_leader_epoch == Some(1)));
}

#[test]
fn a_truncated_log_is_noticed() {
    let check = |reset: &str, expected: &[(u64, u64)], resets_to: &[(u64, u64)]| {
        let mut harness = consumer(1, reset);
        harness.run_for(SECOND); // Whatever the policy, an empty log begins and ends at 0.
        append(&mut harness, 1, P0, 0, &[10, 11, 12]);
        append(&mut harness, 2, P0, 0, &[10]);
        harness.run_for(SECOND);
        assert_eq!(position(&harness, P0), Some(3));
        harness.elect(Some(2), 1);
        append(&mut harness, 2, P0, 1, &[21, 22, 23, 24]);
        harness.run_for(SECOND);
        assert_eq!(read(&harness), expected, "{reset}");
        assert_eq!(resets(&harness), resets_to, "{reset}");
    };
    let seen = [(0, 10), (1, 11), (2, 12)];
    let after = [(0, 10), (1, 11), (2, 12), (1, 21), (2, 22), (3, 23), (4, 24)];
    check("latest", &after, &[(3, 1)]);
    check("earliest", &after, &[(3, 1)]);
    check("none", &seen, &[]);
}

#[test]
fn an_offset_out_of_range_is_reset_by_the_policy() {
    let check = |reset: &str, expected: &[(u64, u64)], to: Option<u64>| {
        let mut harness = consumer(1, reset);
        harness.run_for(SECOND); // Whatever the policy, an empty log begins and ends at 0.
        append(&mut harness, 1, P0, 0, &[10, 11, 12]);
        harness.run_for(SECOND);
        harness.broker_mut(1).logs.clear();
        append(&mut harness, 1, P0, 0, &[20]);
        harness.run_for(SECOND);
        assert_eq!(resets(&harness), expected, "{reset}");
        assert_eq!(position(&harness, P0), to);
    };
    // The log was lost and begun anew under the same leader epoch, so that validation has nothing to notice.
    check("latest", &[(3, 1)], Some(1));
    check("earliest", &[(3, 0)], Some(1));
    check("none", &[], Some(3));
}

#[test]
fn a_broken_connection_opens_the_session_anew_and_loses_nothing() {
    let mut harness = consumer(3, "earliest");
    append(&mut harness, 1, P0, 0, &[10]);
    harness.run_for(SECOND);
    harness.crash(1, crate::process::Loss::Memory);
    harness.run_for(SECOND);
    harness.restart(1);
    append(&mut harness, 1, P0, 0, &[11]);
    harness.run_for(Span::from_secs(3));
    assert_eq!(read(&harness), [(0, 10), (1, 11)]);
    let opened = fetches(&harness, 1).into_iter().filter(|request| request.session.epoch == 0);
    assert_eq!(opened.map(|request| request.partitions.len()).collect::<Vec<_>>(), [3, 3]);
}

#[test]
fn a_new_position_is_where_the_policy_says() {
    let check = |reset: &str, expected: &[(u64, u64)], first: u64| {
        let mut harness = consumer(1, reset);
        append(&mut harness, 1, P0, 0, &[10, 11]);
        harness.run_for(SECOND);
        append(&mut harness, 1, P0, 0, &[12]);
        harness.run_for(SECOND);
        assert_eq!(read(&harness), expected, "{reset}");
        let began = harness.seen().into_iter().find_map(|what| match what {
            Observation::FirstPosition { partition: P0, offset } => Some(offset),
            _ => None,
        });
        assert_eq!(began, Some(first), "{reset}");
    };
    check("earliest", &[(0, 10), (1, 11), (2, 12)], 0);
    check("latest", &[(2, 12)], 2);
    check("none", &[(0, 10), (1, 11), (2, 12)], 0);
}

/// KIP-392: records come from the follower that the leader names, until the preference is as old as metadata may be.
#[test]
fn a_preferred_follower_is_read_until_the_preference_ends() {
    let mut harness = consumer(1, "earliest");
    harness.broker_mut(1).prefers = Some(BrokerId(2));
    harness.broker_mut(2).serves = true;
    append(&mut harness, 2, P0, 0, &[10]);
    harness.run_for(SECOND);
    assert_eq!((read(&harness), fetches(&harness, 1).len()), (vec![(0, 10)], 1), "the leader was asked once");
    harness.broker_mut(1).prefers = None;
    append(&mut harness, 1, P0, 0, &[10, 11]);
    harness.run_for(Span::from_secs(298));
    assert_eq!(read(&harness), [(0, 10)]);
    harness.run_for(Span::from_secs(3));
    assert_eq!(read(&harness), [(0, 10), (1, 11)], "after metadata.max.age.ms the leader is asked again");
}

/// KAFKA-7747 (G04): what was truncated and written anew below its position is never read.
#[test]
fn the_defect_goes_on_at_an_offset_of_another_history() {
    let check = |defects: Defects, expected: &[(u64, u64)]| {
        let mut harness = consumer_with(1, "earliest", defects);
        append(&mut harness, 1, P0, 0, &[10, 11, 12]);
        append(&mut harness, 2, P0, 0, &[10]);
        harness.run_for(SECOND);
        append(&mut harness, 2, P0, 1, &[21, 22, 23]);
        harness.elect(Some(2), 1);
        harness.run_for(SECOND);
        assert_eq!(read(&harness)[3..], *expected, "{defects:?}");
    };
    check(Defects::NONE, &[(1, 21), (2, 22), (3, 23)]);
    check(Defects::NONE.with(crate::defect::Defect::ConsumerBlindToTruncation), &[(3, 23)]);
}

/// X10: where a leader has more records, of an older epoch than was read last, the end that it names proves nothing. The repaired consumer
/// goes back to where the histories part, if need be in several steps.
#[test]
fn a_longer_log_of_older_epochs_is_another_history() {
    let check =
        |read_before: &[(i32, &[u64])], elected: &[(i32, &[u64])], defects: Defects, expected: &[(u64, u64)]| {
            let mut harness = consumer_with(1, "earliest", defects);
            for (broker, log) in [(1, read_before), (2, elected)] {
                for (epoch, values) in log {
                    append(&mut harness, broker, P0, *epoch, values);
                }
            }
            harness.run_for(SECOND);
            let before = read(&harness).len();
            harness.elect(Some(2), 9);
            harness.run_for(SECOND);
            assert_eq!(read(&harness)[before..], *expected, "{defects:?}");
        };
    let defective = Defects::NONE.with(crate::defect::Defect::ValidationByEndAlone);
    let two: &[(i32, &[u64])] = &[(0, &[10]), (2, &[11, 12])];
    let longer: &[(i32, &[u64])] = &[(0, &[10, 20, 21, 22])];
    check(two, longer, Defects::NONE, &[(1, 20), (2, 21), (3, 22)]);
    check(two, longer, defective, &[(3, 22)]);
    // Epochs 3 and 1 are unknown to the new leader, one after the other.
    let three: &[(i32, &[u64])] = &[(0, &[10]), (1, &[11]), (3, &[12])];
    let other: &[(i32, &[u64])] = &[(0, &[10, 20]), (2, &[21, 22])];
    check(three, other, Defects::NONE, &[(1, 20), (2, 21), (3, 22)]);
    check(three, other, defective, &[(3, 22)]);
    // What was read is all there.
    check(two, &[(0, &[10]), (2, &[11, 12, 13])], Defects::NONE, &[(3, 13)]);
    // The log of the older epoch ends before it: both go back, the defective one not far enough.
    let shorter: &[(i32, &[u64])] = &[(0, &[10, 20]), (4, &[21])];
    check(two, shorter, Defects::NONE, &[(1, 20), (2, 21)]);
    check(two, shorter, defective, &[(2, 21)]);
}
