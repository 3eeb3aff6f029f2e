//! Elections, expiry, fences, and the two defects of the life cycle.

use super::cluster::{Cluster, tp};
use super::{is_claim, is_state_write};
use crate::defect::{Defect, Defects};
use crate::id::BrokerId;
use crate::kafka::config::BrokerConfig;
use crate::kafka::protocol::{ErrorCode, Request};
use crate::kafka::znode;
use crate::observation::Observation;
use crate::zk::protocol::Op;

const THREE: &[&[i32]] = &[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]];

fn settled(defects: Defects) -> Cluster {
    Cluster::settled(3, THREE, &BrokerConfig::default(), defects)
}

fn epoch(cluster: &Cluster) -> &str {
    &cluster.store.nodes["/controller_epoch"].0
}

fn saw(cluster: &Cluster, id: i32, wanted: &Observation) -> bool {
    cluster.nodes[&id].observed.contains(wanted)
}

#[test]
fn the_first_broker_becomes_controller_and_creates_the_first_states() {
    let cluster = settled(Defects::NONE);
    assert_eq!(epoch(&cluster), "1");
    let life: Vec<_> = cluster.nodes[&1]
        .observed
        .iter()
        .filter(|o| !matches!(o, Observation::ControllerEffect { .. }))
        .cloned()
        .collect();
    let expected = [
        Observation::ControllerBegin { epoch: 1 },
        Observation::ActiveController { active: true },
        Observation::ControllerLoaded { epoch: 1, states: [].into() },
        Observation::ControllerReady { epoch: 1 },
        Observation::ControllerActed { epoch: 1 },
    ];
    assert_eq!(life, expected);
    for (partition, leader) in [(0, 1), (1, 2), (2, 3)] {
        assert_eq!(cluster.state(partition), (leader, 0, THREE[partition as usize].to_vec(), 0));
    }
    // Each broker hears of the living before it hears of leaders.
    for id in 1..=3 {
        let to: Vec<_> = cluster.sent.iter().filter(|(_, to, _)| *to == id).map(|(_, _, request)| request).collect();
        assert!(matches!(to[0], Request::UpdateMetadata(r) if r.partitions.is_empty() && r.live_brokers.len() == 3));
        assert!(matches!(to[1], Request::LeaderAndIsr(r) if r.partitions.len() == 3 && r.partitions[0].is_new));
        assert!(matches!(to[2], Request::UpdateMetadata(r) if r.partitions.len() == 3));
    }
}

#[test]
fn of_two_candidates_exactly_one_wins_and_the_other_watches() {
    let mut cluster = Cluster::new(2, &[&[1, 2]], &BrokerConfig::default(), Defects::NONE);
    for id in [1, 2] {
        cluster.start(id);
        cluster.step_until(id, |c| c.awaits(id, is_claim));
    }
    cluster.answer_zk(2, false);
    cluster.run();
    assert_eq!((cluster.active(), epoch(&cluster)), (vec![2], "1"));
    assert!(!cluster.nodes[&1].observed.contains(&Observation::ControllerBegin { epoch: 1 }));
    cluster.kill(2);
    cluster.run();
    assert_eq!((cluster.active(), epoch(&cluster)), (vec![1], "2"));
}

#[test]
fn an_election_whose_answer_was_lost_is_recognised() {
    let mut cluster = Cluster::new(2, &[&[1, 2]], &BrokerConfig::default(), Defects::NONE);
    cluster.start(1);
    cluster.step_until(1, |c| c.awaits(1, is_claim));
    cluster.answer_zk(1, true);
    cluster.run();
    assert_eq!((cluster.active(), epoch(&cluster)), (vec![1], "1"));
    assert!(saw(&cluster, 1, &Observation::ControllerReady { epoch: 1 }));
}

