//! W1, the workload by which engines are compared: 8 nodes on 2 sites and a client.
//!
//! Every node sends a heartbeat to each other node every 100 ms, and each is answered. The client sends 200 records a second
//! to node 0, which replicates them to nodes 1, 4 and 5; each acknowledges, and on the first acknowledgement node 0 answers
//! the client. Latency is 0.5 ms within a site and 13 to 17 ms across. 300 s of virtual time, the sites cut off from each other
//! from 100 s to 160 s. With datagrams 729,584 messages are delivered, give or take 20, and 60,000 records committed.

use std::sync::Arc;

use models::fingerprint::Fingerprint;
use models::id::{Address, ConnId, HostId, Port, ProcessId};
use models::observation::Observed;
use models::process::{Context, Input, Loss, Payload, Process};
use models::random::Random;
use models::time::{Instant, Span};
use sim::kernel::{HostSpec, LOOPBACK, ProcessSpec, RestartPolicy, Simulation, SimulationSpec};
use sim::net::rule::Rule;
use sim::net::tcp::TcpConfig;
use sim::net::topology::{LinkProfile, Site, SiteGraph};

/// Nodes; the client is the process after them.
pub const NODES: u16 = 8;
/// Nodes 1, 4 and 5 replicate what node 0 leads.
pub const FOLLOWERS: [u16; 3] = [1, 4, 5];
/// Virtual length of a run.
pub const LENGTH: Span = Span::from_secs(300);
/// When the sites are cut off from each other.
pub const CUT: (Span, Span) = (Span::from_secs(100), Span::from_secs(160));
/// Between heartbeats.
pub const HEARTBEAT: Span = Span::from_ms(100);
/// Between records.
pub const RECORD: Span = Span::from_ms(5);

const CLIENT: u16 = NODES;
const PORT: Port = Port(1);

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Of node 0: the connection of the client, and which records it has answered.
    client: Option<ConnId>,
    answered: Vec<bool>,
    /// Of the client: records that were committed.
    committed: u64,
}

type Ctx<'a> = Context<'a, Message, Timer>;

impl Participant {
    fn new(id: u16, transport: Transport) -> Self {
        let dialled = vec![None; usize::from(NODES)];
        let (opening, answered) = (Vec::new(), Vec::new());
        Self { id, transport, dialled, opening, next_id: 0, client: None, answered, committed: 0 }
    }

    fn peers(&self) -> impl Iterator<Item = u16> + use<> {
        let (me, last) = (self.id, if self.id == CLIENT { 1 } else { NODES });
        (0..last).filter(move |peer| *peer != me)
    }

    fn start(&mut self, ctx: &mut Ctx<'_>) {
        if self.transport == Transport::Stream {
            ctx.listen(PORT);
            for peer in self.peers() {
                let conn = ctx.connect(Address { process: ProcessId(peer), port: PORT });
                self.opening.push((conn, peer));
            }
        }
        // Spread over the first half of the period, so that no heartbeat is under way when the cut begins or the run ends.
        let (timer, after) = if self.id == CLIENT {
            (Timer::Record, RECORD / 2)
        } else {
            (Timer::Heartbeat, HEARTBEAT / 16 * u64::from(self.id + 1))
        };
        ctx.set_timer(after, timer);
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
                for peer in self.peers() {
                    self.say(peer, Kind::Heartbeat, self.next_id, ctx);
                }
                ctx.set_timer(HEARTBEAT, Timer::Heartbeat);
            }
            Input::Timer { timer: Timer::Record, .. } => {
                self.next_id += 1;
                self.say(0, Kind::Record, self.next_id, ctx);
                ctx.set_timer(RECORD, Timer::Record);
            }
            Input::Accepted { .. } | Input::Closed { .. } | Input::Disk { .. } => {}
        }
    }

    fn crash(&mut self, _loss: Loss, _random: &mut Random) -> bool {
        false
    }

    fn fold_state(&self, into: &mut Fingerprint) {
        into.fold(self.committed);
    }
}

/// W1 before its start.
pub fn simulation(seed: u64, transport: Transport) -> Simulation<Participant> {
    let near = LinkProfile { delay: Span::from_us(500), ..LinkProfile::default() };
    let far = LinkProfile { delay: Span::from_ms(15), jitter: Span::from_ms(2), ..LinkProfile::default() };
    let mut sites = SiteGraph::new();
    let [a, b] = ["a", "b"].map(|name| sites.add_node(Site { name: Arc::from(name), inside: near }));
    sites.add_edge(a, b, far);
    sites.add_edge(b, a, far);
    let site_of = |id: u16| u16::from((4..NODES).contains(&id));
    Simulation::new(SimulationSpec {
        seed,
        sites,
        loopback: LOOPBACK,
        tcp: TcpConfig::default(),
        hosts: (0..=CLIENT).map(|id| HostSpec { site: site_of(id), ..HostSpec::default() }).collect(),
        processes: (0..=CLIENT)
            .map(|id| ProcessSpec {
                process: Participant::new(id, transport),
                host: HostId(id),
                restart: RestartPolicy::default(),
                start_at: Instant::ZERO,
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
    /// Events that the queue handed out.
    pub queued: u64,
    /// Of the whole run.
    pub fingerprint: u64,
}

/// Runs W1 from beginning to end.
pub fn run(seed: u64, transport: Transport) -> Outcome {
    let mut sim = simulation(seed, transport);
    let observer = &mut |_: &Observed| {};
    let hosts = |range: std::ops::Range<u16>| range.map(HostId).collect::<Vec<_>>();
    let (near, far) = ([hosts(0..4), hosts(8..9)].concat(), hosts(4..8));
    sim.run_until(Instant::ZERO + CUT.0, observer);
    let rules = [Rule::cut(near.clone(), far.clone()), Rule::cut(far, near)].map(|rule| sim.add_rule(rule));
    sim.run_until(Instant::ZERO + CUT.1, observer);
    for rule in rules {
        sim.remove_rule(rule);
    }
    sim.run_until(Instant::ZERO + LENGTH, observer);
    let events = sim.events();
    Outcome {
        delivered: events.messages + events.datagrams,
        committed: sim.process(ProcessId(CLIENT)).committed,
        queued: events.queued,
        fingerprint: sim.fingerprint(),
    }
}

#[test]
fn datagrams_deliver_what_every_engine_delivers() {
    let outcome = run(1, Transport::Datagram);
    assert!(outcome.delivered.abs_diff(729_584) <= 20, "{outcome:?}");
    assert!(outcome.committed.abs_diff(60_000) <= 1, "{outcome:?}");
    assert_eq!(outcome, run(1, Transport::Datagram));
    assert_ne!(outcome.fingerprint, run(2, Transport::Datagram).fingerprint);
}

#[test]
fn streams_deliver_everything_at_about_one_event_a_message() {
    let outcome = run(1, Transport::Stream);
    // 336,000 heartbeats and replies, and 8 messages for each of 60,000 records; a few are under way at the end.
    assert!(outcome.delivered.abs_diff(816_000) <= 200, "{outcome:?}");
    assert!(outcome.committed.abs_diff(60_000) <= 2, "{outcome:?}");
    assert!(outcome.queued * 100 < outcome.delivered * 115, "{outcome:?}");
}
