//! Carrying out what processes ask for.

use models::id::{DiskToken, HostId, Port, ProcessId};
use models::process::{Effect, Input, Payload, Process};
use models::time::Instant;

use crate::disk::{Request, Work};
use crate::net::rule::Header;

use super::Simulation;
use super::event::Event;
use super::stream::IP_UDP_HEADERS;

impl<P: Process> Simulation<P> {
    /// Returns whether the process goes on.
    #[inline]
    pub(super) fn carry_out(&mut self, me: ProcessId, effect: Effect<P::Message, P::Timer>) -> bool {
        let slot = &mut self.slots[usize::from(me.0)];
        match effect {
            Effect::Send { conn, message } => self.send(me, conn, message),
            Effect::SendDatagram { to, message } => self.send_datagram(me, to, message),
            Effect::SetTimer { id, after, timer } => {
                let after = self.hosts[usize::from(slot.host.0)].clock.true_span(after);
                let ticket = self.queue.push(self.now + after, Event::Timer { process: me, id, timer });
                slot.add_timer(id, ticket);
            }
            Effect::CancelTimer(id) => {
                if let Some(Some(ticket)) = slot.take_timer(id) {
                    self.queue.cancel(ticket);
                }
            }
            Effect::Observe(what) => self.record(me, what),
            Effect::Fsync(token) => self.request(me, token, Work::Fsync),
            Effect::Read { token, bytes } => self.request(me, token, Work::Read { bytes }),
            Effect::Connect { conn, to } => self.dial(me, conn, to),
            Effect::Close(conn) => self.close(me, conn),
            Effect::Listen(port) => self.listen(me, port, true),
            Effect::Unlisten(port) => self.listen(me, port, false),
            Effect::Exit { reason } => {
                self.exit(me, reason);
                return false;
            }
        }
        true
    }

    fn listen(&mut self, me: ProcessId, port: Port, on: bool) {
        let listening = &mut self.slots[usize::from(me.0)].listening;
        listening.retain(|other| *other != port);
        if on {
            listening.push(port);
        }
    }

    fn send_datagram(&mut self, me: ProcessId, to: ProcessId, message: P::Message) {
        let (from_host, to_host) = (self.slot(me).host, self.slot(to).host);
        let bytes = message.wire_size().saturating_add(IP_UDP_HEADERS);
        let flow = u64::from(me.0) << 16 | u64::from(to.0);
        let header = Header { bytes, src: None, dst: None, flow, opens: false };
        let fate = self.network.transit(self.now, (from_host, to_host), bytes, || header);
        if let Some(at) = fate.copy {
            self.mail(at, me, to, message.clone());
        }
        match fate.at {
            Some(at) => self.mail(at, me, to, message),
            None => self.counts.lost += 1,
        }
    }

    fn mail(&mut self, at: Instant, from: ProcessId, to: ProcessId, message: P::Message) {
        let letter = if let Some(letter) = self.free_letters.pop() {
            self.post[letter as usize] = Some(message);
            letter
        } else {
            self.post.push(Some(message));
            (self.post.len() - 1) as u32
        };
        self.queue.push(at, Event::Datagram { from, to, letter });
    }

    fn request(&mut self, me: ProcessId, token: DiskToken, work: Work) {
        let slot = &self.slots[usize::from(me.0)];
        let host = slot.host;
        let disk = &mut self.hosts[usize::from(host.0)].disk;
        let (takes, bytes) = disk.measure(work);
        let asked = Request { process: me, incarnation: slot.incarnation, token, takes, bytes, op: work.op() };
        let (at, round) = disk.enqueue(self.now, asked);
        self.queue.push(at, Event::Disk { host, round });
    }

    pub(super) fn on_disk(&mut self, host: HostId, round: u32) {
        let disk = &mut self.hosts[usize::from(host.0)].disk;
        let Some(request) = disk.next_done(round) else { return };
        // The process that asked is gone; its successor numbers its requests anew.
        if self.slots[usize::from(request.process.0)].incarnation != request.incarnation {
            return;
        }
        if let Some(result) = disk.complete(request) {
            self.deliver(request.process, Input::Disk { token: request.token, result });
        }
    }
}
