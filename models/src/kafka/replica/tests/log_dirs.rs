//! Log directories: placement, failure, recovery, clean shutdown.

use super::*;
use crate::kafka::config::LogDirs;
use crate::options::OptionValue;

const P1: TopicPartition = TopicPartition { topic: Topic(0), partition: 1 };

#[test]
fn a_failed_directory_takes_its_replicas_and_leaves_the_others() {
    let mut cluster = Cluster::new(|config| config.log_dirs = LogDirs::parse("/a,/b").unwrap());
    cluster.elect_all(&ALL, &[P0, P1], 0, 1, &ALL);
    cluster.run_ms(100);
    let produce_to = |cluster: &mut Cluster, id| {
        let batch = cluster.batch(1, None);
        let request = ProduceRequest { acks: Acks::Leader, timeout: Span::from_secs(30), batches: vec![(id, batch)] };
        cluster.harness.process_mut(0).answers.clear();
        cluster.ask(0, Request::Produce(request));
        cluster.last_produce(0).map(|(error, _)| error)
    };
    assert_eq!(produce_to(&mut cluster, P1), Some(ErrorCode::None));

    cluster.harness.disk_mut(0).failing_dirs.insert((ProcessId(0), 1));
    assert_eq!(produce_to(&mut cluster, P1), Some(ErrorCode::KafkaStorageError));
    assert_eq!(produce_to(&mut cluster, P1), Some(ErrorCode::KafkaStorageError), "it stays offline");
    assert_eq!(produce_to(&mut cluster, P0), Some(ErrorCode::None), "the other directory works");
    let offline = cluster.observed(0, |what| match what {
        Observation::LogDirOffline { dir, partitions, .. } => Some((*dir, *partitions)),
        _ => None,
    });
    assert_eq!(offline, [(1, 1)]);
    assert_eq!(cluster.harness.process(0).told_of_log_dirs, 1, "the controller hears of it once");

    // That is what the controller learns from, whatever the epochs.
    cluster.harness.process_mut(0).answers.clear();
    cluster.elect_all(&[0], &[P0, P1], 0, 1, &ALL);
    let answers = cluster.harness.process(0).answers.iter().find_map(|answer| match answer {
        Response::LeaderAndIsr { partitions, .. } => Some(partitions.clone()),
        _ => None,
    });
    assert_eq!(answers, Some(vec![(P0, ErrorCode::StaleControllerEpoch), (P1, ErrorCode::KafkaStorageError)]));

    // At the next start a mended directory is found as it was.
    cluster.harness.disk_mut(0).failing_dirs.clear();
    cluster.harness.crash(0, Loss::Memory);
    cluster.harness.restart(0);
    cluster.run_ms(10);
    let ends: Vec<u64> = cluster.harness.process(0).manager.partitions.values().map(|p| p.log.log_end()).collect();
    assert_eq!(ends, [1, 1]);
}

#[test]
fn the_last_directory_takes_the_broker_with_it() {
    let mut cluster = Cluster::led_by_0(|config| config.log_dirs = LogDirs::parse("/a,/b").unwrap());
    cluster.harness.disk_mut(0).failing = Some(crate::process::DiskError::Io);
    cluster.produce(0, Acks::Leader, 1);
    assert_eq!(cluster.last_produce(0), Some((ErrorCode::KafkaStorageError, None)));
    let down = |what: &Observation| matches!(what, Observation::Down { .. }).then_some(());
    assert!(cluster.observed(0, down).is_empty(), "one is left, as far as anybody knows");
    cluster.run_ms(6_000); // The next checkpoint.
    assert_eq!(cluster.observed(0, down).len(), 1);
}

/// What was recovered and what was closed, in order.
fn history(cluster: &Cluster, broker: i32) -> Vec<String> {
    cluster.observed(broker, |what| match what {
        Observation::LogRecoveryBegin { logs, bytes, .. } => Some(format!("begin {logs} {bytes}")),
        Observation::LogRecoveryEnd { bytes, .. } => Some(format!("end {bytes}")),
        Observation::LogsClosed { clean, bytes } => Some(format!("closed {clean} {bytes}")),
        Observation::LogLoaded { leo, high_watermark, .. } => Some(format!("loaded {leo} {high_watermark}")),
        _ => None,
    })
}

#[test]
fn a_clean_shutdown_spares_the_recovery_and_survives_a_power_loss() {
    let mut cluster = Cluster::led_by_0(|_| {});
    for _ in 0..3 {
        cluster.produce(0, Acks::All, 2);
        cluster.run_ms(1_000);
    }
    cluster.harness.crash(1, Loss::Memory);
    cluster.harness.restart(1);
    cluster.run_ms(1_000);
    assert_eq!(history(&cluster, 1), ["begin 1 300", "end 300", "loaded 6 0"]);

    cluster.elect(&[1], 0, 1, &ALL);
    cluster.run_ms(1_000);
    cluster.harness.observed.clear();
    cluster.harness.input(1, Input::Terminate);
    cluster.run_ms(10);
    assert!(cluster.harness.process(1).manager.is_closed());
    cluster.harness.crash(1, Loss::PageCache);
    cluster.harness.restart(1);
    cluster.run_ms(10);
    assert_eq!(history(&cluster, 1), ["closed true 300", "loaded 6 6"], "nothing is read again, nothing is lost");

    // The marker is gone with the start: it vouches for one stop only.
    cluster.elect(&[1], 0, 1, &ALL);
    cluster.run_ms(500);
    cluster.produce(0, Acks::All, 1);
    cluster.run_ms(500);
    cluster.harness.observed.clear();
    cluster.harness.crash(1, Loss::Memory);
    cluster.harness.restart(1);
    cluster.run_ms(100);
    assert_eq!(history(&cluster, 1)[..2], ["begin 1 400", "end 400"]);
}

#[test]
fn recovery_takes_as_long_as_its_slowest_thread() {
    let loaded_after = |threads: u32| {
        let mut cluster = Cluster::led_by_0(|config| {
            config.num_recovery_threads_per_data_dir = threads;
            config.message_max_bytes = u32::MAX;
        });
        cluster.elect_all(&ALL, &[P0, P1], 0, 2, &ALL);
        cluster.run_ms(100);
        for id in [P0, P1] {
            let batch = RecordBatch { size: 200_000_000, ..(*cluster.batch(1, None)).clone() };
            let batches = vec![(id, Arc::new(batch))];
            cluster
                .ask(0, Request::Produce(ProduceRequest { acks: Acks::Leader, timeout: Span::from_secs(30), batches }));
        }
        cluster.harness.crash(0, Loss::Memory);
        cluster.harness.restart(0);
        let mut ms = 0;
        while !cluster.harness.process(0).manager.is_loaded() {
            cluster.run_ms(100);
            ms += 100;
        }
        ms
    };
    assert_eq!([loaded_after(1), loaded_after(2)], [2_000, 1_000], "200 MB a second and thread");
}
