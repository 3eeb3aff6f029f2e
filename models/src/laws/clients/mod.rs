//! Laws on what clients are told, beyond the value at an offset.

pub(super) mod offset_regress;
pub(super) mod poll_order;
pub(super) mod send_order;
