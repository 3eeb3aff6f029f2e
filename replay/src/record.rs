//! The record of a run.

use models::time::Instant;
use scenarios::schedule::Schedule;
use scenarios::{Scenario, Seeds};
use serde::{Deserialize, Serialize};

/// Everything that repeats a run, and what it must come to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The build that ran it, for people: package version and build profile.
    pub build: String,
    /// What was there.
    pub scenario: Scenario,
    /// The seeds of every stream of chance.
    pub seeds: Seeds,
    /// What happened to it: the schedule of the scenario file, or the one drawn from the seed.
    pub schedule: Schedule,
    /// The run's fingerprint, each virtual second, in the order of time.
    pub checkpoints: Vec<Checkpoint>,
    /// How it ended.
    pub outcome: Outcome,
}

/// The fingerprint of a run up to a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// All events up to and including this moment.
    pub at: Instant,
    /// How many those are.
    pub events: u64,
    /// The rolling fingerprint over them.
    pub fingerprint: u64,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// When.
    pub ended: Instant,
    /// How many events there were.
    pub events: u64,
    /// The fingerprint over all of them.
    pub fingerprint: u64,
    /// The law that was broken first, or else the first expectation that was not met.
    pub violation: Option<BrokenLaw>,
}

/// What a run broke first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokenLaw {
    /// The law's name in the catalogue, or the expectation's word in the scenario file.
    pub law: String,
    /// When.
    pub at: Instant,
    /// What was wrong.
    pub what: String,
}

impl BrokenLaw {
    /// What was wrong, without numbers: `broker3` and `broker1` break a law in the same way.
    pub fn signature(&self) -> String {
        let mut out = String::new();
        let mut characters = self.what.chars().peekable();
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
        let broken = BrokenLaw { law: "A".to_owned(), at: Instant::ZERO, what: what.to_owned() };
        assert_eq!(broken.signature(), expected);
    }
}
