use std::hash::Hash;
use std::sync::Arc;

use super::scripted::{Cast, Conduct, ScriptedServer, server_address};
use super::*;
use crate::fingerprint::Fingerprint;
use crate::id::ProcessId;
use crate::options::OptionValue;
use crate::process::{Input, Loss, Process};
use crate::random::Random;
use crate::testing::{Harness, LATENCY};
use crate::world::In;

/// A process that is nothing but a handle. A datagram makes it submit an operation.
#[derive(Clone, Debug)]
struct Client {
    zk: ZooKeeper,
    events: Vec<(Instant, ZkClientEvent)>,
}

impl Hash for Client {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.zk.hash(state);
    }
}

impl Process for Client {
    type Message = Message;
    type Timer = Timer;

    fn on_input(&mut self, input: In, ctx: &mut Ctx<'_>) {
        let mut out = Vec::new();
        match input {
            Input::Start => self.zk.start(ctx),
            Input::Opened { conn } => self.zk.on_opened(ctx, conn),
            Input::Closed { conn, .. } => self.zk.on_closed(ctx, conn, &mut out),
            Input::Message { conn, message: Message::Zk(message) } => self.zk.on_message(ctx, conn, *message, &mut out),
            Input::Timer { timer: Timer::ZkClient(timer), .. } => self.zk.on_timer(ctx, timer, &mut out),
            Input::Datagram { message: Message::Zk(message), .. } => {
                if let ClientMessage::Request { op, .. } = *message {
                    self.zk.submit(ctx, op, &mut out);
                }
            }
            _ => {}
        }
        self.events.extend(out.into_iter().map(|event| (ctx.now, event)));
    }

    fn crash(&mut self, _: Loss, _: &mut Random) -> bool {
        false
    }

    fn fold_state(&self, into: &mut Fingerprint) {
        self.hash(into);
    }
}

struct Stage(Harness<Cast<Client>>);

impl Stage {
    /// Servers 0, 1, ... as told, and the client behind them.
    fn new(socket: ClientCnxnSocket, conducts: &[Conduct]) -> Self {
        Self::with(socket, conducts, false)
    }

    fn with(socket: ClientCnxnSocket, conducts: &[Conduct], gives_up: bool) -> Self {
        let servers: Arc<[_]> = (0..conducts.len() as u16).map(server_address).collect();
        let spec = ZkClientSpec {
            servers,
            session_timeout: Span::from_ms(18_000),
            socket,
            gives_up,
            thread_delay: Span::ZERO,
        };
        let mut cast: Vec<_> = conducts.iter().map(|conduct| Cast::Server(ScriptedServer::new(*conduct))).collect();
        cast.push(Cast::Subject(Client { zk: ZooKeeper::new(1, spec), events: Vec::new() }));
        Self(Harness::new(cast))
    }

    fn server(&mut self, id: u16) -> &mut ScriptedServer {
        self.0.process_mut(id).server()
    }

    fn run_ms(&mut self, ms: u64) {
        self.0.run_for(Span::from_ms(ms));
    }

    fn submit(&mut self, client: u16, op: Op) {
        let message = Message::Zk(Box::new(ClientMessage::Request { xid: 0, op }));
        self.0.input(client, Input::Datagram { from: ProcessId(client), message });
    }

    /// Takes what happened so far, with the time in ms.
    fn events(&mut self, client: u16) -> Vec<(u64, ZkClientEvent)> {
        let events = std::mem::take(&mut self.0.process_mut(client).subject_mut().events);
        events.into_iter().map(|(at, event)| (at.as_ms(), event)).collect()
    }
}

fn read(path: &str) -> Op {
    Op::GetData { path: path.into(), watch: false }
}

fn lost(request: u64, error: ZkError) -> ZkClientEvent {
    failed(ZkRequestId(request), error)
}

#[test]
fn silent_servers_cost_a_share_of_the_session_timeout_each_and_a_round_costs_a_second() {
    let mut stage = Stage::new(ClientCnxnSocket::Nio, &[Conduct::Mute; 4]);
    stage.run_ms(60_000);
    let mut dialled: Vec<_> =
        (0..4).flat_map(|id| stage.server(id).dialled.clone().into_iter().map(move |at| (at, id))).collect();
    dialled.sort();
    let first_round: Vec<_> = dialled[..4].iter().map(|(_, id)| *id).collect();
    for (index, pair) in dialled.windows(2).enumerate() {
        assert_eq!(pair[1].1, first_round[(index + 1) % 4], "round robin");
        // The limit starts anew once TCP is up; then 100 ms of cleaning up and up to a second of chance.
        let fixed = 4_500 + 100 + if (index + 1) % 4 == 0 { 1_000 } else { 0 };
        let gap = (pair[1].0 - pair[0].0).as_ms();
        assert!((fixed..=fixed + 1_001).contains(&gap), "{index}: {gap} ms");
    }
    assert_eq!(stage.events(4), [], "it was never connected and never expires by itself");
}

