//! An ensemble with clients on perfect streams.

mod defects;
mod ensemble;
mod threads;
mod znodes;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Role, Server, ServerSpec, ZkServerTimer};
use crate::defect::{Defect, Defects};
use crate::fingerprint::Fingerprint;
use crate::id::{Address, ConnId, HostId, ProcessId, SessionId, Sid, Zxid};
use crate::kafka::config::Acks;
use crate::laws::{Facts, Judge, Outcome, ProcessFacts, ProcessKind};
use crate::observation::{Observation, ZkRole};
use crate::process::{Input, Loss, Process};
use crate::random::Random;
use crate::testing::Harness;
use crate::time::{Instant, Span};
use crate::world::{Ctx, In, Message, Timer, ZK_CLIENT_PORT};
use crate::zk::config::ZooKeeperConfig;
use crate::zk::protocol::{ClientMessage, CreateMode, Op, OpResult, ZkError};

/// Either kind of process; the harness knows one type.
#[derive(Clone)]
pub(super) enum Node {
    Server(Box<Server>),
    Client(Box<Client>),
}

/// A raw client: it sends what the test pushes and keeps what comes back.
#[derive(Clone, Default)]
pub(super) struct Client {
    conn: Option<ConnId>,
    open: bool,
    session: SessionId,
    password: u64,
    last_zxid: Zxid,
    connected: bool,
    expired: bool,
    xid: i32,
    received: Vec<ClientMessage>,
}

/// Not a message of the world: how a test makes a client act.
const DIAL: Timer = Timer::ZkServer(ZkServerTimer::LeaderDeadline);
const PING: Timer = Timer::ZkServer(ZkServerTimer::SessionExpiry);

impl Client {
    fn on_input(&mut self, input: In, ctx: &mut Ctx<'_>) {
        match input {
            Input::Opened { conn } if self.conn == Some(conn) => {
                self.open = true;
                let hello = ClientMessage::ConnectRequest {
                    last_zxid_seen: self.last_zxid,
                    timeout: TIMEOUT,
                    session: self.session,
                    password: self.password,
                };
                ctx.send(conn, Message::Zk(Box::new(hello)));
            }
            Input::Message { conn, message: Message::Zk(message) } if self.conn == Some(conn) => {
                match &*message {
                    ClientMessage::ConnectResponse { timeout: Span::ZERO, .. } => self.expired = true,
                    ClientMessage::ConnectResponse { session, password, .. } => {
                        self.connected = true;
                        self.session = *session;
                        self.password = *password;
                        ctx.set_timer(Span::from_secs(3), PING);
                    }
                    ClientMessage::Reply { zxid, .. } => self.last_zxid = self.last_zxid.max(*zxid),
                    _ => {}
                }
                self.received.push(*message);
            }
            Input::Closed { conn, .. } if self.conn == Some(conn) => {
                self.conn = None;
                self.open = false;
                self.connected = false;
            }
            Input::Timer { timer: DIAL, .. } => {}
            Input::Timer { .. } => {
                if let Some(conn) = self.conn.filter(|_| self.connected) {
                    ctx.send(conn, Message::Zk(Box::new(ClientMessage::Ping)));
                    ctx.set_timer(Span::from_secs(3), PING);
                }
            }
            // The test's own orders come as datagrams from the client to itself.
            Input::Datagram { from, message: Message::Zk(message) } => match *message {
                ClientMessage::Pong => {
                    if let Some(old) = self.conn.take() {
                        ctx.close(old);
                    }
                    self.connected = false;
                    self.conn = Some(ctx.connect(Address { process: from, port: ZK_CLIENT_PORT }));
                }
                message => {
                    if let Some(conn) = self.conn.filter(|_| self.open) {
                        ctx.send(conn, Message::Zk(Box::new(message)));
                    }
                }
            },
            _ => {}
        }
    }
}

impl Process for Node {
    type Message = Message;
    type Timer = Timer;

    fn on_input(&mut self, input: In, ctx: &mut Ctx<'_>) {
        match self {
            Self::Server(server) => server.on_input(input, ctx),
            Self::Client(client) => client.on_input(input, ctx),
        }
    }

    fn crash(&mut self, loss: Loss, random: &mut Random) -> bool {
        match self {
            Self::Server(server) => server.crash(loss, random),
            Self::Client(_) => false,
        }
    }

    fn fold_state(&self, into: &mut Fingerprint) {
        if let Self::Server(server) = self {
            server.fold_state(into);
        }
    }
}

pub(super) const TIMEOUT: Span = Span::from_secs(18);

/// Servers are the processes 0.., with `myid` one higher; clients follow.
pub(super) struct Ensemble {
    pub(super) h: Harness<Node>,
    servers: u16,
}

