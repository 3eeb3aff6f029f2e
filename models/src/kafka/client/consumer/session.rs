//! `FetchSessionHandler` and the requests to one broker: an incremental fetch session (KIP-227), positions to look up,
//! positions to validate.

use std::collections::BTreeSet;

use super::position::{PartitionState, Phase};
use crate::kafka::client::metadata::Metadata;
use crate::kafka::config::ConsumerConfig;
use crate::kafka::protocol::{
    EpochQuery, ErrorCode, FetchPartition, FetchRequest, FetchResponse, FetchSession, OffsetQuery, Request,
};
use crate::sorted_set::SortedSet;
use crate::time::Span;

/// A list of partitions that go out in one request, and those that went out in the one under way.
#[derive(Clone, Debug, Default, Hash)]
struct Questions {
    pending: BTreeSet<u32>,
    asked: BTreeSet<u32>,
    correlation: Option<u32>,
}

impl Questions {
    fn has_request(&self) -> bool {
        self.correlation.is_none() && !self.pending.is_empty()
    }

    fn withdraw(&mut self, index: u32) {
        self.pending.remove(&index);
        self.asked.remove(&index);
    }

    fn answered(&mut self, correlation: u32) -> BTreeSet<u32> {
        if self.correlation != Some(correlation) {
            return BTreeSet::new();
        }
        self.correlation = None;
        std::mem::take(&mut self.asked)
    }
}

/// Which list a request was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Made {
    Nothing,
    LookUp,
    Validation,
    Fetch,
}

/// What was under way on a connection that is gone.
#[derive(Debug)]
pub(super) struct Lost {
    /// Partitions whose positions were in question.
    pub(super) asked: Vec<u32>,
    /// Partitions of the fetch.
    pub(super) fetched: Vec<u32>,
}

/// What the consumer has to do with one broker.
#[derive(Clone, Debug, Hash)]
pub(super) struct Broker {
    look_up: Questions,
    validate: Questions,
    session: FetchSession,
    /// Partitions to be fetched from this broker.
    members: SortedSet<u32>,
    /// Members that the session does not know, or knows at another position.
    changed: SortedSet<u32>,
    /// Partitions that the session knows and that are no longer members.
    leaving: SortedSet<u32>,
    /// Partitions that the session knows.
    known: SortedSet<u32>,
    fetch: Option<u32>,
    made: Made,
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            look_up: Questions::default(),
            validate: Questions::default(),
            session: FetchSession::default(),
            members: SortedSet::default(),
            changed: SortedSet::default(),
            leaving: SortedSet::default(),
            known: SortedSet::default(),
            fetch: None,
            made: Made::Nothing,
        }
    }
}

impl Broker {
    /// Takes a partition into the list of its phase.
    pub(super) fn admit(&mut self, index: u32, phase: Phase) {
        match phase {
            Phase::Reset { .. } => {
                self.look_up.pending.insert(index);
            }
            Phase::Validate => {
                self.validate.pending.insert(index);
            }
            Phase::Fetch => {
                self.members.insert(index);
                self.changed.insert(index);
                self.leaving.remove(&index);
            }
            Phase::Committed | Phase::Halted | Phase::Unassigned => {}
        }
    }

    /// Takes a partition out of all lists.
    pub(super) fn withdraw(&mut self, index: u32) {
        self.look_up.withdraw(index);
        self.validate.withdraw(index);
        self.changed.remove(&index);
        if self.members.remove(&index) && self.known.contains(&index) {
            self.leaving.insert(index);
        }
    }

    /// A member's position moved.
    pub(super) fn moved(&mut self, index: u32) {
        self.changed.insert(index);
    }

    /// Whether an answer about the partition is about the position that it has now.
    pub(super) fn is_current(&self, index: u32) -> bool {
        self.members.contains(&index) && !self.changed.contains(&index)
    }

    /// Whether there is something to send. One fetch at a time is under way, and one request of each other kind.
    pub(super) fn has_request(&self) -> bool {
        self.look_up.has_request() || self.validate.has_request() || (self.fetch.is_none() && !self.members.is_empty())
    }

