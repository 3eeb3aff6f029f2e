//! `ZkAdminManager.createTopics`: the assignment, the topic's znode, and the wait until the new partitions have leaders.

use std::collections::{BTreeMap, BTreeSet};

use super::assignment::assign;
use super::requests::respond;
use super::{BrokerSpec, BrokerTimer};
use crate::id::{BrokerId, TimerId, Topic, TopicPartition};
use crate::kafka::Timer as KafkaTimer;
use crate::kafka::metadata_cache::MetadataCache;
use crate::kafka::protocol::{ErrorCode, Origin, Response};
use crate::kafka::zk_client::{ZkAnswer, ZkBatch, ZkReply, ZkRequests, ZkUser};
use crate::kafka::znode::{self, BrokerZnode, TopicZnode};
use crate::time::Span;
use crate::world::{Ctx, Timer};
use crate::zk::protocol::{CreateMode, Op, OpResult, ZkError};

/// A topic to be created.
#[derive(Clone, Copy, Debug, Hash)]
struct Wish {
    topic: Topic,
    partitions: u16,
    factor: u16,
    error: ErrorCode,
}

#[derive(Clone, Debug, Hash)]
enum Stage {
    /// Reading the racks of these brokers.
    Racks(ZkBatch, Vec<BrokerId>),
    /// Writing the znodes of the topics that have no error.
    Writing(ZkBatch),
    /// `DelayedCreatePartitions`.
    Leaders(TimerId),
}

#[derive(Clone, Debug, Hash)]
struct Creation {
    /// Who waits for the answer: nobody where the broker itself wants them, or a metadata request creates them.
    origin: Option<Origin>,
    timeout: Span,
    wishes: Vec<Wish>,
    stage: Stage,
}

/// CreateTopics requests under way.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct TopicCreations {
    last: u32,
    creations: BTreeMap<u32, Creation>,
}

impl TopicCreations {
    /// Takes a request; without `origin` nobody wants the answer. Partitions or a replication factor of 0 mean the broker's default.
    #[expect(clippy::too_many_arguments, reason = "the parts of the broker that a creation touches")]
    pub(super) fn create(
        &mut self,
        ctx: &mut Ctx<'_>,
        spec: &BrokerSpec,
        zk: &mut impl ZkRequests,
        cache: &MetadataCache,
        is_controller: bool,
        origin: Option<Origin>,
        topics: &[(Topic, u16, u16)],
        timeout: Span,
    ) {
        let alive: Vec<_> = cache.live_brokers().collect();
        let mut seen = BTreeSet::new();
        let wishes: Vec<_> = topics
            .iter()
            .map(|(topic, partitions, factor)| {
                let or = |value: u16, default: u32| if value == 0 { default as u16 } else { value };
                let factor = or(*factor, spec.config.default_replication_factor);
                let error = if !is_controller {
                    ErrorCode::NotController
                } else if !seen.insert(*topic) {
                    ErrorCode::InvalidRequest
                } else if cache.contains(TopicPartition { topic: *topic, partition: 0 }) {
                    ErrorCode::TopicAlreadyExists
                } else if usize::from(factor) > alive.len() {
                    ErrorCode::InvalidReplicationFactor
                } else {
                    ErrorCode::None
                };
                Wish { topic: *topic, partitions: or(*partitions, spec.config.num_partitions), factor, error }
            })
            .collect();
        if wishes.iter().all(|wish| wish.error != ErrorCode::None) {
            answer(ctx, origin, &wishes);
            return;
        }
        // Real brokers learn racks from UpdateMetadata, which carries none here: they are read where they come from.
        let reads = alive.iter().map(|id| Op::GetData { path: znode::broker_path(*id), watch: false }).collect();
        let stage = Stage::Racks(zk.submit(ctx, ZkUser::Broker, reads), alive);
        self.last += 1;
        self.creations.insert(self.last, Creation { origin, timeout, wishes, stage });
    }

    /// Whether the topic is being created by this broker.
    pub(super) fn is_creating(&self, topic: Topic) -> bool {
        self.creations.values().any(|creation| creation.wishes.iter().any(|wish| wish.topic == topic))
    }

    /// An answer from ZooKeeper.
    pub(super) fn on_answer(
        &mut self,
        ctx: &mut Ctx<'_>,
        zk: &mut impl ZkRequests,
        cache: &MetadataCache,
        answered: ZkAnswer,
    ) {
        let (batch, replies) = match answered {
            ZkAnswer::Replies(batch, replies) => (batch, Some(replies)),
            ZkAnswer::SessionExpired(batch) => (batch, None),
            ZkAnswer::Registered(..) | ZkAnswer::Watch(..) => return,
        };
        let waits = |creation: &Creation| match creation.stage {
            Stage::Racks(expected, _) | Stage::Writing(expected) => expected == batch,
            Stage::Leaders(_) => false,
        };
        let Some(number) = self.creations.iter().find(|(_, c)| waits(c)).map(|(number, _)| *number) else { return };
        let Some(mut creation) = self.creations.remove(&number) else { return };
        match (replies, &creation.stage) {
            // An unforeseen exception, `ZooKeeperClientExpiredException`.
            (None, _) => {
                creation.fail_all(ErrorCode::UnknownServerError);
                answer(ctx, creation.origin, &creation.wishes);
            }
            (Some(replies), Stage::Racks(_, alive)) => {
                let brokers = racks(alive, &replies);
                creation.write(ctx, zk, &brokers);
                if matches!(creation.stage, Stage::Writing(_)) {
                    self.creations.insert(number, creation);
                } else {
                    answer(ctx, creation.origin, &creation.wishes);
                }
            }
            (Some(replies), _) => {
                creation.on_written(&replies);
                creation.await_leaders(ctx, number);
                self.creations.insert(number, creation);
                self.metadata_updated(ctx, cache);
            }
        }
    }

