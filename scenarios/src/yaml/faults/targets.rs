//! What faults hit: routes, groups, hosts, processes.

use models::id::{HostId, Port, Sid, Topic, TopicPartition};
use models::world::{KAFKA_PORT, ZK_CLIENT_PORT, ZK_ELECTION_PORT, ZK_QUORUM_PORT};

use super::super::cluster;
use super::super::fields::{Fields, Item, unknown};
use super::super::node::Value;
use super::Targets;
use crate::choice::{AnyOf, Choice, Shape, server_hosts};
use crate::deployment::Process;
use crate::fault::{HostSelector, Place, Ports, ProcessSelector, Route};

/// The ports on which processes listen, and their names.
const PORTS: [(u16, &str); 4] = [
    (KAFKA_PORT.0, "kafka"),
    (ZK_CLIENT_PORT.0, "zk-client"),
    (ZK_QUORUM_PORT.0, "zk-quorum"),
    (ZK_ELECTION_PORT.0, "zk-election"),
];

/// `{any: 2, of: [a, b, c]}`; `None` if the value is no such map.
pub(super) fn any_of<T>(item: &Item<'_>, read: impl Fn(&Item<'_>) -> Vec<T>) -> Option<AnyOf<T>> {
    if !matches!(item.node.value, Value::Map(_)) {
        return None;
    }
    let mut fields = item.fields();
    let count = fields.required("any");
    let of: Vec<T> = fields.required("of").iter().flat_map(Item::list).flat_map(|item| read(&item)).collect();
    fields.finish();
    let most = u32::try_from(of.len()).unwrap_or(u32::MAX).max(1);
    let count = count.and_then(|count| count.integer(1..=most)).unwrap_or(1);
    if of.is_empty() && item.report.is_clean() {
        item.error("`of` names nobody to choose from");
    }
    Some(AnyOf { count, of })
}

