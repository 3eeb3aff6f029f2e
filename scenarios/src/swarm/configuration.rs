//! Cluster, settings and clients of a world.
//!
//! What is drawn is what the laws can judge: `acks=all` always, so that nothing is lost that may be lost. A tenth of the worlds has unclean
//! elections, of which the laws permit what Kafka does.

use models::id::{BrokerId, Group, HostId, Sid};
use models::kafka::config::{Acks, BrokerConfig, ConsumerConfig, OffsetReset, ProducerConfig, Text};
use models::kafka::inter_broker_protocol::ProtocolVersion;
use models::options::OptionValue;
use models::random::{Purpose, Random};
use models::time::Span;
use models::zk::client::ClientCnxnSocket;

use super::layout::{self, Layout};
use crate::cluster::{Broker, ZooKeeperServer};
use crate::expect::{Bound, Gauge};
use crate::monitoring::Monitoring;
use crate::scenario::{Restart, Scenario};
use crate::workload::{ClientGroup, SessionConfig};

/// The streams of a world that decide on the cluster, its settings, and the clients.
const CLUSTER: u64 = 1;
const SETTINGS: u64 = 2;
const CLIENTS: u64 = 3;
const SESSIONS: u64 = 4;
const SUPERVISOR: u64 = 5;
/// Apart from the other settings, so that those of a world do not depend on it.
const UNCLEAN: u64 = 7;

/// Protocols among brokers whose rules differ and that bring no defect along.
const PROTOCOLS: [&str; 6] = ["2.1", "2.4", "2.6", "2.7-IV1", "2.8", "3.2"];
/// A consumer group needs so many partitions to keep its offsets in; Kafka's 50 would only cost time.
const OFFSETS_PARTITIONS: u32 = 3;
/// An election of a controller and of leaders, and the ISR changes that follow.
const AFTERMATH: Span = Span::from_secs(2);
/// From the first leader of the ensemble to a controller and to all brokers serving.
const FIRST_CONTROLLER: Span = Span::from_secs(10);
/// Between two writes of an application that has a ZooKeeper session.
const SESSION_PAUSE: (Span, Span) = (Span::from_ms(50), Span::from_secs(2));

/// Gives `scenario` the configuration of a world.
pub(super) fn draw(scenario: &mut Scenario, world: u64) {
    let stream = |entity| Random::new(world, Purpose::World, entity);
    let mut random = stream(CLUSTER);
    // What races with itself does so most often where there is nobody else: a broker that is the only one wins every election.
    let sizes = [1, 2, 3, 4, 5, 6][random.weighted(&[8, 12, 28, 32, 12, 8])];
    let brokers = if scenario.cluster.has_kafka() { sizes } else { 0 };
    let servers = [3, 4, 5][random.weighted(&[45, 25, 30])];
    let layout = layout::draw(scenario, brokers, servers, &mut random);
    place_servers(scenario, &layout);
    let mut random = stream(SETTINGS);
    zookeeper_settings(scenario, &mut random);
    if brokers > 0 {
        let mut config = broker_settings(scenario, brokers as u32, &mut random);
        config.unclean_leader_election_enable = stream(UNCLEAN).chance(1, 10);
        scenario.workload.replication_factor = config.default_replication_factor as u16;
        place_brokers(scenario, &layout, &config);
        clients(scenario, &layout, &mut stream(CLIENTS));
    }
    sessions(scenario, &layout, &mut stream(SESSIONS));
    supervisor(scenario, &mut stream(SUPERVISOR));
    scenario.phases.warm_up = warm_up(scenario);
    scenario.phases.quiet_hold = hold(scenario);
    scenario.monitoring = Monitoring { hosts: None, ..scenario.monitoring.clone() };
    let fits = |(gauge, bound): &mut (Gauge, Bound)| match gauge {
        Gauge::Brokers => {
            *bound = Bound::exactly(brokers as u64);
            true
        }
        Gauge::ZooKeeperServing => {
            *bound = Bound::exactly(servers as u64);
            true
        }
        Gauge::ControllersSeenFrom(_) => false,
        _ => true,
    };
    scenario.expect.steady_state.retain_mut(fits);
    scenario.expect.at_end.retain_mut(fits);
}

fn place_servers(scenario: &mut Scenario, layout: &Layout) {
    let start =
        |index: usize| scenario.cluster.zookeeper.servers.get(index).map(|server| server.start).unwrap_or_default();
    let server = |(index, host): (usize, &HostId)| ZooKeeperServer {
        sid: Sid(index as u8 + 1),
        host: *host,
        start: start(index),
    };
    scenario.cluster.zookeeper.servers = layout.servers.iter().enumerate().map(server).collect();
}

