//! The receiving half of streams: order, the buffer of a process that does not read, ACKs.

use models::process::{CloseReason, Input, Process};
use models::time::Span;

use crate::net::connection::{Ack, Body, ConnRef, EndState, Side};
use crate::net::rule::{Effect, Rule};

use super::Simulation;
use super::event::{Event, News, Packet};
use super::slot::RunState;
use super::stream::IP_TCP_HEADERS;

impl<P: Process> Simulation<P> {
    /// A packet from the end `side` arrives at the host of the other.
    pub(super) fn on_packet(&mut self, conn: ConnRef, side: Side, packet: Packet) {
        let now = self.now;
        let Some(known) = self.connection(conn) else { return };
        let end = &known.ends[usize::from(1 - side)];
        let (host, state) = (end.host, end.state);
        self.fingerprint.fold(now.as_ns() ^ u64::from(conn.index) << 40);
        if !self.hosts[usize::from(host.0)].up {
            self.counts.lost += 1;
            return self.expect_timeout(conn, side);
        }
        match packet {
            Packet::Data { sequence, more, ack } => self.on_data(conn, side, (sequence, more), ack),
            Packet::Ack { ack, news } => match state {
                EndState::Established | EndState::Orphaned => self.on_ack(conn, 1 - side, ack, news),
                _ => {}
            },
            Packet::Syn => self.on_syn(conn),
            Packet::SynAck => self.on_syn_ack(conn),
            Packet::Established => {
                self.on_established(conn);
            }
            Packet::Reset => self.on_reset(conn, 1 - side),
            Packet::NoRoute if state == EndState::SynSent => {
                self.end_connection(conn, 1 - side, CloseReason::Unreachable);
            }
            Packet::NoRoute => {}
        }
    }

    fn on_reset(&mut self, conn: ConnRef, side: Side) {
        match self.conns[conn.index as usize].ends[usize::from(side)].state {
            EndState::SynSent => self.end_connection(conn, side, CloseReason::Refused),
            EndState::SynReceived | EndState::Established | EndState::Orphaned => {
                self.end_connection(conn, side, CloseReason::Reset);
            }
            EndState::Unborn | EndState::Gone => {}
        }
    }

    /// Data from the end `side` arrives.
    fn on_data(&mut self, conn: ConnRef, side: Side, (sequence, more): (u32, u16), ack: u32) {
        let receiver = 1 - side;
        if self.conns[conn.index as usize].ends[usize::from(receiver)].state == EndState::SynReceived
            && !self.on_established(conn)
        {
            return;
        }
        if matches!(self.end_state(conn, receiver), Some(EndState::Established | EndState::Orphaned)) {
            self.on_ack(conn, receiver, ack, News::Nothing);
        }
        match self.end_state(conn, receiver) {
            None | Some(EndState::Unborn | EndState::SynSent | EndState::SynReceived) => return,
            Some(EndState::Gone) => return self.send_reset(conn, receiver),
            Some(EndState::Established | EndState::Orphaned) => {}
        }
        if more == 0 && self.takes_at_once(conn, side, sequence) {
            return self.take_segment(conn, side);
        }
        let paused = self.is_paused_end(conn, receiver);
        let known = &mut self.conns[conn.index as usize];
        let room = self.hosts[usize::from(known.ends[usize::from(receiver)].host.0)].tcp.receive_buffer;
        let orphaned = known.ends[usize::from(receiver)].state == EndState::Orphaned;
        let half = &mut known.halves[usize::from(side)];
        let last = sequence + u32::from(more);
        if last < half.received {
            return self.send_ack(conn, side, News::Nothing, true);
        }
        let first = sequence.max(half.received);
        if orphaned && matches!(half.segment(first).body, Body::Message(_) | Body::Ahead) {
            // Nobody will ever read it (`TCPAbortOnData`).
            self.send_reset(conn, receiver);
            return self.forget_end(conn, receiver);
        }
        if first > half.received && half.refused {
            return self.send_ack(conn, side, News::WindowClosed, true);
        }
        (first..=last).for_each(|sequence| half.segment(sequence).arrived = true);
        if first > half.received {
            return self.send_ack(conn, side, News::Selective(last), true);
        }
        let mut arrivals = std::mem::take(&mut self.arrivals);
        let mut fin = false;
        while half.received < half.next {
            let received = half.received;
            let unread = half.unread;
            let segment = half.segment(received);
            if !segment.arrived {
                break;
            }
            if paused {
                let unread = unread.saturating_add(segment.bytes);
                if unread > room {
                    // Nothing of the packet from here on is kept.
                    (received..=last).for_each(|sequence| half.segment(sequence).arrived = false);
                    half.refused = true;
                    break;
                }
                half.unread = unread;
            }
            let body = std::mem::replace(&mut half.segment(received).body, Body::Taken);
            fin |= matches!(body, Body::Fin);
            arrivals.push(body);
            half.received += 1;
        }
        let news = if half.refused { News::WindowClosed } else { News::Nothing };
        self.send_ack(conn, side, news, fin || news == News::WindowClosed);
        for body in arrivals.drain(..) {
            self.hand_over(conn, receiver, body);
        }
        self.arrivals = arrivals;
    }

