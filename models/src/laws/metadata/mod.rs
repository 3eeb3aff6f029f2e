//! Laws on the controller's decisions, what the store holds of them, and what brokers make of them.

pub(super) mod broker_epoch;
pub(super) mod converges;
