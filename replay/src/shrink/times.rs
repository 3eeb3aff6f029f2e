//! When faults begin and how long they last.

use models::time::{Instant, Span};
use scenarios::Scenario;

use super::Shrinker;
use super::trial::Spent;
use crate::record::BrokenLaw;
use crate::subject::Subject;

/// The shortest fault that is tried, and the finest round time.
const SHORTEST: Span = Span::from_ms(10);
/// Digits of the durations that are tried: close enough to be useful, and round.
const DIGITS: [u64; 8] = [10, 15, 20, 30, 40, 50, 60, 80];
/// Round times.
const GRIDS: [Span; 5] =
    [Span::from_secs(10), Span::from_secs(1), Span::from_ms(500), Span::from_ms(100), Span::from_ms(10)];
const SECOND: Span = Span::from_secs(1);

/// Without what would happen after the law breaks.
pub(super) fn forget_the_future(scenario: &Scenario, broken: &BrokenLaw) -> Vec<Scenario> {
    let start = Instant::ZERO + scenario.phases.warm_up;
    if broken.at <= start {
        return vec![Scenario { faults: Vec::new(), ..scenario.clone() }];
    }
    let end = up(broken.at - start, SECOND);
    let mut form = scenario.clone();
    form.faults.retain(|fault| fault.at < end);
    for fault in &mut form.faults {
        fault.duration = fault.duration.min(end - fault.at);
    }
    let mut shorter = form.clone();
    shorter.phases.faults = shorter.phases.faults.min(end);
    vec![shorter, form]
}

/// A shorter fault phase: up to the end of the last fault, or to the moment at which the law breaks.
pub(super) fn horizon(scenario: &Scenario, broken: &BrokenLaw) -> Vec<Scenario> {
    let last = scenario.faults.iter().map(|fault| fault.end()).max().unwrap_or(Span::ZERO);
    let start = Instant::ZERO + scenario.phases.warm_up;
    let breaks = if broken.at > start { broken.at - start } else { Span::ZERO };
    let now = scenario.phases.faults;
    let ends = [up(last, SECOND).max(SECOND), up(last, Span::from_secs(10)), up(breaks, SECOND).max(last)];
    let with = |faults| {
        let mut form = scenario.clone();
        form.phases.faults = faults;
        form
    };
    ends.into_iter().filter(|end| *end < now && *end > Span::ZERO).map(with).collect()
}

/// All faults earlier, or all from one on: up to where the one before begins or ends, or half way.
pub(super) fn earlier(scenario: &Scenario) -> Vec<Scenario> {
    let mut forms = Vec::new();
    let mut previous = [Span::ZERO; 2];
    for (index, fault) in scenario.faults.iter().enumerate() {
        let [begins, ends] = previous;
        let targets = [begins, begins + SECOND, ends, ends + SECOND, begins + (fault.at.saturating_sub(begins)) / 2];
        for target in targets {
            let shift = fault.at.saturating_sub(down(target, SHORTEST));
            if shift > Span::ZERO {
                let mut form = scenario.clone();
                form.faults[index..].iter_mut().for_each(|fault| fault.at = fault.at.saturating_sub(shift));
                forms.push(form);
            }
        }
        previous = [fault.at, fault.end()];
    }
    forms
}

/// Beginnings and durations in rounder numbers, the roundest first.
pub(super) fn rounder(scenario: &Scenario) -> Vec<Scenario> {
    let mut forms = Vec::new();
    for index in 0..scenario.faults.len() {
        let mut add = |at: Span, duration: Span| {
            let mut form = scenario.clone();
            (form.faults[index].at, form.faults[index].duration) = (at, duration);
            form.phases.faults = form.phases.faults.max(up(at + duration, SECOND));
            // In a file faults may stand in any order; in a small one they stand in that of their beginnings.
            form.faults.sort_by_key(|fault| fault.at);
            forms.push(form);
        };
        let fault = &scenario.faults[index];
        for at in round(fault.at) {
            add(at, fault.duration);
        }
        if !is_short_to_write(fault.duration) {
            for duration in round(fault.duration).into_iter().filter(|duration| *duration > Span::ZERO) {
                add(fault.at, duration);
            }
        }
    }
    forms
}

/// One or two digits.
fn is_short_to_write(span: Span) -> bool {
    let mut value = span.as_ns();
    while value > 0 && value.is_multiple_of(10) {
        value /= 10;
    }
    value < 100
}

/// The neighbours of a time on every grid that it is not on.
fn round(span: Span) -> Vec<Span> {
    let coarser = GRIDS.into_iter().take_while(|grid| !span.as_ns().is_multiple_of(grid.as_ns()));
    coarser.flat_map(|grid| [down(span, grid), up(span, grid)]).collect()
}

fn down(span: Span, grid: Span) -> Span {
    Span::from_ns(span.as_ns() / grid.as_ns() * grid.as_ns())
}

fn up(span: Span, grid: Span) -> Span {
    Span::from_ns(span.as_ns().div_ceil(grid.as_ns()) * grid.as_ns())
}

/// Round durations below `span`, ascending.
fn ladder(span: Span) -> Vec<Span> {
    let scales = std::iter::successors(Some(SHORTEST.as_ns() / 10), |scale| scale.checked_mul(10));
    let scales = scales.take_while(|scale| *scale * 10 < span.as_ns());
    let rungs = scales.flat_map(|scale| DIGITS.map(|digit| Span::from_ns(scale * digit)));
    rungs.filter(|rung| *rung < span).collect()
}

impl<S: Subject + Sync> Shrinker<'_, S> {
    /// Makes each fault as short as the law lets it be, by a search over round durations.
    pub(super) fn durations(&mut self) -> Result<(), Spent> {
        for index in 0..self.current().faults.len() {
            let mut rungs = ladder(self.current().faults[index].duration);
            while !rungs.is_empty() {
                // Two probes at a time, the shorter one first: they can be run side by side.
                let probes = [rungs.len() / 3, rungs.len() * 2 / 3];
                let candidates = probes.map(|probe| {
                    let mut form = self.current().clone();
                    let fault = &mut form.faults[index];
                    fault.duration = rungs[probe];
                    if let scenarios::fault::Fault::Stop { grace, .. } = &mut fault.fault {
                        *grace = (*grace).min(rungs[probe]);
                    }
                    form
                });
                match self.first("shorter faults", &candidates)? {
                    Some(0) => rungs.truncate(probes[0]),
                    Some(_) => rungs = rungs[probes[0] + 1..probes[1].max(probes[0] + 1)].to_vec(),
                    None => rungs.drain(..=probes[1]).for_each(drop),
                }
            }
        }
        Ok(())
    }
}

#[test]
fn durations_are_tried_in_round_steps() {
    let rungs = ladder(Span::from_ms(101));
    assert_eq!(rungs.first(), Some(&SHORTEST));
    assert_eq!(rungs.last(), Some(&Span::from_ms(100)));
    assert!(rungs.is_sorted());
    assert_eq!(ladder(SHORTEST), Vec::<Span>::new());
    assert_eq!(round(Span::from_ms(12_340))[..2], [Span::from_secs(10), Span::from_secs(20)]);
    assert_eq!(round(Span::from_secs(20)), Vec::<Span>::new());
    assert!(is_short_to_write(Span::from_ms(1_500)) && !is_short_to_write(Span::from_ms(1_510)));
}
