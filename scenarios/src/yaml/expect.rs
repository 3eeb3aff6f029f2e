//! `expect:`.

use models::kafka::metrics::Metric;
use models::laws::Law;

use super::fields::{Fields, Item, unknown};
use crate::expect::{Bound, Expect, Gauge, Total, Unit};
use crate::topology::Topology;
use crate::units;

pub(super) fn read(item: &Item<'_>, topology: &Topology) -> Expect {
    let mut fields = item.fields();
    let mut expect = Expect {
        permitted_losses: fields.optional("permitted_losses").and_then(|losses| losses.integer(0..=u64::MAX)),
        known_breaches: fields.optional("known_breaches").map(|item| laws(&item)).unwrap_or_default(),
        steady_state: gauges(&mut fields, "steady_state", topology),
        throughout: gauges(&mut fields, "throughout", topology),
        at_end: gauges(&mut fields, "at_end", topology),
        totals: Vec::new(),
    };
    for (word, total) in Total::WORDS {
        let bound = fields.optional(word).and_then(|item| read_bound(&item, total.unit()));
        expect.totals.extend(bound.map(|bound| (*total, bound)));
    }
    fields.finish();
    expect
}

/// Each law once.
fn laws(item: &Item<'_>) -> Vec<Law> {
    let words: Vec<(&str, Law)> = Law::ALL.iter().map(|law| (law.name(), *law)).collect();
    let mut laws: Vec<Law> = Vec::new();
    for item in item.list() {
        match item.choice(&words) {
            Some(law) if laws.contains(&law) => item.error(format!("{law} is named twice")),
            law => laws.extend(law),
        }
    }
    laws
}

fn gauges(fields: &mut Fields<'_>, name: &'static str, topology: &Topology) -> Vec<(Gauge, Bound)> {
    let Some(item) = fields.optional(name) else { return Vec::new() };
    let mut fields = item.fields();
    let mut read = |word, gauge: Gauge| fields.optional(word).and_then(|item| read_bound(&item, gauge.unit()));
    let mut bounds: Vec<_> =
        Gauge::WORDS.iter().filter_map(|(word, gauge)| Some((*gauge, read(word, *gauge)?))).collect();
    if let Some(item) = fields.optional("controllers_seen_from") {
        let sites: Vec<_> =
            topology.site_ids().map(|id| (topology.site_name(id), Gauge::ControllersSeenFrom(id))).collect();
        read_each(&item, "sites", "site", &sites, &mut bounds);
    }
    if let Some(item) = fields.optional("metrics") {
        let metrics: Vec<_> = Metric::WORDS.iter().map(|(word, metric)| (*word, Gauge::Metric(*metric))).collect();
        read_each(&item, "metrics", "metric", &metrics, &mut bounds);
    }
    fields.finish();
    bounds
}

/// A map from some words to bounds.
fn read_each(item: &Item<'_>, of: &str, what: &str, words: &[(&str, Gauge)], into: &mut Vec<(Gauge, Bound)>) {
    for (key, item) in item.entries(of) {
        match words.iter().find(|(word, _)| *word == key.name) {
            Some((_, gauge)) => into.extend(read_bound(&item, gauge.unit()).map(|bound| (*gauge, bound))),
            None => item.error(unknown(what, &key.name, &words.iter().map(|(word, _)| *word).collect::<Vec<_>>())),
        }
    }
}

/// `3`, `<= 3`, `>= 3`, `1..3`.
fn read_bound(item: &Item<'_>, unit: Unit) -> Option<Bound> {
    let values = match unit {
        Unit::Count => "whole numbers",
        Unit::Span => "lengths of time with units",
        Unit::Share => "shares with the sign %",
    };
    let value = |text: &str| match unit {
        Unit::Count => text.trim().parse().ok(),
        Unit::Span => units::parse_span(text.trim()).map(|span| span.as_ns()),
        Unit::Share => units::parse_share(text.trim()).map(|share| share.ppm().into()),
    };
    item.parsed(&format!("a bound `X`, `<= X`, `>= X` or `X..Y` with {values}"), |text| {
        if let Some(most) = text.strip_prefix("<=") {
            Some(Bound { min: 0, max: value(most)? })
        } else if let Some(least) = text.strip_prefix(">=") {
            Some(Bound { min: value(least)?, max: u64::MAX })
        } else if let Some((low, high)) = text.split_once("..") {
            Some(Bound { min: value(low)?, max: value(high)? }).filter(|bound| bound.min <= bound.max)
        } else {
            value(text).map(Bound::exactly)
        }
    })
}
