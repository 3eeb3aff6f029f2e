//! The sending half of streams: segments, the retransmission timer, the end of a connection.
//!
//! What Linux does and what the models rest on: one timer per direction, armed only while data is unacknowledged; on its
//! expiry the head is sent again, with what was sent after it and fits in its packet, and nothing new until it is acknowledged,
//! then all the rest; holes that later
//! segments reveal are filled after about a round trip (RACK) without waiting for the timer; the last segment is sent once more
//! soon after it (the tail loss probe), from which the first timeout counts; timers go off on the wheel's ticks. The congestion
//! window lets a bulk leave in steps.

use models::id::{ConnId, ProcessId};
use models::process::{CloseReason, Input, Payload, Process};
use models::time::Instant;

use crate::net::connection::{Ack, Body, ConnRef, Connection, EndState, Side};
use crate::net::tcp::wheel;
use crate::net::{LOST, Told};

use super::Simulation;
use super::event::{Event, News, Packet};
use super::slot::{Host, RunState};

pub(super) const IP_UDP_HEADERS: u32 = 28;
/// With timestamps.
pub(super) const IP_TCP_HEADERS: u32 = 52;

impl<P: Process> Simulation<P> {
    pub(super) fn connection(&mut self, conn: ConnRef) -> Option<&mut Connection<P::Message>> {
        self.conns.get_mut(conn.index as usize).filter(|known| known.generation == conn.generation)
    }

    pub(super) fn conn_ref(&self, index: usize) -> ConnRef {
        ConnRef { index: index as u32, generation: self.conns[index].generation }
    }

    /// A process writes to a connection.
    pub(super) fn send(&mut self, me: ProcessId, id: ConnId, message: P::Message) {
        let slot = self.slot(me);
        let (host, Some(open)) = (slot.host, slot.conn(id)) else { return };
        let now = self.now;
        let Self { conns, hosts, .. } = self;
        let conn = &mut conns[open.conn.index as usize];
        let side = usize::from(open.side);
        if conn.generation != open.conn.generation || conn.ends[side].state != EndState::Established {
            return;
        }
        let half = &mut conn.halves[side];
        let tcp = &hosts[usize::from(host.0)].tcp;
        half.absorb(now, tcp);
        half.writes(now, tcp);
        let bytes = message.wire_size();
        let ahead = message.written_ahead();
        if ahead > 0 {
            half.append(Body::Ahead, ahead);
        }
        half.append(Body::Message(message), bytes - ahead);
        self.flush(open.conn, open.side);
    }

    /// Sends what was never sent, as far as that is allowed.
    pub(super) fn flush(&mut self, conn: ConnRef, side: Side) {
        let half = &mut self.conns[conn.index as usize].halves[usize::from(side)];
        if half.backoff > 0 || half.blocked {
            return;
        }
        self.send_new(conn, side);
    }

    fn send_new(&mut self, conn: ConnRef, side: Side) {
        let now = self.now;
        let tcp = self.hosts[usize::from(self.conns[conn.index as usize].ends[usize::from(side)].host.0)].tcp;
        loop {
            let half = &mut self.conns[conn.index as usize].halves[usize::from(side)];
            if half.next >= half.end() {
                return;
            }
            let sequence = half.next;
            half.sends_new(now, &tcp);
            half.next += 1;
            self.transmit(conn, side, sequence, 0);
            let half = &mut self.conns[conn.index as usize].halves[usize::from(side)];
            half.probe_from = half.segment(sequence).sent_at;
        }
    }

