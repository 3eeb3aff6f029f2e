use std::hash::{Hash, Hasher};

use super::*;
use crate::defect::{Defect, Defects};
use crate::fingerprint::Fingerprint;
use crate::id::{BrokerId, ProcessId};
use crate::kafka::Timer as KafkaTimer;
use crate::kafka::broker::BrokerTimer;
use crate::kafka::config::BrokerConfig;
use crate::process::{Input, Loss, Process};
use crate::random::Random;
use crate::testing::Harness;
use crate::time::Span;
use crate::world::{In, Message, Timer};
use crate::zk::client::ClientCnxnSocket;
use crate::zk::client::scripted::{Cast, Conduct, ScriptedServer, server_address};
use crate::zk::protocol::ClientMessage;

/// A process that is nothing but a client: it makes a new handle after each expiry. A datagram makes it submit a batch or
/// register.
#[derive(Clone, Debug)]
struct User {
    zk: KafkaZkClient,
    notices: Vec<ZkNotice>,
}

impl Hash for User {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.zk.hash(state);
    }
}

impl Process for User {
    type Message = Message;
    type Timer = Timer;

    fn on_input(&mut self, input: In, ctx: &mut Ctx<'_>) {
        match input {
            Input::Start => self.zk.start(ctx),
            Input::Opened { conn } => self.zk.on_opened(ctx, conn),
            Input::Closed { conn, .. } => self.zk.on_closed(ctx, conn),
            Input::Message { conn, message: Message::Zk(message) } => self.zk.on_message(ctx, conn, *message),
            Input::Timer { timer: Timer::ZkClient(timer), .. } => self.zk.on_zk_timer(ctx, timer),
            Input::Timer { timer: Timer::Kafka(KafkaTimer::Broker(BrokerTimer::RetryRegistration)), .. } => {
                self.zk.on_retry_registration(ctx);
            }
            Input::Datagram { message: Message::Zk(message), .. } => match *message {
                ClientMessage::Request { op: Op::Multi(ops), .. } => {
                    self.zk.submit(ctx, ZkUser::Controller, ops);
                }
                ClientMessage::Ping => {
                    self.zk.register_broker(ctx, ZkUser::Broker);
                }
                _ => {}
            },
            _ => {}
        }
        while let Some(notice) = self.zk.next_notice() {
            if notice == ZkNotice::Expired {
                self.zk.reinitialize(ctx);
            }
            self.notices.push(notice);
        }
    }

    fn crash(&mut self, _: Loss, _: &mut Random) -> bool {
        false
    }

    fn fold_state(&self, into: &mut Fingerprint) {
        self.hash(into);
    }
}

const USER: u16 = 1;
const NODE: &str = "/brokers/ids/5";

struct Stage(Harness<Cast<User>>);

impl Stage {
    fn new(socket: ClientCnxnSocket, defects: Defects) -> Self {
        let config = BrokerConfig { zookeeper_client_cnxn_socket: socket, ..BrokerConfig::default() };
        let spec =
            KafkaZkSpec { broker: BrokerId(5), config: config.into(), zookeeper: [server_address(0)].into(), defects };
        let user = User { zk: KafkaZkClient::new(spec), notices: Vec::new() };
        Self(Harness::new(vec![Cast::Server(ScriptedServer::new(Conduct::Serve)), Cast::Subject(user)]))
    }

    fn server(&mut self) -> &mut ScriptedServer {
        self.0.process_mut(0).server()
    }

    fn run_ms(&mut self, ms: u64) {
        self.0.run_for(Span::from_ms(ms));
    }

    fn tell(&mut self, message: ClientMessage) {
        self.0.input(USER, Input::Datagram { from: ProcessId(USER), message: Message::Zk(Box::new(message)) });
    }

    fn batch(&mut self, ops: Vec<Op>) {
        self.tell(ClientMessage::Request { xid: 0, op: Op::Multi(ops) });
    }

    fn session(&self) -> SessionId {
        self.0.process(USER).subject().zk.session()
    }

