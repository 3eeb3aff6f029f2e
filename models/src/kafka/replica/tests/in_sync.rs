//! Shrinking and expanding the ISR, and what its pending states mean for producers.

use super::*;

/// A leader whose followers are cut off at a known time.
fn cut_off() -> Cluster {
    let mut cluster = Cluster::led_by_0(|config| config.min_insync_replicas = 2);
    cluster.run_ms(1_000);
    cluster.harness.hold(0, 1);
    cluster.harness.hold(0, 2);
    cluster
}

#[test]
fn an_idle_partition_never_shrinks() {
    let mut cluster = cut_off();
    cluster.run_ms(300_000);
    assert_eq!(cluster.asked(0), Vec::<Vec<i32>>::new());
}

#[test]
fn a_partition_with_new_records_shrinks_after_30_to_45_seconds() {
    let mut cluster = cut_off();
    cluster.run_ms(5_000);
    cluster.produce(0, Acks::All, 1);
    cluster.run_ms(25_000 - 1_000); // 30 s after the last fetch, which was at most 0.5 s before the cut.
    assert_eq!(cluster.asked(0), Vec::<Vec<i32>>::new());
    cluster.run_ms(15_500);
    assert_eq!(cluster.asked(0), [[0]], "all that lag leave at once");
    assert_eq!(cluster.isr(0), (vec![0, 1, 2], vec![0, 1, 2]));
    cluster.run_ms(30_000);
    assert_eq!(cluster.asked(0).len(), 1, "one change at a time");
    assert_eq!(cluster.last_produce(0), Some((ErrorCode::RequestTimedOut, Some(0))));
}

#[test]
fn a_committed_shrink_moves_the_high_watermark_and_refuses_producers() {
    let mut cluster = cut_off();
    cluster.run_ms(40_000);
    cluster.produce(0, Acks::All, 1); // Still accepted: the committed ISR has three members.
    cluster.run_ms(16_000);
    assert_eq!((cluster.last_produce(0), cluster.ends(0)), (None, (1, 0)));
    cluster.answer_isr(0, None);
    assert_eq!((cluster.isr(0), cluster.ends(0)), ((vec![0], vec![0]), (1, 1)));
    assert_eq!(cluster.last_produce(0), Some((ErrorCode::NotEnoughReplicasAfterAppend, Some(0))));
    cluster.produce(0, Acks::All, 1);
    assert_eq!(cluster.last_produce(0), Some((ErrorCode::NotEnoughReplicas, None)));
    assert_eq!(cluster.ends(0), (1, 1), "nothing was appended");
    cluster.produce(0, Acks::Leader, 1);
    assert_eq!(cluster.last_produce(0), Some((ErrorCode::None, Some(1))), "acks=1 does not ask");
}

#[test]
fn followers_that_reach_the_high_watermark_join_one_by_one() {
    let mut cluster = cut_off();
    cluster.produce(0, Acks::All, 1);
    cluster.run_ms(46_000);
    cluster.answer_isr(0, None);
    assert_eq!(cluster.isr(0).0, [0]);
    cluster.harness.release(0, 1);
    cluster.harness.release(0, 2);
    cluster.run_ms(2_000);
    let first = cluster.asked(0);
    assert_eq!(first.len(), 1);
    assert_eq!(cluster.isr(0), (vec![0], first[0].clone()), "the high watermark waits for who may have joined");
    cluster.answer_isr(0, None);
    cluster.run_ms(1_000); // An idle follower is looked at with its next fetch.
    cluster.answer_isr(0, None);
    let mut isr = cluster.isr(0).0;
    isr.sort_unstable();
    assert_eq!(isr, ALL);
}

/// KAFKA-7128 (R05): the high watermark of a new leader may lag; the start of its epoch does not.
#[test]
fn a_follower_joins_only_beyond_the_epoch_start() {
    for (position, joins) in [(92, false), (99, false), (100, true)] {
        let mut cluster = Cluster::new(|_| {});
        cluster.elect(&[1], 0, 1, &ALL); // Broker 1 has everything, but believes in an older high watermark.
        let batches: Vec<_> = (0..100).map(|_| cluster.batch(1, None)).collect();
        let manager = &mut cluster.harness.process_mut(1).manager;
        let limits = manager.shared.segment_limits();
        let partition = manager.partitions.get_mut(P0).unwrap();
        for (offset, batch) in batches.iter().enumerate() {
            let batch = RecordBatch { base_offset: offset as u64, leader_epoch: 1, ..(**batch).clone() };
            partition.log.append(Arc::new(batch), limits);
        }
        partition.log.set_high_watermark(90);
        cluster.elect(&[1], 1, 2, &[0, 1]);
        let fetch = FetchPartition {
            partition: P0,
            current_leader_epoch: Some(2),
            fetch_offset: position,
            last_fetched_epoch: Some(1),
            log_start_offset: 0,
            max_bytes: 1,
        };
        cluster.ask(1, sessions::full_fetch(Some(BrokerId(2)), vec![fetch]));
        assert_eq!(!cluster.asked(1).is_empty(), joins, "from {position}");
    }
}

#[test]
fn answers_of_the_controller_follow_the_table() {
    let check = |error, committed: bool, resubmitted: bool| {
        let mut cluster = cut_off();
        cluster.produce(0, Acks::Leader, 1);
        cluster.run_ms(46_000);
        assert_eq!(cluster.asked(0), [[0]]);
        cluster.answer_isr(0, Some(error));
        let state = &cluster.harness.process(0).manager.partitions.get(P0).unwrap().isr;
        assert_eq!(state.proposed().is_none(), committed, "{error:?}");
        assert_eq!(state.isr().len(), 3, "{error:?}");
        assert_eq!(!cluster.asked(0).is_empty(), resubmitted, "{error:?}");
        // Pending or not, a higher leader epoch clears it; a late answer then changes nothing.
        cluster.elect(&[0], 0, 2, &[0, 1, 2]);
        cluster.answer_isr(0, None);
        assert_eq!(cluster.isr(0), (vec![0, 1, 2], vec![0, 1, 2]), "{error:?}");
    };
    check(ErrorCode::OperationNotAttempted, true, false);
    check(ErrorCode::IneligibleReplica, true, false);
    check(ErrorCode::UnknownTopicOrPartition, false, false);
    check(ErrorCode::FencedLeaderEpoch, false, false);
    check(ErrorCode::InvalidUpdateVersion, false, false);
    check(ErrorCode::InvalidRequest, false, false);
    check(ErrorCode::UnknownServerError, false, true);
}
