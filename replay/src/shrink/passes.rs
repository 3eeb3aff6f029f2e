//! What shrinking tries, in the order in which it pays: what makes every later run cheaper comes first.

use models::id::{ProcessId, TopicPartition};
use scenarios::Scenario;
use scenarios::deployment::{Process, ProcessKind};
use scenarios::fault::ProcessSelector;
use scenarios::reduce::{Removal, Setting, round_values};

use super::trial::Spent;
use super::{Minimal, Shrinker, ddmin};
use crate::subject::Subject;

impl<S: Subject + Sync> Shrinker<'_, S> {
    /// Every pass once. True if any found anything.
    pub(super) fn all_passes(&mut self) -> Result<bool, Spent> {
        let before = self.trail.len();
        self.pass("what comes too late", super::times::forget_the_future)?;
        self.pass("traffic", |scenario, _| traffic(scenario))?;
        self.faults()?;
        self.clients()?;
        self.pass("hosts", |scenario, _| hosts(scenario))?;
        self.pass("replicas", |scenario, _| replicas(scenario))?;
        self.settings()?;
        self.pass("horizon", super::times::horizon)?;
        self.pass("simpler faults", |scenario, _| simpler(scenario))?;
        self.durations()?;
        self.pass("earlier faults", |scenario, _| super::times::earlier(scenario))?;
        self.pass("round times", |scenario, _| super::times::rounder(scenario))?;
        self.pass("horizon", super::times::horizon)?;
        Ok(self.trail.len() > before)
    }

    /// Delta debugging over the faults.
    fn faults(&mut self) -> Result<(), Spent> {
        let base = self.current().clone();
        self.minimize("faults", base.faults.clone(), |faults| Scenario { faults: faults.to_vec(), ..base.clone() })
    }

    /// Delta debugging over the settings that are not the default.
    fn settings(&mut self) -> Result<(), Spent> {
        let base = self.current().clone();
        let all = base.settings();
        self.minimize("settings", all.clone(), |kept: &[Setting]| {
            let mut scenario = base.clone();
            all.iter().filter(|setting| !kept.contains(setting)).for_each(|setting| setting.reset(&mut scenario));
            scenario
        })
    }

    /// Delta debugging over the clients.
    fn clients(&mut self) -> Result<(), Spent> {
        let base = self.current().clone();
        let all: Vec<ProcessId> = clients(&base).collect();
        self.minimize("clients", all.clone(), |kept: &[ProcessId]| {
            let gone = all.iter().copied().filter(|client| !kept.contains(client));
            base.without(&Removal { processes: gone.collect(), ..Removal::default() }).unwrap_or_else(|| base.clone())
        })
    }

    fn minimize<T: Clone>(
        &mut self,
        pass: &str,
        mut items: Vec<T>,
        with: impl Fn(&[T]) -> Scenario,
    ) -> Result<(), Spent> {
        ddmin(&mut items, |candidates| {
            let scenarios: Vec<Scenario> = candidates.iter().map(|items| with(items)).collect();
            self.first(pass, &scenarios)
        })
    }

    /// The smallest case without each single fault, host and client, and how many of each there are.
    pub(super) fn single_removals(&self) -> (Minimal, Vec<Scenario>) {
        let scenario = self.current();
        let without_fault = |index| {
            let mut fewer = scenario.clone();
            fewer.faults.remove(index);
            fewer
        };
        let mut all: Vec<Scenario> = (0..scenario.faults.len()).map(without_fault).collect();
        all.extend(hosts(scenario));
        all.extend(clients(scenario).filter_map(|client| scenario.without(&Removal::process(client))));
        let minimal = Minimal {
            faults: scenario.faults.len(),
            hosts: scenario.topology.hosts.len(),
            clients: clients(scenario).count(),
            robustly: self.trials.is_disturbed(),
        };
        (minimal, all)
    }
}

