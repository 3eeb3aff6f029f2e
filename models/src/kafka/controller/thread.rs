//! The event thread: one queue, one event at a time, and a call stack made of values, because the real thread blocks in
//! ZooKeeper in the middle of an event (`ControllerEventManager`, `KafkaZkClient.retryRequestsUntilConnected`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::KafkaController;
use super::alter_partition::Alteration;
use super::broker_changes::BrokersFor;
use super::context::{ReplicaGroups, ReplicaState};
use super::election::Strategy;
use super::failover::FailoverStep;
use super::partition_state_machine::{Election, Initialization};
use super::replica_state_machine::Removal;
use crate::defect::Defect;
use crate::id::{BrokerId, Topic, TopicPartition, Zxid};
use crate::kafka::protocol::{AlterPartitionRequest, ErrorCode, Frame as WireFrame, Origin, Response};
use crate::kafka::zk_client::{ZkBatch, ZkReply, ZkRequests, ZkUser};
use crate::kafka::znode;
use crate::observation::Observation;
use crate::time::Instant;
use crate::world::{Ctx, Message};
use crate::zk::protocol::{Op, OpResult, Path, ZkError};

/// What the thread reaches while it runs.
pub(super) struct Io<'a, 'c> {
    pub(super) ctx: &'a mut Ctx<'c>,
    pub(super) zk: &'a mut dyn ZkRequests,
}

/// `ControllerEvent`.
#[derive(Clone, Debug, Hash)]
pub(super) enum Event {
    Startup,
    ControllerChange,
    Reelect,
    RegisterBrokerAndReelect,
    Expire,
    /// `ControllerEpochListener`, only with `Defect::ZombieAdoptsNewEpoch`.
    ControllerEpochChange,
    BrokerChange,
    TopicChange,
    IsrChangeNotification,
    LeaderAndIsrResponse {
        broker: BrokerId,
        error: ErrorCode,
        partitions: Vec<(TopicPartition, ErrorCode)>,
    },
    AlterPartition {
        origin: Origin,
        request: Arc<AlterPartitionRequest>,
    },
    AllocateProducerIds {
        origin: Origin,
        broker: BrokerId,
        broker_epoch: i64,
    },
    ControlledShutdown {
        origin: Origin,
        broker: BrokerId,
        broker_epoch: i64,
    },
    LogDirEventNotification,
    AutoPreferredReplicaLeaderElection,
}

/// What an event's handler throws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Failure {
    /// `ControllerMovedException`: the fence held, or an election was lost.
    ControllerMoved,
    /// `ZooKeeperClientExpiredException`.
    SessionExpired,
    /// `KeeperException`.
    Keeper(ZkError),
    /// Any other exception: a znode that cannot be read, a registration that failed.
    Other,
}

/// A frame of the call stack.
#[derive(Clone, Debug, Hash)]
pub(super) enum Frame {
    /// To be run when reached.
    Call(Call),
    /// To be resumed at once: there was nothing to ask ZooKeeper.
    Ready(Then),
    /// A `try` block: skipped when reached, asked when a failure comes up the stack.
    Guard(Guard),
}

/// A method still to be called.
#[derive(Clone, Debug, Hash)]
pub(super) enum Call {
    MaybeResign,
    Elect,
    ElectIfVacant,
    FollowEpoch,
    RemoveInertController,
    TriggerControllerMove,
    Failover(FailoverStep),
    ReplicaStateMachineStartup,
    PartitionStateMachineStartup,
    BrokerStartup(BTreeMap<BrokerId, i64>),
    BrokerFailure(BTreeSet<BrokerId>),
    ReplicasBecomeOffline(ReplicaGroups),
    UpdateMetadataUnlessElected,
    TriggerOnlinePartitions,
    PartitionsOnline { partitions: Vec<TopicPartition>, strategy: Strategy },
    Initialize(Vec<TopicPartition>),
    ElectLeaders { partitions: Vec<TopicPartition>, strategy: Strategy },
    FlushPartitionBatch,
    Replicas { groups: ReplicaGroups, target: ReplicaState },
    RemoveFromIsr { broker: BrokerId, partitions: Vec<TopicPartition> },
    RemovalRound(Removal),
    FlushReplicaBatch,
    Rebalance { broker: BrokerId, partitions: Vec<TopicPartition> },
    ScheduleRebalance,
    DeleteIsrChanges(Vec<Path>),
    ReadProducerIdBlock { origin: Origin, broker: BrokerId },
    StopFollowing { broker: BrokerId, partitions: Vec<TopicPartition> },
    AnswerControlledShutdown { origin: Origin, broker: BrokerId },
    DeleteLogDirEvents(Vec<Path>),
}

