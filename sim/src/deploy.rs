//! From a scenario to a simulation: hosts, links and processes with their settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use models::defect::{Defect, Defects};
use models::id::{Address, BrokerId, HostId, ProcessId, Sid, Topic};
use models::kafka::broker::{Broker, BrokerSpec};
use models::kafka::client::{AdminClient, AdminSpec, Consumer, ConsumerSpec, Producer, ProducerSpec, Subscribed};
use models::kafka::{Addresses, Racks};
use models::node::Node;
use models::random::{Purpose, Random, named};
use models::time::{Instant, Span};
use models::world::ZK_CLIENT_PORT;
use models::zk::server::{Server, ServerSpec};
use models::zk::session_client::{SessionClient, SessionSpec};
use scenarios::Scenario;
use scenarios::deployment::{Deployment, Process, ProcessKind};
use scenarios::scenario::Restart;

use crate::clock::ClockProfile;
use crate::disk::DiskProfile;
use crate::inject::netem;
use crate::kernel::{HostSpec, ProcessSpec, RestartPolicy, SimulationSpec};
use crate::net::netem::{Loss, Netem, Ppm};
use crate::net::tcp::TcpConfig;
use crate::net::topology::{LinkProfile, Site, SiteGraph};

/// Processes of one start-up do not come up in the same instant; the spread of a configuration management run.
const START_SPREAD: Span = Span::from_ms(500);
/// Brokers are started when the ensemble has had time to elect, as their unit files order them.
const BROKERS_AFTER: Span = Span::from_secs(2);
/// Clients begin when the brokers have registered.
const CLIENTS_AFTER: Span = Span::from_secs(6);
/// Producers and consumers begin when the topics exist.
const TRAFFIC_AFTER: Span = Span::from_secs(10);

/// The simulation of a scenario before its first event.
pub(crate) fn simulation(scenario: &Scenario, deployment: &Deployment, seed: u64) -> SimulationSpec<Node> {
    let brokers: Addresses = Arc::new(deployment.broker_addresses());
    let restart = match scenario.supervisor {
        Restart::After(span) => RestartPolicy::After(span),
        Restart::Never => RestartPolicy::Never,
    };
    let processes = deployment.processes.iter().map(|process| ProcessSpec {
        stream: Some(named(&process.name)),
        process: node(scenario, deployment, &brokers, process),
        host: process.host,
        restart,
        start_at: start_at(scenario, process, seed),
        start_up: scenario.start_up,
    });
    SimulationSpec {
        seed,
        sites: sites(scenario),
        loopback: scenario.topology.loopback.delay,
        tcp: tcp(&scenario.tcp),
        hosts: scenario.topology.hosts.iter().map(host).collect(),
        processes: processes.collect(),
    }
}

/// When a process starts first: servers, then brokers, then clients, each a little apart.
fn start_at(scenario: &Scenario, process: &Process, seed: u64) -> Instant {
    let mut random = Random::new(seed, Purpose::Startup, named(&process.name));
    let base = match &process.kind {
        ProcessKind::ZooKeeper { sid } => {
            let server = scenario.cluster.zookeeper.servers.iter().find(|server| server.sid == *sid);
            server.map_or(Span::ZERO, |server| server.start)
        }
        ProcessKind::Broker { .. } => BROKERS_AFTER,
        ProcessKind::Admin
        | ProcessKind::Producer { .. }
        | ProcessKind::Consumer { .. }
        | ProcessKind::Session { .. } => CLIENTS_AFTER,
    };
    let at = Instant::ZERO + base + random.span(Span::ZERO, START_SPREAD);
    let (low, high) = scenario.start_up;
    if high > Span::ZERO { at + random.span(low, high) } else { at }
}

