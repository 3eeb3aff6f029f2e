//! `LeaderEpochFileCache`: which leader epoch begins at which offset of a log (KIP-101, KIP-279).

use crate::kafka::protocol::EpochEnd;

/// Where an epoch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct EpochStart {
    epoch: i32,
    start: u64,
}

/// The epochs of one log. Epochs and start offsets both rise strictly. Every assignment is fsynced by the real system, so
/// the cache is as durable as the records that it describes.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct EpochCache {
    entries: Vec<EpochStart>,
}

impl EpochCache {
    /// The newest epoch.
    pub(super) fn latest(&self) -> Option<i32> {
        self.entries.last().map(|entry| entry.epoch)
    }

    /// Records that `epoch` begins at `start`. Entries that contradict it go (`truncateAndAppend`).
    pub(super) fn assign(&mut self, epoch: i32, start: u64) {
        if self.entries.last().is_some_and(|last| last.epoch == epoch && last.start <= start) {
            return;
        }
        while self.entries.last().is_some_and(|last| last.epoch >= epoch || last.start >= start) {
            self.entries.pop();
        }
        self.entries.push(EpochStart { epoch, start });
    }

    /// Forgets epochs that begin at or after `end` (`truncateFromEnd`).
    pub(super) fn truncate_from_end(&mut self, end: u64) {
        while self.entries.last().is_some_and(|last| last.start >= end) {
            self.entries.pop();
        }
    }

    /// Forgets epochs that end at or before `start`; the one that holds it begins there now (`truncateFromStart`).
    pub(super) fn truncate_from_start(&mut self, start: u64) {
        let below = self.entries.partition_point(|entry| entry.start <= start);
        self.entries.drain(..below.saturating_sub(1));
        if let Some(first) = self.entries.first_mut().filter(|_| below > 0) {
            first.start = start;
        }
    }

    /// The largest epoch not above `epoch` and its end offset (`endOffsetFor`); `None` if undefined: the log, which ends at
    /// `log_end`, knows no later epoch that could bound it.
    pub(super) fn end_offset_for(&self, epoch: i32, log_end: u64) -> Option<EpochEnd> {
        if self.latest() == Some(epoch) {
            return Some(EpochEnd { epoch, end_offset: log_end });
        }
        let higher = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let end_offset = self.entries.get(higher)?.start;
        let floor = higher.checked_sub(1).map_or(epoch, |index| self.entries[index].epoch);
        Some(EpochEnd { epoch: floor, end_offset })
    }
}

#[test]
fn end_offsets_follow_the_table() {
    let mut cache = EpochCache::default();
    assert_eq!(cache.end_offset_for(0, 0), None, "an empty cache defines nothing");
    for (epoch, start) in [(2, 0), (4, 10), (7, 25)] {
        cache.assign(epoch, start);
    }
    let check = |epoch, expected: Option<(i32, u64)>| {
        let found = cache.end_offset_for(epoch, 30).map(|end| (end.epoch, end.end_offset));
        assert_eq!(found, expected, "end of epoch {epoch}");
    };
    check(1, Some((1, 0))); // Below every entry: the asked epoch ends where the first one begins.
    check(2, Some((2, 10)));
    check(3, Some((2, 10))); // Unknown in between: the floor, as KIP-279 has it.
    check(4, Some((4, 25)));
    check(6, Some((4, 25)));
    check(7, Some((7, 30)));
    check(8, None);
}

#[test]
fn assignments_drop_what_contradicts_them() {
    let mut cache = EpochCache::default();
    for (epoch, start) in [(1, 0), (2, 10), (2, 15), (3, 20), (5, 20)] {
        cache.assign(epoch, start);
    }
    let starts: Vec<_> = cache.entries.iter().map(|entry| (entry.epoch, entry.start)).collect();
    assert_eq!(starts, [(1, 0), (2, 10), (5, 20)], "epoch 3 held no record");
    let check = |start, expected: &[(i32, u64)]| {
        let mut cache = cache.clone();
        cache.truncate_from_start(start);
        let starts: Vec<_> = cache.entries.iter().map(|entry| (entry.epoch, entry.start)).collect();
        assert_eq!(starts, expected, "from {start} on");
    };
    check(9, &[(1, 9), (2, 10), (5, 20)]);
    check(10, &[(2, 10), (5, 20)]);
    check(25, &[(5, 25)]);
    cache.truncate_from_end(10);
    assert_eq!(cache.latest(), Some(1));
}
