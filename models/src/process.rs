//! What a process is: a value with one entry point, fed with inputs and answering with effects.
//!
//! The driver (the simulator's kernel, a test harness, a bridge) calls [`Process::on_input`] once per input, in an order of
//! its choosing, with a time that never runs backwards for one process; then it carries out the effects in the order in
//! which they were pushed. A process reaches nothing outside except through its [`Context`].

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;

use serde::{Deserialize, Serialize};

use crate::fingerprint::Fingerprint;
use crate::id::{Address, ConnId, DiskToken, Port, ProcessId, TimerId};
use crate::observation::Observation;
use crate::random::Random;
use crate::time::{Instant, Span};

/// A sans-IO process.
pub trait Process: Clone {
    /// What processes of this world say to each other.
    type Message: Payload;
    /// What timers of this world carry.
    type Timer: Copy + Debug + Hash;

    /// Takes one input. The first input of each incarnation is [`Input::Start`].
    fn on_input(&mut self, input: Input<Self::Message, Self::Timer>, ctx: &mut Context<'_, Self::Message, Self::Timer>);

    /// The process stops existing. Afterwards it holds only what its disk would give back: all that was written if the
    /// process alone died, only what a completed fsync covered if the host lost power. A prefix of the rest may survive,
    /// as `random` says. Returns whether anything written was lost.
    fn crash(&mut self, loss: Loss, random: &mut Random) -> bool;

    /// Whether a thread that this timer wakes looks for input first, as a `select` with a timeout does. After the process has
    /// stood still such a timer that has become due meanwhile comes behind everything that arrived; others keep their place.
    fn yields_to_input(_timer: &Self::Timer) -> bool {
        false
    }

    /// Folds the whole state in, in a stable order.
    fn fold_state(&self, into: &mut Fingerprint);
}

/// What a message must tell the network and the fingerprint about itself.
pub trait Payload: Clone + Debug {
    /// Bytes on the wire, without TCP and IP headers.
    fn wire_size(&self) -> u32;
    /// Bytes of it that the sender writes first and by themselves, so that they travel in a segment of their own. Zero where
    /// it writes the whole at once.
    fn written_ahead(&self) -> u32 {
        0
    }
    /// Folds the content in.
    fn fold(&self, into: &mut Fingerprint);
}

/// What happens to a process.
#[derive(Clone, Debug)]
pub enum Input<M, T> {
    /// The process starts, for the first time or again after a crash.
    Start,
    /// SIGTERM: the process is to end in its own way, with [`Context::exit`]. Its supervisor waits for that, up to a limit.
    Terminate,
    /// A peer's connection to one of our listening ports is established.
    Accepted {
        /// Our end.
        conn: ConnId,
        /// The port that was dialled.
        port: Port,
        /// Who dialled.
        peer: ProcessId,
    },
    /// A connection that we asked for is established.
    Opened {
        /// Our end.
        conn: ConnId,
    },
    /// A message arrived, in order, on an established connection.
    Message {
        /// Our end.
        conn: ConnId,
        /// What was said.
        message: M,
    },
    /// A connection is gone, or could not be made. Nothing follows on it. Not delivered for connections that we closed.
    Closed {
        /// Our end.
        conn: ConnId,
        /// How.
        reason: CloseReason,
    },
    /// A datagram arrived; it may be a copy, and others may have been lost.
    Datagram {
        /// Who sent it.
        from: ProcessId,
        /// What was said.
        message: M,
    },
    /// A timer fired. Timers that were cancelled do not.
    Timer {
        /// The id that setting it returned.
        id: TimerId,
        /// What it carries.
        timer: T,
    },
    /// A disk request ended.
    Disk {
        /// The process's own number for it.
        token: DiskToken,
        /// Whether it worked.
        result: Result<(), DiskError>,
    },
}

/// How a connection ended, as `errno` would tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CloseReason {
    /// The peer closed it; everything it sent before was delivered.
    Eof,
    /// The peer's kernel does not know the connection (process dead, host rebooted, closed with data unread).
    Reset,
    /// Nobody listens there (RST in answer to SYN).
    Refused,
    /// The kernel gave up: `tcp_retries2` retransmissions or `tcp_syn_retries` SYNs went unanswered.
    TimedOut,
    /// There is no way there: EHOSTUNREACH, ENETUNREACH and their kin, or a name that the resolver does not know.
    Unreachable,
}

