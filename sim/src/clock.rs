//! The clock of a host: a monotonic one that may run too fast or too slow, and a wall clock that may also be off and jump.

use models::time::{Instant, Span};

/// How the clock of a host differs from true time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClockProfile {
    /// What the wall clock is ahead of the monotonic one, in nanoseconds; negative if it is behind.
    pub offset_ns: i64,
    /// How much too fast the clock runs, in parts per billion. Crystals stay below 200,000.
    pub drift_ppb: i32,
    /// What the monotonic clock shows at the beginning of the run.
    pub uptime: Span,
}

/// The clock of a host.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    offset_ns: i64,
    drift_ppb: i32,
    /// True time and monotonic clock when the drift was last changed.
    anchor: (Instant, Instant),
}

impl Clock {
    pub(crate) fn new(profile: ClockProfile) -> Self {
        assert!(profile.drift_ppb > -BILLION as i32, "a clock that stands still never fires a timer");
        Self {
            offset_ns: profile.offset_ns,
            drift_ppb: profile.drift_ppb,
            anchor: (Instant::ZERO, Instant::ZERO + profile.uptime),
        }
    }

    /// The monotonic clock at the true time `at`.
    pub(crate) fn monotonic(&self, at: Instant) -> Instant {
        let (true_time, local) = self.anchor;
        let passed = at - true_time;
        let drifted =
            if self.drift_ppb == 0 { passed.as_ns() } else { scale(passed.as_ns(), self.rate(), BILLION as u64) };
        local + Span::from_ns(drifted)
    }

    /// The wall clock at the true time `at`, in nanoseconds since 1970. It stops at zero and at the end of its range.
    pub(crate) fn wall(&self, at: Instant) -> Instant {
        let shown = self.monotonic(at).as_ns().saturating_add(WALL_ORIGIN_NS);
        Instant::from_ns(shown.saturating_add_signed(self.offset_ns))
    }

    /// How much true time passes until the clock has advanced by `local`: never less, at most 2 ns more.
    pub(crate) fn true_span(&self, local: Span) -> Span {
        if self.drift_ppb == 0 {
            return local;
        }
        // Rounding down here and in `monotonic` loses less than 1 ns each.
        Span::from_ns(scale(local.as_ns(), BILLION as u64, self.rate()).saturating_add(2))
    }

    /// Runs faster or slower from `at` on, without a jump. Returns the drift before.
    pub(crate) fn set_drift(&mut self, at: Instant, drift_ppb: i32) -> i32 {
        assert!(drift_ppb > -BILLION as i32, "a clock that stands still never fires a timer");
        self.anchor = (at, self.monotonic(at));
        std::mem::replace(&mut self.drift_ppb, drift_ppb)
    }

    /// Sets the wall clock forward or back.
    pub(crate) fn jump(&mut self, by_ns: i64) {
        self.offset_ns = self.offset_ns.saturating_add(by_ns);
    }

    fn rate(&self) -> u64 {
        (BILLION + i64::from(self.drift_ppb)) as u64
    }
}

const BILLION: i64 = 1_000_000_000;

/// What the wall clock shows at the beginning of a run: 2026-01-01. A clock that is set back shows an earlier time, not none at all: servers
/// make ids of it.
const WALL_ORIGIN_NS: u64 = 1_767_225_600 * BILLION as u64;

fn scale(value: u64, numerator: u64, denominator: u64) -> u64 {
    u64::try_from(u128::from(value) * u128::from(numerator) / u128::from(denominator)).unwrap_or(u64::MAX)
}

#[test]
fn a_timer_fires_when_the_hosts_own_clock_says_so() {
    for drift_ppb in [-200_000_000, -7, 0, 3, 100_000, 900_000_001] {
        let clock = Clock::new(ClockProfile { drift_ppb, ..ClockProfile::default() });
        for set_ns in [0, 1, 999_999_999, 123_456_789_012_345] {
            for after_ns in [0, 1, 3, 1_000_000, 18_000_000_000] {
                let set = Instant::from_ns(set_ns);
                let fired = set + clock.true_span(Span::from_ns(after_ns));
                let passed = clock.monotonic(fired) - clock.monotonic(set);
                assert!((after_ns..=after_ns + 6).contains(&passed.as_ns()), "{drift_ppb} ppb, {after_ns}: {passed:?}");
            }
        }
    }
}

#[test]
fn only_the_wall_clock_jumps() {
    let mut clock = Clock::new(ClockProfile { offset_ns: -5, ..ClockProfile::default() });
    let at = Instant::from_ns(3);
    let shows = |ns: u64| (Instant::from_ns(WALL_ORIGIN_NS + ns), at);
    assert_eq!((clock.wall(at), clock.monotonic(at)), (Instant::from_ns(WALL_ORIGIN_NS - 2), at));
    clock.jump(10);
    assert_eq!((clock.wall(at), clock.monotonic(at)), shows(8));
    // It goes on from wherever it was set.
    clock.jump(-3_600 * BILLION);
    assert_eq!(clock.wall(at + Span::from_ms(1)) - clock.wall(at), Span::from_ms(1));
}
