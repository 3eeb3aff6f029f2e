//! What the leader of each epoch appended: the one record that a pair of epoch and offset names. A log is a sequence of
//! pieces of these, so that what is in it need not be kept for each replica.

use std::sync::Arc;

use super::log_view::Replica;
use crate::id::ValueId;
use crate::kafka::protocol::ProducerMark;
use crate::shared_log::SharedLog;
use crate::shared_vec::SharedVec;
use crate::time::Instant;

/// A batch that a leader appended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch {
    pub(super) base_offset: u64,
    pub(super) records: u32,
    pub(super) producer: Option<ProducerMark>,
    /// When it was appended.
    pub(super) at: Instant,
}

/// What one leader appended in its epoch.
#[derive(Clone, Debug, Default)]
struct EpochLog {
    epoch: i32,
    start: u64,
    values: SharedLog<ValueId>,
    batches: SharedLog<Batch>,
}

/// What a comparison with the leader's own records showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// They are the leader's.
    Same,
    /// The leader appended another record at this offset, or none.
    Differs(u64, Option<ValueId>),
    /// Nobody was seen to append in that epoch.
    Unknown,
}

/// All of them, by partition, in the order in which the epochs were first appended in.
#[derive(Clone, Debug)]
pub(super) struct EpochLogs {
    partitions: SharedVec<Vec<Arc<EpochLog>>>,
}

impl EpochLogs {
    pub(super) fn new(partitions: usize) -> Self {
        Self { partitions: SharedVec::new(partitions) }
    }

    /// A leader of `epoch` appends a batch.
    pub(super) fn append(&mut self, partition: usize, epoch: i32, batch: Batch, values: &[ValueId]) {
        let logs = &mut self.partitions[partition];
        let index = logs.iter().rposition(|log| log.epoch == epoch).unwrap_or_else(|| {
            logs.push(Arc::new(EpochLog { epoch, start: batch.base_offset, ..EpochLog::default() }));
            logs.len() - 1
        });
        let log = Arc::make_mut(&mut logs[index]);
        if batch.base_offset < log.end() {
            log.truncate(batch.base_offset);
        }
        values.iter().for_each(|value| log.values.push(*value));
        log.batches.push(batch);
    }

    /// Whether the leader of `epoch` appended these records at `base_offset`.
    pub(super) fn compare(&self, partition: usize, epoch: i32, base_offset: u64, values: &[ValueId]) -> Comparison {
        let Some(log) = self.partitions[partition].iter().rfind(|log| log.epoch == epoch) else {
            return Comparison::Unknown;
        };
        for (offset, value) in (base_offset..).zip(values) {
            let named = offset.checked_sub(log.start).and_then(|index| log.values.get(index as usize));
            if named != Some(*value) {
                return Comparison::Differs(offset, named);
            }
        }
        Comparison::Same
    }

    /// When the leader of `epoch` appended the batch that begins at `base_offset`.
    pub(super) fn appended_at(&self, partition: usize, epoch: i32, base_offset: u64) -> Option<Instant> {
        let log = self.partitions[partition].iter().rfind(|log| log.epoch == epoch)?;
        log.batches.get(log.first_batch(base_offset)).filter(|batch| batch.base_offset == base_offset).map(|it| it.at)
    }

    /// Shows the batches of a replica's log that begin in `from..to`, in order.
    pub(super) fn walk(
        &self,
        partition: usize,
        replica: &Replica,
        (from, to): (u64, u64),
        mut visit: impl FnMut(&Batch),
    ) {
        for (epoch, start, end) in replica.pieces(from, to) {
            let Some(log) = self.partitions[partition].iter().rfind(|log| log.epoch == epoch) else { continue };
            for index in log.first_batch(start).. {
                match log.batches.get(index) {
                    Some(batch) if batch.base_offset < end => visit(&batch),
                    _ => break,
                }
            }
        }
    }
}

impl EpochLog {
    fn end(&self) -> u64 {
        self.start + self.values.len() as u64
    }

    /// The same epoch goes on from an earlier offset: its leader came back with less.
    fn truncate(&mut self, to: u64) {
        self.start = self.start.min(to);
        self.values.truncate((to - self.start) as usize);
        self.batches.truncate(self.batches.partition_point(|_, batch| batch.base_offset < to));
    }

    /// The index of the first batch that begins at or after `offset`: mostly one of the last.
    fn first_batch(&self, offset: u64) -> usize {
        let mut index = self.batches.len();
        for _ in 0..TAIL {
            match index.checked_sub(1).and_then(|before| self.batches.get(before)) {
                Some(batch) if batch.base_offset >= offset => index -= 1,
                _ => return index,
            }
        }
        self.batches.partition_point(|_, batch| batch.base_offset < offset)
    }
}

/// Batches at the end that are looked at before the others.
const TAIL: usize = 16;
