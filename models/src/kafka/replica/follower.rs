//! The following replica: what it takes from its leader, and where it cuts its log.

use std::sync::Arc;

use super::isr::IsrState;
use super::partition::{Partition, Shared, Wake};
use crate::defect::Defect;
use crate::id::BrokerId;
use crate::kafka::protocol::{EpochEnd, ErrorCode, PartitionLeadership, RecordBatch, UNDEFINED_EPOCH};
use crate::observation::{Observation, TruncateReason};
use crate::world::Ctx;

/// Why a follower cannot take what its leader sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AppendFailure {
    /// The records do not begin at its LEO; the real replica throws.
    Misplaced,
    /// The disk refuses; its directory has been reported.
    Disk,
}

impl Partition {
    /// `Partition.makeFollower`. The caller has compared the leader epochs. Returns false if the request's partition epoch is
    /// older than what is known.
    pub(super) fn make_follower(
        &mut self,
        ctx: &mut Ctx<'_>,
        shared: &mut Shared,
        told: &PartitionLeadership,
        leader: BrokerId,
    ) -> bool {
        if told.state.partition_epoch < self.partition_epoch {
            return false;
        }
        self.step_down(ctx, shared);
        self.leader = Some(leader);
        self.leader_epoch = told.state.leader_epoch;
        self.partition_epoch = told.state.partition_epoch;
        self.controller_epoch = told.controller_epoch;
        true
    }

    /// Ceases to lead: whatever waits here is answered.
    pub(super) fn step_down(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared) {
        self.announce(&mut shared.sessions, Wake::Everyone);
        self.observe_leader_end(ctx);
        self.epoch_start = None;
        shared.metrics.changed = true;
        self.isr = IsrState::Committed(Arc::new([]));
        self.remotes.clear();
        self.fail_waiters(ctx, shared, ErrorCode::NotLeaderOrFollower);
    }

    /// Takes records and high watermark from the leader (`ReplicaFetcherThread.processPartitionData`). What the leader took
    /// is taken unchecked (KAFKA-6003). Returns whether `log.flush.interval.messages` is reached.
    pub(super) fn append_as_follower(
        &mut self,
        ctx: &mut Ctx<'_>,
        shared: &mut Shared,
        records: Vec<Arc<RecordBatch>>,
        leader_high_watermark: u64,
        leader_log_start: u64,
    ) -> Result<bool, AppendFailure> {
        let mut flush = false;
        for batch in records {
            if batch.base_offset != self.log.log_end() {
                return Err(AppendFailure::Misplaced);
            }
            flush |= self.append(ctx, shared, batch).map_err(|_| AppendFailure::Disk)?;
        }
        self.take_high_watermark(ctx, shared, leader_high_watermark);
        let before = self.log.log_start();
        if self.log.advance_log_start(leader_log_start) {
            self.note_log_start(ctx, shared, before);
        }
        Ok(flush)
    }

    /// The leader's may be lower than ours after an election: the follower takes it as it is. Consumers that read here may
    /// have waited for it.
    pub(super) fn take_high_watermark(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared, leader_high_watermark: u64) {
        if self.log.set_high_watermark(leader_high_watermark) {
            self.observe_high_watermark(ctx);
            self.announce(&mut shared.sessions, Wake::Consumers);
        }
    }

    /// The leader told where the logs part (`AbstractFetcherThread.getOffsetTruncationState`, KIP-279): the log is cut there.
    /// False if our floor epoch is smaller than the leader's: then it is cut to the end of ours, and the leader has to be
    /// asked again.
    pub(super) fn truncate_to_epoch_end(
        &mut self,
        ctx: &mut Ctx<'_>,
        shared: &mut Shared,
        end: EpochEnd,
        reason: TruncateReason,
    ) -> bool {
        let own =
            self.log.epochs().end_offset_for(end.epoch, self.log.log_end()).filter(|_| end.epoch != UNDEFINED_EPOCH);
        let (to, settled) = match own {
            Some(own) if own.epoch == end.epoch => (own.end_offset.min(end.end_offset), true),
            Some(own) => (own.end_offset, false),
            None => (end.end_offset, true),
        };
        self.truncate(ctx, shared, to, reason);
        settled
    }

    /// Cuts the log so that it ends at `to` at the latest.
    pub(super) fn truncate(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared, to: u64, reason: TruncateReason) {
        let permitted = !self.is_leader() || shared.defects.has(Defect::TruncateAfterRoleChange);
        assert!(permitted, "a leader never truncates (KAFKA-13207)");
        self.announce(&mut shared.sessions, Wake::Everyone);
        let (from, high_watermark) = (self.log.log_end(), self.log.high_watermark());
        let Some(bytes) = self.log.truncate(to) else { return };
        ctx.free(bytes);
        self.observe_truncate(ctx, from, high_watermark, reason);
    }

    /// Drops everything and begins anew where the leader's log begins.
    pub(super) fn truncate_fully(&mut self, ctx: &mut Ctx<'_>, shared: &mut Shared, start: u64) {
        assert!(!self.is_leader(), "a leader never truncates (KAFKA-13207)");
        self.announce(&mut shared.sessions, Wake::Everyone);
        let (from, high_watermark) = (self.log.log_end(), self.log.high_watermark());
        let bytes = self.log.restart_at(start);
        // KAFKA-9491 (R16): the defective log keeps a high watermark that lies before its first offset now.
        if shared.defects.has(Defect::StaleHwAfterFullTruncation) {
            self.log.keep_stale_high_watermark(high_watermark);
        }
        ctx.free(bytes);
        self.observe_truncate(ctx, from, high_watermark, TruncateReason::Full);
    }

    fn observe_truncate(&self, ctx: &mut Ctx<'_>, from: u64, high_watermark: u64, reason: TruncateReason) {
        ctx.observe(Observation::Truncate {
            partition: self.id,
            from,
            to: self.log.log_end(),
            high_watermark,
            leader_epoch: self.leader_epoch,
            role: self.role(),
            reason,
        });
        if self.log.high_watermark() != high_watermark {
            self.observe_high_watermark(ctx);
        }
    }
}
