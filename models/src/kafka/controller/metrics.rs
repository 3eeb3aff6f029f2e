//! The controller's own metrics: `KafkaController.updateMetrics`, `ControllerEventManager`, `ControllerStats`.

use super::KafkaController;
use super::context::PartitionState;
use super::thread::{Event, Io};
use crate::kafka::metrics::Metric;
use crate::time::Instant;

impl Event {
    /// `ControllerEvent.state.value`.
    pub(super) fn state(&self) -> u64 {
        match self {
            Self::Startup
            | Self::ControllerChange
            | Self::Reelect
            | Self::RegisterBrokerAndReelect
            | Self::Expire
            | Self::ControllerEpochChange => CONTROLLER_CHANGE,
            Self::BrokerChange => BROKER_CHANGE,
            Self::TopicChange => 3,
            Self::AutoPreferredReplicaLeaderElection => 6,
            Self::AlterPartition { .. } | Self::IsrChangeNotification => 9,
            Self::ControlledShutdown { .. } => 8,
            Self::LeaderAndIsrResponse { .. } => 10,
            Self::LogDirEventNotification => 11,
            Self::AllocateProducerIds { .. } => IDLE,
        }
    }
}

const IDLE: u64 = 0;
const CONTROLLER_CHANGE: u64 = 1;
const BROKER_CHANGE: u64 = 2;

/// The event in progress, for its timer.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct InProgress {
    state: u64,
    since: Instant,
}

impl KafkaController {
    /// An event leaves the queue.
    pub(super) fn event_begins(&mut self, io: &mut Io<'_, '_>, event: &Event, queued: Instant) {
        let since = io.ctx.now;
        self.metrics.time(io.ctx, Metric::EventQueueTimeMs, since - queued);
        self.in_progress = Some(InProgress { state: event.state(), since });
    }

    /// An event is done: the only moment at which most of the gauges change, so that they stand still with the thread.
    pub(super) fn event_ends(&mut self, io: &mut Io<'_, '_>) {
        if let Some(InProgress { state, since }) = self.in_progress.take() {
            let took = io.ctx.now - since;
            match state {
                CONTROLLER_CHANGE => self.metrics.time(io.ctx, Metric::ControllerChangeRateAndTimeMs, took),
                BROKER_CHANGE => self.metrics.time(io.ctx, Metric::LeaderElectionRateAndTimeMs, took),
                _ => {}
            }
        }
        let brokers = if self.is_active() { self.context.live_brokers.len() } else { 0 };
        self.metrics.set(io.ctx, Metric::ActiveBrokerCount, brokers as u64);
        if std::mem::take(&mut self.context.changed) {
            self.count_partitions(io);
        }
    }

    fn count_partitions(&mut self, io: &mut Io<'_, '_>) {
        let (mut offline, mut imbalanced, mut partitions, mut topics) = (0, 0, 0, 0);
        if self.is_active() {
            for info in self.context.partitions().values() {
                partitions += 1;
                offline += u64::from(info.state == PartitionState::Offline);
                let elsewhere = info.leadership.as_ref().map(|l| l.state.leader.as_ref() != info.replicas.first());
                imbalanced += u64::from(elsewhere == Some(true));
            }
            topics = self.context.topics.len() as u64;
        }
        self.metrics.set(io.ctx, Metric::OfflinePartitionsCount, offline);
        self.metrics.set(io.ctx, Metric::PreferredReplicaImbalanceCount, imbalanced);
        self.metrics.set(io.ctx, Metric::GlobalPartitionCount, partitions);
        self.metrics.set(io.ctx, Metric::GlobalTopicCount, topics);
    }

    /// The thread blocks or falls idle.
    pub(super) fn thread_rests(&mut self, io: &mut Io<'_, '_>) {
        let state = self.in_progress.map_or(IDLE, |event| event.state);
        self.metrics.set(io.ctx, Metric::ControllerState, state);
        self.metrics.set(io.ctx, Metric::EventQueueSize, self.thread.waiting() as u64);
        self.metrics.set(io.ctx, Metric::TotalQueueSize, self.channels.total_queued());
    }
}
