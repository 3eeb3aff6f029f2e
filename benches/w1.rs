//! W1, the workload by which engines are compared: 8 nodes on 2 sites and a client.
//!
//! Every node sends a heartbeat to each other node every 100 ms, and each is answered. The client sends 200 records a second
//! to node 0, which replicates them to nodes 1, 4 and 5; each acknowledges, and on the first acknowledgement node 0 answers
//! the client. Latency is 0.5 ms within a site and 13 to 17 ms across; for a fifth of the time the sites are cut off from each
//! other, as a [`Plan`] says. How much is delivered does not depend on the engine.

pub mod on_nexosim;
pub mod on_turmoil;

use std::sync::Arc;

use models::fingerprint::Fingerprint;
use models::id::{Address, ConnId, HostId, Port, ProcessId};
use models::observation::Observed;
use models::process::{Context, Input, Loss, Payload, Process};
use models::random::Random;
use models::time::{Instant, Span};
use serde::{Deserialize, Serialize};
use sim::kernel::{HostSpec, LOOPBACK, ProcessSpec, QueueKind, RestartPolicy, Simulation, SimulationSpec};
use sim::net::rule::Rule;
use sim::net::tcp::TcpConfig;
use sim::net::topology::{LinkProfile, Site, SiteGraph};

/// Nodes; the client is the process after them.
pub const NODES: u16 = 8;
/// Nodes 1, 4 and 5 replicate what node 0 leads.
pub const FOLLOWERS: [u16; 3] = [1, 4, 5];
/// Between heartbeats.
pub const HEARTBEAT: Span = Span::from_ms(100);
/// Between records.
pub const RECORD: Span = Span::from_ms(5);

const CLIENT: u16 = NODES;
const PORT: Port = Port(1);

/// How long a run takes, and what has to come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// For how long, in virtual time, processes begin to say something. What is under way then still arrives.
    pub length: Span,
    /// When the sites are cut off from each other.
    pub cut: (Span, Span),
    /// Datagrams that are delivered, give or take [`TOLERANCE`]: how many are under way when the cut begins, and are lost,
    /// depends on the jitter and on how an engine rounds time.
    pub datagrams: u64,
    /// Records that are committed.
    pub records: u64,
}

/// W1 as it is defined.
pub const FULL: Plan = Plan {
    length: Span::from_secs(300),
    cut: (Span::from_secs(100), Span::from_secs(160)),
    datagrams: 729_584,
    records: 60_000,
};

/// A tenth of it, for engines on which the whole takes too long to be repeated.
pub const TENTH: Plan = Plan {
    length: Span::from_secs(30),
    cut: (Span::from_secs(10), Span::from_secs(16)),
    datagrams: 72_944,
    records: 6_000,
};

/// Added to the length of a run, for what is under way: two ways across and two within a site, with room.
const DRAIN: Span = Span::from_ms(50);

/// See [`Plan::datagrams`].
pub const TOLERANCE: u64 = 20;

/// How processes talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// In datagrams.
    Datagram,
    /// Over one connection per direction of each pair, as Kafka does.
    Stream,
}

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    kind: Kind,
    id: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    Heartbeat,
    HeartbeatReply,
    Record,
    Replicate,
    Ack,
    Committed,
}

impl Payload for Message {
    fn wire_size(&self) -> u32 {
        100
    }

    fn fold(&self, into: &mut Fingerprint) {
        into.fold((self.kind as u64) << 32 | u64::from(self.id));
    }
}

/// Why a process wakes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// To tell the others that it lives.
    Heartbeat,
    /// To send a record.
    Record,
}

/// A node or the client.
#[derive(Clone, Debug)]
pub struct Participant {
    id: u16,
    transport: Transport,
    /// Connections that we dialled, by peer, once they are open.
    dialled: Vec<Option<ConnId>>,
    opening: Vec<(ConnId, u16)>,
    next_id: u32,
    /// After this many heartbeats or records the process only answers.
    last_id: u32,
    /// Of node 0: the connection of the client, and which records it has answered.
    client: Option<ConnId>,
    answered: Vec<bool>,
    /// Of the client: records that were committed.
    committed: u64,
}

type Ctx<'a> = Context<'a, Message, Timer>;

impl Participant {
    fn new(id: u16, transport: Transport, plan: Plan) -> Self {
        let dialled = vec![None; usize::from(NODES)];
        let (opening, answered) = (Vec::new(), Vec::new());
        Self {
            id,
            transport,
            dialled,
            opening,
            next_id: 0,
            last_id: last_id(id, plan),
            client: None,
            answered,
            committed: 0,
        }
    }

    fn start(&mut self, ctx: &mut Ctx<'_>) {
        if self.transport == Transport::Stream {
            ctx.listen(PORT);
            for peer in peers(self.id) {
                let conn = ctx.connect(Address { process: ProcessId(peer), port: PORT });
                self.opening.push((conn, peer));
            }
        }
        let timer = if self.id == CLIENT { Timer::Record } else { Timer::Heartbeat };
        ctx.set_timer(rhythm(self.id).0, timer);
    }

