//! The disk of a host: one queue of requests, a page cache that a power loss empties, and faults.

use models::id::{DiskToken, ProcessId};
use models::process::{DiskError, DiskState};
use models::random::{Purpose, Random};
use models::time::{Instant, Span};

use crate::net::netem::Ppm;

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
    /// Requests take longer.
    Slow {
        /// A read by so much.
        read: Span,
        /// An fsync by so much.
        sync: Span,
    },
    /// Requests take at least as long as these bounds say; 0 is no bound.
    Limited {
        /// Bytes a second that are read.
        read: u64,
        /// Bytes a second that an fsync writes.
        write: u64,
        /// Requests a second.
        iops: u32,
    },
    /// No request ends until the fault is cleared.
    Stall,
    /// Operations fail.
    Fails(Failing),
}

/// How operations of a disk fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Failing {
    /// With which error.
    pub error: DiskError,
    /// Whether reads do.
    pub read: bool,
    /// Whether writes into the page cache do, all of them.
    pub write: bool,
    /// Whether fsyncs do.
    pub sync: bool,
    /// How many of the reads and fsyncs.
    pub share: Ppm,
}

impl Failing {
    /// Everything fails with EIO.
    pub const ALL: Self = Self { error: DiskError::Io, read: true, write: true, sync: true, share: Ppm::ALWAYS };

    fn hits(&self, op: Op) -> bool {
        if op == Op::Read { self.read } else { self.sync }
    }
}

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Read,
    Sync,
}

/// What a process asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Fsync,
    Read { bytes: u64 },
}

impl Work {
    pub(crate) fn op(self) -> Op {
        if let Self::Read { .. } = self { Op::Read } else { Op::Sync }
    }
}

/// A request on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) process: ProcessId,
    pub(crate) incarnation: u32,
    pub(crate) token: DiskToken,
    pub(crate) takes: Span,
    pub(crate) op: Op,
}

/// The disk of a host.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    /// What processes see of it.
    pub(crate) state: DiskState,
    profile: DiskProfile,
    faults: Vec<DiskFault>,
    busy_until: Instant,
    /// When the last request ends: a slow disk answers later than it is done.
    last_end: Instant,
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
            last_end: Instant::ZERO,
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
        let takes = base + jitter + Span::from_secs(1).scaled(bytes, self.profile.bandwidth);
        takes.max(self.least(work.op(), bytes))
    }

    /// The least time that the bounds in force leave a request.
    fn least(&self, op: Op, bytes: u64) -> Span {
        let second = Span::from_secs(1);
        let least = |fault: &DiskFault| {
            let DiskFault::Limited { read, write, iops } = *fault else { return Span::ZERO };
            let rate = if op == Op::Read { read } else { write };
            let transfer = if rate > 0 { second.scaled(bytes, rate) } else { Span::ZERO };
            let turn = if iops > 0 { second.scaled(1, u64::from(iops)) } else { Span::ZERO };
            transfer.max(turn)
        };
        self.faults.iter().map(least).max().unwrap_or(Span::ZERO)
    }

    /// Puts work at the end of the queue and says when it will end. What a slow disk adds delays the end, as dm-delay does, and
    /// keeps nobody else waiting for the disk: else a minute of a slow disk under load would be followed by hours of it.
    /// Requests end in their order.
    pub(crate) fn enqueue(&mut self, now: Instant, takes: Span, op: Op) -> Instant {
        self.busy_until = self.busy_until.max(now) + takes;
        let mut end = self.busy_until;
        for fault in &self.faults {
            if let DiskFault::Slow { read, sync } = fault {
                end += if op == Op::Read { *read } else { *sync };
            }
        }
        self.last_end = self.last_end.max(end);
        self.last_end
    }

    /// The result of a request that ends now; nothing if the disk stalls, then the request waits inside.
    pub(crate) fn complete(&mut self, request: Request) -> Option<Result<(), DiskError>> {
        if self.faults.contains(&DiskFault::Stall) {
            self.parked.push(request);
            return None;
        }
        for index in 0..self.faults.len() {
            if let DiskFault::Fails(failing) = self.faults[index]
                && failing.hits(request.op)
                && (failing.share == Ppm::ALWAYS || self.random.chance(u64::from(failing.share.0), 1_000_000))
            {
                return Some(Err(failing.error));
            }
        }
        Some(Ok(()))
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
        (self.busy_until, self.last_end) = (now, now);
        self.state.dirty = 0;
    }

    fn failing(&self) -> Option<DiskError> {
        let failing = self.faults.iter().filter_map(|fault| match fault {
            DiskFault::Fails(failing) if failing.write => Some(failing.error),
            _ => None,
        });
        // Who meets both learns of the worse one.
        failing.max_by_key(|error| *error == DiskError::Io)
    }
}

