//! The state of one fetcher thread (`AbstractFetcherThread`, `FetchSessionHandler`): its partitions, and what the source
//! knows of them. One request is under way at a time.

use std::collections::{BTreeSet, VecDeque};

use super::Partitions;
use super::partition::{Partition, Shared};
use crate::defect::Defect;
use crate::id::{Address, BrokerId, TimerId, TopicPartition};
use crate::kafka::by_partition::ByPartition;
use crate::kafka::channel::{Channel, ChannelId, ChannelLimits};
use crate::kafka::config::BrokerConfig;
use crate::kafka::protocol::{EpochQuery, FetchPartition, FetchRequest, FetchSession, OffsetSpec};
use crate::sorted_set::SortedSet;
use crate::time::{Instant, Span};

/// Source broker and number of the thread.
pub(super) type FetcherId = (BrokerId, u16);

/// Where a partition stands (`PartitionFetchState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FetchState {
    pub(super) offset: u64,
    /// Epoch of the last record held; the leader compares it with its own log.
    pub(super) last_fetched_epoch: Option<i32>,
    /// The leader epoch that it follows in.
    pub(super) leader_epoch: i32,
    /// Whether any answer has been processed since it was added.
    pub(super) answered: bool,
    /// Not fetched before this time.
    pub(super) delayed_until: Option<Instant>,
    /// Its offset was out of range: it waits for the leader's offsets.
    pub(super) looking_up: bool,
    /// Where the logs part is not settled yet: see [`super::truncation`].
    pub(super) truncating: bool,
}

impl FetchState {
    fn is_ready(&self) -> bool {
        self.delayed_until.is_none() && !self.looking_up && !self.truncating
    }
}

/// What protocol and defects make of a fetcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FetcherRules {
    /// It fetches from the log's end, and hears in an answer where the logs part (KIP-595); else that is settled first.
    pub(super) truncates_on_fetch: bool,
    /// Its requests carry the leader epoch (KIP-320).
    pub(super) sends_leader_epoch: bool,
    /// Its fetches are incremental (KIP-227).
    pub(super) has_sessions: bool,
}

impl FetcherRules {
    pub(super) fn of(shared: &Shared) -> Self {
        Self {
            truncates_on_fetch: shared.protocol.truncates_on_fetch(),
            sends_leader_epoch: !shared.defects.has(Defect::FetchWithoutEpoch),
            has_sessions: shared.protocol.has_fetch_sessions(),
        }
    }

    /// What a request says of the leader epoch that is followed in.
    pub(super) fn stated(self, leader_epoch: i32) -> Option<i32> {
        self.sends_leader_epoch.then_some(leader_epoch)
    }
}

/// A question for one end of the leader's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lookup {
    pub(super) partition: TopicPartition,
    pub(super) leader_epoch: i32,
    pub(super) at: OffsetSpec,
}

/// The request under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum InFlight {
    Fetch,
    Offsets(Lookup),
    Epochs(Vec<EpochQuery>),
}

/// The incremental session as its fetcher knows it (KIP-227).
#[derive(Clone, Debug, Default, Hash)]
struct SessionHandler {
    next: FetchSession,
    /// What the source holds.
    partitions: ByPartition<FetchPartition>,
}

/// A fetcher thread.
#[derive(Clone, Debug, Hash)]
pub(super) struct Fetcher {
    pub(super) channel: Channel,
    pub(super) rules: FetcherRules,
    pub(super) in_flight: Option<InFlight>,
    /// Flushes that the thread waits for.
    pub(super) flushes: u32,
    /// The armed back-off timer, and its time.
    pub(super) backoff_armed: Option<(Instant, TimerId)>,
    partitions: ByPartition<FetchState>,
    /// Partitions whose state the source may not know.
    changed: SortedSet<TopicPartition>,
    delayed: BTreeSet<(Instant, TopicPartition)>,
    truncating: SortedSet<TopicPartition>,
    lookups: VecDeque<Lookup>,
    session: SessionHandler,
}

