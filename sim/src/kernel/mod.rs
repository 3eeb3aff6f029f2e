//! The kernel: takes the earliest event, hands it to its process, carries out what the process asks for. Nothing else
//! advances time.
//!
//! A run is a pure function of the [`SimulationSpec`] and of what is done from outside at which times ([`control`]). A
//! [`Simulation`] is a value: a snapshot is a clone. [`stream`] drives the connections.

mod busy;
mod control;
mod effect;
pub(crate) mod event;
mod handshake;
pub mod queue;
mod receive;
pub(crate) mod slot;
mod spec;
mod stream;
#[cfg(test)]
mod tests;
pub mod trace;
mod view;

use std::hash::Hash;

use models::fingerprint::Fingerprint;
use models::id::{HostId, ProcessId, TimerId};
use models::observation::{Observation, Observed};
use models::process::{Context, DiskState, Effect, Input, Payload, Process};
use models::time::{Instant, Span};

use crate::net::Network;
use crate::net::connection::{Body, Connection};

use self::event::Event;
pub use self::event::{EventCounts, Observer};
use self::queue::Queue;
pub use self::queue::QueueKind;
use self::slot::{Host, RunState, Slot};
pub use self::spec::{HostSpec, LOOPBACK, ProcessSpec, RestartPolicy, SimulationSpec};
use self::trace::{Noted, What};
pub use self::view::Unacknowledged;

/// How many observations wait at most before an observer is shown them: what a run's second brings, so that the code of the
/// laws is loaded once a second and not at every event, and still no more than the second cache holds.
const SHOWN_TOGETHER: usize = 1_024;

/// A deployment in virtual time.
#[derive(Clone, Debug)]
pub struct Simulation<P: Process> {
    now: Instant,
    queue: Queue<Event<P::Timer>>,
    slots: Vec<Slot<P>>,
    hosts: Vec<Host>,
    network: Network,
    conns: Vec<Connection<P::Message>>,
    free_conns: Vec<u32>,
    /// Datagrams under way, and places in it that are free.
    post: Vec<Option<P::Message>>,
    free_letters: Vec<u32>,
    fingerprint: Fingerprint,
    counts: EventCounts,
    /// What was observed and not yet shown to the observer.
    observed: Vec<Observed>,
    /// What happened, if somebody wants to know it one by one.
    trace: Option<Vec<Noted<P::Message, P::Timer>>>,
    /// Kept for their memory only; empty between events.
    effects: Vec<Effect<P::Message, P::Timer>>,
    arrivals: Vec<Body<P::Message>>,
}

impl<P: Process> Simulation<P> {
    /// A deployment at time zero, before any process has started.
    ///
    /// # Panics
    /// If a host refers to a site or a process to a host that does not exist, or if two of them share streams of chance.
    pub fn new(spec: SimulationSpec<P>) -> Self {
        let sites: Vec<u16> = spec.hosts.iter().map(|host| host.site).collect();
        assert!(sites.iter().all(|site| usize::from(*site) < spec.sites.node_count()), "every host stands at a site");
        assert!(spec.processes.iter().all(|p| usize::from(p.host.0) < sites.len()), "every process has its host");
        let hosts = spec.hosts.iter().zip(0..).map(|(host, id)| Host::new(host, spec.tcp, spec.seed, HostId(id)));
        let hosts: Vec<_> = hosts.collect();
        assert_distinct("hosts", hosts.iter().map(|host| host.stream));
        let streams = hosts.iter().map(|host| host.stream).collect();
        let network = Network::new(spec.seed, &spec.sites, &sites, streams, spec.loopback);
        let mut queue = Queue::default();
        let mut slots = Vec::with_capacity(spec.processes.len());
        for (process, id) in spec.processes.into_iter().zip(0..) {
            queue.push(process.start_at, Event::Start { process: ProcessId(id), incarnation: 0 });
            slots.push(Slot::new(process, spec.seed, ProcessId(id)));
        }
        assert_distinct("processes", slots.iter().map(|slot| slot.stream));
        Self {
            now: Instant::ZERO,
            queue,
            slots,
            hosts,
            network,
            conns: Vec::new(),
            free_conns: Vec::new(),
            post: Vec::new(),
            free_letters: Vec::new(),
            fingerprint: Fingerprint::default(),
            counts: EventCounts::default(),
            observed: Vec::new(),
            trace: None,
            effects: Vec::new(),
            arrivals: Vec::new(),
        }
    }

    /// Draws from the streams of another seed from now on. What has been drawn already stands: packets under way, timers,
    /// clocks.
    pub fn rekey(&mut self, seed: u64) {
        self.slots.iter_mut().for_each(|slot| slot.rekey(seed));
        self.hosts.iter_mut().for_each(|host| host.disk.rekey(seed, host.stream));
        self.network.rekey(seed);
    }

