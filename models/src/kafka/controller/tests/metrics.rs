//! What the controller tells of itself, and when.

use super::cluster::Cluster;
use super::is_state_write;
use crate::defect::Defects;
use crate::kafka::config::BrokerConfig;
use crate::kafka::metrics::Metric;

fn values<const N: usize>(cluster: &Cluster, id: i32, metrics: [Metric; N]) -> [u64; N] {
    metrics.map(|metric| cluster.nodes[&id].metrics.get(&metric).copied().unwrap_or(0))
}

#[test]
fn gauges_stand_still_with_the_event_thread_and_belong_to_the_active_controller() {
    const GAUGES: [Metric; 4] = [
        Metric::ActiveControllerCount,
        Metric::GlobalPartitionCount,
        Metric::OfflinePartitionsCount,
        Metric::PreferredReplicaImbalanceCount,
    ];
    const THREAD: [Metric; 3] = [Metric::ControllerState, Metric::EventQueueSize, Metric::ActiveBrokerCount];
    let mut cluster = Cluster::settled(3, &[&[2, 3], &[2]], &BrokerConfig::default(), Defects::NONE);
    assert_eq!((values(&cluster, 1, GAUGES), values(&cluster, 1, THREAD)), ([1, 2, 0, 0], [0, 0, 3]));
    assert_eq!(values(&cluster, 2, GAUGES), [0; 4]);

    let request = cluster.wish(0, &[3]);
    // Broker 2 dies; its partitions have no leader, but the event that finds that out is not over.
    cluster.kill(2);
    cluster.step_until(1, |c| c.awaits(1, is_state_write));
    let changes = values(&cluster, 1, [Metric::LeaderElectionRateAndTimeMs]);
    assert_eq!((values(&cluster, 1, GAUGES), values(&cluster, 1, THREAD)), ([1, 2, 0, 0], [2, 0, 3]));
    cluster.alter(1, 1, request);
    assert_eq!(values(&cluster, 1, THREAD), [2, 1, 3], "a request waits behind it");
    cluster.run();
    assert_eq!((values(&cluster, 1, GAUGES), values(&cluster, 1, THREAD)), ([1, 2, 1, 2], [0, 0, 2]));
    assert_eq!(values(&cluster, 1, [Metric::LeaderElectionRateAndTimeMs]), [changes[0] + 1]);

    cluster.expire_at_store(1);
    cluster.learn_expiry(1);
    assert_eq!(values(&cluster, 1, GAUGES), [0; 4], "who resigns shows nothing more");
}
