//! The metrics of `KafkaServer` and of its ZooKeeper client, and the moment at which a broker's metrics are looked at.

use super::Broker;
use super::startup::Phase;
use crate::kafka::metrics::Metric;
use crate::kafka::zk_client::ZkNotice;
use crate::world::Ctx;

impl Broker {
    /// Whether it takes itself for the active controller: its gauge ActiveControllerCount, read live.
    pub fn is_active_controller(&self) -> bool {
        self.controller.is_active()
    }

    /// `stateToMeterMap`.
    pub(super) fn meter(&mut self, ctx: &mut Ctx<'_>, notice: &ZkNotice) {
        let metric = match notice {
            ZkNotice::Connected => Metric::ZooKeeperSyncConnectsPerSec,
            ZkNotice::Disconnected => Metric::ZooKeeperDisconnectsPerSec,
            ZkNotice::Expired => Metric::ZooKeeperExpiresPerSec,
            ZkNotice::Answer(..) => return,
        };
        self.metrics.mark(ctx, metric);
    }

    /// Reports what an input has changed.
    pub(super) fn report_metrics(&mut self, ctx: &mut Ctx<'_>) {
        let broker_state = match self.phase {
            Phase::Down => 0,
            Phase::Connecting { .. }
            | Phase::MakingPaths(_)
            | Phase::ReadingClusterId
            | Phase::CreatingClusterId
            | Phase::Registering => 1,
            Phase::Recovering => 2,
            Phase::Running if self.shutdown.is_some() => 6,
            Phase::Running => 3,
            Phase::Stopping => 7,
        };
        let states = [broker_state, self.zk.session_state()];
        if states != self.states {
            self.states = states;
            self.metrics.set(ctx, Metric::BrokerState, states[0]);
            self.metrics.set(ctx, Metric::SessionState, states[1]);
        }
        self.replicas.report_metrics(ctx);
    }
}
