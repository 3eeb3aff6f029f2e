//! What happens when: the faults of a scenario and those that a seed draws, as one list.

use models::id::FaultId;
use models::time::Span;
use serde::{Deserialize, Serialize};

use crate::choice::Choice;
use crate::fault::Fault;
use crate::scenario::Scenario;

/// Faults by ascending beginning. A replay file holds this, never the profile that it was drawn from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The faults. Their ids stay when one is removed.
    pub faults: Vec<Timed>,
}

/// A fault and its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timed {
    /// Its id within the run.
    pub id: FaultId,
    /// What the scenario calls it.
    pub name: Option<String>,
    /// Beginning, since the end of the warm-up.
    pub at: Span,
    /// How long.
    pub duration: Span,
    /// What.
    pub fault: Fault,
}

/// A fault as a scenario writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// What the scenario calls it.
    pub name: Option<String>,
    /// Beginning, since the end of the warm-up.
    pub at: Span,
    /// How long.
    pub duration: Span,
    /// What. Where the seed has a choice, one of the possibilities.
    pub fault: Fault,
    /// What the seed decides.
    pub choice: Option<Choice>,
}

impl Planned {
    /// A fault without a name, in which nothing is left to the seed.
    pub fn new(at: Span, duration: Span, fault: Fault) -> Self {
        Self { name: None, at, duration, fault, choice: None }
    }

    /// The moment it is over, since the end of the warm-up.
    pub fn end(&self) -> Span {
        self.at + self.duration
    }
}

impl Timed {
    /// The moment it is over, since the end of the warm-up.
    pub fn end(&self) -> Span {
        self.at + self.duration
    }

    /// What it does, after the name that the scenario gives it: `wan: cut london <-> frankfurt`.
    pub fn text(&self, scenario: &Scenario) -> String {
        let text = self.fault.text(scenario);
        self.name.as_ref().map_or(text.clone(), |name| format!("{name}: {text}"))
    }
}

impl Schedule {
    /// The scenario's own faults and those that its chaos profile draws from `seed`.
    pub fn draw(scenario: &Scenario, seed: u64) -> Self {
        let own = (0..).zip(&scenario.faults);
        let mut planned: Vec<Planned> =
            own.flat_map(|(number, planned)| planned.draw(scenario, seed, number)).collect();
        if let Some(profile) = &scenario.chaos {
            planned.extend(profile.draw(scenario, seed));
        }
        Self::new(planned)
    }

    /// Numbers the faults in the order of their beginnings; those that begin together stay in the order given. Nothing is
    /// left to a seed any more.
    pub fn new(mut planned: Vec<Planned>) -> Self {
        planned.sort_by_key(|fault| fault.at);
        let number = |(index, Planned { name, at, duration, fault, .. })| Timed {
            id: FaultId(index as u32),
            name,
            at,
            duration,
            fault,
        };
        Self { faults: planned.into_iter().enumerate().map(number).collect() }
    }

    /// The scenario with exactly these faults and nothing left to draw: as a file it says what happens.
    #[must_use]
    pub fn written_into(&self, scenario: &Scenario) -> Scenario {
        let planned = |timed: &Timed| Planned {
            name: timed.name.clone(),
            ..Planned::new(timed.at, timed.duration, timed.fault.clone())
        };
        Scenario { faults: self.faults.iter().map(planned).collect(), chaos: None, ..scenario.clone() }
    }

    /// The moment all faults are over, since the end of the warm-up.
    pub fn end(&self) -> Span {
        self.faults.iter().map(Timed::end).max().unwrap_or(Span::ZERO)
    }
}
