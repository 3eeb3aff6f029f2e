//! A ZooKeeper ensemble alone: four servers on two sites, 15 ms apart, and a client that writes every 50 ms.
//!
//! The servers elect, the client opens a session and creates a node; from then on it replaces the node's content. Each write
//! is a proposal to three followers, an fsync at every server, acknowledgements and commits.

use std::collections::BTreeMap;
use std::sync::Arc;

use models::defect::Defects;
use models::fingerprint::Fingerprint;
use models::id::{Address, HostId, ProcessId, Sid};
use models::kafka::{self, client::ClientTimer};
use models::observation::Observed;
use models::process::{Input, Loss, Process};
use models::random::Random;
use models::time::{Instant, Span};
use models::world::{Ctx, In, Message, Timer, ZK_CLIENT_PORT};
use models::zk::client::{ClientCnxnSocket, ZkClientEvent, ZkClientSpec, ZooKeeper};
use models::zk::config::ZooKeeperConfig;
use models::zk::protocol::{ANY_VERSION, CreateMode, Op, Path};
use models::zk::server::{Server, ServerSpec};
use sim::kernel::{HostSpec, LOOPBACK, ProcessSpec, RestartPolicy, Simulation, SimulationSpec};
use sim::net::tcp::TcpConfig;
use sim::net::topology::{LinkProfile, Site, SiteGraph};

/// Servers; the client is the process after them.
pub const SERVERS: u8 = 4;
/// Virtual length of a run.
pub const LENGTH: Span = Span::from_secs(30);
/// Between writes.
pub const WRITE: Span = Span::from_ms(50);

const CLIENT: u16 = SERVERS as u16;
const SESSION_TIMEOUT: Span = Span::from_secs(18);
/// When the writes begin: the ensemble has elected by then.
const WRITES_AFTER: Span = Span::from_secs(2);

/// The client.
#[derive(Clone, Debug, Hash)]
pub struct Writer {
    zookeeper: ZooKeeper,
    path: Path,
    data: Arc<str>,
    created: bool,
    written: u64,
}

impl Writer {
    fn new(servers: Arc<[Address]>) -> Self {
        let spec = ZkClientSpec {
            servers,
            session_timeout: SESSION_TIMEOUT,
            socket: ClientCnxnSocket::default(),
            gives_up: false,
            thread_delay: Span::ZERO,
        };
        let (path, data) = ("/written".into(), "0123456789".repeat(10).into());
        Self { zookeeper: ZooKeeper::new(1, spec), path, data, created: false, written: 0 }
    }

    fn write(&mut self, ctx: &mut Ctx<'_>, out: &mut Vec<ZkClientEvent>) {
        let (path, data) = (self.path.clone(), self.data.clone());
        let op = if self.created {
            Op::SetData { path, data, version: ANY_VERSION }
        } else {
            Op::Create { path, data, mode: CreateMode::Persistent }
        };
        self.created = true;
        self.zookeeper.submit(ctx, op, out);
    }

    fn on_input(&mut self, input: In, ctx: &mut Ctx<'_>) {
        let mut out = Vec::new();
        match input {
            Input::Start => {
                self.zookeeper.start(ctx);
                ctx.set_timer(WRITES_AFTER, NEXT_WRITE);
            }
            Input::Opened { conn } => self.zookeeper.on_opened(ctx, conn),
            Input::Message { conn, message: Message::Zk(message) } => {
                self.zookeeper.on_message(ctx, conn, *message, &mut out);
            }
            Input::Closed { conn, .. } => self.zookeeper.on_closed(ctx, conn, &mut out),
            Input::Timer { timer: Timer::ZkClient(timer), .. } => self.zookeeper.on_timer(ctx, timer, &mut out),
            Input::Timer { timer: NEXT_WRITE, .. } => {
                self.write(ctx, &mut out);
                ctx.set_timer(WRITE, NEXT_WRITE);
            }
            _ => {}
        }
        let written = |event: &&ZkClientEvent| matches!(event, ZkClientEvent::Reply { result: Ok(_), .. });
        self.written += out.iter().filter(written).count() as u64;
    }
}

/// The world has no timer of this process's own; it borrows the one by which applications act.
const NEXT_WRITE: Timer = Timer::Kafka(kafka::Timer::Client(ClientTimer::Application));

