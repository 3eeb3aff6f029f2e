//! An application that holds one ZooKeeper session: it owns an ephemeral node and writes one new node after another.
//!
//! The loop of the client that the real ensembles were measured with. It waits for the result of each operation, pauses,
//! and goes on whatever the result was: a write of unknown outcome is never repeated. When its session has expired it makes
//! a new handle, hence a new session, and its ephemeral node anew, as Kafka's `ZooKeeperClient` does.

use std::sync::Arc;

use super::client::{ClientCnxnSocket, ZkClientEvent, ZkClientSpec, ZkRequestId, ZooKeeper};
use super::protocol::{CreateMode, Data, Op, OpResult, Path, ZkError};
use crate::fingerprint::Fingerprint;
use crate::id::{Address, Zxid};
use crate::observation::Observation;
use crate::process::{Input, Loss, Process};
use crate::random::Random;
use crate::time::{Instant, Span};
use crate::world::{Ctx, In, Message, Timer};

/// What a session client is given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionSpec {
    /// Its name: the last part of its nodes' paths.
    pub name: Arc<str>,
    /// The connect string. Never empty.
    pub servers: Arc<[Address]>,
    /// Whether its first handle shuffles them; later ones do in any case.
    pub shuffle: bool,
    /// The session timeout to ask for.
    pub session_timeout: Span,
    /// From the result of a write to the next write.
    pub pause: Span,
    /// As in [`ZkClientSpec::gives_up`].
    pub gives_up: bool,
    /// As in [`super::server::ServerSpec::thread_delay`].
    pub thread_delay: Span,
}

/// What the application waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// The pause after a result.
    Pause,
    /// The result is there; the application's thread does not run yet.
    Woken,
    /// One of the persistent nodes above its own ones.
    Parent(usize),
    /// Its ephemeral node.
    Ephemeral,
    /// Who owns the ephemeral node that is there already.
    Owner,
    /// A new node.
    Write,
}

/// See the module.
#[derive(Clone, Debug, Hash)]
pub struct SessionClient {
    spec: SessionSpec,
    zk: ZooKeeper,
    step: Step,
    waits_for: Option<ZkRequestId>,
    /// When the operation that is waited for was issued.
    began: Instant,
    /// What came of the pass that ends when the thread runs.
    result: (Zxid, Option<ZkError>),
    /// The last new node. Goes on over expiries and restarts, so that no path is written twice.
    number: u64,
    has_parents: bool,
    has_ephemeral: bool,
    expired: bool,
    stopped: bool,
}

impl SessionClient {
    /// A client that has not started.
    pub fn new(spec: SessionSpec) -> Self {
        Self {
            zk: handle(0, &spec),
            spec,
            step: Step::Pause,
            waits_for: None,
            began: Instant::ZERO,
            result: (Zxid::ZERO, None),
            number: 0,
            has_parents: false,
            has_ephemeral: false,
            expired: false,
            stopped: false,
        }
    }

    /// Lets it finish what it waits for and then write no more. Its session lives on.
    pub fn stop_writing(&mut self) {
        self.stopped = true;
    }

    /// Whether it waits for no result.
    pub fn is_idle(&self) -> bool {
        self.step == Step::Pause
    }

    fn start(&mut self, ctx: &mut Ctx<'_>) {
        if self.spec.shuffle {
            self.zk.start(ctx);
        } else {
            self.zk.start_in_order(ctx);
        }
        self.iterate(ctx);
    }

    /// One pass of the loop.
    fn iterate(&mut self, ctx: &mut Ctx<'_>) {
        if self.stopped {
            return;
        }
        if std::mem::take(&mut self.expired) {
            self.zk = handle(self.zk.handle() + 1, &self.spec);
            self.zk.start(ctx);
            self.has_ephemeral = false;
        }
        self.issue(ctx);
    }

    /// Issues the next operation of this pass.
    fn issue(&mut self, ctx: &mut Ctx<'_>) {
        if self.has_parents {
            if self.has_ephemeral { self.write(ctx) } else { self.create_ephemeral(ctx) }
        } else {
            self.create_parent(ctx, 0);
        }
    }

    fn create_parent(&mut self, ctx: &mut Ctx<'_>, index: usize) {
        let path: Path = match index {
            0 => WRITES.into(),
            1 => EPHEMERALS.into(),
            _ => format!("{WRITES}/{}", self.spec.name).into(),
        };
        self.submit(ctx, Step::Parent(index), create(path, CreateMode::Persistent));
    }

    fn create_ephemeral(&mut self, ctx: &mut Ctx<'_>) {
        let path = self.ephemeral_path();
        self.submit(ctx, Step::Ephemeral, create(path, CreateMode::Ephemeral));
    }

