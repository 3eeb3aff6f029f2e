//! A timer that is armed for the earliest of all moments asked for.

use super::ClientTimer;
use crate::id::TimerId;
use crate::kafka::Timer as KafkaTimer;
use crate::time::Instant;
use crate::world::{Ctx, Timer};

/// One timer of one kind. The owner calls [`Alarm::fired`] first when it fires, looks at what is due, and asks again.
#[derive(Clone, Debug, Hash)]
pub(super) struct Alarm {
    timer: ClientTimer,
    armed: Option<(TimerId, Instant)>,
}

impl Alarm {
    pub(super) const fn new(timer: ClientTimer) -> Self {
        Self { timer, armed: None }
    }

    /// Fires at `when` or earlier.
    pub(super) fn at(&mut self, ctx: &mut Ctx<'_>, when: Instant) {
        if let Some((id, armed)) = self.armed {
            if armed <= when {
                return;
            }
            ctx.cancel(id);
        }
        let id = ctx.set_timer(when - ctx.now, Timer::Kafka(KafkaTimer::Client(self.timer)));
        self.armed = Some((id, when));
    }

    /// It fired.
    pub(super) const fn fired(&mut self) {
        self.armed = None;
    }

    /// It is not to fire.
    pub(super) fn cancel(&mut self, ctx: &mut Ctx<'_>) {
        if let Some((id, _)) = self.armed.take() {
            ctx.cancel(id);
        }
    }
}
