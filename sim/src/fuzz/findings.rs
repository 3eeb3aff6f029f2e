//! Failures that are probably one: the same law, and the same words about it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::case::CaseResult;

/// Failures of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// The law.
    pub law: String,
    /// The signature.
    pub signature: String,
    /// How many seeds failed so.
    pub seeds: u64,
    /// The smallest of them.
    pub smallest: u64,
    /// What was wrong with that one.
    pub what: String,
    /// When, in virtual nanoseconds.
    pub at_ns: u64,
    /// How many faults it had.
    pub faults: usize,
    /// Its replay file.
    pub replay: Option<String>,
}

/// Groups the failures among `results`, which come by ascending seed. The largest groups come first.
pub fn group<'a>(results: impl IntoIterator<Item = &'a CaseResult>) -> Vec<Group> {
    let mut groups: BTreeMap<(&str, &str), Group> = BTreeMap::new();
    for result in results {
        let Some(failure) = &result.failure else { continue };
        let group = groups.entry((&failure.law, &failure.signature)).or_insert_with(|| Group {
            law: failure.law.clone(),
            signature: failure.signature.clone(),
            seeds: 0,
            smallest: result.seed,
            what: failure.what.clone(),
            at_ns: failure.at_ns,
            faults: failure.faults,
            replay: failure.replay.clone(),
        });
        group.seeds += 1;
    }
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by_key(|group| (std::cmp::Reverse(group.seeds), group.smallest));
    groups
}
