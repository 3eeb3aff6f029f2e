//! `SubscriptionState`: one partition's position and what has to happen before it can be read on from there.

use std::sync::Arc;

use super::{ErrorCode, FetchedPartition, Instant, Observation, OffsetSpec, ValueId};
use crate::id::BrokerId;
use crate::kafka::config::{ConsumerConfig, OffsetReset};
use crate::world::Ctx;

/// What a partition waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// A position: its old one, if it had any, is invalid.
    Reset {
        /// Where it is to go.
        at: OffsetSpec,
        /// Where it was.
        from: Option<u64>,
    },
    /// The leader's word that its position still exists.
    Validate,
    /// Records.
    Fetch,
    /// The position that its group left off at.
    Committed,
    /// Nothing: its position is invalid and nobody says where to go.
    Halted,
    /// Nothing: another member of the group reads it.
    Unassigned,
}

/// One partition.
#[derive(Clone, Debug, Hash)]
pub(super) struct PartitionState {
    pub(super) phase: Phase,
    /// The next offset to read.
    pub(super) offset: Option<u64>,
    /// The leader epoch of the last record read.
    pub(super) offset_epoch: Option<i32>,
    /// The leader epoch under which the position is valid.
    validated_epoch: Option<i32>,
    /// The broker in whose lists it stands.
    pub(super) home: Option<BrokerId>,
    /// The end of its back-off.
    pub(super) waits_until: Option<Instant>,
    /// The follower that its leader told us to read from, and until when.
    pub(super) preferred: Option<(BrokerId, Instant)>,
    /// The leader epochs of the records that led to the position, oldest first, each with the first offset read of it.
    history: Vec<(i32, u64)>,
    reported_end: Option<u64>,
}

/// What a leader's answer about the end of an epoch means for a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Validity {
    /// All that was read before it is in the leader's log.
    Valid,
    /// The histories part, at `to` or before.
    PartsAt {
        /// The first offset known to differ.
        to: u64,
        /// The epoch of the record before it.
        epoch: i32,
        /// Whether they may part before that: the leader has to be asked about `epoch` as well.
        ask_again: bool,
    },
    /// They part before everything that it knows of.
    Lost,
}

impl PartitionState {
    /// Without a position: `auto.offset.reset` says where it begins. If that is `none` the application has to, and seeks to
    /// the beginning.
    pub(super) fn new(config: &ConsumerConfig) -> Self {
        Self::in_phase(Phase::Reset { at: config.reset_spec().unwrap_or(OffsetSpec::Earliest), from: None })
    }

    const fn in_phase(phase: Phase) -> Self {
        Self {
            phase,
            offset: None,
            offset_epoch: None,
            validated_epoch: None,
            home: None,
            waits_until: None,
            preferred: None,
            history: Vec::new(),
            reported_end: None,
        }
    }

    /// Of a consumer in a group, before it has been given a share.
    pub(super) fn unassigned() -> Self {
        Self::in_phase(Phase::Unassigned)
    }

    /// Another member reads it from now on.
    pub(super) fn release(&mut self) {
        *self = Self { validated_epoch: self.validated_epoch, ..Self::unassigned() };
    }

    /// Goes to an offset that a leader named.
    pub(super) fn seek(&mut self, offset: u64, epoch: Option<i32>) {
        self.offset = Some(offset);
        self.offset_epoch = epoch;
        self.phase = Phase::Fetch;
        self.preferred = None;
        self.history.clear();
    }

    /// What it means for the position `from` that the leader's last epoch up to that of the last record read is `epoch`, and ends
    /// at `end`. `by_end_alone` as [`Defect::ValidationByEndAlone`](crate::defect::Defect::ValidationByEndAlone) does it.
    pub(super) fn validity(&self, from: u64, (epoch, end): (i32, u64), by_end_alone: bool) -> Validity {
        if by_end_alone || self.offset_epoch.is_none_or(|read| read <= epoch) {
            return match end >= from {
                true => Validity::Valid,
                false => Validity::PartsAt { to: end, epoch, ask_again: false },
            };
        }
        // Nothing that was read of a later epoch is in the leader's log: as for a follower (KIP-279), what is left to compare is what
        // was read before that.
        let common = self.history.partition_point(|(read, _)| *read <= epoch);
        match (common.checked_sub(1), self.history.get(common)) {
            (Some(last), Some((_, began))) => {
                let before = self.history[last].0;
                Validity::PartsAt { to: end.min(*began), epoch: before, ask_again: before != epoch }
            }
            _ => Validity::Lost,
        }
    }

