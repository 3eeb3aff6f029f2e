//! What a campaign runs.

use scenarios::Scenario;
use scenarios::swarm::{Configuration, Profile, Swarm, world_of};
use serde::{Deserialize, Serialize};

/// How schedules are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Each is drawn from its seed.
    Random,
    /// Schedules that reached something new are kept and changed.
    Guided,
}

/// Everything that the results of a campaign depend on. Kept in the output directory, so that a campaign is never continued
/// as another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The build: another one may run a seed differently.
    pub build: String,
    /// What was typed for the scenario.
    pub name: String,
    /// The scenario that worlds are drawn from, as a file, defects and changes included.
    pub scenario: String,
    /// Which faults.
    pub profile: Profile,
    /// Whether worlds have configurations of their own.
    pub configuration: Configuration,
    /// How schedules are chosen.
    pub strategy: Strategy,
    /// The first seed.
    pub from: u64,
    /// The seed after the last one; `None` if time alone ends the campaign.
    pub to: Option<u64>,
    /// The part of the worlds that is run: `i` of `n`, `i` from 1.
    pub shard: (u64, u64),
}

impl Spec {
    /// Draws the campaign's cases.
    ///
    /// # Errors
    /// The scenario's text is no scenario; it was when the campaign began.
    pub fn swarm(&self) -> Result<Swarm, String> {
        let base = Scenario::parse("the campaign's scenario", &self.scenario)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
        Ok(Swarm { base, profile: self.profile, configuration: self.configuration })
    }

    /// Whether the campaign runs a seed. Worlds are not torn apart: their start-up is run once.
    pub fn includes(&self, seed: u64) -> bool {
        self.from <= seed && self.to.is_none_or(|to| seed < to) && self.includes_world(world_of(seed))
    }

    /// Whether a world is of this shard.
    pub fn includes_world(&self, world: u64) -> bool {
        world % self.shard.1 == self.shard.0 - 1
    }

    /// What differs between two campaigns, for people.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let mut compare = |what: &str, mine: String, theirs: String| {
            if mine != theirs {
                found.push(format!("{what}: {mine} there, {theirs} now"));
            }
        };
        compare("build", self.build.clone(), other.build.clone());
        compare("scenario", self.name.clone(), other.name.clone());
        compare("profile", self.profile.word().to_owned(), other.profile.word().to_owned());
        compare("configuration", format!("{:?}", self.configuration), format!("{:?}", other.configuration));
        compare("strategy", format!("{:?}", self.strategy), format!("{:?}", other.strategy));
        compare("seeds", self.seeds(), other.seeds());
        compare("shard", format!("{}/{}", self.shard.0, self.shard.1), format!("{}/{}", other.shard.0, other.shard.1));
        if found.is_empty() && self.scenario != other.scenario {
            found.push(
                "the scenario, its defects, or what `--duration`, `--topics`, `--partitions`, `--rate`, `--known-breach` say"
                    .into(),
            );
        }
        found
    }

    /// The range of seeds.
    pub fn seeds(&self) -> String {
        self.to.map_or_else(|| format!("{}..", self.from), |to| format!("{}..{to}", self.from))
    }
}
