//! `UnifiedLog`: the batches of one partition, with its high watermark, leader epochs and producers, and what of it a
//! power loss would leave.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::epoch_cache::EpochCache;
use super::producer_state::ProducerStates;
use super::segments::{Retention, SegmentLimits, Segments};
use crate::fingerprint::Fingerprint;
use crate::kafka::protocol::RecordBatch;
use crate::time::Instant;

/// Batches of a sealed chunk. Clones share sealed chunks, so a log that goes on after a snapshot copies less than one chunk of
/// pointers.
const CHUNK: usize = 16;
/// Batches at the end among which readers are looked for first.
const TAIL: usize = 4;

#[derive(Clone, Debug)]
struct Chunk {
    batches: Vec<Arc<RecordBatch>>,
    /// Digest of the log up to the chunk's end.
    digest: Fingerprint,
}

/// What the batches that are gone from the front have left behind: where the digest and the producers of the others begin.
#[derive(Clone, Debug, Default)]
struct Base {
    digest: Fingerprint,
    producers: ProducerStates,
}

/// What a power loss took from a log.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct LostTail {
    /// LEO before.
    pub(super) log_end: u64,
    /// High watermark before.
    pub(super) high_watermark: u64,
    /// Bytes that are gone.
    pub(super) bytes: u64,
}

/// What changes only when records come or go. Clones of a log share it until then.
#[derive(Clone, Debug, Default)]
struct Content {
    base: Arc<Base>,
    sealed: Arc<Vec<Arc<Chunk>>>,
    open: Vec<Arc<RecordBatch>>,
    segments: Segments,
    epochs: EpochCache,
    producers: ProducerStates,
}

/// One log. Batches are contiguous: each begins where the one before it ends.
#[derive(Clone, Debug)]
pub(super) struct Log {
    log_start: u64,
    log_end: u64,
    high_watermark: u64,
    digest: Fingerprint,
    content: Arc<Content>,
    /// Everything below is on the disk itself.
    synced: u64,
    /// Rises when records are cut, so that a flush that began before does not vouch for what was appended since.
    generation: u64,
    /// Bytes behind the last batch that a failed write left; recovery cuts them off.
    pub(super) torn: u64,
    /// Set from a power loss until the log is loaded.
    pub(super) lost: Option<LostTail>,
}

impl Log {
    /// An empty log.
    pub(super) fn new() -> Self {
        Self {
            log_start: 0,
            log_end: 0,
            high_watermark: 0,
            digest: Fingerprint::default(),
            content: Arc::default(),
            synced: 0,
            generation: 0,
            torn: 0,
            lost: None,
        }
    }

    /// The first offset.
    pub(super) fn log_start(&self) -> u64 {
        self.log_start
    }

    /// LEO: the offset after the last record.
    pub(super) fn log_end(&self) -> u64 {
        self.log_end
    }

    /// The high watermark; always within the log, but for [`Log::keep_stale_high_watermark`].
    pub(super) fn high_watermark(&self) -> u64 {
        self.high_watermark
    }

    /// Its leader epochs.
    pub(super) fn epochs(&self) -> &EpochCache {
        &self.content.epochs
    }

    /// Its leader epochs, to be changed.
    pub(super) fn epochs_mut(&mut self) -> &mut EpochCache {
        &mut Arc::make_mut(&mut self.content).epochs
    }

    /// Its idempotent producers.
    pub(super) fn producers(&self) -> &ProducerStates {
        &self.content.producers
    }

    /// Everything below is on the disk itself.
    pub(super) fn synced(&self) -> u64 {
        self.synced
    }

    /// Names the present content for [`Log::mark_synced`].
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Sets the high watermark, clamped into the log. Returns whether it changed.
    pub(super) fn set_high_watermark(&mut self, value: u64) -> bool {
        let value = value.clamp(self.log_start, self.log_end);
        let changed = value != self.high_watermark;
        self.high_watermark = value;
        changed
    }

    /// Appends a batch that begins at LEO. Returns the base offset of the new segment if one was rolled
    /// (`log.segment.bytes`, `log.roll.hours`): what lies below it is to be flushed.
    pub(super) fn append(&mut self, batch: Arc<RecordBatch>, limits: SegmentLimits) -> Option<u64> {
        assert_eq!(batch.base_offset, self.log_end, "a log has no holes");
        let content = Arc::make_mut(&mut self.content);
        let rolled = content.segments.append(&batch, limits).then_some(self.log_end);
        content.epochs.assign(batch.leader_epoch, batch.base_offset);
        content.producers.update(&batch);
        self.log_end = batch.next_offset();
        self.digest = extend(self.digest, &batch);
        content.open.push(batch);
        if content.open.len() == CHUNK {
            let batches = std::mem::replace(&mut content.open, Vec::with_capacity(CHUNK));
            Arc::make_mut(&mut content.sealed).push(Arc::new(Chunk { batches, digest: self.digest }));
        }
        rolled
    }

