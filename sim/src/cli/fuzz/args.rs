//! Flags of `sim fuzz`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::super::changes::{Changes, seeds};
use crate::fuzz::spec::Strategy;

/// `sim fuzz`.
#[derive(Debug, Args)]
pub struct FuzzArgs {
    /// The name of a built-in scenario, or a scenario file, that worlds are drawn from. Default: `stretch-cluster` with 120 s of
    /// faults, 1 topic of 10 partitions, 100 records/s.
    #[arg(long, value_name = "NAME|FILE")]
    pub scenario: Option<String>,
    /// Seeds `A..B`, B excluded. Default: 0..100, or from 0 on with `--for`.
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    pub seeds: Option<(u64, u64)>,
    /// Stop after this time, e.g. `10m`. Cases under way are finished.
    #[arg(long = "for", value_name = "SPAN")]
    pub time: Option<String>,
    /// Which faults: wan, disk, clock, flap, everything.
    #[arg(long, default_value = "everything", value_name = "WORD")]
    pub profile: String,
    /// How schedules are chosen.
    #[arg(long, value_enum, default_value_t = StrategyArg::Random)]
    pub strategy: StrategyArg,
    /// Keep the scenario's own cluster, settings and clients; without it each world draws them too.
    #[arg(long)]
    pub keep_configuration: bool,
    /// Switch a known defect on; may be given several times. `sim defects list` names them.
    #[arg(long, value_name = "WORD")]
    pub defect: Vec<String>,
    /// Runs at a time; 0 is one per core. Results do not depend on it.
    #[arg(long, default_value_t = 0)]
    pub jobs: usize,
    /// Run part I of N of the worlds.
    #[arg(long, value_name = "I/N", default_value = "1/1", value_parser = shard)]
    pub shard: (u64, u64),
    /// Keep results and replay files here, and continue where an earlier campaign with the same options ended.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write a JUnit report.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write a summary as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Print annotations for a CI system. Default: those of GitHub if `GITHUB_ACTIONS` is `true`.
    #[arg(long, value_enum, value_name = "WHERE")]
    pub annotate: Option<Annotate>,
    /// Run nothing: print the first seed's case as a scenario file with an explicit schedule.
    #[arg(long)]
    pub show: bool,
    /// Changes to the scenario.
    #[command(flatten)]
    pub changes: Changes,
}

/// `--strategy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StrategyArg {
    /// Each schedule is drawn from its seed.
    Random,
    /// Schedules that reached something new are kept and changed.
    Guided,
}

impl From<StrategyArg> for Strategy {
    fn from(strategy: StrategyArg) -> Self {
        match strategy {
            StrategyArg::Random => Self::Random,
            StrategyArg::Guided => Self::Guided,
        }
    }
}

/// `--annotate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Annotate {
    /// Workflow commands of GitHub Actions.
    Github,
    /// None.
    Never,
}

/// `1/4`: part 1 of 4.
fn shard(text: &str) -> Result<(u64, u64), String> {
    let expected = || "expected I/N with 1 <= I <= N, such as 1/4".to_owned();
    let (part, of) = text.split_once('/').ok_or_else(expected)?;
    let (part, of) = (part.parse().map_err(|_| expected())?, of.parse().map_err(|_| expected())?);
    if (1..=of).contains(&part) { Ok((part, of)) } else { Err(expected()) }
}
