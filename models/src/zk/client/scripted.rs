//! For tests: a ZooKeeper server that does as it is told, and a cast of processes around it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;

use crate::fingerprint::Fingerprint;
use crate::id::{Address, ConnId, ProcessId, SessionId, Zxid};
use crate::process::{Input, Loss, Process};
use crate::random::Random;
use crate::time::{Instant, Span};
use crate::world::{Ctx, In, Message, Timer, ZK_CLIENT_PORT};
use crate::zk::protocol::{ANY_VERSION, ClientMessage, CreateMode, Data, Op, OpResult, Path, Stat, WatchKind, ZkError};

/// How the server treats its clients from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Conduct {
    /// As it should.
    Serve,
    /// It carries requests out and says nothing at all.
    Mute,
    /// It closes every connection at the first bytes, as a LOOKING server does.
    HangUp,
    /// It tells every client that knows a session that it has expired.
    Expire,
}

/// A server with a tree of its own.
#[derive(Clone, Debug, Hash)]
pub(crate) struct ScriptedServer {
    pub(crate) conduct: Conduct,
    /// Everything that clients said, with the time.
    pub(crate) heard: Vec<(Instant, ClientMessage)>,
    /// When clients dialled.
    pub(crate) dialled: Vec<Instant>,
    pub(crate) nodes: BTreeMap<Path, (Data, Stat)>,
    sessions: BTreeMap<ConnId, SessionId>,
    watches: BTreeSet<(Path, ConnId)>,
    last_session: u64,
    zxid: u64,
}

impl ScriptedServer {
    pub(crate) fn new(conduct: Conduct) -> Self {
        Self {
            conduct,
            heard: Vec::new(),
            dialled: Vec::new(),
            nodes: BTreeMap::new(),
            sessions: BTreeMap::new(),
            watches: BTreeSet::new(),
            last_session: 0x100,
            zxid: 0,
        }
    }

    /// Puts a node there, owned by a session (0: by none).
    pub(crate) fn plant(&mut self, path: &str, owner: u64) {
        self.zxid += 1;
        let (czxid, ephemeral_owner) = (Zxid(self.zxid), SessionId(owner));
        self.nodes.insert(path.into(), ("".into(), Stat { czxid, ephemeral_owner, ..Stat::default() }));
    }

    /// Ends a session: its nodes go.
    pub(crate) fn end(&mut self, session: SessionId) {
        self.zxid += 1;
        self.nodes.retain(|_, (_, stat)| stat.ephemeral_owner != session);
    }

    fn on_input(&mut self, input: In, ctx: &mut Ctx<'_>) {
        match input {
            Input::Start => ctx.listen(ZK_CLIENT_PORT),
            Input::Accepted { .. } => self.dialled.push(ctx.now),
            Input::Message { conn, message: Message::Zk(message) } => self.on_message(ctx, conn, *message),
            Input::Closed { conn, .. } => {
                self.sessions.remove(&conn);
            }
            _ => {}
        }
    }

    fn on_message(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, message: ClientMessage) {
        self.heard.push((ctx.now, message.clone()));
        if self.conduct == Conduct::HangUp {
            ctx.close(conn);
            return;
        }
        match message {
            ClientMessage::ConnectRequest { timeout, session, .. } => {
                let known = session != SessionId(0);
                self.last_session += 1;
                let granted = if known { session } else { SessionId(self.last_session) };
                self.sessions.insert(conn, granted);
                let timeout = if known && self.conduct == Conduct::Expire { Span::ZERO } else { timeout };
                self.say(ctx, conn, ClientMessage::ConnectResponse { timeout, session: granted, password: 7 });
            }
            ClientMessage::Ping => self.say(ctx, conn, ClientMessage::Pong),
            ClientMessage::Request { xid, op } => {
                let watched = match &op {
                    Op::Exists { path, watch: true } | Op::GetData { path, watch: true } => Some(path.clone()),
                    _ => None,
                };
                let session = self.sessions[&conn];
                let result = self.apply(ctx, session, &op);
                self.watches.extend(watched.map(|path| (path, conn)));
                let zxid = Zxid(self.zxid);
                self.say(ctx, conn, ClientMessage::Reply { xid, zxid, result });
            }
            _ => {}
        }
    }