fn node(scenario: &Scenario, deployment: &Deployment, brokers: &Addresses, process: &Process) -> Node {
    match &process.kind {
        ProcessKind::ZooKeeper { sid } => Node::ZooKeeper(server(scenario, deployment, process.host, *sid)),
        ProcessKind::Broker { broker } => Node::Broker(self::broker(scenario, deployment, brokers, *broker)),
        ProcessKind::Admin => Node::Admin(AdminClient::new(admin_spec(scenario, deployment, brokers))),
        ProcessKind::Producer { ordinal, of, config } => {
            let workload = &scenario.workload;
            let interval = interval(workload.records_per_second, *of);
            // Producers go round the partitions evenly apart, so that each partition is probed at an even pace.
            let round = interval * u64::from(workload.topics) * u64::from(workload.partitions);
            let lag = round.scaled(u64::from(*ordinal), u64::from(*of));
            Node::Producer(Producer::new(ProducerSpec {
                config: Arc::new(config.clone()),
                bootstrap: brokers.clone(),
                partitions: workload.all_partitions().collect(),
                creates_topics: workload.auto_create_topics,
                skew_ppm: workload.skew.ppm(),
                interval,
                jitter: Span::ZERO,
                record_size: workload.record_size,
                start_after: TRAFFIC_AFTER.saturating_sub(CLIENTS_AFTER) + lag,
                client: u64::from(*ordinal),
                defects: defects(scenario),
            }))
        }
        ProcessKind::Consumer { partitions, config, group, .. } => Node::Consumer(Consumer::new(ConsumerSpec {
            config: Arc::new(config.clone()),
            bootstrap: brokers.clone(),
            partitions: partitions.iter().copied().collect(),
            subscribed: group.clone().map_or(Subscribed::Manually, Subscribed::In),
            start_after: TRAFFIC_AFTER.saturating_sub(CLIENTS_AFTER),
            end_offsets_every: scenario.workload.end_offsets_every,
            defects: defects(scenario),
        })),
        ProcessKind::Session { config } => Node::Session(SessionClient::new(SessionSpec {
            name: process.name.as_str().into(),
            servers: deployment.zookeeper_connect(&config.servers).into(),
            shuffle: config.shuffle,
            session_timeout: config.session_timeout,
            pause: config.pause,
            gives_up: !scenario.cluster.zookeeper.defects.has(Defect::ClientNeverGivesUp),
            thread_delay: thread_delay(scenario, process.host),
        })),
    }
}

/// Time between the records of one producer.
pub(crate) fn interval(records_per_second: u32, producers: u32) -> Span {
    Span::from_secs(1).scaled(u64::from(producers), u64::from(records_per_second.max(1)))
}

fn thread_delay(scenario: &Scenario, host: HostId) -> Span {
    scenario.topology.hosts[usize::from(host.0)].thread_delay
}

fn server(scenario: &Scenario, deployment: &Deployment, host: HostId, sid: Sid) -> Server {
    let zookeeper = &scenario.cluster.zookeeper;
    let ensemble: BTreeMap<Sid, ProcessId> = deployment.zookeepers().collect();
    Server::new(ServerSpec {
        sid,
        ensemble: Arc::new(ensemble),
        config: Arc::new(zookeeper.config.clone()),
        defects: zookeeper.defects,
        thread_delay: thread_delay(scenario, host),
    })
}

fn broker(scenario: &Scenario, deployment: &Deployment, brokers: &Addresses, id: BrokerId) -> Broker {
    let kafka = &scenario.cluster.kafka;
    let broker = kafka.brokers.iter().find(|b| b.id == id).expect("the deployment lists the scenario's own brokers");
    Broker::new(BrokerSpec {
        config: Arc::new(broker.config.clone()),
        zookeeper: deployment.zookeeper_connect(&broker.zookeeper_connect).into(),
        addresses: brokers.clone(),
        racks: racks(scenario),
        defects: defects(scenario),
    })
}

fn racks(scenario: &Scenario) -> Racks {
    let brokers = scenario.cluster.kafka.brokers.iter();
    Arc::new(brokers.filter_map(|broker| Some((broker.id, broker.config.rack.clone()?))).collect())
}

