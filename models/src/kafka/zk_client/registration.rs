//! `CheckedEphemeral`: how a broker's ephemeral node comes to be, and what is done if there is one already.

use std::sync::Arc;

use super::{ZkBatch, ZkReply, ZkUser};
use crate::defect::{Defect, Defects};
use crate::id::{SessionId, Zxid};
use crate::zk::protocol::{ANY_VERSION, CreateMode, Data, Op, OpResult, Path, Stat, ZkError};

/// A registration under way.
#[derive(Clone, Debug, Hash)]
pub(super) struct Registration {
    /// By which number its result is reported.
    pub(super) batch: ZkBatch,
    pub(super) user: ZkUser,
    step: Step,
    path: Path,
    data: Data,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    Create,
    Read,
    Delete,
    /// Waiting for the end of another session of ours.
    Pause,
}

/// What a registration does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Sends this.
    Ask(Vec<Op>),
    /// Waits and then goes on with [`Registration::create`].
    Wait,
    /// The session is over, and the registration with it; the next session will have its own.
    Expired,
    /// It is over: the node's czxid, or why it failed.
    Done(Result<Zxid, Arc<str>>),
}

/// What the outcome depends on, besides the answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sessions {
    /// The session of the last successful registration of this process, 0 if there was none.
    pub(super) remembered: SessionId,
    /// The session of the handle.
    pub(super) current: SessionId,
    pub(super) defects: Defects,
}

impl Registration {
    pub(super) fn new(batch: ZkBatch, user: ZkUser, path: Path, data: Data) -> Self {
        Self { batch, user, step: Step::Create, path, data }
    }

    /// The first step, and the one after a detour: the node comes with its content in one transaction.
    pub(super) fn create(&mut self) -> Vec<Op> {
        self.step = Step::Create;
        let create = Op::Create { path: self.path.clone(), data: "".into(), mode: CreateMode::Ephemeral };
        let set = Op::SetData { path: self.path.clone(), data: self.data.clone(), version: 0 };
        vec![Op::Multi(vec![create, set])]
    }

    /// Whether it pauses.
    pub(super) fn is_pausing(&self) -> bool {
        self.step == Step::Pause
    }

    /// Takes the answer to the last step.
    pub(super) fn on_reply(&mut self, reply: &ZkReply, sessions: Sessions) -> Next {
        match self.step {
            Step::Create => match created(reply) {
                Ok(czxid) => Next::Done(Ok(czxid)),
                Err(ZkError::NodeExists) => {
                    self.step = Step::Read;
                    Next::Ask(vec![Op::GetData { path: self.path.clone(), watch: false }])
                }
                Err(error) => fatal(error),
            },
            Step::Read => match &reply.result {
                Ok(OpResult::Data { stat, .. }) => self.on_existing(stat, sessions),
                Ok(_) => fatal(ZkError::RuntimeInconsistency),
                // The stat of a missing node is null, and its owner is asked for before the result code.
                Err(ZkError::NoNode) if sessions.defects.has(Defect::RegistrationNullPointer) => {
                    Next::Done(Err("NullPointerException in CheckedEphemeral.getAfterNodeExists".into()))
                }
                Err(ZkError::NoNode) => Next::Ask(self.create()),
                Err(error) => fatal(*error),
            },
            Step::Delete => match reply.result {
                Ok(_) | Err(ZkError::NoNode) => Next::Ask(self.create()),
                Err(error) => fatal(error),
            },
            Step::Pause => unreachable!("nothing was asked"),
        }
    }

    /// `getAfterNodeExists`, with the owner known.
    fn on_existing(&mut self, stat: &Stat, sessions: Sessions) -> Next {
        // KAFKA-1387 (`createEphemeralPathExpectConflictHandleZKBug`): host and port in the node are this broker's own, so it
        // must be of an earlier session, whose end is awaited, whoever owns the node.
        if sessions.defects.has(Defect::WaitForOwnEphemeral) {
            self.step = Step::Pause;
            return Next::Wait;
        }
        let owner = stat.ephemeral_owner;
        if owner == sessions.current {
            // Ours: the answer to an earlier attempt was lost.
            return Next::Done(Ok(stat.czxid));
        }
        // Before KAFKA-7165 every other owner was an error, one's own earlier sessions included.
        if sessions.defects.has(Defect::RegistrationGivesUp) {
            return fatal(ZkError::NodeExists);
        }
        if owner == sessions.remembered {
            // KAFKA-7165: the node has outlived its session (ZOOKEEPER-2985).
            self.step = Step::Delete;
            return Next::Ask(vec![Op::Delete { path: self.path.clone(), version: ANY_VERSION }]);
        }
        // KAFKA-14845. Repaired rule, ours: a process that was registered before knows that its id is its own, so the
        // owner is a session of it whose ConnectResponse was lost. Nobody keeps that session alive; its end is awaited.
        // A fresh process cannot tell, and leaves it to its supervisor to try again.
        if sessions.remembered != SessionId(0) && !sessions.defects.has(Defect::LostRegistration) {
            self.step = Step::Pause;
            return Next::Wait;
        }
        fatal(ZkError::NodeExists)
    }
}

fn fatal(error: ZkError) -> Next {
    match error {
        ZkError::SessionExpired => Next::Expired,
        ZkError::NodeExists => Next::Done(Err("KeeperException.NodeExistsException".into())),
        other => Next::Done(Err(format!("KeeperException: {other}").into())),
    }
}

/// The czxid that the multi gave the node, or the error of the operation that failed.
fn created(reply: &ZkReply) -> Result<Zxid, ZkError> {
    match &reply.result {
        Ok(OpResult::Multi(results)) => {
            let failure = results.iter().find_map(|result| match result {
                Err(ZkError::RolledBack | ZkError::RuntimeInconsistency) | Ok(_) => None,
                Err(error) => Some(*error),
            });
            match (failure, results.last()) {
                (Some(error), _) => Err(error),
                (None, Some(Ok(OpResult::Stat(stat)))) => Ok(stat.czxid),
                (None, _) => Err(ZkError::RuntimeInconsistency),
            }
        }
        Ok(_) => Err(ZkError::RuntimeInconsistency),
        Err(error) => Err(*error),
    }
}
