//! A cluster of controllers over one tree, without any time-outs of its own: the test says what happens, in which order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::store::Store;
use crate::defect::Defects;
use crate::id::{Address, BrokerId, ConnId, Port, ProcessId, SessionId, Topic, TopicPartition, Zxid};
use crate::kafka::channel::{ChannelTimer, ConnInput};
use crate::kafka::config::BrokerConfig;
use crate::kafka::controller::{ControllerTimer, KafkaController};
use crate::kafka::metrics::Metric;
use crate::kafka::protocol::{
    AlterPartitionItem, AlterPartitionRequest, Body, ErrorCode, Frame, LeaderAndIsr, Origin, Request, Response,
};
use crate::kafka::zk_client::{ZkAnswer, ZkBatch, ZkReply, ZkRequests, ZkUser};
use crate::kafka::{self, Addresses, znode};
use crate::observation::Observation;
use crate::process::{Context, DiskState, Effect, Numbers};
use crate::random::{Purpose, Random};
use crate::time::{Instant, Span};
use crate::world::{Ctx, Message, Timer};
use crate::zk::protocol::{CreateMode, Op, Path, WatchKind};

/// Connections on which brokers ask the controller.
const ASKERS: u32 = 1_000_000;

pub(super) struct Cluster {
    pub(super) store: Store,
    pub(super) nodes: BTreeMap<i32, Node>,
    /// Brokers that answer control requests.
    pub(super) reachable: BTreeSet<i32>,
    /// Sent to brokers, in order: sender, receiver, request.
    pub(super) sent: Vec<(i32, i32, Request)>,
    /// The next LeaderAndIsr on this connection that names this partition fails for it.
    pub(super) failing: Option<(ConnId, TopicPartition)>,
}

pub(super) struct Node {
    pub(super) controller: KafkaController,
    pub(super) zk: Handle,
    /// Whether its requests to ZooKeeper stay unanswered, and its watches undelivered.
    pub(super) cut: bool,
    pub(super) observed: Vec<Observation>,
    pub(super) metrics: BTreeMap<Metric, u64>,
    pub(super) answers: Vec<(u32, Response)>,
    pub(super) watches: VecDeque<(Path, WatchKind)>,
    pub(super) conns: BTreeMap<ConnId, i32>,
    inputs: VecDeque<ConnInput>,
    pub(super) timers: Vec<(Span, Timer)>,
    now: Instant,
    numbers: Numbers,
    random: Random,
    disk: DiskState,
}

/// `ZkRequests` that only remembers.
#[derive(Default)]
pub(super) struct Handle {
    pub(super) session: SessionId,
    pub(super) batches: u64,
    pub(super) pending: VecDeque<(ZkBatch, Asked)>,
}

pub(super) enum Asked {
    Ops(Vec<Op>),
    Register,
}

impl ZkRequests for Handle {
    fn submit(&mut self, _: &mut Ctx<'_>, user: ZkUser, ops: Vec<Op>) -> ZkBatch {
        assert_eq!(user, ZkUser::Controller);
        assert!(!ops.is_empty(), "nothing to ask");
        self.push(Asked::Ops(ops))
    }

    fn register_broker(&mut self, _: &mut Ctx<'_>, _: ZkUser) -> ZkBatch {
        self.push(Asked::Register)
    }

    fn session(&self) -> SessionId {
        self.session
    }
}

impl Handle {
    fn push(&mut self, asked: Asked) -> ZkBatch {
        self.batches += 1;
        self.pending.push_back((ZkBatch(self.batches), asked));
        ZkBatch(self.batches)
    }
}

impl Cluster {
    /// `brokers` brokers, registered and not yet started; a topic 0 with the given assignments and no states.
    pub(super) fn new(brokers: i32, assignments: &[&[i32]], config: &BrokerConfig, defects: Defects) -> Self {
        let address = |id: i32| Address { process: ProcessId(id as u16), port: Port(9092) };
        let addresses: Addresses = Arc::new((1..=brokers).map(|id| (BrokerId(id), address(id))).collect());
        let mut store = Store::default();
        for path in znode::PERSISTENT_PATHS {
            store.put(path, "");
        }
        let node = |id: i32| Node {
            controller: KafkaController::new(BrokerId(id), Arc::new(config.clone()), defects, Arc::clone(&addresses)),
            zk: Handle { session: SessionId(id as u64), ..Handle::default() },
            cut: false,
            observed: Vec::new(),
            metrics: BTreeMap::new(),
            answers: Vec::new(),
            watches: VecDeque::new(),
            conns: BTreeMap::new(),
            inputs: VecDeque::new(),
            timers: Vec::new(),
            now: Instant::ZERO,
            numbers: Numbers::default(),
            random: Random::new(1, Purpose::Process, id as u64),
            disk: DiskState::default(),
        };
        let nodes = (1..=brokers).map(|id| (id, node(id))).collect();
        let mut cluster = Self { store, nodes, reachable: (1..=brokers).collect(), sent: Vec::new(), failing: None };
        cluster.add_topic(0, assignments);
        for id in 1..=brokers {
            cluster.register(id);
        }
        cluster
    }

