//! Two brokers made of replicas, cache and group coordinator alone, with real consumers; the test is the controller.

use std::hash::Hash;
use std::sync::Arc;

use super::messages::{GroupRequest, GroupResponse, JoinGroup, JoinRefused, Membership, OffsetCommit, Position};
use super::messages::{Subscription, SyncGroup};
use super::{GroupCoordinator, Host, offsets_partition};
use crate::defect::{Defect, Defects};
use crate::fingerprint::Fingerprint;
use crate::id::{Address, BrokerId, ConnId, Group, MemberId, ProcessId, Topic, TopicPartition, ValueId};
use crate::kafka::Timer as KafkaTimer;
use crate::kafka::broker::BrokerTimer;
use crate::kafka::channel::ConnInput;
use crate::kafka::client::{Consumer, ConsumerSpec, Subscribed};
use crate::kafka::config::{Acks, BrokerConfig, ConsumerConfig, Strategy};
use crate::kafka::metadata_cache::MetadataCache;
use crate::kafka::protocol::*;
use crate::kafka::replica::ReplicaManager;
use crate::observation::{Observation, RemovalReason};
use crate::process::{Effect, Input, Loss, Process};
use crate::random::Random;
use crate::testing::Harness;
use crate::time::Span;
use crate::world::{Ctx, In, KAFKA_PORT, Message, Timer};

/// The test's connection to each broker.
const CLIENT: ConnId = ConnId(1_000_000);
const PARTITIONS: u16 = 4;
const BROKERS: [i32; 2] = [0, 1];

#[derive(Clone, Hash)]
enum Node {
    Broker(Box<Desk>),
    Consumer(Box<Consumer>),
}

#[derive(Clone, Hash)]
struct Desk {
    manager: ReplicaManager,
    groups: GroupCoordinator,
    cache: MetadataCache,
    answers: Vec<GroupResponse>,
}

impl Process for Node {
    type Message = Message;
    type Timer = Timer;

    fn on_input(&mut self, input: In, ctx: &mut Ctx<'_>) {
        match self {
            Self::Broker(broker) => broker.on_input(input, ctx),
            Self::Consumer(consumer) => consumer.on_input(input, ctx),
        }
    }

    fn crash(&mut self, loss: Loss, random: &mut Random) -> bool {
        match self {
            Self::Broker(broker) => broker.manager.crash(loss, random),
            Self::Consumer(consumer) => consumer.crash(loss, random),
        }
    }

    fn fold_state(&self, into: &mut Fingerprint) {
        self.hash(into);
    }
}

impl Desk {
    fn on_input(&mut self, input: In, ctx: &mut Ctx<'_>) {
        match input {
            Input::Start => {
                ctx.listen(KAFKA_PORT);
                self.manager.load_logs(ctx);
            }
            Input::Opened { conn } => drop(self.manager.on_conn(ctx, &self.cache, ConnInput::Opened(conn))),
            Input::Closed { conn, reason } => {
                let not_a_fetchers = self.manager.on_conn(ctx, &self.cache, ConnInput::Closed(conn, reason));
                if not_a_fetchers.is_some() {
                    self.manager.on_client_closed(ctx, conn);
                }
            }
            Input::Message { conn, message: Message::Kafka(frame) } => self.on_frame(ctx, conn, frame),
            Input::Timer { timer: Timer::Kafka(timer), .. } => match timer {
                KafkaTimer::Replica(timer) => self.manager.on_timer(ctx, &self.cache, timer),
                KafkaTimer::Channel(timer) => self.manager.on_channel_timer(ctx, &self.cache, timer),
                KafkaTimer::Broker(BrokerTimer::GroupExpiry) => {
                    self.groups.on_timer(&mut Host { ctx, replicas: &mut self.manager, cache: &self.cache });
                }
                _ => {}
            },
            Input::Disk { token, result } => self.manager.on_disk(ctx, &self.cache, token, result),
            _ => {}
        }
        self.manager.take_isr_changes();
        while self.manager.has_coordinator_events() {
            for event in self.manager.take_coordinator_events() {
                self.groups.on_event(&mut Host { ctx, replicas: &mut self.manager, cache: &self.cache }, event);
            }
        }
        for effect in ctx.effects.iter() {
            if let Effect::Send { conn: CLIENT, message: Message::Kafka(frame) } = effect
                && let Body::Response(Response::Group(response)) = &frame.body
            {
                self.answers.push(response.clone());
            }
        }
    }

