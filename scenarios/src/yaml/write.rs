//! Printing a scenario as a file that reads back as the same scenario. What has its default is left out.

mod faults;

use std::fmt::Write as _;

use models::defect::{Defect, Defects, KAFKA_VERSIONS, ZOOKEEPER_VERSIONS};
use models::kafka::config::{BrokerConfig, ConsumerConfig, ProducerConfig};
use models::options::OptionInfo;
use models::time::Span;
use models::zk::config::ZooKeeperConfig;

use crate::chaos::ChaosProfile;
use crate::cluster::{Cluster, version_defects};
use crate::expect::{Bound, Expect, Gauge};
use crate::fault::Names;
use crate::monitoring::Monitoring;
use crate::netem::Netem;
use crate::scenario::{Demonstration, Phases, Restart, Scenario, Tcp};
use crate::topology::{Clock, Disk, Host, Topology};
use crate::units::{Share, show_signed_span, show_size, show_span};
use crate::workload::{ClientGroup, SessionConfig, Workload};

/// Prints `scenario`.
pub(crate) fn write(scenario: &Scenario) -> String {
    let mut out = Text::default();
    out.field("name", &scenario.name);
    if !scenario.description.is_empty() {
        out.field("description", quoted(&scenario.description));
    }
    out.map("topology", |out| topology(out, &scenario.topology));
    out.map("cluster", |out| cluster(out, &scenario.cluster, &scenario.topology));
    out.map("workload", |out| {
        if scenario.cluster.has_kafka() {
            workload(out, &scenario.workload, &scenario.topology);
        }
        sessions(out, &scenario.workload.sessions, &scenario.topology);
    });
    let restart = match scenario.supervisor {
        Restart::After(span) => show_span(span),
        Restart::Never => "never".to_owned(),
    };
    let mut supervisor = Vec::new();
    supervisor.extend((scenario.supervisor != Restart::default()).then_some(("restart", restart)));
    let (low, high) = scenario.start_up;
    supervisor.extend((high > Span::ZERO).then(|| ("start_up", format!("{}..{}", show_span(low), show_span(high)))));
    if !supervisor.is_empty() {
        out.field("supervisor", inline(&supervisor));
    }
    tcp(&mut out, &scenario.tcp);
    monitoring(&mut out, &scenario.monitoring, &scenario.topology);
    phases(&mut out, &scenario.phases);
    out.map("schedule", |out| schedule(out, scenario));
    out.map("expect", |out| expect(out, &scenario.expect, &scenario.topology));
    if !scenario.rollback.restart.is_empty() {
        let deployment = scenario.deployment();
        let names = Names { scenario, deployment: &deployment };
        let words = scenario.rollback.restart.iter().map(|process| names.process(*process));
        out.field("rollback", format!("{{restart: [{}]}}", words.collect::<Vec<_>>().join(", ")));
    }
    if let Some(Demonstration { law, within }) = &scenario.demonstrates {
        out.field("demonstrates", inline(&[("law", law.clone()), ("within", within.to_string())]));
    }
    out.text
}

/// Indented lines.
#[derive(Default)]
struct Text {
    text: String,
    depth: usize,
}

impl Text {
    fn line(&mut self, line: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{:width$}{line}", "", width = 2 * self.depth);
    }

    fn field(&mut self, name: impl std::fmt::Display, value: impl std::fmt::Display) {
        self.line(format_args!("{name}: {value}"));
    }

    /// A nested map, left out if it would be empty.
    fn map(&mut self, name: impl std::fmt::Display, body: impl FnOnce(&mut Self)) {
        let start = self.text.len();
        self.line(format_args!("{name}:"));
        let head = self.text.len();
        self.depth += 1;
        body(self);
        self.depth -= 1;
        if self.text.len() == head {
            self.text.truncate(start);
        }
    }
}

/// A scalar in double quotes.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            // Everything that YAML does not print, or that ends a line in it.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A scalar, quoted where it must be.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let simple = text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(plain) && text != "null";
    if simple { text.to_owned() } else { quoted(text) }
}

