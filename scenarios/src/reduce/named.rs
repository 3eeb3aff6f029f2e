//! Everything that a fault names: one list for renumbering, for roles and for whatever else goes through them all.

use models::id::{HostId, Sid};
use models::time::Span;

use crate::fault::{DnsAnswer, Fault, HostSelector, Place, ProcessSelector, Route};
use crate::netem::{Loss, Netem};
use crate::units::Share;

/// What a fault names, to be changed in place.
pub(crate) enum Named<'a> {
    /// The packets of a route.
    Route(&'a mut Route),
    /// Groups of places.
    Groups(&'a mut Vec<Vec<Place>>),
    /// A host by itself or by what runs on it.
    Host(&'a mut HostSelector),
    /// A host by itself.
    HostId(&'a mut HostId),
    /// A process.
    Process(&'a mut ProcessSelector),
    /// ZooKeeper servers.
    Servers(&'a mut Vec<Sid>),
}

impl Fault {
    /// Everything that it names.
    pub(crate) fn named_mut(&mut self) -> Vec<Named<'_>> {
        match self {
            Self::Cut { route, .. }
            | Self::Impair { route, .. }
            | Self::MtuHole { route, .. }
            | Self::FlowLoss { route, .. }
            | Self::Flap { route, .. }
            | Self::RouteLost { route, .. }
            | Self::ResetConnections(route) => vec![Named::Route(route)],
            Self::Partition { groups, .. } => vec![Named::Groups(groups)],
            Self::LinkDown { host }
            | Self::HostCrash { host, .. }
            | Self::SlowDisk { host, .. }
            | Self::DiskRate { host, .. }
            | Self::StallDisk { host }
            | Self::FailDisk { host, .. }
            | Self::FillDisk { host, .. }
            | Self::ClockJump { host, .. }
            | Self::ClockDrift { host, .. }
            | Self::ClockStrobe { host, .. } => vec![Named::Host(host)],
            Self::Dns { host, name, answer } => {
                let mut named = vec![Named::Host(host), Named::HostId(name)];
                if let DnsAnswer::Host(other) = answer {
                    named.push(Named::HostId(other));
                }
                named
            }
            Self::Kill { process }
            | Self::Stop { process, .. }
            | Self::Restart { process, .. }
            | Self::Pause { process }
            | Self::Gc { process, .. }
            | Self::Cpu { process, .. }
            | Self::AuthFailed { process }
            | Self::DamageIndexes { process } => vec![Named::Process(process)],
            Self::Reconfigure { servers } => vec![Named::Servers(servers)],
            Self::DeleteController => Vec::new(),
        }
    }

    /// Everything that names a process, or a host by a process.
    pub fn processes_mut(&mut self) -> Vec<&mut ProcessSelector> {
        fn of_host(host: &mut HostSelector) -> Option<&mut ProcessSelector> {
            if let HostSelector::Of(process) = host { Some(process) } else { None }
        }
        fn of_place(place: &mut Place) -> Option<&mut ProcessSelector> {
            if let Place::Host(host) = place { of_host(host) } else { None }
        }
        let mut processes = Vec::new();
        for named in self.named_mut() {
            match named {
                Named::Route(Route { from, to, .. }) => {
                    processes.extend(from.iter_mut().chain(to).filter_map(of_place));
                }
                Named::Groups(groups) => processes.extend(groups.iter_mut().flatten().filter_map(of_place)),
                Named::Host(host) => processes.extend(of_host(host)),
                Named::Process(process) => processes.push(process),
                Named::HostId(_) | Named::Servers(_) => {}
            }
        }
        processes
    }

    /// The spans that say how bad it is, its duration aside.
    pub(crate) fn spans_mut(&mut self) -> Vec<&mut Span> {
        match self {
            Self::Impair { netem: Netem { delay, jitter, .. }, .. } => vec![delay, jitter],
            Self::Flap { down, up, .. } => vec![down, up],
            Self::Stop { grace, .. } => vec![grace],
            Self::Restart { grace, delay, .. } => vec![grace, delay],
            Self::Gc { pause, period, .. } => vec![pause, period],
            Self::Cpu { delay, .. } => vec![delay],
            Self::SlowDisk { read, sync, .. } => vec![read, sync],
            Self::ClockStrobe { period, .. } => vec![period],
            _ => Vec::new(),
        }
    }

    /// The shares that say how bad it is.
    pub(crate) fn shares_mut(&mut self) -> Vec<&mut Share> {
        match self {
            Self::Impair { netem: Netem { loss: Loss::Random(loss), .. }, .. } => vec![&mut loss.share],
            Self::FlowLoss { flows, packets, .. } => vec![flows, packets],
            Self::FailDisk { share, .. } => vec![share],
            _ => Vec::new(),
        }
    }
}
