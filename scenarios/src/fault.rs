//! Faults and the words that say whom they hit.

use models::id::{BrokerId, HostId, ProcessId, Sid, TopicPartition};
use models::time::Span;
use serde::{Deserialize, Serialize};

use crate::deployment::Deployment;
use crate::netem::{Loss, Netem};
use crate::scenario::Scenario;
use crate::topology::SiteId;
use crate::units::{Share, show_signed_span, show_size, show_span};

/// Something that goes wrong for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// Packets on the route are lost when they arrive; nobody is told.
    Cut(Route),
    /// The route does this to packets, on top of what it does anyway: delays add, losses combine as independent ones, the
    /// smaller rate holds.
    Impair {
        /// Which packets.
        route: Route,
        /// What happens to them.
        netem: Netem,
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
    /// SIGSTOP, and SIGCONT at the end. The kernel goes on accepting connections and acknowledging data.
    Pause {
        /// Who.
        process: ProcessSelector,
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
    },
    /// Every completion of the disk comes later.
    SlowDisk {
        /// Whose.
        host: HostSelector,
        /// By how much.
        latency: Span,
    },
    /// Nothing on the disk completes.
    StallDisk {
        /// Whose.
        host: HostSelector,
    },
    /// Writes and fsyncs fail with EIO.
    FailDisk {
        /// Whose.
        host: HostSelector,
        /// Only this path of a broker's `log.dirs`, which then is a file system of its own.
        dir: Option<String>,
    },
    /// The disk is full except for `leave` bytes.
    FillDisk {
        /// Whose.
        host: HostSelector,
        /// Bytes left.
        leave: u64,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Senders.
    pub from: Vec<Place>,
    /// Receivers; none named means every host that is not among the senders.
    pub to: Vec<Place>,
    /// Whether packets the other way are meant too.
    pub both_ways: bool,
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
        Self { from: vec![a], to: vec![b], both_ways: true }
    }

    /// One direction between two places.
    pub fn one_way(from: Place, to: Place) -> Self {
        Self { from: vec![from], to: vec![to], both_ways: false }
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

    fn text(&self, names: &Names<'_>) -> String {
        let text = |place: &Place| match *place {
            Place::Site(site) => names.scenario.topology.site_name(site).to_owned(),
            Place::Host(host) => names.host_text(host),
        };
        let places = |places: &[Place]| places.iter().map(text).collect::<Vec<_>>().join("+");
        let from = places(&self.from);
        let to = if self.to.is_empty() { "all others".to_owned() } else { places(&self.to) };
        format!("{from} {} {to}", if self.both_ways { "<->" } else { "->" })
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
    /// The kind, for grouping: `cut`, `loss`, `kill` ...
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cut(route) if route.both_ways => "cut",
            Self::Cut(_) => "one-way-cut",
            Self::Impair { netem, .. } => match netem {
                Netem { loss, .. } if *loss != Loss::default() => "loss",
                Netem { delay, jitter, .. } if (*delay, *jitter) != (Span::ZERO, Span::ZERO) => "delay",
                Netem { rate: Some(_), .. } => "rate",
                Netem { duplicate, .. } if duplicate.share != Share::NONE => "duplicate",
                _ => "impair",
            },
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

    /// The whole of it in one line, such as `cut london <-> frankfurt`.
    pub fn text(&self, scenario: &Scenario) -> String {
        let deployment = scenario.deployment();
        let names = Names { scenario, deployment: &deployment };
        match self {
            Self::Cut(route) => format!("cut {}", route.text(&names)),
            Self::Impair { route, netem } => format!("{} on {}", netem.text(), route.text(&names)),
            Self::Flap { route, down, up } => {
                format!("flap {}: {} cut, {} sound", route.text(&names), show_span(*down), show_span(*up))
            }
            Self::Kill { process } => format!("kill {}", names.process(*process)),
            Self::Stop { process, grace } => {
                format!("stop {} (SIGTERM, SIGKILL after {})", names.process(*process), show_span(*grace))
            }
            Self::Pause { process } => format!("pause {}", names.process(*process)),
            Self::AuthFailed { process } => format!("late AuthFailed at {}", names.process(*process)),
            Self::DeleteController => "an operator deletes /controller".to_owned(),
            Self::HostCrash { host } => format!("host crash of {}", names.host_text(*host)),
            Self::SlowDisk { host, latency } => {
                format!("slow disk of {}: +{}", names.host_text(*host), show_span(*latency))
            }
            Self::StallDisk { host } => format!("stalled disk of {}", names.host_text(*host)),
            Self::FailDisk { host, dir: None } => format!("failing disk of {}", names.host_text(*host)),
            Self::FailDisk { host, dir: Some(dir) } => format!("failing {dir} of {}", names.host_text(*host)),
            Self::FillDisk { host, leave } => {
                format!("full disk of {}, {} left", names.host_text(*host), show_size(*leave))
            }
            Self::ClockJump { host, by_ns } => {
                format!("clock of {} jumps by {}", names.host_text(*host), show_signed_span(*by_ns))
            }
            Self::ClockDrift { host, ppm } => format!("clock of {} drifts by {ppm} ppm", names.host_text(*host)),
            Self::ResetConnections(route) => format!("reset connections {}", route.text(&names)),
            Self::Reconfigure { servers } => {
                let servers: Vec<String> = servers.iter().map(|sid| format!("zk{sid}")).collect();
                format!("reconfigure {} as an ensemble of their own", servers.join("+"))
            }
        }
    }
}

/// Names of what selectors select, in the words of scenario files.
pub(crate) struct Names<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) deployment: &'a Deployment,
}

impl Names<'_> {
    pub(crate) fn process(&self, selector: ProcessSelector) -> String {
        match selector {
            ProcessSelector::Process(process) => self.deployment.name(process).to_owned(),
            ProcessSelector::Broker(broker) => format!("broker{broker}"),
            ProcessSelector::ZooKeeper(sid) => format!("zk{sid}"),
            ProcessSelector::Controller => "controller".to_owned(),
            ProcessSelector::ZooKeeperLeader => "zk-leader".to_owned(),
            ProcessSelector::LeaderOf(partition) => format!("leader-of {partition}"),
        }
    }

    pub(crate) fn host(&self, selector: HostSelector) -> String {
        match selector {
            HostSelector::Host(host) => self.scenario.topology.host_name(host).to_owned(),
            HostSelector::Of(process) => format!("host-of {}", self.process(process)),
        }
    }

    pub(crate) fn place(&self, place: Place) -> String {
        match place {
            Place::Site(site) => self.scenario.topology.site_name(site).to_owned(),
            Place::Host(host) => self.host(host),
        }
    }

    /// A host for people: `controller's host`.
    fn host_text(&self, selector: HostSelector) -> String {
        match selector {
            HostSelector::Host(_) => self.host(selector),
            HostSelector::Of(process) => format!("{}'s host", self.process(process)),
        }
    }
}
