//! `ZkAlterPartitionManager`: before protocol 2.7 a leader writes the ISR to ZooKeeper itself, on condition of the version that
//! it knows, and tells the controller by a notification node. The real calling thread blocks meanwhile; here the partition
//! is in its pending state, and further changes wait.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::defect::{Defect, Defects};
use crate::id::{BrokerId, TopicPartition};
use crate::kafka::protocol::{AlterPartitionItem, AlterPartitionResponse, ErrorCode, LeaderAndIsr};
use crate::kafka::zk_client::{ZkAnswer, ZkBatch, ZkReply, ZkRequests, ZkUser};
use crate::kafka::znode::{self, IsrChangeZnode, PartitionStateZnode};
use crate::time::{Instant, Span};
use crate::world::Ctx;
use crate::zk::protocol::{CreateMode, Data, Op, OpResult, ZkError};

/// `IsrChangePropagation.CheckIntervalMs`: how often it is looked whether changes are to be told.
pub(super) const PROPAGATION_CHECK: Span = Span::from_ms(2_500);
/// `IsrChangePropagation.LingerMs`: changes are told once there was none for this long ...
const LINGER: Span = Span::from_ms(5_000);
/// `IsrChangePropagation.MaxDelayMs`: ... or the last time is this long ago.
const MAX_DELAY: Span = Span::from_secs(60);

/// A change with the content that is written for it.
#[derive(Clone, Debug, Hash)]
struct Write {
    item: AlterPartitionItem,
    state: LeaderAndIsr,
    data: Data,
}

#[derive(Clone, Debug, Default, Hash)]
enum Stage {
    #[default]
    Idle,
    Writing(ZkBatch, Vec<Write>),
    /// Reading what stands where another version was met; with the answers that are known.
    Reading(ZkBatch, Vec<Write>, Vec<Answered>),
}

type Answered = (AlterPartitionItem, Result<LeaderAndIsr, ErrorCode>);

/// The ISR changes of this broker on their way to ZooKeeper.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct IsrWrites {
    stage: Stage,
    /// `isrChangeSet`: written and not yet told.
    changed: BTreeSet<TopicPartition>,
    /// The notification that is being written.
    telling: Option<(ZkBatch, BTreeSet<TopicPartition>)>,
    last_change: Instant,
    last_propagation: Instant,
}

/// Changes that were answered, in the form of the controller's answer.
pub(super) struct Outcome {
    pub(super) items: Vec<AlterPartitionItem>,
    pub(super) answer: AlterPartitionResponse,
}

