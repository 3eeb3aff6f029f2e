//! Small worlds of two to four processes, driven by hand.

mod lifecycle;
mod links;
mod outage;
mod rules;
mod storm;
mod streams;

use std::sync::Arc;

use models::fingerprint::Fingerprint;
use models::id::{Address, ConnId, HostId, Port, ProcessId};
use models::observation::{Observation, Observed};
use models::process::{CloseReason, Context, Effect, Input, Loss, Payload, Process};
use models::random::Random;
use models::time::{Instant, Span};

use super::{HostSpec, LOOPBACK, ProcessSpec, RestartPolicy, SHOWN_TOGETHER, Simulation, SimulationSpec};
use crate::net::rule::{Rule, RuleId};
use crate::net::topology::{LinkProfile, Site, SiteGraph};

const PORT: Port = Port(1);
/// Words from here on are short.
const SHORT: u32 = 2_000_000;

/// Notes what happens to it, listens on [`PORT`], and answers if told to.
#[derive(Clone, Debug, Default)]
struct Node {
    echo: bool,
    log: Vec<(Instant, Note)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Note {
    Start,
    Terminate,
    Accepted(ConnId),
    Opened(ConnId),
    Said(u32),
    Datagram(u32),
    Closed(CloseReason),
    Timer(u8),
    Disk(u64, bool),
}

#[derive(Clone, Copy, Debug)]
struct Word(u32);

impl Payload for Word {
    fn wire_size(&self) -> u32 {
        if self.0 >= SHORT { 100 } else { 1_000 }
    }

    fn fold(&self, into: &mut Fingerprint) {
        into.fold(u64::from(self.0));
    }
}

impl Process for Node {
    type Message = Word;
    type Timer = u8;

    fn on_input(&mut self, input: Input<Word, u8>, ctx: &mut Context<'_, Word, u8>) {
        let note = match input {
            Input::Start => {
                ctx.listen(PORT);
                Note::Start
            }
            Input::Terminate => Note::Terminate,
            Input::Accepted { conn, .. } => Note::Accepted(conn),
            Input::Opened { conn } => Note::Opened(conn),
            Input::Message { conn, message } => {
                if self.echo {
                    ctx.send(conn, Word(message.0 + 1_000_000));
                }
                Note::Said(message.0)
            }
            Input::Closed { reason, .. } => Note::Closed(reason),
            Input::Datagram { message, .. } => Note::Datagram(message.0),
            Input::Timer { timer: 99, .. } => return ctx.exit("asked to"),
            Input::Timer { timer: 98, .. } => {
                return ctx.observe(Observation::ZkIllegalMessage { what: "seen".into() });
            }
            Input::Timer { timer, .. } => Note::Timer(timer),
            Input::Disk { token, result } => Note::Disk(token.0, result.is_ok()),
        };
        self.log.push((ctx.now, note));
    }

    fn crash(&mut self, loss: Loss, _random: &mut Random) -> bool {
        loss == Loss::PageCache
    }

    /// Those from 50 on end a wait for input.
    fn yields_to_input(timer: &u8) -> bool {
        *timer >= 50
    }

    fn fold_state(&self, into: &mut Fingerprint) {
        into.fold(self.log.len() as u64);
    }
}

/// Processes 0, 1, 2 ... each on a host and a site of its own, `rtt` apart from each other.
struct World {
    sim: Simulation<Node>,
    seen: Vec<Observed>,
}

impl World {
    fn new(processes: u16, rtt: Span) -> Self {
        Self::with(processes, LinkProfile { delay: rtt / 2, ..LinkProfile::default() }, RestartPolicy::default())
    }

    /// Threads wait up to `thread_delay` for a core, and a start takes two to three seconds.
    fn on_a_busy_machine(processes: u16, thread_delay: Span) -> Self {
        let start_up = (Span::from_secs(2), Span::from_secs(3));
        Self::built(processes, LinkProfile::default(), RestartPolicy::Never, (thread_delay, start_up))
    }

