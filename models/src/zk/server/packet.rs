//! What leader and learners say to each other on the quorum port.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::log::{Log, Proposal};
use super::tree::DataTree;
use crate::id::{SessionId, Sid, Zxid};
use crate::time::Span;
use crate::zk::protocol::{ClientMessage, Op};

/// A request on its way to the leader.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// Whose it is.
    pub session: SessionId,
    /// The client's number for it; 0 if no client waits.
    pub xid: i32,
    /// What is asked for.
    pub kind: RequestKind,
}

/// What a [`Request`] asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RequestKind {
    /// A new session with this negotiated timeout.
    CreateSession(Span),
    /// A client's write, or a `sync`.
    Op(Op),
}

/// A tree with the history that led to it.
#[derive(Clone, Debug)]
pub struct Snapshot(Arc<(Log, DataTree)>);

impl Snapshot {
    pub(super) fn new(log: Log, tree: DataTree) -> Self {
        Self(Arc::new((log, tree)))
    }

    pub(super) fn log(&self) -> &Log {
        &self.0.0
    }

    pub(super) fn tree(&self) -> &DataTree {
        &self.0.1
    }
}

impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        self.tree().applied() == other.tree().applied() && self.tree().last_processed() == other.tree().last_processed()
    }
}

impl Eq for Snapshot {}

impl Hash for Snapshot {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.tree().hash(state);
    }
}

/// On the quorum port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum QuorumPacket {
    /// FOLLOWERINFO: a learner introduces itself.
    FollowerInfo {
        /// Who it is.
        sid: Sid,
        /// Its `acceptedEpoch`.
        accepted_epoch: u32,
    },
    /// LEADERINFO: the new epoch.
    LeaderInfo {
        /// The epoch.
        epoch: u32,
    },
    /// ACKEPOCH: the learner promises to accept no older leader.
    AckEpoch {
        /// Its last logged zxid.
        last_zxid: Zxid,
        /// Its `currentEpoch`; nothing (-1) if it had accepted this epoch before.
        current_epoch: Option<u32>,
    },
    /// DIFF: what follows continues the learner's history.
    Diff {
        /// The leader's last zxid.
        zxid: Zxid,
    },
    /// TRUNC: the learner must cut its log after this.
    Trunc {
        /// The last zxid that stays.
        zxid: Zxid,
    },
    /// SNAP: the whole tree.
    Snap(Snapshot),
    /// PROPOSAL.
    Proposal(Proposal),
    /// COMMIT.
    Commit {
        /// Of which proposal.
        zxid: Zxid,
    },
    /// NEWLEADER: the end of the synchronisation.
    NewLeader {
        /// The epoch with counter 0.
        zxid: Zxid,
    },
    /// ACK of a proposal, of NEWLEADER or of UPTODATE.
    Ack {
        /// Of which.
        zxid: Zxid,
    },
    /// UPTODATE: the learner may serve.
    UpToDate,
    /// PING of the leader.
    Ping {
        /// Its last proposal.
        zxid: Zxid,
    },
    /// The learner's answer to PING: the sessions touched since the last one, with their timeouts.
    Touched(Vec<(SessionId, Span)>),
    /// REQUEST: a client's write or `sync` at a learner.
    Request(Request),
    /// REVALIDATE: a client of that session has come to the learner.
    Revalidate {
        /// The session.
        session: SessionId,
        /// Its negotiated timeout.
        timeout: Span,
    },
    /// The answer to [`QuorumPacket::Revalidate`].
    Revalidated {
        /// The session.
        session: SessionId,
        /// Whether it lives.
        valid: bool,
    },
    /// SYNC: everything that had been proposed when the client asked is now committed.
    Sync {
        /// Who asked.
        session: SessionId,
        /// The client's number.
        xid: i32,
    },
}

impl QuorumPacket {
    /// Its name as the protocol writes it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::FollowerInfo { .. } => "FOLLOWERINFO",
            Self::LeaderInfo { .. } => "LEADERINFO",
            Self::AckEpoch { .. } => "ACKEPOCH",
            Self::Diff { .. } => "DIFF",
            Self::Trunc { .. } => "TRUNC",
            Self::Snap(_) => "SNAP",
            Self::Proposal(_) => "PROPOSAL",
            Self::Commit { .. } => "COMMIT",
            Self::NewLeader { .. } => "NEWLEADER",
            Self::Ack { .. } => "ACK",
            Self::UpToDate => "UPTODATE",
            Self::Ping { .. } | Self::Touched(_) => "PING",
            Self::Request(_) => "REQUEST",
            Self::Revalidate { .. } | Self::Revalidated { .. } => "REVALIDATE",
            Self::Sync { .. } => "SYNC",
        }
    }

    /// Bytes on the wire, roughly.
    pub fn wire_size(&self) -> u32 {
        match self {
            Self::FollowerInfo { .. } | Self::LeaderInfo { .. } | Self::AckEpoch { .. } => 40,
            Self::Snap(snapshot) => u32::try_from(snapshot.tree().bytes()).unwrap_or(u32::MAX),
            Self::Proposal(proposal) => 20 + proposal.txn().size(),
            Self::Touched(sessions) => 20 + 12 * sessions.len() as u32,
            Self::Request(Request { kind: RequestKind::CreateSession(_), .. }) => 48,
            Self::Request(Request { xid, kind: RequestKind::Op(op), .. }) => {
                36 + ClientMessage::Request { xid: *xid, op: op.clone() }.wire_size()
            }
            Self::Revalidate { .. } | Self::Revalidated { .. } | Self::Sync { .. } => 32,
            Self::Diff { .. }
            | Self::Trunc { .. }
            | Self::Commit { .. }
            | Self::NewLeader { .. }
            | Self::Ack { .. }
            | Self::UpToDate
            | Self::Ping { .. } => 20,
        }
    }
}
