use super::{ImportError, ImportedCluster, cluster};
use crate::Scenario;
use crate::library::{STRETCH_CLUSTER_BROKERS, STRETCH_CLUSTER_ZOO_CFG, find};

const BROKER: &str = "broker.id=1\nzookeeper.connect=zk1:2181\n";
const TWO: &str = "broker.id=2\nzookeeper.connect=zk1\n";
const ENSEMBLE: &str = "dataDir=/d\nserver.1=zk1:2888:3888\nserver.2=zk2:2888:3888\n";
const ZOO: &str = "dataDir=/data\nserver.1=zk1:2888:3888\n";

fn import(brokers: &[&str], zoo: &str) -> Result<ImportedCluster, Vec<ImportError>> {
    let names = ["b1", "b2", "b3"];
    let files: Vec<(&str, &str)> = names.into_iter().zip(brokers.iter().copied()).collect();
    cluster(&files, ("zoo.cfg", zoo))
}

#[test]
fn the_stretch_clusters_files_give_the_librarys_cluster() {
    let imported = cluster(STRETCH_CLUSTER_BROKERS, STRETCH_CLUSTER_ZOO_CFG).unwrap();
    let library = find("stretch-cluster").unwrap().scenario().unwrap();
    assert_eq!(imported.cluster, library.cluster);
    let place = |topology: &crate::topology::Topology| {
        let hosts = topology
            .host_ids()
            .take(8)
            .map(|host| (topology.host_name(host).to_owned(), topology.site_name_of(host).to_owned()));
        hosts.collect::<Vec<_>>()
    };
    assert_eq!(place(&imported.topology), place(&library.topology));
    let listed = |line: &str| imported.not_modelled.iter().any(|found| found.to_string() == line);
    assert!(
        listed("stretch-cluster/broker-1.properties:10: `num.network.threads` is not modelled"),
        "{:?}",
        imported.not_modelled
    );
    assert!(listed("stretch-cluster/zoo.cfg:12: `maxClientCnxns` is not modelled"));
    assert_eq!(imported.assumptions.len(), 1);
    let scenario = imported.scenario("imported");
    assert_eq!(Scenario::parse("printed.yaml", &scenario.to_yaml()).unwrap(), scenario);
}

#[test]
fn a_cluster_without_racks_gets_faults_that_need_no_wan() {
    let scenario = import(&[BROKER], ZOO).unwrap().scenario("imported");
    assert_eq!(Scenario::parse("printed.yaml", &scenario.to_yaml()).unwrap(), scenario);
    assert_eq!(scenario.cluster.zookeeper.config.tick_time, 3000);
}

