use std::collections::{BTreeMap, VecDeque};

use super::*;
use crate::id::{ProcessId, SessionId, Topic, TopicPartition};
use crate::kafka::protocol::{
    ErrorCode, LeaderAndIsr, LeaderAndIsrRequest, PartitionLeadership, StopReplicaRequest, UpdateMetadataRequest,
};
use crate::kafka::zk_client::ZkRequests;
use crate::observation::{DownCause, Observation};
use crate::testing::Harness;
use crate::time::Instant;
use crate::world::KAFKA_PORT;
use crate::zk::client::scripted::{Cast, Conduct, ScriptedServer, server_address};

/// Says what it is told to (by datagram) to broker `to`, and answers requests from a list; silent when the list is empty.
#[derive(Clone, Debug, Hash)]
struct Peer {
    to: Address,
    conn: Option<ConnId>,
    correlation: u32,
    unsent: Vec<Request>,
    heard: Vec<(Instant, Response)>,
    asked: Vec<(Instant, Request)>,
    answers: VecDeque<Response>,
}

impl Peer {
    fn on_input(&mut self, input: In, ctx: &mut Ctx<'_>) {
        match input {
            Input::Start => ctx.listen(KAFKA_PORT),
            Input::Datagram { message: Message::Kafka(Frame { body: Body::Request(request), .. }), .. } => {
                self.unsent.push(request);
                match self.conn {
                    None => self.conn = Some(ctx.connect(self.to)),
                    Some(conn) => self.flush(ctx, conn),
                }
            }
            Input::Opened { conn } => self.flush(ctx, conn),
            Input::Message { conn, message: Message::Kafka(Frame { correlation, body, .. }) } => match body {
                Body::Response(response) => self.heard.push((ctx.now, response)),
                Body::Request(request) => {
                    self.asked.push((ctx.now, request));
                    if let Some(answer) = self.answers.pop_front() {
                        requests::respond(ctx, Origin { conn, correlation }, answer);
                    }
                }
            },
            _ => {}
        }
    }

    fn flush(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        for request in self.unsent.drain(..) {
            self.correlation += 1;
            let frame = Frame::request(self.correlation, request);
            ctx.send(conn, Message::Kafka(frame));
        }
    }
}

/// A conversation with the controller and nothing else. A datagram makes it ask.
#[derive(Clone, Debug, Hash)]
struct Asker {
    channel: ToController,
    cache: MetadataCache,
    addresses: Addresses,
    answers: Vec<Response>,
}

impl Asker {
    fn on_input(&mut self, input: In, ctx: &mut Ctx<'_>) {
        let answer = match input {
            Input::Datagram { message: Message::Kafka(Frame { body: Body::Request(request), .. }), .. } => {
                self.channel.ask(ctx, request);
                None
            }
            Input::Opened { conn } => self.channel.on_input(ctx, ConnInput::Opened(conn)),
            Input::Closed { conn, reason } => self.channel.on_input(ctx, ConnInput::Closed(conn, reason)),
            Input::Message { conn, message: Message::Kafka(frame) } => {
                self.channel.on_input(ctx, ConnInput::Frame(conn, frame))
            }
            Input::Timer { timer: Timer::Kafka(KafkaTimer::Channel(timer)), .. } => {
                self.channel.on_channel_timer(ctx, timer.kind);
                None
            }
            Input::Timer { timer: Timer::Kafka(KafkaTimer::Broker(_)), .. } => {
                self.channel.on_lookup_timer();
                None
            }
            _ => None,
        };
        self.answers.extend(answer);
        self.channel.pump(ctx, &self.cache, &self.addresses);
    }
}

/// Topic creation on a ZooKeeper client. A datagram asks for topics, or updates the metadata.
#[derive(Clone, Debug, Hash)]
struct Creator {
    spec: BrokerSpec,
    zk: KafkaZkClient,
    cache: MetadataCache,
    topics: TopicCreations,
    is_controller: bool,
    answers: Vec<(Instant, Response)>,
}

