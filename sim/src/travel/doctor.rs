//! Runs the same thing twice and finds the first thing that is not the same.
//!
//! The two runs are made apart: on threads of their own, one of them on a heap that is laid out differently, so that whatever
//! depends on addresses, on the thread or on a hasher's random keys has every chance to show. They are compared not only by
//! what processes were given but by what each process asked for while it handled it, so that the first difference is blamed
//! on the process that made it and not on the one that it reached first. What both runs did in the current second is kept,
//! and no more.

use std::fmt::Debug;
use std::hash::Hash;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use models::id::ProcessId;
use models::observation::Observed;
use models::process::{Payload, Process};
use models::time::{Instant, Span};

use crate::kernel::Simulation;
use crate::kernel::trace::{Noted, What};
use crate::run::Run;

/// Runs are compared in stretches of this length.
const STRETCH: Span = Span::from_secs(1);
/// Stretches that one run may be ahead of the other.
const AHEAD: usize = 4;

/// Something that can be run under the eyes of the doctor.
pub trait Patient {
    /// What its processes say to each other.
    type Message: Payload + Send;
    /// What their timers carry.
    type Timer: Copy + Debug + Hash + Send;

    /// Keeps from now on what happens.
    fn watch(&mut self);

    /// Runs up to a moment and returns what happened; nothing once it is over.
    fn advance(&mut self, until: Instant) -> Option<Vec<Noted<Self::Message, Self::Timer>>>;

    /// The fingerprint so far.
    fn fingerprint(&self) -> u64;
}

impl Patient for Run {
    type Message = models::world::Message;
    type Timer = models::world::Timer;

    fn watch(&mut self) {
        self.simulation_mut().start_trace();
    }

    fn advance(&mut self, until: Instant) -> Option<Vec<Noted<Self::Message, Self::Timer>>> {
        if self.is_over() {
            return None;
        }
        self.advance_to(until, &mut |_: &Observed| {}, &mut |_| ControlFlow::Continue(()));
        Some(self.simulation_mut().take_trace())
    }

    fn fingerprint(&self) -> u64 {
        self.checkpoint().fingerprint
    }
}

impl<P> Patient for Simulation<P>
where
    P: Process,
    P::Message: Send,
    P::Timer: Send,
{
    type Message = P::Message;
    type Timer = P::Timer;

    fn watch(&mut self) {
        self.start_trace();
    }

    fn advance(&mut self, until: Instant) -> Option<Vec<Noted<P::Message, P::Timer>>> {
        self.next_event_at()?;
        self.run_until(until, &mut |_: &Observed| {});
        Some(self.take_trace())
    }

    fn fingerprint(&self) -> u64 {
        Simulation::fingerprint(self)
    }
}

/// What the doctor found.
#[derive(Clone, Debug)]
pub enum Diagnosis<M, T> {
    /// Both runs are the same.
    Deterministic {
        /// How many inputs, effects and observations were compared.
        compared: u64,
        /// Of either run.
        fingerprint: u64,
    },
    /// They part.
    Parted(Box<Difference<M, T>>),
}

/// The first thing that is not the same.
#[derive(Clone, Debug)]
pub struct Difference<M, T> {
    /// How many things were the same before.
    pub agreed: u64,
    /// The thing in the one run; `None` if it has come to an end.
    pub first: Option<Noted<M, T>>,
    /// The thing in the other run.
    pub second: Option<Noted<M, T>>,
    /// What the process was handling, if what it asked for differs.
    pub handling: Option<Noted<M, T>>,
    /// Whether the process asked for the same things, in another order.
    pub reordered: bool,
}

impl<M, T> Difference<M, T> {
    /// The process to look at.
    pub fn process(&self) -> Option<ProcessId> {
        self.first.as_ref().or(self.second.as_ref()).map(|noted| noted.process)
    }

    /// When.
    pub fn at(&self) -> Option<Instant> {
        let at = |noted: &Option<Noted<M, T>>| noted.as_ref().map(|noted| noted.at);
        at(&self.first).into_iter().chain(at(&self.second)).min()
    }

    /// What such a difference usually comes from, the likeliest first.
    pub fn suspects(&self) -> Vec<&'static str> {
        let either = self.first.as_ref().or(self.second.as_ref());
        let restarted = either.is_some_and(|noted| noted.incarnation > 1);
        let is_effect = either.is_some_and(|noted| matches!(noted.what, What::Effect(_)));
        let mut suspects = Vec::new();
        if self.reordered {
            suspects.push("iteration over something unordered (HashMap, HashSet): the same things in another order");
        }
        if restarted {
            suspects.push("state that a restart does not clear: it is not the first life of the process");
        }
        if is_effect {
            suspects.push("a stream of chance that is shared with somebody else, or not keyed by the seed");
            suspects.push("the wall clock, a thread's identity or an address that found its way into a decision");
            if !self.reordered {
                suspects.push("iteration over something unordered, of which only a part was used");
            }
        } else {
            suspects.push("the engine, not the process: the queue's order, a stream of the network or of a disk");
            suspects.push("state of the process that it shares with the other run (a static, a thread local)");
        }
        suspects
    }
}

