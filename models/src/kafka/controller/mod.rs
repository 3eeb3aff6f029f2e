//! `KafkaController`: the controller of Kafka 3.6 in ZooKeeper mode. Every broker has one; one of them is active.
//!
//! In reading order: `thread` (the queue, and a blocking thread as a stack of values), `dispatch`, `life_cycle`
//! (elections and resignations), `failover`, `broker_changes`, the two state machines over `election`,
//! `alter_partition`, `producer_ids`, `rebalance`, `controlled_shutdown`, `log_dir_events`; below them `context`,
//! `request_batch`, `channel_manager`; beside them `metrics`, what it tells of itself.
//!
//! Absent: reassignment, topic deletion, elections asked for by clients, and responses to UpdateMetadata and StopReplica, which the real controller only logs.

mod alter_partition;
mod broker_changes;
mod channel_manager;
mod context;
mod controlled_shutdown;
mod dispatch;
mod election;
mod failover;
mod isr_changes;
mod life_cycle;
mod log_dir_events;
mod metrics;
mod partition_state_machine;
mod producer_ids;
mod rebalance;
mod replica_state_machine;
mod request_batch;
#[cfg(test)]
mod tests;
mod thread;

use std::sync::Arc;

use self::channel_manager::ControllerChannelManager;
use self::context::ControllerContext;
pub(super) use self::log_dir_events::log_dir_event;
use self::metrics::InProgress;
use self::request_batch::RequestBatch;
use self::thread::{Event, EventThread, Failure, Io};
use super::Addresses;
use super::channel::{ChannelTimer, ConnInput};
use super::config::BrokerConfig;
use super::metrics::Metrics;
use super::protocol::{AlterPartitionRequest, ErrorCode, Origin, Response};
use super::zk_client::{ZkAnswer, ZkRequests};
use super::znode;
use crate::defect::{Defect, Defects};
use crate::id::{BrokerId, ConnId, TimerId};
use crate::world::Ctx;
use crate::zk::protocol::WatchKind;

/// What its timers carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ControllerTimer {
    /// The scheduler's task for moving leadership back to preferred replicas.
    AutoPreferredReplicaLeaderElection,
}

/// The controller of one broker process, from its start to its death; after a crash a new one is made.
///
/// The owner calls [`Self::startup`] once the broker is registered, then routes everything here that belongs to it:
/// answers of its batches and all watches to [`Self::on_zk_answer`], inputs of connections that it [`Self::owns`] to
/// [`Self::on_conn`], timers by their types. On expiry of the session it calls [`Self::expire`], waits until
/// [`Self::expire_started`] (so long does the real hand-over wait, KAFKA-8532), makes a new handle, and calls
/// [`Self::session_renewed`].
#[derive(Clone, Debug, Hash)]
pub struct KafkaController {
    broker: BrokerId,
    config: Arc<BrokerConfig>,
    defects: Defects,
    /// `activeControllerId`.
    active_controller: Option<BrokerId>,
    broker_epoch: i64,
    context: ControllerContext,
    thread: EventThread,
    /// What the last term knew, for events that outlived it; only with `Defect::ResignedControllerStillListens`. While such
    /// an event is in progress it changes places with `context`.
    former: Option<ControllerContext>,
    in_former_term: bool,
    /// Of the partition state machine.
    partition_batch: RequestBatch,
    /// Of the replica state machine.
    replica_batch: RequestBatch,
    channels: ControllerChannelManager,
    /// Whether the child handlers are registered: without them a watch fires into nothing.
    handlers_registered: bool,
    /// Whether the last `triggerOnlinePartitionStateChange` elected anybody.
    elected_some: bool,
    rebalance_timer: Option<TimerId>,
    metrics: Metrics,
    in_progress: Option<InProgress>,
}

impl KafkaController {
    /// The controller of a broker that has just started. `addresses` are those of all brokers, this one included.
    pub fn new(broker: BrokerId, config: Arc<BrokerConfig>, defects: Defects, addresses: Addresses) -> Self {
        Self {
            broker,
            channels: ControllerChannelManager::new(Arc::clone(&config), addresses),
            config,
            defects,
            active_controller: None,
            broker_epoch: -1,
            context: ControllerContext::default(),
            thread: EventThread::default(),
            former: None,
            in_former_term: false,
            partition_batch: RequestBatch::default(),
            replica_batch: RequestBatch::default(),
            handlers_registered: false,
            elected_some: false,
            rebalance_timer: None,
            metrics: Metrics::default(),
            in_progress: None,
        }
    }

