//! The command that runs one seed of a campaign again.

use scenarios::swarm::Configuration;

use super::super::changes::Changes;
use super::args::FuzzArgs;
use crate::fuzz::spec::{Spec, Strategy};

/// What has to be typed again.
#[derive(Debug)]
pub(super) struct Repeat {
    words: String,
    /// Of a guided search: a case follows from those before it, so that they have to be run as well.
    from: Option<u64>,
}

impl Repeat {
    /// Of these flags.
    pub(super) fn new(args: &FuzzArgs, spec: &Spec) -> Self {
        let mut words = String::from("cargo run -p sim -- fuzz");
        if let Some(scenario) = &args.scenario {
            words.push_str(&format!(" --scenario {scenario}"));
        }
        if args.profile != "everything" {
            words.push_str(&format!(" --profile {}", args.profile));
        }
        if spec.configuration == Configuration::Kept {
            words.push_str(" --keep-configuration");
        }
        if spec.strategy == Strategy::Guided {
            words.push_str(" --strategy guided");
        }
        for defect in &args.defect {
            words.push_str(&format!(" --defect {defect}"));
        }
        words.push_str(&changed(&args.changes));
        Self { words, from: (spec.strategy == Strategy::Guided).then_some(spec.from) }
    }

    /// The command for a case.
    pub(super) fn command(&self, seed: u64) -> String {
        format!("{} --seeds {}..{}", self.words, self.from.unwrap_or(seed), seed.saturating_add(1))
    }
}

/// The flags that changed the scenario.
fn changed(changes: &Changes) -> String {
    let flags = [
        ("duration", changes.duration.clone()),
        ("topics", changes.topics.map(|value| value.to_string())),
        ("partitions", changes.partitions.map(|value| value.to_string())),
        ("rate", changes.rate.map(|value| value.to_string())),
    ];
    flags.into_iter().filter_map(|(name, value)| Some(format!(" --{name} {}", value?))).collect()
}