    /// Metadata changed: answers what has leaders now.
    pub(super) fn metadata_updated(&mut self, ctx: &mut Ctx<'_>, cache: &MetadataCache) {
        let led = |creation: &Creation| {
            matches!(creation.stage, Stage::Leaders(_))
                && creation.wishes.iter().all(|wish| wish.error != ErrorCode::None || wish.has_leaders(cache))
        };
        let done: Vec<_> = self.creations.iter().filter(|(_, c)| led(c)).map(|(number, _)| *number).collect();
        for number in done {
            let Some(creation) = self.creations.remove(&number) else { continue };
            if let Stage::Leaders(timer) = creation.stage {
                ctx.cancel(timer);
            }
            answer(ctx, creation.origin, &creation.wishes);
        }
    }

    /// The client waits no longer.
    pub(super) fn on_timeout(&mut self, ctx: &mut Ctx<'_>, cache: &MetadataCache, number: u32) {
        let Some(mut creation) = self.creations.remove(&number) else { return };
        for wish in &mut creation.wishes {
            if wish.error == ErrorCode::None && !wish.has_leaders(cache) {
                wish.error = ErrorCode::RequestTimedOut;
            }
        }
        answer(ctx, creation.origin, &creation.wishes);
    }
}

impl Wish {
    fn has_leaders(&self, cache: &MetadataCache) -> bool {
        (0..self.partitions).all(|partition| {
            let partition = TopicPartition { topic: self.topic, partition };
            cache.partition(partition).is_some_and(|known| known.state.leader.is_some())
        })
    }
}

impl Creation {
    fn fail_all(&mut self, error: ErrorCode) {
        for wish in self.wishes.iter_mut().filter(|wish| wish.error == ErrorCode::None) {
            wish.error = error;
        }
    }

    /// Assigns replicas and creates the topics' znodes: unfenced, by whoever takes itself for the controller.
    fn write(&mut self, ctx: &mut Ctx<'_>, zk: &mut impl ZkRequests, brokers: &[(BrokerId, Option<String>)]) {
        let mut ops = Vec::new();
        for wish in self.wishes.iter_mut().filter(|wish| wish.error == ErrorCode::None) {
            let Some(assignment) = assign(brokers, wish.partitions, wish.factor, ctx.random) else {
                wish.error = ErrorCode::UnknownServerError;
                continue;
            };
            let replicas = |ids: Vec<BrokerId>| ids.into_iter().map(|id| id.0).collect();
            let partitions = (0..).zip(assignment.into_iter().map(replicas)).collect();
            let data = znode::encode(&TopicZnode { version: 3, partitions });
            ops.push(Op::Create { path: znode::topic_path(wish.topic), data, mode: CreateMode::Persistent });
        }
        if !ops.is_empty() {
            self.stage = Stage::Writing(zk.submit(ctx, ZkUser::Broker, ops));
        }
    }

    fn on_written(&mut self, replies: &[ZkReply]) {
        let wishes = self.wishes.iter_mut().filter(|wish| wish.error == ErrorCode::None);
        for (wish, reply) in wishes.zip(replies) {
            wish.error = match reply.result {
                Ok(_) => ErrorCode::None,
                Err(ZkError::NodeExists) => ErrorCode::TopicAlreadyExists,
                Err(_) => ErrorCode::UnknownServerError,
            };
        }
    }

    fn await_leaders(&mut self, ctx: &mut Ctx<'_>, number: u32) {
        let timer = Timer::Kafka(KafkaTimer::Broker(BrokerTimer::CreateTopicsTimeout(number)));
        self.stage = Stage::Leaders(ctx.set_timer(self.timeout, timer));
    }
}

fn answer(ctx: &mut Ctx<'_>, origin: Option<Origin>, wishes: &[Wish]) {
    let Some(origin) = origin else { return };
    let results = wishes.iter().map(|wish| (wish.topic, wish.error)).collect();
    respond(ctx, origin, Response::CreateTopics(results));
}

fn racks(alive: &[BrokerId], replies: &[ZkReply]) -> Vec<(BrokerId, Option<String>)> {
    let rack = |reply: &ZkReply| match &reply.result {
        Ok(OpResult::Data { data, .. }) => znode::decode::<BrokerZnode>(data).and_then(|znode| znode.rack),
        _ => None,
    };
    alive.iter().copied().zip(replies.iter().map(rack)).collect()
}
