//! A stream between two processes, as the kernels of both hosts know it.
//!
//! A message is one segment. Its body leaves the sender's queue when the receiver's kernel accepts it, since nobody will
//! need it again: the rest of the entry stays until it is acknowledged. ACKs of a healthy stream are no events: their time
//! of arrival waits in [`Half::acks`] and is looked at when the sender has business with the stream next.

use std::collections::VecDeque;

use models::id::{ConnId, HostId, Port, ProcessId};
use models::time::{Instant, Span};

use crate::kernel::queue::Ticket;

use super::congestion::{FULL_SEGMENT, Window};
use super::rule::Header;
use super::tcp::{RttEstimator, TcpConfig};

/// Names a connection; stale once both kernels have forgotten it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConnRef {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

/// An end of a connection: 0 dialled, 1 accepted.
pub(crate) type Side = u8;

/// What a kernel knows of its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndState {
    /// The SYN has not arrived yet.
    Unborn,
    /// SYN sent.
    SynSent,
    /// SYN-ACK sent; the process does not know yet.
    SynReceived,
    /// Open.
    Established,
    /// The process has closed it or died; the kernel still delivers what was said.
    Orphaned,
    /// Forgotten. What arrives is answered by RST.
    Gone,
}

/// One end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) process: ProcessId,
    pub(crate) host: HostId,
    /// Which life of the process.
    pub(crate) incarnation: u32,
    /// The process's name for it. Of the accepting end: zero until it is accepted.
    pub(crate) id: ConnId,
    pub(crate) state: EndState,
}

/// A connection.
#[derive(Clone, Debug)]
pub(crate) struct Connection<M> {
    pub(crate) generation: u32,
    pub(crate) port: Port,
    /// The address that was dialled is nobody's: no packet arrives.
    pub(crate) astray: bool,
    pub(crate) ends: [End; 2],
    /// What each end says.
    pub(crate) halves: [Half<M>; 2],
}

impl<M> Connection<M> {
    /// What rules see of a packet of `bytes`, with its headers, that the end `side` sends.
    pub(crate) fn header(&self, side: Side, bytes: u32, opens: bool) -> Header {
        let [dialled, accepted] = &self.ends;
        let flow = u64::from(dialled.process.0) << 48 | u64::from(accepted.process.0) << 32 | u64::from(dialled.id.0);
        let port = Some(self.port);
        let (src, dst) = if side == 0 { (None, port) } else { (port, None) };
        Header { bytes, src, dst, flow, opens }
    }
}

/// The content of a segment.
#[derive(Clone, Debug)]
pub(crate) enum Body<M> {
    Message(M),
    /// The beginning of the message that the next segment completes.
    Ahead,
    Fin,
    /// The receiver has it.
    Taken,
}

/// A segment that is not acknowledged yet.
#[derive(Clone, Debug)]
pub(crate) struct Segment<M> {
    pub(crate) body: Body<M>,
    pub(crate) bytes: u32,
    /// When it left last, or will: the congestion window may let it wait.
    pub(crate) sent_at: Instant,
    pub(crate) retransmitted: bool,
    /// Reached the receiver, in order or not.
    pub(crate) arrived: bool,
}

/// An ACK that is no event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ack {
    /// When its sender, which may have it wait, sends it.
    pub(crate) leaves: Instant,
    /// When it arrives.
    pub(crate) arrives: Instant,
    /// The first segment that it does not acknowledge.
    pub(crate) ack: u32,
}

/// One direction of a connection: the state of its sender and, further down, of its receiver.
#[derive(Clone, Debug)]
pub(crate) struct Half<M> {
    /// From `una` on.
    pub(crate) segments: VecDeque<Segment<M>>,
    /// First segment not acknowledged.
    pub(crate) una: u32,
    /// First segment never sent.
    pub(crate) next: u32,
    pub(crate) rtt: RttEstimator,
    window: Window,
    /// When to retransmit; [`Instant::MAX`] while nothing is unacknowledged.
    pub(crate) deadline: Instant,
    /// How often the timeout was doubled since the last progress. While it is not zero only the head is sent.
    pub(crate) backoff: u32,
    /// How many retransmissions went unanswered.
    pub(crate) retries: u32,
    /// When the first of them was sent (`retrans_stamp`).
    pub(crate) retransmits_since: Instant,
    /// The event that looks at the deadline, if one is in the queue. There is none while all is known to go well.
    /// When it comes, and the deadline that it was set for.
    pub(crate) timer: Option<(Instant, Instant, Ticket)>,
    /// The tail loss probe has been sent since the last progress.
    pub(crate) probed: bool,
    /// When new data was last sent, or the last progress made: the probe's time counts from here.
    pub(crate) probe_from: Instant,
    /// The receiver said that its buffer is full.
    pub(crate) blocked: bool,
    /// ACKs that wait or are under way.
    pub(crate) acks: VecDeque<Ack>,

