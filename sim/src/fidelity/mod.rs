//! Agreement with real ZooKeeper: measured runs of real ensembles, the same rigs simulated, and a verdict on each metric.
//!
//! [`lab`] reads what was measured. [`rig`] builds each run's rig as an ordinary scenario, from the settings that the run
//! recorded and from nothing else; [`simulate`] runs it. Both sides are told as a [`story::Story`], of which [`metrics`] takes
//! the same measures, and [`compare`] says whether they agree, [`chance`] whether what does not is more than so few
//! measured runs explain; [`report`] prints that.
//!
//! Absent by design: any rule that asks which case it is.

pub mod chance;
pub mod compare;
pub mod exact;
pub mod lab;
pub mod metrics;
pub mod report;
pub mod rig;
pub mod simulate;
pub mod story;

/// What was measured of ZooKeeper 3.8.0, condensed to what the metrics need; the format is that of the raw measurements.
pub const ZOOKEEPER_3_8_0: &str = include_str!("../../../tests/data/zookeeper-3.8.0.jsonl");
