//! Swarm testing: from a seed to a cluster, a workload and a schedule.
//!
//! One profile that always draws from everything finds little: kinds of faults hide each other, and what one configuration
//! cannot reach another can. So each *world* switches whole kinds of faults off, and draws rates, sizes and the configuration.
//! [`SEEDS_PER_WORLD`] consecutive seeds share a world: they differ in their schedules and in all that is left to chance after
//! the warm-up, so that the warm-up of a world has to be computed only once.
//!
//! What is drawn is a [`Scenario`] as a file could have said it: it can be printed, run alone, and kept.
//!
//! After Groce et al., "Swarm Testing", ISSTA 2012.

mod configuration;
mod faults;
mod layout;
pub mod mutate;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::chaos::Weights;
use crate::nearest::hint;
use crate::scenario::Scenario;
use crate::schedule::Schedule;
use crate::seeds::Seeds;

/// How many consecutive seeds share a world.
pub const SEEDS_PER_WORLD: u64 = 8;

/// Which kinds of faults a swarm draws from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// What networks between sites do.
    Wan,
    /// What disks and power supplies do.
    Disk,
    /// What clocks do, and processes that stand still.
    Clock,
    /// Many short outages.
    Flap,
    /// All of it.
    Everything,
}

impl Profile {
    /// All profiles.
    pub const ALL: [Self; 5] = [Self::Wan, Self::Disk, Self::Clock, Self::Flap, Self::Everything];

    /// Its word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Wan => "wan",
            Self::Disk => "disk",
            Self::Clock => "clock",
            Self::Flap => "flap",
            Self::Everything => "everything",
        }
    }

    /// The profile of that word.
    ///
    /// # Errors
    /// There is none; the message names the nearest one.
    pub fn parse(word: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|profile| profile.word() == word).ok_or_else(|| {
            let words = Self::ALL.map(Self::word);
            format!("there is no profile `{word}`{}; valid: {}", hint(word, words.into_iter()), words.join(", "))
        })
    }
}

/// Draws cases from seeds.
#[derive(Clone, Debug)]
pub struct Swarm {
    /// What worlds are made from. Its own faults, chaos profile, rollback, and the expectations that belong to them are left
    /// out.
    pub base: Scenario,
    /// Which faults.
    pub profile: Profile,
    /// Whether worlds differ in cluster and settings too, or in the faults alone.
    pub configuration: Configuration,
}

/// Whether worlds differ in cluster and settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Configuration {
    /// Each world has one of its own.
    Drawn,
    /// Every world has that of the base.
    Kept,
}

/// A run in which everything is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What is there. It is the same for all seeds of a world.
    pub scenario: Arc<Scenario>,
    /// The seeds: the start-up has that of the world.
    pub seeds: Seeds,
    /// What happens.
    pub schedule: Schedule,
}

/// The world of a seed.
pub const fn world_of(seed: u64) -> u64 {
    seed / SEEDS_PER_WORLD
}

/// The seeds of a run: the start-up belongs to the world.
pub const fn seeds_of(seed: u64) -> Seeds {
    Seeds { start_up: world_of(seed), faults: seed }
}

impl Swarm {
    /// World number `world`. Its chaos profile is what the seeds of the world draw their schedules from.
    pub fn world(&self, world: u64) -> Scenario {
        let mut scenario = self.base.clone();
        scenario.faults.clear();
        scenario.demonstrates = None;
        scenario.rollback = Default::default();
        scenario.expect.throughout.clear();
        scenario.expect.totals.clear();
        if self.configuration == Configuration::Drawn {
            configuration::draw(&mut scenario, world);
        }
        scenario.description = format!("World {world} of the profile `{}` on {}.", self.profile.word(), self.base.name);
        scenario.chaos = Some(faults::draw(self.profile, &scenario, world));
        scenario
    }

    /// All kinds of faults that can be in a world, those too that the world does not draw by itself.
    pub fn every_kind(&self, world: &Scenario) -> Weights {
        faults::every_kind(self.profile, world)
    }

    /// The case of a seed.
    pub fn case(&self, seed: u64) -> Case {
        self.case_in(Arc::new(self.world(world_of(seed))), seed)
    }

    /// The same, if its world is at hand.
    pub fn case_in(&self, world: Arc<Scenario>, seed: u64) -> Case {
        let schedule = Schedule::draw(&world, seed);
        Case { scenario: world, seeds: seeds_of(seed), schedule }
    }
}

#[cfg(test)]
mod tests;
