//! `Partition`: one replica with its role. Leader and follower each have a file of their own; here is what both need.

use std::collections::VecDeque;
use std::sync::Arc;

use super::isr::{IsrChanges, IsrState};
use super::log::Log;
use super::metrics::ReplicaMetrics;
use super::purgatory::ProducePurgatory;
use super::remote::RemoteReplica;
use super::segments::SegmentLimits;
use super::session::{FetchSessions, SessionPartition};
use super::storage::Storage;
use crate::defect::{Defect, Defects};
use crate::id::{BrokerId, TopicPartition};
use crate::kafka::Racks;
use crate::kafka::config::BrokerConfig;
use crate::kafka::inter_broker_protocol::ProtocolVersion;
use crate::kafka::protocol::{EpochEnd, ErrorCode, FetchPartition, RecordBatch};
use crate::observation::{Observation, ReplicaRole};
use crate::time::Span;
use crate::world::Ctx;

/// What the partitions of a broker share.
#[derive(Clone, Debug, Hash)]
pub(super) struct Shared {
    pub(super) broker: BrokerId,
    pub(super) config: Arc<BrokerConfig>,
    pub(super) defects: Defects,
    pub(super) protocol: ProtocolVersion,
    pub(super) sessions: FetchSessions,
    pub(super) racks: Racks,
    pub(super) produces: ProducePurgatory,
    pub(super) isr_changes: IsrChanges,
    pub(super) metrics: ReplicaMetrics,
    pub(super) storage: Storage,
}

impl Shared {
    /// `replica.lag.time.max.ms`.
    pub(super) fn lag_max(&self) -> Span {
        Span::from_ms(self.config.replica_lag_time_max_ms.into())
    }

    /// How many in-sync replicas `acks=all` needs: `min.insync.replicas`, which a broker before KAFKA-1555 (R17b) does not
    /// know.
    pub(super) fn min_isr(&self) -> usize {
        let known = !self.defects.has(Defect::NoMinIsr);
        if known { self.config.min_insync_replicas as usize } else { 1 }
    }

    /// When a segment is full.
    pub(super) fn segment_limits(&self) -> SegmentLimits {
        SegmentLimits::of(&self.config)
    }
}

/// A fetcher that has this partition in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Watcher {
    session: u32,
    replica: Option<BrokerId>,
}

/// Which waiting fetches a change wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    /// None: they will see it in their next answer.
    Nobody,
    /// Those that read up to the high watermark.
    Consumers,
    /// Those that read up to the log's end.
    Followers,
    /// All.
    Everyone,
}

/// A produce request that waits for the high watermark to reach `required`.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct ProduceWaiter {
    pub(super) required: u64,
    pub(super) produce: u64,
    pub(super) slot: u32,
}

/// What a read found.
#[derive(Clone, Debug, Default)]
pub(super) struct Read {
    pub(super) error: Option<ErrorCode>,
    pub(super) high_watermark: u64,
    pub(super) log_start: u64,
    pub(super) diverging: Option<EpochEnd>,
    /// The follower that the reader is sent to; nothing was read then.
    pub(super) preferred: Option<BrokerId>,
    pub(super) records: Vec<Arc<RecordBatch>>,
}

impl Read {
    /// Nothing but an error.
    pub(super) fn failed(error: ErrorCode) -> Self {
        Self { error: Some(error), ..Self::default() }
    }
}

/// A replica. It exists as long as its log does.
#[derive(Clone, Debug, Hash)]
pub(super) struct Partition {
    pub(super) id: TopicPartition,
    /// Number of the directory that holds its log.
    pub(super) dir: u8,
    pub(super) leader: Option<BrokerId>,
    /// The broker whose fetcher thread has it.
    pub(super) following: Option<BrokerId>,
    /// -1 until the controller has told.
    pub(super) leader_epoch: i32,
    pub(super) partition_epoch: i32,
    pub(super) controller_epoch: i32,
    /// The leader's own LEO when its epoch began; `None` unless it leads.
    pub(super) epoch_start: Option<u64>,
    pub(super) isr: IsrState,
    pub(super) remotes: Vec<RemoteReplica>,
    pub(super) log: Log,
    pub(super) watchers: Vec<Watcher>,
    pub(super) waiters: VecDeque<ProduceWaiter>,
}

impl Partition {
    /// A replica with this log in this directory, whose role nobody has told yet.
    pub(super) fn new(id: TopicPartition, dir: u8, log: Log) -> Self {
        Self {
            id,
            dir,
            leader: None,
            following: None,
            leader_epoch: -1,
            partition_epoch: 0,
            controller_epoch: 0,
            epoch_start: None,
            isr: IsrState::Committed(Arc::new([])),
            remotes: Vec::new(),
            log,
            watchers: Vec::new(),
            waiters: VecDeque::new(),
        }
    }

    /// Whether it believes that it leads.
    pub(super) fn is_leader(&self) -> bool {
        self.epoch_start.is_some()
    }

    /// Its role.
    pub(super) fn role(&self) -> ReplicaRole {
        if self.is_leader() { ReplicaRole::Leader } else { ReplicaRole::Follower }
    }