    /// Keeps its events in another kind of queue from now on. That changes how fast it runs and nothing else.
    pub fn use_queue(&mut self, kind: QueueKind) {
        self.queue.reorder(kind);
    }

    /// Runs all events up to `until`, that moment included, and shows `observer` what could be seen. It sees some events'
    /// observations together: what it does comes to the same, and neither its code nor ours leaves the cache at every event.
    pub fn run_until(&mut self, until: Instant, observer: &mut impl Observer) {
        while let Some((at, event)) = self.queue.pop_until(until) {
            self.take(at, event);
            if self.observed.len() >= SHOWN_TOGETHER {
                self.show(observer);
            }
        }
        self.show(observer);
        self.now = self.now.max(until);
    }

    /// Runs the next event, if it is due at `limit`. Returns whether there was one.
    pub fn step(&mut self, limit: Instant, observer: &mut impl Observer) -> bool {
        self.show(observer);
        let Some((at, event)) = self.queue.pop_until(limit) else { return false };
        self.take(at, event);
        self.show(observer);
        true
    }

    /// True time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// When the next event is due. Some events come to nothing.
    pub fn next_event_at(&self) -> Option<Instant> {
        self.queue.next_at()
    }

    /// The rolling fingerprint of every event up to now.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint.value()
    }

    /// How many events were delivered.
    pub fn events(&self) -> &EventCounts {
        &self.counts
    }

    /// How many processes there are; their ids begin at 0.
    pub fn process_count(&self) -> usize {
        self.slots.len()
    }

    /// A process, running or not.
    pub fn process(&self, id: ProcessId) -> &P {
        &self.slot(id).process
    }

    /// A process, to be changed from outside. Such a change is not part of the fingerprint.
    pub fn process_mut(&mut self, id: ProcessId) -> &mut P {
        &mut self.slots[usize::from(id.0)].process
    }

    /// Whether a process runs or is paused.
    pub fn is_up(&self, id: ProcessId) -> bool {
        self.slot(id).run != RunState::Down
    }

    /// Whether a process stands still.
    pub fn is_paused(&self, id: ProcessId) -> bool {
        self.slot(id).run == RunState::Paused
    }

    /// Whether a host has power.
    pub fn is_host_up(&self, id: HostId) -> bool {
        self.hosts[usize::from(id.0)].up
    }

    /// Which life of a process this is, from 1; 0 before its first start.
    pub fn incarnation(&self, id: ProcessId) -> u32 {
        self.slot(id).incarnation
    }

    /// Where a process runs.
    pub fn host_of(&self, id: ProcessId) -> HostId {
        self.slot(id).host
    }

    /// The disk of a host as its processes see it.
    pub fn disk(&self, id: HostId) -> &DiskState {
        &self.hosts[usize::from(id.0)].disk.state
    }

    fn slot(&self, id: ProcessId) -> &Slot<P> {
        &self.slots[usize::from(id.0)]
    }

    fn take(&mut self, at: Instant, event: Event<P::Timer>) {
        assert!(at >= self.now, "time ran backwards");
        self.now = at;
        self.counts.queued += 1;
        match event {
            Event::Packet { conn, side, packet } => self.on_packet(conn, side, packet),
            Event::Datagram { from, to, letter } => self.on_datagram(from, to, letter),
            Event::Timer { process, id, timer } => self.on_timer(process, id, timer),
            Event::Retransmit { conn, side } => self.on_retransmit(conn, side),
            Event::TornDown { conn, side } => self.close_end(conn, side),
            Event::Disk { host, round } => self.on_disk(host, round),
            Event::Serve { process } => self.on_served(process),
            Event::Start { process, incarnation } => self.on_start(process, incarnation),
        }
    }

    fn on_timer(&mut self, process: ProcessId, id: TimerId, timer: P::Timer) {
        let slot = &mut self.slots[usize::from(process.0)];
        if slot.run == RunState::Paused || slot.input_takes > Span::ZERO {
            // Still set until it is read: what is read before may cancel it.
            if let Ok(index) = slot.timers.binary_search_by_key(&id, |(other, _)| *other) {
                slot.timers[index].1 = None;
            }
            self.deliver(process, Input::Timer { id, timer });
        } else {
            let set = slot.take_timer(id).is_some();
            assert!(set, "timers leave the queue when they are cancelled or their process ends");
            self.handle(process, Input::Timer { id, timer });
        }
    }

    fn on_datagram(&mut self, from: ProcessId, to: ProcessId, letter: u32) {
        let message = self.post[letter as usize].take().expect("a letter is delivered once");
        self.free_letters.push(letter);
        let slot = &mut self.slots[usize::from(to.0)];
        let host = &self.hosts[usize::from(slot.host.0)];
        if !host.up || slot.run == RunState::Down {
            self.counts.lost += 1;
            return;
        }
        if slot.run == RunState::Paused {
            let unread = slot.unread_datagrams.saturating_add(message.wire_size());
            if unread > host.tcp.receive_buffer {
                self.counts.lost += 1;
                return;
            }
            slot.unread_datagrams = unread;
        }
        self.deliver(to, Input::Datagram { from, message });
    }

    /// Hands an input to a process that is up, or leaves it for a paused one to read.
    fn deliver(&mut self, to: ProcessId, input: Input<P::Message, P::Timer>) {
        let slot = &mut self.slots[usize::from(to.0)];
        match slot.run {
            RunState::Up if slot.input_takes > Span::ZERO => self.enqueue(to, input),
            RunState::Up => self.handle(to, input),
            RunState::Paused => slot.inbox.push_back(input),
            RunState::Down => {}
        }
    }

    /// Lets a process take an input, and carries out what it asks for.
    fn handle(&mut self, me: ProcessId, input: Input<P::Message, P::Timer>) {
        self.note(me, &input);
        self.trace(me, || What::Input(input.clone()));
        let mut effects = std::mem::take(&mut self.effects);
        let slot = &mut self.slots[usize::from(me.0)];
        if let Input::Closed { conn, .. } = &input {
            slot.forget(*conn);
        }
        let host = &mut self.hosts[usize::from(slot.host.0)];
        let mut ctx = Context {
            me,
            now: host.clock.monotonic(self.now),
            wall: host.clock.wall(self.now),
            random: &mut slot.random,
            disk: &mut host.disk.state,
            numbers: &mut slot.numbers,
            effects: &mut effects,
        };
        slot.process.on_input(input, &mut ctx);
        self.trace_effects(me, &effects);
        for effect in effects.drain(..) {
            if !self.carry_out(me, effect) {
                break;
            }
        }
        self.effects = effects;
    }

    /// Counts an input and folds it into the fingerprint.
    fn note(&mut self, me: ProcessId, input: &Input<P::Message, P::Timer>) {
        let fold = &mut self.fingerprint;
        fold.fold(self.now.as_ns());
        let head = |kind: u64, what: u32| kind << 48 | u64::from(me.0) << 32 | u64::from(what);
        match input {
            Input::Start => {
                self.counts.starts += 1;
                fold.fold(head(1, self.slots[usize::from(me.0)].incarnation));
            }
            Input::Terminate => fold.fold(head(9, self.slots[usize::from(me.0)].incarnation)),
            Input::Accepted { conn, port, peer } => {
                self.counts.connections += 1;
                fold.fold(head(2, conn.0));
                fold.fold(u64::from(port.0) << 16 | u64::from(peer.0));
            }
            Input::Opened { conn } => {
                self.counts.connections += 1;
                fold.fold(head(3, conn.0));
            }
            Input::Message { conn, message } => {
                self.counts.messages += 1;
                fold.fold(head(4, conn.0));
                message.fold(fold);
            }
            Input::Closed { conn, reason } => {
                self.counts.connections += 1;
                fold.fold(head(5, conn.0));
                fold.fold(*reason as u64);
            }
            Input::Datagram { from, message } => {
                self.counts.datagrams += 1;
                fold.fold(head(6, u32::from(from.0)));
                message.fold(fold);
            }
            Input::Timer { id, timer } => {
                self.counts.timers += 1;
                fold.fold(head(7, id.0 as u32));
                timer.hash(fold);
            }
            Input::Disk { token, result } => {
                self.counts.disk += 1;
                fold.fold(head(8, u32::from(result.is_err())));
                fold.fold(token.0);
            }
        }
    }

    /// Keeps an observation for the observer and folds it into the fingerprint.
    fn record(&mut self, process: ProcessId, what: Observation) {
        let incarnation = self.slots.get(usize::from(process.0)).map_or(0, |slot| slot.incarnation);
        let observed = Observed { at: self.now, process, incarnation, what };
        observed.hash(&mut self.fingerprint);
        self.trace(process, || What::Observed(observed.what.clone()));
        self.observed.push(observed);
    }

    /// Shows `observer` what was observed since it was last asked.
    pub(crate) fn show(&mut self, observer: &mut impl Observer) {
        for observed in &self.observed {
            observer.observe(observed);
        }
        self.observed.clear();
    }
}

fn assert_distinct(who: &str, streams: impl Iterator<Item = u64>) {
    let mut streams: Vec<_> = streams.collect();
    streams.sort_unstable();
    assert!(streams.windows(2).all(|pair| pair[0] != pair[1]), "two {who} share their streams of chance");
}
