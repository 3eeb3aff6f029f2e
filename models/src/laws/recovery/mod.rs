//! Laws on a cluster whose faults are over.

pub(super) mod calm;
pub(super) mod fully_replicated;
pub(super) mod no_offline;
pub(super) mod one_acting_leader;
pub(super) mod write_resolved;