    /// The broker is registered with `broker_epoch`: stand for election.
    pub fn startup(&mut self, ctx: &mut Ctx<'_>, zk: &mut impl ZkRequests, broker_epoch: i64) {
        self.broker_epoch = broker_epoch;
        self.put(&mut Io { ctx, zk }, Event::Startup);
    }

    /// The session expired: whatever is queued is dropped, and the controller resigns as soon as its thread is free.
    pub fn expire(&mut self, ctx: &mut Ctx<'_>, zk: &mut impl ZkRequests) {
        self.thread.expire_pending = true;
        let io = &mut Io { ctx, zk };
        if self.defects.has(Defect::ResignedControllerStillListens) {
            self.thread.keep();
        } else {
            self.preempt(io);
        }
        self.put(io, Event::Expire);
    }

    /// Whether the thread has begun with the last [`Self::expire`]: false while an earlier event still blocks it.
    pub fn expire_started(&self) -> bool {
        !self.thread.expire_pending
    }

    /// The new session handle exists: register again, then stand for election.
    pub fn session_renewed(&mut self, ctx: &mut Ctx<'_>, zk: &mut impl ZkRequests) {
        self.thread.kept_may_run = true;
        self.put(&mut Io { ctx, zk }, Event::RegisterBrokerAndReelect);
    }

    /// `KafkaController.shutdown`: the thread ends after the event that it is at, which may take for ever without ZooKeeper,
    /// and the controller resigns.
    pub fn shutdown(&mut self, ctx: &mut Ctx<'_>, zk: &mut impl ZkRequests) {
        let io = &mut Io { ctx, zk };
        self.preempt(io);
        self.thread.closing = true;
        self.pump(io);
    }

    /// Whether [`Self::shutdown`] has come to its end.
    pub fn is_shut(&self) -> bool {
        self.thread.closing && self.thread.is_idle()
    }

    /// `clearAndPut`: what is queued is dropped; of the modelled events only controlled shutdown is answered then.
    fn preempt(&mut self, io: &mut Io<'_, '_>) {
        let acted = self.thread.acted;
        for (_, event) in self.thread.clear() {
            if let Event::ControlledShutdown { origin, .. } = event {
                self.answer(io, origin, Response::ControlledShutdown(Err(ErrorCode::StaleControllerEpoch)));
            }
        }
        self.thread.acted = acted;
    }

    /// Takes an answer to one of the controller's own batches, or any watch. Others are ignored.
    pub fn on_zk_answer(&mut self, ctx: &mut Ctx<'_>, zk: &mut impl ZkRequests, answer: ZkAnswer) {
        let io = &mut Io { ctx, zk };
        match answer {
            ZkAnswer::Replies(batch, replies) if self.thread.waits_for(batch) => self.on_replies(io, replies),
            ZkAnswer::SessionExpired(batch) if self.thread.waits_for(batch) => {
                self.on_wait_failed(io, Failure::SessionExpired);
            }
            ZkAnswer::Registered(batch, outcome) if self.thread.waits_for(batch) => match outcome {
                Ok(epoch) => {
                    self.broker_epoch = epoch;
                    self.on_registered(io);
                }
                Err(_) => self.on_wait_failed(io, Failure::Other),
            },
            ZkAnswer::Watch(path, kind) => {
                if let Some(event) = self.watch_event(&path, kind) {
                    self.put(io, event);
                } else if &*path == znode::CONTROLLER_EPOCH {
                    self.thread.put_first(Event::ControllerEpochChange, io.ctx.now);
                    self.pump(io);
                }
            }
            ZkAnswer::Replies(..) | ZkAnswer::SessionExpired(_) | ZkAnswer::Registered(..) => {}
        }
    }

    /// A leader asks for changes of ISRs. Answered on `origin`, unless the session expires before its turn comes.
    pub fn on_alter_partition(
        &mut self,
        ctx: &mut Ctx<'_>,
        zk: &mut impl ZkRequests,
        origin: Origin,
        request: Arc<AlterPartitionRequest>,
    ) {
        self.put(&mut Io { ctx, zk }, Event::AlterPartition { origin, request });
    }

    /// A broker asks for a block of producer ids. Answered on `origin`, unless the session expires before its turn comes.
    pub fn on_allocate_producer_ids(
        &mut self,
        ctx: &mut Ctx<'_>,
        zk: &mut impl ZkRequests,
        origin: Origin,
        broker: BrokerId,
        broker_epoch: i64,
    ) {
        self.put(&mut Io { ctx, zk }, Event::AllocateProducerIds { origin, broker, broker_epoch });
    }

