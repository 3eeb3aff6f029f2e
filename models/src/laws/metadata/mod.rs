//! Laws on the controller's decisions, what the store holds of them, and what brokers make of them.

pub(super) mod broker_epoch;
pub(super) mod converges;
pub(super) mod isr_changes;
pub(super) mod reload;
pub(super) mod transitions;
