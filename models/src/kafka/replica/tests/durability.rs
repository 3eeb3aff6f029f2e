//! What kills and power losses leave.

use super::*;
use crate::observation::TruncateReason;

fn loaded(cluster: &Cluster, broker: i32) -> Vec<(u64, u64)> {
    cluster.observed(broker, |what| match what {
        Observation::LogLoaded { leo, high_watermark, .. } => Some((*leo, *high_watermark)),
        _ => None,
    })
}

#[test]
fn a_kill_loses_nothing_written_and_the_high_watermark_is_the_checkpointed_one() {
    let mut cluster = Cluster::led_by_0(|_| {});
    cluster.produce(0, Acks::All, 4);
    cluster.run_ms(5_500); // Past the next checkpoint.
    cluster.produce(0, Acks::All, 3);
    cluster.run_ms(1_000);
    assert_eq!(cluster.ends(1), (7, 7));
    cluster.harness.crash(1, Loss::Memory);
    cluster.harness.restart(1);
    cluster.run_ms(10);
    assert!(cluster.harness.process(1).manager.is_loaded());
    assert_eq!(loaded(&cluster, 1), [(7, 4)]);
    cluster.elect(&[1], 0, 1, &ALL);
    cluster.run_ms(1_000);
    assert_eq!(cluster.ends(1), (7, 7));
}

#[test]
fn power_loss_takes_an_unflushed_tail_and_the_leader_gives_it_back() {
    let mut cluster = Cluster::led_by_0(|_| {});
    for _ in 0..50 {
        cluster.produce(0, Acks::All, 1);
        cluster.run_ms(5);
    }
    cluster.run_ms(6_000);
    cluster.harness.crash(1, Loss::PageCache);
    cluster.harness.restart(1);
    cluster.run_ms(10);
    let [(leo, high_watermark)] = loaded(&cluster, 1)[..] else { panic!("one log is loaded") };
    assert!(leo < 50 && high_watermark == leo, "{leo} {high_watermark}");
    let cuts = cluster.observed(1, |what| match what {
        Observation::Truncate { from, to, reason, .. } => Some((*from, *to, *reason)),
        _ => None,
    });
    assert_eq!(cuts, [(50, leo, TruncateReason::Recovery)]);
    cluster.elect(&[1], 0, 1, &ALL);
    cluster.run_ms(1_000);
    assert_eq!(cluster.values(1), cluster.values(0));
}

#[test]
fn flush_on_every_record_holds_the_answer_and_loses_nothing() {
    let mut cluster = Cluster::led_by_0(|config| config.log_flush_interval_messages = 1);
    cluster.produce(0, Acks::Leader, 2);
    assert_eq!(cluster.last_produce(0), None, "the answer waits for the fsync");
    cluster.run_ms(10);
    assert_eq!(cluster.last_produce(0), Some((ErrorCode::None, Some(0))));
    for broker in [0, 1] {
        cluster.harness.crash(broker, Loss::PageCache);
        cluster.harness.restart(broker);
        cluster.run_ms(10);
        assert_eq!(loaded(&cluster, broker.into()), [(2, 0)]);
    }
}

#[test]
fn a_full_disk_refuses_the_producer_and_halts_the_broker() {
    let mut cluster = Cluster::led_by_0(|config| config.message_max_bytes = u32::MAX);
    let batch = cluster.batch(1, None);
    let huge = RecordBatch { size: u32::MAX, ..(*batch).clone() };
    for _ in 0..250 {
        cluster.produce_batch(0, Acks::Leader, Arc::new(huge.clone()));
        if cluster.last_produce(0).is_some_and(|(error, _)| error == ErrorCode::KafkaStorageError) {
            break;
        }
    }
    assert_eq!(cluster.last_produce(0), Some((ErrorCode::KafkaStorageError, None)));
    let exits = cluster.observed(0, |what| matches!(what, Observation::Down { .. }).then_some(()));
    assert_eq!(exits.len(), 1);
}