fn zookeeper_settings(scenario: &mut Scenario, random: &mut Random) {
    let config = &mut scenario.cluster.zookeeper.config;
    config.tick_time = *random.pick(&[2_000, 2_000, 1_000, 3_000]);
    (config.init_limit, config.sync_limit) = *random.pick(&[(10, 5), (10, 5), (5, 2), (20, 10)]);
    // With a short history a server that was away gets the whole tree.
    config.commit_log_count = *random.pick(&[500, 500, 20]);
    config.snap_count = *random.pick(&[100_000, 100_000, 200]);
}

fn broker_settings(scenario: &Scenario, brokers: u32, random: &mut Random) -> BrokerConfig {
    let kafka = &scenario.cluster.kafka;
    let mut config = kafka.brokers.first().map(|broker| broker.config.clone()).unwrap_or_default();
    let most = u64::from(brokers.min(5));
    let replicas = random.within(most.min(2), most) as u32;
    // A majority or more is what people set; fewer is what the gates of the laws are for.
    let min_isr = match random.weighted(&[30, 45, 25]) {
        0 => random.within(1, replicas.into()) as u32,
        1 => (replicas / 2 + 1).min(replicas),
        _ => (replicas - 1).max(1),
    };
    config.default_replication_factor = replicas;
    config.min_insync_replicas = min_isr;
    config.offsets_topic_replication_factor = replicas;
    config.offsets_topic_num_partitions = OFFSETS_PARTITIONS;
    config.num_partitions = scenario.workload.partitions.into();
    // The default of today, that of before 2.5, and others: the shorter a session, the more faults outlast it.
    let session = *random.pick(&[18_000, 18_000, 6_000, 6_000, 6_000, 9_000, 30_000]);
    config.zookeeper_session_timeout_ms = session;
    config.zookeeper_connection_timeout_ms = Some(session);
    config.replica_lag_time_max_ms = *random.pick(&[30_000, 10_000, 5_000, 5_000]);
    config.num_replica_fetchers = *random.pick(&[1, 1, 2, 4]);
    config.replica_high_watermark_checkpoint_interval_ms = *random.pick(&[5_000, 5_000, 1_000, 20_000]);
    config.log_flush_interval_messages = *random.pick(&[u64::from(u32::MAX), 1, 50]);
    config.auto_leader_rebalance_enable = random.chance(3, 4);
    // Leadership moves without a crash when it is soon given back to who is preferred.
    config.leader_imbalance_check_interval_seconds = *random.pick(&[300, 30, 10, 5, 2]);
    config.controlled_shutdown_enable = random.chance(4, 5);
    config.zookeeper_client_cnxn_socket = *random.pick(&[ClientCnxnSocket::Nio, ClientCnxnSocket::Netty]);
    config.inter_broker_protocol_version = protocol(scenario, random);
    config
}

/// The rules among brokers: of today, or of a time that all defects switched on leave possible.
fn protocol(scenario: &Scenario, random: &mut Random) -> Option<ProtocolVersion> {
    let newest = ProtocolVersion::newest_with(scenario.cluster.kafka.defects);
    let known = PROTOCOLS.iter().filter_map(|text| ProtocolVersion::parse(text).ok());
    let possible: Vec<ProtocolVersion> = known.filter(|version| *version <= newest).collect();
    let old = random.chance(2, 5);
    (old && !possible.is_empty()).then(|| *random.pick(&possible))
}

fn place_brokers(scenario: &mut Scenario, layout: &Layout, config: &BrokerConfig) {
    let sids: Vec<Sid> = scenario.cluster.zookeeper.servers.iter().map(|server| server.sid).collect();
    let broker = |(index, host): (usize, &HostId)| {
        let id = index as i32 + 1;
        let rack = scenario.topology.site_name_of(*host).to_owned();
        let config = BrokerConfig { broker_id: id, rack: Some(Text(rack)), ..config.clone() };
        Broker { id: BrokerId(id), host: *host, zookeeper_connect: sids.clone(), config }
    };
    scenario.cluster.kafka.brokers = layout.brokers.iter().enumerate().map(broker).collect();
}

fn clients(scenario: &mut Scenario, layout: &Layout, random: &mut Random) {
    let workload = &mut scenario.workload;
    workload.admin = layout.clients[0];
    workload.auto_create_topics = false;
    // Lag monitors ask for ends all the time.
    let ends = *random.pick(&[None, None, Some(2_000), Some(500)]);
    workload.end_offsets_every = ends.map(Span::from_ms);
    let like = workload.producers.first().map(|group| group.config.clone()).unwrap_or_default();
    let producers = random.within(2, 4);
    let host = |random: &mut Random| *random.pick(&layout.clients);
    workload.producers = (0..producers)
        .map(|_| ClientGroup { host: host(random), count: 1, group: None, config: producer(&like, random) })
        .collect();
    let like = workload.consumers.first().map(|group| group.config.clone()).unwrap_or_default();
    let earliest = ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..like };
    // Somebody has to read everything, whatever becomes of a group.
    let alone = ClientGroup { host: host(random), count: 1, group: None, config: earliest.clone() };
    workload.consumers = vec![alone];
    if random.chance(1, 2) {
        let config = member(earliest, random);
        let group = Some(Group("readers".into()));
        let members = random.within(2, 3);
        workload.consumers.extend((0..members).map(|_| ClientGroup {
            host: host(random),
            count: 1,
            group: group.clone(),
            config: config.clone(),
        }));
    }
}

