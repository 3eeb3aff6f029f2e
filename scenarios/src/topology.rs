//! Sites, hosts and the paths between them.

use models::id::HostId;
use models::time::Span;
use serde::{Deserialize, Serialize};

use crate::netem::Netem;
use crate::scenario::Tcp;

/// A site: its position in the topology's list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SiteId(pub u16);

/// Where everything stands and how it is joined.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// Names of sites. [`SiteId`] is the index.
    pub sites: Vec<String>,
    /// Hosts. [`HostId`] is the index.
    pub hosts: Vec<Host>,
    /// From a host to another one of its site.
    pub lan: Netem,
    /// From a host to itself.
    pub loopback: Netem,
    /// Between sites: one for each ordered pair.
    pub links: Vec<Link>,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub site: SiteId,
    /// Its disk.
    pub disk: Disk,
    /// Its clock.
    pub clock: Clock,
    /// The longest that a thread which is ready to run waits for a core; most waits are far shorter. Zero is a host with a
    /// core for every thread.
    pub thread_delay: Span,
    /// Its kernel's settings, where they are not those of the scenario.
    pub tcp: Option<Tcp>,
}

/// One direction between two sites.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The sender's site.
    pub from: SiteId,
    /// The receiver's site.
    pub to: SiteId,
    /// What happens to packets.
    pub netem: Netem,
}

/// A sound disk. The defaults are those of a data-centre SSD.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Time of an fsync with nothing to write.
    pub fsync: Span,
    /// Spread of that time, half of its range.
    pub fsync_jitter: Span,
    /// Time of a read of nothing.
    pub read: Span,
    /// Bytes a second, both ways.
    pub bandwidth: u64,
    /// Bytes that fit.
    pub capacity: u64,
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            fsync: Span::from_ms(1),
            fsync_jitter: Span::from_us(500),
            read: Span::from_us(100),
            bandwidth: 1_000_000_000,
            capacity: 10_000_000_000_000,
        }
    }
}

/// How a host's clock differs from true time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Nanoseconds that the wall clock is ahead at the start.
    pub offset_ns: i64,
    /// Parts per million that wall and monotonic clock run too fast.
    pub drift_ppm: i32,
    /// What the monotonic clock shows at the start: how long the host has been up. ZooKeeper's expiry buckets are multiples of
    /// a tick of it.
    pub uptime: Span,
}

impl Host {
    /// [`Host::thread_delay`] unless told otherwise: a slice of the Linux scheduler.
    pub const THREAD_DELAY: Span = Span::from_ms(3);
}

impl Topology {
    /// One-way delay inside a site unless told otherwise.
    pub const LAN_DELAY: Span = Span::from_us(100);
    /// Delay on a host unless told otherwise.
    pub const LOOPBACK_DELAY: Span = Span::from_us(20);

    /// What happens to packets from one host to another without faults; `None` if a host does not exist or sites are not linked.
    pub fn path(&self, from: HostId, to: HostId) -> Option<&Netem> {
        let (a, b) = (self.hosts.get(from.0 as usize)?, self.hosts.get(to.0 as usize)?);
        if from == to {
            Some(&self.loopback)
        } else if a.site == b.site {
            Some(&self.lan)
        } else {
            self.links.iter().find(|link| link.from == a.site && link.to == b.site).map(|link| &link.netem)
        }
    }

    /// The hosts of a site.
    pub fn hosts_of(&self, site: SiteId) -> impl Iterator<Item = HostId> {
        self.host_ids().filter(move |host| self.hosts[host.0 as usize].site == site)
    }

    /// All hosts.
    pub fn host_ids(&self) -> impl Iterator<Item = HostId> {
        (0..self.hosts.len() as u16).map(HostId)
    }

    /// All sites.
    pub fn site_ids(&self) -> impl Iterator<Item = SiteId> + use<> {
        (0..self.sites.len() as u16).map(SiteId)
    }

    /// The site of that name.
    pub fn site(&self, name: &str) -> Option<SiteId> {
        self.sites.iter().position(|site| site == name).map(|index| SiteId(index as u16))
    }

    /// The host of that name.
    pub fn host(&self, name: &str) -> Option<HostId> {
        self.hosts.iter().position(|host| host.name == name).map(|index| HostId(index as u16))
    }

    /// A site's name, `?` if it does not exist.
    pub fn site_name(&self, site: SiteId) -> &str {
        self.sites.get(site.0 as usize).map_or("?", String::as_str)
    }

    /// A host's name, `?` if it does not exist.
    pub fn host_name(&self, host: HostId) -> &str {
        self.hosts.get(host.0 as usize).map_or("?", |host| host.name.as_str())
    }

    /// The name of a host's site, `?` if it does not exist.
    pub fn site_name_of(&self, host: HostId) -> &str {
        self.hosts.get(host.0 as usize).map_or("?", |host| self.site_name(host.site))
    }
}
