//! `checkAndTriggerAutoLeaderRebalance`: leadership goes back to preferred replicas from time to time.

use std::collections::BTreeMap;

use super::election::{self, Strategy};
use super::thread::{Call, Frame, Guard, Io};
use super::{ControllerTimer, KafkaController};
use crate::id::{BrokerId, TopicPartition};
use crate::kafka;
use crate::time::Span;
use crate::world::Timer;

impl KafkaController {
    pub(super) fn rebalance(&mut self) {
        let mut by_preferred: BTreeMap<BrokerId, Vec<TopicPartition>> = BTreeMap::new();
        for (partition, info) in self.context.partitions() {
            if let Some(preferred) = info.replicas.first() {
                by_preferred.entry(*preferred).or_default().push(*partition);
            }
        }
        self.thread.push([Frame::Call(Call::ScheduleRebalance), Frame::Guard(Guard::Rebalance)]);
        for (broker, partitions) in by_preferred.into_iter().rev() {
            self.thread.call(Call::Rebalance { broker, partitions });
        }
    }

    /// `partitions` are those that `broker` is to lead by their assignment.
    pub(super) fn rebalance_broker(&mut self, broker: BrokerId, partitions: &[TopicPartition]) {
        let elsewhere =
            |p: &&TopicPartition| self.context.leadership(**p).is_some_and(|l| l.state.leader != Some(broker));
        let misplaced: Vec<TopicPartition> = partitions.iter().filter(elsewhere).copied().collect();
        let threshold = self.config.leader_imbalance_per_broker_percentage as usize;
        if misplaced.len() * 100 <= threshold * partitions.len() {
            return;
        }
        let possible = |p: &TopicPartition| {
            self.context
                .leadership(*p)
                .is_some_and(|l| election::elect(&self.context, *p, &l.state, Strategy::Preferred, false).is_some())
        };
        let candidates: Vec<TopicPartition> = misplaced.into_iter().filter(possible).collect();
        self.partitions_online(&candidates, Strategy::Preferred);
    }

    /// `scheduleAutoLeaderRebalanceTask`.
    pub(super) fn schedule_rebalance(&mut self, io: &mut Io<'_, '_>, after: Span) {
        let timer = Timer::Kafka(kafka::Timer::Controller(ControllerTimer::AutoPreferredReplicaLeaderElection));
        if let Some(earlier) = self.rebalance_timer.replace(io.ctx.set_timer(after, timer)) {
            io.ctx.cancel(earlier);
        }
    }

    /// `leader.imbalance.check.interval.seconds`.
    pub(super) fn rebalance_interval(&self) -> Span {
        Span::from_secs(self.config.leader_imbalance_check_interval_seconds.into())
    }
}
