//! Idempotent producers across brokers; the table of checks is pinned in `producer_state`.

use super::*;
use crate::id::ProducerId;

fn mark(epoch: u16, base_sequence: u32) -> Option<ProducerMark> {
    Some(ProducerMark { id: ProducerId(7), epoch, base_sequence })
}

#[test]
fn duplicates_are_recognised_by_the_next_leader() {
    let mut cluster = Cluster::led_by_0(|config| config.min_insync_replicas = 2);
    let first = cluster.batch(2, mark(0, 0));
    cluster.produce_batch(0, Acks::All, Arc::clone(&first));
    cluster.run_ms(600);
    cluster.elect(&ALL, 1, 2, &ALL);
    cluster.run_ms(600);
    cluster.produce_batch(1, Acks::All, first);
    cluster.run_ms(600);
    assert_eq!(cluster.last_produce(1), Some((ErrorCode::None, Some(0))));
    let next = cluster.batch(1, mark(0, 2));
    cluster.produce_batch(1, Acks::All, next);
    cluster.run_ms(600);
    assert_eq!((cluster.last_produce(1), cluster.ends(1)), (Some((ErrorCode::None, Some(2))), (3, 3)));
    let gap = cluster.batch(1, mark(0, 9));
    cluster.produce_batch(1, Acks::All, gap);
    assert_eq!(cluster.last_produce(1), Some((ErrorCode::OutOfOrderSequenceNumber, None)));
}

#[test]
fn a_duplicate_waits_for_its_original_and_counts_no_second_time() {
    let mut cluster = Cluster::led_by_0(|config| config.min_insync_replicas = 2);
    cluster.harness.hold(0, 1);
    cluster.harness.hold(0, 2);
    let batch = cluster.batch(2, mark(0, 0));
    cluster.produce_batch(0, Acks::All, Arc::clone(&batch));
    cluster.produce_batch(0, Acks::All, batch);
    assert_eq!((cluster.last_produce(0), cluster.ends(0)), (None, (2, 0)));
    cluster.harness.release(0, 1);
    cluster.harness.release(0, 2);
    cluster.run_ms(2_000);
    assert_eq!(cluster.last_produce(0), Some((ErrorCode::None, Some(0))));
    assert_eq!(cluster.values(1), [1, 2]);
}

#[test]
fn records_that_were_cut_are_no_duplicates() {
    let mut cluster = Cluster::led_by_0(|_| {});
    cluster.harness.hold(0, 1);
    cluster.harness.hold(0, 2);
    let lost = cluster.batch(2, mark(0, 0));
    cluster.produce_batch(0, Acks::Leader, Arc::clone(&lost));
    cluster.elect(&[1, 2], 1, 2, &ALL);
    cluster.elect(&[0], 1, 2, &ALL);
    cluster.harness.release(0, 1);
    cluster.harness.release(0, 2);
    cluster.run_ms(2_000);
    assert_eq!(cluster.cuts(0), [(2, 0)]);
    cluster.elect(&ALL, 0, 3, &ALL);
    cluster.produce_batch(0, Acks::Leader, lost);
    assert_eq!((cluster.last_produce(0), cluster.ends(0).0), (Some((ErrorCode::None, Some(0))), 2));
}
