//! Monitoring: one monitor a site at most, which scrapes the brokers' metrics over the network as Prometheus does.

use models::id::HostId;
use models::time::Span;
use serde::{Deserialize, Serialize};

use crate::scenario::Scenario;
use crate::topology::SiteId;

/// The monitors' settings. Scrapes cause no traffic: whether one succeeds follows from the rules in force and from the
/// broker's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monitoring {
    /// `scrape_interval`: from a scrape of a broker to the next one.
    pub interval: Span,
    /// `scrape_timeout`: a broker that has not answered by then is not known. At most `interval`.
    pub timeout: Span,
    /// Where the monitors run, one a site at most; `None` is the first host of each site without a broker and without a
    /// ZooKeeper server.
    pub hosts: Option<Vec<HostId>>,
}

impl Default for Monitoring {
    fn default() -> Self {
        Self { interval: Span::from_secs(15), timeout: Span::from_secs(10), hosts: None }
    }
}

impl Scenario {
    /// The monitors: the site of each and its host.
    pub fn monitors(&self) -> Vec<(SiteId, HostId)> {
        let topology = &self.topology;
        let busy = |host: &HostId| {
            self.cluster.kafka.brokers.iter().any(|broker| broker.host == *host)
                || self.cluster.zookeeper.servers.iter().any(|server| server.host == *host)
        };
        match &self.monitoring.hosts {
            Some(hosts) => hosts.iter().map(|host| (topology.hosts[usize::from(host.0)].site, *host)).collect(),
            None => {
                let first = |site| topology.hosts_of(site).find(|host| !busy(host)).map(|host| (site, host));
                topology.site_ids().filter_map(first).collect()
            }
        }
    }
}
