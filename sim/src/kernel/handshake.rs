//! How connections come about: SYN, SYN-ACK, ACK, and their retries.

use models::id::{Address, ConnId, HostId, Port, ProcessId};
use models::process::{CloseReason, Input, Process};
use models::time::Instant;

use crate::net::connection::{ConnRef, Connection, End, EndState, Half, Side};
use crate::net::resolver::Answer;

use super::Simulation;
use super::event::{Event, Packet};
use super::slot::{OpenConn, RunState, Slot};

impl<P: Process> Simulation<P> {
    /// A process dials.
    pub(super) fn dial(&mut self, me: ProcessId, id: ConnId, to: Address) {
        let end = |process, incarnation, id, state| {
            let host = self.slot(process).host;
            End { process, host, incarnation, id, state }
        };
        let mut known = Connection {
            generation: 0,
            port: to.port,
            astray: false,
            ends: [
                end(me, self.slot(me).incarnation, id, EndState::SynSent),
                end(to.process, 0, ConnId(0), EndState::Unborn),
            ],
            halves: [Half::new(), Half::new()],
        };
        let answer = self.hosts[usize::from(known.ends[0].host.0)].resolver.answer(known.ends[1].host);
        let fails_after = match answer {
            Answer::Right => None,
            Answer::Fails(after) => Some(after),
            Answer::Nobody => {
                known.astray = true;
                None
            }
            Answer::Host(other) => {
                self.redirect(&mut known.ends[1], other, to.port);
                None
            }
        };
        let conn = if let Some(index) = self.free_conns.pop() {
            let place = &mut self.conns[index as usize];
            known.generation = place.generation;
            *place = known;
            self.conn_ref(index as usize)
        } else {
            self.conns.push(known);
            self.conn_ref(self.conns.len() - 1)
        };
        self.slots[usize::from(me.0)].open(OpenConn { id, conn, side: 0 });
        match fails_after {
            None => self.shake(conn, 0, Packet::Syn),
            Some(after) => {
                self.queue.push(self.now + after, Event::Packet { conn, side: 1, packet: Packet::NoRoute });
            }
        }
    }

    /// The address that was dialled is that of another host: who listens there on the port is reached, or nobody.
    fn redirect(&self, end: &mut End, host: HostId, port: Port) {
        let listens = |slot: &Slot<P>| slot.host == host && slot.listening.contains(&port);
        end.host = host;
        match (0..).zip(&self.slots).find(|(_, slot)| listens(slot)) {
            Some((process, _)) => end.process = ProcessId(process),
            None => end.state = EndState::Gone,
        }
    }

    /// Sends a handshake packet and arms its timer.
    fn shake(&mut self, conn: ConnRef, side: Side, packet: Packet) {
        let known = &mut self.conns[conn.index as usize];
        let tcp = self.hosts[usize::from(known.ends[usize::from(side)].host.0)].tcp;
        let half = &mut known.halves[usize::from(side)];
        half.deadline = self.now + half.handshake_timeout(&tcp, side);
        self.send_bare(conn, side, packet);
        self.expect_timeout(conn, side);
    }

    /// The timer of a handshake packet expired.
    pub(super) fn retry_handshake(&mut self, conn: ConnRef, side: Side) {
        let known = &mut self.conns[conn.index as usize];
        let end = &known.ends[usize::from(side)];
        let tcp = self.hosts[usize::from(end.host.0)].tcp;
        let (limit, packet) = if end.state == EndState::SynSent {
            // `tcp_write_timeout`: those that do not double come on top.
            (tcp.syn_retries + tcp.syn_linear_timeouts, Packet::Syn)
        } else {
            (tcp.synack_retries, Packet::SynAck)
        };
        let half = &mut known.halves[usize::from(side)];
        if half.retries >= limit {
            return self.end_connection(conn, side, CloseReason::TimedOut);
        }
        half.retries += 1;
        self.counts.retransmissions += 1;
        self.shake(conn, side, packet);
    }

    pub(super) fn on_syn(&mut self, conn: ConnRef) {
        let Some(known) = self.connection(conn) else { return };
        let (end, port) = (&known.ends[1], known.port);
        let (process, state) = (end.process, end.state);
        let slot = self.slot(process);
        match state {
            EndState::Unborn if slot.run != RunState::Down && slot.listening.contains(&port) => {
                let incarnation = slot.incarnation;
                let end = &mut self.conns[conn.index as usize].ends[1];
                end.incarnation = incarnation;
                end.state = EndState::SynReceived;
                self.shake(conn, 1, Packet::SynAck);
            }
            EndState::Unborn | EndState::Gone => self.send_reset(conn, 1),
            EndState::SynReceived => {
                self.send_bare(conn, 1, Packet::SynAck);
            }
            EndState::SynSent | EndState::Established | EndState::Orphaned => {}
        }
    }

    pub(super) fn on_syn_ack(&mut self, conn: ConnRef) {
        let Some(known) = self.connection(conn) else { return };
        let end = &known.ends[0];
        let (process, id) = (end.process, end.id);
        match end.state {
            EndState::SynSent => {
                self.settle(conn, 0);
                self.send_bare(conn, 0, Packet::Established);
                self.deliver(process, Input::Opened { conn: id });
            }
            // Our ACK was lost; without it the peer would ask again.
            EndState::Established | EndState::Orphaned => {
                self.send_bare(conn, 0, Packet::Established);
            }
            EndState::Gone => self.send_reset(conn, 0),
            EndState::Unborn | EndState::SynReceived => unreachable!("the dialling end only dials"),
        }
    }

    /// The handshake is complete for the accepting end. Returns whether there is still a process to accept it.
    pub(super) fn on_established(&mut self, conn: ConnRef) -> bool {
        let Some(known) = self.connection(conn) else { return false };
        let (end, port, peer) = (&known.ends[1], known.port, known.ends[0].process);
        let (process, incarnation) = (end.process, end.incarnation);
        match end.state {
            EndState::SynReceived => {}
            EndState::Gone => {
                self.send_reset(conn, 1);
                return false;
            }
            _ => return true,
        }
        let slot = &mut self.slots[usize::from(process.0)];
        if slot.run == RunState::Down || slot.incarnation != incarnation {
            self.send_reset(conn, 1);
            self.forget_end(conn, 1);
            return false;
        }
        let id = slot.numbers.next_conn();
        slot.open(OpenConn { id, conn, side: 1 });
        self.settle(conn, 1);
        self.conns[conn.index as usize].ends[1].id = id;
        self.deliver(process, Input::Accepted { conn: id, port, peer });
        true
    }

    /// An end becomes established; its handshake packet gives the first measurement of the round trip.
    fn settle(&mut self, conn: ConnRef, side: Side) {
        let known = &mut self.conns[conn.index as usize];
        let end = &mut known.ends[usize::from(side)];
        end.state = EndState::Established;
        let tcp = self.hosts[usize::from(end.host.0)].tcp;
        let half = &mut known.halves[usize::from(side)];
        let under_way = half.handshake_timeout(&tcp, side).saturating_sub(half.deadline - self.now);
        half.rtt.sample(self.now, under_way, tcp.rto_min);
        half.retries = 0;
        half.deadline = Instant::MAX;
        if let Some((.., ticket)) = half.timer.take() {
            self.queue.cancel(ticket);
        }
    }
}
