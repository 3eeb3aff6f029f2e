//! The logs of all replicas and the committed log of each partition, each with a running digest: whether two logs agree up
//! to an offset is one comparison at that offset.

use std::sync::Arc;

use crate::fingerprint::Fingerprint;
use crate::id::ValueId;
use crate::shared_log::SharedLog;
use crate::shared_vec::SharedVec;

/// A record, as far as a comparison needs it.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Digest of the log up to this record, this one included.
    digest: u64,
    value: ValueId,
}

/// A replica's log.
#[derive(Clone, Debug, Default)]
pub(super) struct Replica {
    entries: SharedLog<Entry>,
    /// Offset of the first entry.
    start: u64,
    /// Digest of what lies below `start`.
    start_digest: u64,
    /// Records that nobody observed lie in it, so that nothing can be said of it.
    opaque: bool,
    /// Each leader epoch of its records with the offset of the first one, in the order of the log.
    epochs: Arc<Vec<(i32, u64)>>,
    /// The high watermark that the replica has learned in its present life.
    pub(super) high_watermark: u64,
}

impl Replica {
    /// Offset of the first record.
    pub(super) fn log_start(&self) -> u64 {
        self.start
    }

    /// The record at `offset`, if it is known.
    pub(super) fn value(&self, offset: u64) -> Option<ValueId> {
        self.entries.get(usize::try_from(offset.checked_sub(self.start)?).ok()?).map(|entry| entry.value)
    }

    /// The leader epoch of the last record.
    pub(super) fn last_epoch(&self) -> Option<i32> {
        self.epochs.last().map(|(epoch, _)| *epoch)
    }

    /// The pieces of one leader epoch each that `from..to` consists of: epoch, first offset, offset after the last.
    pub(super) fn pieces(&self, from: u64, to: u64) -> impl Iterator<Item = (i32, u64, u64)> {
        let first = self.epochs.partition_point(|(_, start)| *start <= from).saturating_sub(1);
        let ends = self.epochs.iter().skip(first + 1).map(|(_, start)| *start).chain([self.leo()]);
        let pieces = self.epochs.iter().skip(first).zip(ends);
        let pieces = pieces.map(move |((epoch, start), end)| (*epoch, (*start).max(from), end.min(to)));
        pieces.filter(|(_, start, end)| start < end)
    }

    /// Log end offset.
    pub(super) fn leo(&self) -> u64 {
        self.start + self.entries.len() as u64
    }

    /// Digest of all records below `offset`; `None` outside the log, or if it cannot be known.
    pub(super) fn digest(&self, offset: u64) -> Option<u64> {
        if self.opaque {
            return None;
        }
        match offset.checked_sub(self.start)? {
            0 => Some(self.start_digest),
            index => self.entries.get(index as usize - 1).map(|entry| entry.digest),
        }
    }

    fn append(&mut self, base_offset: u64, leader_epoch: i32, values: &[ValueId], committed: &Committed) {
        if base_offset > self.leo() {
            self.restart(base_offset, committed);
        }
        self.truncate(base_offset);
        let mut digest = Fingerprint::from_value(self.entries.last().map_or(self.start_digest, |entry| entry.digest));
        if self.epochs.last().is_none_or(|(epoch, _)| *epoch != leader_epoch) {
            Arc::make_mut(&mut self.epochs).push((leader_epoch, base_offset));
        }
        for value in values {
            digest.fold(value.0);
            digest.fold(leader_epoch as u64);
            self.entries.push(Entry { digest: digest.value(), value: *value });
        }
    }

    /// The leader's log starts at `start`. What was deleted there counts as equal to the committed log.
    fn restart(&mut self, start: u64, committed: &Committed) {
        let below = committed.digest(start);
        let (start_digest, opaque) = (below.unwrap_or(0), below.is_none());
        *self = Self { start, start_digest, opaque, ..Self::default() };
    }

    fn truncate(&mut self, to: u64) {
        if to < self.start {
            *self = Self { opaque: to > 0, start: to, high_watermark: self.high_watermark, ..Self::default() };
        }
        self.entries.truncate((to - self.start) as usize);
        self.opaque &= self.leo() > 0;
        if self.epochs.last().is_some_and(|(_, start)| *start >= to) {
            Arc::make_mut(&mut self.epochs).retain(|(_, start)| *start < to);
        }
    }
}

/// The records below the largest high watermark that any leader has reported, and who may still raise it.
#[derive(Clone, Debug, Default)]
pub(super) struct Committed {
    entries: SharedLog<Entry>,
    /// Reports of older leader epochs no longer count: a permitted loss has made another log the true one.
    floor_epoch: i32,
    /// The largest log start of any replica: retention may have deleted what lies before.
    log_start: u64,
}

