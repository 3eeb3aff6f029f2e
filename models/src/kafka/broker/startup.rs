//! `KafkaServer.startup` in its order: session, persistent paths, cluster id, logs, registration, controller, listening.

use super::{Broker, BrokerTimer};
use crate::id::TimerId;
use crate::kafka::Timer as KafkaTimer;
use crate::kafka::zk_client::{ZkAnswer, ZkReply, ZkRequests, ZkUser};
use crate::kafka::znode;
use crate::world::{Ctx, KAFKA_PORT, Timer};
use crate::zk::protocol::{CreateMode, Data, Op, OpResult, ZkError};

/// How far start-up has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Down,
    /// Waiting for the first session.
    Connecting {
        deadline: TimerId,
    },
    /// Creating [`znode::PERSISTENT_PATHS`], one after the other; which one.
    MakingPaths(usize),
    ReadingClusterId,
    CreatingClusterId,
    /// `LogManager` loads and recovers the logs; nobody sees the broker meanwhile.
    Recovering,
    Registering,
    Running,
    /// Nothing is served any more.
    Stopping,
}

impl Phase {
    pub(super) fn is_running(self) -> bool {
        self == Self::Running
    }
}

/// `meta.properties`. Written with fsync.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Meta {
    cluster_id: Option<Data>,
}

impl Broker {
    pub(super) fn start(&mut self, ctx: &mut Ctx<'_>) {
        let timer = Timer::Kafka(KafkaTimer::Broker(BrokerTimer::ZkConnectDeadline));
        let deadline = ctx.set_timer(self.spec.config.zookeeper_connection_timeout(), timer);
        self.phase = Phase::Connecting { deadline };
        self.zk.start(ctx);
    }

    /// `waitUntilConnected` in the constructor of `ZooKeeperClient`; later connections have no deadline.
    pub(super) fn on_zk_deadline(&mut self, ctx: &mut Ctx<'_>) {
        if matches!(self.phase, Phase::Connecting { .. }) {
            ctx.exit("ZooKeeperClientTimeoutException");
        }
    }

    pub(super) fn on_zk_connected(&mut self, ctx: &mut Ctx<'_>) {
        if let Phase::Connecting { deadline } = self.phase {
            ctx.cancel(deadline);
            self.make_path(ctx, 0);
        }
    }

    /// The answer to a start-up step.
    pub(super) fn on_startup_answer(&mut self, ctx: &mut Ctx<'_>, answer: ZkAnswer) {
        match answer {
            ZkAnswer::Replies(_, replies) => {
                let reply = replies.into_iter().next().expect("each step of start-up is one request");
                self.on_startup_reply(ctx, &reply);
            }
            ZkAnswer::Registered(_, Ok(broker_epoch)) => {
                if self.replicas.write_meta(ctx).is_err() {
                    return self.fail_startup(ctx);
                }
                self.phase = Phase::Running;
                self.meta.cluster_id = self.cluster_id.clone();
                self.controller.startup(ctx, &mut self.zk, broker_epoch);
                // The controller may have seen the registration before anything listens here; its sender tries again.
                ctx.listen(KAFKA_PORT);
                self.schedule_isr_propagation(ctx);
            }
            ZkAnswer::Registered(_, Err(_)) => ctx.exit("registration failed"),
            ZkAnswer::SessionExpired(_) => ctx.exit("ZooKeeperClientExpiredException"),
            ZkAnswer::Watch(..) => {}
        }
    }

    fn on_startup_reply(&mut self, ctx: &mut Ctx<'_>, reply: &ZkReply) {
        match (self.phase, &reply.result) {
            (Phase::MakingPaths(at), Ok(_) | Err(ZkError::NodeExists)) => self.make_path(ctx, at + 1),
            (Phase::ReadingClusterId, Ok(OpResult::Data { data, .. })) => self.on_cluster_id(ctx, data.clone()),
            (Phase::ReadingClusterId, Err(ZkError::NoNode)) => {
                self.phase = Phase::CreatingClusterId;
                let id = format!("{:016x}", ctx.random.word());
                let data = format!(r#"{{"version":"1","id":"{id}"}}"#).into();
                let op = Op::Create { path: znode::CLUSTER_ID.into(), data, mode: CreateMode::Persistent };
                self.zk.submit(ctx, ZkUser::Broker, vec![op]);
            }
            // Whoever created it, what stands there counts.
            (Phase::CreatingClusterId, Ok(_) | Err(ZkError::NodeExists)) => self.read_cluster_id(ctx),
            _ => ctx.exit("KeeperException during start-up"),
        }
    }

    fn make_path(&mut self, ctx: &mut Ctx<'_>, at: usize) {
        let Some(path) = znode::PERSISTENT_PATHS.get(at) else {
            self.read_cluster_id(ctx);
            return;
        };
        self.phase = Phase::MakingPaths(at);
        let op = Op::Create { path: (*path).into(), data: "".into(), mode: CreateMode::Persistent };
        self.zk.submit(ctx, ZkUser::Broker, vec![op]);
    }

    fn read_cluster_id(&mut self, ctx: &mut Ctx<'_>) {
        self.phase = Phase::ReadingClusterId;
        let op = Op::GetData { path: znode::CLUSTER_ID.into(), watch: false };
        self.zk.submit(ctx, ZkUser::Broker, vec![op]);
    }

    fn on_cluster_id(&mut self, ctx: &mut Ctx<'_>, id: Data) {
        if self.meta.cluster_id.as_ref().is_some_and(|known| *known != id) {
            ctx.exit("InconsistentClusterIdException");
            return;
        }
        self.cluster_id = Some(id);
        self.phase = Phase::Recovering;
        self.replicas.load_logs(ctx);
    }

    /// Registers once all logs are loaded.
    pub(super) fn after_recovery(&mut self, ctx: &mut Ctx<'_>) {
        if self.phase == Phase::Recovering && self.replicas.is_loaded() {
            self.phase = Phase::Registering;
            self.zk.register_broker(ctx, ZkUser::Broker);
        }
    }
}