fn defects(scenario: &Scenario) -> Defects {
    scenario.cluster.kafka.defects
}

fn admin_spec(scenario: &Scenario, deployment: &Deployment, brokers: &Addresses) -> AdminSpec {
    let workload = &scenario.workload;
    let topics = if workload.auto_create_topics { 0 } else { workload.topics };
    AdminSpec {
        bootstrap: brokers.clone(),
        zookeeper: deployment.zookeepers().map(|(_, process)| Address { process, port: ZK_CLIENT_PORT }).collect(),
        brokers_expected: scenario.cluster.kafka.brokers.len(),
        topics: (0..topics).map(|t| (Topic(t), workload.partitions, workload.replication_factor)).collect(),
        start_after: Span::ZERO,
    }
}

fn sites(scenario: &Scenario) -> SiteGraph {
    let topology = &scenario.topology;
    let mut graph = SiteGraph::new();
    let inside = inside(&topology.lan);
    let nodes: Vec<_> =
        topology.sites.iter().map(|name| graph.add_node(Site { name: name.as_str().into(), inside })).collect();
    for link in &topology.links {
        graph.add_edge(nodes[usize::from(link.from.0)], nodes[usize::from(link.to.0)], self::link(&link.netem));
    }
    graph
}

/// A link without faults. Delay, even jitter, independent loss and rate are the engine's plain link, which keeps streams in
/// order; all else makes it a netem as a whole, for which netem's words mean what they mean in a fault.
fn link(wire: &scenarios::netem::Netem) -> LinkProfile {
    let wire = netem(wire);
    let loss = match wire.loss {
        Loss::None => Some(Ppm::NEVER),
        Loss::Random(chance) if chance.correlation == Ppm::NEVER => Some(chance.probability),
        Loss::Random(_) | Loss::GilbertElliott { .. } | Loss::FourState { .. } => None,
    };
    // Whatever netem learns later is not plain.
    let rest = Netem { delay: Span::ZERO, jitter: Span::ZERO, loss: Loss::None, rate: 0, ..wire };
    match loss {
        Some(loss) if rest == Netem::default() => {
            LinkProfile { delay: wire.delay, jitter: wire.jitter, loss, rate: wire.rate, ..LinkProfile::default() }
        }
        _ => LinkProfile { netem: Some(wire), ..LinkProfile::default() },
    }
}

/// Between two hosts of a site. Nothing is shared there, so that a rate is that of each host's interface.
fn inside(wire: &scenarios::netem::Netem) -> LinkProfile {
    let plain = link(wire);
    if plain.rate == 0 { plain } else { LinkProfile { netem: Some(netem(wire)), ..LinkProfile::default() } }
}

fn tcp(tcp: &scenarios::scenario::Tcp) -> TcpConfig {
    TcpConfig {
        rto_min: tcp.rto_min,
        rto_max: tcp.rto_max,
        rto_initial: tcp.rto_initial,
        retries2: tcp.retries2,
        syn_retries: tcp.syn_retries,
        syn_linear_timeouts: tcp.syn_linear_timeouts,
        ..TcpConfig::default()
    }
}

fn host(host: &scenarios::topology::Host) -> HostSpec {
    HostSpec {
        stream: Some(named(&host.name)),
        site: host.site.0,
        disk: DiskProfile {
            capacity: host.disk.capacity,
            fsync: host.disk.fsync,
            fsync_jitter: host.disk.fsync_jitter * 2,
            read: host.disk.read,
            bandwidth: host.disk.bandwidth,
        },
        thread_delay: host.thread_delay,
        clock: ClockProfile {
            offset_ns: host.clock.offset_ns,
            drift_ppb: host.clock.drift_ppm.saturating_mul(1_000),
            uptime: host.clock.uptime,
        },
        tcp: host.tcp.as_ref().map(tcp),
    }
}
