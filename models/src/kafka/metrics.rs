//! What a broker's JVM tells of itself over JMX, under the real names: what this process believes, not the truth.
//!
//! A metric that has not been observed since the start of its process is 0. A process that is down shows none, a paused one
//! its last values to nobody.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::observation::Observation;
use crate::time::Span;
use crate::world::Ctx;

/// How the values of several brokers are put together on a dashboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Together {
    /// They are added.
    Sum,
    /// The greatest counts.
    Max,
}

macro_rules! metrics {
    ($($(#[$doc:meta])+ $name:ident = $mbean:literal, $together:ident;)*) => {
        /// A metric, by the `name` of its MBean.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Metric { $($(#[$doc])+ $name,)* }

        impl Metric {
            /// All of them with their names.
            pub const WORDS: &'static [(&'static str, Self)] = &[$((stringify!($name), Self::$name)),*];

            /// The `name` of its MBean.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// Domain and type of its MBean.
            pub const fn mbean(self) -> &'static str {
                match self { $(Self::$name => $mbean,)* }
            }

            /// How the values of several brokers are put together.
            pub const fn together(self) -> Together {
                match self { $(Self::$name => Together::$together,)* }
            }
        }
    };
}

metrics! {
    /// 1 iff `activeControllerId` is the own id, read live.
    ActiveControllerCount = "kafka.controller:type=KafkaController", Sum;
    /// Partitions in state OfflinePartition; as every gauge of the controller but the first 0 where it is not active, and
    /// refreshed only at the end of an event.
    OfflinePartitionsCount = "kafka.controller:type=KafkaController", Sum;
    /// Partitions that are not led by the first replica of their assignment.
    PreferredReplicaImbalanceCount = "kafka.controller:type=KafkaController", Sum;
    /// Topics.
    GlobalTopicCount = "kafka.controller:type=KafkaController", Max;
    /// Partitions.
    GlobalPartitionCount = "kafka.controller:type=KafkaController", Max;
    /// Live brokers, those that shut down included.
    ActiveBrokerCount = "kafka.controller:type=KafkaController", Max;
    /// `ControllerState.value` of the event in progress, 0 without one. Observed when the event thread blocks or falls idle.
    ControllerState = "kafka.controller:type=KafkaController", Max;
    /// Events that wait. Observed when the event thread blocks or falls idle.
    EventQueueSize = "kafka.controller:type=ControllerEventManager", Max;
    /// Time that events waited; a blocked thread gives no samples.
    EventQueueTimeMs = "kafka.controller:type=ControllerEventManager", Max;
    /// Control requests that have not been taken by their send thread.
    TotalQueueSize = "kafka.controller:type=ControllerChannelManager", Sum;
    /// Time of every change of the brokers, whether anybody was elected or not; other elections are not in it.
    LeaderElectionRateAndTimeMs = "kafka.controller:type=ControllerStats", Sum;
    /// Time of every election, resignation and expiry of a controller.
    ControllerChangeRateAndTimeMs = "kafka.controller:type=ControllerStats", Sum;
    /// Leaders chosen outside the ISR, whether their election is stored or not.
    UncleanLeaderElectionsPerSec = "kafka.controller:type=ControllerStats", Sum;
    /// Partitions that this broker leads.
    LeaderCount = "kafka.server:type=ReplicaManager", Sum;
    /// Partitions of which this broker has a replica.
    PartitionCount = "kafka.server:type=ReplicaManager", Sum;
    /// Replicas on a failed disk. 0 as long as a failed disk ends the process.
    OfflineReplicaCount = "kafka.server:type=ReplicaManager", Sum;
    /// Led partitions whose committed ISR is smaller than their assignment: does not move while ISR changes fail.
    UnderReplicatedPartitions = "kafka.server:type=ReplicaManager", Sum;
    /// Led partitions whose committed ISR is smaller than `min.insync.replicas`.
    UnderMinIsrPartitionCount = "kafka.server:type=ReplicaManager", Sum;
    /// Led partitions whose committed ISR has just `min.insync.replicas` members.
    AtMinIsrPartitionCount = "kafka.server:type=ReplicaManager", Sum;
    /// Shrinks that were answered with success.
    IsrShrinksPerSec = "kafka.server:type=ReplicaManager", Sum;
    /// Expansions that were answered with success.
    IsrExpandsPerSec = "kafka.server:type=ReplicaManager", Sum;
    /// Refused and ignored answers to ISR changes; requests without an answer are not in it.
    FailedIsrUpdatesPerSec = "kafka.server:type=ReplicaManager", Sum;
    /// The largest distance from a leader's high watermark, in records, as of the last answer of each leader.
    MaxLag = "kafka.server:type=ReplicaFetcherManager", Max;
    /// Partitions that a fetcher has given up.
    FailedPartitionsCount = "kafka.server:type=ReplicaFetcherManager", Sum;
    /// `BrokerState.value`: 1 starting, 2 recovering, 3 running.
    BrokerState = "kafka.server:type=KafkaServer", Max;
    /// The ordinal of `ZooKeeper.States`: 0 CONNECTING, 2 CONNECTED, 4 CLOSED.
    SessionState = "kafka.server:type=SessionExpireListener", Max;
    /// Lost connections to ZooKeeper.
    ZooKeeperDisconnectsPerSec = "kafka.server:type=SessionExpireListener", Sum;
    /// Confirmed connections to ZooKeeper.
    ZooKeeperSyncConnectsPerSec = "kafka.server:type=SessionExpireListener", Sum;
    /// Expired sessions, counted when a server of a quorum says so.
    ZooKeeperExpiresPerSec = "kafka.server:type=SessionExpireListener", Sum;
}

/// The last values of some metrics of a process. A value is observed when it changes.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Metrics(BTreeMap<Metric, u64>);

impl Metrics {
    /// The last value.
    pub(crate) fn get(&self, metric: Metric) -> u64 {
        self.0.get(&metric).copied().unwrap_or(0)
    }

    /// Sets a gauge.
    pub(crate) fn set(&mut self, ctx: &mut Ctx<'_>, metric: Metric, value: u64) {
        if self.get(metric) != value {
            self.0.insert(metric, value);
            ctx.observe(Observation::Metric { metric, value, took: None });
        }
    }

    /// Marks a meter once.
    pub(crate) fn mark(&mut self, ctx: &mut Ctx<'_>, metric: Metric) {
        self.set(ctx, metric, self.get(metric) + 1);
    }

    /// Updates a timer, or a histogram of times.
    pub(crate) fn time(&mut self, ctx: &mut Ctx<'_>, metric: Metric, took: Span) {
        let value = self.get(metric) + 1;
        self.0.insert(metric, value);
        ctx.observe(Observation::Metric { metric, value, took: Some(took) });
    }
}