    /// The client loses its session and gets another one, while `meanwhile` happens to the tree.
    fn expire(&mut self, meanwhile: impl FnOnce(&mut ScriptedServer)) {
        self.server().conduct = Conduct::HangUp;
        self.batch(vec![read()]);
        self.run_ms(3_000);
        self.server().conduct = Conduct::Expire;
        meanwhile(self.server());
        self.run_ms(10_000);
        self.server().conduct = Conduct::Serve;
        self.take_answers();
    }

    fn take_answers(&mut self) -> Vec<ZkAnswer> {
        let notices = std::mem::take(&mut self.0.process_mut(USER).subject_mut().notices);
        let answers = notices.into_iter().filter_map(|notice| match notice {
            ZkNotice::Answer(_, answer) => Some(answer),
            _ => None,
        });
        answers.collect()
    }
}

fn read() -> Op {
    Op::Exists { path: "/a".into(), watch: false }
}

#[test]
fn a_batch_is_answered_in_order_after_a_connection_is_lost_and_never_more_than_ten_at_a_time() {
    let mut stage = Stage::new(ClientCnxnSocket::Nio, Defects::NONE);
    stage.run_ms(10);
    let create = |n: u32| Op::Create {
        path: format!("/n{n}").into(),
        data: "".into(),
        mode: crate::zk::protocol::CreateMode::Persistent,
    };
    stage.server().conduct = Conduct::Mute;
    stage.batch((0..25).map(create).collect());
    stage.run_ms(11_000);
    assert_eq!(stage.server().nodes.len(), 10, "the other requests wait for a permit");
    stage.run_ms(10_000);
    assert_eq!(stage.take_answers(), [], "connection loss is not an answer");
    stage.server().conduct = Conduct::Serve;
    stage.run_ms(40_000);

    let answers = stage.take_answers();
    let [ZkAnswer::Replies(_, replies)] = &answers[..] else { panic!("{answers:?}") };
    let codes: Vec<_> = replies.iter().map(|reply| reply.result.as_ref().map(|_| ()).map_err(|e| *e)).collect();
    assert!(codes.iter().all(|code| matches!(code, Ok(()) | Err(ZkError::NodeExists))));
    let again = codes.iter().filter(|code| code.is_err()).count();
    assert!(again >= 10 && codes[..10].iter().all(Result::is_err), "they find their own earlier effect: {codes:?}");
    assert_eq!(stage.server().nodes.len(), 25);
}

#[test]
fn expiry_ends_batches_that_wait_for_a_connection_and_a_new_handle_serves_later_ones() {
    let mut stage = Stage::new(ClientCnxnSocket::Nio, Defects::NONE);
    stage.run_ms(10);
    let before = stage.session();
    stage.server().conduct = Conduct::HangUp;
    stage.batch(vec![read(), read()]);
    stage.run_ms(5_000);
    stage.server().conduct = Conduct::Expire;
    stage.run_ms(10_000);
    assert_eq!(stage.take_answers(), [ZkAnswer::SessionExpired(ZkBatch(1))]);
    assert_ne!(stage.session(), before);
    stage.batch(vec![read()]);
    stage.batch(vec![]);
    stage.run_ms(10);
    let [ZkAnswer::Replies(ZkBatch(3), none), ZkAnswer::Replies(ZkBatch(2), one)] = &stage.take_answers()[..] else {
        panic!("an empty batch is answered at once, the other one by the server")
    };
    assert_eq!((none.len(), one[0].result.clone()), (0, Err(ZkError::NoNode)));
}

/// What the broker hears of its registration within 30 s; `None` is nothing.
fn outcome(stage: &mut Stage) -> Option<Result<i64, Arc<str>>> {
    stage.run_ms(30_000);
    let answers = stage.take_answers();
    assert!(answers.len() <= 1, "{answers:?}");
    match answers.into_iter().next()? {
        ZkAnswer::Registered(_, outcome) => Some(outcome),
        other => panic!("{other:?}"),
    }
}

fn refused() -> Option<Result<i64, Arc<str>>> {
    Some(Err("KeeperException.NodeExistsException".into()))
}

