//! The simulator: the engine, the virtual network, disks and clocks; runs, reports and the command line.
//!
//! Read [`kernel`] first: events in total order, processes, effects. Then [`net`], what happens to a message on its way;
//! [`run`], one run from the first event to the verdict; and [`cli`].
//!
//! Absent by design: protocol logic. What a broker or a ZooKeeper server does stands in `models`.

pub mod cli;
pub mod clock;
mod deploy;
pub mod disk;
mod expectations;
pub mod fidelity;
pub mod fuzz;
pub mod guard;
mod inject;
pub mod interval;
pub mod judge;
pub mod kernel;
mod losses;
mod monitor;
pub mod net;
pub mod report;
pub mod run;
pub mod travel;

pub use expectations::Met;

/// Version and profile of this build, for replay files: another build may run a seed differently.
pub fn build_identity() -> String {
    let profile = if cfg!(debug_assertions) { "with assertions" } else { "without assertions" };
    format!("faultline {} ({profile})", env!("CARGO_PKG_VERSION"))
}