    /// Makes the next request; [`Broker::sent`] follows.
    ///
    /// # Panics
    /// If [`Broker::has_request`] does not say so.
    pub(super) fn next_request(
        &mut self,
        config: &ConsumerConfig,
        metadata: &Metadata,
        partitions: &[PartitionState],
    ) -> Request {
        let epoch_of = |index: u32| Some(metadata.leadership(index).epoch);
        if self.look_up.has_request() {
            self.made = Made::LookUp;
            self.look_up.asked = std::mem::take(&mut self.look_up.pending);
            let query = |index: u32| {
                let Phase::Reset { at, .. } = partitions[index as usize].phase else {
                    unreachable!("only partitions without a position are looked up")
                };
                let current_leader_epoch = epoch_of(index);
                OffsetQuery { partition: metadata.partition(index), current_leader_epoch, at, replica: None }
            };
            return Request::ListOffsets(self.look_up.asked.iter().map(|index| query(*index)).collect());
        }
        if self.validate.has_request() {
            self.made = Made::Validation;
            self.validate.asked = std::mem::take(&mut self.validate.pending);
            let query = |index: u32| EpochQuery {
                partition: metadata.partition(index),
                current_leader_epoch: epoch_of(index),
                leader_epoch: partitions[index as usize].offset_epoch.unwrap_or(-1),
            };
            return Request::OffsetsForLeaderEpoch(self.validate.asked.iter().map(|index| query(*index)).collect());
        }
        assert!(self.fetch.is_none(), "one fetch at a time");
        self.made = Made::Fetch;
        let fetch = |index: &u32| FetchPartition {
            partition: metadata.partition(*index),
            current_leader_epoch: epoch_of(*index),
            fetch_offset: partitions[*index as usize].offset.unwrap_or(0),
            last_fetched_epoch: None,
            log_start_offset: 0,
            max_bytes: config.max_partition_fetch_bytes,
        };
        let (fetched, forgotten) = if self.session.epoch == 0 {
            self.known.clone_from(&self.members);
            (self.members.iter().map(fetch).collect(), Vec::new())
        } else {
            for index in self.changed.iter() {
                self.known.insert(*index);
            }
            for index in self.leaving.iter() {
                self.known.remove(index);
            }
            let forgotten = self.leaving.iter().map(|index| metadata.partition(*index)).collect();
            (self.changed.iter().map(fetch).collect(), forgotten)
        };
        self.changed.clear();
        self.leaving.clear();
        Request::Fetch(Box::new(FetchRequest {
            replica: None,
            max_wait: Span::from_ms(config.fetch_max_wait_ms.into()),
            min_bytes: config.fetch_min_bytes,
            max_bytes: config.fetch_max_bytes,
            session: self.session,
            rack: config.client_rack.clone(),
            partitions: fetched,
            forgotten,
        }))
    }

    /// The request made last went out.
    pub(super) fn sent(&mut self, correlation: u32) {
        match std::mem::replace(&mut self.made, Made::Nothing) {
            Made::LookUp => self.look_up.correlation = Some(correlation),
            Made::Validation => self.validate.correlation = Some(correlation),
            Made::Fetch => self.fetch = Some(correlation),
            Made::Nothing => {}
        }
    }

    /// The partitions whose positions were looked up by this request and are still wanted.
    pub(super) fn on_looked_up(&mut self, correlation: u32) -> BTreeSet<u32> {
        self.look_up.answered(correlation)
    }

    /// The partitions whose positions were validated by this request and are still in question.
    pub(super) fn on_validated(&mut self, correlation: u32) -> BTreeSet<u32> {
        self.validate.answered(correlation)
    }

    /// A fetch was answered: `None` if it is not ours, else whether its partitions are worth reading.
    pub(super) fn on_fetched(&mut self, correlation: u32, response: &FetchResponse) -> Option<bool> {
        if self.fetch != Some(correlation) {
            return None;
        }
        self.fetch = None;
        match response.error {
            ErrorCode::None if self.session.epoch == 0 => {
                // A broker without room for the session answers with id 0: every request is a full one then.
                let epoch = u32::from(response.session != 0);
                self.session = FetchSession { id: response.session, epoch };
            }
            ErrorCode::None => self.session.epoch += 1,
            ErrorCode::FetchSessionIdNotFound => self.session = FetchSession::default(),
            // `nextCloseExisting`: open a new session in place of the old one.
            _ => self.session.epoch = 0,
        }
        Some(response.error == ErrorCode::None)
    }

    /// The connection is gone: returns the partitions whose questions will not be answered. The session is opened anew.
    pub(super) fn on_lost(&mut self) -> Lost {
        let fetched = if self.fetch.take().is_some() { self.members.iter().copied().collect() } else { Vec::new() };
        self.session.epoch = 0;
        self.look_up.correlation = None;
        self.validate.correlation = None;
        let mut asked: Vec<u32> = std::mem::take(&mut self.look_up.asked).into_iter().collect();
        asked.extend(std::mem::take(&mut self.validate.asked));
        Lost { asked, fetched }
    }
}