fn producer(like: &ProducerConfig, random: &mut Random) -> ProducerConfig {
    let idempotent = random.chance(1, 2);
    let in_flight = *random.pick(&[1, 1, 2, 5]);
    let (delivery, request) = *random.pick(&[(120_000, 30_000), (120_000, 30_000), (30_000, 10_000), (15_000, 5_000)]);
    ProducerConfig {
        acks: Acks::All,
        enable_idempotence: idempotent,
        max_in_flight_requests_per_connection: in_flight,
        delivery_timeout_ms: delivery,
        request_timeout_ms: request,
        linger_ms: *random.pick(&[0, 0, 5, 50]),
        ..like.clone()
    }
}

/// A member of a group: an impatient one shows more.
fn member(like: ConsumerConfig, random: &mut Random) -> ConsumerConfig {
    ConsumerConfig {
        session_timeout_ms: *random.pick(&[45_000, 10_000, 6_000]),
        max_poll_interval_ms: *random.pick(&[60_000, 30_000]),
        enable_auto_commit: random.chance(1, 2),
        auto_commit_interval_ms: *random.pick(&[5_000, 1_000]),
        ..like
    }
}

/// ZooKeeper's own clients stay as many as they are, each somewhere, with the whole ensemble to choose from. Where there are
/// none, an ensemble is sometimes shared with other applications: brokers alone write so little that few writes are under way
/// when something happens.
fn sessions(scenario: &mut Scenario, layout: &Layout, random: &mut Random) {
    let sids: Vec<Sid> = scenario.cluster.zookeeper.servers.iter().map(|server| server.sid).collect();
    let sessions = &mut scenario.workload.sessions;
    if sessions.is_empty() && random.chance(1, 3) {
        let pause = Span::from_ms(random.log_uniform(SESSION_PAUSE.0.as_ms(), SESSION_PAUSE.1.as_ms()));
        let session_timeout = Span::from_ms(*random.pick(&[18_000, 6_000]));
        let config = SessionConfig { servers: Vec::new(), shuffle: true, session_timeout, pause };
        let group = ClientGroup { host: layout.clients[0], count: 1, group: None, config };
        sessions.extend(vec![group; random.within(1, 2) as usize]);
    }
    for (number, group) in sessions.iter_mut().enumerate() {
        group.host = layout.clients[number % layout.clients.len()];
        group.config.servers.clone_from(&sids);
    }
}

/// How long a world takes to start, at least as long as the scenario says. Servers that start while others elect may join neither
/// the elected leader, which has too few followers then, nor elect another: until that leader gives up after `initLimit`.
fn warm_up(scenario: &Scenario) -> Span {
    let config = &scenario.cluster.zookeeper.config;
    let init_limit = Span::from_ms(u64::from(config.init_limit) * u64::from(config.tick_time));
    scenario.phases.warm_up.max(scenario.start_up.1 + init_limit + FIRST_CONTROLLER)
}

/// How long a world has to stay as it should be, at most as long as the scenario says: until the last session has ended that nobody
/// keeps alive although no fault is left, which is found out at a tick, and what follows from that is over.
fn hold(scenario: &Scenario) -> Span {
    let brokers = scenario.cluster.kafka.brokers.iter().map(|broker| broker.config.zookeeper_session_timeout_ms);
    let brokers = brokers.map(|ms| Span::from_ms(ms.into()));
    let others = scenario.workload.sessions.iter().map(|group| group.config.session_timeout);
    let longest = brokers.chain(others).max().unwrap_or(Span::ZERO);
    let tick = Span::from_ms(scenario.cluster.zookeeper.config.tick_time.into());
    scenario.phases.quiet_hold.min(longest + tick + AFTERMATH)
}

/// How soon a process that has ended runs again: within a moment, or after all that waits for it has given up.
fn supervisor(scenario: &mut Scenario, random: &mut Random) {
    if let Restart::After(usual) = scenario.supervisor {
        scenario.supervisor = Restart::After(*random.pick(&[usual, usual, Span::from_ms(100), Span::from_secs(1)]));
    }
    let (low, high) = *random.pick(&[(0, 0), (100, 500), (1_000, 3_000), (2_000, 6_000)]);
    scenario.start_up = (Span::from_ms(low), Span::from_ms(high));
}