#[test]
fn expiry_waits_for_a_blocked_thread_and_drops_what_is_queued() {
    let mut cluster = settled(Defects::NONE);
    cluster.nodes.get_mut(&1).unwrap().cut = true;
    let request = cluster.wish(0, &[1, 2]);
    cluster.alter(1, 1, request.clone());
    cluster.alter(1, 2, request);
    cluster.expire_at_store(1);
    cluster.run();
    assert_eq!(cluster.active(), [1, 2], "the old controller has not heard of its expiry");

    cluster.nodes.get_mut(&1).unwrap().watches.clear();
    cluster.with(1, |controller, ctx, zk| controller.expire(ctx, zk));
    assert!(!cluster.nodes[&1].controller.expire_started(), "the thread is still blocked");
    assert_eq!(cluster.active(), [1, 2]);
    cluster.fail_pending(1);
    assert!(cluster.nodes[&1].controller.expire_started());
    assert_eq!(cluster.active(), [2]);
    assert_eq!(cluster.last_alter_answer(1), Err(ErrorCode::UnknownServerError));
    let answered: Vec<u32> = cluster.nodes[&1].answers.iter().map(|(correlation, _)| *correlation).collect();
    assert_eq!(answered, [1], "a preempted AlterPartition is never answered");
    assert!(saw(&cluster, 1, &Observation::ControllerEnd { epoch: 1 }));

    cluster.renew(1);
    cluster.run();
    assert_eq!(cluster.nodes[&1].controller.broker_epoch(), cluster.broker_epoch(1));
    assert_eq!((cluster.active(), epoch(&cluster)), (vec![2], "2"));
    cluster.kill(2);
    cluster.run();
    assert_eq!(cluster.active(), [1], "it stands for election again");
}

#[test]
fn an_idle_controller_starts_its_expiry_at_once() {
    let mut cluster = settled(Defects::NONE);
    cluster.expire_at_store(1);
    cluster.learn_expiry(1);
    assert!(cluster.active().is_empty());
    cluster.renew(1);
    cluster.run();
    assert_eq!(cluster.active().len(), 1);
    assert_eq!(epoch(&cluster), "2");
}

#[test]
fn a_deposed_controller_resigns_at_its_next_fenced_write() {
    let mut cluster = settled(Defects::NONE);
    cluster.nodes.get_mut(&1).unwrap().cut = true;
    cluster.store.remove(znode::CONTROLLER);
    cluster.add_topic(7, &[]);
    cluster.run();
    assert_eq!(cluster.active(), [1, 2]);

    // The zombie learns of a topic before it learns of its deposition.
    let zombie = cluster.nodes.get_mut(&1).unwrap();
    zombie.watches.retain(|(path, _)| &**path == znode::TOPICS);
    zombie.cut = false;
    zombie.observed.clear();
    cluster.add_topic(8, &[&[1, 2]]);
    cluster.run();
    assert_eq!(cluster.active(), [2]);
    assert!(saw(&cluster, 1, &Observation::ControllerEnd { epoch: 1 }));
    let effects =
        |o: &Observation| matches!(o, Observation::ControllerEffect { .. } | Observation::ControllerActed { .. });
    assert!(!cluster.nodes[&1].observed.iter().any(effects), "a zombie writes nothing");
}

#[test]
fn a_zombie_answers_alter_partition_and_does_not_resign() {
    let mut cluster = settled(Defects::NONE);
    cluster.nodes.get_mut(&1).unwrap().cut = true;
    cluster.store.remove(znode::CONTROLLER);
    let request = cluster.wish(0, &[1, 2]);
    cluster.add_topic(7, &[]);
    cluster.run();
    let zombie = cluster.nodes.get_mut(&1).unwrap();
    zombie.watches.clear();
    zombie.cut = false;
    cluster.alter(1, 1, request);
    cluster.run();
    assert_eq!(cluster.last_alter_answer(1), Err(ErrorCode::UnknownServerError));
    assert_eq!(cluster.active(), [1, 2]);
}

/// A broker starts while an orphaned `/controller` names it.
fn with_orphan(defects: Defects) -> Cluster {
    let mut cluster = Cluster::new(2, &[&[1, 2]], &BrokerConfig::default(), defects);
    cluster.store.put(znode::CONTROLLER_EPOCH, "5");
    let orphan = znode::ControllerZnode { version: 2, brokerid: 1, timestamp: "0".to_owned() };
    cluster.store.put(znode::CONTROLLER, &znode::encode(&orphan));
    cluster.start(2);
    cluster.run();
    cluster.start(1);
    cluster
}

#[test]
fn inert_controller_shows_the_gauge_and_does_nothing() {
    let mut cluster = with_orphan(Defects::NONE.with(Defect::InertController));
    cluster.run();
    assert_eq!((cluster.active(), epoch(&cluster)), (vec![1], "5"));
    assert_eq!(cluster.nodes[&1].observed, [Observation::ActiveController { active: true }]);
    assert!(cluster.sent.is_empty());
    let broker_epoch = cluster.broker_epoch(2);
    let request =
        crate::kafka::protocol::AlterPartitionRequest { broker: BrokerId(2), broker_epoch, partitions: Vec::new() };
    cluster.alter(1, 1, request);
    assert_eq!(cluster.last_alter_answer(1), Err(ErrorCode::StaleBrokerEpoch));
    cluster.store.remove(znode::CONTROLLER);
    cluster.add_topic(7, &[]);
    cluster.run();
    assert_eq!((cluster.active().len(), epoch(&cluster)), (1, "6"), "it ends when the node disappears");
}

