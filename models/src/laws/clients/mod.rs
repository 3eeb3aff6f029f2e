//! Laws on what clients are told, beyond the value at an offset.

pub(super) mod aborted_read;
pub(super) mod ack_stable;
pub(super) mod consume_count;
pub(super) mod offset_regress;
pub(super) mod poll_order;
pub(super) mod realtime;
pub(super) mod send_order;
