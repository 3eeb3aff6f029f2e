//! From what was typed to a run in which everything is decided.

use std::sync::Arc;

use models::laws::Law;
use models::time::Span;
use scenarios::schedule::Schedule;
use scenarios::{Scenario, Seeds};

use super::Failure;
use super::changes::Changes;

/// A run in which everything is decided.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// What is there.
    pub scenario: Arc<Scenario>,
    /// The seeds.
    pub seeds: Seeds,
    /// What happens.
    pub schedule: Schedule,
}

impl Plan {
    /// The plan of a scenario and its seeds.
    pub(crate) fn new(scenario: Scenario, seeds: Seeds) -> Self {
        let schedule = Schedule::draw(&scenario, seeds.faults);
        Self { scenario: Arc::new(scenario), seeds, schedule }
    }
}

/// Applies what the flags change.
///
/// # Errors
/// A value that cannot be had.
pub(super) fn change(scenario: &mut Scenario, changes: &Changes) -> Result<(), Failure> {
    if let Some(text) = &changes.duration {
        let span = scenarios::units::parse_span(text).ok_or_else(|| {
            Failure::Input(format!("--duration {text}: expected a number with a unit, such as 120s or 5m"))
        })?;
        if span == Span::ZERO {
            return Err(Failure::Input("--duration 0: a fault phase has some length, such as 120s".to_owned()));
        }
        scenario.phases.faults = span;
    }
    if !scenario.cluster.has_kafka()
        && (changes.topics.is_some() || changes.partitions.is_some() || changes.rate.is_some())
    {
        let what = "this scenario has no Kafka cluster";
        return Err(Failure::Input(format!("--topics, --partitions, --rate: {what}")));
    }
    let workload = &mut scenario.workload;
    let positive = |name: &str, value: u32| match value {
        0 => Err(Failure::Input(format!("--{name} 0: expected at least 1"))),
        value => Ok(value),
    };
    if let Some(topics) = changes.topics {
        positive("topics", topics.into())?;
        workload.topics = topics;
    }
    if let Some(partitions) = changes.partitions {
        positive("partitions", partitions.into())?;
        workload.partitions = partitions;
    }
    if let Some(rate) = changes.rate {
        workload.records_per_second = positive("rate", rate)?;
    }
    for word in &changes.known_breaches {
        let law = Law::named(word).ok_or_else(|| {
            let hint = scenarios::nearest::hint(word, Law::ALL.iter().map(|law| law.name()));
            Failure::Input(format!("--known-breach {word}: there is no such law{hint}; every run lists them all"))
        })?;
        let known = &mut scenario.expect.known_breaches;
        known.extend((!known.contains(&law)).then_some(law));
    }
    // What was changed has to fit the rest, exactly as if the file had said so.
    let text = scenario.to_yaml();
    *scenario = Scenario::parse("the changed scenario", &text).map_err(|errors| super::input::list(&errors))?;
    Ok(())
}
