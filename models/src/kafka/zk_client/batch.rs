//! `handleRequests` and `retryRequestsUntilConnected`: batches share the permits of one semaphore, and what a lost
//! connection took is sent again.

use std::collections::{BTreeMap, VecDeque};

use super::{ZkBatch, ZkReply};
use crate::zk::client::ZkRequestId;
use crate::zk::protocol::{Op, ZkError};

/// Who asked for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Asker {
    /// Somebody outside.
    User(super::ZkUser),
    /// A step of the registration.
    Registration,
}

/// How a round of a batch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Round {
    /// Every request is answered.
    Complete(Asker, ZkBatch, Vec<ZkReply>),
    /// Some requests were lost with the connection.
    Lost(ZkBatch),
}

#[derive(Clone, Debug, Hash)]
struct Batch {
    asker: Asker,
    ops: Vec<Op>,
    replies: Vec<Option<ZkReply>>,
    /// Requests of this round that have not come back.
    open: usize,
}

/// All batches under way.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Batches {
    last: u64,
    batches: BTreeMap<ZkBatch, Batch>,
    /// Requests that wait for a permit, first come first served.
    queue: VecDeque<(ZkBatch, usize)>,
    in_flight: BTreeMap<ZkRequestId, (ZkBatch, usize)>,
}

impl Batches {
    /// Queues a new batch. An empty one is complete at once.
    pub(super) fn add(&mut self, asker: Asker, ops: Vec<Op>) -> (ZkBatch, Option<Round>) {
        let batch = self.next_number();
        if ops.is_empty() {
            return (batch, Some(Round::Complete(asker, batch, Vec::new())));
        }
        let open = ops.len();
        self.queue.extend((0..open).map(|index| (batch, index)));
        self.batches.insert(batch, Batch { asker, replies: vec![None; open], ops, open });
        (batch, None)
    }

    /// A number that no batch has.
    pub(super) fn next_number(&mut self) -> ZkBatch {
        self.last += 1;
        ZkBatch(self.last)
    }

    /// The next request to send, if fewer than `permits` are under way.
    pub(super) fn next_op(&mut self, permits: usize) -> Option<(ZkBatch, usize, Op)> {
        if self.in_flight.len() >= permits {
            return None;
        }
        let (batch, index) = self.queue.pop_front()?;
        let op = self.batches.get(&batch).expect("a queued request belongs to a batch").ops[index].clone();
        Some((batch, index, op))
    }

    /// A request was handed to the session handle.
    pub(super) fn sent(&mut self, request: ZkRequestId, batch: ZkBatch, index: usize) {
        self.in_flight.insert(request, (batch, index));
    }

    /// Whether the controller's event thread waits for a request.
    pub(super) fn is_controllers(&self, request: ZkRequestId) -> bool {
        let batch = self.in_flight.get(&request).and_then(|(number, _)| self.batches.get(number));
        batch.is_some_and(|batch| batch.asker != Asker::User(super::ZkUser::Broker))
    }

    /// A request came back. Says so if it was the last one of its batch's round.
    pub(super) fn on_reply(&mut self, request: ZkRequestId, reply: ZkReply) -> Option<Round> {
        let (number, index) = self.in_flight.remove(&request)?;
        let batch = self.batches.get_mut(&number).expect("a request under way belongs to a batch");
        batch.open -= 1;
        if reply.result != Err(ZkError::ConnectionLoss) {
            batch.replies[index] = Some(reply);
        }
        if batch.open > 0 {
            return None;
        }
        if batch.replies.iter().any(Option::is_none) {
            return Some(Round::Lost(number));
        }
        let batch = self.batches.remove(&number).expect("it was just found");
        Some(Round::Complete(batch.asker, number, batch.replies.into_iter().flatten().collect()))
    }

    /// Queues again what a batch has lost.
    pub(super) fn retry(&mut self, number: ZkBatch) {
        let Some(batch) = self.batches.get_mut(&number) else { return };
        let lost = (0..batch.ops.len()).filter(|index| batch.replies[*index].is_none());
        let before = self.queue.len();
        self.queue.extend(lost.map(|index| (number, index)));
        batch.open = self.queue.len() - before;
    }

    /// Gives a batch up. Returns who asked for it.
    pub(super) fn give_up(&mut self, number: ZkBatch) -> Option<Asker> {
        self.batches.remove(&number).map(|batch| batch.asker)
    }
}