/// What the answers of ZooKeeper are for.
#[derive(Clone, Debug, Hash)]
pub(super) enum Then {
    StartupWatchArmed,
    Registered,
    ResignWatchArmed {
        was_active: bool,
    },
    ResignRead {
        was_active: bool,
    },
    ElectRead,
    EpochAdopted,
    EpochRead,
    EpochCreated,
    ElectionDone {
        epoch: i32,
    },
    VerifyController {
        epoch: i32,
    },
    VerifyEpoch {
        epoch: i32,
    },
    InertEpochRead,
    InertControllerRead {
        epoch_version: i32,
    },
    MoveRead,
    /// Nothing; only the fence matters.
    Ignore,
    Failover(FailoverStep),
    BrokerIds(BrokersFor),
    Brokers(BrokersFor, Vec<BrokerId>),
    Topics,
    LogDirEvents,
    LogDirEventBrokers(Vec<Path>),
    NewTopics(Vec<Topic>),
    IsrChangeNames,
    IsrChanges,
    IsrChangeStates(Vec<TopicPartition>),
    InitTopics(Initialization),
    InitPartitions(Initialization),
    InitStates(Initialization),
    ElectionStates {
        partitions: Vec<TopicPartition>,
        strategy: Strategy,
    },
    ElectionConfigs {
        valid: Election,
        topics: Vec<Topic>,
    },
    ElectionWrites {
        writes: Election,
    },
    RemovalStates(Removal),
    RemovalWrites(Removal),
    AlterWrites(Alteration),
    AlterRefresh(Alteration),
    ProducerIdBlockRead {
        origin: Origin,
        broker: BrokerId,
    },
    ProducerIdBlockWritten {
        origin: Origin,
        broker: BrokerId,
        start: u64,
    },
}

/// Who catches what.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum Guard {
    /// `KafkaController.process`: a lost fence leads to `maybeResign`, anything else is logged.
    Process,
    /// `elect`: a lost race leads to `maybeResign`, anything else to `triggerControllerMove`.
    Elect,
    /// `triggerControllerMove`: a lost fence is fine.
    Move,
    /// `handleStateChanges` of either state machine: a lost fence goes on, anything else is logged. What the request batch
    /// holds by then stays in it.
    StateMachine,
    /// `processAlterPartition`: everything is answered with UNKNOWN_SERVER_ERROR.
    AlterPartition(Origin),
    /// `processAllocateProducerIds`: likewise.
    AllocateProducerIds(Origin),
    /// `processControlledShutdown`: answered with whatever was thrown.
    ControlledShutdown(Origin),
    /// The `finally` of `processAutoPreferredReplicaLeaderElection`.
    Rebalance,
    /// The `finally` of `processIsrChangeNotification`: the call behind it is made in any case.
    IsrChanges,
}

/// What the thread waits for.
#[derive(Clone, Debug, Hash)]
struct Wait {
    batch: ZkBatch,
    /// Set if the requests are fenced.
    fence: Option<Fence>,
    then: Then,
}

/// A controller's right to write, and what it asked to be written.
#[derive(Clone, Debug, Hash)]
struct Fence {
    epoch: i32,
    /// Whether the store checks it; see `Defect::UnfencedControllerWrites`.
    checked: bool,
    paths: Vec<Path>,
}

/// The results of a batch, in order.
pub(super) type Results = Vec<Result<OpResult, ZkError>>;

