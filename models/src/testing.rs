//! A small driver for unit tests of single models: perfect streams with a fixed latency, links that can be held (what is
//! sent stays under way until the release, as TCP would have it), kills and restarts. The real world is `sim`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::id::{ConnId, Port, ProcessId, TimerId};
use crate::observation::{DownCause, Observation, Observed};
use crate::process::{CloseReason, Context, DiskState, Effect, Input, Loss, Numbers, Process};
use crate::random::{Purpose, Random};
use crate::time::{Instant, Span};

/// Takes this long to deliver anything and to fsync.
pub(crate) const LATENCY: Span = Span::from_us(500);

struct Slot<P> {
    process: P,
    up: bool,
    incarnation: u32,
    random: Random,
    disk: DiskState,
    numbers: Numbers,
    listening: BTreeSet<Port>,
    timers: BTreeSet<TimerId>,
}

enum Event<M, T> {
    Input(ProcessId, u32, Input<M, T>),
    Segment { from: (ProcessId, ConnId), segment: Segment<M> },
}

#[derive(Clone)]
enum Segment<M> {
    Syn(Port, ProcessId),
    SynAck(ConnId),
    Data(M),
    Fin,
    Rst(CloseReason),
}

/// What was sent over a held link, in order.
type UnderWay<P> = VecDeque<Event<<P as Process>::Message, <P as Process>::Timer>>;

/// The driver.
pub(crate) struct Harness<P: Process> {
    slots: Vec<Slot<P>>,
    queue: BTreeMap<(Instant, u64), Event<P::Message, P::Timer>>,
    sequence: u64,
    now: Instant,
    peers: BTreeMap<(ProcessId, ConnId), (ProcessId, Option<ConnId>)>,
    held: BTreeSet<(ProcessId, ProcessId)>,
    waiting: BTreeMap<(ProcessId, ProcessId), UnderWay<P>>,
    /// Everything that was observed, in order.
    pub(crate) observed: Vec<Observed>,
}

impl<P: Process> Harness<P> {
    /// Starts every process at time zero.
    pub(crate) fn new(processes: Vec<P>) -> Self {
        let slots = processes.into_iter().enumerate().map(|(index, process)| Slot {
            process,
            up: true,
            incarnation: 1,
            random: Random::new(1, Purpose::Process, index as u64),
            disk: DiskState::default(),
            numbers: Numbers::default(),
            listening: BTreeSet::new(),
            timers: BTreeSet::new(),
        });
        let mut harness = Self {
            slots: slots.collect(),
            queue: BTreeMap::new(),
            sequence: 0,
            now: Instant::ZERO,
            peers: BTreeMap::new(),
            held: BTreeSet::new(),
            waiting: BTreeMap::new(),
            observed: Vec::new(),
        };
        for index in 0..harness.slots.len() {
            harness.push(Instant::ZERO, Event::Input(ProcessId(index as u16), 1, Input::Start));
        }
        harness
    }

    /// The time.
    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// A process.
    pub(crate) fn process(&self, id: u16) -> &P {
        &self.slots[usize::from(id)].process
    }

    /// A process, to be changed by hand.
    pub(crate) fn process_mut(&mut self, id: u16) -> &mut P {
        &mut self.slots[usize::from(id)].process
    }

    /// The disk of a process.
    pub(crate) fn disk_mut(&mut self, id: u16) -> &mut DiskState {
        &mut self.slots[usize::from(id)].disk
    }

    /// Runs for a while.
    pub(crate) fn run_for(&mut self, span: Span) {
        let end = self.now + span;
        while let Some((&key, _)) = self.queue.first_key_value()
            && key.0 <= end
        {
            let event = self.queue.remove(&key).expect("the key was just read");
            self.now = key.0;
            self.step(event);
        }
        self.now = end;
    }