/// Files of brokers, a `zoo.cfg`, and the errors that follow.
const BAD_FILES: &[(&[&str], &str, &[&str])] = &[
    (
        &["broker.id=1\n# c\nnum.replica.fetchers=many\nzookeeper.connect=zk1"],
        ZOO,
        &["b1:3: `num.replica.fetchers`: `many` is not valid; expected a whole number from 0 to 4294967295"],
    ),
    (&[BROKER, BROKER], ZOO, &["b2:1: `broker.id` 1 is that of b1 too"]),
    (&["zookeeper.connect=zk1\n"], ZOO, &["b1:1: `broker.id` is missing; generated ids are not modelled"]),
    (
        &["broker.id=1\n"],
        ZOO,
        &["b1:1: missing required configuration `zookeeper.connect`, which has no default value"],
    ),
    (
        &["broker.id=1\nzookeeper.connect=zk11:2181\n"],
        ZOO,
        &["b1:2: `zookeeper.connect`: `zk11` is no server of zoo.cfg; did you mean `zk1`?; there are zk1"],
    ),
    (
        &["broker.id=1\nzookeeper.connect=zk1:2182\n"],
        ZOO,
        &["b1:2: `zookeeper.connect`: port 2182 of `zk1` is not `clientPort`, 2181"],
    ),
    (
        &["process.roles=broker\nbroker.id=1\nzookeeper.connect=zk1\n"],
        ZOO,
        &["b1:1: `process.roles` is set: KRaft is not modelled, only ZooKeeper mode"],
    ),
    (
        &[BROKER, "broker.id=2\nbroker.rack=a\nzookeeper.connect=zk1\n"],
        ZOO,
        &["b1:1: `broker.rack` is missing, while other brokers have one; replicas could not be assigned"],
    ),
    (
        &["broker.id=1\nmin.insync.replicas=3\nzookeeper.connect=zk1\n", TWO],
        ZOO,
        &["b1:1: `min.insync.replicas` is 3, but there are 2 brokers"],
    ),
    (
        &["broker.id=1\ninter.broker.protocol.version=0.10.1\nzookeeper.connect=zk1\n"],
        ZOO,
        &[
            "b1:2: `inter.broker.protocol.version`: `0.10.1` is not valid; expected 0.10.2 to 3.6, whose rules the model has",
        ],
    ),
    (
        &[BROKER],
        ENSEMBLE,
        &[
            "zoo.cfg:3: `initLimit` is not set; ZooKeeper does not start without it",
            "zoo.cfg:3: `syncLimit` is not set; ZooKeeper does not start without it",
        ],
    ),
    (
        &[BROKER],
        "dataDir=/d\nserver.1=zk1:2888:3888\nserver.1=zk2:2888:3888\ninitLimit=10\nsyncLimit=5\n",
        &["zoo.cfg:3: `server.1` is given twice; the first time on line 2"],
    ),
    (
        &[BROKER],
        "dataDir=/d\nserver.1=zk1:2888\nserver.x=zk2:1:2\n",
        &[
            "b1:2: `zookeeper.connect`: `zk1` is no server of zoo.cfg; there are ",
            "zoo.cfg:2: `server.1`: `zk1:2888` is not valid; expected host:quorum-port:election-port, such as zk1:2888:3888",
            "zoo.cfg:3: `server.x`: expected a number from 1 to 255, the server's `myid`",
            "zoo.cfg:3: no `server.N=host:2888:3888`; the ensemble must be listed",
        ],
    ),
    (
        &[BROKER],
        "dataDir=/d\ntickTime=2s\nserver.1=zk1:2888:3888:observer\nserver.2=zk1:1:2\n",
        &[
            "zoo.cfg:2: `tickTime`: `2s` is not valid; expected a whole number from 0 to 4294967295",
            "zoo.cfg:3: `server.1`: observers are not modelled",
        ],
    ),
    (&[BROKER], "server.1=zk1:2888:3888\\u00", &["zoo.cfg:1: malformed `\\u00`: expected four hexadecimal digits"]),
];

#[test]
fn what_is_wrong_is_reported_with_file_and_line() {
    for (brokers, zoo, expected) in BAD_FILES {
        let errors = import(brokers, zoo).err().unwrap_or_default();
        let found: Vec<String> = errors.iter().map(ToString::to_string).collect();
        for line in *expected {
            assert!(found.iter().any(|found| found == line), "{line}\nnot in {found:#?}");
        }
        if !zoo.contains("\\u") {
            assert_eq!(found.len(), expected.len(), "{found:#?}");
        }
    }
}

#[test]
fn a_slip_in_an_option_that_kafka_would_ignore_is_pointed_at() {
    let broker = format!("{BROKER}replica.lag.time.ms=1\nreplica.lag.tim.max.ms=1\nforceSync=no\n");
    let imported = import(&[&broker], &format!("{ZOO}forceSync=no\nclientPort=2181\n")).unwrap();
    let listed: Vec<String> = imported.not_modelled.iter().map(ToString::to_string).collect();
    assert_eq!(
        listed,
        [
            "b1:3: `replica.lag.time.ms` is not modelled",
            "b1:4: `replica.lag.tim.max.ms` is not modelled; did you mean `replica.lag.time.max.ms`?",
            "b1:5: `forceSync` is not modelled",
        ]
    );
    assert!(!imported.cluster.zookeeper.config.force_sync.0);
}