    /// Goes back to where its history and the leader's part.
    pub(super) fn go_back(&mut self, to: u64, epoch: i32, ask_again: bool) {
        let mut history = std::mem::take(&mut self.history);
        self.seek(to, Some(epoch));
        history.retain(|(_, began)| *began < to);
        self.history = history;
        if ask_again {
            self.phase = Phase::Validate;
        }
    }

    /// The leader epoch is `epoch` now: the position has to be validated, unless the consumer is `blind` to that. One whose
    /// record's epoch is unknown cannot be. Returns whether the epoch is another one than before.
    pub(super) fn enter_epoch(&mut self, epoch: i32, blind: bool) -> bool {
        let changed = self.validated_epoch.is_some_and(|validated| validated != epoch);
        self.validated_epoch = Some(epoch);
        if changed && !blind && self.phase == Phase::Fetch && self.offset_epoch.is_some() {
            self.phase = Phase::Validate;
        }
        changed
    }

    /// Takes records and the end of the log from a fetch's answer: reports a poll for each run of consecutive offsets.
    pub(super) fn take(&mut self, ctx: &mut Ctx<'_>, replica: BrokerId, fetched: &FetchedPartition) {
        assert_eq!(fetched.error, ErrorCode::None);
        let Some(mut position) = self.offset else { return };
        let partition = fetched.partition;
        let (mut base_offset, mut run) = (position, Run::Empty);
        for batch in fetched.records.iter().filter(|batch| !batch.values.is_empty()) {
            // A batch may begin before the position, and offsets may be missing between batches.
            let skip = position.saturating_sub(batch.base_offset);
            if skip >= batch.values.len() as u64 {
                continue;
            }
            if batch.base_offset > position {
                if let Some(values) = std::mem::take(&mut run).values() {
                    ctx.observe(Observation::Poll { partition, base_offset, values, replica });
                }
                base_offset = batch.base_offset;
            }
            if self.history.last().is_none_or(|(epoch, _)| *epoch != batch.leader_epoch) {
                self.history.push((batch.leader_epoch, batch.base_offset + skip));
            }
            run.append(&batch.values, skip as usize);
            position = batch.next_offset();
            self.offset_epoch = Some(batch.leader_epoch);
        }
        if let Some(values) = run.values() {
            ctx.observe(Observation::Poll { partition, base_offset, values, replica });
        }
        self.offset = Some(position);
        let end = fetched.high_watermark;
        if end == position && self.reported_end != Some(end) {
            self.reported_end = Some(end);
            ctx.observe(Observation::EndOffset { partition, offset: end });
        }
    }
}

/// Records at consecutive offsets. Nearly always they are one batch, and shared with it.
#[derive(Default)]
enum Run {
    #[default]
    Empty,
    Batch(Arc<[ValueId]>),
    Joined(Vec<ValueId>),
}

impl Run {
    /// Adds the records of `batch` but for the first `skip`.
    fn append(&mut self, batch: &Arc<[ValueId]>, skip: usize) {
        match self {
            Self::Empty if skip == 0 => *self = Self::Batch(Arc::clone(batch)),
            Self::Empty => *self = Self::Joined(batch[skip..].to_vec()),
            Self::Batch(first) => *self = Self::Joined([&first[..], &batch[skip..]].concat()),
            Self::Joined(values) => values.extend_from_slice(&batch[skip..]),
        }
    }

    /// All of them, `None` if there are none.
    fn values(self) -> Option<Arc<[ValueId]>> {
        match self {
            Self::Empty => None,
            Self::Batch(values) => Some(values),
            Self::Joined(values) => Some(values.into()),
        }
    }
}

impl ConsumerConfig {
    /// Where an invalid position goes, if there is a policy.
    pub(super) fn reset_spec(&self) -> Option<OffsetSpec> {
        match self.auto_offset_reset {
            OffsetReset::Earliest => Some(OffsetSpec::Earliest),
            OffsetReset::Latest => Some(OffsetSpec::Latest),
            OffsetReset::None => None,
        }
    }
}
