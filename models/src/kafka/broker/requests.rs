//! `KafkaApis`: each request of an accepted connection goes to the part that answers it.

use super::Broker;
use crate::id::{Group, Topic};
use crate::kafka::config::Acks;
use crate::kafka::group::Host;
use crate::kafka::group::messages::{GroupRequest, GroupResponse};
use crate::kafka::protocol::{ErrorCode, Frame, OffsetAnswer, OffsetQuery, OffsetSpec, Origin, Request, Response};
use crate::observation::Observation;
use crate::time::Span;
use crate::world::{Ctx, Message};

impl Broker {
    /// Handles a request. The answer may come now or with a later input.
    pub(super) fn serve(&mut self, ctx: &mut Ctx<'_>, origin: Origin, request: Request) {
        let mut next = Some((origin, request));
        while let Some((origin, request)) = next {
            next = self.handle(ctx, origin, request);
        }
    }

    /// Returns the request that waited behind this one, if this one wants no answer.
    fn handle(&mut self, ctx: &mut Ctx<'_>, origin: Origin, request: Request) -> Option<(Origin, Request)> {
        match request {
            Request::Produce(produce) => {
                let silent = produce.acks == Acks::None;
                self.replicas.produce(ctx, &self.cache, origin, produce);
                return if silent { self.connections.answered(origin) } else { None };
            }
            Request::Fetch(fetch) => self.replicas.fetch(ctx, &self.cache, origin, &fetch),
            Request::OffsetsForLeaderEpoch(queries) => {
                respond(ctx, origin, self.replicas.offsets_for_leader_epoch(&queries));
            }
            Request::ListOffsets(queries) => {
                let response = self.replicas.list_offsets(&queries);
                observe_ends(ctx, &queries, &response);
                respond(ctx, origin, response);
            }
            Request::Metadata { topics, allow_auto_topic_creation } => {
                let answer = self.cache.respond(topics.as_deref());
                if allow_auto_topic_creation && self.spec.config.auto_create_topics_enable {
                    self.auto_create_topics(ctx, &answer.unknown_topics);
                }
                respond(ctx, origin, Response::Metadata(answer));
            }
            Request::InitProducerId => self.init_producer_id(ctx, origin),
            Request::Group(request) => match *request {
                GroupRequest::FindCoordinator { group } => self.find_coordinator(ctx, origin, &group),
                request => {
                    let Self { groups, replicas, cache, .. } = self;
                    groups.handle(&mut Host { ctx, replicas, cache }, origin, request);
                }
            },
            Request::CreateTopics { topics, timeout } => {
                let active = self.controller.is_active();
                let origin = Some(origin);
                self.topics.create(ctx, &self.spec, &mut self.zk, &self.cache, active, origin, &topics, timeout);
            }
            Request::LeaderAndIsr(request) => self.on_leader_and_isr(ctx, origin, &request),
            Request::UpdateMetadata(request) => self.on_update_metadata(ctx, origin, &request),
            Request::StopReplica(request) => self.on_stop_replica(ctx, origin, &request),
            Request::AlterPartition(request) => {
                self.controller.on_alter_partition(ctx, &mut self.zk, origin, request);
            }
            Request::ControlledShutdown { broker, broker_epoch } => {
                self.controller.on_controlled_shutdown(ctx, &mut self.zk, origin, broker, broker_epoch);
            }
            Request::AllocateProducerIds { broker, broker_epoch } => {
                self.controller.on_allocate_producer_ids(ctx, &mut self.zk, origin, broker, broker_epoch);
            }
        }
        None
    }

    /// `KafkaApis.getCoordinator`: from the metadata cache. A missing offsets topic is created by whoever is asked, without
    /// the controller's leave (`DefaultAutoTopicCreationManager.createTopicsInZk`).
    fn find_coordinator(&mut self, ctx: &mut Ctx<'_>, origin: Origin, group: &Group) {
        let partition = self.groups.partition_of(group);
        let leader = self.cache.partition(partition).and_then(|known| known.state.leader);
        let answer = leader.filter(|leader| self.cache.is_alive(*leader)).ok_or(ErrorCode::CoordinatorNotAvailable);
        respond(ctx, origin, Response::Group(GroupResponse::Coordinator(answer)));
        if !self.cache.contains(partition) && !self.topics.is_creating(Topic::CONSUMER_OFFSETS) {
            let config = &self.spec.config;
            let partitions = config.offsets_topic_num_partitions as u16;
            let topic = (Topic::CONSUMER_OFFSETS, partitions, config.offsets_topic_replication_factor as u16);
            self.topics.create(ctx, &self.spec, &mut self.zk, &self.cache, true, None, &[topic], Span::ZERO);
        }
    }

    /// `DefaultAutoTopicCreationManager.createTopics`: any broker writes the znodes, with its own defaults. The client hears
    /// that the topic is unknown, and asks again.
    fn auto_create_topics(&mut self, ctx: &mut Ctx<'_>, unknown: &[Topic]) {
        let missing: Vec<_> = unknown.iter().filter(|t| !self.topics.is_creating(**t)).map(|t| (*t, 0, 0)).collect();
        if !missing.is_empty() {
            let timeout = Span::from_ms(self.spec.config.request_timeout_ms.into());
            self.topics.create(ctx, &self.spec, &mut self.zk, &self.cache, true, None, &missing, timeout);
        }
    }

    fn init_producer_id(&mut self, ctx: &mut Ctx<'_>, origin: Origin) {
        let answer = self.producer_ids.generate(ctx.now);
        respond(ctx, origin, Response::InitProducerId(answer.map(|id| (id, 0))));
        if self.producer_ids.take_demand() {
            let (broker, broker_epoch) = (self.spec.id(), self.controller.broker_epoch());
            self.allocate_ids.ask(ctx, Request::AllocateProducerIds { broker, broker_epoch });
            self.after_allocate_ids(ctx, None);
        }
    }
}

/// Reports the ends of logs that clients are told.
fn observe_ends(ctx: &mut Ctx<'_>, queries: &[OffsetQuery], response: &Response) {
    let Response::ListOffsets(answers) = response else { return };
    for (query, answer) in queries.iter().zip(answers) {
        if query.replica.is_none() && query.at == OffsetSpec::Latest && answer.error == ErrorCode::None {
            let OffsetAnswer { partition, offset, leader_epoch, .. } = *answer;
            ctx.observe(Observation::EndOffsetAnswer { partition, leader_epoch, offset });
        }
    }
}

/// Answers a request.
pub(super) fn respond(ctx: &mut Ctx<'_>, origin: Origin, response: Response) {
    ctx.send(origin.conn, Message::Kafka(Frame::response(origin.correlation, response)));
}