impl Fetcher {
    /// A thread without partitions.
    pub(super) fn new(id: FetcherId, source: Address, shared: &Shared) -> Self {
        let config = &shared.config;
        let ms = |ms: u32| Span::from_ms(ms.into());
        let socket_timeout = ms(config.replica_socket_timeout_ms);
        // `BrokerBlockingSender`: no back-off of its own, and no longer wait for a connection than the socket timeout.
        let limits = ChannelLimits {
            setup_timeout: ms(config.socket_connection_setup_timeout_ms).min(socket_timeout),
            setup_timeout_max: ms(config.socket_connection_setup_timeout_max_ms).min(socket_timeout),
            backoff: Span::ZERO,
            backoff_max: Span::ZERO,
            max_in_flight: 1,
        };
        Self {
            channel: Channel::new(ChannelId::Fetcher(id.0, id.1), Some(id.0), source, limits),
            rules: FetcherRules::of(shared),
            in_flight: None,
            flushes: 0,
            backoff_armed: None,
            partitions: ByPartition::default(),
            changed: SortedSet::default(),
            delayed: BTreeSet::new(),
            truncating: SortedSet::default(),
            lookups: VecDeque::new(),
            session: SessionHandler::default(),
        }
    }

    /// Whether it has no partition.
    pub(super) fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// Follows a partition (`ReplicaManager.initialFetchOffset`): from its LEO on, if the leader tells that the logs part;
    /// else from where the truncation that comes first will end, at its high watermark if nothing better is found.
    pub(super) fn add(&mut self, partition: &Partition) {
        let truncating = !self.rules.truncates_on_fetch;
        let log = &partition.log;
        let state = FetchState {
            offset: if truncating { log.high_watermark() } else { log.log_end() },
            last_fetched_epoch: log.epochs().latest(),
            leader_epoch: partition.leader_epoch,
            answered: false,
            delayed_until: None,
            looking_up: false,
            truncating,
        };
        self.remove(partition.id);
        self.set(partition.id, state);
        if truncating {
            self.truncating.insert(partition.id);
        }
    }

    /// Partitions whose truncation is to be settled now.
    pub(super) fn truncating(&self) -> Vec<TopicPartition> {
        let now = |id: &TopicPartition| self.state(*id).is_some_and(|state| state.delayed_until.is_none());
        self.truncating.iter().copied().filter(now).collect()
    }

    /// A partition's log ends where its leader's does, or earlier: it is fetched from `offset` on.
    pub(super) fn truncated(&mut self, id: TopicPartition, offset: u64) {
        self.truncating.remove(&id);
        if let Some(state) = self.state(id) {
            self.set(id, FetchState { offset, truncating: false, ..state });
        }
    }

    /// Follows a partition no more.
    pub(super) fn remove(&mut self, id: TopicPartition) {
        let Some(state) = self.partitions.remove(id) else { return };
        if let Some(until) = state.delayed_until {
            self.delayed.remove(&(until, id));
        }
        self.lookups.retain(|lookup| lookup.partition != id);
        self.truncating.remove(&id);
        self.changed.insert(id);
    }

    /// A partition's state.
    pub(super) fn state(&self, id: TopicPartition) -> Option<FetchState> {
        self.partitions.get(id).copied()
    }

    /// Changes the state of a partition that is followed.
    pub(super) fn set(&mut self, id: TopicPartition, state: FetchState) {
        self.partitions.insert(id, state);
        self.changed.insert(id);
    }

    /// A partition's state, if an answer to the last request fits it: it was not added anew, moved or delayed meanwhile.
    pub(super) fn state_as_requested(&self, id: TopicPartition) -> Option<FetchState> {
        let requested = self.session.partitions.get(id)?;
        let state = self.state(id).filter(FetchState::is_ready)?;
        let fits = requested.fetch_offset == state.offset
            && requested.current_leader_epoch == self.rules.stated(state.leader_epoch);
        fits.then_some(state)
    }

    /// Something that the source is to know changed besides the position.
    pub(super) fn touch(&mut self, id: TopicPartition) {
        if self.partitions.contains_key(id) {
            self.changed.insert(id);
        }
    }

    /// Whether the last request was about the partition too, whatever became of that since.
    pub(super) fn has_requested(&self, id: TopicPartition) -> bool {
        self.session.partitions.contains_key(id)
    }

    /// Fetches a partition not before `until`, unless it is delayed already.
    pub(super) fn delay(&mut self, id: TopicPartition, until: Instant) {
        let Some(state) = self.state(id).filter(|state| state.delayed_until.is_none()) else { return };
        self.lookups.retain(|lookup| lookup.partition != id);
        self.delayed.insert((until, id));
        self.set(id, FetchState { delayed_until: Some(until), looking_up: false, ..state });
    }

