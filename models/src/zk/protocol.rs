//! What a ZooKeeper client and a server say to each other, and the transactions that servers agree on.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{SessionId, Zxid};
use crate::time::{Instant, Span};

/// A znode's path, absolute, without a trailing slash.
pub type Path = Arc<str>;
/// A znode's content. Kafka writes JSON; empty is the empty text.
pub type Data = Arc<str>;

/// `-1` as an expected version: any version will do.
pub const ANY_VERSION: i32 = -1;

/// One message on a client's connection, in either direction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClientMessage {
    /// The client's first message.
    ConnectRequest {
        /// The newest zxid that any reply to this client carried.
        last_zxid_seen: Zxid,
        /// The session timeout that the client wishes for.
        timeout: Span,
        /// The session to go on with, or 0 for a new one.
        session: SessionId,
        /// The session's password; 0 for a new one.
        password: u64,
    },
    /// The server's answer. A `timeout` of zero means that the session has expired.
    ConnectResponse {
        /// The negotiated session timeout.
        timeout: Span,
        /// The session.
        session: SessionId,
        /// Its password.
        password: u64,
    },
    /// An operation.
    Request {
        /// The client's number for it, rising from 1 on each session handle.
        xid: i32,
        /// What to do.
        op: Op,
    },
    /// The answer to [`ClientMessage::Request`], in the order of the requests.
    Reply {
        /// The request's number.
        xid: i32,
        /// The zxid of the write, or the server's last processed zxid for a read.
        zxid: Zxid,
        /// What came of it.
        result: Result<OpResult, ZkError>,
    },
    /// Keep-alive from the client.
    Ping,
    /// Keep-alive from the server, queued behind the session's outstanding requests.
    Pong,
    /// Re-arms a client's watches after a reconnect.
    SetWatches {
        /// The client's last zxid: watches on nodes that changed after it fire at once.
        relative_zxid: Zxid,
        /// Data watches.
        data: Vec<Path>,
        /// Exist watches.
        exist: Vec<Path>,
        /// Child watches.
        child: Vec<Path>,
    },
    /// A watch fired.
    Event {
        /// The node that it was set on.
        path: Path,
        /// What happened to it.
        kind: WatchKind,
    },
}

/// An operation of a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Op {
    /// Creates a node.
    Create {
        /// Its path; a sequential node's number is appended.
        path: Path,
        /// Its content.
        data: Data,
        /// What kind of node.
        mode: CreateMode,
    },
    /// Deletes a node without children.
    Delete {
        /// Its path.
        path: Path,
        /// The version it must have, or [`ANY_VERSION`].
        version: i32,
    },
    /// Replaces a node's content.
    SetData {
        /// Its path.
        path: Path,
        /// The new content.
        data: Data,
        /// The version it must have, or [`ANY_VERSION`].
        version: i32,
    },
    /// Checks a node's version; only within [`Op::Multi`].
    Check {
        /// Its path.
        path: Path,
        /// The version it must have.
        version: i32,
    },
    /// Reads a node's stat.
    Exists {
        /// Its path.
        path: Path,
        /// Whether to watch it (a data watch if it exists, else an exist watch).
        watch: bool,
    },
    /// Reads a node.
    GetData {
        /// Its path.
        path: Path,
        /// Whether to watch it (only if it exists).
        watch: bool,
    },
    /// Lists a node's children.
    GetChildren {
        /// Its path.
        path: Path,
        /// Whether to watch the list (only if the node exists).
        watch: bool,
    },
    /// Writes that happen all or not at all, under one zxid.
    Multi(Vec<Op>),
    /// Waits until this server has applied what the leader has proposed so far.
    Sync {
        /// Not used by the server.
        path: Path,
    },
    /// Ends the session.
    CloseSession,
}

impl Op {
    /// Whether it goes through the leader as a transaction.
    pub fn is_write(&self) -> bool {
        !matches!(self, Self::Exists { .. } | Self::GetData { .. } | Self::GetChildren { .. } | Self::Sync { .. })
    }
}

/// What kind of node to create.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CreateMode {
    /// Stays until it is deleted.
    Persistent,
    /// As persistent, with a number of ten digits appended: the parent's `cversion`.
    PersistentSequential,
    /// Goes with the session that created it.
    Ephemeral,
}

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OpResult {
    /// Of [`Op::Create`].
    Created {
        /// The path, with the number of a sequential node.
        path: Path,
        /// The new node's stat.
        stat: Stat,
    },
    /// Of [`Op::Delete`].
    Deleted,
    /// Of [`Op::SetData`] and [`Op::Exists`].
    Stat(Stat),
    /// Of [`Op::Check`].
    Checked,
    /// Of [`Op::GetData`].
    Data {
        /// The content.
        data: Data,
        /// The stat.
        stat: Stat,
    },
    /// Of [`Op::GetChildren`]: names, not paths, in order.
    Children {
        /// The names.
        names: Vec<Path>,
        /// The parent's stat.
        stat: Stat,
    },
    /// Of [`Op::Multi`], one for each operation. If one failed, none happened: those before it report
    /// [`ZkError::RolledBack`], it reports its error, those after it [`ZkError::RuntimeInconsistency`].
    Multi(Vec<Result<OpResult, ZkError>>),
    /// Of [`Op::Sync`].
    Synced,
    /// Of [`Op::CloseSession`].
    SessionClosed,
}

