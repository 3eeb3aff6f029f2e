//! `server.properties`, as `KafkaConfig` reads it.

use models::kafka::config::BrokerConfig;

use super::properties::{self, Property};
use super::zoo_cfg::split_host;
use super::{Findings, Place};

/// What a `server.properties` says.
pub(super) struct BrokerFile {
    pub(super) file: String,
    pub(super) config: BrokerConfig,
    /// The line of `broker.id`.
    pub(super) line: usize,
    /// From `advertised.listeners` or `listeners`; `None` if they name none.
    pub(super) host: Option<String>,
    /// Host and port of each server in `zookeeper.connect`.
    pub(super) connect: Vec<(String, u16)>,
    /// The line of `zookeeper.connect`.
    pub(super) connect_line: usize,
}

/// The port of `zookeeper.connect` entries that name none (`ConnectStringParser`).
const DEFAULT_CLIENT_PORT: u16 = 2181;

pub(super) fn read(file: &str, text: &str, findings: &mut Findings) -> Option<BrokerFile> {
    let (properties, errors) = properties::read(file, text);
    findings.errors.extend(errors);
    // The last one counts.
    let last = |key: &str| properties.iter().rev().find(|property| property.key == key);
    let end = Place { file, line: text.lines().count().max(1) };
    if let Some(roles) = last("process.roles").filter(|roles| !roles.value.trim().is_empty()) {
        findings.error(
            Place { file, line: roles.line },
            "`process.roles` is set: KRaft is not modelled, only ZooKeeper mode",
        );
    }
    let mut config = BrokerConfig::default();
    let mut id = last("broker.id");
    for property in &properties {
        apply(file, property, &mut config, findings);
    }
    if id.is_none() {
        id = last("node.id");
        if let Some(node) = id {
            let result = config.set("broker.id", &node.value);
            findings.applied(Place { file, line: node.line }, result, "node.id", []);
        }
    }
    if id.is_none() {
        findings.error(end, "`broker.id` is missing; generated ids are not modelled");
    }
    let line = id.map_or(end.line, |id| id.line);
    let connect = last("zookeeper.connect");
    if connect.is_none() {
        findings.error(end, "missing required configuration `zookeeper.connect`, which has no default value");
    }
    let listeners = ["advertised.listeners", "listeners"].into_iter().filter_map(last);
    let broker = BrokerFile {
        file: file.to_owned(),
        config,
        line,
        host: listeners.filter_map(|property| host_of_listener(&property.value)).next(),
        connect: connect.map_or_else(Vec::new, |connect| read_connect(file, connect, findings)),
        connect_line: connect.map_or(end.line, |connect| connect.line),
    };
    id.is_some().then_some(broker)
}

fn apply(file: &str, property: &Property, config: &mut BrokerConfig, findings: &mut Findings) {
    let place = Place { file, line: property.line };
    match property.key.as_str() {
        // Read by themselves; where the log lies is of no consequence.
        "zookeeper.connect" | "listeners" | "advertised.listeners" | "process.roles" | "node.id" | "log.dir" => {}
        key => {
            let result = config.set(key, &property.value);
            let names = BrokerConfig::table();
            findings.applied(place, result, key, names.iter().map(|option| option.name));
        }
    }
}

/// The host of the first listener that names one.
fn host_of_listener(listeners: &str) -> Option<String> {
    let hosts = listeners.split(',').filter_map(|listener| {
        let address = listener.trim().split_once("://").map_or(listener.trim(), |(_, address)| address);
        Some(split_host(address).0)
            .filter(|host| !host.is_empty() && !is_local(host) && *host != "0.0.0.0" && *host != "::")
    });
    hosts.map(str::to_owned).next()
}

/// Whether a host name means the machine itself.
pub(super) fn is_local(host: &str) -> bool {
    matches!(host, "localhost" | "127.0.0.1" | "::1")
}

/// `host[:port],host[:port][/chroot]`.
fn read_connect(file: &str, property: &Property, findings: &mut Findings) -> Vec<(String, u16)> {
    let place = Place { file, line: property.line };
    let (servers, chroot) = property.value.trim().split_once('/').unwrap_or((property.value.trim(), ""));
    if !chroot.is_empty() {
        findings
            .assume(place, format!("the chroot `/{chroot}` of `zookeeper.connect` makes no difference to the model"));
    }
    let mut connect = Vec::new();
    for server in servers.split(',').map(str::trim).filter(|server| !server.is_empty()) {
        let (host, port) = split_host(server);
        match port {
            "" => connect.push((host.to_owned(), DEFAULT_CLIENT_PORT)),
            port => match port.parse() {
                Ok(port) => connect.push((host.to_owned(), port)),
                Err(_) => findings.invalid(place, &property.key, server, "host:port"),
            },
        }
    }
    if connect.is_empty() {
        findings.invalid(place, &property.key, &property.value, "a list such as zk1:2181,zk2:2181");
    }
    connect
}