impl Ensemble {
    pub(super) fn new(servers: u16, clients: u16, defects: &[Defect]) -> Self {
        // ZOOKEEPER-4685 is a race between threads: it needs some that wait.
        let races = defects.contains(&Defect::AckOvertakesNewLeader);
        Self::busy(servers, clients, defects, if races { Span::from_ms(20) } else { Span::ZERO })
    }

    /// On machines where threads wait for a core.
    pub(super) fn busy(servers: u16, clients: u16, defects: &[Defect], thread_delay: Span) -> Self {
        let ensemble: BTreeMap<Sid, ProcessId> = (0..servers).map(|n| (Sid(n as u8 + 1), ProcessId(n))).collect();
        let ensemble = Arc::new(ensemble);
        // With the default of 100,000 no short run would ever write a snapshot.
        let config = Arc::new(ZooKeeperConfig { snap_count: 20, ..ZooKeeperConfig::default() });
        let defects: Defects = defects.iter().copied().collect();
        let servers_ = (1..=servers).map(|n| {
            let spec = ServerSpec {
                sid: Sid(n as u8),
                ensemble: ensemble.clone(),
                config: config.clone(),
                defects,
                thread_delay,
            };
            Node::Server(Box::new(Server::new(spec)))
        });
        let clients = (0..clients).map(|_| Node::Client(Box::default()));
        Self { h: Harness::new(servers_.chain(clients).collect()), servers }
    }

    pub(super) fn ms(&mut self, ms: u64) {
        self.h.run_for(Span::from_ms(ms));
    }

    pub(super) fn server(&self, id: u16) -> &Server {
        match self.h.process(id) {
            Node::Server(server) => server,
            Node::Client(_) => panic!("process {id} is a client"),
        }
    }

    pub(super) fn client(&self, n: u16) -> &Client {
        match self.h.process(self.servers + n) {
            Node::Client(client) => client,
            Node::Server(_) => panic!("client {n} is a server"),
        }
    }

    fn order(&mut self, n: u16, from: u16, message: ClientMessage) {
        self.h.input(
            self.servers + n,
            Input::Datagram { from: ProcessId(from), message: Message::Zk(Box::new(message)) },
        );
    }

    /// The client drops its connection and goes to a server.
    pub(super) fn dial(&mut self, n: u16, server: u16) {
        self.order(n, server, ClientMessage::Pong);
        self.ms(20);
    }

    /// Sends without waiting. Returns the number of the request.
    pub(super) fn send(&mut self, n: u16, op: Op) -> i32 {
        let id = self.servers + n;
        let Node::Client(client) = self.h.process_mut(id) else { panic!("process {id} is a server") };
        client.xid += 1;
        let xid = client.xid;
        self.order(n, id, ClientMessage::Request { xid, op });
        xid
    }

    pub(super) fn send_raw(&mut self, n: u16, message: ClientMessage) {
        let id = self.servers + n;
        self.order(n, id, message);
    }

    pub(super) fn reply(&self, n: u16, xid: i32) -> Option<Result<OpResult, ZkError>> {
        self.client(n).received.iter().find_map(|message| match message {
            ClientMessage::Reply { xid: of, result, .. } if *of == xid => Some(result.clone()),
            _ => None,
        })
    }

    /// Sends and waits for the answer.
    pub(super) fn ask(&mut self, n: u16, op: Op) -> Result<OpResult, ZkError> {
        let xid = self.send(n, op);
        self.ms(20);
        self.reply(n, xid).unwrap_or(Err(ZkError::ConnectionLoss))
    }

    pub(super) fn hold_between(&mut self, a: &[u16], b: &[u16]) {
        a.iter().for_each(|&x| b.iter().for_each(|&y| self.h.hold(x, y)));
    }

    pub(super) fn release_between(&mut self, a: &[u16], b: &[u16]) {
        a.iter().for_each(|&x| b.iter().for_each(|&y| self.h.release(x, y)));
    }

    /// When a server first took `role` after `since`.
    pub(super) fn role_at(&self, id: u16, role: ZkRole, since: Instant) -> Option<Instant> {
        let taken = |what: &Observation| matches!(what, Observation::ZkRole { role: taken, .. } if *taken == role);
        self.h.observed.iter().find(|o| o.process == ProcessId(id) && o.at >= since && taken(&o.what)).map(|o| o.at)
    }

    /// Milliseconds from `since` to when a server took `role`.
    pub(super) fn role_after(&self, id: u16, role: ZkRole, since: Instant) -> u64 {
        self.role_at(id, role, since).map_or(u64::MAX, |at| at.since(since).as_ms())
    }

    pub(super) fn leader(&self) -> Option<u16> {
        (0..self.servers).find(|&id| matches!(self.server(id).role, Role::Leading(_)) && self.server(id).is_serving())
    }

