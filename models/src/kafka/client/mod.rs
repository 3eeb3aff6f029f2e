//! The Java clients of Kafka 3.6: a producer, a consumer with assigned partitions or in a group, and the part of the admin client that
//! sets a workload up. They share the network client and the metadata. Read
//! `metadata` and `network` first, then the three in that order.
//!
//! Clients have no disk: a crash takes everything but the numbering of values, which belongs to the workload.

mod admin;
mod alarm;
mod consumer;
mod errors;
mod metadata;
mod network;
mod producer;
#[cfg(test)]
mod tests;
mod zookeeper_shell;

pub use admin::{AdminClient, AdminSpec};
pub use consumer::{Consumer, ConsumerSpec, Subscribed};
pub use producer::{Producer, ProducerSpec};

/// What a client's timers carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientTimer {
    /// The application acts: it begins, or hands the next record over.
    Application,
    /// The operator deletes `/controller` by hand.
    DeleteController,
    /// Metadata may or must be refreshed.
    Metadata,
    /// `linger.ms` or a back-off of some partition is over.
    Ready,
    /// The oldest batch may have reached `delivery.timeout.ms`.
    Delivery,
    /// `max.block.ms` of the blocked `send()` is over.
    MaxBlock,
    /// A consumer asks for the ends of its partitions.
    EndOffsets,
    /// A member of a group has a heartbeat or a commit to send, or may try again.
    Group,
    /// InitProducerId may be asked again; for the admin client, its next attempt.
    Retry,
}
