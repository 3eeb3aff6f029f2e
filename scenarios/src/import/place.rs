//! Which hosts there are and where they stand, as far as the files tell.

use models::id::HostId;
use models::time::Span;

use super::brokers::BrokerFile;
use super::zoo_cfg::ZooCfg;
use super::{Findings, Place};
use crate::netem::Netem;
use crate::topology::{Clock, Disk, Host, Link, SiteId, Topology};

/// Hosts of brokers and servers, in the order of the files.
pub(super) struct Placed {
    pub(super) topology: Topology,
    pub(super) brokers: Vec<HostId>,
    pub(super) servers: Vec<HostId>,
}

/// One-way delay between racks, for want of anything better: London to Frankfurt.
const WAN_DELAY: Span = Span::from_ms(15);
/// The site of brokers without a rack.
const ONLY_SITE: &str = "site";

pub(super) fn place(files: &[BrokerFile], zoo_file: &str, zoo: &ZooCfg, findings: &mut Findings) -> Placed {
    let mut topology = Topology {
        lan: Netem::delay(Topology::LAN_DELAY),
        loopback: Netem::delay(Topology::LOOPBACK_DELAY),
        ..Topology::default()
    };
    let sites: Vec<SiteId> = files.iter().map(|file| site_of(file, files, &mut topology, findings)).collect();
    let brokers =
        files.iter().zip(sites).map(|(file, site)| broker_host(file, site, &mut topology, findings)).collect();
    let servers = zoo.servers.iter().enumerate().map(|(index, server)| {
        if let Some(host) = topology.host(&word(&server.host)) {
            return host;
        }
        let place = Place { file: zoo_file, line: server.line };
        let site = server_site(index, zoo.servers.len(), &server.host, &topology, place, findings);
        add_host(&server.host, site, &mut topology)
    });
    let servers = servers.collect();
    let pairs: Vec<(SiteId, SiteId)> =
        topology.site_ids().flat_map(|a| topology.site_ids().map(move |b| (a, b))).filter(|(a, b)| a != b).collect();
    topology.links = pairs.into_iter().map(|(from, to)| Link { from, to, netem: Netem::delay(WAN_DELAY) }).collect();
    if let (Some(file), false) = (files.first(), topology.links.is_empty()) {
        let place = Place { file: &file.file, line: 1 };
        findings.assume(place, "racks are taken for sites, 15 ms from each other one way".to_owned());
    }
    Placed { topology, brokers, servers }
}

fn site_of(file: &BrokerFile, files: &[BrokerFile], topology: &mut Topology, findings: &mut Findings) -> SiteId {
    let rack = file.config.rack.as_ref().map(|rack| rack.0.as_str());
    // Creating a topic fails in the real system when only some brokers have a rack (`AdminUtils`, `BrokerMetadata`).
    if rack.is_none() && files.iter().any(|other| other.config.rack.is_some()) {
        let message = "`broker.rack` is missing, while other brokers have one; replicas could not be assigned";
        findings.error(Place { file: &file.file, line: file.line }, message);
    }
    let name = word(rack.unwrap_or(ONLY_SITE));
    topology.site(&name).unwrap_or_else(|| {
        topology.sites.push(name);
        SiteId((topology.sites.len() - 1) as u16)
    })
}

fn broker_host(file: &BrokerFile, site: SiteId, topology: &mut Topology, findings: &mut Findings) -> HostId {
    let place = Place { file: &file.file, line: file.line };
    let name = file.host.clone().unwrap_or_else(|| {
        let name = format!("kafka{}", file.config.broker_id);
        findings.assume(place, format!("no listener names a host; the broker's is called `{name}`"));
        name
    });
    match topology.host(&word(&name)) {
        Some(host) => {
            if topology.hosts[host.0 as usize].site != site {
                findings.error(place, format!("host `{name}` is in two racks"));
            }
            host
        }
        None => add_host(&name, site, topology),
    }
}

fn add_host(name: &str, site: SiteId, topology: &mut Topology) -> HostId {
    let name = unused(&word(name), topology);
    topology.hosts.push(Host {
        name,
        site,
        disk: Disk::default(),
        clock: Clock::default(),
        thread_delay: Host::THREAD_DELAY,
        tcp: None,
    });
    HostId((topology.hosts.len() - 1) as u16)
}

/// Where a ZooKeeper server without a broker beside it stands: where a broker of the same domain stands, or else in the site
/// that its name contains, or else spread evenly in the order of the servers.
fn server_site(
    index: usize,
    of: usize,
    host: &str,
    topology: &Topology,
    place: Place<'_>,
    findings: &mut Findings,
) -> SiteId {
    if topology.sites.len() < 2 {
        return SiteId(0);
    }
    let domain = |name: &str| name.split_once('.').map(|(_, domain)| domain.to_owned());
    let mut sites: Vec<SiteId> = topology
        .hosts
        .iter()
        .filter(|other| domain(host).is_some() && domain(&other.name) == domain(&word(host)))
        .map(|other| other.site)
        .collect();
    sites.dedup();
    if let [site] = sites[..] {
        return site;
    }
    let named = |site: &SiteId| host.to_lowercase().contains(&topology.site_name(*site).to_lowercase());
    let mut named = topology.site_ids().filter(named);
    if let (Some(site), None) = (named.next(), named.next()) {
        return site;
    }
    let site = SiteId((index * topology.sites.len() / of.max(1)) as u16);
    let text = format!("nothing tells where `{host}` stands; assumed in `{}`", topology.site_name(site));
    findings.assume(place, text);
    site
}

/// A name as scenarios can have it.
fn word(name: &str) -> String {
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    name.trim().chars().take(200).map(|c| if valid(c) { c } else { '-' }).collect()
}

/// `name`, or something like it that neither a site nor a host has.
pub(super) fn unused(name: &str, topology: &Topology) -> String {
    let name = if name.is_empty() { "host" } else { name };
    let taken = |name: &str| topology.site(name).is_some() || topology.host(name).is_some();
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
}
