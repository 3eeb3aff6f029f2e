//! What becomes of partitions when brokers come and go, and when leaders ask.

use super::cluster::{Cluster, tp};
use super::is_state_write;
use crate::defect::Defects;
use crate::id::{BrokerId, ConnId};
use crate::kafka::config::BrokerConfig;
use crate::kafka::protocol::{AlterPartitionRequest, ErrorCode, Origin, Request, Response};
use crate::kafka::znode;
use crate::time::Span;

const THREE: &[&[i32]] = &[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]];

fn settled(assignments: &[&[i32]]) -> Cluster {
    Cluster::settled(3, assignments, &BrokerConfig::default(), Defects::NONE)
}

fn check_states(cluster: &Cluster, expected: &[(i32, i32, &[i32], i32)]) {
    for (partition, (leader, epoch, isr, version)) in expected.iter().enumerate() {
        assert_eq!(cluster.state(partition as u16), (*leader, *epoch, isr.to_vec(), *version), "partition {partition}");
    }
}

#[test]
fn a_dead_broker_costs_each_partition_one_epoch() {
    let mut cluster = settled(THREE);
    cluster.kill(2);
    cluster.run();
    check_states(&cluster, &[(1, 1, &[1, 3], 1), (3, 1, &[3, 1], 1), (3, 1, &[3, 1], 1)]);
}

#[test]
fn the_next_leader_is_the_first_of_the_assignment_that_is_in_sync() {
    let mut cluster = settled(&[&[2, 1, 3]]);
    let request = cluster.wish(0, &[3, 2]);
    cluster.alter(1, 1, request);
    cluster.run();
    cluster.kill(2);
    cluster.run();
    check_states(&cluster, &[(3, 1, &[3], 2)]);
}

#[test]
fn a_failover_with_a_dead_leader_costs_two_epochs() {
    let mut cluster = settled(THREE);
    cluster.kill(1);
    cluster.run();
    assert_eq!(cluster.active(), [2]);
    check_states(&cluster, &[(2, 2, &[2, 3], 2), (2, 1, &[2, 3], 1), (3, 1, &[3, 2], 1)]);
}

#[test]
fn a_write_that_was_overtaken_is_repeated_unless_a_newer_controller_wrote() {
    for (foreign_epoch, expected) in [(1, (1, 1, vec![1, 3], 2)), (9, (1, 0, vec![1, 2, 3], 1))] {
        let mut cluster = settled(&[&[1, 2, 3]]);
        cluster.kill(2);
        cluster.step_until(1, |c| c.awaits(1, is_state_write));
        let content = znode::PartitionStateZnode::new(&cluster.leader_and_isr(0), foreign_epoch);
        cluster.store.put(&znode::partition_state_path(tp(0)), &znode::encode(&content));
        cluster.run();
        assert_eq!(cluster.state(0), expected, "written by controller epoch {foreign_epoch}");
    }
}

#[test]
fn a_broker_that_bounced_unseen_is_told_everything_under_its_new_epoch() {
    let mut cluster = settled(THREE);
    cluster.nodes.get_mut(&1).unwrap().cut = true;
    cluster.expire_at_store(3);
    cluster.learn_expiry(3);
    cluster.renew(3);
    cluster.run();
    cluster.sent.clear();
    cluster.nodes.get_mut(&1).unwrap().cut = false;
    cluster.run();
    check_states(&cluster, &[(1, 1, &[1, 2], 1), (2, 1, &[2, 1], 1), (1, 1, &[1, 2], 1)]);
    let epoch = cluster.broker_epoch(3);
    let to: Vec<_> = cluster.sent.iter().filter(|(_, to, _)| *to == 3).map(|(_, _, request)| request).collect();
    assert!(matches!(to[0], Request::UpdateMetadata(r) if r.broker_epoch == epoch && r.partitions.len() == 3));
    assert!(matches!(to[1], Request::LeaderAndIsr(r) if r.broker_epoch == epoch && r.partitions.len() == 3));
}

