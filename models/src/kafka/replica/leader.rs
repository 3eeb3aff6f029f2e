//! The leading replica: appends, the high watermark, what followers fetch, and ISR changes.

use std::sync::Arc;

use super::isr::IsrState;
use super::partition::{Partition, ProduceWaiter, Shared, Wake};
use super::producer_state::SequenceCheck;
use super::remote::RemoteReplica;
use super::storage::FlushWaiter;
use crate::defect::Defect;
use crate::id::BrokerId;
use crate::kafka::config::Acks;
use crate::kafka::metadata_cache::MetadataCache;
use crate::kafka::metrics::Metric;
use crate::kafka::protocol::{
    AlterPartitionItem, ErrorCode, FetchPartition, LeaderAndIsr, PartitionLeadership, RecordBatch,
};
use crate::observation::{Observation, ReplicaRole};
use crate::process::DiskError;
use crate::time::Span;
use crate::world::Ctx;

/// Where a produced batch stands in the log now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Appended {
    pub(super) base_offset: u64,
    /// `acks=all` waits until the high watermark is here.
    pub(super) required: u64,
    /// `log.flush.interval.messages` is reached: the answer waits for a flush.
    pub(super) flush: bool,
}

impl Partition {
    /// `Partition.makeLeader`. The caller has compared the leader epochs. Returns false if the request's partition epoch is
    /// older than what is known.
    pub(super) fn make_leader(
        &mut self,
        ctx: &mut Ctx<'_>,
        cache: &MetadataCache,
        shared: &mut Shared,
        told: &PartitionLeadership,
    ) -> bool {
        if told.state.partition_epoch < self.partition_epoch {
            return false;
        }
        let new_leadership = !self.is_leader();
        self.announce(&mut shared.sessions, Wake::Everyone);
        self.observe_leader_end(ctx);
        self.controller_epoch = told.controller_epoch;
        self.assign_remotes(&told.replicas, shared.broker);
        // Pending changes are dropped; an answer to them will find another state.
        self.isr = IsrState::Committed(Arc::clone(&told.state.isr));
        let epoch_start = self.log.log_end();
        // Assigned before any append (KAFKA-7415).
        if !shared.defects.has(Defect::EpochNotStoredOnElection) {
            self.log.epochs_mut().assign(told.state.leader_epoch, epoch_start);
        }
        for remote in &mut self.remotes {
            remote.reset(ctx.now, epoch_start, new_leadership, told.state.isr.contains(&remote.id));
        }
        self.leader = told.state.leader;
        self.leader_epoch = told.state.leader_epoch;
        self.partition_epoch = told.state.partition_epoch;
        self.epoch_start = Some(epoch_start);
        shared.metrics.changed = true;
        let (partition, leader_epoch) = (self.id, self.leader_epoch);
        ctx.observe(Observation::LeaderBegin { partition, leader_epoch, leo: epoch_start });
        self.observe_isr(ctx);
        self.maybe_increment_high_watermark(ctx, cache, shared);
        true
    }

    fn assign_remotes(&mut self, replicas: &[BrokerId], me: BrokerId) {
        let known = std::mem::take(&mut self.remotes);
        let find = |id| known.iter().find(|remote| remote.id == id).copied();
        let others = replicas.iter().copied().filter(|id| *id != me);
        self.remotes = others.map(|id| find(id).unwrap_or_else(|| RemoteReplica::new(id))).collect();
    }

