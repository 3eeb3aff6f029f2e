//! Logs, high watermarks and leader changes.

use super::*;
use crate::defect::Defect;

#[test]
fn acks_all_waits_for_the_isr_and_followers_learn_the_high_watermark_one_round_later() {
    let mut cluster = Cluster::led_by_0(|config| config.min_insync_replicas = 2);
    cluster.produce(0, Acks::All, 3);
    assert_eq!((cluster.ends(0), cluster.last_produce(0)), ((3, 0), None));
    cluster.harness.run_for(Span::from_us(600)); // The waiting fetches are answered: records without the high watermark.
    assert_eq!((cluster.ends(1), cluster.ends(0)), ((3, 0), (3, 0)));
    cluster.harness.run_for(Span::from_us(600)); // The next fetches tell the leader.
    assert_eq!((cluster.ends(1), cluster.ends(0)), ((3, 0), (3, 3)));
    assert_eq!(cluster.last_produce(0), Some((ErrorCode::None, Some(0))));
    cluster.run_ms(490);
    assert_eq!(cluster.ends(1), (3, 0), "the high watermark alone completes no follower fetch");
    cluster.run_ms(20);
    assert_eq!(cluster.ends(1), (3, 3));
    let acknowledged = cluster.observed(0, |what| match what {
        Observation::Acknowledge { base_offset, records, high_watermark, maximal_isr, min_isr, .. } => {
            Some((*base_offset, *records, *high_watermark, *maximal_isr, *min_isr))
        }
        _ => None,
    });
    assert_eq!(acknowledged, [(0, 3, 3, 3, 2)]);
}

#[test]
fn a_deposed_leader_cuts_its_unreplicated_tail_and_takes_the_new_one() {
    let mut cluster = Cluster::led_by_0(|_| {});
    cluster.produce(0, Acks::All, 2);
    cluster.run_ms(600);
    cluster.harness.hold(0, 1);
    cluster.harness.hold(0, 2);
    cluster.produce(0, Acks::Leader, 3); // Reaches nobody.
    cluster.produce(0, Acks::All, 1);
    cluster.run_ms(10);
    cluster.elect(&[1, 2], 1, 2, &[1, 2]);
    cluster.run_ms(10);
    cluster.produce(1, Acks::All, 2);
    cluster.run_ms(600);
    assert_eq!(cluster.last_produce(1), Some((ErrorCode::None, Some(2))));
    cluster.harness.release(0, 1);
    cluster.harness.release(0, 2);
    cluster.elect(&[0], 1, 2, &[1, 2]);
    assert_eq!(cluster.last_produce(0), Some((ErrorCode::NotLeaderOrFollower, Some(5))), "what waited is answered");
    cluster.run_ms(600);
    assert_eq!(cluster.cuts(0), [(6, 2)]);
    assert_eq!((cluster.cuts(1), cluster.cuts(2)), (vec![], vec![]));
    for broker in ALL {
        assert_eq!((cluster.values(broker), cluster.ends(broker)), (vec![1, 2, 7, 8], (4, 4)), "broker {broker}");
    }
}

/// KAFKA-1211 (R01): records below the leader's high watermark survive two elections within one fetch round.
#[test]
fn a_follower_does_not_cut_to_its_own_high_watermark() {
    let mut cluster = Cluster::led_by_0(|_| {});
    cluster.produce(0, Acks::All, 1);
    cluster.harness.run_for(Span::from_us(1_300));
    assert_eq!((cluster.ends(0), cluster.ends(1), cluster.ends(2)), ((1, 1), (1, 0), (1, 0)));
    cluster.elect(&[1, 2], 2, 2, &[1, 2]);
    cluster.elect(&[1, 2], 1, 3, &[1, 2]);
    cluster.run_ms(600);
    assert_eq!((cluster.values(1), cluster.values(2)), (vec![1], vec![1]));
    assert_eq!((cluster.cuts(1), cluster.cuts(2)), (vec![], vec![]));
}

