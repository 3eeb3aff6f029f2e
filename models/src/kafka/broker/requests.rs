//! `KafkaApis`: each request of an accepted connection goes to the part that answers it.

use super::Broker;
use crate::id::Topic;
use crate::kafka::config::Acks;
use crate::kafka::protocol::{Body, Frame, Origin, Request, Response};
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
            Request::Fetch(fetch) => self.replicas.fetch(ctx, &self.cache, origin, fetch),
            Request::OffsetsForLeaderEpoch(queries) => {
                respond(ctx, origin, self.replicas.offsets_for_leader_epoch(&queries));
            }
            Request::ListOffsets(queries) => respond(ctx, origin, self.replicas.list_offsets(&queries)),
            Request::Metadata { topics, allow_auto_topic_creation } => {
                let answer = self.cache.respond(topics.as_deref());
                if allow_auto_topic_creation && self.spec.config.auto_create_topics_enable {
                    self.auto_create_topics(ctx, &answer.unknown_topics);
                }
                respond(ctx, origin, Response::Metadata(answer));
            }
            Request::InitProducerId => self.init_producer_id(ctx, origin),
            Request::CreateTopics { topics, timeout } => {
                let active = self.controller.is_active();
                let (zk, cache) = (&mut self.zk, &self.cache);
                self.topics.create(ctx, &self.spec, zk, cache, active, Some(origin), &topics, timeout);
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

/// Answers a request.
pub(super) fn respond(ctx: &mut Ctx<'_>, origin: Origin, response: Response) {
    ctx.send(origin.conn, Message::Kafka(Frame { correlation: origin.correlation, body: Body::Response(response) }));
}
