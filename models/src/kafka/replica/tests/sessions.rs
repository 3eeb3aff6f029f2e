//! Incremental fetch sessions: what a fetch costs, and what consumers see.

use super::*;

pub(super) fn full_fetch(replica: Option<BrokerId>, partitions: Vec<FetchPartition>) -> Request {
    Request::Fetch(Box::new(FetchRequest {
        replica,
        max_wait: Span::from_ms(500),
        min_bytes: 1,
        max_bytes: 10_000,
        session: FetchSession::default(),
        rack: None,
        partitions,
        forgotten: Vec::new(),
    }))
}

#[test]
fn idle_partitions_cost_nothing_and_a_busy_one_costs_itself() {
    let mut cluster = Cluster::new(|_| {});
    let ids: Vec<_> = (0..300).map(|partition| TopicPartition { topic: Topic(0), partition }).collect();
    cluster.elect_all(&ALL, &ids, 0, 1, &ALL);
    cluster.run_ms(1_200); // The session is open and everybody knows everything.
    let sizes =
        |cluster: &mut Cluster, broker: u16| std::mem::take(&mut cluster.harness.process_mut(broker).fetch_sizes);
    let opening = sizes(&mut cluster, 1);
    assert_eq!(opening[0], 300, "a session begins with everything");
    sizes(&mut cluster, 0);
    cluster.run_ms(5_000);
    let (leader, follower) = (sizes(&mut cluster, 0), sizes(&mut cluster, 1));
    assert_eq!((leader.iter().sum::<usize>(), follower.iter().sum::<usize>()), (0, 0));
    assert_eq!(follower.len(), 10, "a fetch each 500 ms");
    cluster.produce(0, Acks::All, 1);
    cluster.run_ms(2_000);
    let follower = sizes(&mut cluster, 1);
    assert_eq!(follower.iter().sum::<usize>(), 1, "one new position");
    assert_eq!(cluster.ends(1), (1, 1));
    assert_eq!(sizes(&mut cluster, 0).iter().sum::<usize>(), 4, "records, then the high watermark, to two followers");
}

#[test]
fn a_follower_that_only_polls_is_caught_up() {
    let mut cluster = Cluster::led_by_0(|_| {});
    cluster.run_ms(100_000); // Quiet all the time: nothing was noted per partition.
    cluster.harness.hold(0, 1);
    cluster.produce(0, Acks::Leader, 1);
    cluster.run_ms(29_000);
    assert_eq!(cluster.asked(0), Vec::<Vec<i32>>::new(), "caught up within the last 30 s");
    cluster.run_ms(16_500);
    assert_eq!(cluster.asked(0), [[0, 2]]);
}

#[test]
fn consumers_read_below_the_high_watermark() {
    let mut cluster = Cluster::led_by_0(|_| {});
    cluster.harness.hold(0, 1);
    cluster.produce(0, Acks::Leader, 2);
    cluster.run_ms(100);
    let fetch = FetchPartition {
        partition: P0,
        current_leader_epoch: None,
        fetch_offset: 0,
        last_fetched_epoch: None,
        log_start_offset: 0,
        max_bytes: 1_000,
    };
    cluster.ask(0, full_fetch(None, vec![fetch]));
    let answered = |cluster: &Cluster| match cluster.harness.process(0).answers.last() {
        Some(Response::Fetch(answer)) => Some(answer.clone()),
        _ => None,
    };
    assert_eq!(answered(&cluster), None, "it waits");
    cluster.run_ms(100);
    cluster.harness.release(0, 1);
    cluster.run_ms(100);
    let answer = answered(&cluster).expect("the high watermark completes it");
    assert_eq!((answer.partitions[0].records.len(), answer.partitions[0].high_watermark), (1, 2));
    for (session, expected) in [
        (FetchSession { id: answer.session, epoch: 2 }, ErrorCode::InvalidFetchSessionEpoch),
        (FetchSession { id: 99, epoch: 1 }, ErrorCode::FetchSessionIdNotFound),
    ] {
        let Request::Fetch(request) = full_fetch(None, vec![]) else { unreachable!() };
        cluster.ask(0, Request::Fetch(Box::new(FetchRequest { session, ..*request })));
        assert_eq!(answered(&cluster).map(|answer| answer.error), Some(expected));
    }
}
