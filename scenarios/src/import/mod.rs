//! An operator's own files: `server.properties` of each broker and the ensemble's `zoo.cfg`.
//!
//! Options that the model knows are applied, a wrong value is an error as it is for the real system, and the rest is listed
//! as not modelled, so that nobody believes that it had an effect.

mod brokers;
mod place;
mod properties;
mod scenario;
mod zoo_cfg;

use std::fmt;

use models::defect::Defects;
use models::id::{BrokerId, HostId};
use models::options::OptionError;

use crate::cluster::{Broker, Cluster, FIXED, Kafka, ZooKeeper, ZooKeeperServer};
use crate::nearest::nearest;
use crate::topology::Topology;
use brokers::BrokerFile;
use zoo_cfg::ZooCfg;

/// A cluster as files describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedCluster {
    /// Sites from `broker.rack`, the hosts that the files name, and assumed links between the sites.
    pub topology: Topology,
    /// Servers and brokers with their settings.
    pub cluster: Cluster,
    /// Options that have no effect here.
    pub not_modelled: Vec<NotModelled>,
    /// What the files do not say and had to be assumed.
    pub assumptions: Vec<Assumption>,
}

/// An option that the model does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotModelled {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The option.
    pub option: String,
    /// The modelled option that it may have been meant to be: the real systems ignore misspelt options silently.
    pub nearest: Option<String>,
}

/// Something that the files leave open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assumption {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is assumed.
    pub text: String,
}

/// One thing that is wrong with the files.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImportError {
    /// The file.
    pub file: String,
    /// The line, from 1; the last one for something that is missing.
    pub line: usize,
    /// What is wrong and what would be valid.
    pub message: String,
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

impl std::error::Error for ImportError {}

impl fmt::Display for NotModelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: `{}` is not modelled", self.file, self.line, self.option)?;
        self.nearest.as_ref().map_or(Ok(()), |nearest| write!(f, "; did you mean `{nearest}`?"))
    }
}

impl fmt::Display for Assumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}

/// Reads a cluster from the files of its brokers and of its ensemble, each given as path (for messages) and text.
///
/// # Errors
/// Everything that is wrong with the files.
pub fn cluster(brokers: &[(&str, &str)], zoo: (&str, &str)) -> Result<ImportedCluster, Vec<ImportError>> {
    let mut findings = Findings::default();
    let zoo_cfg = zoo_cfg::read(zoo.0, zoo.1, &mut findings);
    let mut files: Vec<BrokerFile> =
        brokers.iter().filter_map(|(file, text)| brokers::read(file, text, &mut findings)).collect();
    if brokers.is_empty() {
        findings.error(Place { file: zoo.0, line: 1 }, "no server.properties file is given");
    }
    files.sort_by_key(|file| file.config.broker_id);
    for pair in files.windows(2) {
        if pair[0].config.broker_id == pair[1].config.broker_id {
            let message = format!("`broker.id` {} is that of {} too", pair[1].config.broker_id, pair[0].file);
            findings.error(Place { file: &pair[1].file, line: pair[1].line }, message);
        }
    }
    check_counts(&files, &mut findings);
    let imported = assemble(&files, zoo.0, &zoo_cfg, &mut findings);
    let Findings { mut errors, not_modelled, assumptions } = findings;
    errors.sort();
    if errors.is_empty() { Ok(ImportedCluster { not_modelled, assumptions, ..imported }) } else { Err(errors) }
}

/// Settings that no topic could live with.
fn check_counts(files: &[BrokerFile], findings: &mut Findings) {
    for file in files {
        let place = Place { file: &file.file, line: file.line };
        let settings = [
            ("default.replication.factor", file.config.default_replication_factor),
            ("min.insync.replicas", file.config.min_insync_replicas),
        ];
        for (option, value) in settings.into_iter().filter(|(_, value)| *value as usize > files.len()) {
            findings.error(place, format!("`{option}` is {value}, but there are {} brokers", files.len()));
        }
    }
}

