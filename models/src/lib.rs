//! What the processes of a Kafka deployment do, what can be observed of them, and which laws observations must obey.
//!
//! Read [`process`] first: a process is a value with one entry point. Then [`zk`] and [`kafka`], the two systems, each
//! bottom up; [`observation`], what leaves a process for people and checkers; and [`laws`], which read nothing else.
//!
//! Absent by design: clocks, threads, input and output, global state, unordered maps.

pub mod defect;
pub mod fingerprint;
pub mod id;
pub mod kafka;
pub mod laws;
pub mod node;
pub mod observation;
pub mod options;
pub mod process;
pub mod random;
pub mod shared_log;
pub mod shared_vec;
pub(crate) mod sorted_map;
pub(crate) mod sorted_set;
#[cfg(test)]
pub(crate) mod testing;
pub mod time;
pub mod world;
pub mod zk;