/// The event thread's own state.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct EventThread {
    /// With the time since when they wait.
    queue: VecDeque<(Instant, Event)>,
    /// Events from before a resignation that are to be handled all the same, only with
    /// `Defect::ResignedControllerStillListens`.
    kept: VecDeque<(Instant, Event)>,
    /// Whether there is a new session for them.
    pub(super) kept_may_run: bool,
    /// Whether an event is in progress.
    busy: bool,
    stack: Vec<Frame>,
    wait: Option<Wait>,
    /// Whether an Expire event waits to be started.
    pub(super) expire_pending: bool,
    /// `ShutdownEventThread`: no further event is begun.
    pub(super) closing: bool,
    /// Whether the event in progress wrote or answered.
    pub(super) acted: bool,
}

impl EventThread {
    /// `ControllerEventManager.put`.
    pub(super) fn put(&mut self, event: Event, now: Instant) {
        self.queue.push_back((now, event));
    }

    /// First half of `ControllerEventManager.clearAndPut`: gives back what was queued. Of the modelled events few answer when
    /// they are preempted: the leader whose AlterPartition is drained waits for its own time-out (KAFKA-10193 covers others).
    pub(super) fn clear(&mut self) -> VecDeque<(Instant, Event)> {
        std::mem::take(&mut self.queue)
    }

    /// Instead of [`EventThread::clear`]: what is queued comes after the new session.
    pub(super) fn keep(&mut self) {
        self.kept_may_run = false;
        self.kept.append(&mut self.queue);
    }

    /// Puts an event before all others, for a listener that runs on ZooKeeper's own thread.
    pub(super) fn put_first(&mut self, event: Event, now: Instant) {
        self.queue.push_front((now, event));
    }

    /// How many events wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Whether no event is in progress.
    pub(super) fn is_idle(&self) -> bool {
        !self.busy && self.wait.is_none() && self.stack.is_empty()
    }

    /// Runs `frames` in order before whatever else is to be done. A guard stands after the calls that it guards.
    pub(super) fn push<const N: usize>(&mut self, frames: [Frame; N]) {
        self.stack.extend(frames.into_iter().rev());
    }

    /// As [`EventThread::push`], one call.
    pub(super) fn call(&mut self, call: Call) {
        self.stack.push(Frame::Call(call));
    }

    /// Whether `batch` is the one waited for.
    pub(super) fn waits_for(&self, batch: ZkBatch) -> bool {
        self.wait.as_ref().is_some_and(|wait| wait.batch == batch)
    }
}

impl KafkaController {
    /// Runs until the thread blocks or has nothing to do.
    pub(super) fn pump(&mut self, io: &mut Io<'_, '_>) {
        while self.thread.wait.is_none() {
            let outcome = match self.thread.stack.pop() {
                Some(Frame::Call(call)) => self.call(io, call),
                Some(Frame::Ready(then)) => self.resume(io, then, Ok(Results::new())),
                Some(Frame::Guard(_)) => Ok(()),
                None => {
                    self.finish_event(io);
                    if self.thread.closing {
                        return self.close(io);
                    }
                    let Some((queued, event)) = self.next_event() else { break };
                    self.thread.busy = true;
                    self.event_begins(io, &event, queued);
                    self.thread.stack.push(Frame::Guard(Guard::Process));
                    self.begin(io, event)
                }
            };
            if let Err(failure) = outcome {
                self.unwind(io, failure);
            }
        }
        self.thread_rests(io);
    }

    /// What was kept from an earlier term runs once nothing else is queued, and with what that term knew.
    fn next_event(&mut self) -> Option<(Instant, Event)> {
        if let Some(next) = self.thread.queue.pop_front() {
            return Some(next);
        }
        if !self.thread.kept_may_run {
            return None;
        }
        let next = self.thread.kept.pop_front()?;
        self.enter_former_term();
        Some(next)
    }

    /// Asks ZooKeeper and blocks.
    pub(super) fn ask(&mut self, io: &mut Io<'_, '_>, ops: Vec<Op>, then: Then) {
        self.block(io, ops, None, then);
    }

