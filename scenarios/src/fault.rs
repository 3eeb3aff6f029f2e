//! Faults and the words that say whom they hit.

mod text;
mod words;

use models::id::{BrokerId, HostId, Port, ProcessId, Sid, TopicPartition};
use models::time::Span;
use serde::{Deserialize, Serialize};

use crate::deployment::Deployment;
use crate::netem::{Loss, Netem};
use crate::scenario::Scenario;
use crate::topology::SiteId;
use crate::units::Share;

pub(crate) use text::Names;
pub use words::{DiskOps, DnsAnswer, Errno, LostRoute, Mode, Unsynced};

/// Something that goes wrong for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// Packets on the route do not arrive.
    Cut {
        /// Which packets.
        route: Route,
        /// Which of them, and who is told.
        mode: Mode,
    },
    /// Two hosts that stand in groups reach each other only if they share one; a host in no group is not touched. Groups may
    /// overlap: a host in two of them is a bridge.
    Partition {
        /// The groups.
        groups: Vec<Vec<Place>>,
        /// Which packets do not arrive, and who is told.
        mode: Mode,
    },
    /// The route does this to packets, on top of what it does anyway: delays add, losses combine as independent ones, the
    /// smaller rate holds.
    Impair {
        /// Which packets.
        route: Route,
        /// What happens to them.
        netem: Netem,
    },
    /// Packets larger than `above` never arrive, smaller ones do: a path MTU that nobody discovers.
    MtuHole {
        /// Which packets.
        route: Route,
        /// Bytes with IP and TCP headers, less than the 1,500 of a full packet.
        above: u32,
    },
    /// Some connections lose packets, all others none. Which ones is a hash of the connection and the run's seed.
    FlowLoss {
        /// Which packets.
        route: Route,
        /// The share of connections.
        flows: Share,
        /// The share of the packets of such a connection.
        packets: Share,
    },
    /// A cut that comes and goes, beginning with a cut.
    Flap {
        /// Which packets.
        route: Route,
        /// How long each cut lasts.
        down: Span,
        /// How long the route is sound in between.
        up: Span,
    },
    /// The senders have no route: who dials gets an error at once; connections in place hang.
    RouteLost {
        /// Which packets.
        route: Route,
        /// What the routing table says.
        kind: LostRoute,
    },
    /// The network interface of the host is down: who dials there gets an error at once, everybody else hears nothing of it.
    LinkDown {
        /// Whose.
        host: HostSelector,
    },
    /// The resolver of a host answers wrongly for the name of another one. Connections in place stay.
    Dns {
        /// Whose resolver.
        host: HostSelector,
        /// The host whose name is asked for.
        name: HostId,
        /// What the resolver says.
        answer: DnsAnswer,
    },
    /// `kill -9`, and no restart for the fault's duration; then the supervisor takes over as after any exit.
    Kill {
        /// Who.
        process: ProcessSelector,
    },
    /// SIGTERM, as `systemctl stop` sends it: a broker hands its leaderships over and closes its logs before it ends. No restart
    /// for the fault's duration.
    Stop {
        /// Who.
        process: ProcessSelector,
        /// How long it may take; then SIGKILL (`TimeoutStopSec`).
        grace: Span,
    },
    /// `systemctl restart`: SIGTERM, and a start as soon as the process has ended and `delay` has passed.
    Restart {
        /// Who.
        process: ProcessSelector,
        /// How long it may take to end; then SIGKILL.
        grace: Span,
        /// How long it stays down.
        delay: Span,
    },
    /// SIGSTOP, and SIGCONT at the end. The kernel goes on accepting connections and acknowledging data.
    Pause {
        /// Who.
        process: ProcessSelector,
    },
    /// The process stands still again and again, as under a garbage collector that cannot keep up; it begins with a pause.
    Gc {
        /// Who.
        process: ProcessSelector,
        /// How long each pause lasts.
        pause: Span,
        /// From the beginning of one pause to that of the next; longer than `pause`.
        period: Span,
    },
    /// The process gets too little of the CPU: every input keeps it busy for `delay`, and the others wait meanwhile.
    Cpu {
        /// Who.
        process: ProcessSelector,
        /// Time of an input.
        delay: Span,
    },
    /// A broker's ZooKeeper client reports AuthFailed although its session is alive, once, at the beginning: SASL fails late.
    AuthFailed {
        /// Whose.
        process: ProcessSelector,
    },
    /// An operator deletes `/controller` by hand, to have a controller elected, once, at the beginning.
    DeleteController,
    /// The host loses power, with what its page cache holds; it is back at the end.
    HostCrash {
        /// Which.
        host: HostSelector,
        /// What becomes of what was written and not fsynced.
        unsynced: Unsynced,
    },
    /// Completions of the disk come later. Writes end in the page cache and cost nothing before the next fsync.
    SlowDisk {
        /// Whose.
        host: HostSelector,
        /// How much later a read ends.
        read: Span,
        /// How much later an fsync ends.
        sync: Span,
    },
    /// The disk transfers no more than this (`io.max`). At least one bound is given.
    DiskRate {
        /// Whose.
        host: HostSelector,
        /// Bytes a second that are read.
        read: Option<u64>,
        /// Bytes a second that an fsync writes.
        write: Option<u64>,
        /// Requests a second.
        iops: Option<u32>,
    },
    /// Nothing on the disk completes.
    StallDisk {
        /// Whose.
        host: HostSelector,
    },
    /// Operations of the disk fail.
    FailDisk {
        /// Whose.
        host: HostSelector,
        /// Only this path of a broker's `log.dirs`, which then is a file system of its own; all of its operations fail with EIO.
        dir: Option<String>,
        /// How they fail.
        errno: Errno,
        /// Which fail.
        ops: DiskOps,
        /// How many of them; writes fail all or not at all.
        share: Share,
    },
    /// The disk is full except for `leave` bytes.
    FillDisk {
        /// Whose.
        host: HostSelector,
        /// Bytes left.
        leave: u64,
    },
    /// The index files of a broker's logs are damaged, once, at the beginning: its next start reads all its logs and builds them anew,
    /// even after a clean shutdown.
    DamageIndexes {
        /// Whose.
        process: ProcessSelector,
    },
    /// The wall clock jumps, and back at the end.
    ClockJump {
        /// Whose.
        host: HostSelector,
        /// Nanoseconds; positive is into the future.
        by_ns: i64,
    },
    /// Wall and monotonic clock run faster by this much.
    ClockDrift {
        /// Whose.
        host: HostSelector,
        /// Parts per million; negative is slower.
        ppm: i32,
    },
    /// The wall clock jumps there and back, again and again; at the end it is where it was.
    ClockStrobe {
        /// Whose.
        host: HostSelector,
        /// Nanoseconds; positive is into the future.
        by_ns: i64,
        /// From one jump to the next.
        period: Span,
    },
    /// Both ends of every connection on the route get RST, once, at the beginning. New connections work.
    ResetConnections(Route),
    /// An operator makes these ZooKeeper servers an ensemble of their own: they are restarted with `server.N` lines for one
    /// another only, and at the end with the old lines. Two sites that both do this have two ensembles.
    Reconfigure {
        /// The servers, ascending.
        servers: Vec<Sid>,
    },
}

