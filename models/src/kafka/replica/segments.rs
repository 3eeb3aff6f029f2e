//! The segments of a log (`LogSegments`): when a new one is rolled, and which ones retention may delete.

use crate::kafka::config::BrokerConfig;
use crate::kafka::protocol::RecordBatch;
use crate::time::{Instant, Span};

const MS_PER_HOUR: u64 = 3_600_000;
const MS_PER_MINUTE: i64 = 60_000;
const NS_PER_MS: u64 = 1_000_000;

/// One segment: the batches from its base offset to that of the next one.
#[derive(Clone, Copy, Debug, Hash)]
struct Segment {
    base_offset: u64,
    bytes: u64,
    /// Timestamp of the first batch (`rollingBasedTimestamp`).
    first_timestamp: Instant,
    /// The largest timestamp of a batch: what retention by time looks at.
    largest_timestamp: Instant,
}

/// When a segment is full.
#[derive(Clone, Copy, Debug)]
pub(super) struct SegmentLimits {
    /// `log.segment.bytes`.
    pub(super) bytes: u64,
    /// `log.roll.ms`, or `log.roll.hours`.
    pub(super) age_ms: u64,
}

impl SegmentLimits {
    /// As the options say.
    pub(super) fn of(config: &BrokerConfig) -> Self {
        let hours = u64::from(config.log_roll_hours) * MS_PER_HOUR;
        Self { bytes: config.log_segment_bytes.into(), age_ms: config.log_roll_ms.unwrap_or(hours) }
    }
}

/// How much of a log is kept (`log.cleanup.policy=delete`). `None` is "all".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Retention {
    /// `log.retention.ms`, or the coarser options.
    pub(super) age: Option<Span>,
    /// `log.retention.bytes`.
    pub(super) bytes: Option<u64>,
}

impl Retention {
    /// As the options say; a negative value is "no limit" (`KafkaConfig.getLogRetentionTimeMillis`).
    pub(super) fn of(config: &BrokerConfig) -> Self {
        let minutes = config.log_retention_minutes.map(|minutes| minutes.saturating_mul(MS_PER_MINUTE));
        let hours = config.log_retention_hours.saturating_mul(MS_PER_HOUR as i64);
        let ms = config.log_retention_ms.or(minutes).unwrap_or(hours);
        Self {
            age: u64::try_from(ms).ok().map(|ms| Span::from_ns(ms.saturating_mul(NS_PER_MS))),
            bytes: u64::try_from(config.log_retention_bytes).ok(),
        }
    }
}

/// The segments of one log, the active one last. There is none before the first append.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Segments(Vec<Segment>);

impl Segments {
    /// Counts a batch that begins at LEO. Returns true if it begins a new segment behind others: what lies below is to be
    /// flushed.
    pub(super) fn append(&mut self, batch: &RecordBatch, limits: SegmentLimits) -> bool {
        let rolled = self.0.last().is_none_or(|active| active.is_full(batch, limits));
        if rolled {
            self.0.push(Segment {
                base_offset: batch.base_offset,
                bytes: 0,
                first_timestamp: batch.timestamp,
                largest_timestamp: batch.timestamp,
            });
        }
        if let Some(active) = self.0.last_mut() {
            active.bytes += u64::from(batch.size);
            active.largest_timestamp = active.largest_timestamp.max(batch.timestamp);
        }
        rolled && self.0.len() > 1
    }

    /// Bytes of all.
    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|segment| segment.bytes).sum()
    }

    /// Bytes of the segments that recovery reads: from the one that holds `recovery_point` on.
    pub(super) fn bytes_from(&self, recovery_point: u64) -> u64 {
        let after = self.0.partition_point(|segment| segment.base_offset <= recovery_point);
        self.0[after.saturating_sub(1)..].iter().map(|segment| segment.bytes).sum()
    }

    /// Takes `bytes` off the end.
    pub(super) fn cut(&mut self, bytes: u64) {
        let mut left = bytes;
        while let Some(last) = self.0.last_mut() {
            if last.bytes > left {
                last.bytes -= left;
                return;
            }
            left -= last.bytes;
            self.0.pop();
        }
    }

    /// Where the log is to begin (`UnifiedLog.deleteOldSegments`): behind the oldest segments that lie below `log_start`,
    /// are older than retention allows or more than it allows, and lie below the high watermark. `log_end` bounds the last
    /// segment. `None` if nothing is to go.
    pub(super) fn retained_from(
        &self,
        retention: Retention,
        (log_start, high_watermark, log_end): (u64, u64, u64),
        wall: Instant,
    ) -> Option<u64> {
        let mut excess = retention.bytes.and_then(|most| self.bytes().checked_sub(most));
        let mut keep_from = None;
        for (index, segment) in self.0.iter().enumerate() {
            let end = self.0.get(index + 1).map_or(log_end, |next| next.base_offset);
            let too_old = retention.age.is_some_and(|age| wall.since(segment.largest_timestamp) > age);
            let left = excess.and_then(|excess| excess.checked_sub(segment.bytes));
            if end > high_watermark || !(end <= log_start || too_old || left.is_some()) {
                break;
            }
            excess = left.or(excess);
            keep_from = Some(end);
        }
        keep_from
    }

    /// Deletes the segments that end at or before `offset`; `log_end` bounds the last one. Returns their bytes.
    pub(super) fn delete_below(&mut self, offset: u64, log_end: u64) -> u64 {
        let ends = self.0.iter().skip(1).map(|next| next.base_offset).chain([log_end]);
        let gone = ends.take_while(|end| *end <= offset).count().min(self.0.len());
        self.0.drain(..gone).map(|segment| segment.bytes).sum()
    }
}

impl Segment {
    /// `LogSegment.shouldRoll`. Age counts by the timestamps of records, not by the clock.
    fn is_full(&self, batch: &RecordBatch, limits: SegmentLimits) -> bool {
        self.bytes + u64::from(batch.size) > limits.bytes
            || batch.timestamp.since(self.first_timestamp).as_ms() > limits.age_ms
    }
}