/// A server or the client.
#[derive(Clone, Debug, Hash)]
#[expect(clippy::large_enum_variant, reason = "there are five of them")]
pub enum Member {
    /// A server.
    Server(Server),
    /// The client.
    Writer(Writer),
}

impl Process for Member {
    type Message = Message;
    type Timer = Timer;

    fn on_input(&mut self, input: In, ctx: &mut Ctx<'_>) {
        match self {
            Self::Server(server) => server.on_input(input, ctx),
            Self::Writer(writer) => writer.on_input(input, ctx),
        }
    }

    fn crash(&mut self, loss: Loss, random: &mut Random) -> bool {
        match self {
            Self::Server(server) => server.crash(loss, random),
            Self::Writer(_) => false,
        }
    }

    fn fold_state(&self, into: &mut Fingerprint) {
        use std::hash::Hash;
        self.hash(into);
    }
}

/// The ensemble before its start.
pub fn simulation(seed: u64) -> Simulation<Member> {
    let ensemble: Arc<BTreeMap<Sid, ProcessId>> =
        Arc::new((0..SERVERS).map(|id| (Sid(id + 1), ProcessId(id.into()))).collect());
    let config = Arc::new(ZooKeeperConfig::default());
    let addresses = ensemble.values().map(|process| Address { process: *process, port: ZK_CLIENT_PORT }).collect();
    let server = |sid: &Sid| {
        let (ensemble, config) = (ensemble.clone(), config.clone());
        Member::Server(Server::new(ServerSpec {
            sid: *sid,
            ensemble,
            config,
            defects: Defects::NONE,
            thread_delay: Span::ZERO,
        }))
    };
    let members = ensemble.keys().map(server).chain([Member::Writer(Writer::new(addresses))]);
    let inside = LinkProfile { delay: Span::from_us(250), jitter: Span::from_us(50), ..LinkProfile::default() };
    let across = LinkProfile { delay: Span::from_ms(15), jitter: Span::from_us(200), ..LinkProfile::default() };
    let mut sites = SiteGraph::new();
    let [a, b] = ["a", "b"].map(|name| sites.add_node(Site { name: Arc::from(name), inside }));
    sites.add_edge(a, b, across);
    sites.add_edge(b, a, across);
    Simulation::new(SimulationSpec {
        seed,
        sites,
        loopback: LOOPBACK,
        tcp: TcpConfig::default(),
        hosts: (0..=CLIENT)
            .map(|id| HostSpec { site: u16::from((2..CLIENT).contains(&id)), ..HostSpec::default() })
            .collect(),
        processes: (0..=CLIENT)
            .zip(members)
            .map(|(id, process)| ProcessSpec {
                stream: None,
                process,
                host: HostId(id),
                restart: RestartPolicy::default(),
                start_at: Instant::ZERO,
                start_up: Default::default(),
            })
            .collect(),
    })
}

/// What came of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Inputs that processes were given.
    pub delivered: u64,
    /// Writes that the client knows to have happened.
    pub written: u64,
    /// Of the whole run.
    pub fingerprint: u64,
}

impl Outcome {
    /// Holds a run against the writes that are due in it.
    ///
    /// # Panics
    /// If more than the writes of a tenth of a second are missing.
    pub fn assert_complete(&self) {
        let due = LENGTH.saturating_sub(WRITES_AFTER).as_ns() / WRITE.as_ns();
        assert!(self.written.abs_diff(due) <= 2, "{self:?}, {due} writes were due");
    }
}

/// Runs the ensemble from its start for [`LENGTH`].
pub fn run(seed: u64) -> Outcome {
    let mut sim = simulation(seed);
    sim.run_until(Instant::ZERO + LENGTH, &mut |_: &Observed| {});
    let written = match sim.process(ProcessId(CLIENT)) {
        Member::Writer(writer) => writer.written,
        Member::Server(_) => 0,
    };
    Outcome { delivered: sim.events().delivered(), written, fingerprint: sim.fingerprint() }
}

#[test]
fn the_ensemble_takes_every_write() {
    let outcome = run(1);
    outcome.assert_complete();
    assert_eq!(outcome, run(1));
    assert_ne!(outcome.fingerprint, run(2).fingerprint);
}