/// Why a process exits that was told to, by [`Input::Terminate`].
pub const TERMINATED: &str = "terminated";

/// How a disk request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskError {
    /// ENOSPC.
    Full,
    /// EIO.
    Io,
}

/// What a crash takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Loss {
    /// `kill -9` or exit: memory is gone, the page cache stays.
    Memory,
    /// Power loss or kernel panic: the page cache goes too, except for what the kernel happened to have written back.
    PageCache,
    /// The same where nothing was written back: no byte is left that no completed fsync covered.
    Unsynced,
}

/// The disk of the host as processes on it see it. Kept by the driver, shared by the processes of a host.
#[derive(Clone, Debug, Hash)]
pub struct DiskState {
    /// Bytes that fit.
    pub capacity: u64,
    /// Bytes in use.
    pub used: u64,
    /// Bytes written since the last fsync began; they determine how long the next fsync takes.
    pub dirty: u64,
    /// Set while writes fail for another reason than space.
    pub failing: Option<DiskError>,
    /// Directories on file systems of their own that fail with EIO: whose process, and its own number for the directory.
    pub failing_dirs: BTreeSet<(ProcessId, u8)>,
}

impl Default for DiskState {
    /// A sound, empty disk of 1 TB.
    fn default() -> Self {
        Self { capacity: 1_000_000_000_000, used: 0, dirty: 0, failing: None, failing_dirs: BTreeSet::new() }
    }
}

/// What a process asks of its driver.
#[derive(Clone, Debug)]
pub enum Effect<M, T> {
    /// Accept connections on a port from now on.
    Listen(Port),
    /// Answer connection attempts to a port with RST from now on.
    Unlisten(Port),
    /// Dial. Ends in [`Input::Opened`] or [`Input::Closed`].
    Connect {
        /// Our end.
        conn: ConnId,
        /// Whom.
        to: Address,
    },
    /// Append a message to a connection's stream. Ignored if the connection is gone, as a write to a dying socket is.
    Send {
        /// Our end.
        conn: ConnId,
        /// What to say.
        message: M,
    },
    /// Close a connection: what was sent is still delivered, what arrives is answered by RST.
    Close(ConnId),
    /// Send a datagram.
    SendDatagram {
        /// Whom.
        to: ProcessId,
        /// What to say.
        message: M,
    },
    /// Fire a timer.
    SetTimer {
        /// Its id.
        id: TimerId,
        /// How long from now by the process's own clock.
        after: Span,
        /// What it carries.
        timer: T,
    },
    /// Do not fire a timer.
    CancelTimer(TimerId),
    /// Make durable all that was written before. Ends in [`Input::Disk`].
    Fsync(DiskToken),
    /// Read from the disk. Ends in [`Input::Disk`].
    Read {
        /// The process's number for it.
        token: DiskToken,
        /// How much.
        bytes: u64,
    },
    /// Something that an operator or a checker could see.
    Observe(Observation),
    /// The process ends itself; its supervisor decides what follows. Later effects of the same input are dropped.
    Exit {
        /// For the timeline.
        reason: &'static str,
    },
}

/// What a process may ask of the world while it handles an input.
#[derive(Debug)]
pub struct Context<'a, M, T> {
    /// Who is running.
    pub me: ProcessId,
    /// The monotonic clock of the host: `System.nanoTime`. It may drift against true time, never jump.
    pub now: Instant,
    /// The wall clock of the host: `System.currentTimeMillis`. It may be off and may jump.
    pub wall: Instant,
    /// The process's own stream of chance.
    pub random: &'a mut Random,
    /// The host's disk.
    pub disk: &'a mut DiskState,
    /// Numbers not yet used, kept by the driver from one input to the next.
    pub numbers: &'a mut Numbers,
    /// Where effects go.
    pub effects: &'a mut Vec<Effect<M, T>>,
}

/// The next unused ids of a process. They go on counting over its incarnations.
#[derive(Clone, Debug, Default, Hash)]
pub struct Numbers {
    /// The next [`ConnId`]; the driver takes ids for accepted connections from here too.
    pub conn: u32,
    /// The next [`TimerId`].
    pub timer: u64,
}

impl Numbers {
    /// Takes the next connection id.
    pub fn next_conn(&mut self) -> ConnId {
        self.conn += 1;
        ConnId(self.conn)
    }

    /// Takes the next timer id.
    pub fn next_timer(&mut self) -> TimerId {
        self.timer += 1;
        TimerId(self.timer)
    }
}