type Stretch<P> = (Vec<Noted<<P as Patient>::Message, <P as Patient>::Timer>>, u64);

/// Makes the same thing twice, runs both up to `limit` and compares them.
///
/// # Panics
/// If one of the runs does.
pub fn examine<P: Patient>(make: impl Fn() -> P + Sync, limit: Instant) -> Diagnosis<P::Message, P::Timer> {
    let make = &make;
    std::thread::scope(|scope| {
        let [(one, first), (two, second)] = [(); 2].map(|()| sync_channel(AHEAD));
        let runs = [
            scope.spawn(move || act(make(), limit, &one)),
            scope.spawn(move || {
                let ballast = disturb_heap();
                act(make(), limit, &two);
                drop(ballast);
            }),
        ];
        let diagnosis = compare::<P>(&first, &second);
        // Whoever still runs stops when nobody listens.
        drop((first, second));
        for run in runs {
            if let Err(panic) = run.join() {
                std::panic::resume_unwind(panic);
            }
        }
        diagnosis
    })
}

/// Leaves a heap full of holes of odd sizes, so that addresses and their order differ from those of the other run.
fn disturb_heap() -> Vec<Vec<u8>> {
    let mut kept: Vec<Vec<u8>> = (1..2_000_usize).map(|n| vec![0; n * 37 % 4_099 + 1]).collect();
    let mut index = 0;
    kept.retain(|_| {
        index += 1;
        index % 3 == 0
    });
    kept
}

fn act<P: Patient>(mut patient: P, limit: Instant, to: &SyncSender<Stretch<P>>) {
    patient.watch();
    let mut until = Instant::ZERO;
    while until < limit {
        until = (until + STRETCH).min(limit);
        let Some(happened) = patient.advance(until) else { return };
        if to.send((happened, patient.fingerprint())).is_err() {
            return;
        }
    }
}

fn compare<P: Patient>(first: &Receiver<Stretch<P>>, second: &Receiver<Stretch<P>>) -> Diagnosis<P::Message, P::Timer> {
    let (mut compared, mut fingerprint) = (0, 0);
    loop {
        let (one, two) = match (first.recv(), second.recv()) {
            (Err(_), Err(_)) => return Diagnosis::Deterministic { compared, fingerprint },
            (one, two) => (one.unwrap_or_default(), two.unwrap_or_default()),
        };
        let differs = one.0.iter().map(|n| n.digest).ne(two.0.iter().map(|n| n.digest));
        if differs || one.1 != two.1 {
            return Diagnosis::Parted(Box::new(difference(compared, &one.0, &two.0)));
        }
        compared += one.0.len() as u64;
        fingerprint = one.1;
    }
}

fn difference<M: Clone, T: Clone>(before: u64, one: &[Noted<M, T>], two: &[Noted<M, T>]) -> Difference<M, T> {
    let same = one.iter().zip(two).take_while(|(a, b)| a.digest == b.digest).count();
    let (first, second) = (one.get(same).cloned(), two.get(same).cloned());
    let is_effect = |noted: &Option<Noted<M, T>>| noted.as_ref().is_some_and(|n| matches!(n.what, What::Effect(_)));
    let asked = is_effect(&first) || is_effect(&second);
    let handling = asked.then(|| one[..same].iter().rposition(|n| matches!(n.what, What::Input(_)))).flatten();
    let reordered = handling.is_some_and(|from| effects_of(one, from) == effects_of(two, from));
    Difference { agreed: before + same as u64, first, second, handling: handling.map(|at| one[at].clone()), reordered }
}

/// The effects of the input at `from`, without their order.
fn effects_of<M, T>(noted: &[Noted<M, T>], from: usize) -> Vec<u64> {
    let effects = noted[from + 1..].iter().take_while(|n| matches!(n.what, What::Effect(_)));
    let mut digests: Vec<_> = effects.map(|n| n.digest).collect();
    digests.sort_unstable();
    digests
}

/// The difference in words. `name` says what a process is called.
pub fn text<M: Debug, T: Debug>(
    difference: &Difference<M, T>,
    start: Instant,
    name: impl Fn(ProcessId) -> String,
) -> String {
    let moment = |at| crate::report::board::moment(at, start);
    let say = |noted: &Option<Noted<M, T>>| match noted {
        Some(noted) => format!("{}  {}", moment(noted.at), super::words::noted(noted, &name(noted.process))),
        None => "nothing more happens in this second".to_owned(),
    };
    let who = difference.process().map_or_else(|| "nobody".to_owned(), &name);
    let at = difference.at().map_or_else(|| "the end of a second".to_owned(), moment);
    let mut lines = vec![
        format!("NOT DETERMINISTIC: two runs part at {at}, in {who} ({} things agree before)", difference.agreed),
        format!("  one run    {}", say(&difference.first)),
        format!("  the other  {}", say(&difference.second)),
    ];
    if difference.handling.is_some() {
        lines.push(format!("  handling   {}", say(&difference.handling)));
    }
    for (place, suspect) in difference.suspects().iter().enumerate() {
        lines.push(format!("  {}  {suspect}", if place == 0 { "suspect  " } else { "         " }));
    }
    lines.join("\n") + "\n"
}
