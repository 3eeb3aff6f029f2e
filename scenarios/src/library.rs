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
    (in $folder:literal: $($name:literal),* $(,)?) => {
        &[$(Entry { name: $name, text: include_str!(concat!("../library/", $folder, $name, ".yaml")) }),*]
    };
}

/// The default comes first.
const ENTRIES: &[Entry] = library![in "":
    "stretch-cluster",
    "wan-cut-zero-controllers",
    "wan-cut-two-controllers",
    "controller-host-crash",
    "one-way-wan-cut",
    "three-zookeepers-2-1",
    "acks-1-loss",
    "unclean-election-loss",
    "last-replica-standing",
    "consumer-group-wan-cut",
    "zookeeper-2-2-cut",
    "full-load",
    "rolling-restart",
    "skewed-disk-full",
    "kill-everything",
    "power-loss-everywhere",
];

/// One or more for each defect; each says what it `demonstrates`.
const DEFECTS: &[Entry] = library![in "defects/":
    "unnoticed-restart",
    "power-loss-stuck",
    "unordered-coordinator-load",
    "hw-truncation",
    "epoch-query-too-coarse",
    "epoch-not-stored-on-election",
    "isr-join-at-lagging-hw",
    "skip-truncation-same-leader",
    "fetch-without-epoch",
    "reset-to-start-on-out-of-range",
    "cached-zk-version",
    "isr-write-reply-lost",
    "own-write-taken-for-conflict",
    "late-update-metadata",
    "controller-vacancy-missed",
    "misrouted-connection",
    "validation-by-end-alone",
    "no-min-isr",
    "unclean-election-default",
    "diverging-fetch-counts-as-progress",
    "hw-before-truncation",
    "truncate-after-role-change",
    "list-offsets-not-monotonic",
    "stale-hw-after-full-truncation",
    "reorder-with-one-in-flight",
    "consumer-blind-to-truncation",
    "new-leader-ack-before-sync",
    "last-zxid-from-diff-header",
    "retained-database",
    "epoch-file-mismatch-refuses-start",
    "stranded-by-accepted-epoch",
    "sync-thread-survives-shutdown",
    "ack-overtakes-new-leader",
    "commit-before-up-to-date",
    "unfenced-controller-writes",
    "soft-failure-late-isr-write",
    "zombie-adopts-new-epoch",
    "resigned-controller-still-listens",
    "resign-then-see-own-node",
    "resign-on-auth-event",
    "session-callback-blocks-session",
    "hung-event-thread",
    "wait-for-own-ephemeral",
    "registration-gives-up",
    "lost-registration",
    "registration-null-pointer",
    "no-broker-generation",
    "poisoned-request-batch",
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

/// The scenarios about deployments, the default first.
pub fn list() -> &'static [Entry] {
    ENTRIES
}

/// The scenarios about defects. Each has its defects switched on.
pub fn defects() -> &'static [Entry] {
    DEFECTS
}

/// The scenario of that name.
///
/// # Errors
/// There is none; the message names the nearest one.
pub fn find(name: &str) -> Result<&'static Entry, String> {
    let all = || ENTRIES.iter().chain(DEFECTS);
    all().find(|entry| entry.name == name).ok_or_else(|| {
        let names: Vec<&str> = all().map(|entry| entry.name).collect();
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
    for entry in list().iter().chain(defects()) {
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
fn a_scenario_about_a_defect_switches_it_on_and_says_what_it_breaks() {
    for entry in defects() {
        let scenario = entry.scenario().expect("the library is valid");
        let demonstrated = scenario.demonstrates.as_ref().expect(entry.name);
        let on = scenario.cluster.kafka.defects.union(scenario.cluster.zookeeper.defects);
        let known = on.iter().flat_map(|defect| defect.facts().laws).any(|law| *law == demonstrated.law);
        assert!(known, "{}: no defect that it switches on is known to break {}", entry.name, demonstrated.law);
        assert_ne!(scenario.repaired(), scenario);
    }
    assert!(list().iter().all(|entry| entry.scenario().is_ok_and(|scenario| scenario.demonstrates.is_none())));
}

#[test]
fn a_misspelt_name_gets_the_nearest_one() {
    let error = find("strech-cluster").unwrap_err();
    assert!(
        error.starts_with("there is no scenario `strech-cluster` in the library; did you mean `stretch-cluster`?"),
        "{error}"
    );
}
