//! What waits in the queue, and how much of it came to pass.

use models::id::{HostId, ProcessId, TimerId};
use models::observation::Observed;

use crate::net::connection::{ConnRef, Side};

/// An event in the queue. Small: messages wait in their connection or in the post.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<T> {
    /// The supervisor starts a process, if it is still down in that life.
    Start {
        process: ProcessId,
        incarnation: u32,
    },
    Timer {
        process: ProcessId,
        id: TimerId,
        timer: T,
    },
    Datagram {
        from: ProcessId,
        to: ProcessId,
        letter: u32,
    },
    Disk {
        host: HostId,
        round: u32,
    },
    /// A packet of a stream arrives from the end `side`.
    Packet {
        conn: ConnRef,
        side: Side,
        packet: Packet,
    },
    /// The kernel closes the end `side` of a process that has died.
    TornDown {
        conn: ConnRef,
        side: Side,
    },
    /// A process that is short of CPU is done with an input and takes the next one.
    Serve {
        process: ProcessId,
    },
    /// The retransmission timer of the end `side` wants to be looked at.
    Retransmit {
        conn: ConnRef,
        side: Side,
    },
}

/// A packet of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    Syn,
    SynAck,
    /// The third packet of the handshake.
    Established,
    /// A segment, and so many that follow it.
    Data {
        sequence: u32,
        more: u16,
        /// First segment of the other direction that the sender has not.
        ack: u32,
    },
    Ack {
        ack: u32,
        news: News,
    },
    Reset,
    /// The kernel's own word: there is no route to the peer, or no peer of that name.
    NoRoute,
}

/// What an ACK says besides its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Nothing,
    /// This one arrived out of order.
    Selective(u32),
    /// There is no room for more.
    WindowClosed,
    /// There is room again.
    WindowOpen,
}

/// How many events were delivered, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EventCounts {
    /// Processes started.
    pub starts: u64,
    /// Messages of streams handed to processes.
    pub messages: u64,
    /// Datagrams handed to processes.
    pub datagrams: u64,
    /// Connections opened, accepted and closed, as processes were told.
    pub connections: u64,
    /// Timers fired.
    pub timers: u64,
    /// Disk requests ended.
    pub disk: u64,
    /// Events taken from the queue, of every kind, those included that reach no process.
    pub queued: u64,
    /// Segments sent again.
    pub retransmissions: u64,
    /// Packets lost on the way, or at a dead host.
    pub lost: u64,
}

impl EventCounts {
    /// All inputs that processes were given.
    pub fn delivered(&self) -> u64 {
        self.starts + self.messages + self.datagrams + self.connections + self.timers + self.disk
    }
}

/// Sees what an operator could see, in order. Any closure over [`Observed`] will do.
pub trait Observer {
    /// Something was observed.
    fn observe(&mut self, observed: &Observed);
}

impl<F: FnMut(&Observed)> Observer for F {
    fn observe(&mut self, observed: &Observed) {
        self(observed);
    }
}