    /// Asks ZooKeeper for writes that happen only while this controller's epoch is the newest, and blocks
    /// (`wrapRequestWithControllerEpochCheck`, KAFKA-6082).
    pub(super) fn ask_fenced(&mut self, io: &mut Io<'_, '_>, ops: Vec<Op>, then: Then) {
        let (epoch, version) = (self.context.epoch, self.context.epoch_zk_version);
        self.ask_fenced_by(io, epoch, version, ops, then);
    }

    /// As [`Self::ask_fenced`], with an epoch that this controller no longer has.
    pub(super) fn ask_fenced_by(&mut self, io: &mut Io<'_, '_>, epoch: i32, version: i32, ops: Vec<Op>, then: Then) {
        let paths = ops.iter().filter_map(written_path).collect();
        let checked = !self.defects.has(Defect::UnfencedControllerWrites);
        let check = Op::Check { path: znode::CONTROLLER_EPOCH.into(), version };
        let fenced = |op| if checked { Op::Multi(vec![check.clone(), op]) } else { op };
        let ops = ops.into_iter().map(fenced).collect();
        self.block(io, ops, Some(Fence { epoch, checked, paths }), then);
    }

    fn block(&mut self, io: &mut Io<'_, '_>, ops: Vec<Op>, fence: Option<Fence>, then: Then) {
        if ops.is_empty() {
            self.thread.stack.push(Frame::Ready(then));
            return;
        }
        let batch = io.zk.submit(io.ctx, ZkUser::Controller, ops);
        self.wait(batch, fence, then);
    }

    /// Registers the broker and blocks.
    pub(super) fn register(&mut self, io: &mut Io<'_, '_>) {
        let batch = io.zk.register_broker(io.ctx, ZkUser::Controller);
        self.wait(batch, None, Then::Registered);
    }

    fn wait(&mut self, batch: ZkBatch, fence: Option<Fence>, then: Then) {
        assert!(self.thread.wait.is_none(), "one thread blocks once");
        self.thread.wait = Some(Wait { batch, fence, then });
    }

    /// The answer that the thread waits for has come.
    pub(super) fn on_replies(&mut self, io: &mut Io<'_, '_>, replies: Vec<ZkReply>) {
        let Some(Wait { fence, then, .. }) = self.thread.wait.take() else { return };
        let outcome = match fence {
            None => Ok(replies.into_iter().map(|reply| reply.result).collect()),
            Some(fence) => self.unwrap_fenced(io, &fence, replies),
        };
        self.continue_with(io, then, outcome);
    }

    /// The answer that the thread waits for will not come.
    pub(super) fn on_wait_failed(&mut self, io: &mut Io<'_, '_>, failure: Failure) {
        let Some(Wait { then, .. }) = self.thread.wait.take() else { return };
        self.continue_with(io, then, Err(failure));
    }

    /// The registration succeeded.
    pub(super) fn on_registered(&mut self, io: &mut Io<'_, '_>) {
        let Some(Wait { then, .. }) = self.thread.wait.take() else { return };
        self.continue_with(io, then, Ok(Results::new()));
    }

    fn continue_with(&mut self, io: &mut Io<'_, '_>, then: Then, outcome: Result<Results, Failure>) {
        if let Err(failure) = self.resume(io, then, outcome) {
            self.unwind(io, failure);
        }
        self.pump(io);
    }