    /// Compares the epoch that an asker believes in (KIP-320), then demands leadership (`getLocalLog`).
    ///
    /// # Errors
    /// `FencedLeaderEpoch`, `UnknownLeaderEpoch`, `NotLeaderOrFollower`.
    pub(super) fn check_leader(&self, current_leader_epoch: Option<i32>) -> Result<(), ErrorCode> {
        self.check_epoch(current_leader_epoch)?;
        if self.is_leader() { Ok(()) } else { Err(ErrorCode::NotLeaderOrFollower) }
    }

    /// Compares the epoch that an asker believes in (`checkCurrentLeaderEpoch`, KIP-320).
    ///
    /// # Errors
    /// `FencedLeaderEpoch`, `UnknownLeaderEpoch`.
    pub(super) fn check_epoch(&self, current_leader_epoch: Option<i32>) -> Result<(), ErrorCode> {
        match current_leader_epoch {
            Some(epoch) if epoch < self.leader_epoch => Err(ErrorCode::FencedLeaderEpoch),
            Some(epoch) if epoch > self.leader_epoch => Err(ErrorCode::UnknownLeaderEpoch),
            _ => Ok(()),
        }
    }

    /// Reads for a follower up to LEO, and as leader only; for a consumer below the high watermark, as any replica (KIP-392,
    /// `Partition.fetchRecords`).
    pub(super) fn read(
        &self,
        fetch: &FetchPartition,
        replica: Option<BrokerId>,
        max_bytes: u64,
        min_one: bool,
    ) -> Read {
        let checked = match replica {
            Some(_) => self.check_leader(fetch.current_leader_epoch),
            None => self.check_epoch(fetch.current_leader_epoch),
        };
        if let Err(error) = checked {
            return Read::failed(error);
        }
        if replica.is_some_and(|id| self.remotes.iter().all(|remote| remote.id != id)) {
            return Read::failed(ErrorCode::UnknownLeaderEpoch);
        }
        let offset = fetch.fetch_offset;
        let (high_watermark, log_start) = (self.log.high_watermark(), self.log.log_start());
        // `fetchOffsetSnapshot` looks the high watermark's place up, which fails for everybody if it is not in the log
        // (KAFKA-9491).
        if high_watermark < log_start {
            return Read::failed(ErrorCode::OffsetOutOfRange);
        }
        let mut diverging = None;
        if let Some(epoch) = fetch.last_fetched_epoch {
            // KIP-595: the leader compares the end of the follower's last epoch with its own.
            match self.log.epochs().end_offset_for(epoch, self.log.log_end()) {
                None => return Read::failed(ErrorCode::OffsetOutOfRange),
                Some(_) if offset < log_start => return Read::failed(ErrorCode::OffsetOutOfRange),
                Some(end) if end.epoch < epoch || end.end_offset < offset => diverging = Some(end),
                Some(_) => {}
            }
        }
        if diverging.is_none() && (offset < log_start || offset > self.log.log_end()) {
            return Read::failed(ErrorCode::OffsetOutOfRange);
        }
        let end = if replica.is_some() { self.log.log_end() } else { high_watermark };
        let records = if diverging.is_some() || offset >= end {
            Vec::new()
        } else {
            self.log.read(offset, end, max_bytes.min(fetch.max_bytes.into()), min_one)
        };
        Read { error: None, high_watermark, log_start, diverging, preferred: None, records }
    }

    /// Whether the fetcher needs to hear nothing more until something changes, and the leader nothing of it.
    pub(super) fn is_quiet_for(&self, known: &SessionPartition, replica: Option<BrokerId>) -> bool {
        let end = if replica.is_some() { self.log.log_end() } else { self.log.high_watermark() };
        known.told == Some((self.log.high_watermark(), self.log.log_start()))
            && !self.log.has_batch(known.fetch.fetch_offset, end)
            && replica.is_none_or(|id| self.isr.isr().contains(&id))
    }

    /// Registers a session that fetches this partition.
    pub(super) fn watch(&mut self, session: u32, replica: Option<BrokerId>) {
        let watcher = Watcher { session, replica };
        if !self.watchers.contains(&watcher) {
            self.watchers.push(watcher);
        }
    }

    /// The session does not fetch this partition any more.
    pub(super) fn unwatch(&mut self, session: u32, sessions: &FetchSessions) {
        self.watchers.retain(|watcher| watcher.session != session);
        for remote in &mut self.remotes {
            if remote.quiet_in == Some(session) {
                remote.settle(sessions, self.log.log_end());
            }
        }
    }

    /// Tells every session that there may be news. To be called before the log's end moves.
    pub(super) fn announce(&mut self, sessions: &mut FetchSessions, wake: Wake) {
        for remote in &mut self.remotes {
            remote.settle(sessions, self.log.log_end());
        }
        for watcher in &self.watchers {
            let wakes = match wake {
                Wake::Nobody => false,
                Wake::Consumers => watcher.replica.is_none(),
                Wake::Followers => watcher.replica.is_some(),
                Wake::Everyone => true,
            };
            sessions.note(watcher.session, self.id, wakes);
        }
    }

    /// Reports the high watermark.
    pub(super) fn observe_high_watermark(&self, ctx: &mut Ctx<'_>) {
        ctx.observe(Observation::HighWatermark {
            partition: self.id,
            value: self.log.high_watermark(),
            leader_epoch: self.leader_epoch,
            role: self.role(),
        });
    }
}