/// Packets from some places to some others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Senders.
    pub from: Vec<Place>,
    /// Receivers; none named means every host that is not among the senders.
    pub to: Vec<Place>,
    /// Whether packets the other way are meant too.
    pub both_ways: bool,
    /// Packets of which connections are meant.
    pub ports: Ports,
}

/// Packets by the port that the accepting end of their connection listens on. A packet is meant if either list has its port;
/// with both empty, every packet is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// Packets from the end that listens there.
    pub src: Vec<Port>,
    /// Packets to the end that listens there.
    pub dst: Vec<Port>,
}

/// A set of hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// All hosts of a site.
    Site(SiteId),
    /// One host.
    Host(HostSelector),
}

/// A host, by itself or by what runs on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostSelector {
    /// This host.
    Host(HostId),
    /// The host of a process, resolved when the fault begins.
    Of(ProcessSelector),
}

/// A process, by id or by the role that it has when the fault begins. A role that nobody has then hits nobody; the run
/// reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessSelector {
    /// This process.
    Process(ProcessId),
    /// The broker of that id.
    Broker(BrokerId),
    /// The ZooKeeper server of that sid.
    ZooKeeper(Sid),
    /// The broker with the newest claim to be the active controller.
    Controller,
    /// The ZooKeeper server that leads in the highest epoch.
    ZooKeeperLeader,
    /// The broker that leads a partition in its highest leader epoch.
    LeaderOf(TopicPartition),
}

