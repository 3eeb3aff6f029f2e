//! `schedule:`, `rollback:` and everything that names processes and hosts.

use models::id::{Sid, Topic, TopicPartition};
use models::time::Span;

use super::cluster;
use super::fields::{Fields, Item, unknown};
use super::node::Value;
use super::topology::{ppm, read_netem, signed_span};
use crate::chaos::{ChaosKind, ChaosProfile, Weights};
use crate::deployment::{Deployment, ProcessKind};
use crate::fault::{Fault, HostSelector, Place, ProcessSelector, Route};
use crate::netem::Netem;
use crate::scenario::{Rollback, Scenario};
use crate::schedule::Planned;
use crate::units::{self, show_span};

/// Most faults of a schedule.
const MAX_FAULTS: u32 = 10_000;

/// `DefaultTimeoutStopSec` of systemd.
const DEFAULT_GRACE: Span = Span::from_secs(90);

/// The words for kinds of faults.
const KINDS: &[(&str, Kind)] = &[
    ("cut", Kind::Cut),
    ("impair", Kind::Impair),
    ("flap", Kind::Flap),
    ("kill", Kind::Kill),
    ("stop", Kind::Stop),
    ("pause", Kind::Pause),
    ("auth-failed", Kind::AuthFailed),
    ("delete-controller", Kind::DeleteController),
    ("host-crash", Kind::HostCrash),
    ("slow-disk", Kind::SlowDisk),
    ("stall-disk", Kind::StallDisk),
    ("fail-disk", Kind::FailDisk),
    ("fill-disk", Kind::FillDisk),
    ("clock-jump", Kind::ClockJump),
    ("clock-drift", Kind::ClockDrift),
    ("reset-connections", Kind::ResetConnections),
    ("reconfigure", Kind::Reconfigure),
];

/// What other tools call them.
const ALIASES: &[(&str, Kind)] = &[
    ("disk-slow", Kind::SlowDisk),
    ("disk-stall", Kind::StallDisk),
    ("disk-error", Kind::FailDisk),
    ("disk-full", Kind::FillDisk),
];

#[derive(Clone, Copy)]
enum Kind {
    Cut,
    Impair,
    Flap,
    Kill,
    Stop,
    Pause,
    AuthFailed,
    DeleteController,
    HostCrash,
    SlowDisk,
    StallDisk,
    FailDisk,
    FillDisk,
    ClockJump,
    ClockDrift,
    ResetConnections,
    Reconfigure,
}

/// What selectors can name.
pub(super) struct Targets<'a> {
    scenario: &'a Scenario,
    deployment: Deployment,
}

impl<'a> Targets<'a> {
    pub(super) fn new(scenario: &'a Scenario) -> Self {
        Self { scenario, deployment: scenario.deployment() }
    }

    pub(super) fn schedule(&self, item: &Item<'_>) -> (Vec<Planned>, Option<ChaosProfile>) {
        let mut fields = item.fields();
        let list = fields.optional("faults");
        let faults: Vec<Planned> = list.iter().flat_map(Item::list).flat_map(|fault| self.planned(&fault)).collect();
        let chaos = fields.optional("chaos").map(|chaos| self.chaos(&chaos));
        if faults.len() > MAX_FAULTS as usize {
            item.error(format!("more than {MAX_FAULTS} faults"));
        }
        fields.finish();
        (faults, chaos)
    }

