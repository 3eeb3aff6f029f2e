//! `inter.broker.protocol.version`: which rules brokers follow among themselves (`MetadataVersion`, once `ApiVersion`).
//!
//! | rule | since | before |
//! |---|---|---|
//! | a follower asks its leader where its epochs end (KIP-101) | 0.11.0-IV2 | it truncates to its own high watermark |
//! | incremental fetch sessions (KIP-227) | 1.1-IV0 | every fetch names every partition |
//! | answers to epoch queries carry the epoch that they are about (KIP-279) | 2.0-IV0 | an offset alone, one round |
//! | fetches and epoch queries carry the leader epoch (KIP-320) | 2.1-IV2 | nobody is fenced by it |
//! | answers to fetches tell where logs part (KIP-595) | 2.7-IV1 | an epoch query before the first fetch |
//! | leaders ask the controller to change the ISR (KIP-497) | 2.7-IV2 | they write it to ZooKeeper |
//!
//! What was a defect of the protocol and not of the code goes by its switch, which an old version brings along; see
//! [`ProtocolVersion::brings`]. Not modelled by version: who writes blocks of producer ids (KIP-730), control requests without
//! broker epoch (KIP-380) or StopReplica without leader epoch (KIP-570), topic ids, old message formats.

use serde::{Deserialize, Serialize};

use crate::defect::{Defect, Defects};
use crate::options::OptionValue;

/// Releases with the number of their last change of the protocol (`-IVn`), oldest first.
const RELEASES: &[(&str, u8)] = &[
    ("0.10.2", 0),
    ("0.11.0", 2),
    ("1.0", 0),
    ("1.1", 0),
    ("2.0", 1),
    ("2.1", 2),
    ("2.2", 1),
    ("2.3", 1),
    ("2.4", 1),
    ("2.5", 0),
    ("2.6", 0),
    ("2.7", 2),
    ("2.8", 1),
    ("3.0", 1),
    ("3.1", 0),
    ("3.2", 0),
    ("3.3", 3),
    ("3.4", 0),
    ("3.5", 2),
    ("3.6", 2),
];

/// A version of the protocol among brokers, from 0.10.2 to 3.6. A later one compares greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProtocolVersion {
    /// Position among the releases.
    release: u8,
    change: u8,
}

/// Position of a release that is listed.
const fn release(name: &str) -> u8 {
    let mut at = 0;
    while at < RELEASES.len() {
        if same(RELEASES[at].0.as_bytes(), name.as_bytes()) {
            return at as u8;
        }
        at += 1;
    }
    panic!("the release is listed")
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

impl ProtocolVersion {
    /// What a broker of Kafka 3.6 follows unless told otherwise.
    pub const LATEST: Self = Self { release: RELEASES.len() as u8 - 1, change: RELEASES[RELEASES.len() - 1].1 };

    const KIP_101: Self = Self { release: release("0.11.0"), change: 2 };
    const KIP_227: Self = Self { release: release("1.1"), change: 0 };
    const KIP_279: Self = Self { release: release("2.0"), change: 0 };
    const KIP_320: Self = Self { release: release("2.1"), change: 2 };
    const KIP_595: Self = Self { release: release("2.7"), change: 1 };
    const KIP_497: Self = Self { release: release("2.7"), change: 2 };

    /// Whether a follower fetches from its log's end at once and truncates when an answer tells that the logs part
    /// (`isTruncationOnFetchSupported`).
    pub fn truncates_on_fetch(self) -> bool {
        self >= Self::KIP_595
    }

    /// Whether leaders ask the controller to change the ISR (`isAlterPartitionSupported`).
    pub fn has_alter_partition(self) -> bool {
        self >= Self::KIP_497
    }

    /// Whether fetches can be incremental.
    pub fn has_fetch_sessions(self) -> bool {
        self >= Self::KIP_227
    }

    /// The defects that were part of the protocol: they cannot be repaired while it is spoken.
    pub fn brings(self) -> Defects {
        Self::PARTS.into_iter().filter(|(since, _)| self < *since).map(|(_, defect)| defect).collect()
    }

    /// The oldest protocol of which `defect` is no part any more; `None` if it never was.
    pub fn oldest_without(defect: Defect) -> Option<Self> {
        Self::PARTS.into_iter().find(|(_, part)| *part == defect).map(|(since, _)| since)
    }

    /// The newest protocol whose rules `defect` needs; `None` if it can come about under any.
    pub fn needed_by(defect: Defect) -> Option<Self> {
        defect.facts().protocol.and_then(|text| Self::parse(text).ok())
    }

    /// The newest protocol under which all of `defects` can come about.
    pub fn newest_with(defects: Defects) -> Self {
        defects.iter().filter_map(Self::needed_by).min().unwrap_or(Self::LATEST)
    }

    /// Since when what was a defect is no part of the protocol.
    const PARTS: [(Self, Defect); 3] = [
        (Self::KIP_101, Defect::HwTruncation),
        (Self::KIP_279, Defect::EpochQueryTooCoarse),
        (Self::KIP_320, Defect::FetchWithoutEpoch),
    ];
}

impl OptionValue for ProtocolVersion {
    /// `2.7`, `2.7.1` and `2.7-IV2` as `MetadataVersion.fromVersionString` reads them: without a change the last one is meant.
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (release, change) =
            text.split_once("-IV").map_or((text, None), |(release, change)| (release, Some(change)));
        let position = RELEASES.iter().position(|(name, _)| {
            let rest = release.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || change.is_none() && is_patch(rest))
        });
        let found = position.and_then(|position| {
            let last = RELEASES[position].1;
            let change = match change {
                None => last,
                Some(number) => (0..=last).find(|known| known.to_string() == number)?,
            };
            Some(Self { release: position as u8, change })
        });
        found.ok_or_else(|| "0.10.2 to 3.6, whose rules the model has".to_owned())
    }

    fn show(&self) -> String {
        let (name, last) = RELEASES[usize::from(self.release)];
        if self.change == last { name.to_owned() } else { format!("{name}-IV{}", self.change) }
    }
}