impl Route {
    /// Both directions between two places.
    pub fn between(a: Place, b: Place) -> Self {
        Self { from: vec![a], to: vec![b], both_ways: true, ports: Ports::default() }
    }

    /// One direction between two places.
    pub fn one_way(from: Place, to: Place) -> Self {
        Self { from: vec![from], to: vec![to], both_ways: false, ports: Ports::default() }
    }

    /// The directed pairs of hosts that the route stands for, in ascending order, without pairs of a host with itself.
    /// `resolve` answers for selectors by role.
    pub fn pairs(
        &self,
        scenario: &Scenario,
        mut resolve: impl FnMut(HostSelector) -> Option<HostId>,
    ) -> Vec<(HostId, HostId)> {
        let mut hosts = |places: &[Place]| -> Vec<HostId> {
            let mut hosts = Vec::new();
            for place in places {
                match *place {
                    Place::Site(site) => hosts.extend(scenario.topology.hosts_of(site)),
                    Place::Host(selector) => hosts.extend(resolve(selector)),
                }
            }
            hosts
        };
        let from = hosts(&self.from);
        let to = if self.to.is_empty() {
            scenario.topology.host_ids().filter(|host| !from.contains(host)).collect()
        } else {
            hosts(&self.to)
        };
        let mut pairs = Vec::new();
        for (&a, &b) in from.iter().flat_map(|a| to.iter().map(move |b| (a, b))) {
            if a != b {
                pairs.push((a, b));
                if self.both_ways {
                    pairs.push((b, a));
                }
            }
        }
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }
}

impl HostSelector {
    /// The host, where no role has to be looked up.
    pub fn fixed(self, deployment: &Deployment) -> Option<HostId> {
        match self {
            Self::Host(host) => Some(host),
            Self::Of(process) => {
                process.fixed(deployment).and_then(|id| deployment.process(id)).map(|process| process.host)
            }
        }
    }
}

impl ProcessSelector {
    /// The process, where no role has to be looked up.
    pub fn fixed(self, deployment: &Deployment) -> Option<ProcessId> {
        match self {
            Self::Process(process) => Some(process),
            Self::Broker(broker) => deployment.broker(broker),
            Self::ZooKeeper(sid) => deployment.zookeeper(sid),
            Self::Controller | Self::ZooKeeperLeader | Self::LeaderOf(_) => None,
        }
    }
}

impl Fault {
    /// A silent cut.
    pub fn cut(route: Route) -> Self {
        Self::Cut { route, mode: Mode::Silent }
    }

    /// The same fault of another process; without change if it hits none.
    #[must_use]
    pub fn with_process(&self, to: ProcessSelector) -> Self {
        let mut fault = self.clone();
        match &mut fault {
            Self::Kill { process }
            | Self::Stop { process, .. }
            | Self::Restart { process, .. }
            | Self::Pause { process }
            | Self::Gc { process, .. }
            | Self::Cpu { process, .. }
            | Self::AuthFailed { process }
            | Self::DamageIndexes { process } => *process = to,
            _ => {}
        }
        fault
    }

    /// The same fault of another host; without change if it hits none.
    #[must_use]
    pub fn with_host(&self, to: HostSelector) -> Self {
        let mut fault = self.clone();
        match &mut fault {
            Self::LinkDown { host }
            | Self::Dns { host, .. }
            | Self::HostCrash { host, .. }
            | Self::SlowDisk { host, .. }
            | Self::DiskRate { host, .. }
            | Self::StallDisk { host }
            | Self::FailDisk { host, .. }
            | Self::FillDisk { host, .. }
            | Self::ClockJump { host, .. }
            | Self::ClockDrift { host, .. }
            | Self::ClockStrobe { host, .. } => *host = to,
            _ => {}
        }
        fault
    }

    /// The same fault on a route that `change` has changed; without change if it has none.
    #[must_use]
    pub fn with_route(&self, change: impl FnOnce(&mut Route)) -> Self {
        let mut fault = self.clone();
        if let Some(route) = fault.route_mut() {
            change(route);
        }
        fault
    }

