//! The schedules that reached something new, and how rare that is.

use std::collections::BTreeMap;

use models::random::Random;
use models::time::Span;
use scenarios::Seeds;
use scenarios::schedule::Schedule;
use scenarios::swarm::Case;
use serde::{Deserialize, Serialize};

use super::trace::Trace;

/// The weight of a feature that a single case has reached.
const RARE: u64 = 1_000_000;

/// A schedule that was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The case's number.
    pub number: u64,
    /// What it was made from.
    pub parent: Option<u64>,
    /// Its seeds: the start-up's is the world.
    pub seeds: Seeds,
    /// What happened.
    pub schedule: Schedule,
    /// What it was the first to reach.
    pub features: Vec<u64>,
    /// When something happened in its run.
    pub moments: Vec<Span>,
}

/// A case that was run, to be looked at.
#[derive(Debug)]
pub struct Found {
    /// The case's number.
    pub number: u64,
    /// What it was made from.
    pub parent: Option<u64>,
    /// The case.
    pub case: Case,
    /// What it reached.
    pub trace: Trace,
}

/// All that guided search remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Corpus {
    /// Generations that are complete.
    pub generations: u64,
    /// The schedules, by ascending number.
    pub entries: Vec<Entry>,
    /// How many cases reached each feature.
    reached: BTreeMap<u64, u32>,
    /// How many cases were made from an entry.
    children: BTreeMap<u64, u32>,
}

impl Corpus {
    /// Takes note of a case, and keeps its schedule if it is the first to reach something.
    pub fn add(&mut self, found: Found) -> bool {
        let Found { number, parent, case, trace } = found;
        if let Some(parent) = parent {
            *self.children.entry(parent).or_default() += 1;
        }
        let (features, moments) = trace.finish();
        let mut new = Vec::new();
        for feature in features {
            let count = self.reached.entry(feature).or_default();
            if *count == 0 {
                new.push(feature);
            }
            *count = count.saturating_add(1);
        }
        let is_new = !new.is_empty();
        if is_new {
            let Case { seeds, schedule, .. } = case;
            self.entries.push(Entry { number, parent, seeds, schedule, features: new, moments });
        }
        is_new
    }

    /// A schedule to be changed: the rarer what it reached first, and the fewer were made from it, the more likely.
    pub fn choose(&self, random: &mut Random) -> Option<&Entry> {
        if self.entries.is_empty() {
            return None;
        }
        let energies: Vec<u64> = self.entries.iter().map(|entry| self.energy(entry)).collect();
        Some(&self.entries[random.weighted(&energies)])
    }

    /// Another schedule of the same world.
    pub fn other_of(&self, world: u64, than: u64, random: &mut Random) -> Option<&Entry> {
        let is_other = |entry: &&Entry| entry.seeds.start_up == world && entry.number != than;
        let others: Vec<&Entry> = self.entries.iter().filter(is_other).collect();
        (!others.is_empty()).then(|| *random.pick(&others))
    }

    /// How many features were reached in all.
    pub fn features(&self) -> usize {
        self.reached.len()
    }

    fn energy(&self, entry: &Entry) -> u64 {
        let rarity = |feature: &u64| RARE / u64::from(self.reached.get(feature).copied().unwrap_or(1).max(1));
        // A schedule that was the first to reach very much is the first of all, not the most interesting one.
        let rarity = entry.features.iter().map(rarity).sum::<u64>().min(8 * RARE);
        let children = u64::from(self.children.get(&entry.number).copied().unwrap_or(0));
        (rarity / (1 + children)).max(1)
    }
}