#[test]
fn an_idle_connection_is_pinged_after_half_the_read_timeout_and_dropped_after_all_of_it() {
    let mut stage = Stage::new(ClientCnxnSocket::Nio, &[Conduct::Serve]);
    stage.run_ms(19_000);
    let pings: Vec<_> =
        stage.server(0).heard.iter().filter(|(_, m)| *m == ClientMessage::Ping).map(|(at, _)| at.as_ms()).collect();
    assert_eq!(pings, [6_001, 12_001, 18_001]);
    assert_eq!(stage.events(1), [(2, ZkClientEvent::Connected)]);

    // The last thing heard is the pong of 18 s.
    stage.server(0).conduct = Conduct::Mute;
    stage.submit(1, read("/a"));
    stage.run_ms(11_001);
    assert_eq!(stage.events(1), []);
    stage.submit(1, read("/b"));
    stage.run_ms(50);
    assert_eq!(stage.events(1), []);
    stage.run_ms(100);
    assert_eq!(
        stage.events(1),
        [
            (30_102, lost(1, ZkError::ConnectionLoss)),
            (30_102, lost(2, ZkError::ConnectionLoss)),
            (30_102, ZkClientEvent::Disconnected)
        ],
        "all is told after the pause"
    );
}

#[test]
fn what_is_queued_while_disconnected_shares_the_fate_of_the_next_attempt() {
    let mut stage = Stage::new(ClientCnxnSocket::Nio, &[Conduct::Serve]);
    stage.run_ms(10);
    stage.server(0).conduct = Conduct::HangUp;
    stage.submit(1, read("/a"));
    stage.run_ms(110);
    stage.submit(1, read("/b"));
    assert!(stage.0.process(1).subject().zk.is_connected(), "Java says so until the next attempt begins");
    stage.run_ms(2_200);
    let events: Vec<_> = stage.events(1).into_iter().map(|(_, event)| event).collect();
    let loss = |request| lost(request, ZkError::ConnectionLoss);
    assert_eq!(events, [ZkClientEvent::Connected, loss(1), ZkClientEvent::Disconnected, loss(2)]);
    assert!(!stage.0.process(1).subject().zk.is_connected());

    stage.submit(1, read("/c"));
    stage.server(0).conduct = Conduct::Serve;
    stage.run_ms(4_500);
    let events: Vec<_> = stage.events(1).into_iter().map(|(_, event)| event).collect();
    let answer = ZkClientEvent::Reply { request: ZkRequestId(3), zxid: Zxid::ZERO, result: Err(ZkError::NoNode) };
    assert!(
        events == [ZkClientEvent::Connected, answer] || events == [loss(3), ZkClientEvent::Connected],
        "{events:?}"
    );
    let session = stage.0.process(1).subject().zk.session();
    assert_eq!(session, SessionId(0x101), "the session goes on");
}

#[test]
fn only_a_server_ends_a_session_and_then_for_good() {
    let mut stage = Stage::new(ClientCnxnSocket::Nio, &[Conduct::Serve]);
    stage.run_ms(10);
    stage.server(0).conduct = Conduct::Mute;
    stage.run_ms(600_000);
    let events: Vec<_> = stage.events(1).into_iter().map(|(_, event)| event).collect();
    assert_eq!(events, [ZkClientEvent::Connected, ZkClientEvent::Disconnected]);

    stage.server(0).conduct = Conduct::Expire;
    stage.run_ms(25_000);
    assert_eq!(stage.events(1).into_iter().map(|(_, event)| event).collect::<Vec<_>>(), [ZkClientEvent::Expired]);
    assert!(!stage.0.process(1).subject().zk.is_alive());
    let dialled = stage.server(0).dialled.len();
    stage.submit(1, read("/a"));
    stage.run_ms(60_000);
    assert_eq!(stage.events(1).into_iter().map(|(_, e)| e).collect::<Vec<_>>(), [lost(1, ZkError::SessionExpired)]);
    assert_eq!(stage.server(0).dialled.len(), dialled, "a dead handle does not dial");
}