    /// A broker asks to be relieved of its leaderships. Answered on `origin`.
    pub fn on_controlled_shutdown(
        &mut self,
        ctx: &mut Ctx<'_>,
        zk: &mut impl ZkRequests,
        origin: Origin,
        broker: BrokerId,
        broker_epoch: i64,
    ) {
        self.put(&mut Io { ctx, zk }, Event::ControlledShutdown { origin, broker, broker_epoch });
    }

    /// Whether `conn` is one of the controller's connections to brokers.
    pub fn owns(&self, conn: ConnId) -> bool {
        self.channels.owns(conn)
    }

    /// Something happened on a connection that it owns.
    pub fn on_conn(&mut self, ctx: &mut Ctx<'_>, zk: &mut impl ZkRequests, input: ConnInput) {
        // Responses to UpdateMetadata and StopReplica would be events that do nothing but log.
        let answer = self.channels.on_conn(ctx, input);
        let io = &mut Io { ctx, zk };
        if let Some((broker, Response::LeaderAndIsr { error, partitions })) = answer {
            self.put(io, Event::LeaderAndIsrResponse { broker, error, partitions });
        } else {
            self.thread_rests(io);
        }
    }

    /// A timer of one of its connections fired.
    pub fn on_channel_timer(&mut self, ctx: &mut Ctx<'_>, zk: &mut impl ZkRequests, timer: ChannelTimer) {
        self.channels.on_timer(ctx, timer);
        self.thread_rests(&mut Io { ctx, zk });
    }

    /// A timer of its own fired.
    pub fn on_timer(&mut self, ctx: &mut Ctx<'_>, zk: &mut impl ZkRequests, timer: ControllerTimer) {
        match timer {
            ControllerTimer::AutoPreferredReplicaLeaderElection => {
                self.rebalance_timer = None;
                self.put(&mut Io { ctx, zk }, Event::AutoPreferredReplicaLeaderElection);
            }
        }
    }

    /// The czxid of the last registration; -1 before the first.
    pub fn broker_epoch(&self) -> i64 {
        self.broker_epoch
    }

    /// Whether this broker takes itself for the active controller: the gauge ActiveControllerCount.
    pub fn is_active(&self) -> bool {
        self.active_controller == Some(self.broker)
    }

    /// Whether an election has been won and not been followed by a resignation. Differs from [`Self::is_active`] where
    /// `Defect::InertController` strikes.
    fn runs(&self) -> bool {
        self.context.epoch > 0
    }

    /// Whether it is the active controller in deed.
    fn acts(&self) -> bool {
        self.is_active() && self.runs()
    }

    /// What every handler asks first. `Defect::ResignedControllerStillListens`: listeners of an earlier term do not ask
    /// (KAFKA-4447).
    fn takes_itself_for_active(&self) -> bool {
        self.is_active() || self.in_former_term
    }

    fn enter_former_term(&mut self) {
        if let Some(former) = &mut self.former {
            std::mem::swap(former, &mut self.context);
            self.in_former_term = true;
        }
    }

    fn leave_former_term(&mut self) {
        if std::mem::take(&mut self.in_former_term)
            && let Some(former) = &mut self.former
        {
            std::mem::swap(former, &mut self.context);
        }
    }

    fn put(&mut self, io: &mut Io<'_, '_>, event: Event) {
        self.thread.put(event, io.ctx.now);
        self.pump(io);
    }

    fn watch_event(&self, path: &str, kind: WatchKind) -> Option<Event> {
        match (path, kind) {
            (znode::CONTROLLER, WatchKind::Created | WatchKind::DataChanged) => Some(Event::ControllerChange),
            (znode::CONTROLLER, WatchKind::Deleted) => Some(Event::Reelect),
            (znode::BROKER_IDS, WatchKind::ChildrenChanged) if self.handlers_registered => Some(Event::BrokerChange),
            (znode::TOPICS, WatchKind::ChildrenChanged) if self.handlers_registered => Some(Event::TopicChange),
            (znode::ISR_CHANGE_NOTIFICATION, WatchKind::ChildrenChanged) if self.handlers_registered => {
                Some(Event::IsrChangeNotification)
            }
            (znode::LOG_DIR_EVENT_NOTIFICATION, WatchKind::ChildrenChanged) if self.handlers_registered => {
                Some(Event::LogDirEventNotification)
            }
            _ => None,
        }
    }
}
