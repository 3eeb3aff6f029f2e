//! The knobs of a host's TCP under the names of Linux, and its round-trip estimator.

use models::time::{Instant, Span};

/// What decides how a host's TCP retries. The defaults are those of Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TcpConfig {
    /// `TCP_RTO_MIN`: least room for variation of the round trip.
    pub rto_min: Span,
    /// `TCP_TIMEOUT_INIT`: before the round trip was measured, and for SYN.
    pub rto_initial: Span,
    /// `TCP_RTO_MAX`: where doubling ends.
    pub rto_max: Span,
    /// `net.ipv4.tcp_retries2`: an established connection is given up when it has retransmitted for as long as so many
    /// retransmissions take that begin with 200 ms ([`TcpConfig::patience`]).
    pub retries2: u32,
    /// `net.ipv4.tcp_orphan_retries` in effect: the same for a connection that its process has closed.
    pub orphan_retries: u32,
    /// `net.ipv4.tcp_syn_retries`.
    pub syn_retries: u32,
    /// `net.ipv4.tcp_syn_linear_timeouts`: timeouts of a SYN that do not double the next one (since 6.5).
    pub syn_linear_timeouts: u32,
    /// `net.ipv4.tcp_synack_retries`.
    pub synack_retries: u32,
    /// Bytes that a connection holds for a process that does not read: what `tcp_rmem` 131072 leaves for data. Also the
    /// bound for datagrams, per process.
    pub receive_buffer: u32,
    /// `TCP_DELACK_MIN`: how long the ACK of in-order data waits for a segment to ride on, where the conversation has gone
    /// back and forth.
    pub ack_delay: Span,
}

impl Default for TcpConfig {
    fn default() -> Self {
        Self {
            rto_min: Span::from_ms(200),
            rto_initial: Span::from_secs(1),
            rto_max: Span::from_secs(120),
            retries2: 15,
            orphan_retries: 8,
            syn_retries: 6,
            syn_linear_timeouts: 4,
            synack_retries: 5,
            receive_buffer: 65_536,
            ack_delay: Span::from_ms(40),
        }
    }
}

/// `TCP_RTO_MIN`, which no setting changes.
const TCP_RTO_MIN: Span = Span::from_ms(200);
/// `TCP_TIMEOUT_MIN_US`.
const TIMEOUT_MIN: Span = Span::from_ms(2);
/// A tick of the kernel: `CONFIG_HZ=250`, as distributions build it.
const JIFFY: Span = Span::from_ms(4);
/// Buckets of a level of the timer wheel (`LVL_SIZE`), as a power of two.
const LEVEL_BITS: u32 = 6;
/// By how much coarser each level is than the one below (`LVL_CLK_SHIFT`), as a power of two.
const LEVEL_SHIFT: u32 = 3;
/// Levels of the wheel.
const LEVELS: u32 = 9;

/// What the kernel's count of ticks shows at boot: it wraps at 32 bits five minutes later (`INITIAL_JIFFIES`).
const INITIAL_JIFFIES: u64 = (1 << 32) - Span::from_secs(300).as_ns() / JIFFY.as_ns();

/// How long a kernel timer takes that is set when the machine's monotonic clock shows `now`, for `after`: Linux rounds up to its
/// ticks, and the farther off a timer is, the coarser are the buckets of the wheel that it is put in. It is late by up to an
/// eighth (`calc_wheel_index`, since 4.8). The buckets lie where the count of ticks says, which begins at boot.
pub(crate) fn wheel(now: Instant, after: Span) -> Span {
    let tick = JIFFY.as_ns();
    let jiffies = after.as_ns().div_ceil(tick);
    let expires = INITIAL_JIFFIES + now.as_ns() / tick + jiffies;
    // A level holds timers up to 63 of its own buckets away.
    let fits = |level: &u32| jiffies < 63 << (LEVEL_SHIFT * level) || *level + 1 == LEVELS;
    let level = (0..LEVELS).find(fits).unwrap_or(LEVELS - 1);
    let shift = LEVEL_SHIFT * level;
    debug_assert!(shift < u64::BITS - LEVEL_BITS, "nine levels fit in a word");
    let fires = ((expires + (1 << shift)) >> shift) << shift;
    Span::from_ns((fires - INITIAL_JIFFIES) * tick - now.as_ns())
}

