//! Stand-in, to be replaced by the controller: it registers after a new session and answers nobody else.

use std::sync::Arc;

use super::Addresses;
use super::channel::{ChannelTimer, ConnInput};
use super::config::BrokerConfig;
use super::protocol::{AlterPartitionRequest, Origin};
use super::zk_client::{ZkAnswer, ZkRequests, ZkUser};
use crate::defect::Defects;
use crate::id::{BrokerId, ConnId};
use crate::world::Ctx;

/// What its timers carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ControllerTimer {}

#[derive(Clone, Debug, Hash)]
pub struct KafkaController {
    broker_epoch: i64,
    /// Set by tests: as if this broker were the controller.
    pub(crate) active: bool,
    /// Set by tests: as if the event thread hung.
    pub(crate) stuck: bool,
    pub(crate) answers: u32,
}

impl KafkaController {
    pub fn new(_: BrokerId, _: Arc<BrokerConfig>, _: Defects, _: Addresses) -> Self {
        Self { broker_epoch: -1, active: false, stuck: false, answers: 0 }
    }
    pub fn startup(&mut self, _: &mut Ctx<'_>, _: &mut impl ZkRequests, broker_epoch: i64) {
        self.broker_epoch = broker_epoch;
    }
    pub fn expire(&mut self, _: &mut Ctx<'_>, _: &mut impl ZkRequests) {}
    pub fn expire_started(&self) -> bool {
        !self.stuck
    }
    pub fn session_renewed(&mut self, ctx: &mut Ctx<'_>, zk: &mut impl ZkRequests) {
        zk.register_broker(ctx, ZkUser::Controller);
    }
    pub fn on_zk_answer(&mut self, _: &mut Ctx<'_>, _: &mut impl ZkRequests, answer: ZkAnswer) {
        self.answers += 1;
        if let ZkAnswer::Registered(_, Ok(epoch)) = answer {
            self.broker_epoch = epoch;
        }
    }
    pub fn on_alter_partition(
        &mut self,
        _: &mut Ctx<'_>,
        _: &mut impl ZkRequests,
        _: Origin,
        _: Arc<AlterPartitionRequest>,
    ) {
    }
    pub fn on_allocate_producer_ids(
        &mut self,
        ctx: &mut Ctx<'_>,
        _: &mut impl ZkRequests,
        origin: Origin,
        _: BrokerId,
        _: i64,
    ) {
        use super::protocol::{Body, ErrorCode, Frame, Response};
        let answer = if self.active {
            self.answers += 1;
            Ok((u64::from(self.answers - 1) * 1_000, 1_000))
        } else {
            Err(ErrorCode::NotController)
        };
        let body = Body::Response(Response::AllocateProducerIds(answer));
        ctx.send(origin.conn, crate::world::Message::Kafka(Frame { correlation: origin.correlation, body }));
    }
    pub fn owns(&self, _: ConnId) -> bool {
        false
    }
    pub fn on_conn(&mut self, _: &mut Ctx<'_>, _: &mut impl ZkRequests, _: ConnInput) {}
    pub fn on_channel_timer(&mut self, _: &mut Ctx<'_>, _: &mut impl ZkRequests, _: ChannelTimer) {}
    pub fn on_timer(&mut self, _: &mut Ctx<'_>, _: &mut impl ZkRequests, _: ControllerTimer) {}
    pub fn broker_epoch(&self) -> i64 {
        self.broker_epoch
    }
    pub fn is_active(&self) -> bool {
        self.active
    }
}