    /// Whether a segment from the end `side` is the next one, the only one that has arrived, and its reader reads.
    fn takes_at_once(&self, conn: ConnRef, side: Side, sequence: u32) -> bool {
        let known = &self.conns[conn.index as usize];
        let half = &known.halves[usize::from(side)];
        let end = &known.ends[usize::from(1 - side)];
        sequence == half.received
            && !half.refused
            && end.state == EndState::Established
            && self.slot(end.process).run != RunState::Paused
            && (half.segments.get((sequence + 1 - half.una) as usize)).is_none_or(|next| !next.arrived)
    }

    /// Takes the next segment from the end `side`.
    fn take_segment(&mut self, conn: ConnRef, side: Side) {
        let half = &mut self.conns[conn.index as usize].halves[usize::from(side)];
        let received = half.received;
        half.received += 1;
        let segment = half.segment(received);
        segment.arrived = true;
        let body = std::mem::replace(&mut segment.body, Body::Taken);
        self.send_ack(conn, side, News::Nothing, matches!(body, Body::Fin));
        self.hand_over(conn, 1 - side, body);
    }

    /// Gives the process at the end `side` what came in order.
    fn hand_over(&mut self, conn: ConnRef, side: Side, body: Body<P::Message>) {
        if self.end_state(conn, side) != Some(EndState::Established) {
            return;
        }
        let end = &self.conns[conn.index as usize].ends[usize::from(side)];
        let (process, id, incarnation) = (end.process, end.id, end.incarnation);
        if self.slot(process).incarnation != incarnation {
            // Its process has died; the kernel is about to close it.
            return;
        }
        match body {
            Body::Message(message) => self.deliver(process, Input::Message { conn: id, message }),
            Body::Ahead => {}
            Body::Fin => self.end_connection(conn, side, CloseReason::Eof),
            Body::Taken => unreachable!("a segment is accepted once"),
        }
    }

    fn end_state(&mut self, conn: ConnRef, side: Side) -> Option<EndState> {
        self.connection(conn).map(|known| known.ends[usize::from(side)].state)
    }

    /// Acknowledges what came from the end `side`. Unless someone waits for it, the ACK is no event: its fate is decided
    /// here, and its arrival noted.
    pub(super) fn send_ack(&mut self, conn: ConnRef, side: Side, news: News, at_once: bool) {
        let Some(known) = self.conns.get_mut(conn.index as usize).filter(|c| c.generation == conn.generation) else {
            return;
        };
        if !matches!(known.ends[usize::from(side)].state, EndState::Established | EndState::Orphaned) {
            return;
        }
        let [from, to] = [known.ends[usize::from(1 - side)].host, known.ends[usize::from(side)].host];
        let half = &mut known.halves[usize::from(side)];
        let is_event = at_once || half.needs_acks();
        let wait = half.ack_delay(self.now, &self.hosts[usize::from(from.0)].tcp);
        let delay = if at_once { Span::ZERO } else { wait };
        // Sent now as far as queues of lines are concerned: an ACK that waits must not keep a line from other packets.
        let ack = half.received;
        let header = || known.header(1 - side, IP_TCP_HEADERS, false);
        let fate = self.network.transit(self.now, (from, to), IP_TCP_HEADERS, header);
        let Some(at) = fate.at.map(|at| at + delay) else {
            self.counts.lost += 1;
            self.answer(conn, 1 - side, fate.told, false);
            return self.expect_timeout(conn, side);
        };
        let half = &mut known.halves[usize::from(side)];
        if is_event {
            let patience = if let News::Selective(_) = news { half.rtt.reordering_window() } else { Span::ZERO };
            let packet = Packet::Ack { ack, news };
            self.queue.push(at + patience, Event::Packet { conn, side: 1 - side, packet });
            if at > half.deadline {
                self.expect_timeout(conn, side);
            }
            return;
        }
        // It says all that those say which still wait.
        while half.acks.pop_back_if(|later| later.arrives >= at).is_some() {}
        half.acks.push_back(Ack { leaves: self.now + delay, arrives: at, ack });
        if at > half.deadline {
            self.expect_timeout(conn, side);
        }
    }

    /// A rule that stops packets begins. An ACK that still waits for a segment to ride on meets it, although its fate was decided
    /// when it began to wait; who rejects it says so when it is sent.
    pub(super) fn lose_waiting_acks(&mut self, rule: &Rule) {
        for index in 0..self.conns.len() {
            for side in [0, 1] {
                let known = &mut self.conns[index];
                let [from, to] = [1 - side, side].map(|side| known.ends[usize::from(side)].host);
                let header = known.header(1 - side, IP_TCP_HEADERS, false);
                if from == to || !rule.from.contains(&from) || !rule.to.contains(&to) || !rule.is_for(&header) {
                    continue;
                }
                let acks = &mut known.halves[usize::from(side)].acks;
                let mut lost = None;
                while let Some(ack) = acks.pop_back_if(|ack| ack.leaves > self.now) {
                    self.counts.lost += 1;
                    lost = Some(ack.leaves);
                }
                let Some(leaves) = lost else { continue };
                let conn = self.conn_ref(index);
                if rule.effect == Effect::Reset {
                    self.queue.push(leaves, Event::Packet { conn, side, packet: Packet::Reset });
                }
                self.expect_timeout(conn, side);
            }
        }
    }
}