/// Fewer topics, partitions and records; the largest steps first.
fn traffic(scenario: &Scenario) -> Vec<Scenario> {
    let workload = &scenario.workload;
    let with = |topics: u16, partitions: u16, rate: u32| {
        let mut scenario = scenario.clone();
        let workload = &mut scenario.workload;
        (workload.topics, workload.partitions, workload.records_per_second) = (topics, partitions, rate);
        for broker in scenario.cluster.kafka.brokers.iter_mut().filter(|_| scenario.workload.auto_create_topics) {
            broker.config.num_partitions = partitions.into();
        }
        keep_leaders_in_range(&mut scenario);
        scenario
    };
    let (topics, partitions, rate) = (workload.topics, workload.partitions, workload.records_per_second);
    let all = u32::from(topics) * u32::from(partitions);
    let mut forms = vec![with(1, 1, (rate / all.max(1)).clamp(rate.min(10), rate)), with(1, 1, rate)];
    forms.extend(
        [(1, partitions), (topics.div_ceil(2), partitions), (topics.saturating_sub(1).max(1), partitions)]
            .map(|(topics, partitions)| with(topics, partitions, rate)),
    );
    forms.extend([1, partitions.div_ceil(2), partitions.saturating_sub(1).max(1)].map(|p| with(topics, p, rate)));
    let rates = [rate.min(1), rate / 100, rate / 10, rate / 4, rate / 2];
    forms.extend(rates.into_iter().filter(|lower| *lower > 0 && *lower < rate).map(|lower| {
        let round = round_values(lower.into()).first().and_then(|round| u32::try_from(*round).ok());
        with(topics, partitions, round.filter(|round| *round < rate).unwrap_or(lower))
    }));
    if workload.record_size > 1_000 {
        let mut small = scenario.clone();
        small.workload.record_size = 1_000;
        forms.push(small);
    }
    forms
}

/// Roles are of partitions that exist.
fn keep_leaders_in_range(scenario: &mut Scenario) {
    let (topics, partitions) = (scenario.workload.topics, scenario.workload.partitions);
    let fit = |partition: &mut TopicPartition| {
        partition.topic.0 = partition.topic.0.min(topics.saturating_sub(1));
        partition.partition = partition.partition.min(partitions.saturating_sub(1));
    };
    let selectors = scenario.faults.iter_mut().flat_map(|planned| planned.fault.processes_mut());
    for selector in selectors.chain(scenario.rollback.restart.iter_mut()) {
        if let ProcessSelector::LeaderOf(partition) = selector {
            fit(partition);
        }
    }
}

fn clients(scenario: &Scenario) -> impl Iterator<Item = ProcessId> {
    let is_client = |process: &Process| {
        matches!(
            process.kind,
            ProcessKind::Producer { .. } | ProcessKind::Consumer { .. } | ProcessKind::Session { .. }
        )
    };
    scenario.deployment().processes.into_iter().filter(move |process| is_client(process)).map(|process| process.id)
}

/// Without each host. Where brokers become too few, replicas and `min.insync.replicas` fall in the same step; and as another
/// step they fall even if there are enough.
fn hosts(scenario: &Scenario) -> Vec<Scenario> {
    let mut forms = Vec::new();
    for host in scenario.topology.host_ids() {
        let Some(fewer) = scenario.without(&Removal::host(host)) else { continue };
        let lost_a_broker = fewer.cluster.kafka.brokers.len() < scenario.cluster.kafka.brokers.len();
        let lowered = fewer.workload.replication_factor < scenario.workload.replication_factor;
        if lost_a_broker && !lowered {
            forms.extend(fewer.with_fewer_replicas(false));
        }
        forms.push(fewer);
    }
    forms
}

fn replicas(scenario: &Scenario) -> Vec<Scenario> {
    [false, true].into_iter().filter_map(|keep_min_isr| scenario.with_fewer_replicas(keep_min_isr)).collect()
}

/// Each fault in simpler words.
fn simpler(scenario: &Scenario) -> Vec<Scenario> {
    let mut forms = Vec::new();
    for (index, planned) in scenario.faults.iter().enumerate() {
        for fault in planned.fault.simpler(scenario) {
            let mut form = scenario.clone();
            form.faults[index].fault = fault;
            forms.push(form);
        }
    }
    forms
}