    fn with(processes: u16, link: LinkProfile, restart: RestartPolicy) -> Self {
        Self::built(processes, link, restart, Default::default())
    }

    fn built(
        processes: u16,
        link: LinkProfile,
        restart: RestartPolicy,
        (thread_delay, start_up): (Span, (Span, Span)),
    ) -> Self {
        let mut sites = SiteGraph::new();
        let ids: Vec<_> =
            (0..processes).map(|n| sites.add_node(Site { name: Arc::from(format!("s{n}")), inside: link })).collect();
        for from in &ids {
            for to in ids.iter().filter(|to| *to != from) {
                sites.add_edge(*from, *to, link);
            }
        }
        Self::placed(sites, &(0..processes).collect::<Vec<_>>(), restart, (thread_delay, start_up))
    }

    /// One process on a host of each of these sites.
    fn between(sites: SiteGraph, of_hosts: &[u16]) -> Self {
        Self::placed(sites, of_hosts, RestartPolicy::default(), Default::default())
    }

    fn placed(
        sites: SiteGraph,
        of_hosts: &[u16],
        restart: RestartPolicy,
        (thread_delay, start_up): (Span, (Span, Span)),
    ) -> Self {
        let spec = SimulationSpec {
            seed: 7,
            sites,
            loopback: LOOPBACK,
            tcp: Default::default(),
            hosts: of_hosts.iter().map(|site| HostSpec { site: *site, thread_delay, ..HostSpec::default() }).collect(),
            processes: (0..of_hosts.len() as u16)
                .map(|n| ProcessSpec {
                    stream: None,
                    process: Node::default(),
                    host: HostId(n),
                    restart,
                    start_at: Instant::ZERO,
                    start_up,
                })
                .collect(),
        };
        let mut world = Self { sim: Simulation::new(spec), seen: Vec::new() };
        world.run_to(0);
        world
    }

    fn run_to(&mut self, ms: u64) {
        let seen = &mut self.seen;
        self.sim.run_until(Instant::ZERO + Span::from_ms(ms), &mut |o: &Observed| seen.push(o.clone()));
    }

    fn act(&mut self, id: u16, effect: Effect<Word, u8>) {
        self.sim.carry_out(ProcessId(id), effect);
    }

    /// Process `from` dials process `to` and both learn of it.
    fn open(&mut self, from: u16, to: u16) -> ConnId {
        let conn = self.dial(from, to);
        let now = self.sim.now().as_ms();
        self.run_to(now + 1_000);
        assert!(self.sim.process(ProcessId(from)).log.iter().any(|(_, n)| *n == Note::Opened(conn)), "no connection");
        conn
    }

    fn dial(&mut self, from: u16, to: u16) -> ConnId {
        let conn = self.sim.slots[usize::from(from)].numbers.next_conn();
        self.act(from, Effect::Connect { conn, to: Address { process: ProcessId(to), port: PORT } });
        conn
    }

    fn send(&mut self, from: u16, conn: ConnId, words: std::ops::Range<u32>) {
        for word in words {
            self.act(from, Effect::Send { conn, message: Word(word) });
        }
    }

    fn cut(&mut self, from: u16, to: u16) -> RuleId {
        self.sim.add_rule(Rule::cut(vec![HostId(from)], vec![HostId(to)]))
    }

    fn said(&self, id: u16) -> Vec<u32> {
        let log = &self.sim.process(ProcessId(id)).log;
        log.iter().filter_map(|(_, note)| if let Note::Said(word) = note { Some(*word) } else { None }).collect()
    }

    /// When `note` was first made, in ms.
    fn when(&self, id: u16, note: Note) -> Option<u64> {
        self.sim.process(ProcessId(id)).log.iter().find(|(_, n)| *n == note).map(|(at, _)| at.as_ms())
    }

    fn seen(&self, id: u16) -> Vec<(u64, Observation)> {
        let of = self.seen.iter().filter(|o| o.process == ProcessId(id));
        of.map(|o| (o.at.as_ms(), o.what.clone())).collect()
    }
}
