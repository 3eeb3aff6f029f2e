//! What each version of the real systems has.

use super::Defect;

const ZOOKEEPER_3_8_0_TO_3_8_4: &[Defect] = &[
    Defect::AckOvertakesNewLeader,
    Defect::NewLeaderAckBeforeSync,
    Defect::SyncThreadSurvivesShutdown,
    Defect::CommitBeforeUpToDate,
    Defect::ClientNeverGivesUp,
    Defect::EpochFileMismatchRefusesStart,
    Defect::StrandedByAcceptedEpoch,
];

/// The words for ZooKeeper versions in scenario files, and what each switches on.
pub const ZOOKEEPER_VERSIONS: &[(&str, &[Defect])] = &[
    ("fixed", &[]),
    ("3.8.0", ZOOKEEPER_3_8_0_TO_3_8_4),
    ("3.8.2", ZOOKEEPER_3_8_0_TO_3_8_4),
    (
        "3.8.6",
        &[
            Defect::SyncThreadSurvivesShutdown,
            Defect::CommitBeforeUpToDate,
            Defect::ClientNeverGivesUp,
            Defect::EpochFileMismatchRefusesStart,
            Defect::StrandedByAcceptedEpoch,
        ],
    ),
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
            Defect::OwnWriteTakenForConflict,
            Defect::LateUpdateMetadata,
            Defect::ControllerVacancyMissed,
            Defect::MisroutedConnection,
            Defect::ValidationByEndAlone,
            Defect::ForgottenFetchedEpoch,
        ],
    ),
];