/// KAFKA-6361 (R03): the leader does not know the follower's epoch, and the follower asks until both agree.
#[test]
fn logs_that_part_in_unknown_epochs_are_cut_to_the_common_prefix() {
    let mut cluster = Cluster::led_by_0(|_| {});
    cluster.produce(0, Acks::All, 5);
    cluster.run_ms(600);
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        cluster.harness.hold(a, b);
    }
    cluster.produce(0, Acks::Leader, 1); // Value 6 at offset 5 in epoch 1.
    cluster.elect(&[1], 1, 2, &ALL);
    cluster.produce(1, Acks::Leader, 1); // Value 7 at offset 5 in epoch 2.
    cluster.elect(&[0], 0, 3, &ALL);
    cluster.produce(0, Acks::Leader, 1); // Value 8 at offset 6 in epoch 3.
    cluster.elect(&[1, 2], 0, 3, &ALL);
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        cluster.harness.release(a, b);
    }
    cluster.run_ms(2_000);
    assert_eq!(cluster.cuts(1), [(6, 5)]);
    for broker in ALL {
        assert_eq!(cluster.values(broker), [1, 2, 3, 4, 5, 6, 8], "broker {broker}");
    }
}

/// KAFKA-13141 (R09): the position of a follower that is told to cut is no progress.
#[test]
fn a_diverging_fetch_does_not_move_the_high_watermark() {
    let mut cluster = Cluster::led_by_0(|_| {});
    cluster.produce(0, Acks::All, 2);
    cluster.run_ms(600);
    cluster.harness.hold(0, 1);
    cluster.harness.hold(0, 2);
    cluster.produce(0, Acks::Leader, 8); // Up to offset 10, in epoch 1.
    cluster.elect(&[1], 1, 2, &ALL);
    cluster.produce(1, Acks::Leader, 3); // Up to offset 5, in epoch 2; nobody else follows.
    cluster.elect(&[0], 1, 2, &ALL);
    // The old leader's fetch from offset 10, by hand: it is told where to cut, and counts for nothing.
    let fetch = FetchPartition {
        partition: P0,
        current_leader_epoch: Some(2),
        fetch_offset: 10,
        last_fetched_epoch: Some(1),
        log_start_offset: 0,
        max_bytes: 1_000,
    };
    cluster.ask(1, sessions::full_fetch(Some(BrokerId(0)), vec![fetch]));
    let Some(Response::Fetch(answer)) = cluster.harness.process(1).answers.last().cloned() else { panic!("no answer") };
    assert_eq!(answer.partitions[0].diverging_epoch, Some(EpochEnd { epoch: 1, end_offset: 2 }));
    assert!(answer.partitions[0].records.is_empty());
    let remotes = &cluster.harness.process(1).manager.partitions.get(P0).unwrap().remotes;
    assert_eq!(remotes.iter().map(|remote| remote.log_end).collect::<Vec<_>>(), [None, None]);
}

/// KAFKA-13207 (R10): the answer that tells a follower where to cut comes when it leads again.
#[test]
fn a_late_divergence_does_not_cut_a_leaders_log() {
    for (defects, cuts) in
        [(Defects::NONE, vec![]), (Defects::NONE.with(Defect::TruncateAfterRoleChange), vec![(5, 2)])]
    {
        let mut cluster = Cluster::with_defects(|_| {}, defects);
        let other = TopicPartition { partition: 1, ..P0 };
        cluster.elect(&ALL, 1, 1, &ALL);
        cluster.elect_all(&ALL, &[other], 0, 1, &ALL); // Its thread outlives the partition's leaving.
        cluster.run_ms(100);
        cluster.produce(1, Acks::All, 2);
        cluster.run_ms(600);
        cluster.harness.hold(0, 1);
        cluster.harness.hold(1, 2);
        cluster.produce(1, Acks::Leader, 2); // Reaches nobody.
        cluster.harness.release(0, 1);
        cluster.elect(&[0, 1], 0, 2, &ALL);
        let asked = |cluster: &Cluster| {
            cluster
                .harness
                .process(1)
                .manager
                .fetchers
                .get((BrokerId(0), 0))
                .is_some_and(|fetcher| fetcher.has_requested(P0))
        };
        while !asked(&cluster) {
            cluster.harness.run_for(Span::from_us(50));
        }
        cluster.elect(&[1], 1, 3, &ALL);
        cluster.produce(1, Acks::Leader, 1);
        cluster.run_ms(100);
        assert_eq!(cluster.cuts(1), cuts, "{defects:?}");
    }
}

