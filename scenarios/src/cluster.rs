//! The cluster: ZooKeeper servers and Kafka brokers with their settings, versions and defects.

use models::defect::{Defect, Defects};
use models::id::{BrokerId, HostId, Sid};
use models::kafka::config::BrokerConfig;
use models::kafka::inter_broker_protocol::ProtocolVersion;
use models::time::Span;
use models::zk::config::ZooKeeperConfig;
use serde::{Deserialize, Serialize};

/// The word for "all known defects repaired".
pub const FIXED: &str = "fixed";

/// Both systems.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// The ensemble.
    pub zookeeper: ZooKeeper,
    /// The brokers; none if the ensemble stands alone.
    pub kafka: Kafka,
}

impl Cluster {
    /// Whether there are brokers.
    pub fn has_kafka(&self) -> bool {
        !self.kafka.brokers.is_empty()
    }
}

/// A ZooKeeper ensemble.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZooKeeper {
    /// The version's word in [`models::defect::ZOOKEEPER_VERSIONS`], for the report.
    pub version: String,
    /// Every defect that is on: the version's and those switched on besides.
    pub defects: Defects,
    /// The settings of every server.
    pub config: ZooKeeperConfig,
    /// The voting servers, by ascending sid.
    pub servers: Vec<ZooKeeperServer>,
}

/// A ZooKeeper server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZooKeeperServer {
    /// `myid`.
    pub sid: Sid,
    /// Where it runs.
    pub host: HostId,
    /// When its host begins to start it, since the beginning of the run.
    pub start: Span,
}

/// The brokers of a Kafka cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kafka {
    /// The version's word in [`models::defect::KAFKA_VERSIONS`], for the report.
    pub version: String,
    /// Every defect that is on: the version's and those switched on besides.
    pub defects: Defects,
    /// The brokers, by ascending id.
    pub brokers: Vec<Broker>,
}

/// A broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broker {
    /// `broker.id`; the same as in `config`.
    pub id: BrokerId,
    /// Where it runs.
    pub host: HostId,
    /// `zookeeper.connect`: the servers that its client knows, in the order written.
    pub zookeeper_connect: Vec<Sid>,
    /// Its settings.
    pub config: BrokerConfig,
}

impl Kafka {
    /// Switches every defect off, and the protocol among brokers back to the default: old ones bring defects along.
    pub fn repair(&mut self) {
        (self.version, self.defects) = (FIXED.to_owned(), Defects::NONE);
        for broker in &mut self.brokers {
            broker.config.inter_broker_protocol_version = None;
        }
    }

    /// Switches one defect off; what it implied stays. A broker whose protocol has the defect as a part speaks the oldest one
    /// that has not, and keeps what else was a part of its own.
    pub fn repair_one(&mut self, defect: Defect) {
        self.defects = self.defects.without(defect);
        let Some(repaired) = ProtocolVersion::oldest_without(defect) else { return };
        let mut others = Defects::NONE;
        for broker in &mut self.brokers {
            let (protocol, defects) = broker.config.rules(self.defects);
            if protocol < repaired {
                others = others.union(defects.without(defect));
                broker.config.inter_broker_protocol_version = Some(repaired);
            }
        }
        self.defects = self.defects.union(others);
    }
}

impl ZooKeeper {
    /// Switches every defect off.
    pub fn repair(&mut self) {
        (self.version, self.defects) = (FIXED.to_owned(), Defects::NONE);
    }

    /// Switches one defect off; what it implied stays.
    pub fn repair_one(&mut self, defect: Defect) {
        self.defects = self.defects.without(defect);
    }

    /// Servers that make a majority.
    pub fn quorum(&self) -> usize {
        self.servers.len() / 2 + 1
    }
}

/// What a version of `table` switches on, `None` for an unknown word.
pub(crate) fn version_defects(table: &[(&str, &[Defect])], version: &str) -> Option<Defects> {
    table.iter().find(|(word, _)| *word == version).map(|(_, defects)| defects.iter().copied().collect())
}

#[test]
fn one_defect_is_repaired_and_no_other() {
    use models::options::OptionValue;

    let kafka = |defects: &[Defect], protocol| Kafka {
        version: FIXED.to_owned(),
        defects: defects.iter().copied().collect(),
        brokers: vec![Broker {
            id: BrokerId(1),
            host: HostId(0),
            zookeeper_connect: Vec::new(),
            config: BrokerConfig { inter_broker_protocol_version: protocol, ..BrokerConfig::default() },
        }],
    };
    let on = |kafka: &Kafka| kafka.brokers[0].config.rules(kafka.defects).1;
    // What was part of the protocol takes a newer one, which leaves the other parts out: they are switched on instead.
    for protocol in [None, ProtocolVersion::parse("1.0").ok()] {
        let mut kafka = kafka(&[Defect::EpochQueryTooCoarse, Defect::NoMinIsr], protocol);
        let before = on(&kafka);
        assert_eq!(before.has(Defect::FetchWithoutEpoch), protocol.is_some());
        kafka.repair_one(Defect::EpochQueryTooCoarse);
        assert_eq!(on(&kafka), before.without(Defect::EpochQueryTooCoarse));
    }
    let mut implied = kafka(&[Defect::SoftFailureLateIsrWrite], None);
    let before = on(&implied);
    implied.repair_one(Defect::SoftFailureLateIsrWrite);
    assert_eq!(on(&implied), before.without(Defect::SoftFailureLateIsrWrite));
}
