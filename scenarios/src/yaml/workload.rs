//! `workload:`.

use models::id::{Group, HostId, Sid};
use models::kafka::config::{Acks, BrokerConfig, ConsumerConfig, ProducerConfig};

use super::cluster::{apply, host_of, read_connect};
use super::fields::{Fields, Item};
use super::node::Value;
use crate::cluster::Cluster;
use crate::topology::Topology;
use crate::units;
use crate::workload::{ClientGroup, SessionConfig, Workload};

/// Who creates the topics.
const TOPIC_CREATION: &[(&str, bool)] = &[("admin", false), ("auto", true)];
/// Most partitions of a scenario: a hundred times the article's thousand. So many take gigabytes.
const MAX_PARTITIONS: u32 = 100_000;

pub(super) fn no_workload() -> Workload {
    Workload {
        topics: 0,
        partitions: 0,
        replication_factor: 0,
        records_per_second: 0,
        record_size: 1,
        end_offsets_every: None,
        skew: units::Share::NONE,
        auto_create_topics: false,
        admin: HostId(0),
        producers: Vec::new(),
        consumers: Vec::new(),
        sessions: Vec::new(),
    }
}

pub(super) fn read(item: &Item<'_>, topology: &Topology, cluster: &Cluster) -> Workload {
    let mut fields = item.fields();
    let mut workload =
        if cluster.has_kafka() { read_kafka(item, &mut fields, topology, cluster) } else { no_workload() };
    let sessions = if cluster.has_kafka() { fields.optional("sessions") } else { fields.required("sessions") };
    for group in sessions.iter().flat_map(Item::list) {
        workload.sessions.extend(read_sessions(&group, topology, cluster));
    }
    fields.finish();
    workload
}

/// What Kafka's clients do.
fn read_kafka(item: &Item<'_>, fields: &mut Fields<'_>, topology: &Topology, cluster: &Cluster) -> Workload {
    let mut workload = Workload {
        topics: count(fields, "topics", 10_000),
        partitions: count(fields, "partitions", 10_000),
        replication_factor: read_replication(fields, cluster),
        records_per_second: fields
            .required("records_per_second")
            .and_then(|rate| rate.integer(0..=1_000_000))
            .unwrap_or(0),
        record_size: read_size(fields, cluster),
        end_offsets_every: fields.optional("end_offsets_every").and_then(|item| item.positive_span()),
        skew: fields.share("skew"),
        auto_create_topics: fields
            .optional("topic_creation")
            .and_then(|word| word.choice(TOPIC_CREATION))
            .unwrap_or(false),
        ..no_workload()
    };
    if u32::from(workload.topics) * u32::from(workload.partitions) > MAX_PARTITIONS {
        item.error(format!(
            "{} topics of {} partitions are more than {MAX_PARTITIONS} partitions",
            workload.topics, workload.partitions
        ));
    }
    for group in fields.required("producers").iter().flat_map(Item::list) {
        workload.producers.extend(read_group(&group, topology, false, read_producer));
    }
    for group in fields.required("consumers").iter().flat_map(Item::list) {
        workload.consumers.extend(read_group(&group, topology, true, read_consumer));
    }
    check_groups(item, &workload, cluster);
    let first =
        workload.producers.first().map(|group| group.host).or(workload.consumers.first().map(|group| group.host));
    workload.admin = match fields.optional("admin") {
        Some(admin) => host_of(&admin, topology).unwrap_or_default(),
        None => first.unwrap_or_default(),
    };
    if workload.producers.is_empty() && workload.records_per_second > 0 && item.report.is_clean() {
        item.error(format!("{} records a second need at least one producer", workload.records_per_second));
    }
    check_auto_creation(item, &workload, cluster);
    workload
}

/// Topics that brokers create have the brokers' partitions and replicas.
fn check_auto_creation(item: &Item<'_>, workload: &Workload, cluster: &Cluster) {
    let (partitions, factor) = (u32::from(workload.partitions), u32::from(workload.replication_factor));
    let fits = |config: &BrokerConfig| {
        config.auto_create_topics_enable
            && (config.num_partitions, config.default_replication_factor) == (partitions, factor)
    };
    if workload.auto_create_topics && !cluster.kafka.brokers.iter().all(|broker| fits(&broker.config)) {
        item.error(format!(
            "`topic_creation: auto` needs `auto.create.topics.enable: true`, `num.partitions: {partitions}` and \
             `default.replication.factor: {factor}` on every broker"
        ));
    }
}

fn count(fields: &mut Fields<'_>, name: &'static str, most: u16) -> u16 {
    fields.required(name).and_then(|item| item.integer(1..=most)).unwrap_or(1)
}

fn read_replication(fields: &mut Fields<'_>, cluster: &Cluster) -> u16 {
    let Some(item) = fields.required("replication_factor") else { return 1 };
    let Some(factor) = item.integer(1..=10_000u16) else { return 1 };
    let brokers = cluster.kafka.brokers.len();
    if usize::from(factor) > brokers && brokers > 0 {
        item.error(format!("{factor} replicas need {factor} brokers, but there are {brokers}"));
    }
    let least = cluster.kafka.brokers.iter().map(|broker| broker.config.min_insync_replicas).max().unwrap_or(1);
    if least > u32::from(factor) {
        item.error(format!("`min.insync.replicas` is {least}: with {factor} replicas no acks=all write could succeed"));
    }
    factor
}

