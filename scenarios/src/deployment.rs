//! The processes of a scenario in the order in which they are deployed: ZooKeeper servers, brokers, the admin client,
//! producers, consumers, ZooKeeper's own clients. A [`ProcessId`] is a position in that order.

use std::collections::BTreeMap;

use models::id::{Address, BrokerId, Group, HostId, ProcessId, Sid, TopicPartition};
use models::kafka::config::{ConsumerConfig, ProducerConfig};
use models::world::{KAFKA_PORT, ZK_CLIENT_PORT};

use crate::cluster::Broker;
use crate::fault::ProcessSelector;
use crate::scenario::Scenario;
use crate::workload::SessionConfig;

/// All processes of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// The processes. [`ProcessId`] is the index.
    pub processes: Vec<Process>,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub id: ProcessId,
    /// Its name: `zk1`, `broker1`, `admin`, `producer-london-1`, `consumer-frankfurt-2`,
    /// `session-london-1`.
    pub name: String,
    /// Where it runs.
    pub host: HostId,
    /// What it is.
    pub kind: ProcessKind,
}

/// What a process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessKind {
    /// A ZooKeeper server.
    ZooKeeper {
        /// `myid`.
        sid: Sid,
    },
    /// A broker.
    Broker {
        /// `broker.id`.
        broker: BrokerId,
    },
    /// The client that creates the topics.
    Admin,
    /// A producer.
    Producer {
        /// Its number among all producers, from 0.
        ordinal: u32,
        /// How many producers there are.
        of: u32,
        /// Its settings.
        config: ProducerConfig,
    },
    /// A consumer.
    Consumer {
        /// Its number among all consumers, from 0.
        ordinal: u32,
        /// The group that it is a member of.
        group: Option<Group>,
        /// What it reads; as a member of a group, all that the group reads.
        partitions: Vec<TopicPartition>,
        /// Its settings.
        config: ConsumerConfig,
    },
    /// An application with a ZooKeeper session.
    Session {
        /// Its settings.
        config: SessionConfig,
    },
}

impl Process {
    /// The selector that names it, as scenario files do.
    pub fn selector(&self) -> ProcessSelector {
        match self.kind {
            ProcessKind::Broker { broker } => ProcessSelector::Broker(broker),
            ProcessKind::ZooKeeper { sid } => ProcessSelector::ZooKeeper(sid),
            _ => ProcessSelector::Process(self.id),
        }
    }
}

impl Deployment {
    pub(crate) fn of(scenario: &Scenario) -> Self {
        let mut deployment = Self { processes: Vec::new() };
        for server in &scenario.cluster.zookeeper.servers {
            deployment.add(format!("zk{}", server.sid), server.host, ProcessKind::ZooKeeper { sid: server.sid });
        }
        for Broker { id, host, .. } in &scenario.cluster.kafka.brokers {
            deployment.add(format!("broker{id}"), *host, ProcessKind::Broker { broker: *id });
        }
        if scenario.cluster.has_kafka() {
            deployment.add("admin".to_owned(), scenario.workload.admin, ProcessKind::Admin);
            deployment.add_producers(scenario);
            deployment.add_consumers(scenario);
        }
        deployment.add_sessions(scenario);
        deployment
    }

    fn add(&mut self, name: String, host: HostId, kind: ProcessKind) {
        let id = ProcessId(self.processes.len() as u16);
        self.processes.push(Process { id, name, host, kind });
    }

    fn add_producers(&mut self, scenario: &Scenario) {
        let of = scenario.workload.producer_count();
        let mut names = SiteNames::default();
        let members = scenario.workload.producers.iter().flat_map(|group| (0..group.count).map(move |_| group));
        for (ordinal, group) in (0..).zip(members) {
            let name = names.next("producer", scenario.topology.site_name_of(group.host));
            self.add(name, group.host, ProcessKind::Producer { ordinal, of, config: group.config.clone() });
        }
    }

    fn add_consumers(&mut self, scenario: &Scenario) {
        let mut names = SiteNames::default();
        let mut ordinal = 0;
        for group in &scenario.workload.consumers {
            let count = usize::from(group.count);
            for member in 0..count {
                let all = scenario.workload.all_partitions();
                let partitions =
                    if group.group.is_some() { all.collect() } else { all.skip(member).step_by(count).collect() };
                let name = names.next("consumer", scenario.topology.site_name_of(group.host));
                let config = group.config.clone();
                self.add(
                    name,
                    group.host,
                    ProcessKind::Consumer { ordinal, group: group.group.clone(), partitions, config },
                );
                ordinal += 1;
            }
        }
    }

    fn add_sessions(&mut self, scenario: &Scenario) {
        let mut names = SiteNames::default();
        let members = scenario.workload.sessions.iter().flat_map(|group| (0..group.count).map(move |_| group));
        for group in members {
            let name = names.next("session", scenario.topology.site_name_of(group.host));
            self.add(name, group.host, ProcessKind::Session { config: group.config.clone() });
        }
    }

    /// The process of that id.
    pub fn process(&self, id: ProcessId) -> Option<&Process> {
        self.processes.get(id.0 as usize)
    }

    /// A process's name, `?` if it does not exist.
    pub fn name(&self, id: ProcessId) -> &str {
        self.process(id).map_or("?", |process| process.name.as_str())
    }

    /// The process of that name.
    pub fn named(&self, name: &str) -> Option<ProcessId> {
        self.processes.iter().find(|process| process.name == name).map(|process| process.id)
    }

    /// The process of a broker.
    pub fn broker(&self, broker: BrokerId) -> Option<ProcessId> {
        self.brokers().find(|(id, _)| *id == broker).map(|(_, process)| process)
    }

    /// The process of a ZooKeeper server.
    pub fn zookeeper(&self, sid: Sid) -> Option<ProcessId> {
        self.zookeepers().find(|(id, _)| *id == sid).map(|(_, process)| process)
    }

    /// All brokers.
    pub fn brokers(&self) -> impl Iterator<Item = (BrokerId, ProcessId)> {
        self.processes.iter().filter_map(|process| match process.kind {
            ProcessKind::Broker { broker } => Some((broker, process.id)),
            _ => None,
        })
    }

    /// All ZooKeeper servers.
    pub fn zookeepers(&self) -> impl Iterator<Item = (Sid, ProcessId)> {
        self.processes.iter().filter_map(|process| match process.kind {
            ProcessKind::ZooKeeper { sid } => Some((sid, process.id)),
            _ => None,
        })
    }

    /// The processes on a host.
    pub fn on_host(&self, host: HostId) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(move |process| process.host == host)
    }

    /// Where each broker listens.
    pub fn broker_addresses(&self) -> BTreeMap<BrokerId, Address> {
        self.brokers().map(|(broker, process)| (broker, Address { process, port: KAFKA_PORT })).collect()
    }

    /// The addresses of a connect string, in its order.
    pub fn zookeeper_connect(&self, servers: &[Sid]) -> Vec<Address> {
        let address = |sid: &Sid| self.zookeeper(*sid).map(|process| Address { process, port: ZK_CLIENT_PORT });
        servers.iter().filter_map(address).collect()
    }
}

/// Counts the clients of a site.
#[derive(Default)]
struct SiteNames(BTreeMap<String, u32>);

impl SiteNames {
    fn next(&mut self, kind: &str, site: &str) -> String {
        let count = self.0.entry(site.to_owned()).or_default();
        *count += 1;
        format!("{kind}-{site}-{count}")
    }
}
