//! `cluster:`.

use models::defect::{Defect, Defects, KAFKA_VERSIONS, System, ZOOKEEPER_VERSIONS};
use models::id::{BrokerId, HostId, Sid};
use models::kafka::config::BrokerConfig;
use models::kafka::inter_broker_protocol::ProtocolVersion;
use models::options::{OptionError, OptionInfo};
use models::time::Span;
use models::zk::config::ZooKeeperConfig;

use super::fields::{Fields, Item, join, unknown};
use super::node::{Key, Value};
use crate::cluster::{Broker, Cluster, FIXED, Kafka, ZooKeeper, ZooKeeperServer, version_defects};
use crate::topology::Topology;

pub(super) fn read(item: &Item<'_>, topology: &Topology) -> Cluster {
    let mut fields = item.fields();
    let zookeeper = fields.required("zookeeper").map_or_else(no_zookeeper, |item| read_zookeeper(&item, topology));
    let kafka = fields.optional("kafka").map_or_else(no_kafka, |item| read_kafka(&item, topology, &zookeeper));
    fields.finish();
    Cluster { zookeeper, kafka }
}

pub(super) fn no_cluster() -> Cluster {
    Cluster { zookeeper: no_zookeeper(), kafka: no_kafka() }
}

fn no_zookeeper() -> ZooKeeper {
    let config = ZooKeeperConfig::default();
    ZooKeeper { version: FIXED.to_owned(), defects: Defects::NONE, config, servers: Vec::new() }
}

fn no_kafka() -> Kafka {
    Kafka { version: FIXED.to_owned(), defects: Defects::NONE, brokers: Vec::new() }
}

fn read_zookeeper(item: &Item<'_>, topology: &Topology) -> ZooKeeper {
    let mut fields = item.fields();
    let (version, defects) = read_version(&mut fields, ZOOKEEPER_VERSIONS, System::ZooKeeper);
    let mut zookeeper = ZooKeeper { version, defects, ..no_zookeeper() };
    if let Some(options) = fields.optional("options") {
        apply(&options, &ZooKeeperConfig::table(), |name, value| zookeeper.config.set(name, value));
        let config = &zookeeper.config;
        if let (Some(min), Some(max)) = (config.min_session_timeout, config.max_session_timeout)
            && min > max
        {
            options.error(format!("`minSessionTimeout` ({min}) is greater than `maxSessionTimeout` ({max})"));
        }
    }
    let servers = fields.required("servers");
    for (key, server) in servers.iter().flat_map(|servers| servers.entries("servers")) {
        let sid = number(key, &server, 1..=255u8).map(Sid);
        let mut start = Span::ZERO;
        let host = host_entry(&server, topology, |fields| start = fields.span("start", Span::ZERO));
        if let (Some(sid), Some(host)) = (sid, host) {
            zookeeper.servers.push(ZooKeeperServer { sid, host, start });
        }
    }
    if let Some(servers) = servers.filter(|_| zookeeper.servers.is_empty()) {
        servers.error("an ensemble needs at least one server");
    }
    zookeeper.servers.sort_by_key(|server| server.sid);
    fields.finish();
    zookeeper
}

fn read_kafka(item: &Item<'_>, topology: &Topology, zookeeper: &ZooKeeper) -> Kafka {
    let mut fields = item.fields();
    let (version, defects) = read_version(&mut fields, KAFKA_VERSIONS, System::Kafka);
    let mut common = BrokerConfig::default();
    if let Some(options) = fields.optional("options") {
        apply_broker(&options, &mut common);
        check_protocol(&options, &common, defects);
    }
    let mut kafka = Kafka { version, defects, brokers: Vec::new() };
    let brokers = fields.required("brokers");
    for (key, item) in brokers.iter().flat_map(|brokers| brokers.entries("brokers")) {
        let id = number(key, &item, 0..=32_767);
        let mut config = common.clone();
        let mut connect = zookeeper.servers.iter().map(|server| server.sid).collect();
        let host = host_entry(&item, topology, |fields| {
            if let Some(options) = fields.optional("options") {
                apply_broker(&options, &mut config);
                if config.inter_broker_protocol_version != common.inter_broker_protocol_version {
                    check_protocol(&options, &config, defects);
                }
            }
            if let Some(list) = fields.optional("zookeeper.connect") {
                connect = read_connect(&list, zookeeper);
            }
        });
        if let (Some(id), Some(host)) = (id, host) {
            config.broker_id = id;
            kafka.brokers.push(Broker { id: BrokerId(id), host, zookeeper_connect: connect, config });
        }
    }
    if let Some(brokers) = brokers.filter(|_| kafka.brokers.is_empty()) {
        brokers.error("a cluster needs at least one broker");
    }
    kafka.brokers.sort_by_key(|broker| broker.id);
    fields.finish();
    kafka
}

/// A key that is a number. `number` says so at the key.
fn number<T>(key: &Key, item: &Item<'_>, range: std::ops::RangeInclusive<T>) -> Option<T>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let value = key.name.parse().ok().filter(|value| range.contains(value));
    // `01` and `1` would be two keys for one id.
    let value = value.filter(|_| key.name == "0" || !key.name.starts_with(['0', '+']));
    if value.is_none() {
        let message =
            format!("`{}` is no id; expected a whole number from {} to {}", key.name, range.start(), range.end());
        item.report.error(key.at, &item.path, message);
    }
    value
}