    /// Holds everything sent between two processes, both ways.
    pub(crate) fn hold(&mut self, a: u16, b: u16) {
        self.held.insert((ProcessId(a), ProcessId(b)));
        self.held.insert((ProcessId(b), ProcessId(a)));
    }

    /// Delivers what was held, in order, and holds no more.
    pub(crate) fn release(&mut self, a: u16, b: u16) {
        for pair in [(ProcessId(a), ProcessId(b)), (ProcessId(b), ProcessId(a))] {
            self.held.remove(&pair);
            for event in self.waiting.remove(&pair).unwrap_or_default() {
                self.push(self.now + LATENCY, event);
            }
        }
    }

    /// `kill -9`, or power loss; the peers of its connections see them closed.
    pub(crate) fn crash(&mut self, id: u16, loss: Loss) {
        let cause = if loss == Loss::PageCache { DownCause::HostCrash } else { DownCause::Killed };
        self.take_down(id, loss, cause);
    }

    fn take_down(&mut self, id: u16, loss: Loss, cause: DownCause) {
        let me = ProcessId(id);
        let slot = &mut self.slots[usize::from(id)];
        slot.up = false;
        slot.listening.clear();
        slot.timers.clear();
        let lossy = slot.process.crash(loss, &mut slot.random);
        let (at, incarnation) = (self.now, slot.incarnation);
        self.observed.push(Observed { at, process: me, incarnation, what: Observation::Down { lossy, cause } });
        let conns: Vec<_> = self.peers.keys().filter(|(p, _)| *p == me).copied().collect();
        for from in conns {
            self.transmit(from, Segment::Rst(CloseReason::Reset));
            self.peers.remove(&from);
        }
    }

    /// Starts a crashed process again.
    pub(crate) fn restart(&mut self, id: u16) {
        let slot = &mut self.slots[usize::from(id)];
        slot.up = true;
        slot.incarnation += 1;
        let incarnation = slot.incarnation;
        self.push(self.now, Event::Input(ProcessId(id), incarnation, Input::Start));
    }

    /// Feeds one input by hand.
    pub(crate) fn input(&mut self, id: u16, input: Input<P::Message, P::Timer>) {
        let incarnation = self.slots[usize::from(id)].incarnation;
        self.step(Event::Input(ProcessId(id), incarnation, input));
    }