    fn ephemeral_path(&self) -> Path {
        format!("{EPHEMERALS}/{}", self.spec.name).into()
    }

    fn write(&mut self, ctx: &mut Ctx<'_>) {
        self.number += 1;
        let path = write_path(&self.spec.name, self.number);
        self.submit(ctx, Step::Write, create(path, CreateMode::Persistent));
    }

    fn submit(&mut self, ctx: &mut Ctx<'_>, step: Step, op: Op) {
        self.step = step;
        self.began = ctx.now;
        let mut events = Vec::new();
        let request = self.zk.submit(ctx, op, &mut events);
        self.waits_for = Some(request);
        self.take(ctx, events);
    }

    fn take(&mut self, ctx: &mut Ctx<'_>, events: Vec<ZkClientEvent>) {
        for event in events {
            match event {
                ZkClientEvent::Expired => self.expired = true,
                ZkClientEvent::Reply { request, zxid, result } if self.waits_for == Some(request) => {
                    self.waits_for = None;
                    self.replied(ctx, zxid, result);
                }
                ZkClientEvent::Reply { .. }
                | ZkClientEvent::Connected
                | ZkClientEvent::Disconnected
                | ZkClientEvent::Watch { .. } => {}
            }
        }
    }

    fn replied(&mut self, ctx: &mut Ctx<'_>, zxid: Zxid, result: Result<OpResult, ZkError>) {
        match (self.step, result) {
            (Step::Parent(index), Ok(_) | Err(ZkError::NodeExists)) if index + 1 < PARENTS => {
                self.create_parent(ctx, index + 1);
            }
            (Step::Parent(_), Ok(_) | Err(ZkError::NodeExists)) => {
                self.has_parents = true;
                self.issue(ctx);
            }
            (Step::Ephemeral, Ok(_)) => {
                self.has_ephemeral = true;
                self.write(ctx);
            }
            (Step::Ephemeral, Err(ZkError::NodeExists)) => {
                let path = self.ephemeral_path();
                self.submit(ctx, Step::Owner, Op::Exists { path, watch: false });
            }
            // Another session's node is tried again with the next pass; the write goes ahead in any case.
            (Step::Owner, Ok(OpResult::Stat(stat))) => {
                self.has_ephemeral = stat.ephemeral_owner == self.zk.session();
                self.write(ctx);
            }
            (Step::Owner, Err(ZkError::NoNode)) => self.write(ctx),
            (_, result) => self.ended(ctx, zxid, result.err()),
        }
    }

    /// The pass is over as soon as the application's thread runs.
    fn ended(&mut self, ctx: &mut Ctx<'_>, zxid: Zxid, error: Option<ZkError>) {
        self.result = (zxid, error);
        self.step = Step::Woken;
        let wait = ctx.random.wait(self.spec.thread_delay);
        if wait == Span::ZERO {
            return self.woken(ctx);
        }
        ctx.set_timer(wait, Timer::SessionClient);
    }

    /// What failed before the write counts as the failure of the last one.
    fn woken(&mut self, ctx: &mut Ctx<'_>) {
        let (zxid, error) = self.result;
        self.step = Step::Pause;
        ctx.observe(Observation::ZkWrite { number: self.number, took: ctx.now - self.began, zxid, error });
        // A sleep ends when its thread has a core again.
        let pause = self.spec.pause + ctx.random.wait(self.spec.thread_delay);
        ctx.set_timer(pause, Timer::SessionClient);
    }

    fn on_timer(&mut self, ctx: &mut Ctx<'_>) {
        if self.step == Step::Woken { self.woken(ctx) } else { self.iterate(ctx) }
    }
}

impl Process for SessionClient {
    type Message = Message;
    type Timer = Timer;

    fn on_input(&mut self, input: In, ctx: &mut Ctx<'_>) {
        let mut events = Vec::new();
        match input {
            Input::Start => return self.start(ctx),
            Input::Timer { timer: Timer::SessionClient, .. } => return self.on_timer(ctx),
            Input::Timer { timer: Timer::ZkClient(timer), .. } => self.zk.on_timer(ctx, timer, &mut events),
            Input::Opened { conn } => self.zk.on_opened(ctx, conn),
            Input::Message { conn, message: Message::Zk(message) } => {
                self.zk.on_message(ctx, conn, *message, &mut events);
            }
            Input::Closed { conn, .. } => self.zk.on_closed(ctx, conn, &mut events),
            // Not of this process's vocabulary.
            Input::Timer { .. }
            | Input::Message { .. }
            | Input::Accepted { .. }
            | Input::Datagram { .. }
            | Input::Terminate
            | Input::Disk { .. } => {}
        }
        self.take(ctx, events);
    }

