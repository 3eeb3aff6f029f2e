//! Faults in words, for people.

use super::{DiskOps, DnsAnswer, Errno, Fault, HostSelector, Mode, Place, Ports, ProcessSelector, Route, Unsynced};
use crate::deployment::Deployment;
use crate::scenario::Scenario;
use crate::units::{Share, show_rate_of_bytes, show_signed_span, show_size, show_span};

impl Route {
    pub(super) fn text(&self, names: &Names<'_>) -> String {
        let from = names.places_text(&self.from);
        let to = if self.to.is_empty() { "all others".to_owned() } else { names.places_text(&self.to) };
        format!("{from} {} {to}{}", if self.both_ways { "<->" } else { "->" }, self.ports.text())
    }
}

impl Ports {
    /// `, port 9092`; nothing if all are meant.
    fn text(&self) -> String {
        let list =
            |ports: &[models::id::Port]| ports.iter().map(|port| port.0.to_string()).collect::<Vec<_>>().join("+");
        match (self.src.is_empty(), self.dst.is_empty()) {
            (true, true) => String::new(),
            (false, false) if self.src == self.dst => format!(", port {}", list(&self.src)),
            (false, false) => format!(", from port {} and to port {}", list(&self.src), list(&self.dst)),
            (false, true) => format!(", from port {}", list(&self.src)),
            (true, false) => format!(", to port {}", list(&self.dst)),
        }
    }
}

impl Mode {
    /// ` (new connections refused)`; nothing for silence.
    fn text(self) -> &'static str {
        match self {
            Self::Silent => "",
            Self::Reset => " (answered by RST)",
            Self::Refuse => " (new connections refused)",
            Self::NewOnly => " (new connections only)",
        }
    }
}

impl Fault {
    /// The whole of it in one line, such as `cut london <-> frankfurt`.
    pub fn text(&self, scenario: &Scenario) -> String {
        let deployment = scenario.deployment();
        let names = Names { scenario, deployment: &deployment };
        match self {
            Self::Cut { .. }
            | Self::Partition { .. }
            | Self::Impair { .. }
            | Self::MtuHole { .. }
            | Self::FlowLoss { .. }
            | Self::Flap { .. }
            | Self::RouteLost { .. }
            | Self::LinkDown { .. }
            | Self::Dns { .. }
            | Self::ResetConnections(_) => self.network_text(&names),
            Self::HostCrash { .. }
            | Self::SlowDisk { .. }
            | Self::DiskRate { .. }
            | Self::StallDisk { .. }
            | Self::FailDisk { .. }
            | Self::FillDisk { .. }
            | Self::ClockJump { .. }
            | Self::ClockDrift { .. }
            | Self::ClockStrobe { .. } => self.host_text(&names),
            Self::Kill { .. }
            | Self::Stop { .. }
            | Self::Restart { .. }
            | Self::Pause { .. }
            | Self::Gc { .. }
            | Self::Cpu { .. }
            | Self::AuthFailed { .. }
            | Self::DeleteController
            | Self::DamageIndexes { .. }
            | Self::Reconfigure { .. } => self.process_text(&names),
        }
    }

    fn network_text(&self, names: &Names<'_>) -> String {
        match self {
            Self::Cut { route, mode } => format!("cut {}{}", route.text(names), mode.text()),
            Self::Partition { groups, mode } => {
                let groups: Vec<String> = groups.iter().map(|group| names.places_text(group)).collect();
                format!("partition {}{}", groups.join(" | "), mode.text())
            }
            Self::Impair { route, netem } => format!("{} on {}", netem.text(), route.text(names)),
            Self::MtuHole { route, above } => format!("packets above {above} bytes lost on {}", route.text(names)),
            Self::FlowLoss { route, flows, packets } => {
                format!("{flows} of the connections lose {packets} of their packets on {}", route.text(names))
            }
            Self::Flap { route, down, up } => {
                format!("flap {}: {} cut, {} sound", route.text(names), show_span(*down), show_span(*up))
            }
            Self::RouteLost { route, kind } => format!("route lost ({}) {}", kind.word(), route.text(names)),
            Self::LinkDown { host } => format!("link down at {}", names.host_text(*host)),
            Self::Dns { host, name, answer } => {
                let answer = match answer {
                    DnsAnswer::Host(other) => format!("the address of {}", names.scenario.topology.host_name(*other)),
                    DnsAnswer::Error => "an error".to_owned(),
                    DnsAnswer::Timeout => "no answer".to_owned(),
                    DnsAnswer::Stale => "an address of old".to_owned(),
                };
                let name = names.scenario.topology.host_name(*name);
                format!("DNS at {} says of {name}: {answer}", names.host_text(*host))
            }
            Self::ResetConnections(route) => format!("reset connections {}", route.text(names)),
            _ => String::new(),
        }
    }