#[test]
fn unclean_elections_follow_the_topic_then_the_broker() {
    let check = |default: bool, topic: Option<bool>, unclean: bool| {
        let config = BrokerConfig { unclean_leader_election_enable: default, ..BrokerConfig::default() };
        let mut cluster = Cluster::settled(3, &[&[2, 3]], &config, Defects::NONE);
        if let Some(value) = topic {
            let content = format!(r#"{{"version":1,"config":{{"unclean.leader.election.enable":"{value}"}}}}"#);
            cluster.store.put("/config/topics/topic-0", &content);
        }
        let request = cluster.wish(0, &[2]);
        cluster.alter(1, 1, request);
        cluster.run();
        cluster.kill(2);
        cluster.run();
        let expected = if unclean { (3, 1, vec![3], 2) } else { (-1, 1, vec![2], 2) };
        assert_eq!(cluster.state(0), expected, "broker {default}, topic {topic:?}");
        assert_eq!(cluster.leader_and_isr(0).recovering, unclean);
    };
    check(false, None, false);
    check(true, None, true);
    check(false, Some(true), true);
    check(true, Some(false), false);
}

#[test]
fn leadership_returns_to_the_preferred_replica_above_the_threshold() {
    for (percentage, leader) in [(100, 1), (99, 2)] {
        let config = BrokerConfig { leader_imbalance_per_broker_percentage: percentage, ..BrokerConfig::default() };
        let mut cluster = Cluster::settled(3, &[&[2, 1, 3]], &config, Defects::NONE);
        // Broker 2 expires, comes back, and is in sync again.
        cluster.expire_at_store(2);
        cluster.learn_expiry(2);
        cluster.run();
        cluster.renew(2);
        cluster.run();
        let request = cluster.wish(0, &[1, 3, 2]);
        cluster.alter(1, 1, request);
        cluster.run();
        check_states(&cluster, &[(1, 1, &[1, 3, 2], 2)]);
        cluster.fire_rebalance(1);
        assert_eq!(cluster.state(0).0, leader, "threshold {percentage}");
        assert_eq!(cluster.state(0).2, [1, 3, 2], "the ISR stays");
    }
}

#[test]
fn alter_partition_is_judged_in_the_documented_order() {
    type Change = fn(&mut AlterPartitionRequest);
    let table: [(&str, Change, Result<i32, ErrorCode>); 11] = [
        ("accepted", |_| {}, Ok(1)),
        ("broker unknown", |r| r.broker = BrokerId(9), Err(ErrorCode::StaleBrokerEpoch)),
        ("broker epoch differs", |r| r.broker_epoch += 1, Err(ErrorCode::StaleBrokerEpoch)),
        ("partition unknown", |r| r.partitions[0].partition = tp(9), Err(ErrorCode::UnknownTopicOrPartition)),
        ("partition epoch above", |r| r.partitions[0].partition_epoch += 1, Err(ErrorCode::NotController)),
        ("leader epoch above", |r| r.partitions[0].leader_epoch += 1, Err(ErrorCode::NotController)),
        ("leader epoch below", |r| r.partitions[0].leader_epoch -= 1, Err(ErrorCode::FencedLeaderEpoch)),
        ("partition epoch below", |r| r.partitions[0].partition_epoch -= 1, Err(ErrorCode::InvalidUpdateVersion)),
        ("recovers again", |r| r.partitions[0].recovering = true, Err(ErrorCode::InvalidRequest)),
        ("member is dead", |r| r.partitions[0].new_isr = znode::brokers(&[1, 2, 4]), Err(ErrorCode::IneligibleReplica)),
        (
            "done already, epoch stale",
            |r| {
                r.partitions[0].new_isr = znode::brokers(&[1, 2, 3]);
                r.partitions[0].partition_epoch -= 1;
            },
            Ok(0),
        ),
    ];
    for (name, change, expected) in table {
        let mut cluster = settled(THREE);
        let mut request = cluster.wish(0, &[1, 2]);
        change(&mut request);
        cluster.sent.clear();
        cluster.alter(1, 1, request);
        cluster.run();
        assert_eq!(cluster.last_alter_answer(1).map(|state| state.partition_epoch), expected, "{name}");
        assert_eq!(cluster.state(0).1, 0, "{name}: the leader epoch stays");
        assert!(!cluster.sent.iter().any(|(_, _, r)| matches!(r, Request::LeaderAndIsr(_))), "{name}: no LeaderAndIsr");
    }
}

#[test]
fn alter_partition_elsewhere_or_overtaken_is_refused() {
    let mut cluster = settled(THREE);
    let request = cluster.wish(0, &[1, 2]);
    cluster.alter(2, 1, request.clone());
    assert_eq!(cluster.last_alter_answer(2), Err(ErrorCode::NotController));

    cluster.alter(1, 1, request);
    let content = cluster.store.nodes[&znode::partition_state_path(tp(0))].0.clone();
    cluster.store.put(&znode::partition_state_path(tp(0)), &content);
    cluster.run();
    assert_eq!(cluster.last_alter_answer(1), Err(ErrorCode::InvalidUpdateVersion));
}

#[test]
fn an_unreachable_broker_gets_its_backlog_in_order_and_as_it_was_written() {
    let mut cluster = settled(THREE);
    cluster.reachable.remove(&3);
    cluster.sent.clear();
    for isr in [&[1, 2][..], &[1, 2, 3], &[1, 3]] {
        let request = cluster.wish(0, isr);
        cluster.alter(1, 1, request);
        cluster.run();
    }
    let isrs = |cluster: &Cluster| -> Vec<usize> {
        let to_three = cluster.sent.iter().filter(|(_, to, _)| *to == 3);
        to_three
            .map(|(_, _, request)| match request {
                Request::UpdateMetadata(r) => {
                    r.partitions[0].state.isr.len() * 10 + r.partitions[0].state.partition_epoch as usize
                }
                other => panic!("{other:?}"),
            })
            .collect()
    };
    assert_eq!(isrs(&cluster), [21], "one request at a time");
    assert_eq!(cluster.nodes[&1].controller.channels.queued(BrokerId(3)).count(), 3);
    assert_eq!(cluster.sent.iter().filter(|(_, to, _)| *to == 2).count(), 3, "nobody else waits");

    // The request times out, the connection is made anew, and the same request goes out again.
    cluster.fire_channel_timers(1, Span::from_secs(30));
    cluster.reachable.insert(3);
    cluster.fire_channel_timers(1, Span::from_ms(100));
    cluster.run();
    assert_eq!(isrs(&cluster), [21, 21, 32, 23]);

    cluster.reachable.remove(&3);
    let request = cluster.wish(0, &[1]);
    cluster.alter(1, 1, request);
    cluster.run();
    assert_eq!(cluster.nodes[&1].controller.channels.queued(BrokerId(3)).count(), 1);
    cluster.kill(3);
    cluster.run();
    assert_eq!(cluster.nodes[&1].controller.channels.queued(BrokerId(3)).count(), 0, "the queue goes with the broker");
}

#[test]
fn producer_ids_come_in_blocks() {
    let mut cluster = settled(&[]);
    let mut ask = |epoch: i64, correlation| {
        let origin = Origin { conn: ConnId(1_000_000), correlation };
        cluster.with(1, |c, ctx, zk| c.on_allocate_producer_ids(ctx, zk, origin, BrokerId(2), epoch));
        cluster.run();
        match cluster.nodes[&1].answers.last() {
            Some((at, Response::AllocateProducerIds(answer))) if *at == correlation => *answer,
            other => panic!("{other:?}"),
        }
    };
    let epoch = settled(&[]).broker_epoch(2);
    assert_eq!(ask(epoch, 1), Ok((0, 1000)));
    assert_eq!(ask(epoch, 2), Ok((1000, 1000)));
    assert_eq!(ask(epoch - 1, 3), Err(ErrorCode::StaleBrokerEpoch));
}

#[test]
fn a_broker_with_a_failed_disk_loses_its_leaders() {
    let mut cluster = settled(THREE);
    let conn_of = |c: &Cluster| *c.nodes[&1].conns.iter().find(|(_, to)| **to == 2).unwrap().0;
    let conn = conn_of(&cluster);
    // Broker 2 answers the next LeaderAndIsr with KAFKA_STORAGE_ERROR for the partition that it leads.
    cluster.failing = Some((conn, tp(1)));
    cluster.kill(3);
    cluster.run();
    assert_eq!(cluster.state(1), (1, 2, vec![1], 2));
    assert_eq!(cluster.state(0).2, [1, 2], "its other replica stays");
}

#[test]
fn a_thousand_partitions_cost_a_fixed_number_of_round_trips() {
    let assignments: Vec<Vec<i32>> = (0..1000).map(|p| (0..3).map(|r| (p + r) % 3 + 1).collect()).collect();
    let assignments: Vec<&[i32]> = assignments.iter().map(Vec::as_slice).collect();
    let mut cluster = settled(&assignments);
    let first = cluster.nodes[&1].zk.batches;
    cluster.kill(1);
    cluster.run();
    assert_eq!(cluster.active(), [2]);
    assert!((0..1000).all(|p| !cluster.state(p).2.contains(&1) && cluster.state(p).0 > 1));
    assert!(first < 30 && cluster.nodes[&2].zk.batches < 40, "{first}, {}", cluster.nodes[&2].zk.batches);
}
