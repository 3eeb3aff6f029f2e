//! Requests that wait: produce requests for replicas (`DelayedProduce`), and deadlines with one timer for all.

use super::ReplicaTimer;
use super::coordinator::{CoordinatorEvent, appended};
use crate::id::{ConnId, TimerId};
use crate::kafka::Timer as KafkaTimer;
use crate::kafka::protocol::{ErrorCode, Frame, Origin, ProduceResult, Response};
use crate::sorted_map::SortedMap;
use crate::sorted_set::SortedSet;
use crate::time::Instant;
use crate::world::{Ctx, Message, Timer};

/// Deadlines of waiting requests. One timer is armed for the earliest; it is not moved when that one completes, so that
/// requests which complete in time cost no timer.
#[derive(Clone, Debug, Hash)]
pub(super) struct Deadlines {
    timer: ReplicaTimer,
    queue: SortedSet<(Instant, u64)>,
    armed: Option<(Instant, TimerId)>,
}

impl Deadlines {
    /// No deadline; `timer` is to be routed to [`Deadlines::expired`].
    pub(super) fn new(timer: ReplicaTimer) -> Self {
        Self { timer, queue: SortedSet::default(), armed: None }
    }

    /// Adds one.
    pub(super) fn insert(&mut self, ctx: &mut Ctx<'_>, at: Instant, key: u64) {
        self.queue.insert((at, key));
        self.arm(ctx);
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, at: Instant, key: u64) {
        self.queue.remove(&(at, key));
    }

    /// The timer fired: takes out and returns the keys whose time has come, in order.
    pub(super) fn expired(&mut self, ctx: &mut Ctx<'_>) -> Vec<u64> {
        // Of a clock that was slowed down meanwhile it is too early still: the timer is over, the deadline is not.
        if let Some((armed, timer)) = self.armed.take()
            && armed > ctx.now
        {
            ctx.cancel(timer);
        }
        let mut keys = Vec::new();
        while let Some((at, key)) = self.queue.first()
            && at <= ctx.now
        {
            self.queue.remove(&(at, key));
            keys.push(key);
        }
        self.arm(ctx);
        keys
    }

    fn arm(&mut self, ctx: &mut Ctx<'_>) {
        let Some((first, _)) = self.queue.first() else { return };
        if self.armed.is_none_or(|(armed, _)| first < armed) {
            let timer = ctx.set_timer(first - ctx.now, Timer::Kafka(KafkaTimer::Replica(self.timer)));
            self.armed = Some((first, timer));
        }
    }
}

/// One partition of a waiting produce request.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct ProduceSlot {
    /// What is answered; `RequestTimedOut` while it waits.
    pub(super) result: ProduceResult,
    /// How many records.
    pub(super) records: u32,
    /// Whether it waits for the high watermark.
    pub(super) waiting: bool,
}

/// Who wants the answer to an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Asker {
    Nobody,
    Client(Origin),
    /// The broker's own group coordinator, with its number for it.
    Coordinator(u64),
}

#[derive(Clone, Debug, Hash)]
struct DelayedProduce {
    asker: Asker,
    deadline: Instant,
    slots: Vec<ProduceSlot>,
    /// Slots that wait for replicas, plus flushes that hold the answer.
    pending: u32,
}

/// Produce requests that wait. Partitions keep the watch lists.
#[derive(Clone, Debug, Hash)]
pub(super) struct ProducePurgatory {
    delayed: SortedMap<u64, DelayedProduce>,
    deadlines: Deadlines,
    next: u64,
    /// Answers to the broker's own coordinator.
    pub(super) appended: Vec<CoordinatorEvent>,
}

impl ProducePurgatory {
    /// Nothing waits.
    pub(super) fn new() -> Self {
        Self {
            delayed: SortedMap::default(),
            deadlines: Deadlines::new(ReplicaTimer::ProduceExpiry),
            next: 0,
            appended: Vec::new(),
        }
    }

    /// The number that the next request to wait will have.
    pub(super) fn next_id(&self) -> u64 {
        self.next
    }

    /// Lets the request wait until `flushes` flushes and all waiting slots are done, at most until `deadline`.
    pub(super) fn wait(
        &mut self,
        ctx: &mut Ctx<'_>,
        asker: Asker,
        deadline: Instant,
        slots: Vec<ProduceSlot>,
        flushes: u32,
    ) {
        let id = self.next;
        self.next += 1;
        let pending = slots.iter().filter(|slot| slot.waiting).count() as u32 + flushes;
        self.delayed.insert(id, DelayedProduce { asker, deadline, slots, pending });
        self.deadlines.insert(ctx, deadline, id);
    }

    /// The slot, if it still waits.
    pub(super) fn slot(&self, id: u64, slot: u32) -> Option<&ProduceSlot> {
        self.delayed.get(id).map(|delayed| &delayed.slots[slot as usize]).filter(|slot| slot.waiting)
    }

    /// A slot's waiting is over.
    pub(super) fn resolve(&mut self, ctx: &mut Ctx<'_>, id: u64, slot: u32, error: ErrorCode) {
        let Some(delayed) = self.delayed.get_mut(id) else { return };
        let slot = &mut delayed.slots[slot as usize];
        if slot.waiting {
            slot.waiting = false;
            slot.result.error = error;
            self.done(ctx, id);
        }
    }

    /// Something that the request waited for is done: a slot, or a flush.
    pub(super) fn done(&mut self, ctx: &mut Ctx<'_>, id: u64) {
        let Some(delayed) = self.delayed.get_mut(id) else { return };
        delayed.pending -= 1;
        if delayed.pending == 0 {
            self.answer(ctx, id);
        }
    }

    /// The timer fired: requests whose time is over are answered as they are (`DelayedProduce.onExpiration`).
    pub(super) fn on_timer(&mut self, ctx: &mut Ctx<'_>) {
        for id in self.deadlines.expired(ctx) {
            self.answer(ctx, id);
        }
    }

    /// Forgets the requests of a connection.
    pub(super) fn drop_conn(&mut self, conn: ConnId) {
        let deadlines = &mut self.deadlines;
        self.delayed.retain(|id, delayed| {
            let keep = !matches!(delayed.asker, Asker::Client(origin) if origin.conn == conn);
            if !keep {
                deadlines.remove(delayed.deadline, id);
            }
            keep
        });
    }

    fn answer(&mut self, ctx: &mut Ctx<'_>, id: u64) {
        let Some(delayed) = self.delayed.remove(id) else { return };
        self.deadlines.remove(delayed.deadline, id);
        self.tell(ctx, delayed.asker, &delayed.slots);
    }

    /// Answers.
    pub(super) fn tell(&mut self, ctx: &mut Ctx<'_>, asker: Asker, slots: &[ProduceSlot]) {
        match asker {
            Asker::Nobody => {}
            Asker::Client(origin) => {
                respond(ctx, origin, Response::Produce(slots.iter().map(|slot| slot.result).collect()));
            }
            Asker::Coordinator(append) => {
                self.appended.extend(slots.iter().map(|slot| appended(append, slot.result)));
            }
        }
    }
}

/// Answers a request.
pub(super) fn respond(ctx: &mut Ctx<'_>, origin: Origin, response: Response) {
    ctx.send(origin.conn, Message::Kafka(Frame::response(origin.correlation, response)));
}