fn read_size(fields: &mut Fields<'_>, cluster: &Cluster) -> u32 {
    let Some(item) = fields.required("record_size") else { return 1 };
    let size = item.parsed(units::SIZE, |text| units::parse_size(text).and_then(|size| u32::try_from(size).ok()));
    let Some(size) = size else { return 1 };
    let most = cluster.kafka.brokers.iter().map(|broker| broker.config.message_max_bytes).min().unwrap_or(u32::MAX);
    if size == 0 || size > most {
        item.error(format!("a record must have 1 to {most} bytes (`message.max.bytes`)"));
    }
    size
}

fn read_group<C: Default>(
    item: &Item<'_>,
    topology: &Topology,
    consumes: bool,
    read_options: impl Fn(&Item<'_>) -> C,
) -> Option<ClientGroup<C>> {
    let mut fields = item.fields();
    let host = fields.required("host").and_then(|host| host_of(&host, topology));
    let count = fields.optional("count").map_or(Some(1), |count| count.integer(1..=1_000));
    let group = if consumes { fields.optional("group") } else { None };
    let group = group.and_then(|group| group.text("the name of a consumer group").map(|name| Group(name.into())));
    let config = fields.optional("options").map_or_else(C::default, |options| read_options(&options));
    fields.finish();
    Some(ClientGroup { host: host?, count: count?, group, config })
}

/// A group without a place for its offsets would wait for ever.
fn check_groups(item: &Item<'_>, workload: &Workload, cluster: &Cluster) {
    let groups = workload.groups();
    let brokers = &cluster.kafka.brokers;
    let Some(group) = groups.first().filter(|_| !brokers.is_empty()) else { return };
    for config in brokers.iter().map(|broker| &broker.config) {
        let factor = config.offsets_topic_replication_factor;
        if factor as usize > brokers.len() {
            let count = brokers.len();
            item.error(format!(
                "group `{group}` needs `offsets.topic.replication.factor`, which is {factor}, brokers; there are {count}"
            ));
            return;
        }
        if config.min_insync_replicas > factor {
            item.error(format!(
                "group `{group}` could never commit: `min.insync.replicas` is {}, `offsets.topic.replication.factor` {factor}",
                config.min_insync_replicas
            ));
            return;
        }
    }
}

/// Applications with a ZooKeeper session. `servers` is `all`, `local` (those of the host's site) or a list of sids.
fn read_sessions(item: &Item<'_>, topology: &Topology, cluster: &Cluster) -> Option<ClientGroup<SessionConfig>> {
    let mut fields = item.fields();
    let host = fields.required("host").and_then(|host| host_of(&host, topology));
    let count = fields.optional("count").map_or(Some(1), |count| count.integer(1..=1_000));
    let servers = &cluster.zookeeper.servers;
    let servers: Vec<Sid> = match fields.optional("servers") {
        None => servers.iter().map(|server| server.sid).collect(),
        Some(list) => match &list.node.value {
            Value::Scalar(word) if word == "all" => servers.iter().map(|server| server.sid).collect(),
            Value::Scalar(word) if word == "local" => {
                let site = host.map(|host| topology.hosts[usize::from(host.0)].site);
                let is_near = |host: HostId| Some(topology.hosts[usize::from(host.0)].site) == site;
                let near: Vec<Sid> =
                    servers.iter().filter(|server| is_near(server.host)).map(|server| server.sid).collect();
                if near.is_empty() && item.report.is_clean() {
                    list.error("there is no ZooKeeper server at the host's site");
                }
                near
            }
            _ => read_connect(&list, &cluster.zookeeper),
        },
    };
    let words = [("true", true), ("false", false)];
    let shuffle = fields.optional("shuffle").and_then(|shuffle| shuffle.choice(&words)).unwrap_or(true);
    let timeout = fields.required("session_timeout").and_then(|timeout| timeout.positive_span());
    let pause = fields.required("pause").and_then(|pause| pause.positive_span());
    fields.finish();
    Some(ClientGroup {
        host: host?,
        count: count?,
        group: None,
        config: SessionConfig { servers, shuffle, session_timeout: timeout?, pause: pause? },
    })
}

fn read_consumer(item: &Item<'_>) -> ConsumerConfig {
    let mut config = ConsumerConfig::default();
    apply(item, &ConsumerConfig::table(), |name, value| config.set(name, value));
    config
}

/// The producer's own checks (`ProducerConfig.postProcessAndValidateIdempotenceConfigs`, `KafkaProducer`).
fn read_producer(item: &Item<'_>) -> ProducerConfig {
    let mut config = ProducerConfig::default();
    apply(item, &ProducerConfig::table(), |name, value| config.set(name, value));
    let given =
        |name: &str| matches!(&item.node.value, Value::Map(entries) if entries.iter().any(|(key, _)| key.name == name));
    if config.enable_idempotence {
        let conflict = if config.acks != Acks::All {
            Some("`acks` other than all")
        } else if config.retries == 0 {
            Some("`retries` 0")
        } else if config.max_in_flight_requests_per_connection > 5 {
            Some("`max.in.flight.requests.per.connection` above 5")
        } else {
            None
        };
        // KIP-679: a conflicting setting switches the default off silently, but contradicts an explicit `true`.
        if let Some(conflict) = conflict {
            if given("enable.idempotence") {
                item.error(format!("`enable.idempotence` cannot be true with {conflict}"));
            }
            config.enable_idempotence = false;
        }
    }
    let least = u64::from(config.linger_ms) + u64::from(config.request_timeout_ms);
    if u64::from(config.delivery_timeout_ms) < least {
        if given("delivery.timeout.ms") {
            let message = format!("must be at least `linger.ms` + `request.timeout.ms`, {least}");
            item.error(format!("`delivery.timeout.ms` is {}; it {message}", config.delivery_timeout_ms));
        } else {
            config.delivery_timeout_ms = u32::try_from(least).unwrap_or(u32::MAX);
        }
    }
    config
}