impl Committed {
    /// `TrueHW`.
    pub(super) fn true_hw(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Digest of all committed records below `offset`.
    pub(super) fn digest(&self, offset: u64) -> Option<u64> {
        match offset {
            0 => Some(0),
            _ => self.entries.get(offset as usize - 1).map(|entry| entry.digest),
        }
    }

    /// Whether retention may have deleted what stood at `offset`.
    pub(super) fn is_below_start(&self, offset: u64) -> bool {
        offset < self.log_start
    }

    /// Whether the record was committed and may have been deleted since: `value` at `offset`, or anywhere if nobody told its
    /// offset.
    pub(super) fn is_deleted(&self, value: ValueId, offset: Option<u64>) -> bool {
        match offset {
            Some(offset) => offset < self.log_start && self.value(offset) == Some(value),
            None => (0..self.log_start).any(|offset| self.value(offset) == Some(value)),
        }
    }

    /// The committed record at `offset`.
    pub(super) fn value(&self, offset: u64) -> Option<ValueId> {
        self.entries.get(usize::try_from(offset).ok()?).map(|entry| entry.value)
    }
}

/// All logs.
#[derive(Clone, Debug)]
pub(super) struct LogView {
    partitions: usize,
    /// By broker number, then by partition number.
    replicas: SharedVec<Replica>,
    committed: SharedVec<Committed>,
}

impl LogView {
    pub(super) fn new(brokers: usize, partitions: usize) -> Self {
        Self { partitions, replicas: SharedVec::new(brokers * partitions), committed: SharedVec::new(partitions) }
    }

    pub(super) fn replica(&self, broker: usize, partition: usize) -> &Replica {
        &self.replicas[broker * self.partitions + partition]
    }

    pub(super) fn committed(&self, partition: usize) -> &Committed {
        &self.committed[partition]
    }

    pub(super) fn append(
        &mut self,
        broker: usize,
        partition: usize,
        base_offset: u64,
        leader_epoch: i32,
        values: &[ValueId],
    ) {
        let replica = &mut self.replicas[broker * self.partitions + partition];
        replica.append(base_offset, leader_epoch, values, &self.committed[partition]);
    }

    pub(super) fn truncate(&mut self, broker: usize, partition: usize, to: u64) {
        let replica = self.replica_mut(broker, partition);
        replica.truncate(to.min(replica.leo()));
        replica.high_watermark = replica.high_watermark.min(to);
    }

    /// A replica drops its log and begins anew at `start`.
    pub(super) fn restart(&mut self, broker: usize, partition: usize, start: u64) {
        let replica = &mut self.replicas[broker * self.partitions + partition];
        replica.restart(start, &self.committed[partition]);
        replica.high_watermark = start;
    }

    /// A replica starts with a log that ends at `leo`. What survives a crash is a prefix.
    pub(super) fn load(&mut self, broker: usize, partition: usize, leo: u64) {
        let replica = self.replica_mut(broker, partition);
        replica.high_watermark = 0;
        if leo > replica.leo() {
            *replica = Replica { start: leo, opaque: true, ..Replica::default() };
        } else {
            replica.truncate(leo);
        }
    }

    /// Whether a replica agrees with the committed log below `offset`; `None` if that cannot be known.
    pub(super) fn agrees(&self, broker: usize, partition: usize, offset: u64) -> Option<bool> {
        let replica = self.replica(broker, partition);
        if offset < replica.start || replica.opaque {
            return None;
        }
        Some(replica.digest(offset) == self.committed[partition].digest(offset))
    }

    /// Whether a report of that epoch counts.
    pub(super) fn counts(&self, partition: usize, leader_epoch: i32) -> bool {
        leader_epoch >= self.committed[partition].floor_epoch
    }

    pub(super) fn high_watermark(&mut self, broker: usize, partition: usize, value: u64) {
        self.replica_mut(broker, partition).high_watermark = value;
    }

    /// Some replica's log begins at `log_start` now.
    pub(super) fn log_start(&mut self, partition: usize, log_start: u64) {
        let committed = &mut self.committed[partition];
        committed.log_start = committed.log_start.max(log_start);
    }

    /// A leader reported the high watermark `value`: commits what its log holds below it. Returns whether `TrueHW` rose.
    pub(super) fn commit(&mut self, broker: usize, partition: usize, value: u64) -> bool {
        let replica = &self.replicas[broker * self.partitions + partition];
        let committed = &mut self.committed[partition];
        let (from, to) = (committed.true_hw(), value.min(replica.leo()));
        if to <= from || replica.opaque || from < replica.start {
            return false;
        }
        for offset in from..to {
            if let Some(entry) = replica.entries.get((offset - replica.start) as usize) {
                committed.entries.push(entry);
            }
        }
        true
    }

    /// The first offset at which a replica parts from the committed log, its end included; `TrueHW` if it does not.
    pub(super) fn parting(&self, broker: usize, partition: usize) -> u64 {
        let (replica, committed) = (self.replica(broker, partition), &self.committed[partition]);
        let agree = |index: usize, entry: Entry| {
            let offset = index as u64 + 1;
            offset <= replica.start || replica.digest(offset) == Some(entry.digest)
        };
        committed.entries.partition_point(agree) as u64
    }

    /// A permitted loss: from `leader_epoch` on, the log of its leader is the true one. Returns the new `TrueHW`.
    pub(super) fn rebase(&mut self, broker: usize, partition: usize, leader_epoch: i32) -> u64 {
        let parting = self.parting(broker, partition);
        self.committed[partition].entries.truncate(parting as usize);
        self.committed[partition].floor_epoch = leader_epoch;
        for index in (partition..self.replicas.len()).step_by(self.partitions) {
            let replica = &mut self.replicas[index];
            replica.high_watermark = replica.high_watermark.min(parting);
        }
        parting
    }

    fn replica_mut(&mut self, broker: usize, partition: usize) -> &mut Replica {
        &mut self.replicas[broker * self.partitions + partition]
    }
}