impl Targets<'_> {
    /// `between: [a, b]`, or `from:` and, unless everybody else is meant, `to:`. Each end may be a list, and one of the two may
    /// be left to the seed.
    pub(super) fn route(&self, fields: &mut Fields<'_>) -> (Route, Option<Choice>) {
        let mut choice = None;
        let route = if let Some(between) = fields.optional("between") {
            let ends = between.list();
            if ends.len() != 2 {
                between.error("expected two places, or lists of places");
            }
            let mut ends = ends.iter().map(|end| self.places(end));
            let (from, to) = (ends.next().unwrap_or_default(), ends.next().unwrap_or_default());
            Route { from, to, both_ways: true, ports: self.ports(fields) }
        } else {
            let from = fields.required("from").map(|item| self.end(&item)).unwrap_or_default();
            let to = fields.optional("to").map(|item| self.end(&item)).unwrap_or_default();
            let words = [("one-way", None), ("to", None), ("from", Some(false)), ("both", Some(true))];
            let direction = fields.optional("direction");
            let both = direction.as_ref().and_then(|direction| direction.choice(&words)).flatten();
            choice = match (from.1, to.1) {
                (Some(_), Some(_)) => {
                    fields.item().error("only one end of a route can be left to the seed");
                    None
                }
                (Some(any), None) => Some(Choice::From(any)),
                (None, Some(any)) => Some(Choice::To(any)),
                (None, None) => None,
            };
            let mut route = Route { from: from.0, to: to.0, both_ways: both == Some(true), ports: self.ports(fields) };
            if let (Some(false), Some(direction)) = (both, &direction) {
                if route.to.is_empty() || choice.is_some() {
                    direction.error("`from` turns a route round: name both ends, or exchange `from` and `to`");
                }
                std::mem::swap(&mut route.from, &mut route.to);
            }
            route
        };
        if fields.item().report.is_clean() && choice.is_none() && self.hits_nobody(&route) {
            fields.item().error("joins no two different hosts");
        }
        (route, choice)
    }

    /// An end of a route. What the seed chooses from stands for what it will choose.
    fn end(&self, item: &Item<'_>) -> (Vec<Place>, Option<AnyOf<Place>>) {
        match any_of(item, |item| self.places(item)) {
            Some(any) => (any.of.iter().take(any.count as usize).copied().collect(), Some(any)),
            None => (self.places(item), None),
        }
    }

    /// `ports: [9092]` for both ends of connections to them, or `ports: {dst: [9092]}` for packets to the end that listens.
    fn ports(&self, fields: &mut Fields<'_>) -> Ports {
        let Some(item) = fields.optional("ports") else { return Ports::default() };
        let words = PORTS.map(|(port, _)| port.to_string());
        let port = |item: Item<'_>| {
            let text = item.text("a port")?;
            let known = PORTS.iter().find(|(port, name)| *name == text || port.to_string() == text);
            if known.is_none() {
                let names = PORTS.iter().map(|(_, name)| *name);
                let valid: Vec<&str> = words.iter().map(String::as_str).chain(names).collect();
                item.error(unknown("port", text, &valid));
            }
            known.map(|(port, _)| Port(*port))
        };
        let list = |item: &Item<'_>| -> Vec<Port> {
            let mut ports: Vec<Port> = item.list().into_iter().filter_map(port).collect();
            ports.sort_unstable();
            ports.dedup();
            if ports.is_empty() && item.report.is_clean() {
                item.error("names no port; leave it out to mean all");
            }
            ports
        };
        if !matches!(item.node.value, Value::Map(_)) {
            let ports = list(&item);
            return Ports { src: ports.clone(), dst: ports };
        }
        let mut fields = item.fields();
        let mut side = |name| fields.optional(name).as_ref().map(list).unwrap_or_default();
        let ports = Ports { src: side("src"), dst: side("dst") };
        fields.finish();
        ports
    }

    /// `groups: [[a, b], c]`, or a `shape`, of all servers or of the `hosts` that are named.
    pub(super) fn groups(&self, fields: &mut Fields<'_>) -> (Vec<Vec<Place>>, Option<Choice>) {
        let (groups, shape) = (fields.optional("groups"), fields.optional("shape"));
        match (groups, shape) {
            (Some(item), None) => {
                let groups: Vec<Vec<Place>> = item.list().iter().map(|group| self.places(group)).collect();
                if item.report.is_clean() && (groups.len() < 2 || groups.iter().any(Vec::is_empty)) {
                    item.error("expected two or more groups, such as [[zk1, kafka1], [zk2]]");
                }
                (groups, None)
            }
            (None, Some(item)) => {
                let hosts = fields.optional("hosts");
                let shape = item.choice(Shape::WORDS);
                (Vec::new(), shape.map(|shape| self.split(&item, shape, hosts.as_ref())))
            }
            _ => {
                let words: Vec<&str> = Shape::WORDS.iter().map(|(word, _)| *word).collect();
                let message = format!("expected `groups`, or a `shape` ({})", words.join(", "));
                fields.item().error(message);
                (Vec::new(), None)
            }
        }
    }

    fn split(&self, item: &Item<'_>, shape: Shape, hosts: Option<&Item<'_>>) -> Choice {
        let mut named: Vec<HostId> = Vec::new();
        for host in hosts.iter().flat_map(|hosts| hosts.list()) {
            for selector in self.hosts(&host) {
                match selector.fixed(&self.deployment) {
                    Some(host) => named.push(host),
                    None => host.error("a shape splits hosts by name; a role has none before the run"),
                }
            }
        }
        named.sort_unstable();
        named.dedup();
        let count = if hosts.is_some() { named.len() } else { server_hosts(self.scenario).len() };
        if item.report.is_clean() && count < shape.least_hosts() {
            let (word, least) = (shape.word(), shape.least_hosts());
            item.error(format!("`{word}` needs {least} hosts or more to split; there are {count}"));
        }
        Choice::Split { shape, hosts: named }
    }

    /// Whether no packet can ever be on the route, roles aside.
    fn hits_nobody(&self, route: &Route) -> bool {
        let by_role = |place: &Place| matches!(place, Place::Host(host) if host.fixed(&self.deployment).is_none());
        let fixed = !route.from.iter().chain(&route.to).any(by_role);
        fixed && route.pairs(self.scenario, |host| host.fixed(&self.deployment)).is_empty()
    }

    /// `zookeeper: [1, 2]`.
    pub(super) fn ensemble(&self, fields: &mut Fields<'_>) -> Option<Vec<Sid>> {
        let item = fields.required("zookeeper")?;
        let mut servers = cluster::read_sids(&item, &self.scenario.cluster.zookeeper);
        servers.sort_unstable();
        if servers.is_empty() {
            item.error("an ensemble needs at least one server");
        }
        (!servers.is_empty()).then_some(servers)
    }

    /// A path of `log.dirs` of a broker on one of these hosts, or of any broker if a host is not known yet.
    pub(super) fn log_dir(&self, item: &Item<'_>, hosts: &[HostSelector]) -> Option<String> {
        let path = item.text("a path of a broker's `log.dirs`")?;
        let on: Vec<Option<HostId>> = hosts.iter().map(|host| host.fixed(&self.deployment)).collect();
        let hit = |host: HostId| on.contains(&Some(host)) || on.contains(&None) || on.is_empty();
        let brokers = self.scenario.cluster.kafka.brokers.iter().filter(|broker| hit(broker.host));
        let known: Vec<&str> = brokers.flat_map(|b| b.config.log_dirs.paths()).map(String::as_str).collect();
        if !known.contains(&path) {
            item.error(unknown("log directory", path, &known));
        }
        Some(path.to_owned())
    }

    /// Hosts: one by name or by what runs on it, all of a site, or those of a group of servers.
    pub(super) fn hosts(&self, item: &Item<'_>) -> Vec<HostSelector> {
        let all = |hosts: Vec<HostId>| hosts.into_iter().map(HostSelector::Host).collect();
        let Some(text) = item.text("a host, or `host-of` a process") else { return Vec::new() };
        if let Some(host) = self.host_word(text) {
            return vec![host];
        }
        if let Some(site) = self.scenario.topology.site(text) {
            return all(self.scenario.topology.hosts_of(site).collect());
        }
        if let Some(group) = self.group(text) {
            let mut hosts: Vec<HostId> =
                group.iter().filter_map(|p| HostSelector::Of(*p).fixed(&self.deployment)).collect();
            hosts.sort_unstable();
            hosts.dedup();
            return all(hosts);
        }
        item.error(self.unknown_place("host", text, false));
        Vec::new()
    }

    /// One host.
    pub(super) fn one_host(&self, item: &Item<'_>) -> Option<HostSelector> {
        let text = item.text("a host, or `host-of` a process")?;
        self.host_word(text).or_else(|| {
            item.error(self.unknown_place("host", text, false));
            None
        })
    }

    /// The places of a list.
    pub(super) fn places(&self, item: &Item<'_>) -> Vec<Place> {
        item.list().iter().flat_map(|place| self.place(place)).collect()
    }

    fn place(&self, item: &Item<'_>) -> Vec<Place> {
        let Some(text) = item.text("a site, a host, or `host-of` a process") else { return Vec::new() };
        if let Some(site) = self.scenario.topology.site(text) {
            return vec![Place::Site(site)];
        }
        if self.host_word(text).is_some() || self.group(text).is_some() {
            return self.hosts(item).into_iter().map(Place::Host).collect();
        }
        item.error(self.unknown_place("place", text, true));
        Vec::new()
    }

    /// All servers of a kind: `brokers` or `zookeepers`. A site or host of that name comes first.
    fn group(&self, text: &str) -> Option<Vec<ProcessSelector>> {
        let cluster = &self.scenario.cluster;
        match text {
            "brokers" => Some(cluster.kafka.brokers.iter().map(|broker| ProcessSelector::Broker(broker.id)).collect()),
            "zookeepers" => {
                Some(cluster.zookeeper.servers.iter().map(|server| ProcessSelector::ZooKeeper(server.sid)).collect())
            }
            _ => None,
        }
    }

    fn host_word(&self, text: &str) -> Option<HostSelector> {
        match text.strip_prefix("host-of ") {
            Some(process) => self.process_word(process.trim()).map(HostSelector::Of),
            None => self.scenario.topology.host(text).map(HostSelector::Host),
        }
    }

    /// Processes: one by name or by role, or all servers of a kind.
    pub(super) fn processes(&self, item: &Item<'_>) -> Vec<ProcessSelector> {
        let Some(text) = item.text("a process") else { return Vec::new() };
        let found = self.process_word(text).map(|process| vec![process]).or_else(|| self.group(text));
        found.unwrap_or_else(|| {
            item.error(unknown("process", text, &self.process_words()));
            Vec::new()
        })
    }

    fn process_word(&self, text: &str) -> Option<ProcessSelector> {
        match text {
            "controller" => Some(ProcessSelector::Controller),
            "zk-leader" => Some(ProcessSelector::ZooKeeperLeader),
            _ => match text.strip_prefix("leader-of ") {
                Some(partition) => self.partition(partition.trim()).map(ProcessSelector::LeaderOf),
                None => {
                    let id = self.deployment.named(text)?;
                    self.deployment.process(id).map(Process::selector)
                }
            },
        }
    }

    fn partition(&self, text: &str) -> Option<TopicPartition> {
        let (topic, partition) = text.rsplit_once('-')?;
        let partition = TopicPartition { topic: Topic::parse(topic)?, partition: partition.parse().ok()? };
        let workload = &self.scenario.workload;
        (partition.topic.0 < workload.topics && partition.partition < workload.partitions).then_some(partition)
    }

    fn process_words(&self) -> Vec<&str> {
        let roles = ["controller", "zk-leader", "leader-of topic-0-0"];
        self.deployment.processes.iter().map(|process| process.name.as_str()).chain(roles).collect()
    }

    fn unknown_place(&self, what: &str, text: &str, sites: bool) -> String {
        if let Some(process) = text.strip_prefix("host-of ") {
            return unknown("process", process.trim(), &self.process_words());
        }
        let topology = &self.scenario.topology;
        let sites = if sites { topology.sites.as_slice() } else { &[] };
        let mut words: Vec<&str> = sites.iter().map(String::as_str).collect();
        words.extend(topology.hosts.iter().map(|host| host.name.as_str()));
        if self.process_word(text).is_some() {
            return format!("`{text}` is a process; its host is `host-of {text}`");
        }
        unknown(what, text, &words)
    }
}