#[test]
fn zookeeper_4508_a_repaired_client_gives_up_after_four_thirds_of_the_session_timeout() {
    let expired_at = |gives_up: bool| {
        let mut stage = Stage::with(ClientCnxnSocket::Nio, &[Conduct::Serve], gives_up);
        stage.run_ms(10_000);
        stage.server(0).conduct = Conduct::Mute;
        stage.run_ms(600_000);
        stage.events(1).into_iter().find(|(_, event)| *event == ZkClientEvent::Expired).map(|(at, _)| at)
    };
    assert_eq!(expired_at(false), None);
    // The last pong came at 6 s; the next attempt to connect ends with the wait.
    let at = expired_at(true).expect("it gives up");
    assert!((30_000..=31_200).contains(&at), "{at} ms");
}

#[test]
fn watches_fire_once_and_are_set_again_after_a_reconnect() {
    let mut stage = Stage::new(ClientCnxnSocket::Nio, &[Conduct::Serve]);
    stage.server(0).plant("/a", 0);
    stage.run_ms(10);
    for path in ["/a", "/missing"] {
        stage.submit(1, Op::Exists { path: path.into(), watch: true });
    }
    stage.submit(1, Op::GetData { path: "/none".into(), watch: true });
    stage.run_ms(10);
    stage.server(0).conduct = Conduct::HangUp;
    stage.submit(1, read("/a"));
    stage.run_ms(50);
    stage.server(0).conduct = Conduct::Serve;
    stage.run_ms(10_000);
    let set = stage.server(0).heard.iter().filter_map(|(_, m)| match m {
        ClientMessage::SetWatches { relative_zxid, data, exist, child } => {
            Some((*relative_zxid, data.clone(), exist.clone(), child.clone()))
        }
        _ => None,
    });
    assert_eq!(set.collect::<Vec<_>>(), [(Zxid(1), vec!["/a".into()], vec!["/missing".into()], vec![])]);

    stage.events(1);
    stage.submit(1, Op::GetData { path: "/a".into(), watch: true });
    for _ in 0..2 {
        stage.submit(1, Op::SetData { path: "/a".into(), data: "x".into(), version: ANY });
    }
    stage.run_ms(10);
    let watches = stage.events(1).into_iter().filter(|(_, event)| matches!(event, ZkClientEvent::Watch { .. })).count();
    assert_eq!(watches, 1);
}

const ANY: i32 = crate::zk::protocol::ANY_VERSION;

#[test]
fn netty_sends_behind_the_connect_request_and_nio_does_not() {
    for (socket, pipelined) in [(ClientCnxnSocket::Nio, 0), (ClientCnxnSocket::Netty, 1)] {
        let mut stage = Stage::new(socket, &[Conduct::Mute]);
        stage.submit(1, read("/a"));
        stage.run_ms(1_000);
        let requests = stage.server(0).heard.iter().filter(|(_, m)| matches!(m, ClientMessage::Request { .. })).count();
        assert_eq!(requests, pipelined, "{socket:?}");
        assert_eq!(ClientCnxnSocket::parse(&socket.show()), Ok(socket));
    }
    assert!(LATENCY < Span::from_ms(1));
}

/// `startConnect` sleeps up to a second before every attempt but a handle's first.
#[test]
fn attempts_to_connect_are_spread_over_a_second_and_the_first_comes_at_once() {
    let mut stage = Stage::new(ClientCnxnSocket::Nio, &[Conduct::HangUp]);
    stage.run_ms(600_000);
    let dialled = stage.server(0).dialled.clone();
    assert!(dialled[0].as_ms() <= 1, "the first attempt, after {} ms", dialled[0].as_ms());
    // 100 ms of cleaning up, and the second that a round of all servers costs.
    let fixed = Span::from_ms(1_100);
    let slept: Vec<u64> = dialled.windows(2).map(|pair| (pair[1] - pair[0]).saturating_sub(fixed).as_ms()).collect();
    let mean = slept.iter().sum::<u64>() / slept.len() as u64;
    assert!(slept.len() > 300 && (450..=550).contains(&mean), "{} sleeps of {mean} ms in the mean", slept.len());
    assert!(slept.iter().all(|ms| *ms <= 1_005), "{:?}", slept.iter().max());
    assert!(slept.iter().any(|ms| *ms < 20) && slept.iter().any(|ms| *ms > 980));
}
