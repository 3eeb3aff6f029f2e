//! Taking hosts and processes out of a scenario.

use std::collections::BTreeSet;

use models::id::{BrokerId, HostId, ProcessId, Sid};
use models::kafka::config::BrokerConfig;

use super::named::Named;

use crate::deployment::{Deployment, ProcessKind};
use crate::expect::{Bound, Gauge};
use crate::fault::{Fault, HostSelector, Place, ProcessSelector, Route};
use crate::scenario::Scenario;
use crate::topology::SiteId;
use crate::workload::ClientGroup;

/// What is taken out of a scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removal {
    /// These processes. A host that nobody is left on goes as well.
    pub processes: BTreeSet<ProcessId>,
    /// These hosts, with everybody on them; the admin client moves to another host.
    pub hosts: BTreeSet<HostId>,
}

impl Removal {
    /// One process.
    pub fn process(process: ProcessId) -> Self {
        Self { processes: BTreeSet::from([process]), ..Self::default() }
    }

    /// One host.
    pub fn host(host: HostId) -> Self {
        Self { hosts: BTreeSet::from([host]), ..Self::default() }
    }
}

/// The new number of whatever stays, by its old one; `None` for what goes.
struct Moves {
    sites: Vec<Option<SiteId>>,
    hosts: Vec<Option<HostId>>,
    processes: Vec<Option<ProcessId>>,
    brokers: BTreeSet<BrokerId>,
    servers: BTreeSet<Sid>,
}

impl Scenario {
    /// The scenario without some hosts and processes. Everything that named one of them names it no more: faults lose places and,
    /// with the last one, go; connect strings, roll-back and monitors likewise. Replication factor and `min.insync.replicas`
    /// fall together where brokers become too few for them.
    ///
    /// `None` if no ZooKeeper server would be left, or of a Kafka cluster no broker. The result need not be sound otherwise.
    #[must_use]
    pub fn without(&self, removal: &Removal) -> Option<Self> {
        let deployment = self.deployment();
        let moves = Moves::of(self, &deployment, removal);
        let mut scenario = self.clone();
        scenario.cluster.zookeeper.servers.retain(|server| moves.servers.contains(&server.sid));
        scenario.cluster.kafka.brokers.retain(|broker| moves.brokers.contains(&broker.id));
        if scenario.cluster.zookeeper.servers.is_empty() || scenario.cluster.has_kafka() != self.cluster.has_kafka() {
            return None;
        }
        moves.drop_clients(&mut scenario, &deployment);
        moves.renumber_hosts(&mut scenario)?;
        moves.forget_servers(&mut scenario);
        moves.lower_expectations(self, &mut scenario);
        scenario.limit_replication();
        scenario.faults.retain_mut(|planned| planned.fault.relocate(&moves));
        scenario.rollback.restart = scenario.rollback.restart.iter().filter_map(|p| moves.process(*p)).collect();
        Some(scenario)
    }

    /// The scenario with one replica less of each partition. `min.insync.replicas` falls with it unless `keep_min_isr`.
    /// `None` if there is one replica only.
    #[must_use]
    pub fn with_fewer_replicas(&self, keep_min_isr: bool) -> Option<Self> {
        let factor = self.workload.replication_factor.checked_sub(1).filter(|factor| *factor > 0)?;
        let mut scenario = self.clone();
        scenario.set_replication(factor, if keep_min_isr { 0 } else { 1 });
        Some(scenario)
    }

    /// Lets no replication factor exceed the number of brokers.
    fn limit_replication(&mut self) {
        let brokers = u16::try_from(self.cluster.kafka.brokers.len()).unwrap_or(u16::MAX);
        let factor = self.workload.replication_factor.min(brokers);
        let fallen = self.workload.replication_factor - factor;
        self.set_replication(factor, fallen.into());
    }

    fn set_replication(&mut self, factor: u16, lower_min_isr: u32) {
        let brokers = u32::try_from(self.cluster.kafka.brokers.len()).unwrap_or(u32::MAX);
        let before = u32::from(self.workload.replication_factor);
        self.workload.replication_factor = factor;
        let default = BrokerConfig::default();
        for config in self.cluster.kafka.brokers.iter_mut().map(|broker| &mut broker.config) {
            config.min_insync_replicas =
                config.min_insync_replicas.saturating_sub(lower_min_isr).min(factor.into()).max(1);
            if config.default_replication_factor == before {
                config.default_replication_factor = factor.into();
            }
            // A value that is the default stays unless there are too few brokers for it: no option more than before.
            let offsets = &mut config.offsets_topic_replication_factor;
            if *offsets > brokers || (*offsets == before && *offsets != default.offsets_topic_replication_factor) {
                *offsets = (*offsets).min(factor.into());
            }
        }
    }
}

