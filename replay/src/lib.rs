//! What happened: the record of a run, its file, and the check that a run repeats it.
//!
//! **Promised.** A record holds the whole argument of a run (scenario, seed, expanded schedule) and the run's fingerprint at
//! checkpoints. The same build repeats the run event by event, on every platform; [`player`] verifies each checkpoint and
//! names the first stretch of time in which a run differs.
//!
//! **Not promised.** Another build may order events differently: a change of a model is a change of the run. The record names
//! its build, so that a difference can be told from a defect.
//!
//! This crate never sees the engine. It asks for a [`subject::Subject`], something that can run a scenario.

pub mod file;
pub mod player;
pub mod record;
pub mod shrink;
pub mod subject;
