//! Known defects of the real systems as switches, and the versions that had them. Off is the repaired rule.

mod table;
mod versions;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use table::Defect;
pub use versions::{KAFKA_VERSIONS, ZOOKEEPER_VERSIONS};

/// Which system has a defect, and in whose `defects:` of a scenario file it is switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum System {
    /// Brokers, controller, and Kafka's clients.
    Kafka,
    /// ZooKeeper servers, and its Java client wherever it is embedded.
    ZooKeeper,
}

/// How many random schedules its catalogue expects to pass before one shows a defect; the easiest of its ways counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Up to about 100.
    Easy,
    /// 100 to 1,000.
    Medium,
    /// 1,000 to 100,000.
    Hard,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Easy => "E",
            Self::Medium => "M",
            Self::Hard => "H",
        })
    }
}

/// What is publicly known of a defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its id in the catalogue; `X..` is not in the catalogue.
    pub id: &'static str,
    /// The word for it in scenario files.
    pub word: &'static str,
    /// How hard the catalogue expects it to be to find; `None` where it does not say.
    pub mark: Option<Mark>,
    /// The ticket that tells of it.
    pub ticket: &'static str,
    /// Whose it is.
    pub system: System,
    /// The laws that fall with it, the one that sees it first in front.
    pub laws: &'static [&'static str],
    /// The first release of each line with the repaired rule; `never` where no release has it.
    pub fixed_in: &'static str,
    /// The newest `inter.broker.protocol.version` whose rules it needs: it went with them, or is a part of them.
    pub protocol: Option<&'static str>,
    /// Defects without which it cannot come about, which it switches on as well.
    pub implies: &'static [Defect],
}

impl Defect {
    /// The word for it in scenario files.
    pub fn word(self) -> &'static str {
        self.facts().word
    }

    /// The ticket that tells of it.
    pub fn ticket(self) -> &'static str {
        self.facts().ticket
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A set of defects that are switched on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Defects(u64);

// One bit each.
const _: () = assert!(Defect::ALL.len() <= 64);

impl Defects {
    /// All switched off.
    pub const NONE: Self = Self(0);

    /// Whether `defect` is switched on.
    pub const fn has(self, defect: Defect) -> bool {
        self.0 >> defect as u8 & 1 == 1
    }

    /// With `defect`, and what it implies, switched on as well.
    #[must_use]
    pub fn with(self, defect: Defect) -> Self {
        let implied = defect.facts().implies.iter().copied();
        implied.fold(Self(self.0 | 1 << defect as u8), Self::with)
    }

    /// With `defect` alone switched off: what it implied stays.
    #[must_use]
    pub const fn without(self, defect: Defect) -> Self {
        Self(self.0 & !(1 << defect as u8))
    }

    /// Everything that is on in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The defects that are on.
    pub fn iter(self) -> impl Iterator<Item = Defect> {
        Defect::ALL.iter().copied().filter(move |defect| self.has(*defect))
    }
}

impl FromIterator<Defect> for Defects {
    fn from_iter<I: IntoIterator<Item = Defect>>(defects: I) -> Self {
        defects.into_iter().fold(Self::NONE, Self::with)
    }
}

#[test]
fn ids_and_words_are_unique() {
    let mut seen = std::collections::BTreeSet::new();
    for defect in Defect::ALL {
        assert!(seen.insert(defect.facts().id), "{defect}: {}", defect.facts().id);
        assert!(seen.insert(defect.word()), "{defect}");
        // That a client does not know the time of its session's end breaks no promise: it costs availability.
        let breaks_none = *defect == Defect::ClientNeverGivesUp;
        assert_eq!(defect.facts().laws.is_empty(), breaks_none, "{defect} breaks no law");
    }
}

#[test]
fn a_switch_brings_what_it_implies() {
    let on = Defects::NONE.with(Defect::SoftFailureLateIsrWrite);
    assert!(on.has(Defect::UnfencedControllerWrites));
    assert_eq!(on.iter().count(), 2);
}