    /// Every running server holds the same tree and its log ends there.
    pub(super) fn assert_agreement(&self, running: &[u16]) {
        let expected = self.server(running[0]).tree.applied();
        for &id in running {
            let server = self.server(id);
            assert!(server.is_serving(), "server {id} serves");
            assert_eq!(server.tree.applied(), expected, "the tree of server {id}");
            assert_eq!(server.storage.log().end(), expected, "the log of server {id}");
            assert_eq!(server.storage.load().applied(), expected, "what server {id} would load");
        }
    }
}

pub(super) fn create(path: &str) -> Op {
    create_as(path, CreateMode::Persistent)
}

pub(super) fn create_as(path: &str, mode: CreateMode) -> Op {
    Op::Create { path: path.into(), data: "".into(), mode }
}

/// The laws of ZooKeeper's servers that an ensemble has broken, with what happened.
pub(super) fn broken_laws(observed: &[crate::observation::Observed]) -> Vec<String> {
    let is_server = |o: &&crate::observation::Observed| matches!(o.what, Observation::ZkLoaded { .. });
    let servers = observed.iter().filter(is_server).map(|o| o.process.0 + 1).max().unwrap_or(0);
    let mut judge = Judge::new(facts(servers));
    observed.iter().for_each(|o| judge.observe(o));
    let now = observed.last().map_or(Instant::ZERO, |o| o.at);
    let broken = judge.finish(now).into_iter().filter_map(|report| match report.outcome {
        Outcome::Broken(violation) => Some(violation.to_string()),
        _ => None,
    });
    broken.collect()
}

/// An ensemble without Kafka.
fn facts(servers: u16) -> Facts {
    let kinds = (1..=servers).map(|sid| ProcessKind::ZooKeeper(Sid(sid as u8)));
    Facts {
        processes: kinds.map(|kind| ProcessFacts { kind, host: HostId(0), wanted: true }).collect(),
        partitions: Vec::new(),
        groups: Vec::new(),
        isr_writers: Vec::new(),
        offsets_partitions: 1,
        min_isr: 1,
        unclean_election: false,
        replica_lag: Span::ZERO,
        session_timeout: TIMEOUT,
        tick: Span::from_secs(2),
        init_limit: 10,
        sync_limit: 5,
        force_sync: true,
        acks: Acks::All,
        idempotence: true,
        produce_interval: None,
        delivery: Span::ZERO,
        controller_probe: false,
        zookeeper_probe: false,
        known_breaches: Vec::new(),
        start: Instant::ZERO,
    }
}

/// What came of [`chaos`].
pub(super) struct Chaos {
    pub(super) broken: Vec<String>,
    pub(super) acknowledged: usize,
}

/// Three servers under random crashes and cuts, then a quiet minute and a half in which everything must heal.
pub(super) fn chaos(seed: u64, defects: &[Defect]) -> Chaos {
    let mut random = Random::new(seed, crate::random::Purpose::Schedule, 0);
    let mut e = Ensemble::new(3, 1, defects);
    let mut up = [true; 3];
    let mut sent = Vec::new();
    for _ in 0..25 {
        let id = random.below(3) as u16;
        let other = (id + 1 + random.below(2) as u16) % 3;
        match random.below(6) {
            0 if up[usize::from(id)] => {
                e.h.crash(id, if random.chance(1, 2) { Loss::Memory } else { Loss::PageCache });
                up[usize::from(id)] = false;
            }
            1 => e.h.hold(id, other),
            2 => e.h.release(id, other),
            _ => {
                if !up[usize::from(id)] {
                    e.h.restart(id);
                    up[usize::from(id)] = true;
                    e.ms(500);
                }
                e.dial(0, id);
                for _ in 0..random.below(8) {
                    let path = format!("/n{}", sent.len());
                    sent.push((e.send(0, create(&path)), path));
                }
            }
        }
        // From within a synchronisation to beyond every timeout.
        e.h.run_for(Span::from_us(random.log_uniform(300, 25_000_000)));
    }
    [(0, 1), (0, 2), (1, 2)].into_iter().for_each(|(a, b)| e.h.release(a, b));
    (0..3).filter(|id| !up[usize::from(*id)]).for_each(|id| e.h.restart(id));
    e.ms(90_000);
    let mut broken = broken_laws(&e.h.observed);
    sent.retain(|(xid, _)| e.reply(0, *xid).is_some_and(|reply| reply.is_ok()));
    for id in 0..3 {
        let server = e.server(id);
        if !server.is_serving() {
            broken.push(format!("server {id} does not serve after the quiet time"));
        }
        for (_, path) in sent.iter().filter(|(_, path)| server.tree.node(path).is_none()) {
            broken.push(format!("acknowledged {path} is missing on server {id}"));
        }
        let ends = [server.tree.applied(), server.storage.log().end(), server.storage.load().applied()];
        if ends.iter().any(|end| *end != e.server(0).tree.applied()) {
            broken.push(format!("tree or log of server {id} ends elsewhere"));
        }
    }
    Chaos { broken, acknowledged: sent.len() }
}
