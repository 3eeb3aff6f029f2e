//! A valid file, and what is said when one thing in it is changed.

use models::random::{Purpose, Random};
use models::time::Span;

use crate::Scenario;
use crate::fault::{Fault, HostSelector, ProcessSelector, Unsynced};
use crate::library;
use crate::scenario::Tcp;

const VALID: &str = "\
name: test
description: one line
topology:
  sites: [london, frankfurt]
  hosts:
    kafka1: {site: london}
    kafka2: {site: frankfurt, clock: {offset: -3ms, drift: 20ppm}}
    zk1: {site: london, disk: {fsync: 2ms, capacity: 1GB}}
  links:
    - {between: [london, frankfurt], delay: 15ms}
cluster:
  zookeeper:
    version: 3.8.2
    servers: {1: zk1}
  kafka:
    version: 3.6.2
    defects: [lost-registration]
    options:
      zookeeper.session.timeout.ms: 18000
      min.insync.replicas: 1
    brokers:
      1: kafka1
      2: {host: kafka2, options: {broker.rack: \"a b\"}}
workload:
  topics: 2
  partitions: 3
  replication_factor: 2
  records_per_second: 100
  record_size: 1kB
  producers: [{host: kafka1, options: {acks: all}}]
  consumers: [{host: kafka2, count: 2}]
supervisor: {restart: never}
tcp: {rto_min: 100ms, retries2: 8}
monitoring: {interval: 10s, timeout: 5s, hosts: [kafka2, zk1]}
phases: {warm_up: 20s, faults: 2m, quiet_limit: 10m}
schedule:
  faults:
    - {at: 10s, for: 20s, fault: cut, between: [london, frankfurt]}
    - {at: 10s, for: 5s, fault: kill, process: broker1}
    - {at: 1m, for: 1s, fault: impair, from: [kafka1, zk1], to: kafka2, direction: both, delay: 80ms, jitter: 5ms, distribution: normal, loss: {gemodel: {p: 5%, r: 20%, 1-h: 70%, 1-k: 0%}}, rate: 10mbit, limit: 100}
    - {at: 1m, for: 1s, fault: impair, from: host-of controller, loss: 5%, duplicate: {share: 1%, correlation: 25%}}
    - {at: 1m, for: 1s, fault: impair, from: zk1, loss: {state: {p13: 1%, p31: 2%, p32: 3%, p23: 4%, p14: 5%}}}
    - {at: 1m, for: 10s, fault: flap, from: london, to: frankfurt, down: 500ms, up: 1.5s}
    - {at: 1m, for: 10s, fault: pause, process: leader-of topic-1-2}
    - {at: 1m, for: 10s, fault: pause, process: consumer-frankfurt-2}
    - {at: 1m, for: 0s, fault: auth-failed, process: controller}
    - {at: 1m, for: 0s, fault: delete-controller}
    - {at: 1m, for: 10s, fault: host-crash, host: host-of zk-leader}
    - {at: 1m, for: 10s, fault: slow-disk, host: zk1, latency: 50ms}
    - {at: 1m, for: 10s, fault: stall-disk, host: zk1}
    - {at: 1m, for: 10s, fault: fail-disk, host: zk1}
    - {at: 1m, for: 10s, fault: fill-disk, host: kafka1, leave: 1MB}
    - {at: 1m, for: 10s, fault: clock-jump, host: kafka1, by: -1h}
    - {at: 1m, for: 10s, fault: clock-drift, host: kafka1, by: -200ppm}
    - {at: 1m, for: 0s, fault: reset-connections, from: zk1}
  chaos: {faults: 2..3, weights: {kill: 1, wan-cut: 2}}
expect:
  permitted_losses: 0
  steady_state: {controllers: 1}
  throughout: {controllers: 0..2, controllers_seen_from: {frankfurt: 0..2}, metrics: {OfflinePartitionsCount: \"<= 6\", MaxLag: 0}}
  controller_changes: \"<= 3\"
  longest_outage: 10s..30s
  acknowledged: \">= 99.5%\"
rollback: {restart: [broker1, zk1]}
";

#[test]
fn a_file_with_every_kind_of_entry_survives_printing() {
    let scenario = Scenario::parse("test.yaml", VALID).unwrap();
    let printed = scenario.to_yaml();
    assert_eq!(Scenario::parse("printed.yaml", &printed).unwrap_or_else(|e| panic!("{e:?}\n{printed}")), scenario);
    let odd =
        Scenario { description: "\"quoted\\\": #{[\u{7}\u{2028}\u{1f600}\n\n end ".to_owned(), ..scenario.clone() };
    assert_eq!(Scenario::parse("printed.yaml", &odd.to_yaml()).unwrap(), odd);

    assert_eq!(scenario.faults[1].fault, Fault::Kill { process: ProcessSelector::Broker(models::id::BrokerId(1)) });
    assert_eq!(
        scenario.faults[10].fault,
        Fault::HostCrash { host: HostSelector::Of(ProcessSelector::ZooKeeperLeader), unsynced: Unsynced::Torn }
    );
    let texts: Vec<String> = scenario.faults.iter().map(|planned| planned.fault.text(&scenario)).collect();
    assert_eq!(texts[0], "cut london <-> frankfurt");
    assert_eq!(
        texts[2],
        "delay +80ms jitter 5ms, loss in bursts (Gilbert-Elliott), rate 10mbit, limit 100 packets on kafka1+zk1 <-> kafka2"
    );
    assert_eq!(texts[3], "loss 5%, duplicate 1% on controller's host -> all others");
    assert_eq!(texts[7], "pause consumer-frankfurt-2");
    let names: Vec<String> = scenario.deployment().processes.into_iter().map(|process| process.name).collect();
    let expected =
        ["zk1", "broker1", "broker2", "admin", "producer-london-1", "consumer-frankfurt-1", "consumer-frankfurt-2"];
    assert_eq!(names, expected);
}

#[test]
fn a_list_of_processes_makes_a_fault_of_each_in_turn() {
    let changed = [
        (
            "- {at: 10s, for: 5s, fault: kill, process: broker1}",
            "- {at: 10s, for: 20s, every: 40s, fault: stop, process: [broker1, broker2], grace: 5s}\n    \
             - {at: 1m, for: 10s, fault: disk-error, host: kafka1, dir: /b}",
        ),
        ("1: kafka1", "1: {host: kafka1, options: {log.dirs: \"/a,/b\"}}"),
        ("{site: frankfurt, clock", "{site: frankfurt, disk: 10GB, clock"),
        ("record_size: 1kB", "record_size: 1kB\n  skew: 60%"),
    ];
    let text = changed.iter().fold(VALID.to_owned(), |text, (from, to)| text.replacen(from, to, 1));
    let scenario = Scenario::parse("test.yaml", &text).unwrap_or_else(|errors| panic!("{errors:?}"));
    let stop = |broker| {
        let process = ProcessSelector::Broker(models::id::BrokerId(broker));
        Fault::Stop { process, grace: Span::from_secs(5) }
    };
    let planned: Vec<_> = scenario.faults[1..3].iter().map(|p| (p.at, p.duration, p.fault.clone())).collect();
    let secs = Span::from_secs;
    assert_eq!(planned, [(secs(10), secs(20), stop(1)), (secs(50), secs(20), stop(2))]);
    assert!(matches!(&scenario.faults[3].fault, Fault::FailDisk { dir: Some(dir), .. } if dir == "/b"));
    assert_eq!(scenario.topology.hosts[1].disk.capacity, 10_000_000_000);
    assert_eq!(scenario.workload.skew.ppm(), 600_000);
    assert_eq!(Scenario::parse("printed.yaml", &scenario.to_yaml()), Ok(scenario));

    let too_late = text.replacen("every: 40s", "every: 100s", 1);
    let unknown = text.replacen("dir: /b", "dir: /c", 1);
    let patient = text.replacen("grace: 5s", "grace: 21s", 1);
    for (text, expected) in [
        (too_late, "ends at 130s, after the fault phase of 2m"),
        (unknown, "unknown log directory `/c`"),
        (patient, "must not be longer than the fault itself, 20s"),
    ] {
        let errors = Scenario::parse("test.yaml", &text).expect_err(expected);
        assert!(errors.len() == 1 && errors[0].to_string().contains(expected), "{errors:?}");
    }
}

/// Replaces `from` by `to` in the valid file and expects exactly these errors, without the file's name.
fn check(from: &str, to: &str, expected: &[&str]) {
    assert!(VALID.contains(from), "{from} is not in the file");
    let errors = Scenario::parse("t.yaml", &VALID.replacen(from, to, 1)).err().unwrap_or_default();
    let found: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let expected: Vec<String> = expected.iter().map(|line| format!("t.yaml:{line}")).collect();
    assert_eq!(found, expected, "after changing `{from}` to `{to}`");
}

/// What is changed, into what, and one of the errors that follow.
const CHANGES: &[(&str, &str, &str)] = &[
    (
        "delay: 15ms",
        "dely: 15ms",
        "10:38: topology.links[0].dely: unknown field `dely`; did you mean `delay`?; valid: between, delay, jitter, correlation, distribution, keep_order, loss, duplicate, corrupt, reorder, gap, slot, limit, queue, rate, overhead, cell",
    ),
    (
        "delay: 15ms",
        "delay: 15",
        "10:45: topology.links[0].delay: `15` is not valid; expected a length of time with its unit, such as 15ms, 2.5s or 2m (ns, us, ms, s, m, h)",
    ),
    (
        "delay: 15ms",
        "delay: [15ms]",
        "10:45: topology.links[0].delay: expected a length of time with its unit, such as 15ms, 2.5s or 2m (ns, us, ms, s, m, h), found a list",
    ),
    (
        "kafka1: {site: london}",
        "kafka1: {site: londn}",
        "6:20: topology.hosts.kafka1.site: unknown site `londn`; did you mean `london`?; valid: london, frankfurt",
    ),
    (
        "zookeeper.session.timeout.ms",
        "zookeeper.sesion.timeout.ms",
        "19:7: cluster.kafka.options.zookeeper.sesion.timeout.ms: unknown option `zookeeper.sesion.timeout.ms`; did you mean `zookeeper.session.timeout.ms`?",
    ),
    (
        "timeout.ms: 18000",
        "timeout.ms: 18s",
        "19:37: cluster.kafka.options.zookeeper.session.timeout.ms: `18s` is not valid; expected a whole number from 0 to 4294967295",
    ),
    (
        "1: kafka1",
        "1: kafka9",
        "22:10: cluster.kafka.brokers.1: unknown host `kafka9`; did you mean `kafka1`?; valid: kafka1, kafka2, zk1",
    ),
    (
        "1: kafka1",
        "one: kafka1",
        "22:7: cluster.kafka.brokers.one: `one` is no id; expected a whole number from 0 to 32767",
    ),
    (
        "version: 3.6.2",
        "version: 3.6.1",
        "16:14: cluster.kafka.version: unknown value `3.6.1`; did you mean `3.6.2`?; valid: fixed, 3.6.2",
    ),
    (
        "replication_factor: 2",
        "replication_factor: 3",
        "27:23: workload.replication_factor: 3 replicas need 3 brokers, but there are 2",
    ),
    (
        "min.insync.replicas: 1",
        "min.insync.replicas: 3",
        "27:23: workload.replication_factor: `min.insync.replicas` is 3: with 2 replicas no acks=all write could succeed",
    ),
    (
        "acks: all",
        "acks: 1, enable.idempotence: true",
        "30:39: workload.producers[0].options: `enable.idempotence` cannot be true with `acks` other than all",
    ),
    (
        "acks: all",
        "delivery.timeout.ms: 1000",
        "30:39: workload.producers[0].options: `delivery.timeout.ms` is 1000; it must be at least `linger.ms` + `request.timeout.ms`, 30000",
    ),
    (
        "at: 10s, for: 20s",
        "at: 110s, for: 20s",
        "38:7: schedule.faults[0]: ends at 130s, after the fault phase of 2m (`phases.faults`)",
    ),
    (
        "fault: cut",
        "fault: cutt",
        "38:34: schedule.faults[0].fault: unknown fault `cutt`; did you mean `cut`?; valid: cut, partition, impair, delay, loss, duplicate, corrupt, reorder, rate, slot, mtu-hole, flow-loss, flap, refuse, route-lost, link-down, dns, kill, stop, restart, pause, gc, cpu, auth-failed, delete-controller, host-crash, slow-disk, limit-disk, stall-disk, fail-disk, fill-disk, damage-indexes, clock-jump, clock-drift, clock-strobe, reset-connections, reconfigure",
    ),
    (
        "process: broker1}",
        "process: borker1}",
        "39:48: schedule.faults[1].process: unknown process `borker1`; did you mean `broker1`?; valid: zk1, broker1, broker2, admin, producer-london-1, consumer-frankfurt-1, consumer-frankfurt-2, controller, zk-leader, leader-of topic-0-0",
    ),
    (
        "leader-of topic-1-2",
        "leader-of topic-1-3",
        "44:49: schedule.faults[6].process: unknown process `leader-of topic-1-3`; did you mean `leader-of topic-0-0`?; valid: zk1, broker1, broker2, admin, producer-london-1, consumer-frankfurt-1, consumer-frankfurt-2, controller, zk-leader, leader-of topic-0-0",
    ),
    (
        "host: host-of zk-leader",
        "host: zk-leader",
        "48:51: schedule.faults[10].host: `zk-leader` is a process; its host is `host-of zk-leader`",
    ),
    (
        "loss: 5%",
        "loss: 0.05",
        "41:72: schedule.faults[3].loss: `0.05` is not valid; expected a share from 0% to 100%, with the sign %",
    ),
    (
        "wan-cut: 2",
        "wan-cutt: 2",
        "56:44: schedule.chaos.weights.wan-cutt: unknown field `wan-cutt`; did you mean `wan-cut`?",
    ),
    (
        "faults: 2..3",
        "faults: 3..2",
        "56:19: schedule.chaos.faults: `3..2` is not valid; expected a range `low..high` (or one value) of numbers from 0 to 10000",
    ),
    (
        "permitted_losses: 0",
        "known_breaches: [J-LOST-WRITE, J-UNSEEN, J-LOST-WRITE]",
        "58:44: expect.known_breaches[2]: J-LOST-WRITE is named twice",
    ),
    (
        "controller_changes: \"<= 3\"",
        "controler_changes: 3",
        "61:3: expect.controler_changes: unknown field `controler_changes`; did you mean `controller_changes`?",
    ),
    (
        "10s..30s",
        "10..30",
        "62:19: expect.longest_outage: `10..30` is not valid; expected a bound `X`, `<= X`, `>= X` or `X..Y` with lengths of time with units",
    ),
    (
        "between: [london, frankfurt]}\n    - {at: 10s, for: 5s",
        "between: [kafka1, kafka1]}\n    - {at: 10s, for: 5s",
        "38:7: schedule.faults[0]: joins no two different hosts",
    ),
    ("kafka2: {site", "kafka1: {site", "7:5: topology.hosts.kafka1: given twice; the first time on line 6"),
    (
        "restart: never",
        "restart: sometimes",
        "32:23: supervisor.restart: `sometimes` is not valid; expected `never` or a length of time with its unit, such as 15ms, 2.5s or 2m (ns, us, ms, s, m, h)",
    ),
    ("rto_min: 100ms", "rto_min: 1h", "33:6: tcp: `rto_min` is greater than `rto_max`"),
    ("name: test\n", "name: *test\n", "1:7: not valid YAML: while parsing node, found unknown anchor"),
    ("name: test\n", "name: [\n", "2:1: not valid YAML: invalid indentation"),
];

#[test]
fn wrong_words_and_values_are_named_with_the_nearest_valid_one() {
    let mut wrong = Vec::new();
    for (from, to, expected) in CHANGES {
        assert!(VALID.contains(from), "{from} is not in the file");
        let errors = Scenario::parse("t.yaml", &VALID.replacen(from, to, 1)).err().unwrap_or_default();
        let found: Vec<String> = errors.iter().map(ToString::to_string).collect();
        if !found.contains(&format!("t.yaml:{expected}")) {
            wrong.push(format!("`{from}` -> `{to}`:\n  {expected}\n  {}", found.join("\n  ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_hosts_kernel_settings_are_its_own_and_survive_being_written() {
    let plain = Scenario::parse("t.yaml", VALID).expect("it is valid");
    let own = |settings: &str| {
        let text = VALID.replacen("kafka2: {site", &format!("kafka2: {{tcp: {{{settings}}}, site"), 1);
        Scenario::parse("t.yaml", &text).map_err(|errors| errors[0].to_string())
    };
    let scenario = own("rto_max: 1s, syn_retries: 3").expect("it is valid");
    let host = |scenario: &Scenario, name: &str| {
        let id = scenario.topology.host(name).expect("it is there");
        scenario.topology.hosts[usize::from(id.0)].tcp.clone()
    };
    let expected = Tcp { rto_max: Span::from_secs(1), syn_retries: 3, ..Tcp::default() };
    assert_eq!(host(&scenario, "kafka2"), Some(expected), "what is not said is Linux's, not the scenario's");
    assert_eq!((host(&scenario, "kafka1"), &scenario.tcp), (None, &plain.tcp), "nobody else has them");
    let written = Scenario::parse("t.yaml", &scenario.to_yaml()).unwrap_or_else(|errors| panic!("{errors:?}"));
    assert_eq!(written, scenario);
    let default = own("rto_max: 120s").expect("it is valid");
    assert_eq!(host(&default, "kafka2"), Some(Tcp::default()), "settings that say nothing new override the scenario's");
    assert_eq!(Scenario::parse("t.yaml", &default.to_yaml()).ok(), Some(default));
    let wrong = own("retries: 3").expect_err("there is no such setting");
    assert!(wrong.contains("topology.hosts.kafka2.tcp.retries: unknown field `retries`"), "{wrong}");
}

#[test]
fn one_pass_finds_all_errors_in_the_order_of_the_lines() {
    check(
        "    - {between: [london, frankfurt], delay: 15ms}\n",
        "    - {from: london, to: frankfurt, delay: 15ms}\n",
        &["10:5: topology.links: no link from `frankfurt` to `london`; add one with `between` or `from` and `to`"],
    );
    check(
        "supervisor: {restart: never}\ntcp: {rto_min: 100ms, retries2: 8}\nmonitoring: {interval: 10s, timeout: 5s, hosts: [kafka2, zk1]}\nphases: {warm_up: 20s",
        "supervisor: {restrt: never}\ntcp: {rto_min: 100, retries2: 300}\nmonitoring: {interval: 10s, timeout: 5s, hosts: [kafka2, zk1]}\nphase: {warm_up: 20s",
        &[
            "32:14: supervisor.restrt: unknown field `restrt`; did you mean `restart`?; valid: restart, start_up",
            "33:16: tcp.rto_min: `100` is not valid; expected a length of time with its unit, such as 15ms, 2.5s or 2m (ns, us, ms, s, m, h)",
            "33:31: tcp.retries2: `300` is not valid; expected a whole number from 0 to 255",
            "35:1: phase: unknown field `phase`; did you mean `phases`?; valid: name, description, topology, cluster, workload, expect, monitoring, supervisor, tcp, phases, demonstrates, schedule, rollback",
        ],
    );
    for (text, expected) in [
        ("", "t.yaml:1:1: the file is empty; expected a scenario"),
        ("42", "t.yaml:1:1: `42` is not valid; expected a map of fields"),
        ("a: 1\n---\nb: 2\n", "t.yaml:2:1: a second document begins here; a scenario file holds one"),
    ] {
        let errors = Scenario::parse("t.yaml", text).unwrap_err();
        assert!(errors.iter().any(|error| error.to_string() == expected), "{expected}\n{errors:#?}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(Scenario::parse("t.yaml", &deep).unwrap_err().len(), 1);
}

#[test]
fn damaged_files_are_never_a_panic() {
    let mut random = Random::new(1, Purpose::Workload, 0);
    let texts: Vec<&str> = library::list().iter().map(|entry| entry.text).chain([VALID]).collect();
    let scraps = [
        "",
        "0",
        "-1",
        "[",
        "]",
        "{",
        "}",
        ": ",
        "\n",
        "  ",
        "- ",
        "\"",
        "&a",
        "*a",
        "99999999999999999999",
        "%",
        "1h",
        "london",
        "null",
        "|",
        "?",
    ];
    let mut accepted = 0;
    for _ in 0..3_000 {
        let mut text: Vec<char> = random.pick(&texts).chars().collect();
        for _ in 0..random.within(1, 4) {
            let at = random.below(text.len() as u64) as usize;
            let end = (at + random.below(12) as usize).min(text.len());
            text.splice(at..end, random.pick(&scraps).chars());
            if text.is_empty() {
                break;
            }
        }
        let text: String = text.into_iter().collect();
        match Scenario::parse("t.yaml", &text) {
            Ok(scenario) => {
                accepted += 1;
                let printed = scenario.to_yaml();
                let again = Scenario::parse("t.yaml", &printed).unwrap_or_else(|e| panic!("{e:?}\n{text}\n{printed}"));
                assert_eq!(again, scenario, "{text}\n{printed}");
                crate::schedule::Schedule::draw(&scenario, 7);
            }
            Err(errors) => assert!(!errors.is_empty()),
        }
    }
    // The damage must not be so great that only the YAML parser is tried.
    assert!(accepted > 100, "{accepted}");
}

#[test]
fn a_defect_of_the_other_system_is_refused() {
    let wrong = VALID.replace("[lost-registration]", "[commit-before-up-to-date]");
    let errors = Scenario::parse("test.yaml", &wrong).unwrap_err();
    let [error] = errors.as_slice() else { panic!("{errors:?}") };
    let expected = "test.yaml:17:15: cluster.kafka.defects[0]: unknown defect `commit-before-up-to-date`; `sim defects list` names them all";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_defect_brings_the_protocol_of_its_time_and_bears_no_newer_one() {
    let read = |protocol: &str, defect: &str| {
        let mut text = VALID.replace("[lost-registration]", &format!("[{defect}]"));
        if !protocol.is_empty() {
            text = text.replace("min.insync.replicas: 1", &format!("inter.broker.protocol.version: {protocol}"));
        }
        Scenario::parse("test.yaml", &text).map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let rules = |scenario: &Scenario| {
        let kafka = &scenario.cluster.kafka;
        let (version, _) = kafka.brokers[0].config.rules(kafka.defects);
        version.to_string()
    };
    for (protocol, defect, expected) in [
        ("2.6", "isr-write-reply-lost", "2.6"),
        ("2.0.1", "isr-write-reply-lost", "2.0"),
        ("", "isr-write-reply-lost", "2.6"),
        ("", "lost-registration", "3.6"),
        ("2.7-IV1", "lost-registration", "2.7-IV1"),
    ] {
        let scenario = read(protocol, defect).unwrap_or_else(|errors| panic!("{errors:?}"));
        assert_eq!(rules(&scenario), expected, "{protocol} {defect}");
        assert_eq!(rules(&scenario.repaired()), "3.6");
    }
    let newer = "test.yaml:19:7: cluster.kafka.options: `inter.broker.protocol.version` `2.7-IV0` is too new for the defect \
                 `isr-write-reply-lost`, which needs the rules of 2.6 or older; leave the option out to get them";
    assert_eq!(read("2.7-IV0", "isr-write-reply-lost"), Err(vec![newer.to_owned()]));
    let unknown = "test.yaml:20:38: cluster.kafka.options.inter.broker.protocol.version: `3.7` is not valid; expected 0.10.2 \
                   to 3.6, whose rules the model has";
    assert_eq!(read("3.7", "lost-registration"), Err(vec![unknown.to_owned()]));
}
