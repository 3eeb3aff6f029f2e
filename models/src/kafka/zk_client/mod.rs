//! `KafkaZkClient` over `ZooKeeperClient`: batches of requests that are retried through connection loss, the broker's
//! registration, and the re-creation of the session handle after expiry.
//!
//! [`KafkaZkClient`] is the one implementation of [`ZkRequests`]. Its owner routes inputs to it, and after each drains
//! [`KafkaZkClient::next_notice`].

mod batch;
mod client;
mod registration;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use self::client::{KafkaZkClient, KafkaZkSpec, ZkNotice};
use crate::id::{SessionId, Zxid};
use crate::world::Ctx;
use crate::zk::protocol::{Op, OpResult, Path, WatchKind, ZkError};

/// Who gets the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ZkUser {
    /// The controller's event thread.
    Controller,
    /// The broker: start-up, topic creation.
    Broker,
}

/// Names a batch of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZkBatch(pub u64);

/// One answer of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ZkReply {
    /// The zxid of the write, or the server's last processed zxid for a read.
    pub zxid: Zxid,
    /// What came of it. Never [`ZkError::ConnectionLoss`]: such requests are sent again after the reconnect.
    pub result: Result<OpResult, ZkError>,
}

/// What comes back from ZooKeeper.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ZkAnswer {
    /// Every request of the batch was answered, in the order in which they were submitted.
    Replies(ZkBatch, Vec<ZkReply>),
    /// The session expired while the batch waited for a connection (`ZooKeeperClientExpiredException`). Requests that had
    /// been sent may have taken effect.
    SessionExpired(ZkBatch),
    /// The registration ended: the broker epoch (czxid of the node), or why it failed for good.
    Registered(ZkBatch, Result<i64, Arc<str>>),
    /// A watch fired.
    Watch(Path, WatchKind),
}

/// What the controller may ask of ZooKeeper.
pub trait ZkRequests {
    /// Sends a batch, at most `zookeeper.max.in.flight.requests` at a time (`retryRequestsUntilConnected`). Requests lost
    /// with a connection are sent again once reconnected, however long that takes. Watches are set by the requests' flags.
    fn submit(&mut self, ctx: &mut Ctx<'_>, user: ZkUser, ops: Vec<Op>) -> ZkBatch;

    /// Registers the broker under `/brokers/ids` (`CheckedEphemeral`).
    fn register_broker(&mut self, ctx: &mut Ctx<'_>, user: ZkUser) -> ZkBatch;

    /// The current session, 0 if none is established.
    fn session(&self) -> SessionId;
}
