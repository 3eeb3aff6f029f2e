//! What a scenario file says of a link or of the inside of a site is what packets meet there: no word is taken and ignored.

use std::collections::BTreeMap;

use scenarios::Scenario;

use crate::{complaints, run};

fn text(link: &str, lan: &str, loopback: &str) -> String {
    format!(
        "\
name: links
topology:
  sites: [a, b]
  lan: {lan}
  loopback: {loopback}
  hosts: {{k1: {{site: a}}, k2: {{site: b}}, z1: {{site: a}}, app: {{site: a}}}}
  links:
    - {{between: [a, b], {link}}}
cluster:
  zookeeper: {{servers: {{1: z1}}}}
  kafka: {{brokers: {{1: k1, 2: k2}}}}
workload:
  topics: 1
  partitions: 2
  replication_factor: 2
  records_per_second: 40
  record_size: 1kB
  admin: app
  producers: [{{host: app, options: {{acks: all}}}}]
  consumers: [{{host: app}}]
phases: {{faults: 10s, quiet_hold: 5s}}
"
    )
}

/// Each of netem's words, on a line that it can be seen on: a copy means nothing to a stream, but it takes its time on a narrow line.
const WORDS: &[&str] = &[
    "delay: 10ms",
    "delay: 10ms, jitter: 1ms",
    "delay: 10ms, jitter: 1ms, distribution: normal",
    "delay: 10ms, jitter: 1ms, distribution: pareto",
    "delay: 10ms, jitter: 1ms, distribution: paretonormal",
    "delay: 10ms, jitter: 1ms, correlation: 50%",
    "delay: 10ms, jitter: 1ms, keep_order: true",
    "delay: 10ms, loss: 20%",
    "delay: 10ms, loss: {share: 20%, correlation: 25%}",
    "delay: 10ms, loss: {gemodel: {p: 5%, r: 20%}}",
    "delay: 10ms, loss: {state: {p13: 5%, p31: 20%}}",
    "delay: 10ms, rate: 1mbit, duplicate: 20%",
    "delay: 10ms, corrupt: 25%",
    "delay: 10ms, reorder: 30%",
    "delay: 10ms, reorder: 30%, gap: 3",
    "delay: 10ms, rate: 1mbit",
    "delay: 10ms, rate: 1mbit, overhead: 40",
    "delay: 10ms, rate: 1mbit, cell: 53",
    "delay: 10ms, limit: 1",
    "delay: 10ms, slot: {min: 5ms, max: 9ms, packets: 1}",
    "delay: 10ms, slot: {min: 5ms, packets: 1}",
    "delay: 10ms, slot: {min: 5ms, bytes: 100}",
];

fn check(of: impl Fn(&str) -> String) {
    let mut seen = BTreeMap::new();
    for words in WORDS {
        let scenario = Scenario::parse("links.yaml", &of(words)).unwrap_or_else(|errors| panic!("{words}: {errors:?}"));
        let finished = run(&scenario, 1);
        assert_eq!(complaints(&finished), [] as [String; 0], "{words}");
        if let Some(other) = seen.insert(finished.outcome.fingerprint, words) {
            panic!("`{words}` is as `{other}`");
        }
    }
}

#[test]
fn every_word_of_a_link_changes_what_packets_meet() {
    check(|words| text(words, "{delay: 100us}", "{delay: 10us}"));
}

#[test]
fn every_word_of_a_lan_changes_what_packets_meet() {
    check(|words| text("delay: 5ms", &format!("{{{words}}}"), "{delay: 10us}"));
}

#[test]
fn a_loopback_has_a_delay_and_nothing_else() {
    let errors = Scenario::parse("links.yaml", &text("delay: 5ms", "{delay: 1ms}", "{delay: 1ms, loss: 1%}"));
    let errors: Vec<String> = errors.expect_err("a loopback loses nothing").iter().map(ToString::to_string).collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("links.yaml:5") && errors[0].contains("a loopback has a `delay`"), "{errors:?}");
}
