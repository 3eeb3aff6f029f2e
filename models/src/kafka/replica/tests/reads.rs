//! Retention, and followers that serve consumers.

use super::*;
use crate::defect::Defect;
use crate::kafka::config::ReplicaSelector;

/// Segments of two batches, of which one and a half are kept.
fn keep_little(config: &mut BrokerConfig) {
    config.log_segment_bytes = 250;
    config.log_retention_bytes = 300;
    config.log_retention_check_interval_ms = 1_000;
}

fn starts(cluster: &Cluster) -> [u64; 3] {
    ALL.map(|id| cluster.harness.process(id as u16).manager.partitions.get(P0).unwrap().log.log_start())
}

#[test]
fn every_replica_deletes_whole_segments_below_its_high_watermark() {
    let mut cluster = Cluster::led_by_0(keep_little);
    (0..10).for_each(|_| cluster.produce(0, Acks::All, 1));
    cluster.run_ms(29_000);
    assert_eq!(starts(&cluster), [0, 0, 0], "background tasks begin after half a minute");
    cluster.run_ms(2_000);
    assert_eq!(starts(&cluster), [6, 6, 6], "1000 bytes, 300 to keep: three segments of 200 go");
    cluster.harness.hold(0, 1);
    cluster.harness.hold(0, 2);
    (0..10).for_each(|_| cluster.produce(0, Acks::Leader, 1));
    cluster.run_ms(2_000);
    assert_eq!((cluster.ends(0), starts(&cluster)), ((20, 10), [10, 6, 6]), "nothing above the high watermark goes");
    let starts = cluster.observed(0, |what| match what {
        Observation::LogStart { log_start, .. } => Some(*log_start),
        _ => None,
    });
    assert_eq!(starts, [6, 10]);
    let values: Vec<u64> = cluster.values_from(0, 10);
    assert_eq!(values, (11..=20).collect::<Vec<_>>());
}

/// A follower whose end lies before its leader's start drops its log; the defective one (KAFKA-9491, R16) keeps its high
/// watermark, with which it can serve nobody.
#[test]
fn a_follower_that_retention_overtook_begins_where_its_leader_does() {
    for (defects, during) in [(Defects::NONE, 6), (Defects::NONE.with(Defect::StaleHwAfterFullTruncation), 0)] {
        let mut cluster = Cluster::with_defects(keep_little, defects);
        cluster.harness.hold(0, 2); // Before it fetches once: its leader would propose it for the ISR.
        cluster.elect(&ALL, 0, 1, &[0, 1]);
        cluster.run_ms(100);
        (0..10).for_each(|_| cluster.produce(0, Acks::All, 1));
        cluster.run_ms(31_000);
        assert_eq!(starts(&cluster), [6, 6, 0]);
        cluster.harness.release(0, 2);
        cluster.run_ms(3_000);
        assert_eq!((starts(&cluster), cluster.ends(2)), ([6, 6, 6], (10, 10)));
        let told = cluster.observed(2, |what| match what {
            Observation::Truncate { to, reason, .. } => Some((*to, *reason == TruncateReason::Full)),
            Observation::HighWatermark { value, .. } => Some((*value, false)),
            _ => None,
        });
        assert_eq!(told[0], (6, true), "{defects:?}");
        assert_eq!(told[1].0 == 6, during == 6, "{defects:?}: {told:?}");
    }
}

/// KIP-392: the selector sends a reader to an in-sync replica in its rack; that one serves what it knows to be committed.
#[test]
fn a_reader_is_sent_to_the_follower_in_its_rack() {
    let mut cluster = Cluster::led_by_0(|c| c.replica_selector_class = Some(ReplicaSelector::RackAware));
    cluster.produce(0, Acks::All, 3);
    cluster.run_ms(600);
    cluster.produce(0, Acks::Leader, 1);
    cluster.harness.run_for(Span::from_us(600)); // On the followers, but not known to be committed.
    let mut check = |to: i32, rack: &str, offset: u64, expected: (ErrorCode, Option<i32>, usize)| {
        let fetch = FetchPartition {
            partition: P0,
            current_leader_epoch: Some(1),
            fetch_offset: offset,
            last_fetched_epoch: None,
            log_start_offset: 0,
            max_bytes: 1_000,
        };
        let Request::Fetch(request) = sessions::full_fetch(None, vec![fetch]) else { panic!("a fetch") };
        let request = FetchRequest { rack: Some(Text(rack.to_owned())), max_wait: Span::ZERO, ..*request };
        cluster.ask(to, Request::Fetch(Box::new(request)));
        let Some(Response::Fetch(answer)) = cluster.harness.process(to as u16).answers.last() else { panic!() };
        let told = &answer.partitions[0];
        let preferred = told.preferred_read_replica.map(|id| id.0);
        assert_eq!((told.error, preferred, told.records.len()), expected, "broker {to}, {rack}, offset {offset}");
    };
    check(0, "rack-2", 0, (ErrorCode::None, Some(2), 0));
    check(0, "rack-0", 0, (ErrorCode::None, None, 1));
    check(0, "nowhere", 0, (ErrorCode::None, None, 1));
    check(2, "rack-2", 0, (ErrorCode::None, None, 1));
    check(2, "rack-2", 3, (ErrorCode::None, None, 0));
    check(2, "rack-2", 9, (ErrorCode::OffsetOutOfRange, None, 0));
}