impl IsrWrites {
    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.stage, Stage::Idle)
    }

    /// Writes changes; each with the epoch of the controller that its leader last heard of.
    pub(super) fn write(
        &mut self,
        ctx: &mut Ctx<'_>,
        zk: &mut impl ZkRequests,
        me: BrokerId,
        changes: Vec<(AlterPartitionItem, i32)>,
    ) {
        let writes: Vec<Write> = changes.into_iter().map(|(item, epoch)| Write::new(me, item, epoch)).collect();
        let ops = writes.iter().map(|write| Op::SetData {
            path: znode::partition_state_path(write.item.partition),
            data: Arc::clone(&write.data),
            version: write.item.partition_epoch,
        });
        let batch = zk.submit(ctx, ZkUser::Broker, ops.collect());
        self.stage = Stage::Writing(batch, writes);
    }

    /// An answer of ZooKeeper. Returns what has come of the changes once that is known of all.
    pub(super) fn on_answer(
        &mut self,
        ctx: &mut Ctx<'_>,
        zk: &mut impl ZkRequests,
        defects: Defects,
        answer: &ZkAnswer,
    ) -> Option<Outcome> {
        let (batch, replies) = match answer {
            ZkAnswer::Replies(batch, replies) => (*batch, Some(replies.as_slice())),
            ZkAnswer::SessionExpired(batch) => (*batch, None),
            ZkAnswer::Registered(..) | ZkAnswer::Watch(..) => return None,
        };
        if let Some((_, untold)) = self.telling.take_if(|(telling, _)| *telling == batch) {
            // An exception leaves the set as it was.
            self.changed.extend(untold.into_iter().filter(|_| replies.is_none()));
            return None;
        }
        match std::mem::take(&mut self.stage) {
            Stage::Writing(expected, writes) if expected == batch => {
                let (answered, unclear) = self.written(ctx.now, writes, replies, defects);
                if unclear.is_empty() {
                    return Some(Outcome::of(answered));
                }
                let read = |write: &Write| Op::GetData {
                    path: znode::partition_state_path(write.item.partition),
                    watch: false,
                };
                let batch = zk.submit(ctx, ZkUser::Broker, unclear.iter().map(read).collect());
                self.stage = Stage::Reading(batch, unclear, answered);
                None
            }
            Stage::Reading(expected, writes, mut answered) if expected == batch => {
                for (index, write) in writes.into_iter().enumerate() {
                    let found = replies.and_then(|replies| replies.get(index));
                    let answer = self.compare(ctx.now, write, found);
                    answered.push(answer);
                }
                Some(Outcome::of(answered))
            }
            other => {
                self.stage = other;
                None
            }
        }
    }

    /// What the writes have come to, and those that met another version: whose, has to be looked at.
    fn written(
        &mut self,
        now: Instant,
        writes: Vec<Write>,
        replies: Option<&[ZkReply]>,
        defects: Defects,
    ) -> (Vec<Answered>, Vec<Write>) {
        let (mut answered, mut unclear) = (Vec::new(), Vec::new());
        for (index, write) in writes.into_iter().enumerate() {
            match replies.and_then(|replies| replies.get(index)).map(|reply| &reply.result) {
                Some(Ok(OpResult::Stat(stat))) => answered.push(self.succeeded(now, write, stat.version)),
                // KAFKA-1382: it may be the own write, whose answer was lost.
                Some(Err(ZkError::BadVersion)) if !defects.has(Defect::IsrWriteReplyLost) => unclear.push(write),
                // An exception reaches nobody who would put the state back; the other results say so themselves.
                _ => answered.push((write.item, Err(ErrorCode::InvalidUpdateVersion))),
            }
        }
        (answered, unclear)
    }

    /// `ReplicationUtils.checkLeaderAndIsrZkData`.
    fn compare(&mut self, now: Instant, write: Write, found: Option<&ZkReply>) -> Answered {
        match found.map(|reply| &reply.result) {
            Some(Ok(OpResult::Data { data, stat })) if *data == write.data => self.succeeded(now, write, stat.version),
            _ => (write.item, Err(ErrorCode::InvalidUpdateVersion)),
        }
    }

    fn succeeded(&mut self, now: Instant, write: Write, version: i32) -> Answered {
        self.changed.insert(write.item.partition);
        self.last_change = now;
        (write.item, Ok(LeaderAndIsr { partition_epoch: version, ..write.state }))
    }

    /// `maybePropagateIsrChanges`: tells the controller, when it is time.
    pub(super) fn propagate(&mut self, ctx: &mut Ctx<'_>, zk: &mut impl ZkRequests) {
        let due = self.last_change + LINGER < ctx.now || self.last_propagation + MAX_DELAY < ctx.now;
        if self.changed.is_empty() || self.telling.is_some() || !due {
            return;
        }
        let told = std::mem::take(&mut self.changed);
        let data = znode::encode(&IsrChangeZnode::new(told.iter().copied()));
        let path = format!("{}/{}", znode::ISR_CHANGE_NOTIFICATION, znode::ISR_CHANGE_PREFIX).into();
        let create = Op::Create { path, data, mode: CreateMode::PersistentSequential };
        self.telling = Some((zk.submit(ctx, ZkUser::Broker, vec![create]), told));
        self.last_propagation = ctx.now;
    }
}

impl Write {
    fn new(me: BrokerId, item: AlterPartitionItem, controller_epoch: i32) -> Self {
        let state = LeaderAndIsr {
            leader: Some(me),
            leader_epoch: item.leader_epoch,
            isr: Arc::clone(&item.new_isr),
            partition_epoch: item.partition_epoch,
            recovering: item.recovering,
        };
        let data = znode::encode(&PartitionStateZnode::new(&state, controller_epoch));
        Self { item, state, data }
    }
}

impl Outcome {
    fn of(answered: Vec<Answered>) -> Self {
        let partitions = answered.iter().map(|(item, result)| (item.partition, result.clone())).collect();
        let items = answered.into_iter().map(|(item, _)| item).collect();
        Self { items, answer: AlterPartitionResponse { error: ErrorCode::None, partitions } }
    }
}
