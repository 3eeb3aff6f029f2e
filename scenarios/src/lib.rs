//! What is there, and what happens to it: topology, cluster, workload, faults, expectations. Nothing here runs.
//!
//! Read [`scenario`] first: a [`Scenario`] is the argument of a run, beside the seed. [`deployment`] turns it into numbered
//! processes, so that engine, laws and report agree on ids and names; [`schedule`] expands explicit faults and the
//! [`chaos`] profile into what happens when. Scenarios come from YAML ([`Scenario::parse`]), from the embedded [`library`],
//! or from an operator's own files ([`import`]).
//!
//! Absent by design: anything that runs, and floating point.

pub mod chaos;
pub mod choice;
pub mod cluster;
pub mod deployment;
pub mod expect;
pub mod fault;
pub mod import;
pub mod library;
pub mod monitoring;
pub mod nearest;
pub mod netem;
pub mod reduce;
pub mod scenario;
pub mod schedule;
mod seeds;
pub mod swarm;
pub mod topology;
pub mod units;
pub mod wan_cut;
pub mod workload;
mod yaml;

pub use scenario::Scenario;
pub use seeds::Seeds;
pub use yaml::ScenarioError;
