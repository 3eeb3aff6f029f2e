//! Apache Kafka 3.6 in ZooKeeper mode: broker, controller, replication, and the Java clients.

pub mod broker;
mod by_partition;
pub mod channel;
pub mod client;
pub mod config;
pub mod controller;
pub mod group;
pub mod inter_broker_protocol;
pub mod metadata_cache;
pub mod metrics;
pub mod protocol;
pub mod replica;
pub mod zk_client;
pub mod znode;

/// Where each broker of the cluster listens.
pub type Addresses = std::sync::Arc<std::collections::BTreeMap<crate::id::BrokerId, crate::id::Address>>;

/// Brokers with a rack, as their registrations say (`broker.rack`).
pub type Racks = std::sync::Arc<std::collections::BTreeMap<crate::id::BrokerId, config::Text>>;

/// What timers of the Kafka processes carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// Of an outgoing connection.
    Channel(channel::ChannelTimer),
    /// Of the broker itself and its ZooKeeper wrapper.
    Broker(broker::BrokerTimer),
    /// Of the controller.
    Controller(controller::ControllerTimer),
    /// Of replicas and their fetchers.
    Replica(replica::ReplicaTimer),
    /// Of producers, consumers and the admin client.
    Client(client::ClientTimer),
}
