//! Brokers that are about to stop, and brokers that lose a log directory.

use super::cluster::{Cluster, tp};
use crate::defect::Defects;
use crate::id::{BrokerId, ConnId};
use crate::kafka::config::BrokerConfig;
use crate::kafka::controller::log_dir_event;
use crate::kafka::protocol::{ErrorCode, Origin, Request, Response};
use crate::kafka::znode;
use crate::zk::protocol::Op;

const FOUR: &[&[i32]] = &[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2], &[2]];

fn settled() -> Cluster {
    Cluster::settled(3, FOUR, &BrokerConfig::default(), Defects::NONE)
}

/// Asks broker `controller` to relieve `broker`, and lets everything settle.
fn shut_down(cluster: &mut Cluster, controller: i32, broker: i32, broker_epoch: i64) -> Result<u32, ErrorCode> {
    let origin = Origin { conn: ConnId(1_000_000), correlation: 7 };
    cluster.with(controller, |c, ctx, zk| {
        c.on_controlled_shutdown(ctx, zk, origin, BrokerId(broker), broker_epoch);
    });
    cluster.run();
    match cluster.nodes[&controller].answers.last() {
        Some((7, Response::ControlledShutdown(answer))) => *answer,
        other => panic!("no answer to ControlledShutdown, but {other:?}"),
    }
}

#[test]
fn a_stopping_broker_hands_over_what_it_leads_and_leaves_what_it_follows() {
    let mut cluster = settled();
    cluster.sent.clear();
    let epoch = cluster.broker_epoch(2);
    assert_eq!(shut_down(&mut cluster, 1, 2, epoch), Ok(0), "an unreplicated partition does not count");
    let after = [(1, 1, vec![1, 3], 1), (3, 1, vec![3, 1], 1), (3, 1, vec![3, 1], 1), (2, 0, vec![2], 0)];
    let states = |cluster: &Cluster| (0..4).map(|p| cluster.state(p)).collect::<Vec<_>>();
    assert_eq!(states(&cluster), after);
    let stopped = cluster.sent.iter().filter_map(|(_, to, request)| match request {
        Request::StopReplica(r) if *to == 2 => Some(r.partitions.iter().map(|(p, _, _)| *p).collect::<Vec<_>>()),
        _ => None,
    });
    assert_eq!(stopped.collect::<Vec<_>>().first(), Some(&vec![tp(0), tp(2)]));
    let told = cluster.sent.iter().rev().find_map(|(_, to, request)| match request {
        Request::UpdateMetadata(r) if *to == 3 => Some(r.live_brokers.clone()),
        _ => None,
    });
    assert_eq!(told, Some(vec![BrokerId(1), BrokerId(2), BrokerId(3)]), "it is registered still");

    // Its fetches go on, but nobody gets it into an ISR again.
    let request = cluster.wish(1, &[3, 1, 2]);
    cluster.alter(1, 8, request);
    cluster.run();
    assert_eq!(cluster.last_alter_answer(1), Err(ErrorCode::IneligibleReplica));

    // That it goes costs replicated partitions nothing more.
    cluster.kill(2);
    cluster.run();
    assert_eq!(states(&cluster)[..3], after[..3]);
    assert_eq!(cluster.state(3), (-1, 1, vec![2], 1));
}

#[test]
fn a_partition_that_nobody_else_can_lead_is_counted() {
    let mut cluster = settled();
    for broker in [1, 3] {
        let epoch = cluster.broker_epoch(broker);
        assert_eq!(shut_down(&mut cluster, 1, broker, epoch), Ok(0));
    }
    let epoch = cluster.broker_epoch(2);
    assert_eq!(shut_down(&mut cluster, 1, 2, epoch), Ok(3));
    assert_eq!(cluster.state(0), (2, 2, vec![2], 2), "the last one leads until the end");
}

#[test]
fn a_controlled_shutdown_is_refused_where_it_must_be() {
    let mut cluster = settled();
    let epoch = cluster.broker_epoch(2);
    assert_eq!(shut_down(&mut cluster, 3, 2, epoch), Err(ErrorCode::StaleControllerEpoch), "not the controller");
    assert_eq!(shut_down(&mut cluster, 1, 2, epoch - 1), Err(ErrorCode::StaleBrokerEpoch), "of an earlier life");
    assert_eq!(shut_down(&mut cluster, 1, 9, epoch), Err(ErrorCode::UnknownServerError), "no such broker");
    assert_eq!(cluster.state(1).0, 2, "nothing has moved");
}

#[test]
fn a_controller_that_shuts_down_ends_its_event_first() {
    let mut cluster = settled();
    cluster.kill(3);
    assert!(cluster.step(1), "the watch");
    assert!(!cluster.nodes[&1].zk.pending.is_empty(), "the thread waits for ZooKeeper");
    cluster.with(1, |c, ctx, zk| c.shutdown(ctx, zk));
    assert!(!cluster.nodes[&1].controller.is_shut());
    assert_eq!(cluster.active(), [1]);
    cluster.run();
    assert!(cluster.nodes[&1].controller.is_shut());
    assert!(cluster.active().is_empty());
}

#[test]
fn a_failed_log_directory_costs_its_replicas_their_leaderships() {
    let mut cluster = settled();
    let conn = *cluster.nodes[&1].conns.iter().find(|(_, to)| **to == 2).unwrap().0;
    cluster.failing = Some((conn, tp(1)));
    let Op::Create { path, data, .. } = log_dir_event(BrokerId(2)) else { panic!("a node is created") };
    cluster.store.put(&format!("{path}0000000000"), &data);
    cluster.deliver_watches();
    cluster.run();
    // Elected away from it, then taken out of the ISR; the other replicas of the broker stay where they are.
    let (leader, _, isr, _) = cluster.state(1);
    assert_eq!((leader, isr), (3, vec![3, 1]));
    assert_eq!(cluster.state(0), (1, 0, vec![1, 2, 3], 0));
    let left = cluster.store.nodes.keys().filter(|path| path.starts_with(znode::LOG_DIR_EVENT_NOTIFICATION));
    assert_eq!(left.count(), 1, "the notification is deleted, its parent stays");
}
