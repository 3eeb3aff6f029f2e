//! `schedule:` and `rollback:`. [`entry`] reads one fault, [`kinds`] what is particular to its kind, [`targets`] everything
//! that names processes and hosts.

mod entry;
mod kinds;
mod targets;

use models::time::Span;

use self::entry::Entries;
use super::fields::Item;
use super::node::Value;
use crate::chaos::{ChaosKind, ChaosProfile, Weights};
use crate::deployment::Deployment;
use crate::scenario::{Rollback, Scenario};
use crate::schedule::Planned;
use crate::units;

/// Most faults of a schedule.
const MAX_FAULTS: u32 = 10_000;

/// What selectors can name.
pub(super) struct Targets<'a> {
    scenario: &'a Scenario,
    deployment: Deployment,
}

impl<'a> Targets<'a> {
    pub(super) fn new(scenario: &'a Scenario) -> Self {
        Self { scenario, deployment: scenario.deployment() }
    }

    pub(super) fn schedule(&self, item: &Item<'_>) -> (Vec<Planned>, Option<ChaosProfile>) {
        let mut fields = item.fields();
        let list = fields.optional("faults");
        let mut entries = Entries::default();
        for fault in list.iter().flat_map(Item::list) {
            self.read_entry(&fault, &mut entries);
        }
        let faults = entries.planned;
        let chaos = fields.optional("chaos").map(|chaos| self.chaos(&chaos));
        if faults.len() > MAX_FAULTS as usize {
            item.error(format!("more than {MAX_FAULTS} faults"));
        }
        fields.finish();
        (faults, chaos)
    }

    fn chaos(&self, item: &Item<'_>) -> ChaosProfile {
        let default = ChaosProfile::default();
        if matches!(&item.node.value, Value::Scalar(text) if text == "default") {
            self.check_weights(item, &default);
            return default;
        }
        let mut fields = item.fields();
        let spans =
            |item: Item<'_>| item.range(units::SPAN, |text| units::parse_span(text).filter(|span| *span > Span::ZERO));
        let profile = ChaosProfile {
            faults: fields
                .optional("faults")
                .and_then(|item| {
                    item.range(&format!("numbers from 0 to {MAX_FAULTS}"), |text| {
                        text.parse().ok().filter(|n| *n <= MAX_FAULTS)
                    })
                })
                .unwrap_or(default.faults),
            lengths: fields.optional("lengths").and_then(spans).unwrap_or(default.lengths),
            loss: fields
                .optional("loss")
                .and_then(|item| item.range(units::SHARE, units::parse_share))
                .unwrap_or(default.loss),
            delay: fields.optional("delay").and_then(spans).unwrap_or(default.delay),
            disk_latency: fields.optional("disk_latency").and_then(spans).unwrap_or(default.disk_latency),
            stretch: fields.optional("stretch").and_then(spans),
            victims: fields.optional("victims").and_then(|item| {
                item.range(&format!("numbers from 1 to {MAX_FAULTS}"), |text| {
                    text.parse().ok().filter(|n| (1..=MAX_FAULTS).contains(n))
                })
            }),
            weights: fields.optional("weights").map_or(default.weights, |item| read_weights(&item)),
        };
        fields.finish();
        self.check_weights(item, &profile);
        profile
    }

    fn check_weights(&self, item: &Item<'_>, profile: &ChaosProfile) {
        if profile.weights.is_empty() {
            item.error("all weights are 0; at least one kind must be possible");
        }
        let two_sites = self.scenario.topology.sites.len() > 1;
        self.check_kinds(item, profile, |kind| two_sites || !kind.needs_wan(), "two sites");
        let has_kafka = self.scenario.cluster.has_kafka();
        self.check_kinds(item, profile, |kind| has_kafka || !kind.needs_kafka(), "brokers");
    }

    fn check_kinds(
        &self,
        item: &Item<'_>,
        profile: &ChaosProfile,
        is_possible: impl Fn(ChaosKind) -> bool,
        needed: &str,
    ) {
        let kinds = profile.weights.iter().map(|(kind, _)| kind);
        let impossible: Vec<&str> = kinds.filter(|kind| !is_possible(*kind)).map(ChaosKind::word).collect();
        if !impossible.is_empty() {
            item.error(format!("{} need {needed}; set their weights to 0", impossible.join(", ")));
        }
    }

    pub(super) fn rollback(&self, item: &Item<'_>) -> Rollback {
        let mut fields = item.fields();
        let restart = fields.optional("restart");
        let restart = restart.iter().flat_map(Item::list).flat_map(|process| self.processes(&process)).collect();
        fields.finish();
        Rollback { restart }
    }
}

/// Kinds that are not named have weight 0.
fn read_weights(item: &Item<'_>) -> Weights {
    let mut fields = item.fields();
    let mut weight = |kind: &ChaosKind| {
        let weight = fields.optional(kind.word()).and_then(|weight| weight.integer(0..=1_000_000));
        (*kind, weight.unwrap_or(0))
    };
    let weights = ChaosKind::ALL.iter().map(&mut weight).collect();
    fields.finish();
    weights
}
