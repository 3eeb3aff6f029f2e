//! The disk of a host: one queue of requests, a page cache that a power loss empties, and faults.

use std::collections::VecDeque;

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
    /// How long a sound disk is busy with it.
    pub(crate) takes: Span,
    /// What it reads or writes.
    pub(crate) bytes: u64,
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
    /// What is under way, in the order in which it ends.
    waiting: VecDeque<Request>,
    /// How often that has been put in another order: ends that were foretold before are void.
    round: u32,
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
            waiting: VecDeque::new(),
            round: 0,
            parked: Vec::new(),
            random: Random::new(seed, Purpose::Disk, stream),
        }
    }

    /// Draws from the stream of another seed from now on.
    pub(crate) fn rekey(&mut self, seed: u64, stream: u64) {
        self.random = Random::new(seed, Purpose::Disk, stream);
    }

    /// How long `work` keeps a sound disk busy, and with how many bytes. An fsync takes the dirty pages with it.
    pub(crate) fn measure(&mut self, work: Work) -> (Span, u64) {
        let (base, jitter, bytes) = match work {
            Work::Fsync => (self.profile.fsync, self.profile.fsync_jitter, std::mem::take(&mut self.state.dirty)),
            Work::Read { bytes } => (self.profile.read, Span::ZERO, bytes),
        };
        let jitter = if jitter == Span::ZERO { jitter } else { self.random.span(Span::ZERO, jitter) };
        (base + jitter + Span::from_secs(1).scaled(bytes, self.profile.bandwidth), bytes)
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

    /// Puts a request at the end of the queue and says when it will end, and in which round that is foretold. What a slow disk adds delays the end, as dm-delay does, and
    /// keeps nobody else waiting for the disk: else a minute of a slow disk under load would be followed by hours of it.
    /// Requests end in their order.
    pub(crate) fn enqueue(&mut self, now: Instant, request: Request) -> (Instant, u32) {
        let Request { takes, bytes, op, .. } = request;
        self.waiting.push_back(request);
        self.busy_until = self.busy_until.max(now) + takes.max(self.least(op, bytes));
        let mut end = self.busy_until;
        for fault in &self.faults {
            if let DiskFault::Slow { read, sync } = fault {
                end += if op == Op::Read { *read } else { *sync };
            }
        }
        self.last_end = self.last_end.max(end);
        (self.last_end, self.round)
    }

    /// The request that ends next, if its end still is what was foretold in `round`.
    pub(crate) fn next_done(&mut self, round: u32) -> Option<Request> {
        if round == self.round { self.waiting.pop_front() } else { None }
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

    /// Takes one fault away; returns the requests that had been waiting for it, to be queued again. Without a bound all that waits
    /// goes on at the disk's own pace, as with cgroup's `io.max`: else what was read in one bad moment took minutes.
    pub(crate) fn clear_fault(&mut self, now: Instant, fault: DiskFault) -> Vec<Request> {
        if let Some(index) = self.faults.iter().position(|f| *f == fault) {
            self.faults.remove(index);
        }
        self.state.failing = self.failing();
        let mut again = Vec::new();
        if matches!(fault, DiskFault::Limited { .. }) {
            again.extend(self.forget(now));
        }
        if !self.faults.contains(&DiskFault::Stall) {
            again.append(&mut self.parked);
        }
        again
    }

    /// Takes back all that is under way.
    fn forget(&mut self, now: Instant) -> VecDeque<Request> {
        self.round += 1;
        (self.busy_until, self.last_end) = (now, now);
        std::mem::take(&mut self.waiting)
    }

    /// The host lost power: what waits is gone, and so is the page cache.
    pub(crate) fn power_off(&mut self, now: Instant) {
        self.parked.clear();
        self.forget(now);
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

#[cfg(test)]
impl Disk {
    /// When `work` will end that is asked for at `now`.
    fn ask(&mut self, now: Instant, work: Work) -> Instant {
        let (takes, bytes) = self.measure(work);
        self.enqueue(now, Request { takes, bytes, ..request(work.op()) }).0
    }
}

#[cfg(test)]
fn request(op: Op) -> Request {
    Request { process: ProcessId(0), incarnation: 1, token: DiskToken(1), takes: Span::from_ms(1), bytes: 0, op }
}

#[test]
fn requests_queue_and_dirty_pages_cost_time() {
    let profile = DiskProfile { fsync_jitter: Span::ZERO, bandwidth: 1_000_000, ..DiskProfile::default() };
    let mut disk = Disk::new(profile, 1, 0);
    disk.state.dirty = 2_000;
    assert_eq!(disk.ask(Instant::ZERO, Work::Fsync).as_ms(), 3, "1 ms and 2,000 bytes at 1 MB/s");
    assert_eq!(disk.state.dirty, 0);
    assert_eq!(disk.ask(Instant::ZERO, Work::Fsync).as_ms(), 4, "it waits for the first");
    disk.set_fault(DiskFault::Slow { read: Span::from_ms(100), sync: Span::from_ms(5) });
    assert_eq!(disk.ask(Instant::ZERO, Work::Fsync).as_ms(), 10, "1 ms and 5 ms more");
    assert_eq!(disk.enqueue(Instant::ZERO, request(Op::Read)).0.as_ms(), 106, "a read has its own delay");
}

#[test]
fn a_slow_disk_under_load_is_fast_again_soon_after() {
    let mut disk = Disk::new(DiskProfile::default(), 1, 0);
    let slow = DiskFault::Slow { read: Span::from_secs(9), sync: Span::from_secs(9) };
    let ms = |ms: u64| Instant::from_ns(ms * 1_000_000);
    let end = |disk: &mut Disk, at: u64| disk.enqueue(ms(at), request(Op::Sync)).0;
    disk.set_fault(slow);
    for at in (0..10_000).step_by(10) {
        assert_eq!(end(&mut disk, at), ms(at + 1 + 9_000), "all wait at the same time");
    }
    disk.clear_fault(ms(10_000), slow);
    assert_eq!(end(&mut disk, 10_000), ms(9_990 + 1 + 9_000), "in order");
    assert_eq!(end(&mut disk, 20_000), ms(20_001));
}

#[test]
fn bounds_of_a_disk_apply_to_each_direction_and_to_requests() {
    let profile = DiskProfile { fsync_jitter: Span::ZERO, ..DiskProfile::default() };
    let mut disk = Disk::new(profile, 1, 0);
    disk.set_fault(DiskFault::Limited { read: 1_000_000, write: 0, iops: 0 });
    let takes = |disk: &mut Disk, work| {
        let now = disk.busy_until;
        disk.ask(now, work) - now
    };
    assert_eq!(takes(&mut disk, Work::Read { bytes: 500_000 }), Span::from_ms(500));
    disk.state.dirty = 500_000;
    assert_eq!(takes(&mut disk, Work::Fsync), Span::from_ms(2), "1 ms, and 500 kB at the disk's own 500 MB/s");
    disk.set_fault(DiskFault::Limited { read: 0, write: 100_000, iops: 10 });
    disk.state.dirty = 50_000;
    assert_eq!(takes(&mut disk, Work::Fsync), Span::from_ms(500));
    assert_eq!(takes(&mut disk, Work::Read { bytes: 0 }), Span::from_ms(100), "ten requests a second");
}

#[test]
fn what_a_bound_keeps_waiting_goes_on_once_it_is_lifted() {
    let profile = DiskProfile { fsync_jitter: Span::ZERO, ..DiskProfile::default() };
    let mut disk = Disk::new(profile, 1, 0);
    let bound = DiskFault::Limited { read: 20_000, write: 0, iops: 0 };
    disk.set_fault(bound);
    let asked = Work::Read { bytes: 1_000_000 };
    assert_eq!(disk.ask(Instant::ZERO, asked).as_ms(), 50_000);
    assert_eq!(disk.ask(Instant::ZERO, Work::Fsync).as_ms(), 50_001, "behind it");
    let lifted = Instant::ZERO + Span::from_ms(40);
    let again = disk.clear_fault(lifted, bound);
    let ends: Vec<(Instant, u32)> = again.into_iter().map(|request| disk.enqueue(lifted, request)).collect();
    let after = ends.iter().map(|(at, _)| at.since(lifted).as_ns()).collect::<Vec<_>>();
    assert_eq!(after, [2_100_000, 3_100_000], "100 us and 1 MB at 500 MB/s, then the fsync");
    assert!(disk.next_done(0).is_none(), "what was foretold before is void");
    let order = [(); 2].map(|()| disk.next_done(ends[0].1).map(|request| request.op));
    assert_eq!(order, [Some(Op::Read), Some(Op::Sync)]);
}

#[test]
fn faults_compose_and_are_cleared_one_by_one() {
    let mut disk = Disk::new(DiskProfile::default(), 1, 0);
    let ask = request;
    let full = Failing { error: DiskError::Full, read: false, sync: false, ..Failing::ALL };
    disk.set_fault(DiskFault::Fails(full));
    disk.set_fault(DiskFault::Fails(Failing::ALL));
    assert_eq!(disk.state.failing, Some(DiskError::Io));
    assert_eq!(disk.complete(ask(Op::Sync)), Some(Err(DiskError::Io)));
    assert!(disk.clear_fault(Instant::ZERO, DiskFault::Fails(Failing::ALL)).is_empty());
    assert_eq!(disk.state.failing, Some(DiskError::Full));
    assert_eq!(disk.complete(ask(Op::Sync)), Some(Ok(())), "fsync writes over what is allocated");
    disk.set_fault(DiskFault::Stall);
    assert_eq!(disk.complete(ask(Op::Sync)), None);
    assert_eq!(disk.clear_fault(Instant::ZERO, DiskFault::Stall).len(), 1);
}

#[test]
fn a_share_of_one_kind_of_request_fails() {
    let mut disk = Disk::new(DiskProfile::default(), 1, 0);
    disk.set_fault(DiskFault::Fails(Failing { write: false, sync: false, share: Ppm(250_000), ..Failing::ALL }));
    assert_eq!(disk.state.failing, None, "writes work");
    let mut failed = |op| (0..10_000).filter(|_| disk.complete(request(op)) == Some(Err(DiskError::Io))).count();
    assert_eq!(failed(Op::Sync), 0);
    let reads = failed(Op::Read);
    assert!((2_350..2_650).contains(&reads), "{reads}");
}