/// `host: NAME` among other fields, or the name alone.
fn host_entry(item: &Item<'_>, topology: &Topology, more: impl FnOnce(&mut Fields<'_>)) -> Option<HostId> {
    if let Value::Scalar(_) = item.node.value {
        return host_of(item, topology);
    }
    let mut fields = item.fields();
    let host = fields.required("host").and_then(|host| host_of(&host, topology));
    more(&mut fields);
    fields.finish();
    host
}

/// The host that a field names.
pub(super) fn host_of(item: &Item<'_>, topology: &Topology) -> Option<HostId> {
    let name = item.text("the name of a host")?;
    let host = topology.host(name);
    if host.is_none() {
        let hosts: Vec<&str> = topology.hosts.iter().map(|host| host.name.as_str()).collect();
        item.error(unknown("host", name, &hosts));
    }
    host
}

/// Servers of the ensemble by their ids, in the order written.
pub(super) fn read_sids(item: &Item<'_>, zookeeper: &ZooKeeper) -> Vec<Sid> {
    let mut listed = Vec::new();
    for entry in item.list() {
        let Some(sid) = entry.integer(1..=255).map(Sid) else { continue };
        if listed.contains(&sid) {
            entry.error(format!("server {sid} is listed twice"));
        } else if !zookeeper.servers.iter().any(|server| server.sid == sid) {
            let sids: Vec<String> = zookeeper.servers.iter().map(|server| server.sid.to_string()).collect();
            entry.error(format!("there is no ZooKeeper server {sid}; valid: {}", sids.join(", ")));
        } else {
            listed.push(sid);
        }
    }
    listed
}

/// The servers of a connect string.
pub(super) fn read_connect(item: &Item<'_>, zookeeper: &ZooKeeper) -> Vec<Sid> {
    let connect = read_sids(item, zookeeper);
    if connect.is_empty() && item.report.is_clean() {
        item.error("a connect string names at least one ZooKeeper server");
    }
    connect
}

fn read_version(fields: &mut Fields<'_>, table: &[(&str, &[Defect])], system: System) -> (String, Defects) {
    let words: Vec<(&str, &str)> = table.iter().map(|(word, _)| (*word, *word)).collect();
    let version = fields.optional("version").and_then(|version| version.choice(&words)).unwrap_or(FIXED);
    let mut defects = version_defects(table, version).unwrap_or_default();
    let mine = Defect::ALL.iter().filter(|defect| defect.facts().system == system);
    let words: Vec<(&str, Defect)> = mine.map(|defect| (defect.word(), *defect)).collect();
    for item in fields.optional("defects").iter().flat_map(Item::list) {
        let Some(word) = item.text("the word for a defect") else { continue };
        match words.iter().find(|(known, _)| *known == word) {
            Some((_, defect)) => defects = defects.with(*defect),
            None => {
                let valid: Vec<&str> = words.iter().map(|(known, _)| *known).collect();
                item.error(format!("{}; `sim defects list` names them all", unknown("defect", word, &valid)));
            }
        }
    }
    (version.to_owned(), defects)
}

fn apply_broker(item: &Item<'_>, config: &mut BrokerConfig) {
    let table: Vec<OptionInfo> =
        BrokerConfig::table().into_iter().filter(|option| option.name != "broker.id").collect();
    apply(item, &table, |name, value| match name {
        "broker.id" => Err(OptionError::NotModelled(name.to_owned())),
        _ => config.set(name, value),
    });
}

/// A defect that went with the rules of its time needs them.
fn check_protocol(item: &Item<'_>, config: &BrokerConfig, defects: Defects) {
    let Some(given) = config.inter_broker_protocol_version else { return };
    for defect in defects.iter() {
        if let Some(needed) = ProtocolVersion::needed_by(defect).filter(|needed| given > *needed) {
            item.error(format!(
                "`inter.broker.protocol.version` `{given}` is too new for the defect `{defect}`, which needs the rules of \
                 {needed} or older; leave the option out to get them"
            ));
        }
    }
}

/// Sets the options of a map.
pub(super) fn apply(item: &Item<'_>, table: &[OptionInfo], mut set: impl FnMut(&str, &str) -> Result<(), OptionError>) {
    let names: Vec<&str> = table.iter().map(|option| option.name).collect();
    for (key, value) in item.entries("options by their real names") {
        let Value::Scalar(text) = &value.node.value else {
            value.error(format!("expected a single value, found {}", value.node.kind()));
            continue;
        };
        match set(&key.name, text) {
            Ok(()) => {}
            Err(OptionError::NotModelled(name)) => {
                item.report.error(key.at, &join(&item.path, &name), unknown("option", &name, &names));
            }
            Err(OptionError::Invalid { value: wrong, expected, .. }) => {
                value.error(format!("`{wrong}` is not valid; expected {expected}"));
            }
        }
    }
}