    /// As [`Cluster::new`], with broker 1 elected and everything settled.
    pub(super) fn settled(brokers: i32, assignments: &[&[i32]], config: &BrokerConfig, defects: Defects) -> Self {
        let mut cluster = Self::new(brokers, assignments, config, defects);
        for id in 1..=brokers {
            cluster.start(id);
            cluster.run();
        }
        assert_eq!(cluster.active(), [1]);
        cluster
    }

    pub(super) fn add_topic(&mut self, topic: u16, assignments: &[&[i32]]) {
        let partitions = assignments.iter().enumerate().map(|(p, ids)| (p as u16, ids.to_vec())).collect();
        let content = znode::encode(&znode::TopicZnode { version: 3, partitions });
        self.store.put(&znode::topic_path(Topic(topic)), &content);
        self.deliver_watches();
    }

    /// Registers a broker under its session. Returns its epoch.
    pub(super) fn register(&mut self, id: i32) -> i64 {
        let path = znode::broker_path(BrokerId(id));
        let create = Op::Create { path: Arc::clone(&path), data: "{}".into(), mode: CreateMode::Ephemeral };
        self.store.apply(id, self.nodes[&id].zk.session, &create).1.expect("the broker can register");
        self.deliver_watches();
        self.broker_epoch(id)
    }

    pub(super) fn broker_epoch(&self, id: i32) -> i64 {
        self.store.nodes[&znode::broker_path(BrokerId(id))].1.czxid.0 as i64
    }

    pub(super) fn start(&mut self, id: i32) {
        let epoch = self.broker_epoch(id);
        self.with(id, |controller, ctx, zk| controller.startup(ctx, zk, epoch));
    }