    /// The receiver's: first segment not accepted.
    pub(crate) received: u32,
    /// The receiver's: bytes that its process has not read.
    pub(crate) unread: u32,
    /// The receiver's: it turned a segment away for want of room.
    pub(crate) refused: bool,
    /// The receiver's: it answers what it is told, so an ACK may wait for the answer (`icsk_ack.pingpong`).
    pingpong: bool,
    /// The receiver's: when data came last.
    heard_at: Instant,
    /// The receiver's: when the ACK that waits goes out alone.
    ack_due: Option<Instant>,

    /// Latest arrival of anything sent in this direction.
    last_arrival: Instant,
}

impl<M> Half<M> {
    pub(crate) fn new() -> Self {
        Self {
            segments: VecDeque::new(),
            una: 0,
            next: 0,
            rtt: RttEstimator::default(),
            window: Window::default(),
            deadline: Instant::MAX,
            backoff: 0,
            retries: 0,
            retransmits_since: Instant::ZERO,
            timer: None,
            probed: false,
            probe_from: Instant::ZERO,
            blocked: false,
            acks: VecDeque::new(),
            received: 0,
            unread: 0,
            refused: false,
            pingpong: false,
            heard_at: Instant::ZERO,
            ack_due: None,
            last_arrival: Instant::ZERO,
        }
    }

    /// Appends to the stream.
    pub(crate) fn append(&mut self, body: Body<M>, bytes: u32) {
        let (sent_at, retransmitted, arrived) = (Instant::ZERO, false, false);
        self.segments.push_back(Segment { body, bytes, sent_at, retransmitted, arrived });
    }

    /// One past the last segment appended.
    pub(crate) fn end(&self) -> u32 {
        self.una + self.segments.len() as u32
    }

    pub(crate) fn segment(&mut self, sequence: u32) -> &mut Segment<M> {
        &mut self.segments[(sequence - self.una) as usize]
    }

    /// Whether something that was sent is not acknowledged.
    pub(crate) fn is_outstanding(&self) -> bool {
        self.una < self.next
    }

    /// Whether the next timer is that of a tail loss probe: data is under way, and there is one probe an episode, before any
    /// timeout.
    pub(crate) fn may_probe(&self) -> bool {
        self.is_outstanding() && self.backoff == 0 && !self.probed && !self.blocked
    }

    /// When the sender acts unless an ACK comes: the probe, at the latest when the timeout would be, or the timeout.
    pub(crate) fn due(&self, tcp: &TcpConfig) -> Instant {
        if !self.may_probe() {
            return self.deadline;
        }
        self.deadline.min(self.probe_from + self.rtt.probe_timeout(tcp, self.next - self.una))
    }

    /// New data is about to be sent. After the probe it sets the timer by the head's age again (`tcp_rearm_rto`).
    pub(crate) fn sends_new(&mut self, now: Instant, tcp: &TcpConfig) {
        self.probe_from = now;
        if self.probed && self.backoff == 0 && self.is_outstanding() {
            let head = self.segments[0].sent_at + self.rtt.timeout(tcp);
            self.deadline = head.max(now + self.rtt.probe_timeout(tcp, self.next + 1 - self.una));
        }
    }

    /// Packets with `bytes` of data are sent at `now`: when the last of them leaves, as the congestion window lets it.
    pub(crate) fn departure(&mut self, now: Instant, bytes: u32) -> Instant {
        self.window.departure(now, bytes, self.rtt.least())
    }

    /// Its process is about to write.
    pub(crate) fn writes(&mut self, now: Instant, tcp: &TcpConfig) {
        if self.segments.is_empty() {
            self.window.restart(now, self.rtt.timeout(tcp));
        }
    }

    /// The receiver of this direction says something itself, which takes a waiting ACK along.
    pub(crate) fn answered(&mut self, now: Instant, tcp: &TcpConfig) {
        if self.ack_due.take().is_some_and(|due| due <= now) {
            self.pingpong = false;
        }
        self.pingpong |= self.heard_at > Instant::ZERO && now.since(self.heard_at) < tcp.ack_delay;
    }

    /// How long the ACK of data that has just come waits. A receiver that does not answer acknowledges what its process reads
    /// at once, as does any that owes two ACKs (`tcp_cleanup_rbuf`); who waited in vain stops waiting (`tcp_delack_timer`).
    pub(crate) fn ack_delay(&mut self, now: Instant, tcp: &TcpConfig) -> Span {
        let waiting = self.ack_due.take();
        let alone = waiting.is_some_and(|due| due <= now);
        self.pingpong &= !alone;
        self.heard_at = now;
        if !self.pingpong || (waiting.is_some() && !alone) {
            return Span::ZERO;
        }
        self.ack_due = Some(now + tcp.ack_delay);
        tcp.ack_delay
    }

    /// Whether ACKs must arrive as events, because the sender waits for one to go on.
    pub(crate) fn needs_acks(&self) -> bool {
        self.backoff > 0 || self.next < self.end() || self.blocked
    }

    /// Takes in the ACKs that have arrived by `now`.
    pub(crate) fn absorb(&mut self, now: Instant, tcp: &TcpConfig) {
        while let Some(Ack { arrives: at, ack, .. }) = self.acks.front().copied()
            && at <= now
        {
            self.acks.pop_front();
            // Half of them ride on data that has arrived before.
            if ack > self.una {
                self.acknowledge(at, ack, tcp);
            }
        }
    }