impl TcpConfig {
    /// `base` doubled `backoff` times, at most [`TcpConfig::rto_max`].
    pub(crate) fn backed_off(&self, base: Span, backoff: u32) -> Span {
        (base * (1 << backoff.min(32))).min(self.rto_max)
    }

    /// How long after its first retransmission a connection is given up (`tcp_model_timeout`): what `retries` of them would
    /// take from a timeout of 200 ms, whatever the timeout really was.
    pub(crate) fn patience(&self, retries: u32) -> Span {
        let doublings = (self.rto_max.as_ns() / TCP_RTO_MIN.as_ns()).max(1).ilog2();
        let doubled = TCP_RTO_MIN * ((2u64 << retries.min(doublings)) - 1);
        doubled + self.rto_max * u64::from(retries.saturating_sub(doublings))
    }

    /// The same in whole ticks, as the kernel keeps it.
    fn in_ticks(span: Span) -> Span {
        Span::from_ns(span.as_ns().div_ceil(JIFFY.as_ns()) * JIFFY.as_ns())
    }
}

/// The round-trip estimator of Linux (`tcp_rtt_estimator`): RFC 6298, except that the variation never counts less than
/// `rto_min`, grows at once and shrinks only once per round trip.
#[derive(Clone, Debug, Default)]
pub(crate) struct RttEstimator {
    /// Eight times the smoothed round trip, 0 before the first measurement. All in nanoseconds.
    srtt8: u64,
    /// Four times the mean deviation.
    deviation4: u64,
    /// Its maximum in this round trip.
    deviation4_max: u64,
    /// What the timeout uses.
    variation4: u64,
    /// When the round trip that `deviation4_max` covers ends.
    round_ends: Instant,
    /// The least measurement, 0 before the first one.
    least: u64,
}

impl RttEstimator {
    pub(crate) fn sample(&mut self, now: Instant, rtt: Span, rto_min: Span) {
        let (rtt_ns, floor) = (rtt.as_ns().max(1), rto_min.as_ns());
        self.least = if self.least == 0 { rtt_ns } else { self.least.min(rtt_ns) };
        if self.srtt8 == 0 {
            self.srtt8 = rtt_ns << 3;
            self.deviation4 = rtt_ns << 1;
            self.variation4 = self.deviation4.max(floor);
            self.deviation4_max = self.variation4;
            self.round_ends = now + rtt;
            return;
        }
        let srtt = self.srtt8 >> 3;
        self.srtt8 = self.srtt8 - srtt + rtt_ns;
        let (error, mean) = (rtt_ns.abs_diff(srtt), self.deviation4 >> 2);
        if error >= mean {
            // A sudden improvement must not look like variation: it counts an eighth.
            let more = error - mean;
            self.deviation4 += if rtt_ns < srtt { more >> 3 } else { more };
        } else {
            self.deviation4 -= mean - error;
        }
        self.deviation4_max = self.deviation4_max.max(self.deviation4);
        self.variation4 = self.variation4.max(self.deviation4_max);
        if now > self.round_ends {
            self.variation4 -= (self.variation4 - self.deviation4_max.min(self.variation4)) >> 2;
            self.deviation4_max = floor;
            self.round_ends = now + Span::from_ns(self.srtt8 >> 3);
        }
    }

    /// The least round trip measured (`tcp_min_rtt`): that of an ACK that did not wait. Zero before the first measurement.
    pub(crate) fn least(&self) -> Span {
        Span::from_ns(self.least)
    }