    /// Cuts the log so that it ends at `to`, or at the beginning of the batch that holds it. The high watermark is clamped,
    /// epochs and producers follow the content. Returns the bytes cut, `None` if there was nothing to cut.
    pub(super) fn truncate(&mut self, to: u64) -> Option<u64> {
        // The epoch of a leadership without records goes in any case (`UnifiedLog.truncateTo`).
        let end = to.min(self.log_end);
        self.epochs_mut().truncate_from_end(end);
        if to >= self.log_end {
            return None;
        }
        if to < self.log_start {
            return Some(self.restart_at(to));
        }
        let keep = self.index_of(to);
        let cut_at = self.get(keep).base_offset;
        let bytes = (keep..self.len()).map(|index| u64::from(self.get(index).size)).sum();
        self.cut(keep);
        self.log_end = cut_at.max(self.log_start);
        let content = Arc::make_mut(&mut self.content);
        content.epochs.truncate_from_end(self.log_end);
        content.segments.cut(bytes);
        self.synced = self.synced.min(self.log_end);
        self.high_watermark = self.high_watermark.min(self.log_end);
        self.generation += 1;
        self.rebuild_producers();
        Some(bytes)
    }

    /// Drops everything and begins anew at `start` (`truncateFullyAndStartAt`). Returns the bytes dropped.
    pub(super) fn restart_at(&mut self, start: u64) -> u64 {
        let bytes = self.content.segments.bytes() + self.torn;
        let generation = self.generation + 1;
        *self = Self::new();
        self.generation = generation;
        (self.log_start, self.log_end, self.high_watermark, self.synced) = (start, start, start, start);
        bytes
    }

    /// Puts the high watermark before the first offset, where no sound log has it.
    pub(super) fn keep_stale_high_watermark(&mut self, value: u64) {
        self.high_watermark = value;
    }

    /// Moves the first offset up, as the leader's did, but not beyond the high watermark: offsets below are readable no more.
    /// Segments that lie wholly below wait for retention. Returns whether it moved.
    pub(super) fn advance_log_start(&mut self, to: u64) -> bool {
        let to = to.min(self.high_watermark);
        let moves = to > self.log_start;
        if moves {
            self.log_start = to;
            self.epochs_mut().truncate_from_start(to);
            self.drop_batches_below(to);
        }
        moves
    }

    /// `UnifiedLog.deleteOldSegments`: deletes the segments that retention does not keep. Returns their bytes, `None` if
    /// there are none.
    pub(super) fn delete_old_segments(&mut self, retention: Retention, wall: Instant) -> Option<u64> {
        let bounds = (self.log_start, self.high_watermark, self.log_end);
        let start = self.content.segments.retained_from(retention, bounds, wall)?;
        let bytes = Arc::make_mut(&mut self.content).segments.delete_below(start, self.log_end);
        self.advance_log_start(start);
        Some(bytes)
    }

    /// Lets go of whole chunks, so that it costs a few pointers; what shares a chunk with the first offset stays unread.
    fn drop_batches_below(&mut self, offset: u64) {
        let gone = self.content.sealed.partition_point(|chunk| chunk.batches[CHUNK - 1].next_offset() <= offset);
        if gone == 0 {
            return;
        }
        let Content { base, sealed, .. } = Arc::make_mut(&mut self.content);
        let base = Arc::make_mut(base);
        for chunk in Arc::make_mut(sealed).drain(..gone) {
            chunk.batches.iter().for_each(|batch| base.producers.update(batch));
            base.digest = chunk.digest;
        }
    }

    /// Batches from the one that holds `from` on, that end at or before `end`, of at most `max_bytes` in all; the first one
    /// goes out in any case if `min_one`.
    pub(super) fn read(&self, from: u64, end: u64, max_bytes: u64, min_one: bool) -> Vec<Arc<RecordBatch>> {
        let first = self.index_of(from);
        let mut left = max_bytes;
        let fits = |index: &usize| {
            let batch = self.get(*index);
            let size = u64::from(batch.size);
            let fits = batch.next_offset() <= end && (size <= left || min_one && *index == first);
            left = left.saturating_sub(size);
            fits
        };
        let count = (first..self.len()).take_while(fits).count();
        // Exactly as many as there are: mostly one, and a vector that grows would begin with four.
        (first..first + count).map(|index| Arc::clone(self.get(index))).collect()
    }

    /// Whether any batch from `from` on ends at or before `end`.
    pub(super) fn has_batch(&self, from: u64, end: u64) -> bool {
        // The batch that holds `from` ends behind it.
        if from >= end {
            return false;
        }
        let index = self.index_of(from);
        index < self.len() && self.get(index).next_offset() <= end
    }

