//! What a seed can draw, and how often.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

macro_rules! kinds {
    ($($(#[$doc:meta])+ $kind:ident = $word:literal;)*) => {
        /// What can be drawn.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum ChaosKind { $($(#[$doc])+ $kind,)* }

        impl ChaosKind {
            /// All kinds. Draws by weight go through this order: a new kind is added at the end.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// The word for it in scenario files.
            pub fn word(self) -> &'static str {
                match self { $(Self::$kind => $word,)* }
            }
        }
    };
}

kinds! {
    /// Two sites are cut from each other.
    WanCut = "wan-cut";
    /// Packets from one site to another are lost, the other way they arrive.
    OneWayCut = "one-way-cut";
    /// A broker's or ZooKeeper server's host is cut from all other servers; clients still reach it.
    Isolate = "isolate";
    /// The WAN loses packets.
    Loss = "loss";
    /// The WAN is slow.
    Delay = "delay";
    /// The WAN comes and goes.
    Flap = "flap";
    /// A broker or ZooKeeper server is killed.
    Kill = "kill";
    /// A broker or ZooKeeper server stands still.
    Pause = "pause";
    /// A host loses power.
    HostCrash = "host-crash";
    /// A disk is slow.
    SlowDisk = "slow-disk";
    /// A broker or ZooKeeper server is told to stop.
    Stop = "stop";
    /// Two servers' hosts are cut from each other, both ways or one; everybody else reaches both.
    PairCut = "pair-cut";
    /// The WAN loses packets in bursts.
    Burst = "burst-loss";
    /// The WAN doubles packets.
    Duplicate = "duplicate";
    /// Packets overtake each other on the WAN.
    Reorder = "reorder";
    /// The WAN flips bits.
    Corrupt = "corrupt";
    /// The WAN is narrow.
    Rate = "rate";
    /// All connections between two sites are reset.
    Reset = "reset";
    /// Nothing on a disk completes.
    StallDisk = "stall-disk";
    /// Writes and fsyncs fail.
    FailDisk = "fail-disk";
    /// A disk is full.
    FillDisk = "fill-disk";
    /// A wall clock jumps.
    ClockJump = "clock-jump";
    /// A clock runs too fast or too slow.
    ClockDrift = "clock-drift";
    /// A broker's ZooKeeper client reports AuthFailed although its session lives.
    AuthFailed = "auth-failed";
    /// An operator deletes `/controller`.
    DeleteController = "delete-controller";
    /// The servers' hosts are split in two: halves, one alone, a majority, a small minority.
    Split = "split";
    /// Two halves, and one host that reaches both.
    Bridge = "bridge";
    /// Each server's host reaches a majority, no two the same one.
    Ring = "majorities-ring";
    /// The controller's host, that of ZooKeeper's leader, or both are alone.
    Primaries = "primaries";
    /// The WAN refuses or resets what it does not carry, or lets only connections in place through.
    RejectingCut = "rejecting-cut";
    /// Large packets never arrive on the WAN.
    MtuHole = "mtu-hole";
    /// Some connections over the WAN lose packets, the others none.
    FlowLoss = "flow-loss";
    /// The WAN is shared in turns.
    Slot = "slot";
    /// One site has no route to another.
    RouteLost = "route-lost";
    /// A host's network interface is down.
    LinkDown = "link-down";
    /// A host's resolver answers wrongly for a server's name.
    Dns = "dns";
    /// A broker or ZooKeeper server is restarted.
    Restart = "restart";
    /// Brokers are restarted one after the other.
    RollingRestart = "rolling-restart";
    /// Long garbage collections, one after the other.
    Gc = "gc";
    /// A process gets too little of the CPU.
    Cpu = "cpu";
    /// All servers of a site lose power.
    SiteCrash = "site-crash";
    /// A disk is narrow.
    LimitDisk = "limit-disk";
    /// A broker's index files are damaged.
    DamageIndexes = "damage-indexes";
    /// A wall clock jumps to and fro.
    ClockStrobe = "clock-strobe";
    /// A broker's host is cut from all ZooKeeper servers, both ways or one; brokers and clients reach it.
    ZooKeeperCut = "zookeeper-cut";
    /// The way from a broker's host to all ZooKeeper servers is slow.
    ZooKeeperDelay = "zookeeper-delay";
    /// The way from a server's host to all others is slow.
    HostDelay = "host-delay";
    /// The way from one server's host to that of another is slow.
    PairDelay = "pair-delay";
    /// A server's host comes and goes.
    HostFlap = "host-flap";
    /// The connections of a server's host are reset, again and again.
    HostReset = "host-reset";
    /// Clients do not reach a broker, or do not hear from it; other brokers do.
    ClientCut = "client-cut";
    /// A story: the controller's path to ZooKeeper is slow, it has work to do, and another broker is made controller.
    OustedController = "ousted-controller";
    /// A story: a broker loses its ZooKeeper session, and on its return the path is slow, breaks, or brings no answers.
    BadReturn = "bad-return";
    /// A story: two brokers hardly reach each other, and leaderships go to and fro among them.
    SeeSaw = "see-saw";
    /// A story: a broker hears of no election but keeps its session, and leaders change.
    DeafBroker = "deaf-broker";
    /// A story: a ZooKeeper server was away, and its line is bad while it catches up.
    RoughSync = "rough-sync";
    /// A story: a server or broker was away, and its host loses power while its slow disk catches up.
    DarkReturn = "dark-return";
}

impl ChaosKind {
    /// Whether it needs two sites.
    pub fn needs_wan(self) -> bool {
        matches!(
            self,
            Self::WanCut
                | Self::OneWayCut
                | Self::Loss
                | Self::Delay
                | Self::Flap
                | Self::Burst
                | Self::Duplicate
                | Self::Reorder
                | Self::Corrupt
                | Self::Rate
                | Self::Reset
                | Self::RejectingCut
                | Self::MtuHole
                | Self::FlowLoss
                | Self::Slot
                | Self::RouteLost
        )
    }

    /// Whether it needs brokers.
    pub fn needs_kafka(self) -> bool {
        matches!(
            self,
            Self::AuthFailed
                | Self::DeleteController
                | Self::RollingRestart
                | Self::DamageIndexes
                | Self::ZooKeeperCut
                | Self::ZooKeeperDelay
                | Self::ClientCut
                | Self::OustedController
                | Self::BadReturn
                | Self::SeeSaw
                | Self::DeafBroker
        )
    }
}

/// How often each kind is drawn, relative to the others; kinds that are not named never.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weights(BTreeMap<ChaosKind, u32>);

impl Weights {
    /// The weight of a kind.
    pub fn of(&self, kind: ChaosKind) -> u32 {
        self.0.get(&kind).copied().unwrap_or(0)
    }

    /// The kinds that can be drawn, with their weights, in the order of [`ChaosKind::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (ChaosKind, u32)> {
        self.0.iter().map(|(kind, weight)| (*kind, *weight))
    }

    /// Whether nothing can be drawn.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Only those kinds for which `keep` is true.
    #[must_use]
    pub fn only(mut self, mut keep: impl FnMut(ChaosKind) -> bool) -> Self {
        self.0.retain(|kind, _| keep(*kind));
        self
    }
}

impl FromIterator<(ChaosKind, u32)> for Weights {
    fn from_iter<I: IntoIterator<Item = (ChaosKind, u32)>>(weights: I) -> Self {
        Self(weights.into_iter().filter(|(_, weight)| *weight > 0).collect())
    }
}