    fn crash(&mut self, _loss: Loss, _random: &mut Random) -> bool {
        let (number, stopped, last) = (self.number, self.stopped, self.zk.handle());
        *self = Self::new(self.spec.clone());
        self.zk = handle(last + 1, &self.spec);
        (self.number, self.stopped) = (number, stopped);
        false
    }

    fn fold_state(&self, into: &mut Fingerprint) {
        use std::hash::Hash;
        self.hash(into);
    }
}

/// Where the client of this name writes its node `number`.
pub fn write_path(name: &str, number: u64) -> Path {
    format!("{WRITES}/{name}/{number}").into()
}

/// Whether a node is the ephemeral one of some client.
pub fn is_ephemeral(path: &str) -> bool {
    path.strip_prefix(EPHEMERALS).is_some_and(|name| name.starts_with('/'))
}

fn handle(number: u32, spec: &SessionSpec) -> ZooKeeper {
    let servers = spec.servers.clone();
    ZooKeeper::new(
        number,
        ZkClientSpec {
            servers,
            session_timeout: spec.session_timeout,
            socket: ClientCnxnSocket::Nio,
            gives_up: spec.gives_up,
            thread_delay: spec.thread_delay,
        },
    )
}

fn create(path: Path, mode: CreateMode) -> Op {
    Op::Create { path, data: Data::from(""), mode }
}

/// Above the new nodes of all clients.
const WRITES: &str = "/w";
/// Above the ephemeral nodes of all clients.
const EPHEMERALS: &str = "/eph";
/// [`WRITES`], [`EPHEMERALS`], and the client's own node below the first.
const PARENTS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Harness;
    use crate::zk::client::scripted::{Cast, Conduct, ScriptedServer, server_address};

    fn stage() -> Harness<Cast<SessionClient>> {
        let spec = SessionSpec {
            name: "a".into(),
            servers: [server_address(0)].into(),
            shuffle: true,
            session_timeout: Span::from_ms(18_000),
            pause: Span::from_ms(50),
            gives_up: false,
            thread_delay: Span::ZERO,
        };
        Harness::new(vec![Cast::Server(ScriptedServer::new(Conduct::Serve)), Cast::Subject(SessionClient::new(spec))])
    }

    /// What came of the writes, in order: their numbers and errors.
    fn writes(h: &Harness<Cast<SessionClient>>) -> Vec<(u64, Option<ZkError>)> {
        let write = |seen: &crate::observation::Observed| match seen.what {
            Observation::ZkWrite { number, error, .. } => Some((number, error)),
            _ => None,
        };
        h.observed.iter().filter_map(write).collect()
    }

    #[test]
    fn it_owns_an_ephemeral_node_and_goes_on_after_an_unknown_outcome() {
        let mut h = stage();
        h.run_for(Span::from_ms(200));
        let done = writes(&h);
        assert!(done.len() >= 3 && done.iter().zip(1..).all(|(write, n)| *write == (n, None)), "{done:?}");
        let owner = h.process_mut(0).server().nodes["/eph/a"].1.ephemeral_owner;
        assert_eq!(owner, h.process(1).subject().zk.session());

        h.process_mut(0).server().conduct = Conduct::Mute;
        h.run_for(Span::from_ms(12_200));
        h.process_mut(0).server().conduct = Conduct::Serve;
        h.run_for(Span::from_ms(5_000));
        let later = writes(&h).split_off(done.len());
        let lost = later.iter().position(|(_, error)| *error == Some(ZkError::ConnectionLoss)).expect("one was lost");
        let number = later[lost].0;
        assert!(later[lost + 1..].iter().all(|(n, _)| *n > number), "it is not repeated: {later:?}");
        assert!(h.process_mut(0).server().nodes.contains_key(&write_path("a", number)), "though it was carried out");
    }

    #[test]
    fn an_expiry_makes_a_new_session_and_a_new_ephemeral_node() {
        let mut h = stage();
        h.run_for(Span::from_ms(200));
        let old = h.process(1).subject().zk.session();
        let server = h.process_mut(0).server();
        server.end(old);
        server.conduct = Conduct::Expire;
        // The server hangs up with the next write, and says why at the reconnect.
        h.crash(0, Loss::Memory);
        h.restart(0);
        h.run_for(Span::from_ms(2_500));
        h.process_mut(0).server().conduct = Conduct::Serve;
        h.run_for(Span::from_ms(5_000));
        let new = h.process(1).subject().zk.session();
        assert_ne!(new, old);
        assert_eq!(h.process_mut(0).server().nodes["/eph/a"].1.ephemeral_owner, new);
        assert!(writes(&h).iter().any(|(_, error)| *error == Some(ZkError::SessionExpired)) || new.0 > old.0);
    }
}