    /// Everything below `offset` was on the disk when the flush ended that began with this `generation`.
    pub(super) fn mark_synced(&mut self, offset: u64, generation: u64) {
        if generation == self.generation {
            self.synced = self.synced.max(offset.min(self.log_end));
        }
    }

    /// Bytes of all its segments.
    pub(super) fn size(&self) -> u64 {
        self.content.segments.bytes()
    }

    /// Bytes of the segments that recovery reads: from the one that holds `recovery_point` on.
    pub(super) fn bytes_to_recover(&self, recovery_point: u64) -> u64 {
        self.content.segments.bytes_from(recovery_point) + self.torn
    }

    /// Power loss: of the batches that were not flushed as many survive as `survivors` says of their number. Returns whether any
    /// is lost.
    pub(super) fn lose_page_cache(&mut self, survivors: impl FnOnce(u64) -> u64) -> bool {
        let before = (self.log_end, self.high_watermark);
        let first_unsynced = self.index_of(self.synced);
        let unsynced = self.len() - first_unsynced;
        if unsynced > 0 {
            let survivors = survivors(unsynced as u64) as usize;
            if survivors < unsynced {
                let cut_at = self.get(first_unsynced + survivors).base_offset;
                let bytes = self.truncate(cut_at).unwrap_or(0);
                let already = self.lost.map_or(0, |lost| lost.bytes);
                let (log_end, high_watermark) = self.lost.map_or(before, |lost| (lost.log_end, lost.high_watermark));
                self.lost = Some(LostTail { log_end, high_watermark, bytes: bytes + already });
            }
        }
        self.synced = self.log_end;
        self.log_end < before.0
    }

    fn len(&self) -> usize {
        self.content.sealed.len() * CHUNK + self.content.open.len()
    }

    fn get(&self, index: usize) -> &Arc<RecordBatch> {
        let Content { sealed, open, .. } = &*self.content;
        match sealed.get(index / CHUNK) {
            Some(chunk) => &chunk.batches[index % CHUNK],
            None => &open[index - sealed.len() * CHUNK],
        }
    }

    /// The index of the batch that holds `offset`, or [`Log::len`] if it is not below LEO.
    fn index_of(&self, offset: u64) -> usize {
        if offset >= self.log_end {
            return self.len();
        }
        let Content { sealed: chunks, open, .. } = &*self.content;
        let sealed = chunks.len() * CHUNK;
        // Readers are almost always at the tail, and what they read was just written: a search would touch colder batches.
        let tail = open.len().saturating_sub(TAIL);
        if let Some(behind) = open[tail..].iter().rposition(|batch| batch.base_offset <= offset) {
            return sealed + tail + behind;
        }
        if open.first().is_some_and(|first| first.base_offset <= offset) {
            return sealed + open[..tail].partition_point(|batch| batch.next_offset() <= offset);
        }
        let chunk = chunks.partition_point(|c| c.batches[CHUNK - 1].next_offset() <= offset);
        let within = |c: &Arc<Chunk>| c.batches.partition_point(|batch| batch.next_offset() <= offset);
        chunk * CHUNK + chunks.get(chunk).map_or(0, within)
    }

    /// Keeps the first `keep` batches.
    fn cut(&mut self, keep: usize) {
        let Content { base, sealed, open, .. } = Arc::make_mut(&mut self.content);
        let chunks = keep / CHUNK;
        if chunks < sealed.len() {
            *open = sealed[chunks].batches[..keep % CHUNK].to_vec();
            Arc::make_mut(sealed).truncate(chunks);
        } else {
            open.truncate(keep - sealed.len() * CHUNK);
        }
        let sealed_digest = sealed.last().map_or(base.digest, |chunk| chunk.digest);
        self.digest = open.iter().fold(sealed_digest, |digest, batch| extend(digest, batch));
    }

    fn rebuild_producers(&mut self) {
        let Content { base, sealed, open, producers, .. } = Arc::make_mut(&mut self.content);
        producers.clone_from(&base.producers);
        for batch in sealed.iter().flat_map(|chunk| &chunk.batches).chain(open.iter()) {
            producers.update(batch);
        }
    }
}

impl Hash for Log {
    /// The digest stands for the batches, so that hashing a log does not cost its length.
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.log_start, self.log_end, self.high_watermark, self.synced, self.generation).hash(state);
        self.digest.value().hash(state);
        self.content.segments.hash(state);
        self.content.epochs.hash(state);
        self.content.producers.hash(state);
        self.torn.hash(state);
        self.lost.hash(state);
    }
}

