//! Criterion benches of the workspace; the peers they are measured against live here too.

pub mod w1;