impl std::fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.show())
    }
}

/// Whether what follows a release is the number of a bug fix release, such as `.1`.
fn is_patch(rest: &str) -> bool {
    rest.strip_prefix('.').is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

#[test]
fn versions_are_read_and_ordered_as_kafka_does() {
    let check = |text: &str, expected: Option<&str>| {
        let read = ProtocolVersion::parse(text).ok();
        assert_eq!(read.map(|version| version.show()).as_deref(), expected, "{text}");
    };
    for (text, expected) in [
        ("0.10.2", Some("0.10.2")),
        ("0.11.0.3", Some("0.11.0")),
        ("0.11.0-IV1", Some("0.11.0-IV1")),
        (" 2.7.2 ", Some("2.7")),
        ("2.7-IV2", Some("2.7")),
        ("2.7-IV1", Some("2.7-IV1")),
        ("2.7-IV3", None),
        ("2.7.1-IV1", None),
        ("3.6", Some("3.6")),
        ("3.7", None),
        ("0.10.1", None),
        ("2.70", None),
        ("2", None),
        ("", None),
    ] {
        check(text, expected);
    }
    let version = |text| ProtocolVersion::parse(text).expect("listed");
    assert!(
        version("0.11.0") < version("1.0") && version("2.7-IV1") < version("2.7") && version("2.7") < version("2.8")
    );
    assert_eq!(version("3.6"), ProtocolVersion::LATEST);
    let rules = |text| (version(text).truncates_on_fetch(), version(text).has_alter_partition());
    assert_eq!([rules("2.7-IV0"), rules("2.7-IV1"), rules("2.7-IV2")], [(false, false), (true, false), (true, true)]);
}

#[test]
fn an_old_protocol_brings_the_defects_that_are_part_of_it() {
    let words = |text| {
        let brings = ProtocolVersion::parse(text).expect("listed").brings();
        brings.iter().map(Defect::word).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(words("2.1"), "");
    assert_eq!(words("2.1-IV1"), "fetch-without-epoch");
    assert_eq!(words("1.1"), "epoch-query-too-coarse fetch-without-epoch");
    assert_eq!(words("0.11.0-IV1"), "hw-truncation epoch-query-too-coarse fetch-without-epoch");
}

#[test]
fn the_protocol_that_a_defect_needs_is_one() {
    for defect in Defect::ALL {
        let needed = ProtocolVersion::needed_by(*defect);
        assert_eq!(needed.is_some(), defect.facts().protocol.is_some(), "{defect}: no such protocol");
        assert_eq!(
            ProtocolVersion::newest_with(Defects::NONE.with(*defect)) == ProtocolVersion::LATEST,
            needed.is_none()
        );
    }
}