    /// Calls a controller and takes its effects.
    pub(super) fn with(&mut self, id: i32, call: impl FnOnce(&mut KafkaController, &mut Ctx<'_>, &mut Handle)) {
        let node = self.nodes.get_mut(&id).expect("the broker exists");
        let mut effects = Vec::new();
        let mut ctx = Context {
            me: ProcessId(id as u16),
            now: node.now,
            wall: node.now,
            random: &mut node.random,
            disk: &mut node.disk,
            numbers: &mut node.numbers,
            effects: &mut effects,
        };
        call(&mut node.controller, &mut ctx, &mut node.zk);
        for effect in effects {
            self.take(id, effect);
        }
    }

    fn take(&mut self, id: i32, effect: Effect<Message, Timer>) {
        let node = self.nodes.get_mut(&id).expect("the broker exists");
        match effect {
            Effect::Connect { conn, to } => {
                let broker = i32::from(to.process.0);
                node.conns.insert(conn, broker);
                if self.reachable.contains(&broker) {
                    node.inputs.push_back(ConnInput::Opened(conn));
                }
            }
            Effect::Send { conn, message: Message::Kafka(frame) } => match frame.body {
                Body::Response(response) => node.answers.push((frame.correlation, response)),
                Body::Request(request) => {
                    let to = node.conns[&conn];
                    if self.reachable.contains(&to) {
                        let failing = self.failing.take_if(|(at, partition)| {
                            *at == conn
                                && matches!(&request, Request::LeaderAndIsr(r)
                                    if r.partitions.iter().any(|p| p.partition == *partition))
                        });
                        let consent = consent(&request, failing.map(|(_, partition)| partition));
                        node.inputs.push_back(ConnInput::Frame(conn, Frame::response(frame.correlation, consent)));
                    }
                    self.sent.push((id, to, request));
                }
            },
            Effect::SetTimer { after, timer, .. } => node.timers.push((after, timer)),
            Effect::Observe(Observation::Metric { metric, value, .. }) => {
                node.metrics.insert(metric, value);
            }
            Effect::Observe(observation) => node.observed.push(observation),
            Effect::Close(conn) => node.inputs.retain(|input| input.conn() != conn),
            Effect::CancelTimer(_) => {}
            other => panic!("unexpected {other:?}"),
        }
    }

    pub(super) fn deliver_watches(&mut self) {
        for (id, path, kind) in std::mem::take(&mut self.store.fired) {
            if let Some(node) = self.nodes.get_mut(&id) {
                node.watches.push_back((path, kind));
            }
        }
    }

    /// Carries out the oldest batch that a broker waits for. `twice`: the first reply is lost and the requests are sent
    /// again, as after a connection loss.
    pub(super) fn answer_zk(&mut self, id: i32, twice: bool) -> bool {
        let Some((batch, asked)) = self.nodes.get_mut(&id).and_then(|n| n.zk.pending.pop_front()) else { return false };
        let session = self.nodes[&id].zk.session;
        let answer = match asked {
            Asked::Register => ZkAnswer::Registered(batch, Ok(self.register(id))),
            Asked::Ops(ops) => {
                let mut replies = Vec::new();
                for round in 0..=u8::from(twice) {
                    let apply = |op: &Op| {
                        let (zxid, result): (Zxid, _) = self.store.apply(id, session, op);
                        ZkReply { zxid, result }
                    };
                    replies = ops.iter().map(apply).collect();
                    assert!(round < 2);
                }
                ZkAnswer::Replies(batch, replies)
            }
        };
        self.deliver_watches();
        self.with(id, |controller, ctx, zk| controller.on_zk_answer(ctx, zk, answer));
        true
    }

    /// One step of one broker: a watch, else an answer, else something on a connection.
    pub(super) fn step(&mut self, id: i32) -> bool {
        let node = self.nodes.get_mut(&id).expect("the broker exists");
        if !node.cut
            && let Some((path, kind)) = node.watches.pop_front()
        {
            self.with(id, |controller, ctx, zk| controller.on_zk_answer(ctx, zk, ZkAnswer::Watch(path, kind)));
            return true;
        }
        if !node.cut && !node.zk.pending.is_empty() {
            return self.answer_zk(id, false);
        }
        let Some(input) = node.inputs.pop_front() else { return false };
        if node.controller.owns(input.conn()) {
            self.with(id, |controller, ctx, zk| controller.on_conn(ctx, zk, input));
        }
        true
    }

    /// Runs until nothing moves.
    pub(super) fn run(&mut self) {
        for _ in 0..100_000 {
            let ids: Vec<i32> = self.nodes.keys().copied().collect();
            let mut moved = false;
            for id in ids {
                moved |= self.step(id);
            }
            if !moved {
                return;
            }
        }
        panic!("the cluster does not settle");
    }

    /// Steps one broker until `done` holds.
    pub(super) fn step_until(&mut self, id: i32, done: impl Fn(&Self) -> bool) {
        for _ in 0..10_000 {
            if done(self) {
                return;
            }
            assert!(self.step(id), "it came to rest before");
        }
        panic!("it never happened");
    }

    /// The ensemble ends a session.
    pub(super) fn expire_at_store(&mut self, id: i32) {
        self.store.close_session(self.nodes[&id].zk.session);
        self.deliver_watches();
    }

    /// The broker learns of the expiry: what it waits for fails, the hand-over follows.
    pub(super) fn learn_expiry(&mut self, id: i32) {
        let node = self.nodes.get_mut(&id).expect("the broker exists");
        node.watches.clear();
        self.with(id, |controller, ctx, zk| controller.expire(ctx, zk));
        self.fail_pending(id);
        assert!(self.nodes[&id].controller.expire_started());
    }

    pub(super) fn fail_pending(&mut self, id: i32) {
        while let Some((batch, _)) = self.nodes.get_mut(&id).and_then(|n| n.zk.pending.pop_front()) {
            self.with(id, |controller, ctx, zk| controller.on_zk_answer(ctx, zk, ZkAnswer::SessionExpired(batch)));
        }
    }

    pub(super) fn renew(&mut self, id: i32) {
        let node = self.nodes.get_mut(&id).expect("the broker exists");
        node.zk.session = SessionId(node.zk.session.0 + 100);
        node.cut = false;
        self.with(id, |controller, ctx, zk| controller.session_renewed(ctx, zk));
    }

    /// The broker's process dies and its session expires.
    pub(super) fn kill(&mut self, id: i32) {
        self.expire_at_store(id);
        self.nodes.remove(&id);
        self.reachable.remove(&id);
        self.store.forget_watches(id);
    }

    /// Brokers whose gauge shows 1.
    pub(super) fn active(&self) -> Vec<i32> {
        self.nodes.iter().filter(|(_, node)| node.controller.is_active()).map(|(id, _)| *id).collect()
    }

    /// Leader (-1 for none), leader epoch, ISR, partition epoch, as stored.
    pub(super) fn state(&self, partition: u16) -> (i32, i32, Vec<i32>, i32) {
        let state = self.leader_and_isr(partition);
        let isr = state.isr.iter().map(|id| id.0).collect();
        (state.leader.map_or(-1, |id| id.0), state.leader_epoch, isr, state.partition_epoch)
    }

    pub(super) fn leader_and_isr(&self, partition: u16) -> LeaderAndIsr {
        let (data, stat) = &self.store.nodes[&znode::partition_state_path(tp(partition))];
        let content: znode::PartitionStateZnode = znode::decode(data).expect("a state");
        content.state(stat.version)
    }

    /// Asks broker `controller` to change an ISR, as the leader that the state names.
    pub(super) fn alter(&mut self, controller: i32, correlation: u32, request: AlterPartitionRequest) {
        let origin = Origin { conn: ConnId(ASKERS), correlation };
        let request = Arc::new(request);
        self.with(controller, |c, ctx, zk| c.on_alter_partition(ctx, zk, origin, request));
    }

    /// A request for `isr` that fits the state as stored.
    pub(super) fn wish(&self, partition: u16, isr: &[i32]) -> AlterPartitionRequest {
        let state = self.leader_and_isr(partition);
        let broker = state.leader.expect("there is a leader");
        let item = AlterPartitionItem {
            partition: tp(partition),
            leader_epoch: state.leader_epoch,
            new_isr: znode::brokers(isr),
            partition_epoch: state.partition_epoch,
            recovering: state.recovering,
        };
        AlterPartitionRequest { broker, broker_epoch: self.broker_epoch(broker.0), partitions: vec![item] }
    }

    /// The last answer that `controller` gave, for one partition or the whole.
    pub(super) fn last_alter_answer(&self, controller: i32) -> Result<LeaderAndIsr, ErrorCode> {
        match self.nodes[&controller].answers.last() {
            Some((_, Response::AlterPartition(r))) if r.error == ErrorCode::None => r.partitions[0].1.clone(),
            Some((_, Response::AlterPartition(r))) => Err(r.error),
            other => panic!("no answer to AlterPartition, but {other:?}"),
        }
    }

    /// Time passes on a broker and its channel timers fire.
    pub(super) fn fire_channel_timers(&mut self, id: i32, later: Span) {
        let node = self.nodes.get_mut(&id).expect("the broker exists");
        node.now += later;
        for (_, timer) in std::mem::take(&mut node.timers) {
            if let Timer::Kafka(kafka::Timer::Channel(timer)) = timer {
                let timer: ChannelTimer = timer;
                self.with(id, |controller, ctx, zk| controller.on_channel_timer(ctx, zk, timer));
            }
        }
    }

    pub(super) fn fire_rebalance(&mut self, id: i32) {
        let timer = ControllerTimer::AutoPreferredReplicaLeaderElection;
        self.with(id, |controller, ctx, zk| controller.on_timer(ctx, zk, timer));
        self.run();
    }
}

pub(super) fn tp(partition: u16) -> TopicPartition {
    TopicPartition { topic: Topic(0), partition }
}

fn consent(request: &Request, failing: Option<TopicPartition>) -> Response {
    let verdict = |p| if Some(p) == failing { ErrorCode::KafkaStorageError } else { ErrorCode::None };
    match request {
        Request::LeaderAndIsr(r) => Response::LeaderAndIsr {
            error: ErrorCode::None,
            partitions: r.partitions.iter().map(|p| (p.partition, verdict(p.partition))).collect(),
        },
        Request::UpdateMetadata(_) => Response::UpdateMetadata { error: ErrorCode::None },
        Request::StopReplica(_) => Response::StopReplica { error: ErrorCode::None, partitions: Vec::new() },
        other => panic!("no control request: {other:?}"),
    }
}
