//! Every kind of fault in every spelling: what it says of itself, and that it survives printing.

use models::time::Span;

use crate::Scenario;
use crate::fault::{Fault, Mode, Place};
use crate::schedule::Schedule;

/// A cluster of two sites with the faults of `lines`.
fn file(lines: &[&str]) -> String {
    let faults: String = lines.iter().map(|line| format!("    - {{{line}}}\n")).collect();
    format!(
        "\
name: test
topology:
  sites: [london, frankfurt]
  hosts:
    k1: {{site: london}}
    k2: {{site: london}}
    k3: {{site: frankfurt}}
    k4: {{site: frankfurt}}
    z1: {{site: london}}
    app: {{site: frankfurt}}
  links:
    - {{between: [london, frankfurt], delay: 15ms}}
cluster:
  zookeeper: {{servers: {{1: z1}}}}
  kafka: {{brokers: {{1: k1, 2: k2, 3: k3, 4: k4}}}}
workload:
  topics: 1
  partitions: 1
  replication_factor: 3
  records_per_second: 10
  record_size: 1kB
  admin: app
  producers: [{{host: app}}]
  consumers: [{{host: app}}]
schedule:
  faults:
{faults}"
    )
}

fn read(lines: &[&str]) -> Result<Scenario, Vec<String>> {
    let errors = |errors: Vec<super::ScenarioError>| errors.iter().map(ToString::to_string).collect();
    Scenario::parse("t.yaml", &file(lines)).map_err(errors)
}

/// What is written, and what it says of itself in the schedule.
const FAULTS: &[(&str, &str)] = &[
    ("fault: cut, from: london, to: frankfurt, mode: reset", "cut london -> frankfurt (answered by RST)"),
    ("fault: cut, from: k1, to: k3, direction: from", "cut k3 -> k1"),
    ("fault: cut, from: k1, direction: both, mode: new-only", "cut k1 <-> all others (new connections only)"),
    ("fault: cut, from: brokers, to: zookeepers, ports: [2181]", "cut k1+k2+k3+k4 -> z1, port 2181"),
    ("fault: cut, from: k1, ports: {dst: [kafka, 2181]}", "cut k1 -> all others, to port 2181+9092"),
    (
        "fault: cut, from: k1, ports: {src: [9092], dst: [2181]}",
        "cut k1 -> all others, from port 9092 and to port 2181",
    ),
    ("fault: refuse, from: london, to: k3", "cut london -> k3 (new connections refused)"),
    ("fault: partition, groups: [[k1, k2], [london, k3]]", "partition k1+k2 | london+k3"),
    ("fault: partition, groups: [k1, k2, k3], mode: refuse", "partition k1 | k2 | k3 (new connections refused)"),
    (
        "fault: delay, between: [k1, k2], delay: 80ms, jitter: 5ms, keep_order: true",
        "delay +80ms jitter 5ms in order on k1 <-> k2",
    ),
    ("fault: loss, from: k1, percent: 5%", "loss 5% on k1 -> all others"),
    (
        "fault: loss, from: k1, percent: 50%, correlation: 100%",
        "loss 50% (with correlation 100%: 100% in effect) on k1 -> all others",
    ),
    ("fault: loss, from: k1, gemodel: {p: 5%}", "loss in bursts (Gilbert-Elliott) on k1 -> all others"),
    ("fault: loss, from: k1, state: {p13: 5%, p31: 80%}", "loss in bursts (4 states) on k1 -> all others"),
    ("fault: duplicate, from: k1, percent: 20%", "duplicate 20% on k1 -> all others"),
    ("fault: corrupt, from: k1, percent: 2%", "corrupt 2% on k1 -> all others"),
    ("fault: reorder, from: k1, percent: 25%, gap: 5, delay: 20ms", "delay +20ms, reorder 25% on k1 -> all others"),
    (
        "fault: rate, from: k1, rate: 1mbit, overhead: 20, cell: 53, queue: 20",
        "rate 1mbit, limit 20 packets on k1 -> all others",
    ),
    ("fault: slot, from: k1, min: 20ms, max: 30ms, packets: 5", "slots every 20ms..30ms on k1 -> all others"),
    ("fault: impair, from: k1, slot: {min: 20ms, bytes: 3000}", "slots every 20ms on k1 -> all others"),
    (
        "fault: mtu-hole, between: [london, frankfurt], above: 1400B",
        "packets above 1400 bytes lost on london <-> frankfurt",
    ),
    (
        "fault: flow-loss, from: k1, flows: 30%, packets: 50%",
        "30% of the connections lose 50% of their packets on k1 -> all others",
    ),
    ("fault: flap, from: k1, down: 1s, up: 2s, ports: [9092]", "flap k1 -> all others, port 9092: 1s cut, 2s sound"),
    ("fault: route-lost, from: k1, to: frankfurt, kind: prohibit", "route lost (prohibit) k1 -> frankfurt"),
    ("fault: link-down, host: k1", "link down at k1"),
    ("fault: dns, host: app, name: k1, answer: k2", "DNS at app says of k1: the address of k2"),
    ("fault: dns, host: app, name: k1, answer: error", "DNS at app says of k1: an error"),
    ("fault: dns, host: app, name: k1, answer: timeout", "DNS at app says of k1: no answer"),
    ("fault: dns, host: app, name: k1, answer: stale", "DNS at app says of k1: an address of old"),
    ("fault: kill, process: broker1, signal: 9", "kill broker1"),
    ("fault: stop, process: broker1, grace: 5s", "stop broker1 (SIGTERM, SIGKILL after 5s)"),
    (
        "fault: restart, process: broker1, grace: 5s, delay: 2s",
        "restart broker1 (SIGTERM, SIGKILL after 5s; down for 2s)",
    ),
    ("fault: gc, process: controller, pause: 3s, period: 4s", "pauses of controller: 3s every 4s"),
    ("fault: cpu, process: broker1, delay: 5ms", "busy CPU of broker1: 5ms an input"),
    ("fault: host-crash, host: k1, unsynced: lose", "host crash of k1, nothing unsynced is left"),
    ("fault: host-crash, host: k1, unsynced: keep", "host crash of k1, all unsynced is left"),
    ("fault: host-crash, host: k1, unsynced: torn", "host crash of k1"),
    ("fault: disk-slow, host: k1, sync: 5ms", "slow disk of k1: read +0s, sync +5ms"),
    ("fault: disk-rate, host: k1, write: 10MB/s, iops: 100", "disk of k1 limited: write 10MB/s, 100 iops"),
    ("fault: disk-error, host: k1, errno: EROFS", "failing disk of k1: EROFS on write+sync"),
    ("fault: disk-error, host: k1, ops: [sync], percent: 10%", "failing disk of k1: EIO on 10% of sync"),
    ("fault: damage-indexes, process: broker1", "damaged index files of broker1"),
    ("fault: damage-file, process: broker1, file: indexes", "damaged index files of broker1"),
    ("fault: clock-strobe, host: k1, by: -2s, period: 500ms", "clock of k1 jumps by -2s and back every 500ms"),
    ("fault: reset, between: [k1, k2], ports: [9092]", "reset connections k1 <-> k2, port 9092"),
];