/// KAFKA-15510: after an empty first answer the defective follower sends no epoch, so its leader cannot see a divergence.
#[test]
fn the_defect_forgets_the_fetched_epoch_after_an_empty_answer() {
    for (defects, expected) in [(Defects::NONE, Some(1)), (Defects::NONE.with(Defect::ForgottenFetchedEpoch), None)] {
        let mut cluster = Cluster::with_defects(|_| {}, defects);
        cluster.elect(&ALL, 0, 1, &ALL);
        cluster.run_ms(10);
        cluster.produce(0, Acks::All, 1);
        cluster.run_ms(600);
        cluster.elect(&ALL, 0, 2, &ALL); // The first answer in epoch 2 is empty.
        cluster.run_ms(1_200);
        let fetcher = cluster.harness.process(1).manager.fetchers.get((BrokerId(0), 0)).expect("it follows broker 0");
        assert_eq!(fetcher.state(P0).and_then(|state| state.last_fetched_epoch), expected, "{defects:?}");
    }
}

#[test]
fn requests_of_the_controller_are_fenced_by_leader_epoch() {
    let mut cluster = Cluster::led_by_0(|_| {});
    let answers = |cluster: &Cluster| -> Vec<ErrorCode> {
        let errors = cluster.harness.process(0).answers.iter().filter_map(|answer| match answer {
            Response::LeaderAndIsr { partitions, .. } | Response::StopReplica { partitions, .. } => {
                Some(partitions[0].1)
            }
            _ => None,
        });
        errors.collect()
    };
    cluster.elect(&[0], 1, 1, &ALL);
    assert_eq!(answers(&cluster), [ErrorCode::None, ErrorCode::StaleControllerEpoch]);
    cluster.elect(&[0], -1, 2, &ALL);
    cluster.produce(0, Acks::Leader, 1);
    assert_eq!(cluster.last_produce(0), Some((ErrorCode::None, Some(0))), "without a live leader it keeps its role");
    for (leader_epoch, expected) in [(0, ErrorCode::FencedLeaderEpoch), (-1, ErrorCode::None), (1, ErrorCode::None)] {
        let stop = StopReplicaRequest {
            controller: BrokerId(0),
            controller_epoch: 4,
            broker_epoch: 0,
            partitions: vec![(P0, leader_epoch, leader_epoch == 1)],
        };
        cluster.ask(0, Request::StopReplica(Arc::new(stop)));
        assert_eq!(answers(&cluster).last(), Some(&expected), "epoch {leader_epoch}");
    }
    assert!(cluster.harness.process(0).manager.partitions.is_empty());
    assert_eq!(cluster.harness.process(0).manager.controller_epoch(), 4);
    cluster.produce(0, Acks::Leader, 1);
    assert_eq!(cluster.last_produce(0), Some((ErrorCode::NotLeaderOrFollower, None)));
}

#[test]
fn end_offsets_wait_for_the_epoch_start() {
    let mut cluster = Cluster::led_by_0(|_| {});
    cluster.produce(0, Acks::All, 2);
    cluster.run_ms(600);
    let mut check = |replica: Option<BrokerId>, expected| {
        let query = OffsetQuery { partition: P0, current_leader_epoch: None, at: OffsetSpec::Latest, replica };
        cluster.ask(1, Request::ListOffsets(vec![query]));
        let Some(Response::ListOffsets(answers)) = cluster.harness.process(1).answers.last() else { panic!() };
        assert_eq!((answers[0].error, answers[0].offset), expected);
        cluster.harness.hold(0, 1);
        cluster.harness.hold(1, 2);
        cluster.elect(&[1], 1, 2, &ALL);
        cluster.harness.process_mut(1).manager.partitions.get_mut(P0).unwrap().log.set_high_watermark(1);
    };
    check(None, (ErrorCode::NotLeaderOrFollower, 0));
    check(None, (ErrorCode::OffsetNotAvailable, 0));
    check(Some(BrokerId(2)), (ErrorCode::None, 2));
}