    fn push(&mut self, at: Instant, event: Event<P::Message, P::Timer>) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), event);
    }

    fn transmit(&mut self, from: (ProcessId, ConnId), segment: Segment<P::Message>) {
        let Some((to, _)) = self.peers.get(&from).copied() else { return };
        let event = Event::Segment { from, segment };
        if self.held.contains(&(from.0, to)) {
            self.waiting.entry((from.0, to)).or_default().push_back(event);
        } else {
            self.push(self.now + LATENCY, event);
        }
    }

    fn step(&mut self, event: Event<P::Message, P::Timer>) {
        match event {
            Event::Input(to, incarnation, input) => self.deliver(to, incarnation, input),
            Event::Segment { from, segment } => self.arrive(from, segment),
        }
    }

    fn arrive(&mut self, from: (ProcessId, ConnId), segment: Segment<P::Message>) {
        if let Segment::Syn(port, dialled) = segment {
            let slot = &mut self.slots[usize::from(dialled.0)];
            let incarnation = slot.incarnation;
            if slot.up && slot.listening.contains(&port) {
                let conn = slot.numbers.next_conn();
                self.peers.insert((dialled, conn), (from.0, Some(from.1)));
                self.deliver(dialled, incarnation, Input::Accepted { conn, port, peer: from.0 });
                self.transmit((dialled, conn), Segment::SynAck(conn));
            } else {
                let incarnation = self.slots[usize::from(from.0.0)].incarnation;
                let closed = Input::Closed { conn: from.1, reason: CloseReason::Refused };
                if self.peers.remove(&from).is_some() {
                    self.push(self.now + LATENCY, Event::Input(from.0, incarnation, closed));
                }
            }
            return;
        }
        let Some((to, ours)) = self
            .peers
            .iter()
            .find(|(_, peer)| peer.0 == from.0 && peer.1 == Some(from.1))
            .map(|(key, _)| *key)
            .or_else(|| match segment {
                Segment::SynAck(_) => self.peers.get(&from).and_then(|p| p.1.map(|c| (p.0, c))),
                _ => None,
            })
        else {
            return;
        };
        let incarnation = self.slots[usize::from(to.0)].incarnation;
        match segment {
            Segment::SynAck(theirs) => {
                if let Some(peer) = self.peers.get_mut(&(to, ours)) {
                    peer.1 = Some(theirs);
                    self.deliver(to, incarnation, Input::Opened { conn: ours });
                }
            }
            Segment::Data(message) => self.deliver(to, incarnation, Input::Message { conn: ours, message }),
            Segment::Fin | Segment::Rst(_) => {
                let reason = if let Segment::Rst(reason) = segment { reason } else { CloseReason::Eof };
                self.peers.remove(&(to, ours));
                self.deliver(to, incarnation, Input::Closed { conn: ours, reason });
            }
            Segment::Syn(..) => unreachable!("handled above"),
        }
    }

    fn deliver(&mut self, to: ProcessId, incarnation: u32, input: Input<P::Message, P::Timer>) {
        let slot = &mut self.slots[usize::from(to.0)];
        if !slot.up || slot.incarnation != incarnation {
            return;
        }
        if let Input::Timer { id, .. } = &input
            && !slot.timers.remove(id)
        {
            return;
        }
        let mut effects = Vec::new();
        let mut ctx = Context {
            me: to,
            now: self.now,
            wall: self.now,
            random: &mut slot.random,
            disk: &mut slot.disk,
            numbers: &mut slot.numbers,
            effects: &mut effects,
        };
        slot.process.on_input(input, &mut ctx);
        for effect in effects {
            if !self.carry_out(to, incarnation, effect) {
                break;
            }
        }
    }

    /// Returns false if the process is gone.
    fn carry_out(&mut self, me: ProcessId, incarnation: u32, effect: Effect<P::Message, P::Timer>) -> bool {
        let slot = &mut self.slots[usize::from(me.0)];
        match effect {
            Effect::Listen(port) => {
                slot.listening.insert(port);
            }
            Effect::Unlisten(port) => {
                slot.listening.remove(&port);
            }
            Effect::Connect { conn, to } => {
                self.peers.insert((me, conn), (to.process, None));
                self.transmit((me, conn), Segment::Syn(to.port, to.process));
            }
            Effect::Send { conn, message } => self.transmit((me, conn), Segment::Data(message)),
            Effect::Close(conn) => {
                self.transmit((me, conn), Segment::Fin);
                self.peers.remove(&(me, conn));
            }
            Effect::SendDatagram { to, message } => {
                let incarnation = self.slots[usize::from(to.0)].incarnation;
                let input = Input::Datagram { from: me, message };
                self.push(self.now + LATENCY, Event::Input(to, incarnation, input));
            }
            Effect::SetTimer { id, after, timer } => {
                slot.timers.insert(id);
                self.push(self.now + after, Event::Input(me, incarnation, Input::Timer { id, timer }));
            }
            Effect::CancelTimer(id) => {
                slot.timers.remove(&id);
            }
            Effect::Fsync(token) | Effect::Read { token, .. } => {
                slot.disk.dirty = 0;
                let done = Input::Disk { token, result: Ok(()) };
                self.push(self.now + LATENCY, Event::Input(me, incarnation, done));
            }
            Effect::Observe(what) => self.observed.push(Observed { at: self.now, process: me, incarnation, what }),
            Effect::Exit { reason } => {
                self.take_down(me.0, Loss::Memory, DownCause::Exited(reason.into()));
                return false;
            }
        }
        true
    }
}