/// `{a: x, b: y}`.
fn inline(fields: &[(&str, String)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    format!("{{{}}}", fields.join(", "))
}

fn topology(out: &mut Text, topology: &Topology) {
    let sites: Vec<String> = topology.sites.iter().map(|site| scalar(site)).collect();
    out.field("sites", format!("[{}]", sites.join(", ")));
    out.map("hosts", |out| {
        for host in &topology.hosts {
            let mut fields = vec![("site", scalar(topology.site_name(host.site)))];
            fields.extend((host.disk != Disk::default()).then(|| ("disk", disk(&host.disk))));
            fields.extend((host.clock != Clock::default()).then(|| {
                let drift = format!("{}ppm", host.clock.drift_ppm);
                (
                    "clock",
                    inline(&[
                        ("offset", show_signed_span(host.clock.offset_ns)),
                        ("drift", drift),
                        ("uptime", show_span(host.clock.uptime)),
                    ]),
                )
            }));
            if host.thread_delay != Host::THREAD_DELAY {
                fields.push(("thread_delay", show_span(host.thread_delay)));
            }
            fields.extend(host.tcp.as_ref().map(|tcp| ("tcp", inline(&tcp_fields(tcp)))));
            out.field(scalar(&host.name), inline(&fields));
        }
    });
    if topology.lan != Netem::delay(Topology::LAN_DELAY) {
        out.field("lan", inline(&faults::netem(&topology.lan)));
    }
    if topology.loopback != Netem::delay(Topology::LOOPBACK_DELAY) {
        out.field("loopback", inline(&faults::netem(&topology.loopback)));
    }
    out.map("links", |out| {
        for link in &topology.links {
            let name = |site| scalar(topology.site_name(site));
            let mut fields = vec![("from", name(link.from)), ("to", name(link.to))];
            fields.extend(faults::netem(&link.netem));
            out.line(format_args!("- {}", inline(&fields)));
        }
    });
}

fn disk(disk: &Disk) -> String {
    inline(&[
        ("fsync", show_span(disk.fsync)),
        ("fsync_jitter", show_span(disk.fsync_jitter)),
        ("read", show_span(disk.read)),
        ("bandwidth", show_size(disk.bandwidth)),
        ("capacity", show_size(disk.capacity)),
    ])
}

fn cluster(out: &mut Text, cluster: &Cluster, topology: &Topology) {
    let host = |host| scalar(topology.host_name(host));
    out.map("zookeeper", |out| {
        let zookeeper = &cluster.zookeeper;
        version(out, ZOOKEEPER_VERSIONS, &zookeeper.version, zookeeper.defects);
        options(out, changed(&zookeeper.config.values(), &ZooKeeperConfig::table()));
        out.map("servers", |out| {
            for server in &zookeeper.servers {
                let mut fields = vec![("host", host(server.host))];
                fields.extend((server.start > Span::ZERO).then(|| ("start", show_span(server.start))));
                out.field(server.sid, inline(&fields));
            }
        });
    });
    if !cluster.has_kafka() {
        return;
    }
    out.map("kafka", |out| {
        let kafka = &cluster.kafka;
        version(out, KAFKA_VERSIONS, &kafka.version, kafka.defects);
        let table = BrokerConfig::table();
        let own = |config: &BrokerConfig| {
            let mut values = changed(&config.values(), &table);
            values.retain(|(name, _)| *name != "broker.id");
            values
        };
        // What all brokers have is written once.
        let mut common = kafka.brokers.first().map(|broker| own(&broker.config)).unwrap_or_default();
        for broker in &kafka.brokers {
            let values = own(&broker.config);
            common.retain(|value| values.contains(value));
        }
        options(out, common.clone());
        let all: Vec<_> = cluster.zookeeper.servers.iter().map(|server| server.sid).collect();
        out.map("brokers", |out| {
            for broker in &kafka.brokers {
                out.map(broker.id, |out| {
                    out.field("host", host(broker.host));
                    if broker.zookeeper_connect != all {
                        let sids: Vec<String> = broker.zookeeper_connect.iter().map(ToString::to_string).collect();
                        out.field("zookeeper.connect", format!("[{}]", sids.join(", ")));
                    }
                    options(out, own(&broker.config).into_iter().filter(|value| !common.contains(value)).collect());
                });
            }
        });
    });
}

fn version(out: &mut Text, table: &[(&str, &[Defect])], version: &str, defects: Defects) {
    out.field("version", scalar(version));
    let implied = version_defects(table, version).unwrap_or_default();
    let extra: Vec<&str> = defects.iter().filter(|defect| !implied.has(*defect)).map(Defect::word).collect();
    if !extra.is_empty() {
        out.field("defects", format!("[{}]", extra.join(", ")));
    }
}

/// The options that do not have their default.
fn changed(values: &[(&'static str, String)], table: &[OptionInfo]) -> Vec<(&'static str, String)> {
    let is_default =
        |(name, value): &&(&str, String)| table.iter().any(|option| option.name == *name && option.default == *value);
    values.iter().filter(|value| !is_default(value)).cloned().collect()
}

fn options(out: &mut Text, values: Vec<(&'static str, String)>) {
    out.map("options", |out| {
        for (name, value) in values {
            out.field(name, scalar(&value));
        }
    });
}

fn workload(out: &mut Text, workload: &Workload, topology: &Topology) {
    out.field("topics", workload.topics);
    out.field("partitions", workload.partitions);
    out.field("replication_factor", workload.replication_factor);
    out.field("records_per_second", workload.records_per_second);
    out.field("record_size", show_size(workload.record_size.into()));
    if let Some(interval) = workload.end_offsets_every {
        out.field("end_offsets_every", show_span(interval));
    }
    if workload.auto_create_topics {
        out.field("topic_creation", "auto");
    }
    if workload.skew != Share::NONE {
        out.field("skew", workload.skew);
    }
    out.field("admin", scalar(topology.host_name(workload.admin)));
    let table = ProducerConfig::table();
    clients(out, "producers", &workload.producers, topology, |config| {
        let mut values = changed(&config.values(), &table);
        // Left out, it would follow from `acks` instead.
        let idempotence = ("enable.idempotence", config.enable_idempotence.to_string());
        values.retain(|(name, _)| *name != idempotence.0);
        values.extend((!config.enable_idempotence).then_some(idempotence));
        values
    });
    let table = ConsumerConfig::table();
    clients(out, "consumers", &workload.consumers, topology, |config| changed(&config.values(), &table));
}

fn sessions(out: &mut Text, groups: &[ClientGroup<SessionConfig>], topology: &Topology) {
    out.map("sessions", |out| {
        for ClientGroup { host, count, config, .. } in groups {
            let sids: Vec<String> = config.servers.iter().map(ToString::to_string).collect();
            let mut fields = vec![
                ("host", scalar(topology.host_name(*host))),
                ("count", count.to_string()),
                ("servers", format!("[{}]", sids.join(", "))),
            ];
            fields.extend((!config.shuffle).then(|| ("shuffle", "false".to_owned())));
            fields.push(("session_timeout", show_span(config.session_timeout)));
            fields.push(("pause", show_span(config.pause)));
            out.line(format_args!("- {}", inline(&fields)));
        }
    });
}

fn clients<C>(
    out: &mut Text,
    name: &str,
    groups: &[ClientGroup<C>],
    topology: &Topology,
    values: impl Fn(&C) -> Vec<(&'static str, String)>,
) {
    if groups.is_empty() {
        out.field(name, "[]");
    }
    out.map(name, |out| {
        for group in groups {
            out.field("- host", scalar(topology.host_name(group.host)));
            out.depth += 1;
            out.field("count", group.count);
            if let Some(group) = &group.group {
                out.field("group", scalar(&group.0));
            }
            options(out, values(&group.config));
            out.depth -= 1;
        }
    });
}

fn tcp(out: &mut Text, tcp: &Tcp) {
    if *tcp != Tcp::default() {
        out.map("tcp", |out| {
            for (name, value) in tcp_fields(tcp) {
                out.field(name, value);
            }
        });
    }
}

fn tcp_fields(tcp: &Tcp) -> [(&'static str, String); 6] {
    [
        ("rto_min", show_span(tcp.rto_min)),
        ("rto_max", show_span(tcp.rto_max)),
        ("rto_initial", show_span(tcp.rto_initial)),
        ("retries2", tcp.retries2.to_string()),
        ("syn_retries", tcp.syn_retries.to_string()),
        ("syn_linear_timeouts", tcp.syn_linear_timeouts.to_string()),
    ]
}

fn monitoring(out: &mut Text, monitoring: &Monitoring, topology: &Topology) {
    if *monitoring != Monitoring::default() {
        out.map("monitoring", |out| {
            out.field("interval", show_span(monitoring.interval));
            out.field("timeout", show_span(monitoring.timeout));
            if let Some(hosts) = &monitoring.hosts {
                let hosts: Vec<_> = hosts.iter().map(|host| scalar(topology.host_name(*host))).collect();
                out.field("hosts", format!("[{}]", hosts.join(", ")));
            }
        });
    }
}

fn phases(out: &mut Text, phases: &Phases) {
    out.map("phases", |out| {
        out.field("warm_up", show_span(phases.warm_up));
        out.field("faults", show_span(phases.faults));
        out.field("quiet_hold", show_span(phases.quiet_hold));
        if let Some(limit) = phases.quiet_limit {
            out.field("quiet_limit", show_span(limit));
        }
    });
}

fn schedule(out: &mut Text, scenario: &Scenario) {
    let deployment = scenario.deployment();
    let names = Names { scenario, deployment: &deployment };
    out.map("faults", |out| {
        for planned in &scenario.faults {
            out.line(format_args!("- {}", inline(&faults::planned(planned, &names))));
        }
    });
    if let Some(profile) = &scenario.chaos {
        out.map("chaos", |out| chaos(out, profile));
    }
}

fn chaos(out: &mut Text, profile: &ChaosProfile) {
    let spans = |(low, high)| format!("{}..{}", show_span(low), show_span(high));
    out.field("faults", format!("{}..{}", profile.faults.0, profile.faults.1));
    out.field("lengths", spans(profile.lengths));
    out.field("loss", format!("{}..{}", profile.loss.0, profile.loss.1));
    out.field("delay", spans(profile.delay));
    out.field("disk_latency", spans(profile.disk_latency));
    if let Some(stretch) = profile.stretch {
        out.field("stretch", spans(stretch));
    }
    if let Some((fewest, most)) = profile.victims {
        out.field("victims", format!("{fewest}..{most}"));
    }
    let weights: Vec<(&str, String)> =
        profile.weights.iter().map(|(kind, weight)| (kind.word(), weight.to_string())).collect();
    out.field("weights", inline(&weights));
}

fn expect(out: &mut Text, expect: &Expect, topology: &Topology) {
    if let Some(losses) = expect.permitted_losses {
        out.field("permitted_losses", losses);
    }
    if !expect.known_breaches.is_empty() {
        let laws: Vec<&str> = expect.known_breaches.iter().map(|law| law.name()).collect();
        out.field("known_breaches", format!("[{}]", laws.join(", ")));
    }
    let bound = |bound: Bound, unit| {
        let text = bound.text(unit);
        if text.starts_with(['<', '>']) { quoted(&text) } else { text }
    };
    let gauges = |out: &mut Text, name: &str, gauges: &[(Gauge, Bound)]| {
        out.map(name, |out| {
            let (mut sites, mut metrics) = (Vec::new(), Vec::new());
            for (gauge, value) in gauges {
                let bound = bound(*value, gauge.unit());
                match gauge {
                    Gauge::ControllersSeenFrom(site) => {
                        sites.push(format!("{}: {bound}", scalar(topology.site_name(*site))));
                    }
                    Gauge::Metric(metric) => metrics.push(format!("{}: {bound}", metric.word())),
                    _ => out.field(gauge, bound),
                }
            }
            for (word, fields) in [("controllers_seen_from", sites), ("metrics", metrics)] {
                if !fields.is_empty() {
                    out.field(word, format!("{{{}}}", fields.join(", ")));
                }
            }
        });
    };
    gauges(out, "steady_state", &expect.steady_state);
    gauges(out, "throughout", &expect.throughout);
    gauges(out, "at_end", &expect.at_end);
    for (total, value) in &expect.totals {
        out.field(total, bound(*value, total.unit()));
    }
}
