//! What the kernel keeps of a process and of a host.

use std::collections::VecDeque;

use models::id::{ConnId, HostId, Port, ProcessId, TimerId};
use models::process::{Input, Numbers, Process};
use models::random::{Purpose, Random};
use models::time::Span;

use crate::clock::Clock;
use crate::disk::Disk;
use crate::net::connection::{ConnRef, Side};
use crate::net::resolver::Resolver;
use crate::net::tcp::TcpConfig;

use super::queue::Ticket;
use super::spec::{HostSpec, ProcessSpec, RestartPolicy};

/// Timers at the end of the list that are looked at first.
const TAIL: usize = 8;

/// Whether a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunState {
    Down,
    Up,
    Paused,
}

/// An open connection of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenConn {
    pub(crate) id: ConnId,
    pub(crate) conn: ConnRef,
    pub(crate) side: Side,
}

/// A process and what its kernel keeps for it.
#[derive(Clone, Debug)]
pub(crate) struct Slot<P: Process> {
    pub(crate) process: P,
    /// Keys its streams of chance.
    pub(crate) stream: u64,
    pub(crate) host: HostId,
    pub(crate) restart: RestartPolicy,
    /// Least and greatest time of a start.
    pub(crate) start_up: (Span, Span),
    pub(crate) run: RunState,
    /// The supervisor has orders not to start it.
    pub(crate) held_down: bool,
    /// Its host starts it when it boots.
    pub(crate) starts_at_boot: bool,
    pub(crate) incarnation: u32,
    pub(crate) random: Random,
    pub(crate) numbers: Numbers,
    pub(crate) listening: Vec<Port>,
    /// Timers set, by id; without a ticket if the timer fired while the process was paused.
    pub(crate) timers: Vec<(TimerId, Option<Ticket>)>,
    /// Open connections, by id.
    pub(crate) conns: Vec<OpenConn>,
    /// Inputs that a paused process has not read.
    pub(crate) inbox: VecDeque<Input<P::Message, P::Timer>>,
    /// Bytes of datagrams in the inbox.
    pub(crate) unread_datagrams: u32,
    /// How long an input keeps a process busy that is short of CPU; zero for all others.
    pub(crate) input_takes: Span,
    /// The end of the input that it is busy with. What comes before waits in the inbox.
    pub(crate) busy: Option<Ticket>,
}

impl<P: Process> Slot<P> {
    pub(crate) fn new(spec: ProcessSpec<P>, seed: u64, id: ProcessId) -> Self {
        let stream = spec.stream.unwrap_or(id.0.into());
        Self {
            process: spec.process,
            stream,
            host: spec.host,
            restart: spec.restart,
            start_up: spec.start_up,
            run: RunState::Down,
            held_down: false,
            starts_at_boot: false,
            incarnation: 0,
            random: Random::new(seed, Purpose::Process, stream),
            numbers: Numbers::default(),
            listening: Vec::new(),
            timers: Vec::new(),
            conns: Vec::new(),
            inbox: VecDeque::new(),
            unread_datagrams: 0,
            input_takes: Span::ZERO,
            busy: None,
        }
    }

    /// Draws from the streams of another seed from now on.
    pub(crate) fn rekey(&mut self, seed: u64) {
        self.random = Random::new(seed, Purpose::Process, self.stream);
    }

    /// How long the next start takes.
    pub(crate) fn draw_start_up(&mut self) -> Span {
        let (low, high) = self.start_up;
        if high == Span::ZERO { high } else { self.random.span(low, high) }
    }

    pub(crate) fn conn(&self, id: ConnId) -> Option<OpenConn> {
        self.conns.binary_search_by_key(&id, |open| open.id).ok().map(|index| self.conns[index])
    }

    pub(crate) fn open(&mut self, open: OpenConn) {
        // Ids only grow, so the place is nearly always the end.
        let index = self.conns.partition_point(|other| other.id < open.id);
        self.conns.insert(index, open);
    }

    pub(crate) fn forget(&mut self, id: ConnId) {
        if let Ok(index) = self.conns.binary_search_by_key(&id, |open| open.id) {
            self.conns.remove(index);
        }
    }

    pub(crate) fn add_timer(&mut self, id: TimerId, ticket: Ticket) {
        // Ids only grow, so the place is the end.
        let index = match self.timers.last() {
            Some((last, _)) if *last > id => self.timers.partition_point(|(other, _)| *other < id),
            _ => self.timers.len(),
        };
        self.timers.insert(index, (id, Some(ticket)));
    }

    pub(crate) fn take_timer(&mut self, id: TimerId) -> Option<Option<Ticket>> {
        // Mostly one of the newest.
        let tail = self.timers.len().saturating_sub(TAIL);
        let index = match self.timers[tail..].iter().rposition(|(other, _)| *other <= id) {
            Some(behind) => Some(tail + behind).filter(|index| self.timers[*index].0 == id)?,
            None => self.timers[..tail].binary_search_by_key(&id, |(other, _)| *other).ok()?,
        };
        Some(self.timers.remove(index).1)
    }
}

/// A host.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    /// Keys its streams of chance.
    pub(crate) stream: u64,
    pub(crate) up: bool,
    pub(crate) disk: Disk,
    pub(crate) clock: Clock,
    pub(crate) resolver: Resolver,
    pub(crate) thread_delay: Span,
    pub(crate) tcp: TcpConfig,
}

impl Host {
    pub(crate) fn new(spec: &HostSpec, tcp: TcpConfig, seed: u64, id: HostId) -> Self {
        let stream = spec.stream.unwrap_or(id.0.into());
        let (disk, clock) = (Disk::new(spec.disk, seed, stream), Clock::new(spec.clock));
        let (resolver, thread_delay) = (Resolver::default(), spec.thread_delay);
        Self { stream, up: true, disk, clock, resolver, thread_delay, tcp: spec.tcp.unwrap_or(tcp) }
    }
}