#[test]
fn registration_of_a_fresh_process_fails_while_the_node_of_an_earlier_life_stands() {
    for defects in [Defects::NONE, Defects::NONE.with(Defect::LostRegistration)] {
        let mut stage = Stage::new(ClientCnxnSocket::Nio, defects);
        stage.server().plant(NODE, 0x77);
        stage.tell(ClientMessage::Ping);
        assert_eq!(outcome(&mut stage), refused(), "case A, and F");
        stage.server().end(SessionId(0x77));
        stage.tell(ClientMessage::Ping);
        assert_eq!(outcome(&mut stage), Some(Ok(3)));
    }
}

#[test]
fn registration_after_expiry_makes_a_new_node_whether_the_old_one_is_gone_or_orphaned() {
    for orphan in [false, true] {
        let mut stage = Stage::new(ClientCnxnSocket::Nio, Defects::NONE);
        stage.tell(ClientMessage::Ping);
        assert_eq!(outcome(&mut stage), Some(Ok(1)));
        let first = stage.session();
        stage.expire(|server| {
            if !orphan {
                server.end(first);
            }
        });
        stage.tell(ClientMessage::Ping);
        let Some(Ok(epoch)) = outcome(&mut stage) else { panic!("cases B and C") };
        assert!(epoch > 1);
        let second = stage.session();
        let owner = |stage: &mut Stage| stage.server().nodes[NODE].1.ephemeral_owner;
        assert_eq!((owner(&mut stage), second == first), (second, false));

        // As after a lost answer: the node that is there turns out to be its own.
        stage.tell(ClientMessage::Ping);
        assert_eq!(outcome(&mut stage), Some(Ok(epoch)), "same session, same czxid");
    }
}

#[test]
fn registration_by_a_session_that_the_client_never_heard_of_is_lost_only_with_the_defect() {
    for defect in [true, false] {
        let defects = if defect { Defects::NONE.with(Defect::LostRegistration) } else { Defects::NONE };
        let mut stage = Stage::new(ClientCnxnSocket::Netty, defects);
        stage.tell(ClientMessage::Ping);
        assert_eq!(outcome(&mut stage), Some(Ok(1)));
        let first = stage.session();

        // Expired; the new handle's ConnectRequest and the create behind it work, but nothing comes back.
        stage.server().conduct = Conduct::HangUp;
        stage.batch(vec![read()]);
        stage.run_ms(3_000);
        stage.server().end(first);
        stage.server().conduct = Conduct::Expire;
        while !stage.0.process(USER).subject().notices.contains(&ZkNotice::Expired) {
            stage.run_ms(1);
        }
        stage.take_answers();
        stage.server().conduct = Conduct::Mute;
        stage.tell(ClientMessage::Ping);
        stage.run_ms(1_000);
        let unknown = stage.server().nodes[NODE].1.ephemeral_owner;
        stage.server().conduct = Conduct::Serve;
        assert_eq!(outcome(&mut stage), if defect { refused() } else { None }, "case D");
        assert_ne!(stage.session(), unknown);

        stage.server().end(unknown);
        let later = outcome(&mut stage);
        assert_eq!(matches!(later, Some(Ok(_))), !defect, "{later:?}: it waited for the end of its lost session");
        assert_eq!(stage.server().nodes.contains_key(NODE), !defect);
    }
}

#[test]
fn registration_whose_obstacle_vanishes_is_tried_again_unless_it_meets_the_null_pointer() {
    for defect in [true, false] {
        let defects = if defect { Defects::NONE.with(Defect::RegistrationNullPointer) } else { Defects::NONE };
        let mut stage = Stage::new(ClientCnxnSocket::Nio, defects);
        stage.server().plant(NODE, 0x77);
        stage.run_ms(10);
        stage.tell(ClientMessage::Ping);
        // The create was refused 0.5 ms after it was sent; the read arrives 1 ms later.
        stage.run_ms(1);
        stage.server().end(SessionId(0x77));
        let outcome = outcome(&mut stage).expect("case E");
        assert_eq!(outcome.is_err(), defect, "{outcome:?}");
        assert_eq!(outcome.is_ok_and(|epoch| epoch > 0), !defect);
    }
}