impl<M, T> Context<'_, M, T> {
    /// Accepts connections on `port` from now on.
    pub fn listen(&mut self, port: Port) {
        self.effects.push(Effect::Listen(port));
    }

    /// Refuses connections on `port` from now on. Established ones stay.
    pub fn unlisten(&mut self, port: Port) {
        self.effects.push(Effect::Unlisten(port));
    }

    /// Dials `to`. Messages may be sent only after [`Input::Opened`].
    pub fn connect(&mut self, to: Address) -> ConnId {
        let conn = self.numbers.next_conn();
        self.effects.push(Effect::Connect { conn, to });
        conn
    }

    /// Appends a message to a connection's stream.
    pub fn send(&mut self, conn: ConnId, message: M) {
        self.effects.push(Effect::Send { conn, message });
    }

    /// Closes a connection, established or not. No [`Input::Closed`] follows.
    pub fn close(&mut self, conn: ConnId) {
        self.effects.push(Effect::Close(conn));
    }

    /// Sends a datagram.
    pub fn send_datagram(&mut self, to: ProcessId, message: M) {
        self.effects.push(Effect::SendDatagram { to, message });
    }

    /// Sets a timer `after` from now by the process's own clock.
    pub fn set_timer(&mut self, after: Span, timer: T) -> TimerId {
        let id = self.numbers.next_timer();
        self.effects.push(Effect::SetTimer { id, after, timer });
        id
    }

    /// Cancels a timer. Cancelling one that has fired does nothing.
    pub fn cancel(&mut self, id: TimerId) {
        self.effects.push(Effect::CancelTimer(id));
    }

    /// Writes `bytes` into the page cache of the host. What they mean is for the process to remember.
    ///
    /// # Errors
    /// The disk is full or failing; nothing was written.
    pub fn write(&mut self, bytes: u64) -> Result<(), DiskError> {
        if let Some(error) = self.disk.failing {
            return Err(error);
        }
        let used = self.disk.used.saturating_add(bytes);
        if used > self.disk.capacity {
            return Err(DiskError::Full);
        }
        self.disk.used = used;
        self.disk.dirty += bytes;
        Ok(())
    }

    /// As [`Context::write`], into a directory that may be a file system of its own; `dir` is the process's number for it.
    ///
    /// # Errors
    /// The directory fails, or the disk is full or failing; nothing was written.
    pub fn write_to(&mut self, dir: u8, bytes: u64) -> Result<(), DiskError> {
        self.check_dir(dir)?;
        self.write(bytes)
    }

    /// Whether a directory can be used at all. A full disk can.
    ///
    /// # Errors
    /// The directory or the whole disk fails with EIO.
    pub fn check_dir(&self, dir: u8) -> Result<(), DiskError> {
        let fails = !self.disk.failing_dirs.is_empty() && self.disk.failing_dirs.contains(&(self.me, dir))
            || self.disk.failing == Some(DiskError::Io);
        if fails { Err(DiskError::Io) } else { Ok(()) }
    }

    /// Takes what is left of the disk, as a write does that ends with ENOSPC in the middle. Returns how much that was.
    /// A disk that says so without being full takes nothing.
    pub fn fill(&mut self) -> u64 {
        if self.disk.failing.is_some() {
            return 0;
        }
        let left = self.disk.capacity.saturating_sub(self.disk.used);
        self.disk.used += left;
        self.disk.dirty += left;
        left
    }

    /// Gives `bytes` of the disk back.
    pub fn free(&mut self, bytes: u64) {
        self.disk.used = self.disk.used.saturating_sub(bytes);
    }

    /// Makes durable everything that was written before this call, once [`Input::Disk`] reports success for `token`.
    pub fn fsync(&mut self, token: DiskToken) {
        self.effects.push(Effect::Fsync(token));
    }

    /// Reads `bytes` from the disk; takes time, ends in [`Input::Disk`].
    pub fn read(&mut self, token: DiskToken, bytes: u64) {
        self.effects.push(Effect::Read { token, bytes });
    }

    /// Reports something that an operator or a checker could see.
    pub fn observe(&mut self, observation: impl Into<Observation>) {
        self.effects.push(Effect::Observe(observation.into()));
    }

    /// Ends the process.
    pub fn exit(&mut self, reason: &'static str) {
        self.effects.push(Effect::Exit { reason });
    }
}