impl Creator {
    fn on_input(&mut self, input: In, ctx: &mut Ctx<'_>) {
        let start = ctx.effects.len();
        match input {
            Input::Start => self.zk.start(ctx),
            Input::Opened { conn } => self.zk.on_opened(ctx, conn),
            Input::Message { conn, message: Message::Zk(message) } => self.zk.on_message(ctx, conn, *message),
            Input::Datagram { message: Message::Kafka(Frame { body: Body::Request(request), .. }), .. } => {
                match request {
                    Request::CreateTopics { topics, timeout } => {
                        let origin = Origin { conn: ConnId(9_999), correlation: 0 };
                        let (zk, cache) = (&mut self.zk, &self.cache);
                        self.topics.create(
                            ctx,
                            &self.spec,
                            zk,
                            cache,
                            self.is_controller,
                            Some(origin),
                            &topics,
                            timeout,
                        );
                    }
                    Request::UpdateMetadata(request) => {
                        self.cache.update(&request);
                        self.topics.metadata_updated(ctx, &self.cache);
                    }
                    _ => {}
                }
            }
            Input::Timer {
                timer: Timer::Kafka(KafkaTimer::Broker(BrokerTimer::CreateTopicsTimeout(number))), ..
            } => {
                self.topics.on_timeout(ctx, &self.cache, number);
            }
            _ => {}
        }
        while let Some(notice) = self.zk.next_notice() {
            if let ZkNotice::Answer(ZkUser::Broker, answer) = notice {
                self.topics.on_answer(ctx, &mut self.zk, &self.cache, answer);
            }
        }
        for effect in &ctx.effects[start..] {
            if let Effect::Send { message: Message::Kafka(Frame { body: Body::Response(response), .. }), .. } = effect {
                self.answers.push((ctx.now, response.clone()));
            }
        }
    }
}

#[derive(Clone, Debug, Hash)]
#[expect(clippy::large_enum_variant, reason = "a handful of them exist in a test")]
enum Actor {
    Broker(Broker),
    Peer(Peer),
    Asker(Asker),
    Creator(Creator),
}

impl Process for Actor {
    type Message = Message;
    type Timer = Timer;

    fn on_input(&mut self, input: In, ctx: &mut Ctx<'_>) {
        match self {
            Self::Broker(broker) => broker.on_input(input, ctx),
            Self::Peer(peer) => peer.on_input(input, ctx),
            Self::Asker(asker) => asker.on_input(input, ctx),
            Self::Creator(creator) => creator.on_input(input, ctx),
        }
    }

    fn crash(&mut self, loss: Loss, random: &mut Random) -> bool {
        if let Self::Broker(broker) = self { broker.crash(loss, random) } else { false }
    }

    fn fold_state(&self, into: &mut Fingerprint) {
        self.hash(into);
    }
}

type Stage = Harness<Cast<Actor>>;

fn kafka_address(process: u16) -> Address {
    Address { process: ProcessId(process), port: KAFKA_PORT }
}

fn addresses(brokers: &[(i32, u16)]) -> Addresses {
    Arc::new(brokers.iter().map(|(id, process)| (BrokerId(*id), kafka_address(*process))).collect::<BTreeMap<_, _>>())
}

fn peer(to: u16) -> Cast<Actor> {
    Cast::Subject(Actor::Peer(Peer {
        to: kafka_address(to),
        conn: None,
        correlation: 0,
        unsent: Vec::new(),
        heard: Vec::new(),
        asked: Vec::new(),
        answers: VecDeque::new(),
    }))
}

fn spec(id: i32) -> BrokerSpec {
    let config = BrokerConfig { broker_id: id, ..BrokerConfig::default() };
    BrokerSpec {
        config: config.into(),
        zookeeper: [server_address(0)].into(),
        addresses: addresses(&[(id, 1)]),
        racks: Racks::default(),
        defects: Defects::NONE,
    }
}

/// ZooKeeper (0), broker 5 (1), a peer of it (2).
fn broker_stage(conduct: Conduct) -> Stage {
    let broker = Cast::Subject(Actor::Broker(Broker::new(spec(5))));
    Harness::new(vec![Cast::Server(ScriptedServer::new(conduct)), broker, peer(1)])
}

fn run_ms(stage: &mut Stage, ms: u64) {
    stage.run_for(Span::from_ms(ms));
}

fn tell(stage: &mut Stage, process: u16, request: Request) {
    let message = Message::Kafka(Frame::request(0, request));
    stage.input(process, Input::Datagram { from: ProcessId(process), message });
}

fn heard(stage: &mut Stage, process: u16) -> Vec<(Instant, Response)> {
    let Actor::Peer(peer) = stage.process_mut(process).subject_mut() else { panic!("no peer") };
    std::mem::take(&mut peer.heard)
}

