//! The article's question as a family of scenarios: what becomes of the stretch cluster after a cut of the WAN, by variant
//! and by length of the cut. All run the article's versions; each can be printed as an ordinary file.

use std::fmt;

use models::defect::Defect;
use models::id::{BrokerId, HostId, Sid};
use models::time::Span;

use crate::expect::Expect;
use crate::fault::{Fault, HostSelector, Place, ProcessSelector, Route};
use crate::library;
use crate::scenario::Scenario;
use crate::schedule::Planned;
use crate::topology::SiteId;
use crate::workload::{ClientGroup, SessionConfig};

/// When the cut begins, after the warm-up.
const CUT_AT: Span = Span::from_secs(10);
/// Longer than a session lives after a new ZooKeeper leader has begun (18 s and a tick), with the time to elect one.
const PAUSE: Span = Span::from_secs(40);
/// A process that is killed stays down for this long; its supervisor adds its own delay.
const KILLED_FOR: Span = Span::from_secs(1);
/// A flapping link is down for longer than `syncLimit` and then up for less than a session.
const FLAP: (Span, Span) = (Span::from_secs(13), Span::from_secs(7));

/// The session of the client that writes to ZooKeeper all the time.
const PROBE_SESSION: Span = Span::from_secs(18);
/// Its pause between two writes.
const PROBE_EVERY: Span = Span::from_secs(1);

/// The lengths of the cut in the table: 5 s to 10 min.
pub const LENGTHS: [Span; 8] = [
    Span::from_secs(5),
    Span::from_secs(10),
    Span::from_secs(20),
    Span::from_secs(30),
    Span::from_secs(60),
    Span::from_secs(120),
    Span::from_secs(300),
    Span::from_secs(600),
];

/// What is different from the plain cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    /// All packets between the sites are lost, both ways.
    Plain,
    /// Only packets from London to Frankfurt are lost.
    OneWay,
    /// The cut comes and goes.
    Flapping,
    /// `zookeeper.session.timeout.ms=6000`, the default before 2.5.
    ShortSessions,
    /// The controller stands still for 40 s, beginning 2 s before the heal.
    ControllerPause,
    /// Every broker is killed and restarted in the middle of the cut.
    BrokersRestarted,
    /// Every ZooKeeper server is killed and restarted in the middle of the cut.
    ZooKeepersRestarted,
    /// Only the brokers lose one another; ZooKeeper's traffic passes.
    BrokerOnly,
    /// Only ZooKeeper's traffic is lost: servers among themselves, and clients of servers at the other site.
    ZooKeeperOnly,
    /// Three ZooKeeper servers in London, one in Frankfurt.
    ThreeAndOne,
    /// Operators make each site's two servers an ensemble of its own half-way through the cut, and undo it at the heal.
    OwnQuorums,
    /// As the controller's pause, with KAFKA-8532 switched on: its cause is not verified, so that no version has it.
    HungEventThread,
}

