//! The world of the Kafka deployment: what its processes say to each other and what their timers carry.

use std::hash::Hash;

use crate::fingerprint::Fingerprint;
use crate::id::Port;
use crate::kafka::{self, protocol::Frame};
use crate::process::{Context, Input, Payload};
use crate::zk::{
    client::ZkClientTimer,
    protocol::ClientMessage,
    server::{ElectionPacket, QuorumPacket, ZkServerTimer},
};

/// The context of every process of this world.
pub type Ctx<'a> = Context<'a, Message, Timer>;
/// The input of every process of this world.
pub type In = Input<Message, Timer>;

/// ZooKeeper's client port.
pub const ZK_CLIENT_PORT: Port = Port(2181);
/// ZooKeeper's quorum port; only a leader listens on it.
pub const ZK_QUORUM_PORT: Port = Port(2888);
/// ZooKeeper's election port.
pub const ZK_ELECTION_PORT: Port = Port(3888);
/// Kafka's port.
pub const KAFKA_PORT: Port = Port(9092);

/// Anything that is said in this world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// Between a ZooKeeper client and a server.
    Zk(Box<ClientMessage>),
    /// Between ZooKeeper servers on the quorum port.
    Quorum(QuorumPacket),
    /// Between ZooKeeper servers on the election port.
    Election(ElectionPacket),
    /// Between Kafka processes.
    Kafka(Frame),
}

/// What any timer of this world carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// Of a ZooKeeper server.
    ZkServer(ZkServerTimer),
    /// Of a ZooKeeper client.
    ZkClient(ZkClientTimer),
    /// Of an application with a session of its own.
    SessionClient,
    /// Of a Kafka process.
    Kafka(kafka::Timer),
}

impl Payload for Message {
    fn wire_size(&self) -> u32 {
        match self {
            Self::Zk(message) => message.wire_size(),
            Self::Quorum(packet) => packet.wire_size(),
            Self::Election(packet) => packet.wire_size(),
            Self::Kafka(frame) => frame.wire_size(),
        }
    }

    /// `QuorumCnxManager.SendWorker.send` writes a notification's length and its bytes to an unbuffered socket.
    fn written_ahead(&self) -> u32 {
        match self {
            Self::Election(ElectionPacket::Notification(_)) => 4,
            Self::Zk(_) | Self::Quorum(_) | Self::Election(_) | Self::Kafka(_) => 0,
        }
    }

    fn fold(&self, into: &mut Fingerprint) {
        self.hash(into);
    }
}

#[test]
fn what_is_moved_at_every_event_stays_small() {
    let effect = size_of::<crate::process::Effect<Message, Timer>>();
    let sizes = (size_of::<Message>(), size_of::<crate::observation::Observation>(), effect);
    assert!(sizes.0 <= 64 && sizes.1 <= 64 && sizes.2 <= 72, "box what is large and rare: {sizes:?}");
}