fn peer_mut(stage: &mut Stage, process: u16) -> &mut Peer {
    let Actor::Peer(peer) = stage.process_mut(process).subject_mut() else { panic!("no peer") };
    peer
}

fn update(controller: i32, controller_epoch: i32, broker_epoch: i64, live: &[i32]) -> UpdateMetadataRequest {
    UpdateMetadataRequest {
        controller: BrokerId(controller),
        controller_epoch,
        broker_epoch,
        live_brokers: live.iter().map(|id| BrokerId(*id)).collect(),
        partitions: Vec::new(),
    }
}

fn exits(stage: &Stage) -> Vec<(u64, &str)> {
    let exits = stage.observed.iter().filter_map(|observed| match &observed.what {
        Observation::Down { cause: DownCause::Exited(reason), .. } => Some((observed.at.as_ms(), &**reason)),
        _ => None,
    });
    exits.collect()
}

fn broker_epochs(stage: &Stage) -> Vec<i64> {
    let epochs = stage.observed.iter().filter_map(|observed| match observed.what {
        Observation::Registered { broker_epoch, .. } => Some(broker_epoch),
        _ => None,
    });
    epochs.collect()
}

#[test]
fn start_up_gives_up_without_zookeeper_and_while_its_former_registration_stands() {
    let mut stage = broker_stage(Conduct::HangUp);
    run_ms(&mut stage, 17_999);
    assert_eq!(exits(&stage), []);
    run_ms(&mut stage, 1);
    assert_eq!(exits(&stage), [(18_000, "ZooKeeperClientTimeoutException")]);

    stage.process_mut(0).server().conduct = Conduct::Serve;
    stage.restart(1);
    run_ms(&mut stage, 2_000);
    assert_eq!(broker_epochs(&stage).len(), 1, "registered");
    let nodes = &stage.process_mut(0).server().nodes;
    assert!(super::super::znode::PERSISTENT_PATHS.iter().all(|path| nodes.contains_key(*path)));
    tell(&mut stage, 2, Request::Metadata { topics: None, allow_auto_topic_creation: false });
    run_ms(&mut stage, 10);
    assert_eq!(heard(&mut stage, 2).len(), 1, "it serves");

    // Dead and back before its session is: fatal, as often as the supervisor tries.
    stage.crash(1, Loss::Memory);
    stage.restart(1);
    run_ms(&mut stage, 2_000);
    assert_eq!(exits(&stage)[1..].iter().map(|(_, why)| *why).collect::<Vec<_>>(), ["registration failed"]);
    let owner: SessionId = stage.process_mut(0).server().nodes["/brokers/ids/5"].1.ephemeral_owner;
    stage.process_mut(0).server().end(owner);
    stage.restart(1);
    run_ms(&mut stage, 2_000);
    assert_eq!(broker_epochs(&stage).len(), 2);
}

#[test]
fn a_broker_registers_again_after_its_session_expired_and_serves_meanwhile() {
    let mut stage = broker_stage(Conduct::Serve);
    run_ms(&mut stage, 2_000);
    let first = stage.process_mut(0).server().nodes["/brokers/ids/5"].1.ephemeral_owner;
    stage.process_mut(0).server().end(first);
    stage.process_mut(0).server().conduct = Conduct::HangUp;
    run_ms(&mut stage, 30_000);
    tell(&mut stage, 2, Request::Metadata { topics: None, allow_auto_topic_creation: false });
    run_ms(&mut stage, 10);
    assert_eq!((heard(&mut stage, 2).len(), broker_epochs(&stage).len()), (1, 1));
    stage.process_mut(0).server().conduct = Conduct::Expire;
    run_ms(&mut stage, 10_000);
    assert_eq!(broker_epochs(&stage).len(), 2);
    assert_ne!(stage.process_mut(0).server().nodes["/brokers/ids/5"].1.ephemeral_owner, first);
}