    /// The route, if it has one.
    pub fn route(&self) -> Option<&Route> {
        match self {
            Self::Cut { route, .. }
            | Self::Impair { route, .. }
            | Self::MtuHole { route, .. }
            | Self::FlowLoss { route, .. }
            | Self::Flap { route, .. }
            | Self::RouteLost { route, .. }
            | Self::ResetConnections(route) => Some(route),
            _ => None,
        }
    }

    fn route_mut(&mut self) -> Option<&mut Route> {
        match self {
            Self::Cut { route, .. }
            | Self::Impair { route, .. }
            | Self::MtuHole { route, .. }
            | Self::FlowLoss { route, .. }
            | Self::Flap { route, .. }
            | Self::RouteLost { route, .. }
            | Self::ResetConnections(route) => Some(route),
            _ => None,
        }
    }

    /// The process that it hits, if it hits one.
    pub fn process(&self) -> Option<ProcessSelector> {
        match self {
            Self::Kill { process }
            | Self::Stop { process, .. }
            | Self::Restart { process, .. }
            | Self::Pause { process }
            | Self::Gc { process, .. }
            | Self::Cpu { process, .. }
            | Self::AuthFailed { process }
            | Self::DamageIndexes { process } => Some(*process),
            _ => None,
        }
    }

    /// The host that it hits, if it hits one.
    pub fn host(&self) -> Option<HostSelector> {
        match self {
            Self::LinkDown { host }
            | Self::Dns { host, .. }
            | Self::HostCrash { host, .. }
            | Self::SlowDisk { host, .. }
            | Self::DiskRate { host, .. }
            | Self::StallDisk { host }
            | Self::FailDisk { host, .. }
            | Self::FillDisk { host, .. }
            | Self::ClockJump { host, .. }
            | Self::ClockDrift { host, .. }
            | Self::ClockStrobe { host, .. } => Some(*host),
            _ => None,
        }
    }

    /// The kind, for grouping: `cut`, `loss`, `kill` ...
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cut { mode: Mode::Refuse, .. } => "refuse",
            Self::Cut { route, .. } if route.both_ways => "cut",
            Self::Cut { .. } => "one-way-cut",
            Self::Partition { .. } => "partition",
            Self::Impair { netem, .. } => match netem {
                Netem { loss, .. } if *loss != Loss::default() => "loss",
                Netem { delay, jitter, .. } if (*delay, *jitter) != (Span::ZERO, Span::ZERO) => "delay",
                Netem { rate: Some(_), .. } => "rate",
                Netem { duplicate, .. } if duplicate.share != Share::NONE => "duplicate",
                Netem { corrupt, .. } if corrupt.share != Share::NONE => "corrupt",
                Netem { slot: Some(_), .. } => "slot",
                _ => "impair",
            },
            Self::MtuHole { .. } => "mtu-hole",
            Self::FlowLoss { .. } => "flow-loss",
            Self::RouteLost { .. } => "route-lost",
            Self::LinkDown { .. } => "link-down",
            Self::Dns { .. } => "dns",
            Self::Restart { .. } => "restart",
            Self::Gc { .. } => "gc",
            Self::Cpu { .. } => "cpu",
            Self::DiskRate { .. } => "disk-rate",
            Self::DamageIndexes { .. } => "damage-indexes",
            Self::ClockStrobe { .. } => "clock-strobe",
            Self::Flap { .. } => "flap",
            Self::Kill { .. } => "kill",
            Self::Stop { .. } => "stop",
            Self::Pause { .. } => "pause",
            Self::AuthFailed { .. } => "auth-failed",
            Self::DeleteController => "delete-controller",
            Self::HostCrash { .. } => "host-crash",
            Self::SlowDisk { .. } => "slow-disk",
            Self::StallDisk { .. } => "stall-disk",
            Self::FailDisk { .. } => "fail-disk",
            Self::FillDisk { .. } => "fill-disk",
            Self::ClockJump { .. } => "clock-jump",
            Self::ClockDrift { .. } => "clock-drift",
            Self::ResetConnections(_) => "reset-connections",
            Self::Reconfigure { .. } => "reconfigure",
        }
    }
}
