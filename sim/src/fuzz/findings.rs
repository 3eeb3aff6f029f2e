//! Failures that are probably one: the same law, and the same words about it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::case::CaseResult;

/// What was wrong, without numbers: `broker3` and `broker1` break a law in the same way.
pub fn signature(what: &str) -> String {
    let mut out = String::new();
    let mut characters = what.chars().peekable();
    while let Some(character) = characters.next() {
        if !character.is_ascii_digit() {
            out.push(character);
            continue;
        }
        out.push('#');
        // Decimals and hexadecimals are one number, and so are the parts of `topic-0-3` and `1.5`.
        while characters.next_if(|next| next.is_ascii_hexdigit() || *next == '.').is_some() {}
    }
    // A list is as good as its first element.
    for separator in [", ", "-", ","] {
        let pair = format!("#{separator}#");
        while out.contains(&pair) {
            out = out.replace(&pair, "#");
        }
    }
    out
}

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

#[test]
fn a_signature_leaves_out_what_differs_from_seed_to_seed() {
    let table = [
        ("broker3 lost offset 17 of topic-0-4", "broker# lost offset # of topic-#"),
        ("broker1 lost offset 9999 of topic-12-0", "broker# lost offset # of topic-#"),
        ("ISR [1, 2, 3] at 12.5 s", "ISR [#] at # s"),
        ("zxid 0x10000002f", "zxid #x#"),
        ("nothing acknowledged", "nothing acknowledged"),
    ];
    for (what, expected) in table {
        assert_eq!(signature(what), expected);
    }
}
