//! `zoo.cfg`, as `QuorumPeerConfig.parseProperties` reads it.

use models::id::Sid;
use models::options::OptionError;
use models::zk::config::ZooKeeperConfig;

use super::properties::{self, Property};
use super::{Findings, Place};

/// What a `zoo.cfg` says.
pub(super) struct ZooCfg {
    pub(super) config: ZooKeeperConfig,
    /// By ascending sid.
    pub(super) servers: Vec<Server>,
    pub(super) client_port: u16,
}

pub(super) struct Server {
    pub(super) sid: Sid,
    pub(super) host: String,
    pub(super) line: usize,
}

/// Of `QuorumPeerConfig`, where the sample file that most people start from has 2000.
const DEFAULT_TICK_TIME: u32 = 3000;

pub(super) fn read(file: &str, text: &str, findings: &mut Findings) -> ZooCfg {
    let (properties, errors) = properties::read(file, text);
    findings.errors.extend(errors);
    let config = ZooKeeperConfig { tick_time: DEFAULT_TICK_TIME, ..ZooKeeperConfig::default() };
    let mut zoo = ZooCfg { config, servers: Vec::new(), client_port: 2181 };
    for property in &properties {
        let place = Place { file, line: property.line };
        if let Some(sid) = property.key.strip_prefix("server.") {
            zoo.server(sid, property, place, findings);
        } else {
            zoo.option(property, place, findings);
        }
    }
    let given = |key: &str| properties.iter().any(|property| property.key == key);
    let end = Place { file, line: text.lines().count().max(1) };
    // The checks of `QuorumPeerConfig`, which names the limits only for ensembles of two or more.
    let limits: &[&str] = if zoo.servers.len() > 1 { &["initLimit", "syncLimit"] } else { &[] };
    for key in ["dataDir"].iter().chain(limits) {
        if !given(key) {
            findings.error(end, format!("`{key}` is not set; ZooKeeper does not start without it"));
        }
    }
    if zoo.servers.is_empty() {
        findings.error(end, "no `server.N=host:2888:3888`; the ensemble must be listed");
    }
    if let (Some(min), Some(max)) = (zoo.config.min_session_timeout, zoo.config.max_session_timeout)
        && min > max
    {
        findings.error(end, format!("`minSessionTimeout` ({min}) must not be larger than `maxSessionTimeout` ({max})"));
    }
    zoo.servers.sort_by_key(|server| server.sid);
    zoo
}

impl ZooCfg {
    fn option(&mut self, property: &Property, place: Place<'_>, findings: &mut Findings) {
        let (key, value) = (property.key.as_str(), property.value.trim());
        match key {
            "clientPort" => match value.parse() {
                Ok(port) => self.client_port = port,
                Err(_) => findings.invalid(place, key, value, "a port from 0 to 65535"),
            },
            // Where the data lies is of no consequence to the model.
            "dataDir" | "dataLogDir" => {}
            "peerType" if value == "observer" => findings.error(place, "observers are not modelled"),
            _ => {
                // Keys that `QuorumPeerConfig` does not know become system properties with this prefix.
                let result = match self.config.set(key, value) {
                    Err(OptionError::NotModelled(_)) => self.config.set(&format!("zookeeper.{key}"), value),
                    result => result,
                };
                let names = ZooKeeperConfig::table();
                findings.applied(place, result, key, names.iter().map(|option| option.name));
            }
        }
    }

    /// `server.N=host:port:port[:role][;[address:]port]`; several addresses are separated by `|`.
    fn server(&mut self, sid: &str, property: &Property, place: Place<'_>, findings: &mut Findings) {
        let Some(sid) = sid.parse().ok().filter(|sid| (1..=255u8).contains(sid)).map(Sid) else {
            return findings
                .error(place, format!("`server.{sid}`: expected a number from 1 to 255, the server's `myid`"));
        };
        let value = property.value.trim();
        let (quorum, client) = value.split_once(';').unwrap_or((value, ""));
        let first = quorum.split('|').next().unwrap_or_default();
        let (host, rest) = split_host(first);
        let parts: Vec<&str> = rest.split(':').collect();
        let ports = parts.iter().take(2).filter(|port| port.parse::<u16>().is_ok()).count();
        if host.is_empty() || ports != 2 || parts.len() > 3 {
            return findings.invalid(
                place,
                &property.key,
                value,
                "host:quorum-port:election-port, such as zk1:2888:3888",
            );
        }
        match parts.get(2) {
            None | Some(&"participant") => {}
            Some(&"observer") => {
                return findings.error(place, format!("`{}`: observers are not modelled", property.key));
            }
            Some(role) => return findings.invalid(place, &property.key, role, "participant or observer"),
        }
        if let Some(port) = client.rsplit(':').next().filter(|port| !port.is_empty()) {
            match port.parse() {
                Ok(port) => self.client_port = port,
                Err(_) => {
                    return findings.invalid(place, &property.key, client, "a client port from 0 to 65535 after `;`");
                }
            }
        }
        if let Some(twice) = self.servers.iter().find(|server| server.sid == sid) {
            return findings
                .error(place, format!("`{}` is given twice; the first time on line {}", property.key, twice.line));
        }
        self.servers.push(Server { sid, host: host.to_owned(), line: property.line });
    }
}

/// `host` and what follows its colon; brackets enclose IPv6 addresses.
pub(super) fn split_host(text: &str) -> (&str, &str) {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, rest.strip_prefix(':').unwrap_or(rest));
    }
    text.split_once(':').unwrap_or((text, ""))
}