/// `KeeperException.Code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ZkError {
    /// The parent or the node is missing.
    NoNode,
    /// The node is there already.
    NodeExists,
    /// The node's version is another one.
    BadVersion,
    /// The node has children.
    NotEmpty,
    /// The parent is ephemeral.
    NoChildrenForEphemerals,
    /// The session has expired.
    SessionExpired,
    /// The session has been moved to another server.
    SessionMoved,
    /// Within a failed multi: would have worked (code 0 of `ErrorResult`).
    RolledBack,
    /// Within a failed multi: not tried.
    RuntimeInconsistency,
    /// Client side: the connection was lost, the outcome is unknown.
    ConnectionLoss,
}

impl fmt::Display for ZkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A node's `Stat`, as clients see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stat {
    /// Creation.
    pub czxid: Zxid,
    /// Last change of the content.
    pub mzxid: Zxid,
    /// Last change of the children.
    pub pzxid: Zxid,
    /// Changes of the content.
    pub version: i32,
    /// Changes of the children: one per create and per delete (`DataNode.copyStat`).
    pub cversion: i32,
    /// The session that owns it, or 0.
    pub ephemeral_owner: SessionId,
    /// How many children.
    pub num_children: u32,
}

/// What happened to a watched node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WatchKind {
    /// `NodeCreated`.
    Created,
    /// `NodeDeleted`.
    Deleted,
    /// `NodeDataChanged`.
    DataChanged,
    /// `NodeChildrenChanged`.
    ChildrenChanged,
}

/// A transaction, as the leader proposed it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Txn {
    /// Its place in the order.
    pub zxid: Zxid,
    /// The session that asked for it.
    pub session: SessionId,
    /// The leader's wall clock when it was proposed.
    pub time: Instant,
    /// What it does.
    pub body: TxnBody,
}

/// What a transaction does. Everything is resolved: applying it cannot fail.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TxnBody {
    /// A new session.
    CreateSession {
        /// Its negotiated timeout.
        timeout: Span,
        /// Its password.
        password: u64,
    },
    /// The end of the session, by its owner or by expiry.
    CloseSession {
        /// Its ephemeral nodes, which are deleted.
        ephemerals: Vec<Path>,
    },
    /// A new node.
    Create {
        /// Its path, number included.
        path: Path,
        /// Its content.
        data: Data,
        /// Whether the session owns it.
        ephemeral: bool,
        /// The parent's stored `cversion` afterwards.
        parent_cversion: i32,
    },
    /// A node less.
    Delete {
        /// Its path.
        path: Path,
    },
    /// New content.
    SetData {
        /// Its path.
        path: Path,
        /// The content.
        data: Data,
        /// The version afterwards.
        version: i32,
    },
    /// A check that held.
    Check {
        /// Its path.
        path: Path,
    },
    /// Several under one zxid.
    Multi(Vec<TxnBody>),
    /// A request that failed; it has a zxid all the same (`PrepRequestProcessor.pRequest`). A failed multi lists what
    /// each operation reports.
    Error {
        /// The error, or that of the first failing operation.
        error: ZkError,
        /// For a failed multi: the results of its operations.
        multi: Vec<ZkError>,
    },
}

impl Txn {
    /// Bytes in the log, roughly: record header plus paths and data.
    pub fn size(&self) -> u32 {
        64 + self.body.size()
    }
}

impl TxnBody {
    fn size(&self) -> u32 {
        let len = |s: &str| s.len() as u32;
        match self {
            Self::CreateSession { .. } => 20,
            Self::CloseSession { ephemerals } => ephemerals.iter().map(|p| 4 + len(p)).sum(),
            Self::Create { path, data, .. } | Self::SetData { path, data, .. } => 32 + len(path) + len(data),
            Self::Delete { path } | Self::Check { path } => 12 + len(path),
            Self::Multi(bodies) => bodies.iter().map(Self::size).sum(),
            Self::Error { multi, .. } => 8 + 4 * multi.len() as u32,
        }
    }
}

impl ClientMessage {
    /// Bytes on the wire, roughly.
    pub fn wire_size(&self) -> u32 {
        let len = |s: &str| s.len() as u32;
        match self {
            Self::ConnectRequest { .. } | Self::ConnectResponse { .. } => 48,
            Self::Request { op, .. } => 12 + op.size(),
            Self::Reply { result, .. } => 20 + result.as_ref().map_or(0, OpResult::size),
            Self::Ping => 12,
            Self::Pong => 20,
            Self::SetWatches { data, exist, child, .. } => {
                24 + data.iter().chain(exist).chain(child).map(|p| 4 + len(p)).sum::<u32>()
            }
            Self::Event { path, .. } => 32 + len(path),
        }
    }
}

impl Op {
    fn size(&self) -> u32 {
        let len = |s: &str| s.len() as u32;
        match self {
            Self::Create { path, data, .. } | Self::SetData { path, data, .. } => 40 + len(path) + len(data),
            Self::Delete { path, .. } | Self::Check { path, .. } => 12 + len(path),
            Self::Exists { path, .. } | Self::GetData { path, .. } | Self::GetChildren { path, .. } => 8 + len(path),
            Self::Multi(ops) => ops.iter().map(|op| 9 + op.size()).sum(),
            Self::Sync { path } => 4 + len(path),
            Self::CloseSession => 4,
        }
    }
}

impl OpResult {
    fn size(&self) -> u32 {
        let len = |s: &str| s.len() as u32;
        match self {
            Self::Created { path, .. } => 84 + len(path),
            Self::Stat(_) => 80,
            Self::Data { data, .. } => 84 + len(data),
            Self::Children { names, .. } => 84 + names.iter().map(|n| 4 + len(n)).sum::<u32>(),
            Self::Multi(results) => results.iter().map(|r| 9 + r.as_ref().map_or(4, Self::size)).sum(),
            Self::Deleted | Self::Checked | Self::Synced | Self::SessionClosed => 4,
        }
    }
}