impl Moves {
    fn of(scenario: &Scenario, deployment: &Deployment, removal: &Removal) -> Self {
        let is_gone = |process: &crate::deployment::Process| {
            let admin = matches!(process.kind, ProcessKind::Admin);
            !admin && (removal.processes.contains(&process.id) || removal.hosts.contains(&process.host))
        };
        let (gone, stay): (Vec<_>, Vec<_>) = deployment.processes.iter().partition(|process| is_gone(process));
        let empty = |host: HostId| {
            gone.iter().any(|process| process.host == host) && !stay.iter().any(|process| process.host == host)
        };
        let hosts = number(scenario.topology.host_ids().map(|h| !removal.hosts.contains(&h) && !empty(h)), HostId);
        let inhabited = |site| scenario.topology.hosts_of(site).any(|host| hosts[usize::from(host.0)].is_some());
        let sites = number(scenario.topology.site_ids().map(inhabited), SiteId);
        let brokers = stay.iter().filter_map(|process| match process.kind {
            ProcessKind::Broker { broker } => Some(broker),
            _ => None,
        });
        let servers = stay.iter().filter_map(|process| match process.kind {
            ProcessKind::ZooKeeper { sid } => Some(sid),
            _ => None,
        });
        Self {
            brokers: brokers.collect(),
            servers: servers.collect(),
            processes: number(deployment.processes.iter().map(|process| !is_gone(process)), ProcessId),
            hosts,
            sites,
        }
    }

    fn drop_clients(&self, scenario: &mut Scenario, deployment: &Deployment) {
        let stays = |kind: fn(&ProcessKind) -> bool| {
            let of_kind = deployment.processes.iter().filter(move |process| kind(&process.kind));
            of_kind.map(|process| self.processes[usize::from(process.id.0)].is_some()).collect::<Vec<_>>().into_iter()
        };
        let workload = &mut scenario.workload;
        thin(&mut workload.producers, &mut stays(|kind| matches!(kind, ProcessKind::Producer { .. })));
        thin(&mut workload.consumers, &mut stays(|kind| matches!(kind, ProcessKind::Consumer { .. })));
        thin(&mut workload.sessions, &mut stays(|kind| matches!(kind, ProcessKind::Session { .. })));
        if workload.producers.is_empty() {
            workload.records_per_second = 0;
        }
    }

    /// Gives hosts and sites their new numbers wherever a server, a client or a monitor stands. `None` if nobody could be host
    /// to the admin client.
    fn renumber_hosts(&self, scenario: &mut Scenario) -> Option<()> {
        let old = std::mem::take(&mut scenario.topology);
        let kept = |id: usize| self.hosts.get(id).is_some_and(Option::is_some);
        let hosts = old.hosts.into_iter().enumerate().filter(|(id, _)| kept(*id));
        scenario.topology.hosts = hosts
            .filter_map(|(_, mut host)| {
                host.site = self.site(host.site)?;
                Some(host)
            })
            .collect();
        let sites = old.sites.into_iter().zip(&self.sites);
        scenario.topology.sites = sites.filter_map(|(name, site)| site.map(|_| name)).collect();
        (scenario.topology.lan, scenario.topology.loopback) = (old.lan, old.loopback);
        scenario.topology.links = old
            .links
            .into_iter()
            .filter_map(|mut link| {
                (link.from, link.to) = (self.site(link.from)?, self.site(link.to)?);
                Some(link)
            })
            .collect();
        let cluster = &mut scenario.cluster;
        for host in cluster.zookeeper.servers.iter_mut().map(|server| &mut server.host) {
            *host = self.host(*host)?;
        }
        for host in cluster.kafka.brokers.iter_mut().map(|broker| &mut broker.host) {
            *host = self.host(*host)?;
        }
        let workload = &mut scenario.workload;
        let producers = workload.producers.iter_mut().map(|group| &mut group.host);
        let consumers = workload.consumers.iter_mut().map(|group| &mut group.host);
        for host in producers.chain(consumers).chain(workload.sessions.iter_mut().map(|group| &mut group.host)) {
            *host = self.host(*host)?;
        }
        if cluster.has_kafka() {
            let clients = workload.producers.iter().map(|group| group.host);
            let mut instead = clients.chain(workload.consumers.iter().map(|group| group.host));
            workload.admin = self.host(workload.admin).or_else(|| instead.next()).or(cluster
                .kafka
                .brokers
                .first()
                .map(|b| b.host))?;
        }
        if let Some(monitors) = &mut scenario.monitoring.hosts {
            *monitors = monitors.iter().filter_map(|host| self.host(*host)).collect();
        }
        Some(())
    }

