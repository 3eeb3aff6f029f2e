//! Stand-in, to be replaced by the replica manager: it remembers the controller epoch and holds nothing.

use std::sync::Arc;

use super::Addresses;
use super::channel::{ChannelTimer, ConnInput};
use super::config::BrokerConfig;
use super::metadata_cache::MetadataCache;
use super::protocol::{
    AlterPartitionItem, AlterPartitionResponse, EpochQuery, ErrorCode, FetchRequest, LeaderAndIsrRequest, OffsetQuery,
    Origin, ProduceRequest, Response, StopReplicaRequest,
};
use crate::defect::Defects;
use crate::id::{BrokerId, ConnId, DiskToken};
use crate::process::{DiskError, Loss};
use crate::random::Random;
use crate::world::Ctx;

/// What its timers carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplicaTimer {}

#[derive(Clone, Debug, Hash)]
pub struct ReplicaManager {
    controller_epoch: i32,
    loaded: bool,
    /// Set by tests: to be sent.
    pub(crate) unsent: Vec<AlterPartitionItem>,
    pub(crate) answers: Vec<ErrorCode>,
}

impl ReplicaManager {
    pub fn new(_: BrokerId, _: Arc<BrokerConfig>, _: Defects, _: Addresses) -> Self {
        Self { controller_epoch: 0, loaded: false, unsent: Vec::new(), answers: Vec::new() }
    }
    pub fn load_logs(&mut self, ctx: &mut Ctx<'_>) {
        ctx.read(DiskToken(1), 1);
    }
    pub fn on_disk(&mut self, _: &mut Ctx<'_>, _: &MetadataCache, _: DiskToken, _: Result<(), DiskError>) {
        self.loaded = true;
    }
    pub fn is_loaded(&self) -> bool {
        self.loaded
    }
    pub fn controller_epoch(&self) -> i32 {
        self.controller_epoch
    }
    pub fn accept_controller_epoch(&mut self, epoch: i32) {
        self.controller_epoch = epoch;
    }
    pub fn leader_and_isr(&mut self, _: &mut Ctx<'_>, _: &MetadataCache, _: &LeaderAndIsrRequest) -> Response {
        Response::LeaderAndIsr { error: ErrorCode::None, partitions: Vec::new() }
    }
    pub fn stop_replica(&mut self, _: &mut Ctx<'_>, _: &MetadataCache, _: &StopReplicaRequest) -> Response {
        Response::StopReplica { error: ErrorCode::None, partitions: Vec::new() }
    }
    pub fn metadata_updated(&mut self, _: &mut Ctx<'_>, _: &MetadataCache) {}
    pub fn produce(&mut self, _: &mut Ctx<'_>, _: &MetadataCache, _: Origin, _: ProduceRequest) {}
    pub fn fetch(&mut self, _: &mut Ctx<'_>, _: &MetadataCache, _: Origin, _: FetchRequest) {}
    pub fn offsets_for_leader_epoch(&self, _: &[EpochQuery]) -> Response {
        Response::OffsetsForLeaderEpoch(Vec::new())
    }
    pub fn list_offsets(&self, _: &[OffsetQuery]) -> Response {
        Response::ListOffsets(Vec::new())
    }
    pub fn owns(&self, _: ConnId) -> bool {
        false
    }
    pub fn on_conn(&mut self, _: &mut Ctx<'_>, _: &MetadataCache, _: ConnInput) {}
    pub fn on_channel_timer(&mut self, _: &mut Ctx<'_>, _: &MetadataCache, _: ChannelTimer) {}
    pub fn on_timer(&mut self, _: &mut Ctx<'_>, _: &MetadataCache, _: ReplicaTimer) {}
    pub fn on_client_closed(&mut self, _: &mut Ctx<'_>, _: ConnId) {}
    pub fn take_isr_changes(&mut self) -> Vec<AlterPartitionItem> {
        std::mem::take(&mut self.unsent)
    }
    pub fn on_isr_answer(
        &mut self,
        _: &mut Ctx<'_>,
        _: &MetadataCache,
        items: Vec<AlterPartitionItem>,
        answer: AlterPartitionResponse,
    ) {
        if answer.error != ErrorCode::None {
            self.unsent = items;
        }
        self.answers.push(answer.error);
    }
    pub fn crash(&mut self, _: Loss, _: &mut Random) -> bool {
        false
    }
}
