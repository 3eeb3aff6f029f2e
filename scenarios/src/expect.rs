//! What a run is expected to show, besides the laws: bounds on what can be measured.

use std::fmt;

use models::kafka::metrics::Metric;
use models::laws::Law;
use models::time::Span;
use serde::{Deserialize, Serialize};

use crate::topology::SiteId;
use crate::units::{Share, show_span};

/// Expectations. An unmet one fails the run as a broken law does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expect {
    /// Acknowledged records that may be lost. Setting it judges losses even where the settings promise nothing (acks=1,
    /// unclean election); `None` leaves that to the laws' own gates.
    pub permitted_losses: Option<u64>,
    /// Laws that are known to be broken, each once: the run goes on past that, counts it as permitted, and fails by others alone.
    pub known_breaches: Vec<Law>,
    /// The steady-state hypothesis: true at the end of the warm-up, else the run is void.
    pub steady_state: Vec<(Gauge, Bound)>,
    /// True at every instant from the end of the warm-up to the end of the run.
    pub throughout: Vec<(Gauge, Bound)>,
    /// True at the end of the quiet phase.
    pub at_end: Vec<(Gauge, Bound)>,
    /// Of the whole run from the end of the warm-up.
    pub totals: Vec<(Total, Bound)>,
}

/// A bound, both ends included. The unit is that of what is measured: a count, nanoseconds, parts per million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// At least.
    pub min: u64,
    /// At most; `u64::MAX` is no limit.
    pub max: u64,
}

impl Bound {
    /// Exactly this.
    pub const fn exactly(value: u64) -> Self {
        Self { min: value, max: value }
    }

    /// Whether a measured value keeps it.
    pub const fn holds(self, value: u64) -> bool {
        self.min <= value && value <= self.max
    }

    /// How it is written, with values of `unit`.
    pub fn text(self, unit: Unit) -> String {
        match (self.min, self.max) {
            (min, max) if min == max => unit.show(min),
            (0, max) => format!("<= {}", unit.show(max)),
            (min, u64::MAX) => format!(">= {}", unit.show(min)),
            (min, max) => format!("{}..{}", unit.show(min), unit.show(max)),
        }
    }
}

/// In what something is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Nanoseconds.
    Span,
    /// Parts per million.
    Share,
}

impl Unit {
    /// Writes a value.
    pub fn show(self, value: u64) -> String {
        match self {
            Self::Count => value.to_string(),
            Self::Span => show_span(Span::from_ns(value)),
            Self::Share => Share::from_ppm(u32::try_from(value).unwrap_or(u32::MAX)).to_string(),
        }
    }
}

macro_rules! words {
    (
        $(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $word:literal, $unit:ident;)* }
        $(of { $($(#[$of_doc:meta])* $of:ident($what:ty) = $of_word:literal, $of_unit:ident;)* })?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$item_doc])* $item,)* $($($(#[$of_doc])* $of($what),)*)? }

        impl $name {
            /// The words for them in scenario files, without those that are of something.
            pub const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$item)),*];

            /// The word for it.
            pub fn word(self) -> &'static str {
                match self { $(Self::$item => $word,)* $($(Self::$of(_) => $of_word,)*)? }
            }

            /// In what it is measured.
            pub fn unit(self) -> Unit {
                match self { $(Self::$item => Unit::$unit,)* $($(Self::$of(_) => Unit::$of_unit,)*)? }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

words!(
    /// What has a value at every instant.
    Gauge {
        /// The sum of ActiveControllerCount over all brokers.
        Controllers = "controllers", Count;
        /// Brokers registered in ZooKeeper with their present incarnation.
        Brokers = "brokers", Count;
        /// ZooKeeper servers that lead and serve.
        ZooKeeperLeaders = "zookeeper_leaders", Count;
        /// ZooKeeper servers that lead or follow and serve.
        ZooKeeperServing = "zookeeper_serving", Count;
        /// Partitions whose committed ISR is smaller than their replica list.
        UnderReplicated = "under_replicated", Count;
        /// Partitions without a leader.
        Offline = "offline", Count;
    } of {
        /// The sum of ActiveControllerCount that the monitor of a site shows; 0 before its first scrape.
        ControllersSeenFrom(SiteId) = "controllers_seen_from", Count;
        /// A metric of the brokers that run, put together as [`Metric::together`] says.
        Metric(Metric) = "metrics", Count;
    }
);

words!(
    /// What adds up over a run.
    Total {
        /// Times that a broker won the controller election.
        ControllerChanges = "controller_changes", Count;
        /// ZooKeeper sessions of brokers that expired.
        SessionsExpired = "sessions_expired", Count;
        /// New registrations of brokers (a new czxid).
        Registrations = "registrations", Count;
        /// Partition leader elections: committed leader epochs with another leader than before.
        LeaderElections = "leader_elections", Count;
        /// Committed ISR changes that removed a replica.
        IsrShrinks = "isr_shrinks", Count;
        /// Truncations that removed at least one record.
        Truncations = "truncations", Count;
        /// Restarts of a process that had lost something it had written.
        LossyRestarts = "lossy_restarts", Count;
        /// Records whose outcome the producer did not learn.
        AmbiguousWrites = "ambiguous_writes", Count;
        /// Generations of consumer groups that began to read.
        GroupRebalances = "group_rebalances", Count;
        /// Members that coordinators removed from their groups for their silence.
        MembersExpired = "members_expired", Count;
        /// Times that ZooKeeper ceased to have a serving leader.
        QuorumLosses = "quorum_losses", Count;
        /// Times that a ZooKeeper server began to lead and serve.
        ZooKeeperElections = "zookeeper_elections", Count;
        /// The longest time without any acknowledged record.
        LongestOutage = "longest_outage", Span;
        /// From the first fault to the first reaction of anybody (S-DETECT).
        DetectTime = "detect_time", Span;
        /// The longest time from a partition's last acknowledgement under one leader to its first under the next
        /// (S-FAILOVER-TIME).
        FailoverTime = "failover_time", Span;
        /// The longest time in all for which a partition acknowledged nothing, short pauses aside (S-UNAVAILABILITY).
        Unavailability = "unavailability", Span;
        /// The oldest record that a follower took, since its leader had appended it (S-REPL-LAG).
        ReplicationLag = "replication_lag", Span;
        /// Time that partitions spent with fewer in-sync replicas than replicas, all together (S-UNDER-REPLICATED).
        UnderReplicatedTime = "under_replicated_time", Span;
        /// Time that partitions spent below `min.insync.replicas`, all together (S-UNDER-REPLICATED).
        UnderMinIsrTime = "under_min_isr_time", Span;
        /// The oldest acknowledged record that a consumer read on to (S-STALE-READ).
        StaleRead = "stale_read", Span;
        /// From the end of the last fault until every liveness law holds.
        Recovery = "recovery", Span;
        /// Records acknowledged, of those sent.
        Acknowledged = "acknowledged", Share;
    }
);
