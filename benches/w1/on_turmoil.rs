//! W1 on turmoil, as its documentation has one write it: a task a host, UDP sockets, the default tick of 1 ms.
//!
//! Ticks round 0.5 ms up to 1 ms, for latencies as for timers, and latencies between two bounds are drawn from an exponential
//! distribution; the counts stay the same. A datagram carries the five bytes
//! that W1 needs rather than the hundred it stands for, which favours turmoil: it copies them.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use models::time::Span;
use tokio::time::{Instant, interval_at};
use turmoil::net::UdpSocket;
use turmoil::{Builder, Sim};

use super::{CLIENT, DRAIN, FOLLOWERS, Kind, Message, Outcome, PORT, Plan, Tally, is_far, last_id, peers, rhythm};

const NEAR: Span = Span::from_us(500);
const FAR: (Span, Span) = (Span::from_ms(13), Span::from_ms(17));

/// A node or the client.
struct Participant {
    id: u16,
    socket: UdpSocket,
    addresses: Rc<[SocketAddr]>,
    tally: Rc<RefCell<Tally>>,
    next_id: u32,
    last_id: u32,
    /// Of node 0: which records it has answered.
    answered: Vec<bool>,
}

impl Participant {
    async fn run(id: u16, plan: Plan, addresses: Rc<[SocketAddr]>, tally: Rc<RefCell<Tally>>) -> turmoil::Result {
        let socket = UdpSocket::bind(("0.0.0.0", PORT.0)).await?;
        let mut me =
            Self { id, socket, addresses, tally, next_id: 0, last_id: last_id(id, plan), answered: Vec::new() };
        let (first, period) = rhythm(id);
        let mut ticks = interval_at(Instant::now() + duration(first), duration(period));
        let mut datagram = [0; 5];
        loop {
            // In a fixed order, or tokio draws one from a source of its own.
            tokio::select! {
                biased;
                received = me.socket.recv_from(&mut datagram) => me.hear(datagram, received?.1)?,
                _ = ticks.tick(), if me.next_id < me.last_id => me.wake()?,
            }
        }
    }

    fn wake(&mut self) -> turmoil::Result {
        self.next_id += 1;
        let kind = if self.id == CLIENT { Kind::Record } else { Kind::Heartbeat };
        peers(self.id).try_for_each(|peer| self.say(self.addresses[usize::from(peer)], kind, self.next_id))
    }

    fn say(&self, to: SocketAddr, kind: Kind, id: u32) -> turmoil::Result {
        self.socket.try_send_to(&encode(Message { kind, id }), to)?;
        Ok(())
    }

    fn hear(&mut self, datagram: [u8; 5], from: SocketAddr) -> turmoil::Result {
        let Message { kind, id } = decode(datagram)?;
        self.note(kind, id, from);
        match kind {
            Kind::Heartbeat => self.say(from, Kind::HeartbeatReply, id),
            Kind::Replicate => self.say(from, Kind::Ack, id),
            Kind::Record => FOLLOWERS
                .iter()
                .try_for_each(|follower| self.say(self.addresses[usize::from(*follower)], Kind::Replicate, id)),
            Kind::Ack => self.commit(id),
            Kind::HeartbeatReply | Kind::Committed => Ok(()),
        }
    }

    fn commit(&mut self, id: u32) -> turmoil::Result {
        let index = id as usize;
        if self.answered.len() <= index {
            self.answered.resize(index + 1, false);
        }
        if std::mem::replace(&mut self.answered[index], true) {
            return Ok(());
        }
        self.say(self.addresses[usize::from(CLIENT)], Kind::Committed, id)
    }

    fn note(&self, kind: Kind, id: u32, from: SocketAddr) {
        // Whoever is not among them would change the trace.
        let from = self.addresses.iter().position(|address| *address == from).unwrap_or(usize::from(u16::MAX));
        let now = turmoil::elapsed().as_nanos() as u64;
        self.tally.borrow_mut().note(now, (from as u16, self.id), Message { kind, id });
    }
}

fn encode(Message { kind, id }: Message) -> [u8; 5] {
    let [a, b, c, d] = id.to_le_bytes();
    [kind as u8, a, b, c, d]
}

fn decode([kind, id @ ..]: [u8; 5]) -> Result<Message, String> {
    use Kind::{Ack, Committed, Heartbeat, HeartbeatReply, Record, Replicate};
    let kind = [Heartbeat, HeartbeatReply, Record, Replicate, Ack, Committed]
        .into_iter()
        .find(|known| *known as u8 == kind)
        .ok_or_else(|| format!("nobody says {kind}"))?;
    Ok(Message { kind, id: u32::from_le_bytes(id) })
}

fn duration(span: Span) -> Duration {
    Duration::from_nanos(span.as_ns())
}

/// Runs W1 from beginning to end on turmoil.
///
/// # Panics
/// If turmoil reports that a participant failed.
pub fn run(seed: u64, plan: Plan) -> Outcome {
    let mut sim = Builder::new()
        .rng_seed(seed)
        .simulation_duration(duration(plan.length + DRAIN))
        .min_message_latency(duration(FAR.0))
        .max_message_latency(duration(FAR.1))
        .build();
    let names: Vec<String> = (0..=CLIENT).map(|id| format!("p{id}")).collect();
    let addresses: Rc<[SocketAddr]> =
        names.iter().map(|name| SocketAddr::new(sim.lookup(name.as_str()), PORT.0)).collect();
    let tally = Rc::new(RefCell::new(Tally::default()));
    for (id, name) in (0..=CLIENT).zip(&names) {
        let (addresses, tally) = (addresses.clone(), tally.clone());
        sim.host(name.as_str(), move || Participant::run(id, plan, addresses.clone(), tally.clone()));
    }
    for (a, b) in pairs(|a, b| is_far(a) == is_far(b)) {
        sim.set_link_latency(addresses[a].ip(), addresses[b].ip(), duration(NEAR));
    }
    advance(&mut sim, plan.cut.0);
    for (a, b) in pairs(|a, b| is_far(a) != is_far(b)) {
        sim.partition(addresses[a].ip(), addresses[b].ip());
    }
    advance(&mut sim, plan.cut.1);
    for (a, b) in pairs(|a, b| is_far(a) != is_far(b)) {
        sim.repair(addresses[a].ip(), addresses[b].ip());
    }
    advance(&mut sim, plan.length + DRAIN);
    tally.borrow().outcome()
}

/// All pairs of participants of which `wanted` holds.
fn pairs(wanted: impl Fn(u16, u16) -> bool) -> impl Iterator<Item = (usize, usize)> {
    (0..=CLIENT)
        .flat_map(|a| (0..a).map(move |b| (a, b)))
        .filter(move |(a, b)| wanted(*a, *b))
        .map(|(a, b)| (usize::from(a), usize::from(b)))
}

fn advance(sim: &mut Sim<'_>, until: Span) {
    while sim.elapsed() < duration(until) {
        sim.step().expect("no participant fails");
    }
}

#[test]
fn turmoil_delivers_what_every_engine_delivers() {
    super::check(super::TENTH, |seed| run(seed, super::TENTH));
    run(1, super::FULL).assert_complete(super::FULL);
}
