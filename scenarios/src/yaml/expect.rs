//! `expect:`.

use super::fields::{Fields, Item};
use crate::expect::{Bound, Expect, Gauge, Total, Unit};
use crate::units;

pub(super) fn read(item: &Item<'_>) -> Expect {
    let mut fields = item.fields();
    let mut expect = Expect {
        permitted_losses: fields.optional("permitted_losses").and_then(|losses| losses.integer(0..=u64::MAX)),
        steady_state: gauges(&mut fields, "steady_state"),
        throughout: gauges(&mut fields, "throughout"),
        at_end: gauges(&mut fields, "at_end"),
        totals: Vec::new(),
    };
    for (word, total) in Total::WORDS {
        let bound = fields.optional(word).and_then(|item| read_bound(&item, total.unit()));
        expect.totals.extend(bound.map(|bound| (*total, bound)));
    }
    fields.finish();
    expect
}

fn gauges(fields: &mut Fields<'_>, name: &'static str) -> Vec<(Gauge, Bound)> {
    let Some(item) = fields.optional(name) else { return Vec::new() };
    let mut fields = item.fields();
    let mut read = |word, gauge: Gauge| fields.optional(word).and_then(|item| read_bound(&item, gauge.unit()));
    let bounds = Gauge::WORDS.iter().filter_map(|(word, gauge)| Some((*gauge, read(word, *gauge)?))).collect();
    fields.finish();
    bounds
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
