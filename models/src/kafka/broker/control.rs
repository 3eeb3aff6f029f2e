//! The controller's requests: LeaderAndIsr, UpdateMetadata and StopReplica, fenced by broker epoch and controller epoch.

use super::Broker;
use super::requests::respond;
use crate::defect::Defect;
use crate::id::BrokerId;
use crate::kafka::protocol::{
    ErrorCode, LeaderAndIsrRequest, Origin, PartitionLeadership, Response, StopReplicaRequest, UpdateMetadataRequest,
};
use crate::observation::{ControlRequestKind, Observation};
use crate::world::Ctx;

/// What the three have in common.
#[derive(Clone, Copy)]
struct Stamp {
    request: ControlRequestKind,
    controller: BrokerId,
    controller_epoch: i32,
    broker_epoch: i64,
}

impl Broker {
    pub(super) fn on_leader_and_isr(&mut self, ctx: &mut Ctx<'_>, origin: Origin, request: &LeaderAndIsrRequest) {
        let LeaderAndIsrRequest { controller, controller_epoch, broker_epoch, .. } = *request;
        let kind = ControlRequestKind::LeaderAndIsr;
        let response = match self.fence(ctx, Stamp { request: kind, controller, controller_epoch, broker_epoch }) {
            Ok(()) => self.replicas.leader_and_isr(ctx, &self.cache, request),
            Err(error) => Response::LeaderAndIsr { error, partitions: Vec::new() },
        };
        respond(ctx, origin, response);
    }

    pub(super) fn on_stop_replica(&mut self, ctx: &mut Ctx<'_>, origin: Origin, request: &StopReplicaRequest) {
        let StopReplicaRequest { controller, controller_epoch, broker_epoch, .. } = *request;
        let kind = ControlRequestKind::StopReplica;
        let response = match self.fence(ctx, Stamp { request: kind, controller, controller_epoch, broker_epoch }) {
            Ok(()) => self.replicas.stop_replica(ctx, &self.cache, request),
            Err(error) => Response::StopReplica { error, partitions: Vec::new() },
        };
        respond(ctx, origin, response);
    }

    pub(super) fn on_update_metadata(&mut self, ctx: &mut Ctx<'_>, origin: Origin, request: &UpdateMetadataRequest) {
        let UpdateMetadataRequest { controller, controller_epoch, broker_epoch, .. } = *request;
        let kind = ControlRequestKind::UpdateMetadata;
        let error = match self.fence(ctx, Stamp { request: kind, controller, controller_epoch, broker_epoch }) {
            Ok(()) if !self.spec.defects.has(Defect::LateUpdateMetadata) && self.cache.is_overtaken(request) => {
                ErrorCode::None
            }
            Ok(()) => {
                let others = self.cache.update(request);
                observe_served(ctx, request);
                if others {
                    ctx.observe(Observation::AliveServed { brokers: self.cache.live_brokers().collect() });
                }
                self.replicas.metadata_updated(ctx, &self.cache);
                self.topics.metadata_updated(ctx, &self.cache);
                ErrorCode::None
            }
            Err(error) => error,
        };
        respond(ctx, origin, Response::UpdateMetadata { error });
    }

    /// `KafkaApis.isBrokerEpochStale`, then `ReplicaManager.controllerEpoch`, the largest one seen.
    fn fence(&mut self, ctx: &mut Ctx<'_>, stamp: Stamp) -> Result<(), ErrorCode> {
        let known_broker_epoch = self.controller.broker_epoch();
        let known_controller_epoch = self.replicas.controller_epoch();
        // A larger broker epoch passes: this broker may not have heard of its own registration yet (KIP-380).
        // Before KIP-380 requests carried none: one that is not looked at stands for it.
        let checked = stamp.broker_epoch != UNKNOWN_BROKER_EPOCH && !self.spec.defects.has(Defect::NoBrokerGeneration);
        let verdict = if checked && stamp.broker_epoch < known_broker_epoch {
            Err(ErrorCode::StaleBrokerEpoch)
        } else if stamp.controller_epoch < known_controller_epoch {
            Err(ErrorCode::StaleControllerEpoch)
        } else {
            self.replicas.accept_controller_epoch(stamp.controller_epoch);
            Ok(())
        };
        ctx.observe(Observation::ControlRequest {
            request: stamp.request,
            controller: stamp.controller,
            controller_epoch: stamp.controller_epoch,
            known_controller_epoch,
            broker_epoch: stamp.broker_epoch,
            known_broker_epoch,
            applied: verdict.is_ok(),
        });
        verdict
    }
}

/// Reports what the broker tells clients from now on.
fn observe_served(ctx: &mut Ctx<'_>, request: &UpdateMetadataRequest) {
    let served = |told: &PartitionLeadership| told.state.seen_as(told.partition);
    if !request.partitions.is_empty() {
        ctx.observe(Observation::MetadataServed { states: request.partitions.iter().map(served).collect() });
    }
}

/// `AbstractControlRequest.UNKNOWN_BROKER_EPOCH`: not checked.
const UNKNOWN_BROKER_EPOCH: i64 = -1;