    fn say(&self, ctx: &mut Ctx<'_>, conn: ConnId, message: ClientMessage) {
        if self.conduct != Conduct::Mute {
            ctx.send(conn, Message::Zk(Box::new(message)));
        }
    }

    fn apply(&mut self, ctx: &mut Ctx<'_>, session: SessionId, op: &Op) -> Result<OpResult, ZkError> {
        match op {
            Op::Create { path, data, mode } => {
                if self.nodes.contains_key(path) {
                    return Err(ZkError::NodeExists);
                }
                self.zxid += 1;
                let owner = if *mode == CreateMode::Ephemeral { session } else { SessionId(0) };
                let stat = Stat { czxid: Zxid(self.zxid), ephemeral_owner: owner, ..Stat::default() };
                self.nodes.insert(path.clone(), (data.clone(), stat));
                Ok(OpResult::Created { path: path.clone(), stat })
            }
            Op::SetData { path, data, version } => {
                let (content, stat) = self.nodes.get_mut(path).ok_or(ZkError::NoNode)?;
                if *version != ANY_VERSION && *version != stat.version {
                    return Err(ZkError::BadVersion);
                }
                *content = data.clone();
                stat.version += 1;
                let stat = *stat;
                for (watched, conn) in self.watches.clone() {
                    if watched == *path {
                        let event = ClientMessage::Event { path: watched.clone(), kind: WatchKind::DataChanged };
                        self.say(ctx, conn, event);
                        self.watches.remove(&(watched, conn));
                    }
                }
                Ok(OpResult::Stat(stat))
            }
            Op::Delete { path, .. } => self.nodes.remove(path).map(|_| OpResult::Deleted).ok_or(ZkError::NoNode),
            Op::GetData { path, .. } => {
                let (data, stat) = self.nodes.get(path).cloned().ok_or(ZkError::NoNode)?;
                Ok(OpResult::Data { data, stat })
            }
            Op::Exists { path, .. } => self.nodes.get(path).map(|(_, s)| OpResult::Stat(*s)).ok_or(ZkError::NoNode),
            Op::Multi(ops) => {
                let before = self.nodes.clone();
                let mut results = Vec::new();
                for op in ops {
                    results.push(self.apply(ctx, session, op));
                    if results.last().is_some_and(Result::is_err) {
                        self.nodes = before;
                        results.iter_mut().filter(|r| r.is_ok()).for_each(|r| *r = Err(ZkError::RolledBack));
                        results.resize(ops.len(), Err(ZkError::RuntimeInconsistency));
                        break;
                    }
                }
                Ok(OpResult::Multi(results))
            }
            Op::CloseSession => {
                self.end(session);
                Ok(OpResult::SessionClosed)
            }
            Op::Check { .. } | Op::GetChildren { .. } | Op::Sync { .. } => Ok(OpResult::Synced),
        }
    }
}

/// Where server number `process` listens.
pub(crate) fn server_address(process: u16) -> Address {
    Address { process: ProcessId(process), port: ZK_CLIENT_PORT }
}

/// A server or the process under test.
#[derive(Clone, Debug, Hash)]
pub(crate) enum Cast<P> {
    Server(ScriptedServer),
    Subject(P),
}

impl<P> Cast<P> {
    pub(crate) fn server(&mut self) -> &mut ScriptedServer {
        let Self::Server(server) = self else { panic!("this process is no server") };
        server
    }

    pub(crate) fn subject(&self) -> &P {
        let Self::Subject(subject) = self else { panic!("this process is a server") };
        subject
    }

    pub(crate) fn subject_mut(&mut self) -> &mut P {
        let Self::Subject(subject) = self else { panic!("this process is a server") };
        subject
    }
}

impl<P: Process<Message = Message, Timer = Timer> + Hash> Process for Cast<P> {
    type Message = Message;
    type Timer = Timer;

    fn on_input(&mut self, input: In, ctx: &mut Ctx<'_>) {
        match self {
            Self::Server(server) => server.on_input(input, ctx),
            Self::Subject(subject) => subject.on_input(input, ctx),
        }
    }

    fn crash(&mut self, loss: Loss, random: &mut Random) -> bool {
        match self {
            Self::Server(_) => false,
            Self::Subject(subject) => subject.crash(loss, random),
        }
    }

    fn fold_state(&self, into: &mut Fingerprint) {
        self.hash(into);
    }
}
