//! What can be seen of the kernel's own state from outside, for people.

use models::id::ProcessId;
use models::process::Process;
use models::time::Instant;

use crate::net::connection::EndState;

use super::Simulation;

/// One direction of a connection on which something is on its way or waits to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unacknowledged {
    /// Who sent it.
    pub from: ProcessId,
    /// To whom.
    pub to: ProcessId,
    /// Segments sent and not acknowledged.
    pub sent: u32,
    /// Segments that wait to be sent for the first time.
    pub waiting: u32,
    /// When the oldest of them was sent last.
    pub since: Instant,
    /// How often the retransmission timeout has been doubled since the last progress.
    pub backoff: u32,
    /// When the oldest is sent again.
    pub retransmission: Instant,
}

impl<P: Process> Simulation<P> {
    /// All directions of connections with unacknowledged data. ACKs that have arrived count, though the sender may not have
    /// looked at them yet.
    pub fn unacknowledged(&self) -> Vec<Unacknowledged> {
        let mut found = Vec::new();
        for conn in &self.conns {
            for side in [0, 1] {
                let (half, end) = (&conn.halves[side], &conn.ends[side]);
                if !matches!(end.state, EndState::Established | EndState::Orphaned) {
                    continue;
                }
                let arrived = half.acks.iter().filter(|ack| ack.arrives <= self.now).map(|ack| ack.ack);
                let una = arrived.fold(half.una, u32::max);
                if una >= half.end() {
                    continue;
                }
                let oldest = half.segments.get((una - half.una) as usize);
                found.push(Unacknowledged {
                    from: end.process,
                    to: conn.ends[1 - side].process,
                    sent: half.next.saturating_sub(una),
                    waiting: half.end() - half.next.max(una),
                    since: oldest.map_or(self.now, |segment| segment.sent_at),
                    backoff: half.backoff,
                    retransmission: half.deadline,
                });
            }
        }
        found
    }
}
