//! The disk of a host: one queue of requests, a page cache that a power loss empties, and faults.

use models::id::{DiskToken, ProcessId};
use models::process::{DiskError, DiskState};
use models::random::{Purpose, Random};
use models::time::{Instant, Span};

/// How fast and how large a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DiskProfile {
    /// Bytes that fit.
    pub capacity: u64,
    /// The least time of an fsync.
    pub fsync: Span,
    /// Up to this much more, uniformly.
    pub fsync_jitter: Span,
    /// The least time of a read.
    pub read: Span,
    /// Bytes per second, for dirty pages and for reads.
    pub bandwidth: u64,
}

impl Default for DiskProfile {
    /// A data-centre SSD: 1 TB, fsync in 1.0 to 1.5 ms, reads from 100 us, 500 MB/s.
    fn default() -> Self {
        Self {
            capacity: 1_000_000_000_000,
            fsync: Span::from_us(1_000),
            fsync_jitter: Span::from_us(500),
            read: Span::from_us(100),
            bandwidth: 500_000_000,
        }
    }
}

/// What is wrong with a disk. Several may be wrong at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DiskFault {
    /// Every request takes `percent` per cent of its time, and `extra` on top.
    Slow {
        /// 100 changes nothing.
        percent: u32,
        /// On top.
        extra: Span,
    },
    /// No request ends until the fault is cleared.
    Stall,
    /// Every request and every write fails with EIO.
    Error,
    /// Writes fail with ENOSPC.
    Full,
}

/// What a process asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Fsync,
    Read { bytes: u64 },
}

/// A request on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) process: ProcessId,
    pub(crate) incarnation: u32,
    pub(crate) token: DiskToken,
    pub(crate) takes: Span,
}

/// The disk of a host.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    /// What processes see of it.
    pub(crate) state: DiskState,
    profile: DiskProfile,
    faults: Vec<DiskFault>,
    busy_until: Instant,
    parked: Vec<Request>,
    random: Random,
}

impl Disk {
    pub(crate) fn new(profile: DiskProfile, seed: u64, stream: u64) -> Self {
        assert!(profile.bandwidth > 0, "a disk without bandwidth never ends a request");
        Self {
            state: DiskState { capacity: profile.capacity, ..DiskState::default() },
            profile,
            faults: Vec::new(),
            busy_until: Instant::ZERO,
            parked: Vec::new(),
            random: Random::new(seed, Purpose::Disk, stream),
        }
    }

    /// Draws from the stream of another seed from now on.
    pub(crate) fn rekey(&mut self, seed: u64, stream: u64) {
        self.random = Random::new(seed, Purpose::Disk, stream);
    }

    /// How long `work` keeps the disk busy. An fsync takes the dirty pages with it.
    pub(crate) fn measure(&mut self, work: Work) -> Span {
        let (base, jitter, bytes) = match work {
            Work::Fsync => (self.profile.fsync, self.profile.fsync_jitter, std::mem::take(&mut self.state.dirty)),
            Work::Read { bytes } => (self.profile.read, Span::ZERO, bytes),
        };
        let jitter = if jitter == Span::ZERO { jitter } else { self.random.span(Span::ZERO, jitter) };
        base + jitter + Span::from_secs(1).scaled(bytes, self.profile.bandwidth)
    }

    /// Puts work at the end of the queue and says when it will end.
    pub(crate) fn enqueue(&mut self, now: Instant, takes: Span) -> Instant {
        let mut takes = takes;
        for fault in &self.faults {
            if let DiskFault::Slow { percent, extra } = fault {
                takes = takes.scaled(u64::from(*percent), 100) + *extra;
            }
        }
        self.busy_until = self.busy_until.max(now) + takes;
        self.busy_until
    }

    /// The result of a request that ends now; nothing if the disk stalls, then the request waits inside.
    pub(crate) fn complete(&mut self, request: Request) -> Option<Result<(), DiskError>> {
        if self.faults.contains(&DiskFault::Stall) {
            self.parked.push(request);
            return None;
        }
        Some(if self.faults.contains(&DiskFault::Error) { Err(DiskError::Io) } else { Ok(()) })
    }

    pub(crate) fn set_fault(&mut self, fault: DiskFault) {
        self.faults.push(fault);
        self.state.failing = self.failing();
    }

    /// Takes one fault away; returns the requests that had been waiting for it, to be queued again.
    pub(crate) fn clear_fault(&mut self, fault: DiskFault) -> Vec<Request> {
        if let Some(index) = self.faults.iter().position(|f| *f == fault) {
            self.faults.remove(index);
        }
        self.state.failing = self.failing();
        if self.faults.contains(&DiskFault::Stall) { Vec::new() } else { std::mem::take(&mut self.parked) }
    }

    /// The host lost power: what waits is gone, and so is the page cache.
    pub(crate) fn power_off(&mut self, now: Instant) {
        self.parked.clear();
        self.busy_until = now;
        self.state.dirty = 0;
    }

    fn failing(&self) -> Option<DiskError> {
        let has = |fault| self.faults.contains(&fault);
        if has(DiskFault::Error) { Some(DiskError::Io) } else { has(DiskFault::Full).then_some(DiskError::Full) }
    }
}

#[test]
fn requests_queue_and_dirty_pages_cost_time() {
    let profile = DiskProfile { fsync_jitter: Span::ZERO, bandwidth: 1_000_000, ..DiskProfile::default() };
    let mut disk = Disk::new(profile, 1, 0);
    disk.state.dirty = 2_000;
    let first = disk.measure(Work::Fsync);
    assert_eq!((first, disk.state.dirty), (Span::from_ms(3), 0), "1 ms and 2,000 bytes at 1 MB/s");
    assert_eq!(disk.enqueue(Instant::ZERO, first).as_ms(), 3);
    let second = disk.measure(Work::Fsync);
    assert_eq!(disk.enqueue(Instant::ZERO, second).as_ms(), 4, "it waits for the first");
    disk.set_fault(DiskFault::Slow { percent: 300, extra: Span::from_ms(5) });
    let third = disk.measure(Work::Fsync);
    assert_eq!(disk.enqueue(Instant::ZERO, third).as_ms(), 12, "3 x 1 ms and 5 ms more");
}

#[test]
fn faults_compose_and_are_cleared_one_by_one() {
    let mut disk = Disk::new(DiskProfile::default(), 1, 0);
    let request = Request { process: ProcessId(0), incarnation: 1, token: DiskToken(1), takes: Span::from_ms(1) };
    disk.set_fault(DiskFault::Full);
    disk.set_fault(DiskFault::Error);
    assert_eq!(disk.state.failing, Some(DiskError::Io));
    assert_eq!(disk.complete(request), Some(Err(DiskError::Io)));
    assert!(disk.clear_fault(DiskFault::Error).is_empty());
    assert_eq!(disk.state.failing, Some(DiskError::Full));
    assert_eq!(disk.complete(request), Some(Ok(())), "fsync writes over what is allocated");
    disk.set_fault(DiskFault::Stall);
    assert_eq!(disk.complete(request), None);
    assert_eq!(disk.clear_fault(DiskFault::Stall).len(), 1);
}
