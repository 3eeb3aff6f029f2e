//! What several commands take: changes to a scenario, and ranges of seeds.

use clap::Args;

/// Changes to a scenario from the command line.
#[derive(Clone, Debug, Default, Args)]
pub struct Changes {
    /// Length of the fault phase, e.g. `120s`, `5m`.
    #[arg(long, value_name = "SPAN")]
    pub duration: Option<String>,
    /// Number of topics.
    #[arg(long)]
    pub topics: Option<u16>,
    /// Partitions of each topic.
    #[arg(long)]
    pub partitions: Option<u16>,
    /// Records per second in all.
    #[arg(long)]
    pub rate: Option<u32>,
    /// A law that is known to be broken, by name: go on past that and look for others. May be given several times.
    #[arg(long = "known-breach", value_name = "LAW")]
    pub known_breaches: Vec<String>,
}

impl Changes {
    /// Whether anything is changed.
    pub fn is_any(&self) -> bool {
        let Self { duration, topics, partitions, rate, known_breaches } = self;
        duration.is_some() || topics.is_some() || partitions.is_some() || rate.is_some() || !known_breaches.is_empty()
    }
}

/// Reads a range of seeds, `A..B`.
pub(super) fn seeds(text: &str) -> Result<(u64, u64), String> {
    let expected = || "expected A..B with A < B, such as 0..200".to_owned();
    let (from, to) = text.split_once("..").ok_or_else(expected)?;
    let (from, to) = (from.parse().map_err(|_| expected())?, to.parse().map_err(|_| expected())?);
    if from < to { Ok((from, to)) } else { Err(expected()) }
}