    fn on_frame(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, frame: Frame) {
        let origin = Origin { conn, correlation: frame.correlation };
        let cache = &self.cache;
        let response = match frame.body {
            Body::Response(_) => return drop(self.manager.on_conn(ctx, cache, ConnInput::Frame(conn, frame))),
            Body::Request(Request::Produce(request)) => return self.manager.produce(ctx, cache, origin, request),
            Body::Request(Request::Fetch(request)) => return self.manager.fetch(ctx, cache, origin, &request),
            Body::Request(Request::OffsetsForLeaderEpoch(queries)) => self.manager.offsets_for_leader_epoch(&queries),
            Body::Request(Request::ListOffsets(queries)) => self.manager.list_offsets(&queries),
            Body::Request(Request::LeaderAndIsr(request)) => self.manager.leader_and_isr(ctx, cache, &request),
            Body::Request(Request::Metadata { topics, .. }) => Response::Metadata(cache.respond(topics.as_deref())),
            Body::Request(Request::UpdateMetadata(request)) => {
                self.cache.update(&request);
                return;
            }
            Body::Request(Request::Group(request)) => match *request {
                GroupRequest::FindCoordinator { group } => {
                    let leader = cache.partition(self.groups.partition_of(&group)).and_then(|known| known.state.leader);
                    Response::Group(GroupResponse::Coordinator(leader.ok_or(ErrorCode::CoordinatorNotAvailable)))
                }
                request => {
                    let mut host = Host { ctx, replicas: &mut self.manager, cache };
                    return self.groups.handle(&mut host, origin, request);
                }
            },
            Body::Request(_) => return,
        };
        ctx.send(conn, Message::Kafka(Frame::response(frame.correlation, response)));
    }
}

fn group() -> Group {
    Group("orders".into())
}

struct Cluster {
    harness: Harness<Node>,
    partition_epoch: i32,
    values: u64,
}

impl Cluster {
    /// Broker 0 leads everything in epoch 1; the consumers, processes from 2 on, are members of one group.
    fn new(defects: Defects, options: &[&[(&str, &str)]]) -> Self {
        let config = Arc::new(BrokerConfig::default());
        let address = |id: i32| Address { process: ProcessId(id as u16), port: KAFKA_PORT };
        let addresses: Arc<_> = Arc::new(BROKERS.iter().map(|id| (BrokerId(*id), address(*id))).collect());
        let broker = |id: &i32| {
            Node::Broker(Box::new(Desk {
                manager: ReplicaManager::new(
                    BrokerId(*id),
                    Arc::clone(&config),
                    defects,
                    Arc::clone(&addresses),
                    Arc::default(),
                ),
                groups: GroupCoordinator::new(Arc::clone(&config), defects),
                cache: MetadataCache::default(),
                answers: Vec::new(),
            }))
        };
        let consumer = |options: &&[(&str, &str)]| {
            let mut config = ConsumerConfig::default();
            config.set("auto.offset.reset", "earliest").expect("a valid option");
            options.iter().for_each(|(name, value)| config.set(name, value).expect("a valid option"));
            Node::Consumer(Box::new(Consumer::new(ConsumerSpec {
                config: Arc::new(config),
                bootstrap: Arc::clone(&addresses),
                partitions: partitions(),
                subscribed: Subscribed::In(group()),
                start_after: Span::from_ms(100),
                end_offsets_every: None,
                defects: Defects::NONE,
            })))
        };
        let nodes = BROKERS.iter().map(broker).chain(options.iter().map(consumer)).collect();
        let mut cluster = Self { harness: Harness::new(nodes), partition_epoch: 0, values: 0 };
        cluster.elect(&BROKERS, &partitions(), 0, 1);
        cluster.elect(&BROKERS, &[home()], 0, 1);
        cluster
    }

    fn run_secs(&mut self, seconds: u64) {
        self.harness.run_for(Span::from_secs(seconds));
    }

    fn ask(&mut self, to: i32, request: Request) {
        let message = Message::Kafka(Frame::request(1, request));
        self.harness.input(to as u16, Input::Message { conn: CLIENT, message });
    }

