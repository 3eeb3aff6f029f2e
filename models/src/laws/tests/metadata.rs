//! Histories of the controller, the store, and what brokers make of them.

use super::{Law, Planted};
use crate::observation::Observation;

pub(super) const STORIES: &[Planted] = &[(
    // Restarted and not told of its registration, it takes what was meant for its earlier life.
    Law::BrokerEpoch,
    |h| {
        h.down(2, false);
        h.broker(2, Observation::Up);
        h.request((1, 1), (0, -1), true);
    },
    |h| {
        h.down(2, false);
        h.broker(2, Observation::Up);
        h.request((1, 1), (1, -1), true);
        h.request((1, 1), (0, -1), false);
        h.register(2);
        h.request((1, 1), (0, 0), true);
    },
)];
