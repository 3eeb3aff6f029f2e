//! Sites and hosts of a world, and who stands where.

use models::id::HostId;
use models::random::Random;
use models::time::Span;

use crate::netem::Netem;
use crate::scenario::Scenario;
use crate::topology::{Host, Link, SiteId, Topology};

/// Names for sites that the base does not have.
const SPARE_SITES: [&str; 4] = ["paris", "madrid", "dublin", "vienna"];

/// Where the hosts of a world are.
pub(super) struct Layout {
    /// One a broker, in the order of their ids.
    pub(super) brokers: Vec<HostId>,
    /// One a ZooKeeper server.
    pub(super) servers: Vec<HostId>,
    /// One a site: where clients run.
    pub(super) clients: Vec<HostId>,
}

/// How the members of a group are spread over sites.
#[derive(Clone, Copy)]
enum Shape {
    /// As evenly as it goes: 2+2, 2+1, 2+2+1.
    Even,
    /// All but one or two in the first site: 3+1, 4+1.
    Lopsided,
    /// By chance.
    Random,
}

/// Replaces the topology of `scenario` by one with so many brokers and servers, and says where they are.
pub(super) fn draw(scenario: &mut Scenario, brokers: usize, servers: usize, random: &mut Random) -> Layout {
    let sites = [1, 2, 3][random.weighted(&[1, 7, 4])];
    let base = scenario.topology.clone();
    let host_of = |host: Option<HostId>| host.or(base.host_ids().next()).map(|host| &base.hosts[usize::from(host.0)]);
    let cluster = &scenario.cluster;
    let broker = host_of(cluster.kafka.brokers.first().map(|broker| broker.host));
    let server = host_of(cluster.zookeeper.servers.first().map(|server| server.host));
    let client = host_of(client_host(scenario));
    let mut topology = with_sites(&base, sites);
    let shapes = [Shape::Even, Shape::Lopsided, Shape::Random];
    let mut place = |topology: &mut Topology, like: Option<&Host>, name: &str, count: usize| -> Vec<HostId> {
        let shape = shapes[random.weighted(&[5, 3, 2])];
        // The site that has more of one need not be the one that has more of the other.
        let first = random.below(sites as u64) as usize;
        let site = |number: usize, random: &mut Random| match shape {
            Shape::Even => number % sites,
            Shape::Lopsided => usize::from(number == 0) % sites,
            Shape::Random => random.below(sites as u64) as usize,
        };
        let hosts = (0..count).map(|number| {
            let site = SiteId(((first + site(number, random)) % sites) as u16);
            add(topology, like, format!("{name}{}", number + 1), site)
        });
        hosts.collect()
    };
    let layout = Layout {
        brokers: place(&mut topology, broker, "kafka", brokers),
        servers: place(&mut topology, server, "zk", servers),
        clients: (0..sites).map(|site| add(&mut topology, client, "app".to_owned(), SiteId(site as u16))).collect(),
    };
    scenario.topology = topology;
    layout
}

/// Where the base's clients run.
fn client_host(scenario: &Scenario) -> Option<HostId> {
    let workload = &scenario.workload;
    workload.producers.first().map(|group| group.host).or(workload.sessions.first().map(|group| group.host))
}

/// So many sites, those of the base first, joined as the base joins its own.
fn with_sites(base: &Topology, count: usize) -> Topology {
    let spare = SPARE_SITES.iter().map(|name| (*name).to_owned()).filter(|name| !base.sites.contains(name));
    let sites: Vec<String> = base.sites.iter().cloned().chain(spare).take(count).collect();
    let like = base.links.first().map_or_else(|| Netem::delay(Span::from_ms(10)), |link| link.netem.clone());
    let mut topology = Topology {
        sites,
        hosts: Vec::new(),
        links: Vec::new(),
        lan: base.lan.clone(),
        loopback: base.loopback.clone(),
    };
    for from in topology.site_ids() {
        for to in topology.site_ids().filter(|to| *to != from) {
            let known = base.links.iter().find(|link| (link.from, link.to) == (from, to));
            let netem = known.map_or_else(|| like.clone(), |link| link.netem.clone());
            topology.links.push(Link { from, to, netem });
        }
    }
    topology
}

/// A host like another one.
fn add(topology: &mut Topology, like: Option<&Host>, name: String, site: SiteId) -> HostId {
    let id = HostId(topology.hosts.len() as u16);
    let name = format!("{name}.{}", topology.site_name(site));
    let host = match like {
        Some(like) => Host { name, site, ..like.clone() },
        None => {
            let (disk, clock, thread_delay) = (Default::default(), Default::default(), Host::THREAD_DELAY);
            Host { name, site, disk, clock, thread_delay, tcp: None }
        }
    };
    topology.hosts.push(host);
    id
}