    /// Tells brokers of a new leader.
    fn elect(&mut self, told: &[i32], ids: &[TopicPartition], leader: i32, leader_epoch: i32) {
        self.partition_epoch += 1;
        let all: Arc<[_]> = BROKERS.iter().map(|id| BrokerId(*id)).collect();
        let state = LeaderAndIsr {
            leader: Some(BrokerId(leader)),
            leader_epoch,
            isr: Arc::clone(&all),
            partition_epoch: self.partition_epoch,
            recovering: false,
        };
        let leadership = |id: &TopicPartition| PartitionLeadership {
            partition: *id,
            controller_epoch: 1,
            state: state.clone(),
            replicas: Arc::clone(&all),
            is_new: false,
        };
        let partitions: Vec<_> = ids.iter().map(leadership).collect();
        let (controller, controller_epoch, broker_epoch) = (BrokerId(0), 1, 0);
        for broker in told {
            self.ask(
                *broker,
                Request::UpdateMetadata(Arc::new(UpdateMetadataRequest {
                    controller,
                    controller_epoch,
                    broker_epoch,
                    live_brokers: all.to_vec(),
                    partitions: partitions.clone(),
                })),
            );
            self.ask(
                *broker,
                Request::LeaderAndIsr(Arc::new(LeaderAndIsrRequest {
                    controller,
                    controller_epoch,
                    broker_epoch,
                    live_leaders: all.to_vec(),
                    partitions: partitions.clone(),
                })),
            );
        }
    }

    /// A record for each partition.
    fn produce(&mut self) {
        for id in partitions().iter() {
            self.values += 1;
            let batch = RecordBatch {
                base_offset: 0,
                leader_epoch: -1,
                producer: None,
                values: [ValueId(self.values)].into(),
                content: None,
                size: 100,
                timestamp: self.harness.now(),
            };
            let batches = vec![(*id, Arc::new(batch))];
            let request = ProduceRequest { acks: Acks::Leader, timeout: Span::from_secs(1), batches };
            self.ask(0, Request::Produce(request));
        }
    }

    fn seen<T>(&self, pick: impl Fn(ProcessId, &Observation) -> Option<T>) -> Vec<T> {
        self.harness.observed.iter().filter_map(|seen| pick(seen.process, &seen.what)).collect()
    }

    /// The last share of each consumer, in the order of the processes.
    fn shares(&self) -> Vec<Vec<u16>> {
        let mut shares = std::collections::BTreeMap::new();
        for (process, share) in self.seen(|process, what| match what {
            Observation::Assigned { partitions, .. } => Some((process, Arc::clone(partitions))),
            Observation::Revoked { .. } => Some((process, Arc::default())),
            _ => None,
        }) {
            shares.insert(process, share.iter().map(|id| id.partition).collect());
        }
        shares.into_values().collect()
    }

    /// Every value polled by a process, in order.
    fn polled(&self, process: u16) -> Vec<u64> {
        let polls = self.seen(|who, what| match what {
            Observation::Poll { values, .. } if who == ProcessId(process) => Some(Arc::clone(values)),
            _ => None,
        });
        polls.iter().flat_map(|values| values.iter().map(|value| value.0)).collect()
    }

    /// The coordinator's answer to a request of the test.
    fn answer(&mut self, broker: i32, request: GroupRequest) -> Option<GroupResponse> {
        let Node::Broker(desk) = self.harness.process_mut(broker as u16) else { panic!("brokers come first") };
        desk.answers.clear();
        self.ask(broker, Request::Group(Box::new(request)));
        self.harness.run_for(Span::from_ms(10));
        let Node::Broker(desk) = self.harness.process(broker as u16) else { panic!("brokers come first") };
        desk.answers.last().cloned()
    }

    /// Joins by hand with a rebalance timeout of ten seconds.
    fn join(&mut self, member: Option<MemberId>) -> Option<GroupResponse> {
        let subscription = Subscription { topics: [Topic(0)].into(), owned: Arc::default() };
        self.answer(
            0,
            GroupRequest::Join(JoinGroup {
                group: group(),
                member,
                session_timeout: Span::from_secs(45),
                rebalance_timeout: Span::from_secs(10),
                strategies: [Strategy::Range].into(),
                subscription,
            }),
        )
    }