    /// `Partition.appendRecordsToLeader`: in-sync replicas first, then duplicate, epoch and sequence, then the append.
    pub(super) fn append_as_leader(
        &mut self,
        ctx: &mut Ctx<'_>,
        cache: &MetadataCache,
        shared: &mut Shared,
        batch: &RecordBatch,
        acks: Acks,
    ) -> Result<Appended, ErrorCode> {
        if !self.is_leader() {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let config = Arc::clone(&shared.config);
        if acks == Acks::All && self.isr.isr().len() < shared.min_isr() {
            return Err(ErrorCode::NotEnoughReplicas);
        }
        if batch.size > config.message_max_bytes {
            return Err(ErrorCode::MessageTooLarge);
        }
        if batch.values.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        let expiration = Span::from_ms(config.producer_id_expiration_ms.into());
        if let SequenceCheck::Duplicate(base_offset) = self.log.producers().check(batch, ctx.wall, expiration)? {
            let required = base_offset + batch.values.len() as u64;
            return Ok(Appended { base_offset, required, flush: false });
        }
        let base_offset = self.log.log_end();
        let batch = RecordBatch { base_offset, leader_epoch: self.leader_epoch, ..batch.clone() };
        let flush = self.append(ctx, shared, Arc::new(batch)).map_err(|_| ErrorCode::KafkaStorageError)?;
        self.maybe_increment_high_watermark(ctx, cache, shared);
        Ok(Appended { base_offset, required: self.log.log_end(), flush })
    }

    /// Writes a batch that has its place. Returns whether `log.flush.interval.messages` is reached.
    pub(super) fn append(
        &mut self,
        ctx: &mut Ctx<'_>,
        shared: &mut Shared,
        batch: Arc<RecordBatch>,
    ) -> Result<bool, DiskError> {
        if let Err(error) = ctx.write_to(self.dir, batch.size.into()) {
            if error == DiskError::Full {
                // What fits is written: recovery finds a torn batch at the end.
                self.log.torn += ctx.fill();
            }
            shared.storage.dirs.report(self.dir, error);
            return Err(error);
        }
        let role = self.role();
        if role == ReplicaRole::Leader {
            self.announce(&mut shared.sessions, Wake::Followers);
        }
        ctx.observe(Observation::Append {
            partition: self.id,
            base_offset: batch.base_offset,
            leader_epoch: batch.leader_epoch,
            values: Arc::clone(&batch.values),
            producer: batch.producer,
            role,
        });
        if let Some(rolled_at) = self.log.append(batch, shared.segment_limits()) {
            shared.storage.flush_log(ctx, self, rolled_at, FlushWaiter::None);
        }
        Ok(self.log.log_end() - self.log.synced() >= shared.config.log_flush_interval_messages)
    }

    /// `Partition.maybeIncrementLeaderHW`: the least LEO of the maximal ISR and of those that are about to join it.
    pub(super) fn maybe_increment_high_watermark(
        &mut self,
        ctx: &mut Ctx<'_>,
        cache: &MetadataCache,
        shared: &mut Shared,
    ) {
        // A high watermark whose place in the log cannot be found stays where it is (KAFKA-9491).
        if !self.is_leader() || self.log.high_watermark() < self.log.log_start() {
            return;
        }
        let log_end = self.log.log_end();
        let mut candidate = log_end;
        for remote in &self.remotes {
            if remote.log_end.is_some_and(|end| end >= candidate) {
                continue;
            }
            let counts = self.isr.maximal_isr().contains(&remote.id)
                || (remote.is_caught_up(ctx.now, shared.lag_max(), log_end, &shared.sessions)
                    && cache.is_alive(remote.id));
            if counts {
                let Some(end) = remote.log_end else { return };
                candidate = end;
            }
        }
        // On a leader it only grows.
        if candidate > self.log.high_watermark() && self.log.set_high_watermark(candidate) {
            self.observe_high_watermark(ctx);
            self.announce(&mut shared.sessions, Wake::Consumers);
            self.complete_produces(ctx, shared);
        }
    }

    /// Lets a produce request wait for the high watermark. Requests for duplicates may wait for less than later ones.
    pub(super) fn await_high_watermark(&mut self, waiter: ProduceWaiter) {
        let at = self.waiters.partition_point(|other| other.required <= waiter.required);
        self.waiters.insert(at, waiter);
    }

    /// What `acks=all` gets once the high watermark is there (`Partition.checkEnoughReplicasReachOffset`).
    pub(super) fn acks_all_verdict(&self, shared: &Shared) -> ErrorCode {
        if self.isr.maximal_isr().len() >= shared.min_isr() {
            ErrorCode::None
        } else {
            ErrorCode::NotEnoughReplicasAfterAppend
        }
    }

    fn complete_produces(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared) {
        while let Some(waiter) = self.waiters.front().copied()
            && waiter.required <= self.log.high_watermark()
        {
            self.waiters.pop_front();
            let Some(slot) = shared.produces.slot(waiter.produce, waiter.slot) else { continue };
            let verdict = self.acks_all_verdict(shared);
            if verdict == ErrorCode::None {
                let base_offset = waiter.required - u64::from(slot.records);
                self.observe_acknowledge(ctx, shared, base_offset, slot.records, Acks::All);
            }
            shared.produces.resolve(ctx, waiter.produce, waiter.slot, verdict);
        }
    }

    /// It does not lead any more, or is gone: nobody will complete what waits here.
    pub(super) fn fail_waiters(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared, error: ErrorCode) {
        for waiter in std::mem::take(&mut self.waiters) {
            shared.produces.resolve(ctx, waiter.produce, waiter.slot, error);
        }
    }

    /// A follower fetched and was not told to truncate (`Partition.updateFollowerFetchState`).
    pub(super) fn on_follower_fetch(
        &mut self,
        ctx: &mut Ctx<'_>,
        cache: &MetadataCache,
        shared: &mut Shared,
        follower: BrokerId,
        fetch: &FetchPartition,
    ) {
        let (offset, log_end) = (fetch.fetch_offset, self.log.log_end());
        let Some(remote) = self.remotes.iter_mut().find(|remote| remote.id == follower) else { return };
        let before = remote.log_end;
        remote.settle(&shared.sessions, log_end);
        remote.on_fetch(ctx.now, offset, log_end);
        remote.log_start = fetch.log_start_offset;
        self.maybe_expand_isr(ctx, cache, shared, follower, offset);
        if before != Some(offset) {
            self.maybe_increment_high_watermark(ctx, cache, shared);
        }
    }

    /// `Partition.maybeExpandIsr`: the follower must have reached the high watermark and the start of the leader's own epoch
    /// (KAFKA-7128), and be alive (KIP-841).
    fn maybe_expand_isr(
        &mut self,
        ctx: &mut Ctx<'_>,
        cache: &MetadataCache,
        shared: &mut Shared,
        follower: BrokerId,
        offset: u64,
    ) {
        let IsrState::Committed(isr) = &self.isr else { return };
        let reached_epoch =
            shared.defects.has(Defect::IsrJoinAtLaggingHw) || self.epoch_start.is_some_and(|start| offset >= start);
        let reached = offset >= self.log.high_watermark() && reached_epoch;
        if isr.contains(&follower) || !reached || !cache.is_alive(follower) {
            return;
        }
        let proposed: Arc<[BrokerId]> = isr.iter().copied().chain([follower]).collect();
        let committed = Arc::clone(isr);
        if self.propose(ctx, shared, IsrState::PendingExpand { committed, proposed }) {
            let (partition, leader_epoch) = (self.id, self.leader_epoch);
            ctx.observe(Observation::IsrJoin { partition, leader_epoch, follower, fetch_offset: offset });
        }
    }

    /// `Partition.maybeShrinkIsr`: members that are behind and were not caught up for `replica.lag.time.max.ms` leave, all at
    /// once. A partition without new records never shrinks.
    pub(super) fn maybe_shrink_isr(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared) {
        let IsrState::Committed(isr) = &self.isr else { return };
        if !self.is_leader() {
            return;
        }
        let log_end = self.log.log_end();
        let lags = |id: &BrokerId| {
            let remote = self.remotes.iter().find(|remote| remote.id == *id);
            remote.is_some_and(|r| !r.is_caught_up(ctx.now, shared.lag_max(), log_end, &shared.sessions))
        };
        let proposed: Arc<[BrokerId]> = isr.iter().copied().filter(|id| !lags(id)).collect();
        if proposed.len() < isr.len() {
            let committed = Arc::clone(isr);
            self.propose(ctx, shared, IsrState::PendingShrink { committed, proposed });
        }
    }

    /// Asks for an ISR. Returns false if an earlier change of this partition is under way: the answer is
    /// OPERATION_NOT_ATTEMPTED at once then.
    fn propose(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared, pending: IsrState) -> bool {
        let submitted = pending.proposed().is_some_and(|proposed| shared.isr_changes.submit(self.change(proposed)));
        if submitted {
            if let Some(proposed) = pending.proposed() {
                let (partition, leader_epoch, isr) = (self.id, self.leader_epoch, Arc::clone(proposed));
                ctx.observe(Observation::IsrChange { partition, leader_epoch, isr });
            }
            self.isr = pending;
            self.observe_isr(ctx);
        }
        submitted
    }

    fn change(&self, proposed: &Arc<[BrokerId]>) -> AlterPartitionItem {
        AlterPartitionItem {
            partition: self.id,
            leader_epoch: self.leader_epoch,
            new_isr: Arc::clone(proposed),
            partition_epoch: self.partition_epoch,
            recovering: false,
        }
    }

    /// The controller answered a change (`Partition.submitAlterPartition`, `handleAlterPartitionError`).
    pub(super) fn on_isr_answer(
        &mut self,
        ctx: &mut Ctx<'_>,
        cache: &MetadataCache,
        shared: &mut Shared,
        item: &AlterPartitionItem,
        answer: Result<&LeaderAndIsr, ErrorCode>,
    ) {
        // A LeaderAndIsr has replaced the state meanwhile.
        if self.isr.proposed() != Some(&item.new_isr)
            || (self.leader_epoch, self.partition_epoch) != (item.leader_epoch, item.partition_epoch)
        {
            shared.metrics.metrics.mark(ctx, Metric::FailedIsrUpdatesPerSec);
            return;
        }
        if answer.is_err() {
            shared.metrics.metrics.mark(ctx, Metric::FailedIsrUpdatesPerSec);
        }
        match answer {
            Ok(state) if state.leader_epoch == self.leader_epoch && state.partition_epoch >= self.partition_epoch => {
                let meter = match self.isr {
                    IsrState::PendingShrink { .. } => Metric::IsrShrinksPerSec,
                    _ => Metric::IsrExpandsPerSec,
                };
                shared.metrics.metrics.mark(ctx, meter);
                shared.metrics.changed = true;
                self.isr = IsrState::Committed(Arc::clone(&state.isr));
                self.partition_epoch = state.partition_epoch;
                self.observe_change_end(ctx, Some(state.partition_epoch));
                self.observe_isr(ctx);
                // A follower that left may be at the log's end already: its next fetch is to be looked at.
                self.announce(&mut shared.sessions, Wake::Nobody);
                self.maybe_increment_high_watermark(ctx, cache, shared);
            }
            Ok(_) => shared.metrics.metrics.mark(ctx, Metric::FailedIsrUpdatesPerSec),
            Err(ErrorCode::OperationNotAttempted | ErrorCode::IneligibleReplica) => {
                self.isr = IsrState::Committed(Arc::clone(self.isr.isr()));
                self.observe_change_end(ctx, None);
                self.observe_isr(ctx);
                self.announce(&mut shared.sessions, Wake::Nobody);
            }
            // KAFKA-2729: the defective leader goes back, keeps the version that it has, and asks again and again.
            Err(ErrorCode::InvalidUpdateVersion) if shared.defects.has(Defect::CachedZkVersion) => {
                self.isr = IsrState::Committed(Arc::clone(self.isr.isr()));
                self.observe_change_end(ctx, None);
                self.observe_isr(ctx);
                self.announce(&mut shared.sessions, Wake::Nobody);
            }
            // It stays pending until the controller tells a higher leader epoch.
            Err(
                ErrorCode::UnknownTopicOrPartition
                | ErrorCode::FencedLeaderEpoch
                | ErrorCode::InvalidUpdateVersion
                | ErrorCode::InvalidRequest,
            ) => {}
            Err(_) => {
                shared.isr_changes.submit(item.clone());
            }
        }
    }

    /// Reports that a batch is acknowledged.
    pub(super) fn observe_acknowledge(
        &self,
        ctx: &mut Ctx<'_>,
        shared: &Shared,
        base_offset: u64,
        records: u32,
        acks: Acks,
    ) {
        ctx.observe(Observation::Acknowledge {
            partition: self.id,
            base_offset,
            records,
            acks,
            high_watermark: self.log.high_watermark(),
            maximal_isr: self.isr.maximal_isr().len() as u32,
            min_isr: shared.config.min_insync_replicas,
        });
    }

    /// Reports the end of its leadership, if it led.
    pub(super) fn observe_leader_end(&self, ctx: &mut Ctx<'_>) {
        if self.is_leader() {
            ctx.observe(Observation::LeaderEnd { partition: self.id, leader_epoch: self.leader_epoch });
        }
    }

    fn observe_change_end(&self, ctx: &mut Ctx<'_>, stored: Option<i32>) {
        let (partition, leader_epoch, isr) = (self.id, self.leader_epoch, Arc::clone(self.isr.isr()));
        ctx.observe(Observation::IsrChangeEnd { partition, leader_epoch, isr, stored });
    }

    fn observe_isr(&self, ctx: &mut Ctx<'_>) {
        ctx.observe(Observation::IsrLocal {
            partition: self.id,
            leader_epoch: self.leader_epoch,
            isr: Arc::clone(self.isr.isr()),
            maximal_isr: Arc::clone(self.isr.maximal_isr()),
            partition_epoch: self.partition_epoch,
        });
    }
}
