//! W1 on nexosim, as its documentation has one write it: a model a participant, an output a peer, one thread. It knows no
//! network, so the receiver draws the latency and schedules the delivery on itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use models::random::{Purpose, Random};
use models::time::Span;
use nexosim::model::{BuildContext, Context, Model, ProtoModel, schedulable};
use nexosim::ports::Output;
use nexosim::simulation::{Mailbox, SimInit};
use nexosim::time::MonotonicTime;
use serde::{Deserialize, Serialize};

use super::{CLIENT, DRAIN, FOLLOWERS, Kind, Message, Outcome, Plan, Tally, is_far, last_id, peers, rhythm};

const NEAR: Span = Span::from_us(500);
const FAR: (Span, Span) = (Span::from_ms(13), Span::from_ms(17));

/// A message on its way.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Letter {
    from: u16,
    kind: Kind,
    id: u32,
}

/// A node or the client.
#[derive(Serialize, Deserialize)]
struct Participant {
    outputs: Vec<Output<Letter>>,
}

/// What belongs to a participant besides its ports.
struct Surroundings {
    id: u16,
    plan: Plan,
    random: Random,
    tally: Arc<Mutex<Tally>>,
    next_id: u32,
    last_id: u32,
    /// Of node 0: which records it has answered.
    answered: Vec<bool>,
}

impl Surroundings {
    /// When a letter that leaves now arrives; `None` if the sites are cut off from each other.
    fn transit(&mut self, from: u16, now: Duration) -> Option<Duration> {
        if is_far(from) == is_far(self.id) {
            return Some(duration(NEAR));
        }
        let (begin, end) = (duration(self.plan.cut.0), duration(self.plan.cut.1));
        let cut = (begin..end).contains(&now);
        (!cut).then(|| duration(self.random.span(FAR.0, FAR.1)))
    }

    fn note(&self, letter: Letter, now: Duration) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let Letter { from, kind, id } = letter;
        tally.note(now.as_nanos() as u64, (from, self.id), Message { kind, id });
    }
}

#[Model(type Env = Surroundings)]
impl Participant {
    #[nexosim(init)]
    async fn start(&mut self, cx: &Context<Self>, me: &mut Surroundings) {
        let (first, period) = rhythm(me.id);
        cx.schedule_periodic_event(duration(first), duration(period), schedulable!(Self::wake), ())
            .expect("the first time lies ahead");
    }

    #[nexosim(schedulable)]
    async fn wake(&mut self, (): (), _: &Context<Self>, me: &mut Surroundings) {
        if me.next_id == me.last_id {
            return;
        }
        me.next_id += 1;
        let kind = if me.id == CLIENT { Kind::Record } else { Kind::Heartbeat };
        for peer in peers(me.id) {
            self.say(me.id, peer, kind, me.next_id).await;
        }
    }

    async fn say(&mut self, from: u16, to: u16, kind: Kind, id: u32) {
        self.outputs[usize::from(to)].send(Letter { from, kind, id }).await;
    }

    /// A letter sets out for here.
    async fn dispatch(&mut self, letter: Letter, cx: &Context<Self>, me: &mut Surroundings) {
        if let Some(after) = me.transit(letter.from, elapsed(cx)) {
            cx.schedule_event(after, schedulable!(Self::hear), letter).expect("it arrives later");
        }
    }

    #[nexosim(schedulable)]
    async fn hear(&mut self, letter: Letter, cx: &Context<Self>, me: &mut Surroundings) {
        me.note(letter, elapsed(cx));
        let Letter { from, kind, id } = letter;
        match kind {
            Kind::Heartbeat => self.say(me.id, from, Kind::HeartbeatReply, id).await,
            Kind::Replicate => self.say(me.id, from, Kind::Ack, id).await,
            Kind::Record => {
                for follower in FOLLOWERS {
                    self.say(me.id, follower, Kind::Replicate, id).await;
                }
            }
            Kind::Ack => {
                let index = id as usize;
                if me.answered.len() <= index {
                    me.answered.resize(index + 1, false);
                }
                if !std::mem::replace(&mut me.answered[index], true) {
                    self.say(me.id, CLIENT, Kind::Committed, id).await;
                }
            }
            Kind::HeartbeatReply | Kind::Committed => {}
        }
    }
}

fn elapsed(cx: &Context<Participant>) -> Duration {
    cx.time().duration_since(MonotonicTime::EPOCH)
}

/// What a participant is built from.
struct Draft {
    outputs: Vec<Output<Letter>>,
    surroundings: Surroundings,
}

impl ProtoModel for Draft {
    type Model = Participant;

    fn build(self, _: &mut BuildContext<Self>) -> (Participant, Surroundings) {
        (Participant { outputs: self.outputs }, self.surroundings)
    }
}

fn duration(span: Span) -> Duration {
    Duration::from_nanos(span.as_ns())
}

/// Runs W1 from beginning to end on nexosim.
///
/// # Panics
/// If nexosim reports an error.
pub fn run(seed: u64, plan: Plan) -> Outcome {
    let tally = Arc::new(Mutex::new(Tally::default()));
    // Two threads are slower, and their order is not the seed's.
    let mut bench = SimInit::with_num_threads(1);
    let mailboxes: Vec<Mailbox<Participant>> = (0..=CLIENT).map(|_| Mailbox::new()).collect();
    let drafts: Vec<_> = (0..=CLIENT)
        .map(|id| {
            let connected = |mailbox| {
                let mut output = Output::default();
                output.connect(Participant::dispatch, mailbox);
                output
            };
            let random = Random::new(seed, Purpose::Link, u64::from(id));
            let last_id = last_id(id, plan);
            let tally = tally.clone();
            let surroundings = Surroundings { id, plan, random, tally, next_id: 0, last_id, answered: Vec::new() };
            Draft { outputs: mailboxes.iter().map(connected).collect(), surroundings }
        })
        .collect();
    for ((id, draft), mailbox) in drafts.into_iter().enumerate().zip(mailboxes) {
        bench = bench.add_model(draft, mailbox, &format!("p{id}"));
    }
    let mut simulation = bench.init(MonotonicTime::EPOCH).expect("its models are connected");
    simulation.step_until(duration(plan.length + DRAIN)).expect("no participant fails");
    tally.lock().unwrap_or_else(PoisonError::into_inner).outcome()
}

#[test]
fn nexosim_delivers_what_every_engine_delivers() {
    super::check(super::TENTH, |seed| run(seed, super::TENTH));
    run(1, super::FULL).assert_complete(super::FULL);
}