    /// No connect string names a server that is gone. One that would name nobody names everybody.
    fn forget_servers(&self, scenario: &mut Scenario) {
        let all: Vec<Sid> = scenario.cluster.zookeeper.servers.iter().map(|server| server.sid).collect();
        let brokers = scenario.cluster.kafka.brokers.iter_mut().map(|broker| &mut broker.zookeeper_connect);
        let sessions = scenario.workload.sessions.iter_mut().map(|group| &mut group.config.servers);
        for connect in brokers.chain(sessions) {
            connect.retain(|sid| self.servers.contains(sid));
            if connect.is_empty() {
                connect.clone_from(&all);
            }
        }
    }

    /// "Four brokers" are three when one was taken out.
    fn lower_expectations(&self, before: &Scenario, scenario: &mut Scenario) {
        let brokers = (before.cluster.kafka.brokers.len() - self.brokers.len()) as u64;
        let servers = (before.cluster.zookeeper.servers.len() - self.servers.len()) as u64;
        let expect = &mut scenario.expect;
        for list in [&mut expect.steady_state, &mut expect.throughout, &mut expect.at_end] {
            list.retain_mut(|(gauge, bound)| match gauge {
                Gauge::Brokers => lower(bound, brokers),
                Gauge::ZooKeeperServing => lower(bound, servers),
                Gauge::ControllersSeenFrom(site) => self.site(*site).map(|new| *site = new).is_some(),
                _ => true,
            });
        }
    }

    fn site(&self, site: SiteId) -> Option<SiteId> {
        self.sites.get(usize::from(site.0)).copied().flatten()
    }

    fn host(&self, host: HostId) -> Option<HostId> {
        self.hosts.get(usize::from(host.0)).copied().flatten()
    }

    fn process(&self, selector: ProcessSelector) -> Option<ProcessSelector> {
        match selector {
            ProcessSelector::Process(id) => {
                self.processes.get(usize::from(id.0)).copied().flatten().map(ProcessSelector::Process)
            }
            ProcessSelector::Broker(broker) => self.brokers.contains(&broker).then_some(selector),
            ProcessSelector::ZooKeeper(sid) => self.servers.contains(&sid).then_some(selector),
            ProcessSelector::Controller | ProcessSelector::ZooKeeperLeader | ProcessSelector::LeaderOf(_) => {
                Some(selector)
            }
        }
    }

    fn host_selector(&self, selector: HostSelector) -> Option<HostSelector> {
        match selector {
            HostSelector::Host(host) => self.host(host).map(HostSelector::Host),
            HostSelector::Of(process) => self.process(process).map(HostSelector::Of),
        }
    }

    fn place(&self, place: Place) -> Option<Place> {
        match place {
            Place::Site(site) => self.site(site).map(Place::Site),
            Place::Host(host) => self.host_selector(host).map(Place::Host),
        }
    }
}

fn lower(bound: &mut Bound, by: u64) -> bool {
    bound.min = bound.min.saturating_sub(by);
    if bound.max != u64::MAX {
        bound.max = bound.max.saturating_sub(by);
    }
    true
}

/// New numbers for those that stay.
fn number<T>(stays: impl Iterator<Item = bool>, id: impl Fn(u16) -> T) -> Vec<Option<T>> {
    let mut next = 0;
    let number = |stays: bool| {
        let new = stays.then(|| id(next));
        next += u16::from(stays);
        new
    };
    stays.map(number).collect()
}

/// Leaves of each entry as many clients as stay.
fn thin<C>(groups: &mut Vec<ClientGroup<C>>, stays: &mut impl Iterator<Item = bool>) {
    groups.retain_mut(|group| {
        let left = stays.take(group.count.into()).filter(|stays| *stays).count();
        group.count = u16::try_from(left).unwrap_or(u16::MAX);
        left > 0
    });
}

impl Fault {
    /// Gives whom it hits the new numbers. False if nobody is left to be hit.
    fn relocate(&mut self, moves: &Moves) -> bool {
        self.named_mut().into_iter().all(|named| match named {
            Named::Route(route) => route.relocate(moves),
            Named::Groups(groups) => {
                for group in groups.iter_mut() {
                    *group = group.iter().filter_map(|place| moves.place(*place)).collect();
                }
                groups.retain(|group| !group.is_empty());
                groups.len() > 1
            }
            Named::Host(host) => moves.host_selector(*host).map(|new| *host = new).is_some(),
            Named::HostId(host) => moves.host(*host).map(|new| *host = new).is_some(),
            Named::Process(process) => moves.process(*process).map(|new| *process = new).is_some(),
            Named::Servers(servers) => {
                servers.retain(|sid| moves.servers.contains(sid));
                !servers.is_empty()
            }
        })
    }
}

impl Route {
    fn relocate(&mut self, moves: &Moves) -> bool {
        let everybody_else = self.to.is_empty();
        for places in [&mut self.from, &mut self.to] {
            *places = places.iter().filter_map(|place| moves.place(*place)).collect();
        }
        !self.from.is_empty() && (everybody_else || !self.to.is_empty())
    }
}
