//! Counts acknowledged records that are gone in the end, whatever the settings promised and whoever had read them before.
//!
//! The laws ask whether a promise was broken; an operator who permits no loss asks what is missing. A record counts as kept
//! if the last leader of its partition holds it, or would if retention had not deleted it there.

use std::collections::{BTreeMap, BTreeSet};

use models::id::{ProcessId, TopicPartition, ValueId};
use models::observation::{Observation, Observed, TruncateReason};
use models::shared_log::SharedLog;

/// What is in the logs, and what was acknowledged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Losses {
    logs: BTreeMap<(TopicPartition, ProcessId), SharedLog<ValueId>>,
    leaders: BTreeMap<TopicPartition, (i32, ProcessId)>,
    acknowledged: BTreeMap<TopicPartition, SharedLog<ValueId>>,
}

impl Losses {
    /// Takes an observation.
    pub(crate) fn observe(&mut self, seen: &Observed) {
        match &seen.what {
            Observation::Append { partition, base_offset, values, .. } => {
                let log = self.log(*partition, seen.process);
                log.truncate(*base_offset as usize);
                log.extend(values.iter().copied());
            }
            Observation::Truncate { partition, to, reason: TruncateReason::Full, .. } => {
                // It begins where the leader's log begins now; what lies before was deleted there.
                let leader = self.leaders.get(partition).and_then(|(_, leader)| self.logs.get(&(*partition, *leader)));
                let mut below = leader.cloned().unwrap_or_default();
                below.truncate(*to as usize);
                *self.log(*partition, seen.process) = below;
            }
            Observation::Truncate { partition, to: end, .. } | Observation::LogLoaded { partition, leo: end, .. } => {
                self.log(*partition, seen.process).truncate(*end as usize);
            }
            Observation::LeaderBegin { partition, leader_epoch, .. } => {
                let newest = self.leaders.entry(*partition).or_insert((*leader_epoch, seen.process));
                if *leader_epoch >= newest.0 {
                    *newest = (*leader_epoch, seen.process);
                }
            }
            Observation::SendOk { partition, value, .. } => {
                self.acknowledged.entry(*partition).or_default().push(*value);
            }
            _ => {}
        }
    }

    /// Acknowledged records that the last leaders do not hold.
    pub(crate) fn count(&self) -> u64 {
        let missing = |(partition, values): (&TopicPartition, &SharedLog<ValueId>)| {
            let leader = self.leaders.get(partition).map(|(_, process)| *process);
            let log = leader.and_then(|process| self.logs.get(&(*partition, process)));
            let kept: BTreeSet<ValueId> = log.into_iter().flat_map(SharedLog::iter).collect();
            values.iter().filter(|value| !kept.contains(value)).count() as u64
        };
        self.acknowledged.iter().map(missing).sum()
    }

    fn log(&mut self, partition: TopicPartition, process: ProcessId) -> &mut SharedLog<ValueId> {
        self.logs.entry((partition, process)).or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use models::kafka::config::Acks;
    use models::observation::ReplicaRole;
    use models::time::{Instant, Span};

    use super::*;

    const PARTITION: TopicPartition = TopicPartition { topic: models::id::Topic(0), partition: 0 };

    fn see(losses: &mut Losses, process: u16, what: Observation) {
        losses.observe(&Observed { at: Instant::ZERO, process: ProcessId(process), incarnation: 1, what });
    }

    fn append(losses: &mut Losses, process: u16, base_offset: u64, values: &[u64]) {
        let values: Arc<[ValueId]> = values.iter().map(|v| ValueId(*v)).collect();
        let role = ReplicaRole::Leader;
        let append =
            Observation::Append { partition: PARTITION, base_offset, leader_epoch: 0, values, producer: None, role };
        see(losses, process, append);
    }

    #[test]
    fn what_the_last_leader_lacks_is_lost_however_often_it_was_read() {
        let mut losses = Losses::default();
        let begin = |leader_epoch| Observation::LeaderBegin { partition: PARTITION, leader_epoch, leo: 0 };
        see(&mut losses, 1, begin(0));
        append(&mut losses, 1, 0, &[7, 8, 9]);
        append(&mut losses, 2, 0, &[7]);
        for value in [7, 8, 9] {
            let (value, acks) = (ValueId(value), Acks::Leader);
            let ok = Observation::SendOk { partition: PARTITION, value, offset: None, acks, latency: Span::ZERO };
            see(&mut losses, 3, ok);
        }
        assert_eq!(losses.count(), 0);
        see(&mut losses, 2, begin(1));
        assert_eq!(losses.count(), 2, "the new leader has one of three");
        append(&mut losses, 2, 1, &[8]);
        assert_eq!(losses.count(), 1);
        let reason = TruncateReason::DivergingEpoch;
        let cut = Observation::Truncate {
            partition: PARTITION,
            from: 2,
            to: 0,
            high_watermark: 0,
            leader_epoch: 1,
            role: ReplicaRole::Follower,
            reason,
        };
        see(&mut losses, 2, cut);
        assert_eq!(losses.count(), 3);
    }
}