    /// All segments before `ack` have arrived, as the sender learns at `at`. Returns whether that is new.
    pub(crate) fn acknowledge(&mut self, at: Instant, ack: u32, tcp: &TcpConfig) -> bool {
        if ack <= self.una {
            return false;
        }
        assert!(ack <= self.next, "an ACK of what was never sent");
        let news = || self.segments.iter().take((ack - self.una) as usize);
        // The oldest is measured (`first_ackt`), so that an ACK which waited counts in full; none where a copy was sent of any, as
        // which one is acknowledged cannot be told (Karn).
        if news().all(|segment| !segment.retransmitted)
            && let Some(oldest) = news().next()
        {
            let rtt = at - oldest.sent_at;
            self.rtt.sample(at, rtt, tcp.rto_min);
        }
        for _ in self.una..ack {
            self.segments.pop_front();
        }
        self.una = ack;
        self.backoff = 0;
        self.retries = 0;
        self.probed = false;
        self.probe_from = at;
        self.blocked = false;
        // What is still to leave is not late before it has.
        let head = self.segments.front().filter(|_| self.una < self.next).map(|head| head.sent_at);
        self.deadline = head.map_or(Instant::MAX, |left| left.max(at) + self.rtt.timeout(tcp));
        true
    }

    /// The timeout passed: doubles it.
    pub(crate) fn back_off(&mut self, now: Instant, tcp: &TcpConfig) {
        if self.retries == 0 {
            self.retransmits_since = now;
        }
        self.backoff += 1;
        self.retries += 1;
        // A probe of a closed window is no sign of loss.
        if !self.blocked {
            self.window.collapse(now);
        }
        self.deadline = now + tcp.backed_off(self.rtt.timeout(tcp), self.backoff);
    }

    /// When a packet of this direction arrives, given the network's word; packets keep their order unless netem mixes them.
    pub(crate) fn arrival(&mut self, at: Instant, ordered: bool) -> Instant {
        if !ordered {
            return at;
        }
        self.last_arrival = self.last_arrival.max(at);
        self.last_arrival
    }

    /// How many segments after `sequence` go along when it is sent again (`tcp_retrans_try_collapse`): those that were sent after
    /// it, as far as they fit into its packet and none is known to have arrived. Never what waits to be sent for the first time.
    pub(crate) fn collapsible(&self, sequence: u32) -> u16 {
        let sent = (self.next - self.una) as usize;
        let mut from = self.segments.iter().take(sent).skip((sequence - self.una) as usize);
        let mut room = from.next().map_or(0, |head| FULL_SEGMENT.saturating_sub(head.bytes));
        let fits = |segment: &&Segment<M>| {
            let left = room.checked_sub(segment.bytes).filter(|_| !segment.arrived);
            room = left.unwrap_or(0);
            left.is_some()
        };
        from.take_while(fits).take(usize::from(u16::MAX)).count() as u16
    }

    /// Holes that the arrival of `sequence` shows: what was sent before it and has not arrived (RACK).
    pub(crate) fn holes_before(&self, sequence: u32) -> Vec<u32> {
        if sequence < self.una {
            return Vec::new();
        }
        let sent_at = self.segments[(sequence - self.una) as usize].sent_at;
        let before = self.segments.iter().take((sequence - self.una) as usize);
        (self.una..).zip(before).filter(|(_, s)| !s.arrived && s.sent_at <= sent_at).map(|(n, _)| n).collect()
    }

    /// What was sent and has not arrived.
    pub(crate) fn missing(&self) -> Vec<u32> {
        let sent = self.segments.iter().take((self.next - self.una) as usize);
        (self.una..).zip(sent).filter(|(_, s)| !s.arrived).map(|(n, _)| n).collect()
    }

    /// The timeout of a handshake segment, from its `retries`: doubled by each, but for the first ones of a SYN.
    pub(crate) fn handshake_timeout(&self, tcp: &TcpConfig, side: Side) -> Span {
        let doubled = if side == 0 { self.retries.saturating_sub(tcp.syn_linear_timeouts) } else { self.retries };
        tcp.backed_off(tcp.rto_initial, doubled)
    }
}

/// A segment whose ACK waits for the next one tells how long it waited; a copy tells nothing.
#[test]
fn the_round_trip_of_the_oldest_segment_that_an_ack_covers_is_measured() {
    let tcp = TcpConfig::default();
    let timeout = |retransmitted: bool| {
        let mut half: Half<()> = Half::new();
        for sent_at in [Instant::from_ns(1_000_000_000), Instant::from_ns(1_029_000_000)] {
            half.append(Body::Message(()), 100);
            half.next += 1;
            half.segment(half.next - 1).sent_at = sent_at;
        }
        half.segment(0).retransmitted = retransmitted;
        assert!(half.acknowledge(Instant::from_ns(1_030_000_000), 2, &tcp));
        half.rtt.timeout(&tcp)
    };
    // 30 ms and 200 ms, in whole ticks of 4 ms.
    assert_eq!(timeout(false), Span::from_ms(232));
    assert_eq!(timeout(true), tcp.rto_initial);
}