#[test]
fn repaired_an_inert_controller_is_replaced_by_an_elected_one() {
    let mut cluster = with_orphan(Defects::NONE);
    cluster.run();
    assert_eq!((cluster.active().len(), epoch(&cluster)), (1, "6"));
    let active = cluster.active()[0];
    assert!(saw(&cluster, active, &Observation::ControllerReady { epoch: 6 }));
    assert_eq!(cluster.state(0), (1, 0, vec![1, 2], 0));
}

#[test]
fn repaired_the_deletion_spares_a_controller_elected_in_between() {
    let mut cluster = with_orphan(Defects::NONE);
    let is_delete = |op: &Op| matches!(op, Op::Delete { path, .. } if &**path == znode::CONTROLLER);
    cluster.step_until(1, |c| c.awaits(1, is_delete));
    cluster.nodes.get_mut(&1).unwrap().cut = true;
    cluster.store.remove(znode::CONTROLLER);
    cluster.add_topic(7, &[]);
    cluster.run();
    assert_eq!(cluster.active(), [2]);
    cluster.nodes.get_mut(&1).unwrap().cut = false;
    cluster.run();
    assert_eq!((cluster.active(), epoch(&cluster)), (vec![2], "6"));
}

/// Broker 1 is deposed while it takes a dead broker out of ISRs, and later elected again.
fn deposed_amid_removal(defects: Defects) -> Cluster {
    let mut cluster = settled(defects);
    cluster.kill(3);
    // The election for partition 2 comes first; the removals follow.
    let removes = |op: &Op| is_state_write(op) && matches!(op, Op::SetData { path, .. } if path.contains("/0/"));
    cluster.step_until(1, |c| c.awaits(1, removes));
    cluster.nodes.get_mut(&1).unwrap().cut = true;
    cluster.store.remove(znode::CONTROLLER);
    cluster.add_topic(7, &[]);
    cluster.run();
    cluster.nodes.get_mut(&1).unwrap().cut = false;
    cluster.run();
    assert_eq!(cluster.active(), [2]);
    assert_eq!(cluster.state(0).2, [1, 2]);
    cluster.kill(2);
    cluster.run();
    assert_eq!(cluster.active(), [1]);
    cluster
}

#[test]
fn poisoned_request_batch_keeps_the_dead_in_the_isr() {
    let cluster = deposed_amid_removal(Defects::NONE.with(Defect::PoisonedRequestBatch));
    assert_eq!(cluster.state(0).2, [1, 2]);
    assert_eq!(cluster.leader_and_isr(0).leader, Some(BrokerId(1)));
}

#[test]
fn repaired_a_resignation_clears_the_batches() {
    let cluster = deposed_amid_removal(Defects::NONE);
    assert_eq!(cluster.state(0).2, [1]);
    let told = |(from, _, request): &(i32, i32, Request)| {
        *from == 1
            && matches!(request, Request::LeaderAndIsr(r) if r.controller_epoch == 3 && r.partitions.iter().any(|p| p.partition == tp(0)))
    };
    assert!(cluster.sent.iter().any(told));
}

/// The only broker is elected, and `/controller` deleted while it takes over.
fn deleted_amid_failover(defects: Defects) -> Cluster {
    let mut cluster = Cluster::new(1, &[&[1]], &BrokerConfig::default(), defects);
    cluster.start(1);
    cluster.step_until(1, |c| saw(c, 1, &Observation::ControllerBegin { epoch: 1 }));
    cluster.store.remove(znode::CONTROLLER);
    cluster.add_topic(7, &[]);
    cluster.run();
    cluster
}

#[test]
fn a_vacancy_made_amid_a_failover_is_missed() {
    let cluster = deleted_amid_failover(Defects::NONE.with(Defect::ControllerVacancyMissed));
    assert_eq!((cluster.active(), epoch(&cluster)), (vec![], "1"));
    assert!(saw(&cluster, 1, &Observation::ControllerEnd { epoch: 1 }));
}

#[test]
fn repaired_who_finds_a_vacancy_stands_for_election() {
    let cluster = deleted_amid_failover(Defects::NONE);
    assert_eq!((cluster.active(), epoch(&cluster)), (vec![1], "2"));
    assert!(saw(&cluster, 1, &Observation::ControllerReady { epoch: 2 }));
}