    /// The retransmission timeout before any doubling.
    pub(crate) fn timeout(&self, tcp: &TcpConfig) -> Span {
        if self.srtt8 == 0 {
            tcp.rto_initial
        } else {
            TcpConfig::in_ticks(Span::from_ns((self.srtt8 >> 3) + self.variation4)).min(tcp.rto_max)
        }
    }

    /// How long after the last segment a tail loss probe is due (`tcp_schedule_loss_probe`): two round trips, and where a
    /// single segment is under way what its ACK may be late.
    pub(crate) fn probe_timeout(&self, tcp: &TcpConfig, under_way: u32) -> Span {
        if self.srtt8 == 0 {
            return tcp.rto_initial;
        }
        Span::from_ns(self.srtt8 >> 2) + if under_way == 1 { tcp.rto_min } else { TIMEOUT_MIN }
    }

    /// A quarter of the round trip: how long a hole may be mere reordering (`tcp_rack_reo_wnd`).
    pub(crate) fn reordering_window(&self) -> Span {
        Span::from_ns(self.srtt8 >> 5)
    }
}

#[test]
fn the_timeout_is_the_round_trip_plus_at_least_200_ms() {
    let tcp = TcpConfig::default();
    let check = |rtts_ms: &[u64], expected_ms: std::ops::RangeInclusive<u64>| {
        let mut rtt = RttEstimator::default();
        let mut now = Instant::ZERO;
        for ms in rtts_ms {
            now += Span::from_ms(*ms + 100);
            rtt.sample(now, Span::from_ms(*ms), tcp.rto_min);
        }
        let timeout = rtt.timeout(&tcp).as_ms();
        assert!(expected_ms.contains(&timeout), "{rtts_ms:?}: {timeout} ms");
    };
    check(&[], 1_000..=1_000);
    // In whole ticks of 4 ms.
    check(&[0], 204..=204);
    check(&[80; 30], 280..=280);
    check(&[200], 600..=600);
    check(&[200; 40], 400..=404);
    check(&[10, 10, 10, 400], 400..=464);
    assert_eq!(tcp.backed_off(Span::from_ms(210), 9), Span::from_ms(107_520));
    assert_eq!(tcp.backed_off(Span::from_ms(210), 10), Span::from_secs(120));
}

#[test]
fn a_connection_is_given_up_as_linux_documents() {
    let tcp = TcpConfig::default();
    assert_eq!(tcp.patience(15), Span::from_ms(924_600));
    assert_eq!(tcp.patience(3), Span::from_ms(3_000));
    assert_eq!(TcpConfig { rto_max: Span::from_secs(1), ..tcp }.patience(15), Span::from_ms(14_400));
    assert_eq!(TcpConfig { rto_max: Span::from_ms(100), ..tcp }.patience(0), Span::from_ms(200));
}

#[test]
fn a_timer_is_late_by_at_most_a_bucket_of_its_level() {
    let check = |after_ms: u64, bucket_ms: u64| {
        for now in [0, 1_000_000, 3_999_999, 123_456_789_000] {
            let after = Span::from_ms(after_ms);
            let takes = wheel(Instant::from_ns(now), after);
            assert!(takes > after, "{after_ms} ms after {now} ns: fires after {takes}");
            assert!(takes - after <= Span::from_ms(bucket_ms + 4), "{after_ms} ms after {now} ns: {takes} late");
            // The count of ticks wraps five minutes after boot, and so does every level then.
            let before_wrap = 300_000_000_000 % (bucket_ms * 1_000_000);
            let fires = now + takes.as_ns() + bucket_ms * 1_000_000 - before_wrap;
            assert!(fires.is_multiple_of(bucket_ms * 1_000_000), "on the grid of its level");
        }
    };
    // 63 ticks fit into the lowest level, eight times as many into each next one.
    check(204, 4);
    check(248, 4);
    check(252, 32);
    check(2_012, 32);
    check(2_016, 256);
    check(16_124, 256);
    check(16_128, 2_048);
    check(120_000, 2_048);
}
