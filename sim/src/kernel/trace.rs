//! What happens in a simulation, one by one: for stepping through a run, and for comparing two runs that should be the same.

use std::hash::{Hash, Hasher};

use models::fingerprint::Fingerprint;
use models::id::ProcessId;
use models::observation::Observation;
use models::process::{Effect, Input, Payload, Process};
use models::time::Instant;

use super::Simulation;

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Noted<M, T> {
    /// When.
    pub at: Instant,
    /// To whom.
    pub process: ProcessId,
    /// In which life.
    pub incarnation: u32,
    /// What.
    pub what: What<M, T>,
    /// Of everything above.
    pub digest: u64,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum What<M, T> {
    /// The process was given an input.
    Input(Input<M, T>),
    /// The process asked for something, while it handled the input before.
    Effect(Effect<M, T>),
    /// The kernel or a fault made something known.
    Observed(Observation),
}

impl<M, T> What<M, T> {
    /// The kind, in one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Input(input) => match input {
                Input::Start => "start",
                Input::Terminate => "terminate",
                Input::Accepted { .. } => "accepted",
                Input::Opened { .. } => "opened",
                Input::Message { .. } => "message",
                Input::Closed { .. } => "closed",
                Input::Datagram { .. } => "datagram",
                Input::Timer { .. } => "timer",
                Input::Disk { .. } => "disk",
            },
            Self::Effect(_) => "effect",
            Self::Observed(_) => "observed",
        }
    }
}

impl<P: Process> Simulation<P> {
    /// Keeps everything that happens from now on, until it is taken.
    pub fn start_trace(&mut self) {
        self.trace = Some(Vec::new());
    }

    /// What has happened since tracing began or since this was last asked; nothing if there is no trace.
    pub fn take_trace(&mut self) -> Vec<Noted<P::Message, P::Timer>> {
        self.trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Ends the trace and returns what is left of it.
    pub fn end_trace(&mut self) -> Vec<Noted<P::Message, P::Timer>> {
        self.trace.take().unwrap_or_default()
    }

    pub(super) fn trace(&mut self, process: ProcessId, what: impl FnOnce() -> What<P::Message, P::Timer>) {
        if let Some(trace) = &mut self.trace {
            let incarnation = self.slots.get(usize::from(process.0)).map_or(0, |slot| slot.incarnation);
            let (at, what) = (self.now, what());
            let digest = digest(at, process, incarnation, &what);
            trace.push(Noted { at, process, incarnation, what, digest });
        }
    }

    /// The effects of the input that was traced last. What is observed comes again when it is carried out.
    pub(super) fn trace_effects(&mut self, process: ProcessId, effects: &[Effect<P::Message, P::Timer>]) {
        if self.trace.is_some() {
            for effect in effects.iter().filter(|effect| !matches!(effect, Effect::Observe(_))) {
                self.trace(process, || What::Effect(effect.clone()));
            }
        }
    }
}

fn digest<M: Payload, T: Hash>(at: Instant, process: ProcessId, incarnation: u32, what: &What<M, T>) -> u64 {
    let mut into = Fingerprint::default();
    (at, process, incarnation).hash(&mut into);
    match what {
        What::Input(input) => fold_input(input, &mut into),
        What::Effect(effect) => fold_effect(effect, &mut into),
        What::Observed(observation) => observation.hash(&mut into),
    }
    into.value()
}

fn fold_input<M: Payload, T: Hash>(input: &Input<M, T>, into: &mut Fingerprint) {
    std::mem::discriminant(input).hash(into);
    match input {
        Input::Start | Input::Terminate => {}
        Input::Accepted { conn, port, peer } => (conn, port, peer).hash(into),
        Input::Opened { conn } => conn.hash(into),
        Input::Message { conn, message } => {
            conn.hash(into);
            message.fold(into);
        }
        Input::Closed { conn, reason } => (conn, reason).hash(into),
        Input::Datagram { from, message } => {
            from.hash(into);
            message.fold(into);
        }
        Input::Timer { id, timer } => (id, timer).hash(into),
        Input::Disk { token, result } => (token, result).hash(into),
    }
}

fn fold_effect<M: Payload, T: Hash>(effect: &Effect<M, T>, into: &mut Fingerprint) {
    std::mem::discriminant(effect).hash(into);
    match effect {
        Effect::Listen(port) | Effect::Unlisten(port) => port.hash(into),
        Effect::Connect { conn, to } => (conn, to).hash(into),
        Effect::Send { conn, message } => {
            conn.hash(into);
            message.fold(into);
        }
        Effect::Close(conn) => conn.hash(into),
        Effect::SendDatagram { to, message } => {
            to.hash(into);
            message.fold(into);
        }
        Effect::SetTimer { id, after, timer } => (id, after, timer).hash(into),
        Effect::CancelTimer(id) => id.hash(into),
        Effect::Fsync(token) => token.hash(into),
        Effect::Read { token, bytes } => (token, bytes).hash(into),
        Effect::Observe(observation) => observation.hash(into),
        Effect::Exit { reason } => into.write(reason.as_bytes()),
    }
}
