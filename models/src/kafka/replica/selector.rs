//! Which replica a consumer is to read from (`ReplicaSelector`, `ReplicaManager.findPreferredReadReplica`, KIP-392).

use super::partition::{Partition, Read, Shared};
use crate::id::BrokerId;
use crate::kafka::config::{ReplicaSelector, Text};
use crate::kafka::protocol::FetchPartition;

impl Partition {
    /// `RackAwareReplicaSelector.select`: a member of the ISR in the reader's rack that holds the offset; of several the one
    /// that is farthest, was caught up last, has the largest id. `None` is the leader.
    pub(super) fn preferred_replica(&self, shared: &Shared, rack: &Text, offset: u64) -> Option<BrokerId> {
        if !self.is_leader() || shared.config.replica_selector_class != Some(ReplicaSelector::RackAware) {
            return None;
        }
        let stands_there = |id: BrokerId| shared.racks.get(&id) == Some(rack);
        if stands_there(shared.broker) {
            return None;
        }
        let holds = |end: u64, start: u64| (start..=end).contains(&offset);
        let candidates = self.remotes.iter().filter(|remote| {
            stands_there(remote.id)
                && self.isr.isr().contains(&remote.id)
                && remote.log_end.is_some_and(|end| holds(end, remote.log_start))
        });
        let best = candidates.max_by_key(|remote| (remote.log_end, remote.caught_up_at(&shared.sessions), remote.id));
        best.map(|remote| remote.id)
    }

    /// The answer to a reader that is sent elsewhere: no records.
    pub(super) fn redirect(&self, fetch: &FetchPartition, preferred: BrokerId) -> Read {
        match self.check_epoch(fetch.current_leader_epoch) {
            Err(error) => Read::failed(error),
            Ok(()) => Read {
                high_watermark: self.log.high_watermark(),
                log_start: self.log.log_start(),
                preferred: Some(preferred),
                ..Read::default()
            },
        }
    }
}