#[test]
fn control_requests_of_stale_controllers_and_to_former_lives_are_refused() {
    let mut stage = broker_stage(Conduct::Serve);
    run_ms(&mut stage, 2_000);
    let epoch = broker_epochs(&stage)[0];
    let fine = ErrorCode::None;
    let sequence = [
        (5, epoch, fine),
        (4, epoch, ErrorCode::StaleControllerEpoch),
        (5, epoch, fine),
        (6, epoch - 1, ErrorCode::StaleBrokerEpoch),
        (5, epoch + 1, fine),
        (7, -1, fine),
        (6, epoch, ErrorCode::StaleControllerEpoch),
        (6, epoch - 1, ErrorCode::StaleBrokerEpoch),
    ];
    let mut known = 0;
    for (controller_epoch, broker_epoch, expected) in sequence {
        let controller = BrokerId(8);
        let requests = [
            Request::UpdateMetadata(update(8, controller_epoch, broker_epoch, &[5]).into()),
            Request::LeaderAndIsr(Arc::new(LeaderAndIsrRequest {
                controller,
                controller_epoch,
                broker_epoch,
                live_leaders: vec![],
                partitions: vec![],
            })),
            Request::StopReplica(Arc::new(StopReplicaRequest {
                controller,
                controller_epoch,
                broker_epoch,
                partitions: vec![],
            })),
        ];
        for request in requests {
            tell(&mut stage, 2, request);
            run_ms(&mut stage, 10);
            let error = match heard(&mut stage, 2).pop().expect("each is answered").1 {
                Response::UpdateMetadata { error } => error,
                Response::LeaderAndIsr { error, .. } | Response::StopReplica { error, .. } => error,
                other => panic!("{other:?}"),
            };
            assert_eq!(error, expected, "controller epoch {controller_epoch}, broker epoch {broker_epoch}");
            let Some(Observation::ControlRequest { known_controller_epoch, known_broker_epoch, applied, .. }) =
                stage.observed.iter().map(|o| &o.what).rfind(|w| matches!(w, Observation::ControlRequest { .. }))
            else {
                panic!("each is observed")
            };
            assert_eq!((*known_controller_epoch, *known_broker_epoch, *applied), (known, epoch, expected == fine));
            known = if expected == fine { controller_epoch } else { known };
        }
    }
}

#[test]
fn requests_of_a_connection_are_handled_one_after_the_other() {
    let mut connections = Connections::default();
    let origin = |correlation| Origin { conn: ConnId(1), correlation };
    assert_eq!(connections.arrived(origin(1), Request::InitProducerId), None, "not accepted");
    connections.accept(ConnId(1));
    assert_eq!(connections.arrived(origin(1), Request::InitProducerId), Some(Request::InitProducerId));
    assert_eq!(
        connections.arrived(origin(2), Request::Metadata { topics: None, allow_auto_topic_creation: false }),
        None
    );
    assert_eq!(connections.answered(origin(2)), None, "that is not the one being handled");
    assert_eq!(
        connections.answered(origin(1)),
        Some((origin(2), Request::Metadata { topics: None, allow_auto_topic_creation: false }))
    );
    assert_eq!(connections.answered(origin(2)), None);
    assert_eq!(connections.arrived(origin(3), Request::InitProducerId), Some(Request::InitProducerId));
    assert_eq!((connections.remove(ConnId(1)), connections.remove(ConnId(1))), (true, false));
}

#[test]
fn the_channel_keeps_its_controller_until_it_fails() {
    let asker = Asker {
        channel: ToController::new(ALLOCATE_PRODUCER_IDS, &BrokerConfig::default(), None),
        cache: MetadataCache::default(),
        addresses: addresses(&[(8, 1), (9, 2)]),
        answers: Vec::new(),
    };
    let mut stage: Stage = Harness::new(vec![Cast::Subject(Actor::Asker(asker)), peer(0), peer(0)]);
    let cache = |stage: &mut Stage, controller| {
        let Actor::Asker(asker) = stage.process_mut(0).subject_mut() else { panic!("no asker") };
        asker.cache.update(&update(controller, 1, 0, &[8, 9]));
    };
    let asked = |stage: &mut Stage| {
        [1, 2].map(|id| peer_mut(stage, id).asked.iter().map(|(at, _)| at.as_ms()).collect::<Vec<_>>())
    };
    let request = || Request::AllocateProducerIds { broker: BrokerId(1), broker_epoch: 1 };
    tell(&mut stage, 0, request());
    run_ms(&mut stage, 1_000);
    assert!(asked(&mut stage).iter().all(Vec::is_empty), "nobody is known to be controller");
    cache(&mut stage, 8);
    run_ms(&mut stage, 4_000);
    assert_eq!(asked(&mut stage), [vec![1_101], vec![]]);

    // 8 is silent. That 9 is controller now matters only when the request has timed out.
    cache(&mut stage, 9);
    let refusal = |error| Response::AllocateProducerIds(Err(error));
    peer_mut(&mut stage, 2).answers =
        VecDeque::from([refusal(ErrorCode::NotController), refusal(ErrorCode::StaleBrokerEpoch)]);
    run_ms(&mut stage, 26_000);
    assert!(asked(&mut stage)[1].is_empty(), "not before 30 s");
    run_ms(&mut stage, 2_000);
    let [first, second] = asked(&mut stage);
    assert_eq!((first.len(), second.len()), (1, 2), "NOT_CONTROLLER is no answer: it asks again");
    assert!((40..=70).contains(&(second[1] - second[0])), "after the reconnect back-off: {second:?}");
    let Actor::Asker(asker) = stage.process(0).subject() else { panic!("no asker") };
    assert_eq!(asker.answers, [refusal(ErrorCode::StaleBrokerEpoch)]);
    assert!(!asker.channel.is_busy());
}

