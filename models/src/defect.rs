//! Known defects of the real systems as switches, and the versions that had them. Off is the repaired rule.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A known defect. The model holds both rules; the switch stands next to the rule that it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Defect {
    /// ZOOKEEPER-4685: outstanding PROPOSALs precede NEWLEADER, and the learner's sync thread may acknowledge one before
    /// the main thread acknowledges NEWLEADER; the leader takes the first ACK for that of NEWLEADER. 3.8.0 to 3.8.4.
    AckOvertakesNewLeader,
    /// ZOOKEEPER-4643, -4646, -4785: the learner writes `currentEpoch` and acknowledges NEWLEADER before the synchronised
    /// transactions are on disk. 3.8.0 to 3.8.4.
    NewLeaderAckBeforeSync,
    /// ZOOKEEPER-4712: a learner's shutdown leaves its sync thread running, which logs queued proposals after the tree was
    /// fast-forwarded. All 3.8.x.
    SyncThreadSurvivesShutdown,
    /// ZOOKEEPER-4394: a COMMIT between NEWLEADER and UPTODATE for a proposal before NEWLEADER throws the learner back to
    /// LOOKING. All 3.8.x.
    CommitBeforeUpToDate,
    /// KAFKA-14845: a registration whose ConnectResponse was lost finds its own node under an unknown session and gives up.
    /// All releases in ZooKeeper mode.
    LostRegistration,
    /// No ticket: NODEEXISTS, then the node disappears before it is read: NullPointerException instead of another attempt.
    /// 2.2.0 to 3.8.0.
    RegistrationNullPointer,
    /// KAFKA-13461, KAFKA-13407: a broker that finds its own id in `/controller` takes itself for the controller without
    /// running the failover. The repaired rule, ours: it deletes the node if its own session does not own it, else fails over.
    InertController,
    /// KAFKA-12315: `ControllerMovedException` leaves the replica state machine's request batch non-empty for ever. In no
    /// release.
    PoisonedRequestBatch,
    /// KIP-966's unclean-shutdown rule has no counterpart in ZooKeeper mode: a controller elected after a broker has
    /// re-registered finds it alive and in the ISRs that its earlier life had earned, whatever that life lost. All releases in
    /// ZooKeeper mode. The repaired rule, ours: a registration (czxid) younger than a partition's state (mzxid) makes the
    /// new controller treat the broker as bounced, as `processBrokerChange` of a sitting controller does.
    UnnoticedRestart,
    /// KAFKA-15510: a follower forgets `lastFetchedEpoch` after an empty response. 3.6.x, fixed in 3.7.0.
    ForgottenFetchedEpoch,
}

impl Defect {
    /// Every defect, in the order of the declaration.
    pub const ALL: [Self; 10] = [
        Self::AckOvertakesNewLeader,
        Self::NewLeaderAckBeforeSync,
        Self::SyncThreadSurvivesShutdown,
        Self::CommitBeforeUpToDate,
        Self::LostRegistration,
        Self::RegistrationNullPointer,
        Self::InertController,
        Self::PoisonedRequestBatch,
        Self::UnnoticedRestart,
        Self::ForgottenFetchedEpoch,
    ];

    /// The word for it in scenario files.
    pub fn word(self) -> &'static str {
        match self {
            Self::AckOvertakesNewLeader => "ack-overtakes-new-leader",
            Self::NewLeaderAckBeforeSync => "new-leader-ack-before-sync",
            Self::SyncThreadSurvivesShutdown => "sync-thread-survives-shutdown",
            Self::CommitBeforeUpToDate => "commit-before-up-to-date",
            Self::LostRegistration => "lost-registration",
            Self::RegistrationNullPointer => "registration-null-pointer",
            Self::InertController => "inert-controller",
            Self::PoisonedRequestBatch => "poisoned-request-batch",
            Self::UnnoticedRestart => "unnoticed-restart",
            Self::ForgottenFetchedEpoch => "forgotten-fetched-epoch",
        }
    }

    /// The ticket that tells of it.
    pub fn ticket(self) -> &'static str {
        match self {
            Self::AckOvertakesNewLeader => "ZOOKEEPER-4685",
            Self::NewLeaderAckBeforeSync => "ZOOKEEPER-4643, ZOOKEEPER-4646, ZOOKEEPER-4785",
            Self::SyncThreadSurvivesShutdown => "ZOOKEEPER-4712",
            Self::CommitBeforeUpToDate => "ZOOKEEPER-4394",
            Self::LostRegistration => "KAFKA-14845",
            Self::RegistrationNullPointer => "CheckedEphemeral.getAfterNodeExists, no ticket",
            Self::InertController => "KAFKA-13461, KAFKA-13407",
            Self::PoisonedRequestBatch => "KAFKA-12315",
            Self::UnnoticedRestart => "KIP-966 (unclean shutdown), no ticket in ZooKeeper mode",
            Self::ForgottenFetchedEpoch => "KAFKA-15510",
        }
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

impl Defects {
    /// All switched off.
    pub const NONE: Self = Self(0);

    /// Whether `defect` is switched on.
    pub const fn has(self, defect: Defect) -> bool {
        self.0 >> defect as u8 & 1 == 1
    }

    /// With `defect` switched on as well.
    #[must_use]
    pub const fn with(self, defect: Defect) -> Self {
        Self(self.0 | 1 << defect as u8)
    }

    /// Everything that is on in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The defects that are on.
    pub fn iter(self) -> impl Iterator<Item = Defect> {
        Defect::ALL.into_iter().filter(move |defect| self.has(*defect))
    }
}

impl FromIterator<Defect> for Defects {
    fn from_iter<I: IntoIterator<Item = Defect>>(defects: I) -> Self {
        defects.into_iter().fold(Self::NONE, Self::with)
    }
}

/// The words for ZooKeeper versions in scenario files, and what each switches on.
pub const ZOOKEEPER_VERSIONS: &[(&str, &[Defect])] = &[
    ("fixed", &[]),
    (
        "3.8.0",
        &[
            Defect::AckOvertakesNewLeader,
            Defect::NewLeaderAckBeforeSync,
            Defect::SyncThreadSurvivesShutdown,
            Defect::CommitBeforeUpToDate,
        ],
    ),
    (
        "3.8.2",
        &[
            Defect::AckOvertakesNewLeader,
            Defect::NewLeaderAckBeforeSync,
            Defect::SyncThreadSurvivesShutdown,
            Defect::CommitBeforeUpToDate,
        ],
    ),
    ("3.8.6", &[Defect::SyncThreadSurvivesShutdown, Defect::CommitBeforeUpToDate]),
];

/// The words for Kafka versions in scenario files, and what each switches on.
pub const KAFKA_VERSIONS: &[(&str, &[Defect])] = &[
    ("fixed", &[]),
    (
        "3.6.2",
        &[
            Defect::LostRegistration,
            Defect::RegistrationNullPointer,
            Defect::InertController,
            Defect::PoisonedRequestBatch,
            Defect::UnnoticedRestart,
            Defect::ForgottenFetchedEpoch,
        ],
    ),
];
