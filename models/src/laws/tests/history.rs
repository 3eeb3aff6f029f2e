//! A small builder of histories.

use crate::id::{BrokerId, HostId, Sid, Topic, TopicPartition};
use crate::kafka::config::Acks;
use crate::laws::{Facts, PartitionFacts, ProcessFacts, ProcessKind};
use crate::time::{Instant, Span};

/// The partition of all histories.
pub(crate) const P: TopicPartition = TopicPartition { topic: Topic(0), partition: 0 };

/// Three servers (processes 0 to 2), three brokers 1 to 3 (processes 3 to 5), a producer (6) and a consumer (7); one
/// partition on all brokers.
pub(crate) fn facts() -> Facts {
    let servers = (1..=3).map(|sid| ProcessKind::ZooKeeper(Sid(sid)));
    let brokers = (1..=3).map(|id| ProcessKind::Broker(BrokerId(id)));
    let kinds = servers.chain(brokers).chain([ProcessKind::Producer, ProcessKind::Consumer]);
    Facts {
        processes: kinds.map(|kind| ProcessFacts { kind, host: HostId(0), wanted: true }).collect(),
        partitions: vec![PartitionFacts { partition: P, replication_factor: 3 }],
        min_isr: 2,
        unclean_election: false,
        replica_lag: Span::from_secs(30),
        session_timeout: Span::from_secs(18),
        tick: Span::from_secs(2),
        init_limit: 10,
        sync_limit: 5,
        acks: Acks::All,
        idempotence: true,
        produce_interval: Span::from_secs(5),
        controller_probe: true,
        start: Instant::ZERO,
    }
}
