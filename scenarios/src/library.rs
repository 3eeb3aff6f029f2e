//! The scenarios that are part of the binary.

use crate::nearest::hint;
use crate::scenario::Scenario;
use crate::yaml::ScenarioError;

/// A scenario of the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, as in `sim run NAME`.
    pub name: &'static str,
    /// The scenario file.
    pub text: &'static str,
}

macro_rules! library {
    ($($name:literal),* $(,)?) => {
        &[$(Entry { name: $name, text: include_str!(concat!("../library/", $name, ".yaml")) }),*]
    };
}

/// The default comes first.
const ENTRIES: &[Entry] = library![
    "stretch-cluster",
    "wan-cut-zero-controllers",
    "wan-cut-two-controllers",
    "controller-host-crash",
    "one-way-wan-cut",
    "three-zookeepers-2-1",
    "acks-1-loss",
    "unclean-election-loss",
    "unnoticed-restart",
    "full-load",
    "rolling-restart",
    "skewed-disk-full",
    "kill-everything",
    "power-loss-everywhere",
    "power-loss-stuck",
];

/// The stretch cluster as an operator's own files: path and text of each `server.properties`.
pub const STRETCH_CLUSTER_BROKERS: &[(&str, &str)] = &[
    ("stretch-cluster/broker-1.properties", include_str!("../library/stretch-cluster/broker-1.properties")),
    ("stretch-cluster/broker-2.properties", include_str!("../library/stretch-cluster/broker-2.properties")),
    ("stretch-cluster/broker-3.properties", include_str!("../library/stretch-cluster/broker-3.properties")),
    ("stretch-cluster/broker-4.properties", include_str!("../library/stretch-cluster/broker-4.properties")),
];

/// The `zoo.cfg` that belongs to [`STRETCH_CLUSTER_BROKERS`].
pub const STRETCH_CLUSTER_ZOO_CFG: (&str, &str) =
    ("stretch-cluster/zoo.cfg", include_str!("../library/stretch-cluster/zoo.cfg"));

/// All scenarios, the default first.
pub fn list() -> &'static [Entry] {
    ENTRIES
}

/// The scenario of that name.
///
/// # Errors
/// There is none; the message names the nearest one.
pub fn find(name: &str) -> Result<&'static Entry, String> {
    ENTRIES.iter().find(|entry| entry.name == name).ok_or_else(|| {
        let names: Vec<&str> = ENTRIES.iter().map(|entry| entry.name).collect();
        let hint = hint(name, names.iter().copied());
        format!("there is no scenario `{name}` in the library{hint}; there are: {}", names.join(", "))
    })
}

impl Entry {
    /// Reads the scenario. Tests hold that this succeeds for every entry.
    ///
    /// # Errors
    /// As [`Scenario::parse`].
    pub fn scenario(&self) -> Result<Scenario, Vec<ScenarioError>> {
        Scenario::parse(&format!("{}.yaml", self.name), self.text)
    }
}

#[test]
fn every_scenario_of_the_library_is_valid_and_survives_printing_and_recording() {
    for entry in list() {
        let scenario = entry.scenario().unwrap_or_else(|errors| {
            panic!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        });
        assert_eq!(scenario.name, entry.name);
        assert!(!scenario.faults.is_empty() || scenario.chaos.is_some(), "{} has no faults", entry.name);
        let printed = scenario.to_yaml();
        let again = Scenario::parse("printed.yaml", &printed).unwrap_or_else(|errors| panic!("{errors:?}\n{printed}"));
        assert_eq!(again, scenario, "{printed}");
        let config = bincode::config::standard();
        let bytes = bincode::serde::encode_to_vec(&scenario, config).unwrap();
        let (decoded, read): (Scenario, usize) = bincode::serde::decode_from_slice(&bytes, config).unwrap();
        assert_eq!((decoded, read), (scenario, bytes.len()));
    }
}

#[test]
fn a_misspelt_name_gets_the_nearest_one() {
    let error = find("strech-cluster").unwrap_err();
    assert!(
        error.starts_with("there is no scenario `strech-cluster` in the library; did you mean `stretch-cluster`?"),
        "{error}"
    );
}