    /// Sends a segment, and `more` after it in the same packet.
    fn transmit(&mut self, conn: ConnRef, side: Side, sequence: u32, more: u16) {
        let (now, known) = (self.now, &mut self.conns[conn.index as usize]);
        let [from, to] = [known.ends[usize::from(side)].host, known.ends[usize::from(1 - side)].host];
        let tcp = self.hosts[usize::from(from.0)].tcp;
        let back = &mut known.halves[usize::from(1 - side)];
        back.answered(now, &tcp);
        let ack = back.received;
        let half = &mut known.halves[usize::from(side)];
        let together = sequence..=sequence + u32::from(more);
        let data = together.clone().fold(0, |bytes: u32, next| bytes.saturating_add(half.segment(next).bytes));
        let (bytes, leaves) = (data.saturating_add(IP_TCP_HEADERS), half.departure(now, data));
        together.for_each(|sequence| half.segment(sequence).sent_at = leaves);
        if half.deadline == Instant::MAX {
            half.deadline = leaves + half.rtt.timeout(&tcp);
        }
        let fate = self.network.transit(now, (from, to), bytes, || known.header(side, bytes, false));
        let Some(at) = fate.at else {
            self.counts.lost += 1;
            self.answer(conn, side, fate.told, false);
            return self.expect_timeout(conn, side);
        };
        let half = &mut known.halves[usize::from(side)];
        let at = half.arrival(at + leaves.since(now), fate.ordered);
        let late = at > half.deadline;
        self.queue.push(at, Event::Packet { conn, side, packet: Packet::Data { sequence, more, ack } });
        if late {
            self.expect_timeout(conn, side);
        }
    }

    /// Sends a segment again, and with it what fits. Returns one past the last.
    fn retransmit(&mut self, conn: ConnRef, side: Side, sequence: u32) -> u32 {
        self.counts.retransmissions += 1;
        let half = &mut self.conns[conn.index as usize].halves[usize::from(side)];
        let more = half.collapsible(sequence);
        let end = sequence + 1 + u32::from(more);
        for sequence in sequence..end {
            half.segment(sequence).retransmitted = true;
        }
        self.transmit(conn, side, sequence, more);
        end
    }

    fn retransmit_all(&mut self, conn: ConnRef, side: Side, sequences: &[u32]) {
        let mut sent = 0;
        for sequence in sequences {
            if *sequence >= sent {
                sent = self.retransmit(conn, side, *sequence);
            }
        }
    }

    /// Something will not be acknowledged in time: sees to it that the deadline is looked at.
    pub(super) fn expect_timeout(&mut self, conn: ConnRef, side: Side) {
        let Some(known) = self.conns.get_mut(conn.index as usize).filter(|c| c.generation == conn.generation) else {
            return;
        };
        let Host { tcp, clock, .. } = &self.hosts[usize::from(known.ends[usize::from(side)].host.0)];
        let half = &mut known.halves[usize::from(side)];
        if half.deadline == Instant::MAX {
            return;
        }
        let due = half.due(tcp);
        match half.timer {
            // It may be late by its bucket in the wheel; set anew it would be no earlier.
            Some((_, set_for, _)) if set_for <= due => return,
            Some((.., ticket)) => {
                self.queue.cancel(ticket);
            }
            None => {}
        }
        let at = self.now + clock.true_span(wheel(clock.monotonic(self.now), due.since(self.now)));
        half.timer = Some((at, due, self.queue.push(at, Event::Retransmit { conn, side })));
    }

    /// Looks at the deadline.
    pub(super) fn on_retransmit(&mut self, conn: ConnRef, side: Side) {
        let now = self.now;
        let Some(known) = self.connection(conn) else { return };
        let end = &known.ends[usize::from(side)];
        let (state, host) = (end.state, end.host);
        known.halves[usize::from(side)].timer = None;
        match state {
            EndState::Unborn | EndState::Gone => return,
            EndState::SynSent | EndState::SynReceived => return self.retry_handshake(conn, side),
            EndState::Established | EndState::Orphaned => {}
        }
        let tcp = self.hosts[usize::from(host.0)].tcp;
        let half = &mut self.conns[conn.index as usize].halves[usize::from(side)];
        half.absorb(now, &tcp);
        if !half.is_outstanding() {
            return self.after_ack(conn, side, false);
        }
        if now < half.due(&tcp) {
            return self.expect_timeout(conn, side);
        }
        let limit = if state == EndState::Orphaned { tcp.orphan_retries } else { tcp.retries2 };
        if half.may_probe() {
            return self.probe(conn, side);
        }
        if half.retries > 0 && now - half.retransmits_since >= tcp.patience(limit) {
            return self.end_connection(conn, side, CloseReason::TimedOut);
        }
        half.back_off(now, &tcp);
        let head = half.una;
        // From now on the sender waits for an ACK to go on, so those under way must arrive as events.
        let acks = std::mem::take(&mut half.acks);
        self.fingerprint.fold(now.as_ns());
        self.fingerprint.fold(u64::from(conn.index) << 32 | u64::from(side) << 24 | 9);
        for Ack { arrives: at, ack, .. } in acks {
            let packet = Packet::Ack { ack, news: News::Nothing };
            self.queue.push(at, Event::Packet { conn, side: 1 - side, packet });
        }
        self.retransmit(conn, side, head);
        self.expect_timeout(conn, side);
    }

