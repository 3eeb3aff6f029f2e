//! Schedules drawn from a seed.
//!
//! Each fault has a stream of its own, so that leaving one out leaves the others as they are. The first fault is the
//! anchor: half of the others begin while it lasts, or just after, since what breaks clusters is the second fault.

mod draw;
mod kind;

use models::random::{Purpose, Random};
use models::time::Span;
use serde::{Deserialize, Serialize};

pub use kind::{ChaosKind, Weights};

use crate::scenario::Scenario;
use crate::schedule::Planned;
use crate::units::Share;

/// What a seed draws faults from. Ranges include both ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChaosProfile {
    /// How many faults.
    pub faults: (u32, u32),
    /// How long each lasts, log-uniform.
    pub lengths: (Span, Span),
    /// How much is lost.
    pub loss: (Share, Share),
    /// How much delay is added, log-uniform.
    pub delay: (Span, Span),
    /// How much a slow disk adds to each completion, log-uniform.
    pub disk_latency: (Span, Span),
    /// How often each kind is drawn.
    pub weights: Weights,
}

impl Default for ChaosProfile {
    fn default() -> Self {
        Self {
            faults: (1, 6),
            lengths: (Span::from_ms(100), Span::from_secs(120)),
            loss: (Share::from_ppm(10_000), Share::from_ppm(300_000)),
            delay: (Span::from_ms(10), Span::from_secs(1)),
            disk_latency: (Span::from_ms(5), Span::from_secs(1)),
            weights: [20, 9, 7, 9, 6, 7, 13, 9, 14, 6]
                .into_iter()
                .zip(ChaosKind::ALL)
                .map(|(weight, kind)| (*kind, weight))
                .collect(),
        }
    }
}

/// The stream that draws how many faults there are; faults take the streams from 1 on.
const COUNT_STREAM: u64 = 0;
/// How long after the end of the anchor a fault still counts as "just after": recovery is under way then.
const AFTERMATH: Span = Span::from_secs(20);

impl ChaosProfile {
    /// Draws the faults of `seed`. Fault `n` depends on `seed`, `n` and the time of fault 1 only.
    pub fn draw(&self, scenario: &Scenario, seed: u64) -> Vec<Planned> {
        let count =
            Random::new(seed, Purpose::Schedule, COUNT_STREAM).within(self.faults.0.into(), self.faults.1.into());
        (1..=count).flat_map(|number| self.fault(scenario, seed, number)).collect()
    }

    /// Fault `number` of `seed`, from 1. Where several machines fail together, it is a fault of each.
    pub fn fault(&self, scenario: &Scenario, seed: u64, number: u64) -> Vec<Planned> {
        let mut random = Random::new(seed, Purpose::Schedule, number);
        let phase = scenario.phases.faults;
        let (mut at, duration) = self.window(phase, &mut random);
        let linked = random.chance(1, 2);
        if linked && number > 1 {
            let (anchor, length) = self.window(phase, &mut Random::new(seed, Purpose::Schedule, 1));
            let latest = (anchor + length + AFTERMATH).min(phase - duration);
            at = Span::from_ms(random.span(anchor.min(latest), latest).as_ms());
        }
        let (kinds, weights): (Vec<ChaosKind>, Vec<u64>) =
            self.weights.iter().map(|(kind, weight)| (kind, u64::from(weight))).unzip();
        let kind = kinds[random.weighted(&weights)];
        self.draw_kind(kind, scenario, (at, duration), &mut random)
    }

    /// Beginning and length, inside the fault phase.
    fn window(&self, phase: Span, random: &mut Random) -> (Span, Span) {
        let longest = self.lengths.1.min(phase).as_ns().max(1);
        let duration = Span::from_ns(random.log_uniform(self.lengths.0.as_ns().clamp(1, longest), longest));
        // Whole milliseconds: exact enough, and readable in a report and in a file.
        let duration = Span::from_ms(duration.as_ms().max(1)).min(phase);
        let at = random.span(Span::ZERO, phase - duration);
        (Span::from_ms(at.as_ms()), duration)
    }
}

#[cfg(test)]
mod tests;