    /// `unwrapResponseWithControllerEpochCheck`. All requests of the batch had been sent before the first answer is looked
    /// at, so writes that were accepted are reported even if the fence stopped a later one.
    fn unwrap_fenced(&mut self, io: &mut Io<'_, '_>, fence: &Fence, replies: Vec<ZkReply>) -> Result<Results, Failure> {
        let mut failure = None;
        let mut results = Results::with_capacity(replies.len());
        for (reply, path) in replies.into_iter().zip(&fence.paths) {
            if !fence.checked {
                if reply.result.is_ok() {
                    self.had_effect(io, fence.epoch, path, reply.zxid);
                }
                results.push(reply.result);
                continue;
            }
            let mut parts = match reply.result {
                Ok(OpResult::Multi(parts)) if parts.len() == 2 => parts,
                Ok(_) => return Err(Failure::Other),
                Err(error) => {
                    results.push(Err(error));
                    continue;
                }
            };
            let (inner, check) = (parts.remove(1), parts.remove(0));
            match check {
                Err(ZkError::BadVersion) => failure = failure.or(Some(Failure::ControllerMoved)),
                Ok(_) | Err(ZkError::RolledBack) => {}
                Err(error) => failure = failure.or(Some(Failure::Keeper(error))),
            }
            if inner.is_ok() {
                self.had_effect(io, fence.epoch, path, reply.zxid);
            }
            results.push(inner);
        }
        failure.map_or(Ok(results), Err)
    }

    fn had_effect(&mut self, io: &mut Io<'_, '_>, epoch: i32, path: &Path, zxid: Zxid) {
        self.thread.acted = true;
        io.ctx.observe(Observation::ControllerEffect { epoch, path: Arc::clone(path), zxid });
    }

    /// A failure goes up the stack until somebody catches it.
    fn unwind(&mut self, io: &mut Io<'_, '_>, failure: Failure) {
        let moved = failure == Failure::ControllerMoved;
        while let Some(frame) = self.thread.stack.pop() {
            let Frame::Guard(guard) = frame else { continue };
            match guard {
                Guard::Process | Guard::Elect if moved => return self.follow_controller_change(),
                Guard::Elect => return self.thread.call(Call::TriggerControllerMove),
                Guard::Move if moved => return,
                Guard::Process | Guard::Move => {}
                Guard::IsrChanges => return,
                Guard::StateMachine if moved => {}
                Guard::StateMachine => return,
                Guard::AlterPartition(origin) => return self.answer_alter_partition_failed(io, origin),
                Guard::AllocateProducerIds(origin) => {
                    return self.answer(io, origin, Response::AllocateProducerIds(Err(ErrorCode::UnknownServerError)));
                }
                Guard::ControlledShutdown(origin) => {
                    let error = if moved { ErrorCode::StaleControllerEpoch } else { ErrorCode::UnknownServerError };
                    return self.answer(io, origin, Response::ControlledShutdown(Err(error)));
                }
                Guard::Rebalance => self.schedule_rebalance(io, self.rebalance_interval()),
            }
        }
    }

    fn finish_event(&mut self, io: &mut Io<'_, '_>) {
        if !std::mem::take(&mut self.thread.busy) {
            return;
        }
        if std::mem::take(&mut self.thread.acted) && self.acts() {
            io.ctx.observe(Observation::ControllerActed { epoch: self.context.epoch });
        }
        self.event_ends(io);
        self.leave_former_term();
    }

    /// Answers a broker's request.
    pub(super) fn answer(&mut self, io: &mut Io<'_, '_>, origin: Origin, response: Response) {
        self.thread.acted = true;
        io.ctx.send(origin.conn, Message::Kafka(WireFrame::response(origin.correlation, response)));
    }
}

/// Where a state-changing step keeps going although ZooKeeper threw: every request of the batch failed
/// (`KafkaZkClient.updateLeaderAndIsr` and the readers of partition states catch everything but a lost fence).
pub(super) fn absorb(outcome: Result<Results, Failure>, requests: usize) -> Result<Results, Failure> {
    match outcome {
        Err(Failure::ControllerMoved) => Err(Failure::ControllerMoved),
        Err(Failure::Keeper(error)) => Ok(vec![Err(error); requests]),
        Err(Failure::SessionExpired | Failure::Other) => Ok(vec![Err(ZkError::SessionExpired); requests]),
        Ok(results) => Ok(results),
    }
}

fn written_path(op: &Op) -> Option<Path> {
    match op {
        Op::Create { path, .. } | Op::Delete { path, .. } | Op::SetData { path, .. } => Some(Arc::clone(path)),
        _ => None,
    }
}