    fn admitted(&mut self) -> MemberId {
        let answer = self.join(None);
        let Some(GroupResponse::Join(Err(JoinRefused { error: ErrorCode::MemberIdRequired, member: Some(id) }))) =
            answer
        else {
            panic!("a newcomer is given an id: {answer:?}")
        };
        id
    }
}

fn partitions() -> Arc<[TopicPartition]> {
    (0..PARTITIONS).map(|partition| TopicPartition { topic: Topic(0), partition }).collect()
}

fn home() -> TopicPartition {
    offsets_partition(&group(), BrokerConfig::default().offsets_topic_num_partitions)
}

#[test]
fn a_group_belongs_to_the_partition_that_java_says() {
    let check = |name: &str, partition: u16| {
        assert_eq!(offsets_partition(&Group(name.into()), 50).partition, partition, "{name}");
    };
    // `"orders".hashCode()` is -1008770331, that of "polygenelubricants" the least integer, whose absolute value is none.
    check("orders", 31);
    check("a", 97 % 50);
    check("polygenelubricants", 0);
}

#[test]
fn members_share_and_what_one_leaves_the_others_take_from_where_it_committed() {
    let mut cluster = Cluster::new(Defects::NONE, &[&[], &[]]);
    cluster.run_secs(2);
    cluster.produce();
    cluster.run_secs(13);
    let mut shares = cluster.shares();
    shares.sort();
    assert_eq!(shares, [[0, 1], [2, 3]], "the first member waited for the second");
    assert_eq!(cluster.polled(2).len() + cluster.polled(3).len(), 4);
    let before = cluster.polled(2).len();

    cluster.harness.crash(3, Loss::Memory);
    cluster.produce();
    cluster.run_secs(41);
    assert_eq!(cluster.shares()[0].len(), 2, "a silent member is waited for");
    cluster.run_secs(13);
    assert_eq!(cluster.shares()[0], [0, 1, 2, 3]);
    assert_eq!(cluster.polled(2).len() - before, 4, "what the other had committed is not read again");
    let removed = cluster.seen(|_, what| match what {
        Observation::MemberRemoved { reason, .. } => Some(*reason),
        _ => None,
    });
    assert_eq!(removed, [RemovalReason::SessionTimeout]);
}

#[test]
fn processed_records_are_committed_before_the_next_poll() {
    let mut cluster = Cluster::new(Defects::NONE, &[&[("enable.auto.commit", "false")]]);
    cluster.run_secs(10);
    cluster.produce();
    cluster.run_secs(1);
    let committed = cluster.seen(|_, what| match what {
        Observation::CommitOk { offsets, .. } => Some(offsets.iter().map(|(_, offset)| *offset).sum::<u64>()),
        _ => None,
    });
    assert_eq!(committed.last(), Some(&4), "{committed:?}");
}

#[test]
fn a_group_survives_the_move_of_its_coordinator() {
    let mut cluster = Cluster::new(Defects::NONE, &[&[], &[]]);
    cluster.run_secs(2);
    cluster.produce();
    cluster.run_secs(13);
    cluster.elect(&BROKERS, &[home()], 1, 2);
    cluster.produce();
    cluster.run_secs(60);
    let moves = cluster.seen(|process, what| match what {
        Observation::CoordinatorLoaded { leader_epoch, groups, offsets, .. } => {
            Some((process.0, *leader_epoch, *groups, *offsets))
        }
        Observation::CoordinatorUnloaded { leader_epoch, .. } => Some((process.0, *leader_epoch, 0, 0)),
        _ => None,
    });
    assert_eq!(moves, [(0, 1, 0, 0), (0, 1, 0, 0), (1, 2, 1, 4)]);
    let generations = cluster.seen(|_, what| match what {
        Observation::GroupAssigned { generation, .. } => Some(*generation),
        _ => None,
    });
    assert_eq!(generations, [1], "members go on in their generation");
    let accepted =
        cluster.seen(|process, what| matches!(what, Observation::CommitAccepted { .. }).then_some(process.0));
    assert!(accepted.first() == Some(&0) && accepted.last() == Some(&1), "{accepted:?}");
    assert_eq!(cluster.polled(2).len() + cluster.polled(3).len(), 8);
}

