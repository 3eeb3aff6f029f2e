//! Feeds observations to the laws and the scenario's expectations, and says what they came to.

use std::collections::BTreeMap;

use models::id::{BrokerId, Group, Topic, TopicPartition};
use models::kafka::config::{Acks, ConsumerConfig, ProducerConfig};
use models::laws::{
    Coverage, Facts, GroupFacts, Judge, LawReport, Outcome, PartitionFacts, ProcessFacts, ProcessKind as Kind,
    ServiceLevels, Violation,
};
use models::observation::{Observation, Observed};
use models::time::{Instant, Span};
use scenarios::Scenario;
use scenarios::cluster::Broker;
use scenarios::deployment::{Deployment, Process, ProcessKind};

use crate::deploy;
use crate::expectations::{Met, Meter};

/// Laws, expectations, and the little that the run itself has to know.
#[derive(Clone, Debug)]
pub struct Jury {
    judge: Judge,
    meter: Meter,
    hold: Span,
    limit: Option<Span>,
    quiet: Option<Instant>,
    /// Since when every liveness law has held.
    held_since: Option<Instant>,
    /// Offset after the last acknowledged record.
    acknowledged: BTreeMap<TopicPartition, u64>,
}

/// What laws and expectations came to.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// One a law.
    pub reports: Vec<LawReport>,
    /// One an expectation.
    pub expectations: Vec<Met>,
    /// Time with none, one, and several active controllers, from the end of the warm-up.
    pub controllers: [Span; 3],
    /// The sum of ActiveControllerCount at the end.
    pub controllers_at_end: usize,
    /// From the last heal until all liveness laws held; `None` if they never did.
    pub recovery: Option<Span>,
    /// What the run met.
    pub coverage: Coverage,
    /// Service levels, in numbers.
    pub service: ServiceLevels,
}

impl Judgement {
    /// The laws that were broken, by name.
    pub fn broken(&self) -> impl Iterator<Item = (&'static str, &Violation)> {
        self.reports.iter().filter_map(|report| match &report.outcome {
            Outcome::Broken(violation) => Some((report.name, violation)),
            _ => None,
        })
    }

    /// Whether nothing was broken.
    pub fn is_clean(&self) -> bool {
        self.broken().next().is_none() && self.expectations.iter().all(|met| met.met)
    }

    /// What was broken first: the law with its moment and what happened, or else the first expectation that was not met, at
    /// the end of the run.
    pub fn first_broken(&self, ended: Instant) -> Option<(String, Instant, String)> {
        if let Some((name, violation)) = self.broken().min_by_key(|(_, violation)| violation.at) {
            return Some((name.to_owned(), violation.at, violation.what.clone()));
        }
        self.expectations.iter().find(|met| !met.met).map(|met| (met.name.clone(), ended, met.what.clone()))
    }
}

impl Jury {
    /// A jury for a scenario whose warm-up ends at `start`.
    pub fn new(scenario: &Scenario, deployment: &Deployment, start: Instant) -> Self {
        Self {
            judge: Judge::new(facts(scenario, deployment, start)),
            meter: Meter::new(scenario, start),
            hold: scenario.phases.quiet_hold,
            limit: scenario.phases.quiet_limit,
            quiet: None,
            held_since: None,
            acknowledged: BTreeMap::new(),
        }
    }

    /// Takes an observation.
    pub fn observe(&mut self, seen: &Observed) {
        self.judge.observe(seen);
        self.meter.observe(seen, self.judge.controller_count().sum(), self.judge.store_summary());
        if let Observation::SendOk { partition, offset: Some(offset), .. } = seen.what {
            let end = self.acknowledged.entry(partition).or_default();
            *end = (*end).max(offset + 1);
        }
    }

    /// The warm-up is over.
    pub fn faults_begin(&mut self, _now: Instant) {
        self.meter.faults_begin(self.judge.controller_count().sum(), self.judge.store_summary());
    }

    /// All faults are off.
    pub fn quiet_begins(&mut self, now: Instant) {
        self.quiet = Some(now);
        self.judge.quiet_begins(now);
    }

    /// The producers send no more.
    pub fn producers_stop(&mut self, now: Instant) {
        self.judge.producers_stop(now);
    }

    /// Looks at the liveness laws. True if all have held for long enough, or the deadline has passed.
    pub fn is_settled(&mut self, now: Instant) -> bool {
        let Some(quiet) = self.quiet else { return false };
        if self.judge.unmet(now).is_empty() {
            let since = *self.held_since.get_or_insert(now);
            if now - since >= self.hold {
                return true;
            }
        } else {
            self.held_since = None;
        }
        let by_laws = self.judge.deadline().unwrap_or(Instant::MAX);
        let deadline = self.limit.map_or(by_laws, |limit| (quiet + limit).min(by_laws));
        // What began to hold just before the deadline is given the time to show that it stays.
        self.held_since.is_none() && now > deadline
    }

    /// Whether a law is broken already.
    pub fn is_broken(&self) -> bool {
        self.judge.first_violation().is_some()
    }

    /// The offset after a partition's last acknowledged record.
    pub fn acknowledged_end(&self, partition: TopicPartition) -> u64 {
        self.acknowledged.get(&partition).copied().unwrap_or(0)
    }

    /// What it all came to. `ended_early` if the run broke off, so that nothing can be said of what would have come.
    pub fn finish(self, now: Instant, ended_early: bool) -> Judgement {
        let recovery = self.quiet.zip(self.held_since).map(|(quiet, held)| held - quiet);
        let (whole, _) = self.judge.controller_count().times(now);
        let controllers = self.judge.controller_count().sum();
        let store = *self.judge.store_summary();
        let coverage = self.judge.coverage();
        let service = self.judge.service_levels(now);
        let reports = self.judge.finish(now);
        let expectations = match ended_early {
            true => Vec::new(),
            false => self.meter.finish(now, controllers, &store, recovery, &service),
        };
        Judgement {
            reports,
            expectations,
            controllers: [whole.none, whole.one, whole.several],
            controllers_at_end: controllers,
            recovery,
            coverage,
            service,
        }
    }
}