#[test]
fn every_fault_says_what_it_is_and_survives_printing() {
    let lines: Vec<String> = FAULTS.iter().map(|(line, _)| format!("at: 1s, for: 10s, {line}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let scenario = read(&lines).unwrap_or_else(|errors| panic!("{}", errors.join("\n")));
    let texts: Vec<String> = scenario.faults.iter().map(|planned| planned.fault.text(&scenario)).collect();
    let expected: Vec<&str> = FAULTS.iter().map(|(_, text)| *text).collect();
    assert_eq!(texts, expected);
    let printed = scenario.to_yaml();
    assert_eq!(Scenario::parse("printed.yaml", &printed), Ok(scenario), "{printed}");
}

/// What is wrong, and what is said of it.
const MISTAKES: &[(&str, &str)] = &[
    (
        "fault: cut, from: k1, ports: [9093]",
        "unknown port `9093`; did you mean `9092`?; valid: 9092, 2181, 2888, 3888, kafka",
    ),
    (
        "fault: cut, from: k1, mode: rest",
        "unknown value `rest`; did you mean `reset`?; valid: silent, reset, refuse, new-only",
    ),
    ("fault: cut, from: k1, direction: from", "`from` turns a route round: name both ends"),
    ("fault: partition", "expected `groups`, or a `shape` (halves, one, majority"),
    ("fault: partition, groups: [[k1, k2]]", "expected two or more groups"),
    ("fault: partition, shape: bridge, hosts: [k1, k2]", "`bridge` needs 3 hosts or more to split; there are 2"),
    ("fault: partition, shape: one, hosts: [host-of controller, k1]", "a shape splits hosts by name"),
    ("fault: loss, from: k1", "field `percent` is missing"),
    ("fault: loss, from: k1, percent: 5%, delay: 3ms", "unknown field `delay`"),
    ("fault: reorder, from: k1, percent: 5%", "field `delay` is missing"),
    ("fault: impair, from: k1, delay: 3ms, gap: 5", "`gap` needs `reorder`"),
    ("fault: rate, from: k1, overhead: 5", "field `rate` is missing"),
    ("fault: slot, from: k1, min: 20ms, max: 10ms", "`max` is less than `min`"),
    ("fault: mtu-hole, from: k1, above: 1500B", "expected a size from 1B to 1499B"),
    ("fault: dns, host: app, name: k1, answer: k9", "unknown host `k9`"),
    ("fault: dns, host: app, name: host-of controller, answer: error", "a name belongs to a host; a role has none"),
    ("fault: gc, process: broker1, pause: 2s, period: 2s", "`pause` must be shorter than `period`"),
    (
        "fault: restart, process: broker1, grace: 9s, delay: 2s",
        "`grace` and `delay` together are longer than the fault itself",
    ),
    ("fault: kill, process: broker1, signal: 15", "unknown value `15`"),
    ("fault: kill, process: broker1, restart_after: 5s", "`for` and `restart_after` mean the same"),
    ("fault: kill, process: {any: 5, of: [broker1, broker2]}", "expected a whole number from 1 to 2"),
    ("fault: slow-disk, host: k1, write: 5ms", "writes end in the page cache and take no time"),
    ("fault: slow-disk, host: k1", "field `latency` is missing; or give `read` and `sync`"),
    ("fault: limit-disk, host: k1", "limits nothing"),
    ("fault: fail-disk, host: k1, errno: ENOSPC, ops: [read]", "a read never fails with ENOSPC"),
    ("fault: fail-disk, host: k1, percent: 5%", "writes into the page cache fail all or not at all"),
    ("fault: fail-disk, host: k1, dir: /tmp/kafka-logs, errno: EROFS", "a single `dir` fails with EIO and as a whole"),
    ("after: wan, fault: pause, process: broker1", "give `at` or `after`, not both"),
    ("fault: cut, from: {any: 1, of: [k1]}, to: {any: 1, of: [k2]}", "only one end of a route can be left to the seed"),
];

#[test]
fn mistakes_are_named() {
    for (line, expected) in MISTAKES {
        let errors = read(&[&format!("at: 1s, for: 10s, {line}")]).err().unwrap_or_default();
        assert!(errors.iter().any(|error| error.contains(expected)), "{line}\n{expected}\n{errors:#?}");
    }
}

#[test]
fn faults_have_names_and_follow_one_another() {
    let scenario = read(&[
        "id: wan, at: 10s, for: 20s, fault: cut, between: [london, frankfurt]",
        "id: roll, after: {fault: wan, plus: 5s}, every: 30s, fault: restart, process: brokers, grace: 10s",
        "after: roll, restart_after: 5s, fault: host-crash, host: frankfurt",
        "id: done, after: roll, fault: reset-connections, from: k1",
    ])
    .unwrap_or_else(|errors| panic!("{errors:?}"));
    let seconds = |span: Span| span.as_ms() / 1_000;
    let planned: Vec<_> =
        scenario.faults.iter().map(|p| (p.name.as_deref(), seconds(p.at), seconds(p.duration))).collect();
    let expected = [
        (Some("wan"), 10, 20),
        (Some("roll-1"), 35, 10),
        (Some("roll-2"), 65, 10),
        (Some("roll-3"), 95, 10),
        (Some("roll-4"), 125, 10),
        // All hosts of the site at once.
        (None, 135, 5),
        (None, 135, 5),
        (None, 135, 5),
        (Some("done"), 135, 0),
    ];
    assert_eq!(planned, expected);
    let schedule = Schedule::draw(&scenario, 1);
    assert_eq!(schedule.faults[0].text(&scenario), "wan: cut london <-> frankfurt");
    assert_eq!(Scenario::parse("printed.yaml", &scenario.to_yaml()), Ok(scenario));

    for (lines, expected) in [
        (
            [
                "id: a, at: 1s, for: 1s, fault: pause, process: broker1",
                "after: b, for: 1s, fault: pause, process: broker1",
            ],
            "no fault further up has the id `b`",
        ),
        (
            [
                "id: a, at: 1s, for: 1s, fault: pause, process: broker1",
                "id: a, at: 1s, for: 1s, fault: pause, process: broker1",
            ],
            "the id `a` is taken already",
        ),
        (
            [
                "id: a-1, at: 1s, for: 1s, fault: pause, process: broker1",
                "id: a, at: 1s, for: 1s, fault: pause, process: brokers",
            ],
            "the id `a-1` is taken already",
        ),
        (
            [
                "at: 1s, for: 1s, fault: pause, process: broker1",
                "after: {fault: a}, for: 1s, fault: pause, process: broker1",
            ],
            "no fault further up has the id `a`",
        ),
    ] {
        let errors = read(&lines).expect_err(expected);
        assert!(errors.iter().any(|error| error.contains(expected)), "{expected}: {errors:?}");
    }
}

#[test]
fn what_is_left_to_the_seed_is_decided_in_the_schedule_and_differs_between_seeds() {
    let scenario = read(&[
        "id: two, at: 1s, for: 10s, every: 5s, fault: kill, process: {any: 2, of: [broker1, broker2, broker3, broker4]}",
        "at: 1s, for: 10s, fault: stall-disk, host: {any: 1, of: london}",
        "at: 1s, for: 10s, fault: cut, from: {any: 1, of: brokers}, to: zookeepers",
        "at: 1s, for: 10s, fault: delay, from: k1, to: {any: 2, of: [k2, k3, k4]}, delay: 1s",
    ])
    .unwrap_or_else(|errors| panic!("{errors:?}"));
    assert_eq!(Scenario::parse("printed.yaml", &scenario.to_yaml()), Ok(scenario.clone()), "{}", scenario.to_yaml());
    let texts = |seed| {
        let schedule = Schedule::draw(&scenario, seed);
        schedule.faults.iter().map(|timed| timed.text(&scenario)).collect::<Vec<_>>()
    };
    assert_eq!(texts(1), texts(1));
    let drawn: std::collections::BTreeSet<Vec<String>> = (0..20).map(texts).collect();
    assert!(drawn.len() > 10, "{drawn:?}");
    for texts in &drawn {
        assert_eq!(texts.len(), 5, "{texts:?}");
        let two: Vec<&String> = texts.iter().filter(|text| text.starts_with("two-")).collect();
        assert!(two.len() == 2 && two[0][5..] != two[1][5..], "two different ones: {texts:?}");
    }
    // Taking one entry's neighbour away does not change what it draws.
    let mut fewer = scenario.clone();
    fewer.faults.truncate(2);
    let disk = |scenario: &Scenario| {
        let faults = Schedule::draw(scenario, 3).faults;
        faults.into_iter().find(|timed| matches!(timed.fault, Fault::StallDisk { .. })).map(|timed| timed.fault)
    };
    assert_eq!(disk(&fewer), disk(&scenario));
}

#[test]
fn shapes_split_the_servers_as_their_names_say() {
    for (shape, groups) in [
        ("halves", vec![2, 3]),
        ("one", vec![1, 4]),
        ("majority", vec![3, 2]),
        ("minority-third", vec![1, 4]),
        ("bridge", vec![3, 3]),
        ("majorities-ring", vec![2, 2, 2, 2, 2]),
    ] {
        let scenario = read(&[&format!("at: 1s, for: 10s, fault: partition, shape: {shape}, mode: reset")]).unwrap();
        assert_eq!(Scenario::parse("printed.yaml", &scenario.to_yaml()), Ok(scenario.clone()));
        let mut splits = std::collections::BTreeSet::new();
        for seed in 0..20 {
            let fault = Schedule::draw(&scenario, seed).faults.remove(0).fault;
            let Fault::Partition { groups: drawn, mode: Mode::Reset } = &fault else { panic!("{fault:?}") };
            assert_eq!(drawn.iter().map(Vec::len).collect::<Vec<_>>(), groups, "{shape}");
            splits.insert(fault.text(&scenario));
        }
        assert!(splits.len() > 3, "{shape}: {splits:?}");
    }
    let scenario = read(&["at: 1s, for: 10s, fault: partition, shape: primaries"]).unwrap();
    let whom = |seed| match Schedule::draw(&scenario, seed).faults.remove(0).fault {
        Fault::Cut { route, mode: Mode::Silent } if route.to.len() == 5 && route.both_ways => route.from,
        other => panic!("{other:?}"),
    };
    let drawn: Vec<Vec<Place>> = (0..20).map(whom).collect();
    assert!(drawn.iter().any(|from| from.len() == 2) && drawn.iter().any(|from| from.len() == 1));
}

#[test]
fn chaos_names_kinds_that_cannot_be_in_the_cluster() {
    let read = |sites: &str, kafka: &str, weights: &str| {
        let text = format!(
            "\
name: test
topology:
  sites: [london, {sites}]
  hosts: {{z1: {{site: london}}, k1: {{site: london}}, app: {{site: london}}}}
  links: []
cluster:
  zookeeper: {{servers: {{1: z1}}}}
{kafka}
schedule:
  chaos: {{weights: {{{weights}}}}}"
        );
        let errors = Scenario::parse("t.yaml", &text).err().unwrap_or_default();
        errors.iter().map(ToString::to_string).filter(|error| error.contains("chaos")).collect::<Vec<_>>()
    };
    let kafka = "  kafka: {brokers: {1: k1}}";
    assert_eq!(read("frankfurt", kafka, "see-saw: 1, wan-cut: 1"), Vec::<String>::new());
    let stories = read("frankfurt", "", "see-saw: 1, kill: 1, bad-return: 2, deaf-broker: 1, ousted-controller: 1");
    assert_eq!(stories.len(), 1, "{stories:?}");
    assert!(
        stories[0].ends_with("bad-return, see-saw, deaf-broker need brokers; set their weights to 0"),
        "{stories:?}"
    );
}
