//! What an error code means to a client: whether to try again, whether to look for the leader, what it proves.

use crate::kafka::protocol::ErrorCode;

/// `RetriableException` and its subclasses.
pub(super) const fn is_retriable(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::RequestTimedOut
            | ErrorCode::NotEnoughReplicas
            | ErrorCode::NotEnoughReplicasAfterAppend
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::NotController
            | ErrorCode::UnknownLeaderEpoch
            | ErrorCode::OffsetNotAvailable
            | ErrorCode::FetchSessionIdNotFound
            | ErrorCode::InvalidFetchSessionEpoch
    ) || is_invalid_metadata(error)
}

/// `InvalidMetadataException` and its subclasses: the client's view of the cluster is doubtful.
pub(super) const fn is_invalid_metadata(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::NotLeaderOrFollower
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::UnknownTopicOrPartition
            | ErrorCode::ReplicaNotAvailable
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::KafkaStorageError
            | ErrorCode::NetworkException
    )
}

/// Whether this answer to a produce request proves that the attempt it answers appended nothing.
///
/// NOT_LEADER_OR_FOLLOWER and UNKNOWN_TOPIC_OR_PARTITION prove nothing: a broker also gives them for a write that it
/// appended and then waited for when it lost the partition (`DelayedProduce`).
pub(super) const fn is_definite_rejection(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::NotEnoughReplicas
            | ErrorCode::MessageTooLarge
            | ErrorCode::InvalidRequest
            | ErrorCode::OutOfOrderSequenceNumber
            | ErrorCode::InvalidProducerEpoch
            | ErrorCode::UnknownProducerId
    )
}