    fn wake_again(&self, after: Span, timer: Timer, ctx: &mut Ctx<'_>) {
        if self.next_id < self.last_id {
            ctx.set_timer(after, timer);
        }
    }

    fn say(&mut self, to: u16, kind: Kind, id: u32, ctx: &mut Ctx<'_>) {
        let message = Message { kind, id };
        match self.transport {
            Transport::Datagram => ctx.send_datagram(ProcessId(to), message),
            Transport::Stream => {
                if let Some(conn) = self.dialled[usize::from(to)] {
                    ctx.send(conn, message);
                }
            }
        }
    }

    fn hear(&mut self, message: Message, from: Source, ctx: &mut Ctx<'_>) {
        let answer = match message.kind {
            Kind::Heartbeat => Kind::HeartbeatReply,
            Kind::Replicate => Kind::Ack,
            Kind::HeartbeatReply => return,
            Kind::Record => {
                if let Source::Conn(conn) = from {
                    self.client = Some(conn);
                }
                for follower in FOLLOWERS {
                    self.say(follower, Kind::Replicate, message.id, ctx);
                }
                return;
            }
            Kind::Ack => return self.commit(message.id, ctx),
            Kind::Committed => {
                self.committed += 1;
                return;
            }
        };
        from.answer(Message { kind: answer, id: message.id }, ctx);
    }

    fn commit(&mut self, id: u32, ctx: &mut Ctx<'_>) {
        let index = id as usize;
        if self.answered.len() <= index {
            self.answered.resize(index + 1, false);
        }
        if std::mem::replace(&mut self.answered[index], true) {
            return;
        }
        let client = self.client.map_or(Source::Process(ProcessId(CLIENT)), Source::Conn);
        client.answer(Message { kind: Kind::Committed, id }, ctx);
    }
}

#[derive(Clone, Copy)]
enum Source {
    Process(ProcessId),
    Conn(ConnId),
}

impl Source {
    fn answer(self, message: Message, ctx: &mut Ctx<'_>) {
        match self {
            Self::Process(id) => ctx.send_datagram(id, message),
            Self::Conn(conn) => ctx.send(conn, message),
        }
    }
}

impl Process for Participant {
    type Message = Message;
    type Timer = Timer;

    fn on_input(&mut self, input: Input<Message, Timer>, ctx: &mut Ctx<'_>) {
        match input {
            Input::Start => self.start(ctx),
            Input::Datagram { from, message } => self.hear(message, Source::Process(from), ctx),
            Input::Message { conn, message } => self.hear(message, Source::Conn(conn), ctx),
            Input::Opened { conn } => {
                let (_, peer) = self.opening.iter().find(|(c, _)| *c == conn).expect("we dialled it");
                self.dialled[usize::from(*peer)] = Some(conn);
            }
            Input::Timer { timer: Timer::Heartbeat, .. } => {
                self.next_id += 1;
                for peer in peers(self.id) {
                    self.say(peer, Kind::Heartbeat, self.next_id, ctx);
                }
                self.wake_again(HEARTBEAT, Timer::Heartbeat, ctx);
            }
            Input::Timer { timer: Timer::Record, .. } => {
                self.next_id += 1;
                self.say(0, Kind::Record, self.next_id, ctx);
                self.wake_again(RECORD, Timer::Record, ctx);
            }
            Input::Accepted { .. } | Input::Closed { .. } | Input::Disk { .. } | Input::Terminate => {}
        }
    }

    fn crash(&mut self, _loss: Loss, _random: &mut Random) -> bool {
        false
    }

    fn fold_state(&self, into: &mut Fingerprint) {
        into.fold(self.committed);
    }
}

/// Whether a process stands on the second site.
fn is_far(id: u16) -> bool {
    (4..NODES).contains(&id)
}

/// When a process wakes up first, and how often then. First times are spread over the first half of the period, so that no
/// heartbeat is under way when the cut begins or ends.
fn rhythm(id: u16) -> (Span, Span) {
    if id == CLIENT { (RECORD / 2, RECORD) } else { (HEARTBEAT / 16 * u64::from(id + 1), HEARTBEAT) }
}

/// How often a process wakes up in a run.
fn last_id(id: u16, plan: Plan) -> u32 {
    (plan.length.as_ns() / rhythm(id).1.as_ns()) as u32
}

/// Whom a process tells of itself: the other nodes, or the leader.
fn peers(id: u16) -> impl Iterator<Item = u16> {
    let last = if id == CLIENT { 1 } else { NODES };
    (0..last).filter(move |peer| *peer != id)
}

/// W1 on our engine before its start.
pub fn simulation(seed: u64, transport: Transport, plan: Plan) -> Simulation<Participant> {
    let near = LinkProfile { delay: Span::from_us(500), ..LinkProfile::default() };
    let far = LinkProfile { delay: Span::from_ms(15), jitter: Span::from_ms(2), ..LinkProfile::default() };
    let mut sites = SiteGraph::new();
    let [a, b] = ["a", "b"].map(|name| sites.add_node(Site { name: Arc::from(name), inside: near }));
    sites.add_edge(a, b, far);
    sites.add_edge(b, a, far);
    Simulation::new(SimulationSpec {
        seed,
        sites,
        loopback: LOOPBACK,
        tcp: TcpConfig::default(),
        hosts: (0..=CLIENT).map(|id| HostSpec { site: u16::from(is_far(id)), ..HostSpec::default() }).collect(),
        processes: (0..=CLIENT)
            .map(|id| ProcessSpec {
                stream: None,
                process: Participant::new(id, transport, plan),
                host: HostId(id),
                restart: RestartPolicy::default(),
                start_at: Instant::ZERO,
                start_up: Default::default(),
            })
            .collect(),
    })
}