impl Variant {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 12] = [
        Self::Plain,
        Self::OneWay,
        Self::Flapping,
        Self::ShortSessions,
        Self::ControllerPause,
        Self::BrokersRestarted,
        Self::ZooKeepersRestarted,
        Self::BrokerOnly,
        Self::ZooKeeperOnly,
        Self::ThreeAndOne,
        Self::OwnQuorums,
        Self::HungEventThread,
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::OneWay => "one-way",
            Self::Flapping => "flapping",
            Self::ShortSessions => "short-sessions",
            Self::ControllerPause => "controller-pause",
            Self::BrokersRestarted => "brokers-restarted",
            Self::ZooKeepersRestarted => "zookeepers-restarted",
            Self::BrokerOnly => "broker-only",
            Self::ZooKeeperOnly => "zookeeper-only",
            Self::ThreeAndOne => "three-and-one",
            Self::OwnQuorums => "own-quorums",
            Self::HungEventThread => "hung-event-thread",
        }
    }

    /// What it is about, in one line.
    pub fn text(self) -> &'static str {
        match self {
            Self::Plain => "all packets between the sites are lost",
            Self::OneWay => "packets from London to Frankfurt are lost, the others arrive",
            Self::Flapping => "13 s cut, 7 s sound, and again",
            Self::ShortSessions => "sessions of 6 s instead of 18 s",
            Self::ControllerPause => "the controller stands still for 40 s, beginning 2 s before the heal",
            Self::BrokersRestarted => "every broker is killed half-way and restarts",
            Self::ZooKeepersRestarted => "every ZooKeeper server is killed half-way and restarts",
            Self::BrokerOnly => "brokers lose one another, ZooKeeper's traffic passes",
            Self::ZooKeeperOnly => "ZooKeeper's traffic is lost, that of brokers passes",
            Self::ThreeAndOne => "three ZooKeeper servers in London, one in Frankfurt",
            Self::OwnQuorums => "each site is made an ensemble of its own half-way, undone at the heal",
            Self::HungEventThread => "as controller-pause, with KAFKA-8532 switched on",
        }
    }

    /// The scenario of a cut of length `cut`. Its load is light, so that thousands of them can be run.
    pub fn scenario(self, cut: Span) -> Scenario {
        let mut scenario = article();
        scenario.name = format!("wan-cut-{}-{}s", self.word(), cut.as_ms() / 1000);
        scenario.description = self.text().to_owned();
        let half = CUT_AT + cut.scaled(1, 2);
        let planned = |fault| Planned::new(CUT_AT, cut, fault);
        let mut faults: Vec<Planned> = self.cut(&scenario).into_iter().map(planned).collect();
        match self {
            Self::ShortSessions => {
                for broker in &mut scenario.cluster.kafka.brokers {
                    broker.config.zookeeper_session_timeout_ms = 6_000;
                    broker.config.zookeeper_connection_timeout_ms = Some(6_000);
                }
            }
            Self::ControllerPause | Self::HungEventThread => {
                let fault = Fault::Pause { process: ProcessSelector::Controller };
                let at = (CUT_AT + cut).saturating_sub(Span::from_secs(2));
                faults.push(Planned::new(at, PAUSE, fault));
            }
            Self::BrokersRestarted => {
                faults.extend((1..=4).map(|id| kill(half, ProcessSelector::Broker(BrokerId(id)))));
            }
            Self::ZooKeepersRestarted => {
                faults.extend((1..=4).map(|sid| kill(half, ProcessSelector::ZooKeeper(Sid(sid)))));
            }
            Self::ThreeAndOne => {
                let third = host(&scenario, "zk3.fra");
                scenario.topology.hosts[usize::from(third.0)].site = SiteId(0);
                scenario.topology.hosts[usize::from(third.0)].name = "zk3.lon".to_owned();
            }
            Self::OwnQuorums => {
                let rest = CUT_AT + cut - half;
                let own = |servers| Planned::new(half, rest, Fault::Reconfigure { servers });
                faults.extend([own(vec![Sid(1), Sid(2)]), own(vec![Sid(3), Sid(4)])]);
            }
            Self::Plain | Self::OneWay | Self::Flapping | Self::BrokerOnly | Self::ZooKeeperOnly => {}
        }
        if self == Self::HungEventThread {
            let kafka = &mut scenario.cluster.kafka;
            kafka.defects = kafka.defects.with(Defect::HungEventThread);
        }
        scenario.phases.faults = faults.iter().map(|fault| fault.at + fault.duration).max().unwrap_or(CUT_AT);
        scenario.faults = faults;
        scenario
    }

    /// What the variant makes of the cut.
    fn cut(self, scenario: &Scenario) -> Vec<Fault> {
        let sites = Route::between(Place::Site(SiteId(0)), Place::Site(SiteId(1)));
        let hosts =
            |names: &[&str]| names.iter().map(|name| Place::Host(HostSelector::Host(host(scenario, name)))).collect();
        let cut = |from: &[&str], to: &[&str]| {
            Fault::cut(Route { from: hosts(from), to: hosts(to), both_ways: true, ..Route::default() })
        };
        let (brokers_lon, brokers_fra) = (["kafka1.lon", "kafka2.lon"], ["kafka3.fra", "kafka4.fra"]);
        let (servers_lon, servers_fra) = (["zk1.lon", "zk2.lon"], ["zk3.fra", "zk4.fra"]);
        match self {
            Self::OneWay => vec![Fault::cut(Route::one_way(Place::Site(SiteId(0)), Place::Site(SiteId(1))))],
            Self::Flapping => vec![Fault::Flap { route: sites, down: FLAP.0, up: FLAP.1 }],
            Self::BrokerOnly => vec![cut(&brokers_lon, &brokers_fra)],
            Self::ZooKeeperOnly => {
                vec![cut(&servers_lon, &[servers_fra, brokers_fra].concat()), cut(&brokers_lon, &servers_fra)]
            }
            _ => vec![Fault::cut(sites)],
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The article's cluster with a light load and nothing expected: what comes is what the table is about.
fn article() -> Scenario {
    let entry = library::find("wan-cut-two-controllers").expect("it is in the library");
    let mut scenario = entry.scenario().expect("every scenario of the library is valid");
    scenario.expect = Expect::default();
    scenario.workload.topics = 2;
    scenario.workload.records_per_second = 40;
    // Without a client that writes, an ensemble whose writes hang (ZOOKEEPER-4685) would pass for sound.
    let servers = scenario.cluster.zookeeper.servers.iter().map(|server| server.sid).collect();
    let config = SessionConfig { servers, shuffle: true, session_timeout: PROBE_SESSION, pause: PROBE_EVERY };
    scenario.workload.sessions.push(ClientGroup { host: scenario.workload.admin, count: 1, group: None, config });
    scenario
}

fn host(scenario: &Scenario, name: &str) -> HostId {
    scenario.topology.host(name).expect("a host of the article's cluster")
}

fn kill(at: Span, process: ProcessSelector) -> Planned {
    Planned::new(at, KILLED_FOR, Fault::Kill { process })
}

#[test]
fn every_variant_of_every_length_is_a_valid_file() {
    for variant in Variant::ALL {
        for cut in LENGTHS {
            let scenario = variant.scenario(cut);
            let printed = scenario.to_yaml();
            let again =
                Scenario::parse("printed.yaml", &printed).unwrap_or_else(|errors| panic!("{errors:?}\n{printed}"));
            assert_eq!(again, scenario, "{printed}");
        }
    }
}