#[test]
fn a_created_topic_is_answered_when_it_has_leaders_or_the_client_waits_no_longer() {
    let spec = spec(5);
    let BrokerSpec { config, zookeeper, defects, .. } = spec.clone();
    let creator = Creator {
        zk: KafkaZkClient::new(KafkaZkSpec { broker: BrokerId(5), config, zookeeper, defects }),
        spec,
        cache: MetadataCache::default(),
        topics: TopicCreations::default(),
        is_controller: true,
        answers: Vec::new(),
    };
    let server = Cast::Server(ScriptedServer::new(Conduct::Serve));
    let mut stage: Stage = Harness::new(vec![server, Cast::Subject(Actor::Creator(creator))]);
    run_ms(&mut stage, 100);
    tell(&mut stage, 1, Request::UpdateMetadata(update(5, 1, 1, &[5, 6]).into()));
    let create = |stage: &mut Stage, topics: &[(u16, u16, u16)]| {
        let topics = topics.iter().map(|(topic, partitions, factor)| (Topic(*topic), *partitions, *factor)).collect();
        tell(stage, 1, Request::CreateTopics { topics, timeout: Span::from_ms(5_000) });
    };
    let answers = |stage: &mut Stage| {
        let Actor::Creator(creator) = stage.process_mut(1).subject_mut() else { panic!("no creator") };
        let answers = std::mem::take(&mut creator.answers).into_iter().map(|(at, response)| match response {
            Response::CreateTopics(results) => {
                (at.as_ms(), results.into_iter().map(|(_, error)| error).collect::<Vec<_>>())
            }
            other => panic!("{other:?}"),
        });
        answers.collect::<Vec<_>>()
    };

    create(&mut stage, &[(1, 2, 2), (2, 1, 3)]);
    run_ms(&mut stage, 4_900);
    assert_eq!(answers(&mut stage), []);
    let written = stage.process_mut(0).server().nodes["/brokers/topics/topic-1"].0.clone();
    let written: super::super::znode::TopicZnode = super::super::znode::decode(&written).expect("as Kafka writes it");
    assert_eq!(written.partitions.values().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
    run_ms(&mut stage, 200);
    assert_eq!(answers(&mut stage), [(5_102, vec![ErrorCode::RequestTimedOut, ErrorCode::InvalidReplicationFactor])]);

    create(&mut stage, &[(1, 1, 1), (3, 1, 1)]);
    run_ms(&mut stage, 100);
    let state = LeaderAndIsr {
        leader: Some(BrokerId(5)),
        leader_epoch: 0,
        isr: [BrokerId(5)].into(),
        partition_epoch: 0,
        recovering: false,
    };
    let partition = TopicPartition { topic: Topic(3), partition: 0 };
    let replicas = [BrokerId(5)].into();
    let led = PartitionLeadership { partition, controller_epoch: 1, state, replicas, is_new: false };
    let metadata = UpdateMetadataRequest { partitions: vec![led], ..update(5, 1, 1, &[5, 6]) };
    tell(&mut stage, 1, Request::UpdateMetadata(metadata.into()));
    assert_eq!(answers(&mut stage), [(5_300, vec![ErrorCode::TopicAlreadyExists, ErrorCode::None])]);
    create(&mut stage, &[(3, 1, 1)]);
    assert_eq!(answers(&mut stage), [(5_300, vec![ErrorCode::TopicAlreadyExists])], "known without asking");
    let Actor::Creator(creator) = stage.process(1).subject() else { panic!("no creator") };
    assert_ne!(creator.zk.session(), SessionId(0));
}
