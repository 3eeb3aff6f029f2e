//! The congestion window, as far as it delays what is sent: slow start.
//!
//! A connection begins with ten packets (`TCP_INIT_CWND`), a retransmission timeout leaves one (`tcp_enter_loss`), and who writes
//! again after a silence finds what was reached halved for each timeout that it took, down to the ten (`tcp_cwnd_restart`). What is acknowledged is added
//! (`tcp_slow_start`), where the window was half used or more (`tcp_is_cwnd_limited`). So a log of a megabyte takes six round trips
//! more than a heartbeat, and after an outage a queue drains in steps.
//!
//! Packets of a window leave together and are acknowledged together, a round trip later: that is when the next ones leave.
//! Not modelled: `ssthresh` and congestion avoidance, which nothing but loss leads to; the recovery from a loss without timeout.

use models::time::{Instant, Span};

/// Bytes of data in a full packet of 1,500 (`tcp_current_mss`, with timestamps).
pub(crate) const FULL_SEGMENT: u32 = 1_448;
/// `TCP_INIT_CWND`.
const INITIAL: u32 = 10 * FULL_SEGMENT;
/// The greatest send buffer, which no window exceeds: `net.ipv4.tcp_wmem[2]`.
const LARGEST: u32 = 4 << 20;

/// The window of one direction. Packets that leave at once count as full ones, since Linux counts packets; those that wait are
/// merged and count by their bytes.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    size: u32,
    /// How much of it is under way.
    used: u32,
    /// When what is under way left, or will.
    round: Instant,
}

impl Default for Window {
    fn default() -> Self {
        Self { size: INITIAL, used: 0, round: Instant::ZERO }
    }
}

impl Window {
    /// When the last of `bytes` leaves that are sent at `now`, where ACKs return after `rtt`.
    pub(crate) fn departure(&mut self, now: Instant, bytes: u32, rtt: Span) -> Instant {
        if now >= self.round + rtt {
            self.is_acknowledged();
            self.round = now;
        }
        let waits = self.round > now;
        let packets = if waits { bytes } else { bytes.max(1).div_ceil(FULL_SEGMENT).saturating_mul(FULL_SEGMENT) };
        self.used = self.used.saturating_add(packets);
        while self.used > self.size {
            self.used -= self.size;
            self.round += rtt;
            self.size = self.size.saturating_mul(2).min(LARGEST);
        }
        self.round.max(now)
    }

    /// All that was under way is acknowledged.
    fn is_acknowledged(&mut self) {
        let used = std::mem::take(&mut self.used);
        if used >= self.size / 2 {
            self.size = (self.size + used).min(LARGEST);
        }
    }

    /// A process writes while nothing is under way; `timeout` is what a retransmission would take.
    pub(crate) fn restart(&mut self, now: Instant, timeout: Span) {
        self.is_acknowledged();
        let halvings = now.since(self.round).as_ns() / timeout.as_ns().max(1);
        let halved = self.size >> halvings.min(31);
        self.size = halved.max(self.size.min(INITIAL));
    }

    /// A retransmission timeout passed: one packet is sent, and what it acknowledges is the beginning of another slow start.
    pub(crate) fn collapse(&mut self, now: Instant) {
        *self = Self { size: FULL_SEGMENT, used: 0, round: now };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Span = Span::from_ms(30);
    const TIMEOUT: Span = Span::from_ms(230);

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Span::from_ms(ms)
    }

    fn departure(window: &mut Window, ms: u64, packets: u32) -> u64 {
        (window.departure(at(ms), packets * FULL_SEGMENT, RTT) - Instant::ZERO).as_ms()
    }

    #[test]
    fn a_bulk_leaves_in_windows_that_double_each_round_trip() {
        let mut window = Window::default();
        assert_eq!(departure(&mut window, 1_000, 10), 1_000);
        // 20, 40 and 80 packets follow.
        assert_eq!(departure(&mut window, 1_000, 20), 1_030);
        assert_eq!(departure(&mut window, 1_000, 41), 1_090);
        assert_eq!(departure(&mut window, 1_000, 79), 1_090);
        assert_eq!(departure(&mut window, 1_000, 1), 1_120);
        assert_eq!(departure(&mut Window::default(), 1_000, 700), 1_180, "a megabyte");
    }

    #[test]
    fn small_packets_count_in_full_until_they_wait() {
        let mut window = Window::default();
        let mut small = |ms| (window.departure(at(ms), 100, RTT) - Instant::ZERO).as_ms();
        assert!((0..10).all(|_| small(1_000) == 1_000));
        // Hundreds more fit into the 20 packets of the next round trip, merged.
        assert!((0..270).all(|_| small(1_000) == 1_030));
    }

    #[test]
    fn a_window_grows_by_what_is_acknowledged_if_it_was_needed() {
        let mut window = Window::default();
        assert_eq!(departure(&mut window, 1_000, 4), 1_000);
        assert_eq!(departure(&mut window, 1_030, 11), 1_060, "four of ten do not open it");
        let mut window = Window::default();
        assert_eq!(departure(&mut window, 1_000, 5), 1_000);
        assert_eq!(departure(&mut window, 1_030, 15), 1_030, "five of ten do");
    }

    #[test]
    fn an_idle_connection_starts_slowly_again() {
        let mut window = Window::default();
        assert_eq!(departure(&mut window, 1_000, 150), 1_090);
        assert_eq!(departure(&mut window, 1_120, 100), 1_120);
        // 260 packets, halved once.
        let mut idle = window.clone();
        idle.restart(at(1_120 + 231), TIMEOUT);
        assert_eq!(departure(&mut idle, 1_351, 131), 1_381);
        idle.restart(at(10_000), TIMEOUT);
        assert_eq!(departure(&mut idle, 10_000, 11), 10_030);
        // What waited for something else than a process is another matter.
        assert_eq!(departure(&mut window, 10_000, 260), 10_000);
    }

    #[test]
    fn after_a_timeout_one_packet_is_the_beginning() {
        let mut window = Window::default();
        window.collapse(at(1_000));
        assert_eq!(departure(&mut window, 1_000, 1), 1_000);
        assert_eq!(departure(&mut window, 1_030, 2), 1_030);
        assert_eq!(departure(&mut window, 1_060, 5), 1_090);
        // A second timeout undoes what was reached.
        window.collapse(at(2_000));
        assert_eq!(departure(&mut window, 2_000, 2), 2_030);
    }
}
