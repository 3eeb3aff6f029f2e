//! Names of things, as newtypes, so that a broker id can never be taken for an offset.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty), $show:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $show, self.0)
            }
        }
    };
}

id!(
    /// A process of the deployment: its position in the scenario's list of processes.
    ProcessId(u16), "p{}"
);
id!(
    /// A host of the topology: its position in the scenario's list of hosts.
    HostId(u16), "h{}"
);
id!(
    /// One end of a connection or datagram exchange on a host, like a TCP port.
    Port(u16), "{}"
);
id!(
    /// A connection as one process knows it. The two ends have ids of their own; an id is never reused by a process.
    ConnId(u32), "c{}"
);
id!(
    /// A timer set by a process; never reused by that process.
    TimerId(u64), "t{}"
);
id!(
    /// A request that a process made of its disk. The process chooses the number.
    DiskToken(u64), "d{}"
);
id!(
    /// `broker.id`.
    BrokerId(i32), "{}"
);
id!(
    /// A ZooKeeper server's `myid`.
    Sid(u8), "{}"
);
id!(
    /// A ZooKeeper session id; 0 means "none yet".
    SessionId(u64), "0x{:x}"
);
id!(
    /// The identity of a record's payload: unique per partition, kept by retries inside a producer.
    ValueId(u64), "v{}"
);
id!(
    /// A producer id; -1 in the real protocol is `None` here.
    ProducerId(u64), "{}"
);
id!(
    /// A fault of the schedule, in the order of the schedule.
    FaultId(u32), "f{}"
);
id!(
    /// The id that a group coordinator gives to a member; a UUID in the real protocol.
    MemberId(u64), "m{:x}"
);

/// A consumer group, by its `group.id`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Group(pub Arc<str>);

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A topic. A workload's topics are numbered from 0 and named `topic-N`; the brokers' own have the numbers from
/// [`Topic::FIRST_INTERNAL`] on. See [`Topic::name`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Topic(pub u16);

impl Topic {
    /// The first number of the brokers' own topics; no workload has so many.
    pub const FIRST_INTERNAL: u16 = u16::MAX - 3;
    /// Where groups and their offsets are kept (`Topic.GROUP_METADATA_TOPIC_NAME`).
    pub const CONSUMER_OFFSETS: Self = Self(u16::MAX);

    /// Whether it is the brokers' own.
    pub const fn is_internal(self) -> bool {
        self.0 >= Self::FIRST_INTERNAL
    }

    /// The topic's name as it stands in znodes and reports.
    pub fn name(self) -> String {
        self.to_string()
    }

    /// The topic whose [`Topic::name`] is `name`.
    pub fn parse(name: &str) -> Option<Self> {
        if name == CONSUMER_OFFSETS_NAME {
            return Some(Self::CONSUMER_OFFSETS);
        }
        name.strip_prefix("topic-")?.parse().ok().map(Self)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::CONSUMER_OFFSETS { f.write_str(CONSUMER_OFFSETS_NAME) } else { write!(f, "topic-{}", self.0) }
    }
}

const CONSUMER_OFFSETS_NAME: &str = "__consumer_offsets";

/// A process and the port it listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address {
    /// Who listens.
    pub process: ProcessId,
    /// Where.
    pub port: Port,
}

/// A ZooKeeper transaction id: the epoch in the high 32 bits, a counter in the low ones (`ZxidUtils`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Zxid(pub u64);

impl Zxid {
    /// Before every transaction.
    pub const ZERO: Self = Self(0);

    /// The zxid of `epoch` and `counter`.
    pub const fn new(epoch: u32, counter: u32) -> Self {
        Self(((epoch as u64) << 32) | counter as u64)
    }

    /// The epoch of the leader that proposed it.
    pub const fn epoch(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Its number within the epoch; 0 stands for the epoch's NEWLEADER.
    pub const fn counter(self) -> u32 {
        self.0 as u32
    }

    /// The next zxid of the same epoch.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Zxid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({},{})", self.epoch(), self.counter())
    }
}

/// A partition of a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Topic,
    /// The partition's number within the topic, from 0.
    pub partition: u16,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}
