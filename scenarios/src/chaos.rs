//! Schedules drawn from a seed.
//!
//! Each fault has a stream of its own, so that leaving one out leaves the others as they are. The first fault is the
//! anchor: half of the others begin while it lasts, or just after, since what breaks clusters is the second fault. A profile
//! may put all of them into a short [stretch](ChaosProfile::stretch) of time and on few [victims](ChaosProfile::victims):
//! what takes three faults of the same broker within seconds, independent faults reach once in a million.

mod aim;
mod draw;
mod kind;
mod story;

use models::random::{Purpose, Random};
use models::time::Span;
use serde::{Deserialize, Serialize};

pub use kind::{ChaosKind, Weights};

use aim::Aim;

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
    /// How long a stretch of the fault phase all faults of a schedule begin in, log-uniform; where it lies is drawn too.
    /// `None` is the whole phase.
    pub stretch: Option<(Span, Span)>,
    /// How many processes the faults of a schedule hit, as far as they hit one; each is drawn by id or by role. `None` draws
    /// a process for each fault anew.
    pub victims: Option<(u32, u32)>,
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
            stretch: None,
            victims: None,
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
/// How soon after the anchor's beginning or end a fault of a stretch begins: from within a round trip to after a session.
const CLOSE: (Span, Span) = (Span::from_ms(5), Span::from_secs(30));

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
        let aim = Aim::draw(self, scenario, seed);
        let (mut at, duration) = self.window(aim.stretch, scenario, &mut random);
        let linked = random.chance(1, 2);
        if linked && number > 1 {
            let anchor = self.window(aim.stretch, scenario, &mut Random::new(seed, Purpose::Schedule, 1));
            at = self.after(anchor, scenario.phases.faults - duration, &mut random);
        }
        let (kinds, weights): (Vec<ChaosKind>, Vec<u64>) =
            self.weights.iter().map(|(kind, weight)| (kind, u64::from(weight))).unzip();
        let kind = kinds[random.weighted(&weights)];
        self.draw_kind(kind, scenario, &aim, (at, duration), &mut random)
    }

    /// A beginning while the anchor lasts or just after; in a stretch, close to its beginning or end.
    fn after(&self, (anchor, length): (Span, Span), latest: Span, random: &mut Random) -> Span {
        if self.stretch.is_none() {
            let latest = (anchor + length + AFTERMATH).min(latest);
            return Span::from_ms(random.span(anchor.min(latest), latest).as_ms());
        }
        let moment = if random.chance(1, 2) { anchor } else { anchor + length };
        let off = Span::from_ms(random.log_uniform(CLOSE.0.as_ms(), CLOSE.1.as_ms()));
        (moment + off).min(latest)
    }

    /// Beginning and length, inside the fault phase.
    fn window(&self, (from, width): (Span, Span), scenario: &Scenario, random: &mut Random) -> (Span, Span) {
        let phase = scenario.phases.faults;
        let longest = self.lengths.1.min(phase).as_ns().max(1);
        let duration = Span::from_ns(random.log_uniform(self.lengths.0.as_ns().clamp(1, longest), longest));
        // Whole milliseconds: exact enough, and readable in a report and in a file.
        let duration = Span::from_ms(duration.as_ms().max(1)).min(phase);
        let latest = phase - duration;
        let at = random.span(from.min(latest), (from + width).min(latest));
        (Span::from_ms(at.as_ms()), duration)
    }
}

#[cfg(test)]
mod tests;