    /// Sends the last segment under way again without backing off (`tcp_send_loss_probe`).
    fn probe(&mut self, conn: ConnRef, side: Side) {
        let tcp = self.hosts[usize::from(self.conns[conn.index as usize].ends[usize::from(side)].host.0)].tcp;
        let half = &mut self.conns[conn.index as usize].halves[usize::from(side)];
        half.probed = true;
        half.deadline = self.now + half.rtt.timeout(&tcp);
        let last = half.next - 1;
        self.fingerprint.fold(self.now.as_ns());
        self.fingerprint.fold(u64::from(conn.index) << 32 | u64::from(side) << 24 | 10);
        self.retransmit(conn, side, last);
        self.expect_timeout(conn, side);
    }

    /// An ACK arrives at the end `side`.
    pub(super) fn on_ack(&mut self, conn: ConnRef, side: Side, ack: u32, news: News) {
        let now = self.now;
        let Self { conns, hosts, .. } = self;
        let known = &mut conns[conn.index as usize];
        if known.generation != conn.generation {
            return;
        }
        let tcp = &hosts[usize::from(known.ends[usize::from(side)].host.0)].tcp;
        let half = &mut known.halves[usize::from(side)];
        half.absorb(now, tcp);
        let was_lost = half.backoff > 0;
        let progress = half.acknowledge(now, ack, tcp);
        if news == News::WindowClosed {
            // Probes that are answered do not count as unanswered retransmissions.
            half.blocked = true;
            half.retries = 0;
            return;
        }
        if news == News::WindowOpen {
            half.blocked = false;
            half.backoff = 0;
            half.retries = 0;
            if half.is_outstanding() {
                half.deadline = now + half.rtt.timeout(tcp);
            }
        }
        if let News::Selective(sequence) = news
            && half.backoff == 0
        {
            let holes = half.holes_before(sequence);
            self.retransmit_all(conn, side, &holes);
        }
        if progress || news == News::WindowOpen {
            self.after_ack(conn, side, was_lost || news == News::WindowOpen);
        }
    }

    /// Goes on after an ACK: sends the rest again if it was lost, then what waited, and ends what is finished.
    fn after_ack(&mut self, conn: ConnRef, side: Side, was_lost: bool) {
        let known = &mut self.conns[conn.index as usize];
        let half = &known.halves[usize::from(side)];
        if known.ends[usize::from(side)].state == EndState::Orphaned && half.una == half.end() {
            return self.forget_end(conn, side);
        }
        if was_lost {
            let missing = half.missing();
            self.retransmit_all(conn, side, &missing);
        }
        self.flush(conn, side);
        let half = &self.conns[conn.index as usize].halves[usize::from(side)];
        // The deadline has come nearer, and what is under way may be lost already.
        if half.timer.is_some() || was_lost {
            self.expect_timeout(conn, side);
        }
    }

    /// A process closes a connection.
    pub(super) fn close(&mut self, me: ProcessId, id: ConnId) {
        let slot = &mut self.slots[usize::from(me.0)];
        if let Some(open) = slot.conn(id) {
            slot.forget(id);
            self.close_end(open.conn, open.side);
        }
    }

