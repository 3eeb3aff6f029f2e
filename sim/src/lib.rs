//! The simulator: the deterministic engine with its virtual network, disks and clocks.
//!
//! Read [`kernel`] first: it owns time and the queue. Then [`net`], what happens to packets and what TCP makes of it, and
//! [`disk`] and [`clock`], the rest of a host.

pub mod clock;
pub mod disk;
pub mod kernel;
pub mod net;