#[test]
fn a_load_that_ends_after_the_unload_is_dropped_unless_nobody_looks_at_epochs() {
    let check = |defects: Defects, loaded: &[i32]| {
        let mut cluster = Cluster::new(defects, &[&[]]);
        cluster.run_secs(10);
        // Broker 1 leads in epoch 2, and in epoch 3 no longer, while it reads.
        cluster.elect(&[1], &[home()], 1, 2);
        cluster.elect(&[1], &[home()], 0, 3);
        cluster.run_secs(1);
        let by_1 = cluster.seen(|process, what| match what {
            Observation::CoordinatorLoaded { leader_epoch, .. } if process == ProcessId(1) => Some(*leader_epoch),
            _ => None,
        });
        assert_eq!(by_1, loaded, "{defects:?}");
    };
    check(Defects::NONE, &[]);
    check(Defects::NONE.with(Defect::UnorderedCoordinatorLoad), &[2]);
}

#[test]
fn a_generation_that_is_over_changes_nothing() {
    let mut cluster = Cluster::new(Defects::NONE, &[]);
    cluster.run_secs(1);
    let id = cluster.admitted();
    assert_eq!(cluster.join(Some(id)), None, "the initial delay");
    cluster.run_secs(4);
    let membership = |member, generation| Membership { group: group(), member, generation };
    let assignment: Arc<[_]> = [(id, partitions())].into();
    let sync = |generation, assignment: &Arc<[_]>| {
        GroupRequest::Sync(SyncGroup { membership: membership(id, generation), assignment: Arc::clone(assignment) })
    };
    let commit = |member, generation| {
        let position = Position { offset: 7, leader_epoch: None };
        let offsets = [(partitions()[0], position)].into();
        GroupRequest::Commit(OffsetCommit { membership: membership(member, generation), offsets })
    };
    let mut answers = Vec::new();
    for (request, expected) in [
        (commit(id, 1), GroupResponse::Commit(ErrorCode::RebalanceInProgress)),
        (sync(0, &assignment), GroupResponse::Sync(Err(ErrorCode::IllegalGeneration))),
        (sync(1, &assignment), GroupResponse::Sync(Ok(partitions()))),
        (commit(id, 0), GroupResponse::Commit(ErrorCode::IllegalGeneration)),
        (commit(MemberId(1), 1), GroupResponse::Commit(ErrorCode::UnknownMemberId)),
        (GroupRequest::Heartbeat(membership(id, 2)), GroupResponse::Heartbeat(ErrorCode::IllegalGeneration)),
        (GroupRequest::Heartbeat(membership(id, 1)), GroupResponse::Heartbeat(ErrorCode::None)),
        (commit(id, 1), GroupResponse::Commit(ErrorCode::None)),
    ] {
        answers.push((cluster.answer(0, request), Some(expected)));
    }
    for (answer, expected) in answers {
        assert_eq!(answer, expected);
    }
    let elsewhere = cluster.answer(1, GroupRequest::Heartbeat(membership(id, 1)));
    assert_eq!(elsewhere, Some(GroupResponse::Heartbeat(ErrorCode::NotCoordinator)));
    let accepted = cluster.seen(|_, what| matches!(what, Observation::CommitAccepted { .. }).then_some(()));
    assert_eq!(accepted.len(), 1);
}

#[test]
fn a_leader_that_never_brings_the_assignment_is_not_waited_for_for_ever() {
    let mut cluster = Cluster::new(Defects::NONE, &[]);
    cluster.run_secs(1);
    let id = cluster.admitted();
    cluster.join(Some(id));
    cluster.run_secs(4);
    let heartbeat = |cluster: &mut Cluster| {
        let membership = Membership { group: group(), member: id, generation: 1 };
        cluster.answer(0, GroupRequest::Heartbeat(membership))
    };
    cluster.run_secs(8);
    assert_eq!(heartbeat(&mut cluster), Some(GroupResponse::Heartbeat(ErrorCode::None)), "its heartbeats are taken");
    cluster.run_secs(3);
    assert_eq!(heartbeat(&mut cluster), Some(GroupResponse::Heartbeat(ErrorCode::UnknownMemberId)));
    let removed = cluster.seen(|_, what| match what {
        Observation::MemberRemoved { reason, .. } => Some(*reason),
        _ => None,
    });
    assert_eq!(removed, [RemovalReason::NotSynced]);
}