#[test]
fn requests_queue_and_dirty_pages_cost_time() {
    let profile = DiskProfile { fsync_jitter: Span::ZERO, bandwidth: 1_000_000, ..DiskProfile::default() };
    let mut disk = Disk::new(profile, 1, 0);
    disk.state.dirty = 2_000;
    let first = disk.measure(Work::Fsync);
    assert_eq!((first, disk.state.dirty), (Span::from_ms(3), 0), "1 ms and 2,000 bytes at 1 MB/s");
    assert_eq!(disk.enqueue(Instant::ZERO, first, Op::Sync).as_ms(), 3);
    let second = disk.measure(Work::Fsync);
    assert_eq!(disk.enqueue(Instant::ZERO, second, Op::Sync).as_ms(), 4, "it waits for the first");
    disk.set_fault(DiskFault::Slow { read: Span::from_ms(100), sync: Span::from_ms(5) });
    let third = disk.measure(Work::Fsync);
    assert_eq!(disk.enqueue(Instant::ZERO, third, Op::Sync).as_ms(), 10, "1 ms and 5 ms more");
    assert_eq!(disk.enqueue(Instant::ZERO, Span::from_ms(1), Op::Read).as_ms(), 106, "a read has its own delay");
}

#[test]
fn a_slow_disk_under_load_is_fast_again_soon_after() {
    let mut disk = Disk::new(DiskProfile::default(), 1, 0);
    let slow = DiskFault::Slow { read: Span::from_secs(9), sync: Span::from_secs(9) };
    let ms = |ms: u64| Instant::from_ns(ms * 1_000_000);
    let write = Span::from_ms(1);
    disk.set_fault(slow);
    for at in (0..10_000).step_by(10) {
        assert_eq!(disk.enqueue(ms(at), write, Op::Sync), ms(at + 1 + 9_000), "all wait at the same time");
    }
    disk.clear_fault(slow);
    assert_eq!(disk.enqueue(ms(10_000), write, Op::Sync), ms(9_990 + 1 + 9_000), "in order");
    assert_eq!(disk.enqueue(ms(20_000), write, Op::Sync), ms(20_001));
}

#[test]
fn bounds_of_a_disk_apply_to_each_direction_and_to_requests() {
    let profile = DiskProfile { fsync_jitter: Span::ZERO, ..DiskProfile::default() };
    let mut disk = Disk::new(profile, 1, 0);
    disk.set_fault(DiskFault::Limited { read: 1_000_000, write: 0, iops: 0 });
    assert_eq!(disk.measure(Work::Read { bytes: 500_000 }), Span::from_ms(500));
    disk.state.dirty = 500_000;
    assert_eq!(disk.measure(Work::Fsync), Span::from_ms(2), "1 ms, and 500 kB at the disk's own 500 MB/s");
    disk.set_fault(DiskFault::Limited { read: 0, write: 100_000, iops: 10 });
    disk.state.dirty = 50_000;
    assert_eq!(disk.measure(Work::Fsync), Span::from_ms(500));
    assert_eq!(disk.measure(Work::Read { bytes: 0 }), Span::from_ms(100), "ten requests a second");
}

#[test]
fn faults_compose_and_are_cleared_one_by_one() {
    let mut disk = Disk::new(DiskProfile::default(), 1, 0);
    let ask = |op| Request { process: ProcessId(0), incarnation: 1, token: DiskToken(1), takes: Span::from_ms(1), op };
    let full = Failing { error: DiskError::Full, read: false, sync: false, ..Failing::ALL };
    disk.set_fault(DiskFault::Fails(full));
    disk.set_fault(DiskFault::Fails(Failing::ALL));
    assert_eq!(disk.state.failing, Some(DiskError::Io));
    assert_eq!(disk.complete(ask(Op::Sync)), Some(Err(DiskError::Io)));
    assert!(disk.clear_fault(DiskFault::Fails(Failing::ALL)).is_empty());
    assert_eq!(disk.state.failing, Some(DiskError::Full));
    assert_eq!(disk.complete(ask(Op::Sync)), Some(Ok(())), "fsync writes over what is allocated");
    disk.set_fault(DiskFault::Stall);
    assert_eq!(disk.complete(ask(Op::Sync)), None);
    assert_eq!(disk.clear_fault(DiskFault::Stall).len(), 1);
}

#[test]
fn a_share_of_one_kind_of_request_fails() {
    let mut disk = Disk::new(DiskProfile::default(), 1, 0);
    disk.set_fault(DiskFault::Fails(Failing { write: false, sync: false, share: Ppm(250_000), ..Failing::ALL }));
    assert_eq!(disk.state.failing, None, "writes work");
    let mut failed = |op| {
        let request = Request { process: ProcessId(0), incarnation: 1, token: DiskToken(1), takes: Span::ZERO, op };
        (0..10_000).filter(|_| disk.complete(request) == Some(Err(DiskError::Io))).count()
    };
    assert_eq!(failed(Op::Sync), 0);
    let reads = failed(Op::Read);
    assert!((2_350..2_650).contains(&reads), "{reads}");
}