fn assemble(files: &[BrokerFile], zoo_file: &str, zoo: &ZooCfg, findings: &mut Findings) -> ImportedCluster {
    let placed = place::place(files, zoo_file, zoo, findings);
    let servers = zoo.servers.iter().zip(&placed.servers);
    let zookeeper = ZooKeeper {
        version: FIXED.to_owned(),
        defects: Defects::NONE,
        config: zoo.config.clone(),
        servers: servers
            .map(|(server, host)| ZooKeeperServer { sid: server.sid, host: *host, start: models::time::Span::ZERO })
            .collect(),
    };
    let broker = |(file, host): (&BrokerFile, &HostId)| Broker {
        id: BrokerId(file.config.broker_id),
        host: *host,
        zookeeper_connect: connect(file, placed.topology.host_name(*host), zoo, findings),
        config: file.config.clone(),
    };
    let brokers = files.iter().zip(&placed.brokers).map(broker).collect();
    let kafka = Kafka { version: FIXED.to_owned(), defects: Defects::NONE, brokers };
    let cluster = Cluster { zookeeper, kafka };
    ImportedCluster { topology: placed.topology, cluster, not_modelled: Vec::new(), assumptions: Vec::new() }
}

/// The servers of `zookeeper.connect`, found among those of `zoo.cfg`.
fn connect(file: &BrokerFile, own_host: &str, zoo: &ZooCfg, findings: &mut Findings) -> Vec<models::id::Sid> {
    let place = Place { file: &file.file, line: file.connect_line };
    let mut sids = Vec::new();
    for (host, port) in &file.connect {
        let name = if brokers::is_local(host) { own_host } else { host };
        let Some(server) = zoo.servers.iter().find(|server| server.host == name) else {
            let hosts: Vec<&str> = zoo.servers.iter().map(|server| server.host.as_str()).collect();
            let hint = crate::nearest::hint(name, hosts.iter().copied());
            let message =
                format!("`zookeeper.connect`: `{name}` is no server of zoo.cfg{hint}; there are {}", hosts.join(", "));
            findings.error(place, message);
            continue;
        };
        if *port != zoo.client_port {
            let message =
                format!("`zookeeper.connect`: port {port} of `{host}` is not `clientPort`, {}", zoo.client_port);
            findings.error(place, message);
        }
        if !sids.contains(&server.sid) {
            sids.push(server.sid);
        }
    }
    sids
}

/// A line of a file.
#[derive(Clone, Copy)]
struct Place<'a> {
    file: &'a str,
    line: usize,
}

/// What reading brings to light.
#[derive(Default)]
struct Findings {
    errors: Vec<ImportError>,
    not_modelled: Vec<NotModelled>,
    assumptions: Vec<Assumption>,
}

impl Findings {
    fn error(&mut self, place: Place<'_>, message: impl Into<String>) {
        self.errors.push(ImportError { file: place.file.to_owned(), line: place.line, message: message.into() });
    }

    fn invalid(&mut self, place: Place<'_>, option: &str, value: &str, expected: &str) {
        self.error(place, format!("`{option}`: `{value}` is not valid; expected {expected}"));
    }

    fn assume(&mut self, place: Place<'_>, text: impl Into<String>) {
        self.assumptions.push(Assumption { file: place.file.to_owned(), line: place.line, text: text.into() });
    }

    /// Takes the result of setting an option.
    fn applied<'n>(
        &mut self,
        place: Place<'_>,
        result: Result<(), OptionError>,
        key: &str,
        names: impl IntoIterator<Item = &'n str>,
    ) {
        match result {
            Ok(()) => {}
            Err(OptionError::Invalid { value, expected, .. }) => self.invalid(place, key, &value, &expected),
            Err(OptionError::NotModelled(_)) => {
                // Only what looks like a slip: most options of the real systems are not modelled, and near to none that is.
                let near = nearest(key, names).filter(|name| strsim::damerau_levenshtein(name, key) <= 2);
                let (file, option) = (place.file.to_owned(), key.to_owned());
                self.not_modelled.push(NotModelled {
                    file,
                    line: place.line,
                    option,
                    nearest: near.map(str::to_owned),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests;