    /// The kernel closes an end whose process is done with it: FIN behind what was said, or RST if something is unread.
    pub(super) fn close_end(&mut self, conn: ConnRef, side: Side) {
        let Some(known) = self.connection(conn) else { return };
        let unread = known.halves[usize::from(1 - side)].unread > 0;
        let end = &mut known.ends[usize::from(side)];
        match end.state {
            EndState::Established if unread => {
                self.send_reset(conn, side);
                self.forget_end(conn, side);
            }
            EndState::Established => {
                end.state = EndState::Orphaned;
                let half = &mut known.halves[usize::from(side)];
                half.retries = 0;
                half.append(Body::Fin, 0);
                // The FIN takes along whatever waits, even while a timeout runs (`tcp_cwnd_test` lets the final FIN pass).
                if !half.blocked {
                    self.send_new(conn, side);
                }
            }
            EndState::SynSent => self.forget_end(conn, side),
            EndState::SynReceived | EndState::Unborn | EndState::Orphaned | EndState::Gone => {}
        }
    }

    /// RST to the peer of the end `side`.
    pub(super) fn send_reset(&mut self, conn: ConnRef, side: Side) {
        if self.connection(conn).is_none() || !self.send_bare(conn, side, Packet::Reset) {
            self.expect_timeout(conn, 1 - side);
        }
    }

    /// Sends a packet without data. Returns whether it arrives.
    pub(super) fn send_bare(&mut self, conn: ConnRef, side: Side, packet: Packet) -> bool {
        let known = &mut self.conns[conn.index as usize];
        let [from, to] = [known.ends[usize::from(side)].host, known.ends[usize::from(1 - side)].host];
        let opens = packet == Packet::Syn;
        let header = || known.header(side, IP_TCP_HEADERS, opens);
        let fate = if known.astray { LOST } else { self.network.transit(self.now, (from, to), IP_TCP_HEADERS, header) };
        let Some(at) = fate.at else {
            self.counts.lost += 1;
            // Nobody answers RST.
            if packet != Packet::Reset {
                self.answer(conn, side, fate.told, opens);
            }
            return false;
        };
        let at = known.halves[usize::from(side)].arrival(at, fate.ordered);
        self.queue.push(at, Event::Packet { conn, side, packet });
        true
    }

    /// Whoever stopped a packet of the end `side` tells it at once. A route that is lost ends only what is being dialled.
    pub(super) fn answer(&mut self, conn: ConnRef, side: Side, told: Told, opens: bool) {
        let packet = match told {
            Told::Reset => Packet::Reset,
            Told::NoRoute if opens => Packet::NoRoute,
            Told::NoRoute | Told::Nothing => return,
        };
        self.queue.push(self.now, Event::Packet { conn, side: 1 - side, packet });
    }

    /// The connection ends at one end, and its process is told.
    pub(super) fn end_connection(&mut self, conn: ConnRef, side: Side, reason: CloseReason) {
        let Some(known) = self.connection(conn) else { return };
        let end = known.ends[usize::from(side)].clone();
        let (process, id, incarnation) = (end.process, end.id, end.incarnation);
        let tell = matches!(end.state, EndState::Established | EndState::SynSent)
            && self.slot(process).incarnation == incarnation;
        self.forget_end(conn, side);
        if tell {
            self.deliver(process, Input::Closed { conn: id, reason });
        }
    }

    /// The kernel of one end forgets the connection; when both have, its place is free.
    pub(super) fn forget_end(&mut self, conn: ConnRef, side: Side) {
        let known = &mut self.conns[conn.index as usize];
        known.ends[usize::from(side)].state = EndState::Gone;
        let half = &mut known.halves[usize::from(side)];
        half.deadline = Instant::MAX;
        half.acks.clear();
        if let Some((.., ticket)) = half.timer.take() {
            self.queue.cancel(ticket);
        }
        if known.ends.iter().all(|end| matches!(end.state, EndState::Gone | EndState::Unborn)) {
            known.generation += 1;
            known.ends.iter_mut().for_each(|end| end.state = EndState::Gone);
            known.halves.iter_mut().for_each(|half| half.segments.clear());
            self.free_conns.push(conn.index);
        }
    }

    pub(super) fn is_paused_end(&self, conn: ConnRef, side: Side) -> bool {
        let end = &self.conns[conn.index as usize].ends[usize::from(side)];
        end.state == EndState::Established && self.slot(end.process).run == RunState::Paused
    }
}