fn extend(mut digest: Fingerprint, batch: &RecordBatch) -> Fingerprint {
    digest.fold(batch.base_offset);
    digest.fold((batch.leader_epoch as u32 as u64) << 32 | u64::from(batch.size));
    if let Some(mark) = batch.producer {
        digest.fold(mark.id.0);
        digest.fold(u64::from(mark.epoch) << 32 | u64::from(mark.base_sequence));
    }
    batch.values.iter().for_each(|value| digest.fold(value.0));
    digest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ValueId;
    use crate::random::{Purpose, Random};

    const LIMITS: SegmentLimits = SegmentLimits { bytes: 1_000, age_ms: 1_000_000 };

    fn log_of(batches: u64) -> Log {
        let mut log = Log::new();
        for number in 0..batches {
            append(&mut log, number as i32 / 100, 2);
        }
        log
    }

    fn append(log: &mut Log, leader_epoch: i32, records: u64) {
        let base_offset = log.log_end();
        let values = (base_offset..base_offset + records).map(ValueId).collect();
        let batch = RecordBatch {
            base_offset,
            leader_epoch,
            producer: None,
            values,
            content: None,
            size: 100,
            timestamp: Instant::ZERO,
        };
        log.append(Arc::new(batch), LIMITS);
    }

    #[test]
    fn reads_find_the_batch_that_holds_an_offset() {
        let log = log_of(300);
        let check = |from, end, max_bytes, min_one, expected: &[u64]| {
            let found: Vec<_> = log.read(from, end, max_bytes, min_one).iter().map(|b| b.base_offset).collect();
            assert_eq!(found, expected, "from {from} to {end}, {max_bytes} bytes");
        };
        check(0, 600, 200, false, &[0, 2]);
        check(127, 600, 250, false, &[126, 128]);
        check(599, 600, 1, true, &[598]);
        check(599, 600, 1, false, &[]);
        check(596, 599, 1_000, true, &[596]);
        check(600, 600, 1_000, true, &[]);
    }

    #[test]
    fn a_cut_log_equals_one_that_was_never_longer() {
        for keep in [0, 1, 63, 64, 65, 128, 200, 299] {
            let mut cut = log_of(300);
            cut.truncate(2 * keep + u64::from(keep > 0 && keep % 2 == 1)); // Also into the middle of a batch.
            cut.generation = 0;
            assert_eq!(Fingerprint::of(&cut), Fingerprint::of(&log_of(keep)), "{keep} batches");
        }
    }

    #[test]
    fn a_log_without_its_front_reads_and_cuts_as_before() {
        let retention = Retention { age: None, bytes: Some(10_000) };
        let mut log = log_of(300); // Thirty segments of twenty offsets, of which ten stay.
        log.set_high_watermark(600);
        assert_eq!(log.delete_old_segments(retention, Instant::ZERO), Some(20_000));
        assert_eq!((log.log_start(), log.len()), (400, 300 - 12 * CHUNK), "whole chunks are gone");
        assert_eq!(log.delete_old_segments(retention, Instant::ZERO), None);
        let found: Vec<_> = log.read(401, 600, 200, false).iter().map(|b| b.base_offset).collect();
        assert_eq!(found, [400, 402]);
        let mut whole = log_of(300);
        whole.truncate(500);
        log.truncate(500);
        assert_eq!(log.digest.value(), whole.digest.value(), "the digest stands for what is gone too");
        append(&mut log, 9, 2);
        assert_eq!(log.read(500, 502, 100, true).len(), 1);
        log.truncate(100);
        assert_eq!((log.log_start(), log.log_end()), (100, 100), "below its start nothing is left");
    }

    #[test]
    fn power_loss_keeps_a_prefix_from_the_flushed_part_on() {
        let mut random = Random::new(1, Purpose::Process, 0);
        let mut ends = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let mut log = log_of(8);
            log.mark_synced(10, log.generation());
            log.lose_page_cache(|unsynced| random.below(unsynced + 1));
            ends.insert(log.log_end());
        }
        assert_eq!(ends.into_iter().collect::<Vec<_>>(), [10, 12, 14, 16]);
    }

    #[test]
    fn a_flush_does_not_vouch_for_records_appended_after_a_cut() {
        let mut log = log_of(8);
        let before = log.generation();
        log.truncate(4);
        append(&mut log, 9, 10);
        log.mark_synced(14, before);
        assert_eq!(log.synced(), 0);
        log.mark_synced(14, log.generation());
        assert_eq!(log.synced(), 14);
    }

    #[test]
    fn recovery_reads_from_the_segment_of_the_recovery_point_on() {
        let log = log_of(25); // Ten batches of 100 bytes a segment, so segments begin at 0, 20 and 40.
        let bytes: Vec<_> = [0, 19, 20, 40, 50].map(|point| log.bytes_to_recover(point)).into();
        assert_eq!(bytes, [2_500, 2_500, 1_500, 500, 500]);
    }
}