    /// The request failed: everything is delayed, and the next fetch opens a new session.
    pub(super) fn fail_all(&mut self, until: Instant) {
        self.in_flight = None;
        self.reset_session();
        let all: Vec<_> = self.partitions.keys().collect();
        for id in all {
            self.delay(id, until);
        }
    }

    /// When the first delay ends.
    pub(super) fn first_delay(&self) -> Option<Instant> {
        self.delayed.first().map(|(until, _)| *until)
    }

    /// Delays up to `now` are over.
    pub(super) fn end_delays(&mut self, now: Instant) {
        while let Some((until, id)) = self.delayed.first().copied()
            && until <= now
        {
            self.delayed.pop_first();
            if let Some(state) = self.state(id) {
                self.set(id, FetchState { delayed_until: None, ..state });
            }
        }
    }

    /// Queues a question for an end of the leader's log.
    pub(super) fn look_up(&mut self, id: TopicPartition, at: OffsetSpec) {
        if let Some(state) = self.state(id) {
            self.set(id, FetchState { looking_up: true, ..state });
            self.lookups.push_back(Lookup { partition: id, leader_epoch: state.leader_epoch, at });
        }
    }

    /// The next such question.
    pub(super) fn next_lookup(&self) -> Option<Lookup> {
        self.lookups.front().copied()
    }

    /// Takes a question that was answered out; false if its partition has left or changed meanwhile.
    pub(super) fn finish_lookup(&mut self, lookup: Lookup) -> bool {
        let current = self.lookups.front() == Some(&lookup);
        if current {
            self.lookups.pop_front();
        }
        current
    }

    /// Whether a request can be made of something.
    pub(super) fn has_work(&self) -> bool {
        self.partitions.len() > self.delayed.len()
            || self.changed.iter().any(|id| self.session.partitions.contains_key(*id))
    }

    /// Takes note of a fetch's answer: the session goes on, or ends.
    pub(super) fn on_session_answer(&mut self, session: u32, failed: bool) {
        if failed {
            self.reset_session();
        } else if !self.rules.has_sessions {
            // The next fetch names everything again; the answer at hand is for what this one named.
            self.session.next = FetchSession::default();
        } else if self.session.next.epoch == 0 {
            self.session.next = FetchSession { id: session, epoch: u32::from(session != 0) };
        } else {
            self.session.next.epoch = self.session.next.epoch.checked_add(1).unwrap_or(1);
        }
    }

    fn reset_session(&mut self) {
        self.session = SessionHandler::default();
    }

    /// The next fetch: everything to open a session, else what changed. `None` if there is nothing to fetch.
    pub(super) fn build(&mut self, me: BrokerId, config: &BrokerConfig, logs: &Partitions) -> Option<FetchRequest> {
        let mut partitions = Vec::new();
        let mut forgotten = Vec::new();
        let mut changed = std::mem::take(&mut self.changed);
        if self.session.next.epoch == 0 {
            partitions.extend(self.partitions.keys().filter_map(|id| self.wanted(id, config, logs)));
            self.session.partitions = partitions.iter().map(|wanted| (wanted.partition, *wanted)).collect();
        } else {
            for id in changed.iter().copied() {
                match self.wanted(id, config, logs) {
                    Some(wanted) => {
                        if self.session.partitions.insert(id, wanted) != Some(wanted) {
                            partitions.push(wanted);
                        }
                    }
                    None => forgotten.extend(self.session.partitions.remove(id).map(|_| id)),
                }
            }
        }
        changed.clear();
        self.changed = changed;
        if self.session.partitions.is_empty() && forgotten.is_empty() {
            return None;
        }
        Some(FetchRequest {
            replica: Some(me),
            max_wait: Span::from_ms(config.replica_fetch_wait_max_ms.into()),
            min_bytes: config.replica_fetch_min_bytes,
            max_bytes: config.replica_fetch_response_max_bytes,
            session: self.session.next,
            rack: None,
            partitions,
            forgotten,
        })
    }

    fn wanted(&self, id: TopicPartition, config: &BrokerConfig, logs: &Partitions) -> Option<FetchPartition> {
        let state = self.partitions.get(id).filter(|state| state.is_ready())?;
        Some(FetchPartition {
            partition: id,
            current_leader_epoch: self.rules.stated(state.leader_epoch),
            fetch_offset: state.offset,
            last_fetched_epoch: state.last_fetched_epoch.filter(|_| self.rules.truncates_on_fetch),
            log_start_offset: logs.get(id)?.log.log_start(),
            max_bytes: config.replica_fetch_max_bytes,
        })
    }
}