/// `min.insync.replicas` of the cluster: the smallest, if brokers differ.
pub fn min_isr(scenario: &Scenario) -> u32 {
    scenario.cluster.kafka.brokers.iter().map(|b| b.config.min_insync_replicas).min().unwrap_or(1)
}

/// The producers' `acks`: the weakest, if they differ.
pub fn acks(scenario: &Scenario) -> Acks {
    scenario.workload.producers.iter().map(|group| group.config.acks).min().unwrap_or(Acks::All)
}

/// The producers' `acks` as it is written.
pub fn acks_word(scenario: &Scenario) -> String {
    models::options::OptionValue::show(&acks(scenario))
}

fn facts(scenario: &Scenario, deployment: &Deployment, start: Instant) -> Facts {
    let zookeeper = &scenario.cluster.zookeeper.config;
    let brokers = &scenario.cluster.kafka.brokers;
    let workload = &scenario.workload;
    let processes = deployment.processes.iter().map(|process| ProcessFacts {
        kind: match &process.kind {
            ProcessKind::ZooKeeper { sid } => Kind::ZooKeeper(*sid),
            ProcessKind::Broker { broker } => Kind::Broker(*broker),
            ProcessKind::Admin => Kind::Admin,
            ProcessKind::Producer { .. } => Kind::Producer,
            ProcessKind::Consumer { .. } => Kind::Consumer,
            ProcessKind::Session { .. } => Kind::Session,
        },
        host: process.host,
        wanted: true,
    });
    let replication_factor = u32::from(workload.replication_factor);
    let partitions = workload.all_partitions().map(|partition| PartitionFacts { partition, replication_factor });
    let offsets_partitions = brokers.first().map_or(1, |b| b.config.offsets_topic_num_partitions);
    let offsets_factor = brokers.first().map_or(1, |b| b.config.offsets_topic_replication_factor);
    // Where there is no group, nobody creates the topic.
    let count = if workload.groups().is_empty() { 0 } else { offsets_partitions as u16 };
    let offsets = (0..count).map(|partition| PartitionFacts {
        partition: TopicPartition { topic: Topic::CONSUMER_OFFSETS, partition },
        replication_factor: offsets_factor,
    });
    let lag = brokers.iter().map(|b| b.config.replica_lag_time_max_ms).max().unwrap_or(30_000);
    let sessions = workload.sessions.iter().map(|group| group.config.session_timeout);
    let session = brokers.iter().map(|b| b.config.zookeeper_session_timeout()).chain(sessions).max();
    let session = session.unwrap_or(Span::from_secs(18));
    let partition_count = u64::from(workload.topics) * u64::from(workload.partitions);
    let producers = workload.producer_count();
    Facts {
        processes: processes.collect(),
        partitions: partitions.chain(offsets).collect(),
        groups: groups(scenario, deployment),
        offsets_partitions,
        isr_writers: isr_writers(scenario),
        min_isr: min_isr(scenario),
        unclean_election: brokers.iter().any(|b| b.config.unclean_leader_election_enable),
        replica_lag: Span::from_ms(lag.into()),
        session_timeout: zookeeper.negotiate(session),
        tick: zookeeper.tick(),
        init_limit: zookeeper.init_limit,
        sync_limit: zookeeper.sync_limit,
        force_sync: zookeeper.force_sync.0,
        acks: acks(scenario),
        idempotence: workload.producers.iter().all(|group| group.config.enable_idempotence),
        delivery: workload.producers.iter().map(|group| delivery(&group.config)).max().unwrap_or(Span::MAX),
        produce_interval: (producers > 0)
            .then(|| deploy::interval(workload.records_per_second, producers) * partition_count),
        controller_probe: false,
        zookeeper_probe: !workload.sessions.is_empty(),
        known_breaches: scenario.expect.known_breaches.clone(),
        start,
    }
}

/// Brokers whose protocol has leaders write the ISR to ZooKeeper.
fn isr_writers(scenario: &Scenario) -> Vec<BrokerId> {
    let kafka = &scenario.cluster.kafka;
    let writes = |broker: &&Broker| !broker.config.rules(kafka.defects).0.has_alter_partition();
    kafka.brokers.iter().filter(writes).map(|broker| broker.id).collect()
}

fn groups(scenario: &Scenario, deployment: &Deployment) -> Vec<GroupFacts> {
    let facts = |name: Group| {
        let entries = scenario.workload.consumers.iter().filter(|entry| entry.group.as_ref() == Some(&name));
        let longest = |option: fn(&ConsumerConfig) -> u32| {
            let values = entries.clone().map(|entry| option(&entry.config));
            Span::from_ms(values.max().unwrap_or(0).into())
        };
        let is_member = |process: &&Process| matches!(&process.kind, ProcessKind::Consumer { group: Some(group), .. } if *group == name);
        GroupFacts {
            members: deployment.processes.iter().filter(is_member).map(|process| process.id).collect(),
            session_timeout: longest(|config| config.session_timeout_ms),
            rebalance_timeout: longest(|config| config.max_poll_interval_ms),
            group: name,
        }
    };
    scenario.workload.groups().into_iter().map(facts).collect()
}

/// How long a producer may leave the fate of a record open: blocked in `send()`, then on its way.
fn delivery(config: &ProducerConfig) -> Span {
    Span::from_ms(config.max_block_ms.into()) + Span::from_ms(config.delivery_timeout_ms.into())
}