    fn host_text(&self, names: &Names<'_>) -> String {
        match self {
            Self::HostCrash { host, unsynced } => {
                let left = match unsynced {
                    Unsynced::Torn => "",
                    Unsynced::Lose => ", nothing unsynced is left",
                    Unsynced::Keep => ", all unsynced is left",
                };
                format!("host crash of {}{left}", names.host_text(*host))
            }
            Self::SlowDisk { host, read, sync } => {
                let host = names.host_text(*host);
                if read == sync {
                    return format!("slow disk of {host}: +{}", show_span(*read));
                }
                format!("slow disk of {host}: read +{}, sync +{}", show_span(*read), show_span(*sync))
            }
            Self::DiskRate { host, read, write, iops } => {
                let rate =
                    |name: &str, rate: &Option<u64>| rate.map(|rate| format!("{name} {}", show_rate_of_bytes(rate)));
                let parts = [rate("read", read), rate("write", write), iops.map(|iops| format!("{iops} iops"))];
                let parts: Vec<String> = parts.into_iter().flatten().collect();
                format!("disk of {} limited: {}", names.host_text(*host), parts.join(", "))
            }
            Self::StallDisk { host } => format!("stalled disk of {}", names.host_text(*host)),
            Self::FailDisk { host, dir: Some(dir), .. } => format!("failing {dir} of {}", names.host_text(*host)),
            Self::FailDisk { host, dir: None, errno, ops, share } => {
                let host = names.host_text(*host);
                if (*errno, *ops, *share) == (Errno::Io, DiskOps::ALL, Share::ALL) {
                    return format!("failing disk of {host}");
                }
                let share = if *share == Share::ALL { String::new() } else { format!("{share} of ") };
                format!("failing disk of {host}: {} on {share}{}", errno.word(), ops.words().join("+"))
            }
            Self::FillDisk { host, leave } => {
                format!("full disk of {}, {} left", names.host_text(*host), show_size(*leave))
            }
            Self::ClockJump { host, by_ns } => {
                format!("clock of {} jumps by {}", names.host_text(*host), show_signed_span(*by_ns))
            }
            Self::ClockDrift { host, ppm } => format!("clock of {} drifts by {ppm} ppm", names.host_text(*host)),
            Self::ClockStrobe { host, by_ns, period } => {
                let (by, period) = (show_signed_span(*by_ns), show_span(*period));
                format!("clock of {} jumps by {by} and back every {period}", names.host_text(*host))
            }
            _ => String::new(),
        }
    }

    fn process_text(&self, names: &Names<'_>) -> String {
        match self {
            Self::Kill { process } => format!("kill {}", names.process(*process)),
            Self::Stop { process, grace } => {
                format!("stop {} (SIGTERM, SIGKILL after {})", names.process(*process), show_span(*grace))
            }
            Self::Restart { process, grace, delay } => {
                let (name, grace) = (names.process(*process), show_span(*grace));
                format!("restart {name} (SIGTERM, SIGKILL after {grace}; down for {})", show_span(*delay))
            }
            Self::Pause { process } => format!("pause {}", names.process(*process)),
            Self::Gc { process, pause, period } => {
                let name = names.process(*process);
                format!("pauses of {name}: {} every {}", show_span(*pause), show_span(*period))
            }
            Self::Cpu { process, delay } => {
                format!("busy CPU of {}: {} an input", names.process(*process), show_span(*delay))
            }
            Self::AuthFailed { process } => format!("late AuthFailed at {}", names.process(*process)),
            Self::DeleteController => "an operator deletes /controller".to_owned(),
            Self::DamageIndexes { process } => format!("damaged index files of {}", names.process(*process)),
            Self::Reconfigure { servers } => {
                let servers: Vec<String> = servers.iter().map(|sid| format!("zk{sid}")).collect();
                format!("reconfigure {} as an ensemble of their own", servers.join("+"))
            }
            _ => String::new(),
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
    pub(super) fn host_text(&self, selector: HostSelector) -> String {
        match selector {
            HostSelector::Host(_) => self.host(selector),
            HostSelector::Of(process) => format!("{}'s host", self.process(process)),
        }
    }

    fn places_text(&self, places: &[Place]) -> String {
        let text = |place: &Place| match *place {
            Place::Site(site) => self.scenario.topology.site_name(site).to_owned(),
            Place::Host(host) => self.host_text(host),
        };
        places.iter().map(text).collect::<Vec<_>>().join("+")
    }
}