    /// One entry. A list of processes or hosts makes a fault of each, `every` so much time one.
    fn planned(&self, item: &Item<'_>) -> Vec<Planned> {
        let mut fields = item.fields();
        let at = fields.required_span("at");
        let duration = fields.required_span("for");
        // Without a kind nobody knows which other fields are valid.
        let Some(kind) = fields.required("fault").and_then(|kind| read_kind(&kind)) else { return Vec::new() };
        let (faults, every) = match kind {
            Kind::Kill | Kind::Stop | Kind::Pause => {
                let grace = if let Kind::Stop = kind { read_grace(&mut fields, duration) } else { Span::ZERO };
                let fault = |process: Item<'_>| {
                    let process = self.process(&process)?;
                    Some(match kind {
                        Kind::Kill => Fault::Kill { process },
                        Kind::Stop => Fault::Stop { process, grace },
                        _ => Fault::Pause { process },
                    })
                };
                let processes = fields.required("process");
                let faults: Vec<Fault> = processes.iter().flat_map(Item::list).filter_map(fault).collect();
                (faults, fields.span("every", Span::ZERO))
            }
            Kind::HostCrash => {
                let fault = |host: Item<'_>| self.host(&host).map(|host| Fault::HostCrash { host });
                let hosts = fields.required("host");
                let faults: Vec<Fault> = hosts.iter().flat_map(Item::list).filter_map(fault).collect();
                (faults, fields.span("every", Span::ZERO))
            }
            kind => (self.fault(kind, &mut fields).into_iter().collect(), Span::ZERO),
        };
        let phase = self.scenario.phases.faults;
        let end = at + duration + every * (faults.len().max(1) as u64 - 1);
        if end > phase {
            let end = show_span(end);
            item.error(format!("ends at {end}, after the fault phase of {} (`phases.faults`)", show_span(phase)));
        }
        fields.finish();
        (0..).zip(faults).map(|(number, fault)| Planned { at: at + every * number, duration, fault }).collect()
    }

    fn fault(&self, kind: Kind, fields: &mut Fields<'_>) -> Option<Fault> {
        Some(match kind {
            Kind::Cut => Fault::Cut(self.route(fields)),
            Kind::ResetConnections => Fault::ResetConnections(self.route(fields)),
            Kind::Reconfigure => Fault::Reconfigure { servers: self.ensemble(fields)? },
            Kind::Impair => {
                let fault = Fault::Impair { route: self.route(fields), netem: read_netem(fields) };
                if matches!(&fault, Fault::Impair { netem, .. } if *netem == Netem::default()) {
                    fields.item().error(
                        "impairs nothing; give `delay`, `loss`, `duplicate`, `corrupt`, `reorder`, `rate` or `limit`",
                    );
                }
                fault
            }
            Kind::Flap => {
                let route = self.route(fields);
                let mut length =
                    |name| fields.required(name).and_then(|item| item.positive_span()).unwrap_or(Span::MAX);
                Fault::Flap { route, down: length("down"), up: length("up") }
            }
            // The caller has read these.
            Kind::Kill | Kind::Stop | Kind::Pause | Kind::HostCrash => return None,
            Kind::AuthFailed => Fault::AuthFailed { process: self.process(&fields.required("process")?)? },
            Kind::DeleteController => Fault::DeleteController,
            Kind::SlowDisk => {
                let host = self.host_field(fields);
                let latency = fields.required("latency").and_then(|item| item.positive_span());
                Fault::SlowDisk { host: host?, latency: latency? }
            }
            Kind::StallDisk => Fault::StallDisk { host: self.host_field(fields)? },
            Kind::FailDisk => {
                let host = self.host_field(fields);
                let dir = fields.optional("dir").and_then(|dir| self.log_dir(&dir, host));
                Fault::FailDisk { host: host?, dir }
            }
            Kind::FillDisk => {
                let host = self.host_field(fields);
                let leave =
                    fields.optional("leave").map_or(Some(0), |item| item.parsed(units::SIZE, units::parse_size));
                Fault::FillDisk { host: host?, leave: leave? }
            }
            Kind::ClockJump => {
                let host = self.host_field(fields);
                let by_ns = fields.required("by").and_then(|by| signed_span(&by));
                Fault::ClockJump { host: host?, by_ns: by_ns? }
            }
            Kind::ClockDrift => {
                let host = self.host_field(fields);
                let ppm = fields.required("by").and_then(|by| ppm(&by));
                Fault::ClockDrift { host: host?, ppm: ppm? }
            }
        })
    }

    /// `between: [a, b]`, or `from:` and, unless everybody else is meant, `to:`. Each end may be a list.
    fn route(&self, fields: &mut Fields<'_>) -> Route {
        let places = |item: &Item<'_>| item.list().iter().filter_map(|place| self.place(place)).collect::<Vec<_>>();
        let route = if let Some(between) = fields.optional("between") {
            let ends = between.list();
            if ends.len() != 2 {
                between.error("expected two places, or lists of places");
            }
            let mut ends = ends.iter().map(places);
            Route { from: ends.next().unwrap_or_default(), to: ends.next().unwrap_or_default(), both_ways: true }
        } else {
            let from = fields.required("from");
            let to = fields.optional("to");
            let both_ways = match fields.optional("direction") {
                Some(direction) => direction.choice(&[("one-way", false), ("both", true)]).unwrap_or(false),
                None => false,
            };
            Route {
                from: from.as_ref().map(places).unwrap_or_default(),
                to: to.as_ref().map(places).unwrap_or_default(),
                both_ways,
            }
        };
        if fields.item().report.is_clean() && self.hits_nobody(&route) {
            fields.item().error("joins no two different hosts");
        }
        route
    }

    /// Whether no packet can ever be on the route, roles aside.
    fn hits_nobody(&self, route: &Route) -> bool {
        let by_role = |place: &Place| matches!(place, Place::Host(host) if host.fixed(&self.deployment).is_none());
        let fixed = !route.from.iter().chain(&route.to).any(by_role);
        fixed && route.pairs(self.scenario, |host| host.fixed(&self.deployment)).is_empty()
    }

    /// `zookeeper: [1, 2]`.
    fn ensemble(&self, fields: &mut Fields<'_>) -> Option<Vec<Sid>> {
        let item = fields.required("zookeeper")?;
        let mut servers = cluster::read_sids(&item, &self.scenario.cluster.zookeeper);
        servers.sort_unstable();
        if servers.is_empty() {
            item.error("an ensemble needs at least one server");
        }
        (!servers.is_empty()).then_some(servers)
    }

    fn host_field(&self, fields: &mut Fields<'_>) -> Option<HostSelector> {
        fields.required("host").and_then(|item| self.host(&item))
    }

    /// A path of `log.dirs` of a broker on that host, or of any broker if the host is not known yet.
    fn log_dir(&self, item: &Item<'_>, host: Option<HostSelector>) -> Option<String> {
        let path = item.text("a path of a broker's `log.dirs`")?;
        let on = host.and_then(|host| host.fixed(&self.deployment));
        let brokers = self.scenario.cluster.kafka.brokers.iter().filter(|b| on.is_none_or(|host| b.host == host));
        let known: Vec<&str> = brokers.flat_map(|b| b.config.log_dirs.paths()).map(String::as_str).collect();
        if !known.contains(&path) {
            item.error(unknown("log directory", path, &known));
        }
        Some(path.to_owned())
    }

    fn host(&self, item: &Item<'_>) -> Option<HostSelector> {
        let text = item.text("a host, or `host-of` a process")?;
        self.host_word(text).or_else(|| {
            item.error(self.unknown_place("host", text, false));
            None
        })
    }

    fn place(&self, item: &Item<'_>) -> Option<Place> {
        let text = item.text("a site, a host, or `host-of` a process")?;
        let site = self.scenario.topology.site(text).map(Place::Site);
        site.or_else(|| self.host_word(text).map(Place::Host)).or_else(|| {
            item.error(self.unknown_place("place", text, true));
            None
        })
    }

    fn host_word(&self, text: &str) -> Option<HostSelector> {
        match text.strip_prefix("host-of ") {
            Some(process) => self.process_word(process.trim()).map(HostSelector::Of),
            None => self.scenario.topology.host(text).map(HostSelector::Host),
        }
    }

    fn process(&self, item: &Item<'_>) -> Option<ProcessSelector> {
        let text = item.text("a process")?;
        self.process_word(text).or_else(|| {
            item.error(unknown("process", text, &self.process_words()));
            None
        })
    }

    fn process_word(&self, text: &str) -> Option<ProcessSelector> {
        match text {
            "controller" => Some(ProcessSelector::Controller),
            "zk-leader" => Some(ProcessSelector::ZooKeeperLeader),
            _ => match text.strip_prefix("leader-of ") {
                Some(partition) => self.partition(partition.trim()).map(ProcessSelector::LeaderOf),
                None => {
                    let id = self.deployment.named(text)?;
                    Some(match self.deployment.process(id)?.kind {
                        ProcessKind::Broker { broker } => ProcessSelector::Broker(broker),
                        ProcessKind::ZooKeeper { sid } => ProcessSelector::ZooKeeper(sid),
                        _ => ProcessSelector::Process(id),
                    })
                }
            },
        }
    }

    fn partition(&self, text: &str) -> Option<TopicPartition> {
        let (topic, partition) = text.rsplit_once('-')?;
        let partition = TopicPartition { topic: Topic::parse(topic)?, partition: partition.parse().ok()? };
        let workload = &self.scenario.workload;
        (partition.topic.0 < workload.topics && partition.partition < workload.partitions).then_some(partition)
    }

    fn process_words(&self) -> Vec<&str> {
        let roles = ["controller", "zk-leader", "leader-of topic-0-0"];
        self.deployment.processes.iter().map(|process| process.name.as_str()).chain(roles).collect()
    }

    fn unknown_place(&self, what: &str, text: &str, sites: bool) -> String {
        if let Some(process) = text.strip_prefix("host-of ") {
            return unknown("process", process.trim(), &self.process_words());
        }
        let topology = &self.scenario.topology;
        let sites = if sites { topology.sites.as_slice() } else { &[] };
        let mut words: Vec<&str> = sites.iter().map(String::as_str).collect();
        words.extend(topology.hosts.iter().map(|host| host.name.as_str()));
        if self.process_word(text).is_some() {
            return format!("`{text}` is a process; its host is `host-of {text}`");
        }
        unknown(what, text, &words)
    }

    fn chaos(&self, item: &Item<'_>) -> ChaosProfile {
        let default = ChaosProfile::default();
        if matches!(&item.node.value, Value::Scalar(text) if text == "default") {
            self.check_weights(item, &default);
            return default;
        }
        let mut fields = item.fields();
        let spans =
            |item: Item<'_>| item.range(units::SPAN, |text| units::parse_span(text).filter(|span| *span > Span::ZERO));
        let profile = ChaosProfile {
            faults: fields
                .optional("faults")
                .and_then(|item| {
                    item.range(&format!("numbers from 0 to {MAX_FAULTS}"), |text| {
                        text.parse().ok().filter(|n| *n <= MAX_FAULTS)
                    })
                })
                .unwrap_or(default.faults),
            lengths: fields.optional("lengths").and_then(spans).unwrap_or(default.lengths),
            loss: fields
                .optional("loss")
                .and_then(|item| item.range(units::SHARE, units::parse_share))
                .unwrap_or(default.loss),
            delay: fields.optional("delay").and_then(spans).unwrap_or(default.delay),
            disk_latency: fields.optional("disk_latency").and_then(spans).unwrap_or(default.disk_latency),
            weights: fields.optional("weights").map_or(default.weights, |item| read_weights(&item)),
        };
        fields.finish();
        self.check_weights(item, &profile);
        profile
    }

    fn check_weights(&self, item: &Item<'_>, profile: &ChaosProfile) {
        if profile.weights.is_empty() {
            item.error("all weights are 0; at least one kind must be possible");
        }
        if self.scenario.topology.sites.len() < 2 {
            let kinds = profile.weights.iter();
            let impossible: Vec<&str> =
                kinds.filter(|(kind, _)| kind.needs_wan()).map(|(kind, _)| kind.word()).collect();
            if !impossible.is_empty() {
                item.error(format!("{} need two sites; set their weights to 0", impossible.join(", ")));
            }
        }
    }

    pub(super) fn rollback(&self, item: &Item<'_>) -> Rollback {
        let mut fields = item.fields();
        let restart = fields.optional("restart");
        let restart = restart.iter().flat_map(Item::list).filter_map(|process| self.process(&process)).collect();
        fields.finish();
        Rollback { restart }
    }
}

fn read_kind(item: &Item<'_>) -> Option<Kind> {
    let alias = |text: &String| ALIASES.iter().find(|(word, _)| word == text).map(|(_, kind)| *kind);
    match &item.node.value {
        Value::Scalar(text) => alias(text).or_else(|| item.choice(KINDS)),
        _ => item.choice(KINDS),
    }
}

/// How long a process may take to end. It is down before the fault is over in any case.
fn read_grace(fields: &mut Fields<'_>, duration: Span) -> Span {
    let Some(item) = fields.optional("grace") else { return DEFAULT_GRACE.min(duration) };
    let grace = item.span().unwrap_or(duration);
    if grace > duration {
        item.error(format!("must not be longer than the fault itself, {}", show_span(duration)));
    }
    grace
}

/// Kinds that are not named have weight 0.
fn read_weights(item: &Item<'_>) -> Weights {
    let mut fields = item.fields();
    let mut weight = |kind: &ChaosKind| {
        let weight = fields.optional(kind.word()).and_then(|weight| weight.integer(0..=1_000_000));
        (*kind, weight.unwrap_or(0))
    };
    let weights = ChaosKind::ALL.iter().map(&mut weight).collect();
    fields.finish();
    weights
}
