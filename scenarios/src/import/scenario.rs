//! A scenario around an imported cluster: the clients and the chaos of `stretch-cluster`.

use models::id::HostId;
use models::kafka::config::{ConsumerConfig, OffsetReset, ProducerConfig};

use super::ImportedCluster;
use super::place::unused;
use crate::chaos::ChaosProfile;
use crate::expect::{Bound, Expect, Gauge};
use crate::monitoring::Monitoring;
use crate::scenario::{Phases, Restart, Rollback, Scenario, Tcp};
use crate::topology::{Clock, Disk, Host};
use crate::workload::{ClientGroup, Workload};

impl ImportedCluster {
    /// The imported cluster with a producer and a consumer in each site, ten topics with the cluster's own defaults, 200
    /// records of 1 kB a second in all, and faults drawn from the seed.
    pub fn scenario(&self, name: &str) -> Scenario {
        let mut topology = self.topology.clone();
        let mut hosts = Vec::new();
        for site in self.topology.site_ids() {
            let name = unused(&format!("app-{}", topology.site_name(site)), &topology);
            hosts.push(HostId(topology.hosts.len() as u16));
            topology.hosts.push(Host {
                name,
                site,
                disk: Disk::default(),
                clock: Clock::default(),
                thread_delay: Host::THREAD_DELAY,
                tcp: None,
            });
        }
        let earliest = ConsumerConfig { auto_offset_reset: OffsetReset::Earliest, ..ConsumerConfig::default() };
        let brokers = &self.cluster.kafka.brokers;
        let first = brokers.first().map(|broker| &broker.config);
        let workload = Workload {
            topics: 10,
            partitions: first.map_or(1, |config| config.num_partitions.min(1_000) as u16),
            replication_factor: self.replication_factor(),
            records_per_second: 200,
            end_offsets_every: None,
            auto_create_topics: false,
            skew: crate::units::Share::NONE,
            record_size: first.map_or(1_000, |config| config.message_max_bytes.clamp(1, 1_000)),
            admin: hosts.first().copied().unwrap_or_default(),
            producers: hosts.iter().map(|host| group(*host, ProducerConfig::default())).collect(),
            consumers: hosts.iter().map(|host| group(*host, earliest.clone())).collect(),
            sessions: Vec::new(),
        };
        let healthy = vec![
            (Gauge::Controllers, Bound::exactly(1)),
            (Gauge::Brokers, Bound::exactly(brokers.len() as u64)),
            (Gauge::ZooKeeperLeaders, Bound::exactly(1)),
        ];
        Scenario {
            name: name.to_owned(),
            description: "A cluster from an operator's own files.".to_owned(),
            topology,
            cluster: self.cluster.clone(),
            workload,
            supervisor: Restart::default(),
            start_up: Default::default(),
            tcp: Tcp::default(),
            monitoring: Monitoring::default(),
            phases: Phases::default(),
            faults: Vec::new(),
            chaos: Some(self.chaos()),
            expect: Expect { steady_state: healthy.clone(), at_end: healthy, ..Expect::default() },
            rollback: Rollback::default(),
            demonstrates: None,
        }
    }

    /// `default.replication.factor`, or more where `min.insync.replicas` could not be met otherwise: operators who leave the
    /// default at 1 create their topics with more.
    fn replication_factor(&self) -> u16 {
        let brokers = self.cluster.kafka.brokers.len();
        let config = self.cluster.kafka.brokers.first().map(|broker| &broker.config);
        let wished = config.map_or(1, |config| config.default_replication_factor.max(config.min_insync_replicas));
        usize::try_from(wished).unwrap_or(usize::MAX).min(brokers).max(1) as u16
    }

    fn chaos(&self) -> ChaosProfile {
        let mut profile = ChaosProfile::default();
        if self.topology.sites.len() < 2 {
            profile.weights = profile.weights.only(|kind| !kind.needs_wan());
        }
        profile
    }
}

fn group<C>(host: HostId, config: C) -> ClientGroup<C> {
    ClientGroup { host, count: 1, group: None, config }
}