/// What came of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Messages delivered.
    pub delivered: u64,
    /// Records that the client knows to be committed.
    pub committed: u64,
    /// Events that the queue handed out; `None` if the engine does not tell.
    pub queued: Option<u64>,
    /// Of the whole run.
    pub fingerprint: u64,
}

impl Outcome {
    /// Holds a run over datagrams against its plan: an engine that does less work is not measured.
    ///
    /// # Panics
    /// If the run did not deliver or commit what it has to.
    pub fn assert_complete(&self, plan: Plan) {
        assert!(self.delivered.abs_diff(plan.datagrams) <= TOLERANCE, "{self:?} of {plan:?}");
        assert_eq!(self.committed, plan.records, "{self:?} of {plan:?}");
    }
}

/// What the participants of a run on another engine have seen; ours keeps this itself.
#[derive(Default)]
struct Tally {
    delivered: u64,
    committed: u64,
    trace: Fingerprint,
}

impl Tally {
    /// Counts a delivery at `now` (nanoseconds) and folds it into the trace, as our kernel does.
    fn note(&mut self, now: u64, (from, to): (u16, u16), Message { kind, id }: Message) {
        self.delivered += 1;
        self.committed += u64::from(kind == Kind::Committed);
        self.trace.fold(now);
        self.trace.fold(u64::from(to) << 32 | u64::from(from));
        self.trace.fold((kind as u64) << 32 | u64::from(id));
    }

    fn outcome(&self) -> Outcome {
        let (delivered, committed, fingerprint) = (self.delivered, self.committed, self.trace.value());
        Outcome { delivered, committed, queued: None, fingerprint }
    }
}

/// Runs W1 from beginning to end on our engine.
pub fn run(seed: u64, transport: Transport, plan: Plan) -> Outcome {
    run_with(QueueKind::default(), seed, transport, plan)
}

/// The same with a queue of another kind.
pub fn run_with(queue: QueueKind, seed: u64, transport: Transport, plan: Plan) -> Outcome {
    let mut sim = simulation(seed, transport, plan);
    sim.use_queue(queue);
    let observer = &mut |_: &Observed| {};
    let hosts = |far: bool| (0..=CLIENT).filter(|id| is_far(*id) == far).map(HostId).collect::<Vec<_>>();
    let (near, far) = (hosts(false), hosts(true));
    sim.run_until(Instant::ZERO + plan.cut.0, observer);
    let rules = [Rule::cut(near.clone(), far.clone()), Rule::cut(far, near)].map(|rule| sim.add_rule(rule));
    sim.run_until(Instant::ZERO + plan.cut.1, observer);
    for rule in rules {
        sim.remove_rule(rule);
    }
    sim.run_until(Instant::ZERO + plan.length + DRAIN, observer);
    let events = sim.events();
    Outcome {
        delivered: events.messages + events.datagrams,
        committed: sim.process(ProcessId(CLIENT)).committed,
        queued: Some(events.queued),
        fingerprint: sim.fingerprint(),
    }
}

/// Runs twice with one seed and once with another.
#[cfg(test)]
fn check(plan: Plan, run: impl Fn(u64) -> Outcome) {
    let outcome = run(1);
    outcome.assert_complete(plan);
    assert_eq!(outcome, run(1));
    assert_ne!(outcome.fingerprint, run(2).fingerprint);
}

#[test]
fn datagrams_deliver_what_every_engine_delivers() {
    for plan in [FULL, TENTH] {
        check(plan, |seed| run(seed, Transport::Datagram, plan));
    }
}

#[test]
fn every_queue_gives_the_same_run() {
    for transport in [Transport::Datagram, Transport::Stream] {
        for seed in 1..4 {
            let outcomes = QueueKind::ALL.map(|queue| run_with(queue, seed, transport, TENTH));
            assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "{transport:?}, seed {seed}: {outcomes:?}");
        }
    }
}

#[test]
fn streams_deliver_everything_at_about_one_event_a_message() {
    // 336,000 heartbeats and replies, and 8 messages for each of 60,000 records. A cut delays them; what is
    // said before the connections are open is not said.
    for (plan, messages) in [(FULL, 816_000), (TENTH, 81_600)] {
        let outcome = run(1, Transport::Stream, plan);
        assert!(outcome.delivered.abs_diff(messages) <= 200, "{outcome:?}");
        assert!(outcome.committed.abs_diff(plan.records) <= 2, "{outcome:?}");
        assert!(outcome.queued.is_some_and(|queued| queued * 100 < outcome.delivered * 115), "{outcome:?}");
    }
}
