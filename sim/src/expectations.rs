//! What a scenario expects, measured: gauges at every instant, totals over the run.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::losses::Losses;
use models::id::ProcessId;
use models::kafka::metrics::{Metric, Together};
use models::laws::{ServiceLevels, StoreSummary};
use models::observation::{Observation, Observed, RemovalReason, ZkRole};
use models::time::{Instant, Span};
use scenarios::Scenario;
use scenarios::expect::{Bound, Expect, Gauge, Total, Unit};

/// What came of one expectation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Met {
    /// The expectation's word in the scenario file, with its section.
    pub name: String,
    /// Whether it holds.
    pub met: bool,
    /// The expectation and what was measured, in words.
    pub what: String,
}

/// Measures what a scenario expects.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    expect: Expect,
    start: Instant,
    serving: Vec<(ProcessId, ZkRole)>,
    /// Names of sites, by id.
    sites: Vec<Arc<str>>,
    /// The sum of ActiveControllerCount that each site's monitor shows.
    seen: BTreeMap<Arc<str>, u64>,
    /// Kept only where metrics are bounded.
    metrics: Option<BTreeMap<(Metric, ProcessId), u64>>,
    /// Per gauge that is watched throughout: its smallest and largest value, and when each was first seen.
    extremes: Vec<[(u64, Instant); 2]>,
    steady: Vec<u64>,
    started: bool,
    quorum: bool,
    totals: Counted,
    store_at_start: StoreSummary,
    last_ok: Option<Instant>,
    longest_outage: Span,
    /// Kept only where losses are bounded.
    losses: Option<Losses>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    controller_changes: u64,
    truncations: u64,
    lossy_restarts: u64,
    ambiguous: u64,
    group_rebalances: u64,
    members_expired: u64,
    quorum_losses: u64,
    zookeeper_elections: u64,
    sent: u64,
    acknowledged: u64,
}

impl Meter {
    /// Measures from `start`, the end of the warm-up, on.
    pub(crate) fn new(scenario: &Scenario, start: Instant) -> Self {
        let expect = scenario.expect.clone();
        let extremes = vec![[(u64::MAX, start), (0, start)]; expect.throughout.len()];
        let losses = expect.permitted_losses.map(|_| Losses::default());
        let bounded = [&expect.steady_state, &expect.throughout, &expect.at_end];
        let metrics = bounded.into_iter().flatten().any(|(gauge, _)| matches!(gauge, Gauge::Metric(_)));
        Self {
            expect,
            losses,
            start,
            serving: Vec::new(),
            sites: scenario.topology.sites.iter().map(|site| site.as_str().into()).collect(),
            seen: BTreeMap::new(),
            metrics: metrics.then(BTreeMap::new),
            extremes,
            steady: Vec::new(),
            started: false,
            quorum: false,
            totals: Counted::default(),
            store_at_start: StoreSummary::default(),
            last_ok: None,
            longest_outage: Span::ZERO,
        }
    }

    /// Takes an observation, after the judge has.
    pub(crate) fn observe(&mut self, seen: &Observed, controllers: usize, store: &StoreSummary) {
        if let Some(losses) = &mut self.losses {
            losses.observe(seen);
        }
        if is_of_a_record(&seen.what) {
            return;
        }
        self.follow_servers(seen);
        self.follow_metrics(seen);
        if self.started {
            self.count(seen);
            if changes_a_gauge(&seen.what) || self.metrics.is_some() && matches!(seen.what, Observation::Metric { .. })
            {
                self.look(seen.at, controllers, store);
            }
        }
    }

    /// The warm-up is over.
    pub(crate) fn faults_begin(&mut self, controllers: usize, store: &StoreSummary) {
        self.started = true;
        self.store_at_start = *store;
        self.last_ok = Some(self.start);
        self.steady = self.expect.steady_state.iter().map(|(g, _)| self.gauge(*g, controllers, store)).collect();
        self.look(self.start, controllers, store);
    }

    /// What came of every expectation.
    pub(crate) fn finish(
        mut self,
        now: Instant,
        controllers: usize,
        store: &StoreSummary,
        recovery: Option<Span>,
        service: &ServiceLevels,
    ) -> Vec<Met> {
        self.outage_until(now);
        let mut all = Vec::new();
        for ((gauge, bound), value) in self.expect.steady_state.iter().zip(&self.steady) {
            all.push(met("steady_state", &self.name(*gauge), *bound, gauge.unit(), *value, "at the end of start-up"));
        }
        for ((gauge, bound), [low, high]) in self.expect.throughout.iter().zip(&self.extremes) {
            let (value, at) = if bound.holds(low.0) { *high } else { *low };
            let when =
                format!("from {} to {} throughout, this value first {} after start-up", low.0, high.0, at - self.start);
            all.push(met("throughout", &self.name(*gauge), *bound, gauge.unit(), value, &when));
        }
        for (gauge, bound) in &self.expect.at_end {
            let value = self.gauge(*gauge, controllers, store);
            all.push(met("at_end", &self.name(*gauge), *bound, gauge.unit(), value, "at the end"));
        }
        for (total, bound) in &self.expect.totals {
            let value = self.total(*total, store, recovery, service);
            all.push(met("totals", total.word(), *bound, total.unit(), value, "over the run"));
        }
        if let Some((most, losses)) = self.expect.permitted_losses.zip(self.losses.as_ref()) {
            let bound = Bound { min: 0, max: most };
            let unit = Unit::Count;
            all.push(met(
                "expect",
                "permitted_losses",
                bound,
                unit,
                losses.count(),
                "acknowledged records that the last leaders lack",
            ));
        }
        all
    }

    fn follow_servers(&mut self, seen: &Observed) {
        match &seen.what {
            Observation::ZkRole { role, .. } => {
                self.serving.retain(|(process, _)| *process != seen.process);
                if matches!(role, ZkRole::Leading | ZkRole::Following) {
                    self.serving.push((seen.process, *role));
                }
            }
            Observation::Down { .. } => self.serving.retain(|(process, _)| *process != seen.process),
            _ => return,
        }
        let quorum = self.serving.iter().any(|(_, role)| *role == ZkRole::Leading);
        self.totals.quorum_losses += u64::from(self.started && self.quorum && !quorum);
        self.quorum = quorum;
    }

    fn follow_metrics(&mut self, seen: &Observed) {
        match &seen.what {
            Observation::ControllersSeen { site, sum, .. } => {
                self.seen.insert(site.clone(), (*sum).into());
            }
            Observation::Metric { metric, value, .. } => {
                if let Some(metrics) = &mut self.metrics {
                    metrics.insert((*metric, seen.process), *value);
                }
            }
            Observation::Down { .. } => {
                if let Some(metrics) = &mut self.metrics {
                    metrics.retain(|(_, process), _| *process != seen.process);
                }
            }
            _ => {}
        }
    }

    fn count(&mut self, seen: &Observed) {
        match &seen.what {
            Observation::Send { .. } => self.totals.sent += 1,
            Observation::SendOk { .. } => {
                self.totals.acknowledged += 1;
                self.outage_until(seen.at);
            }
            Observation::SendUnknown { .. } => self.totals.ambiguous += 1,
            Observation::GroupAssigned { .. } => self.totals.group_rebalances += 1,
            Observation::MemberRemoved { reason: RemovalReason::SessionTimeout, .. } => {
                self.totals.members_expired += 1;
            }
            Observation::ControllerBegin { .. } => self.totals.controller_changes += 1,
            Observation::Truncate { from, to, .. } => self.totals.truncations += u64::from(from > to),
            Observation::Down { lossy, .. } => self.totals.lossy_restarts += u64::from(*lossy),
            Observation::ZkRole { role: ZkRole::Leading, .. } => self.totals.zookeeper_elections += 1,
            _ => {}
        }
    }

    fn outage_until(&mut self, at: Instant) {
        if let Some(last) = self.last_ok.replace(at) {
            self.longest_outage = self.longest_outage.max(at - last);
        }
    }

    fn look(&mut self, at: Instant, controllers: usize, store: &StoreSummary) {
        for index in 0..self.expect.throughout.len() {
            let value = self.gauge(self.expect.throughout[index].0, controllers, store);
            let [low, high] = &mut self.extremes[index];
            if value < low.0 {
                *low = (value, at);
            }
            if value > high.0 {
                *high = (value, at);
            }
        }
    }

    fn gauge(&self, gauge: Gauge, controllers: usize, store: &StoreSummary) -> u64 {
        let leading = |(_, role): &&(ProcessId, ZkRole)| *role == ZkRole::Leading;
        match gauge {
            Gauge::Controllers => controllers as u64,
            Gauge::Brokers => store.registered,
            Gauge::ZooKeeperLeaders => self.serving.iter().filter(leading).count() as u64,
            Gauge::ZooKeeperServing => self.serving.len() as u64,
            Gauge::UnderReplicated => store.under_replicated,
            Gauge::Offline => store.offline,
            Gauge::ControllersSeenFrom(site) => self.seen.get(&self.sites[usize::from(site.0)]).copied().unwrap_or(0),
            Gauge::Metric(metric) => {
                let all = self.metrics.iter().flatten().filter(|((of, _), _)| *of == metric).map(|(_, value)| *value);
                match metric.together() {
                    Together::Sum => all.sum(),
                    Together::Max => all.max().unwrap_or(0),
                }
            }
        }
    }

    /// What a gauge is called in the report.
    fn name(&self, gauge: Gauge) -> String {
        match gauge {
            Gauge::ControllersSeenFrom(site) => format!("{gauge}.{}", self.sites[usize::from(site.0)]),
            Gauge::Metric(metric) => format!("{gauge}.{}", metric.word()),
            _ => gauge.word().to_owned(),
        }
    }

    fn total(&self, total: Total, store: &StoreSummary, recovery: Option<Span>, service: &ServiceLevels) -> u64 {
        let counted = &self.totals;
        match total {
            Total::ControllerChanges => counted.controller_changes,
            Total::SessionsExpired => store.sessions_expired - self.store_at_start.sessions_expired,
            Total::Registrations => store.registrations - self.store_at_start.registrations,
            Total::LeaderElections => store.leader_changes - self.store_at_start.leader_changes,
            Total::IsrShrinks => store.isr_shrinks - self.store_at_start.isr_shrinks,
            Total::Truncations => counted.truncations,
            Total::LossyRestarts => counted.lossy_restarts,
            Total::AmbiguousWrites => counted.ambiguous,
            Total::GroupRebalances => counted.group_rebalances,
            Total::MembersExpired => counted.members_expired,
            Total::QuorumLosses => counted.quorum_losses,
            Total::ZooKeeperElections => counted.zookeeper_elections,
            Total::LongestOutage => self.longest_outage.as_ns(),
            Total::DetectTime => service.detect.map_or(u64::MAX, Span::as_ns),
            Total::FailoverTime if service.never_recovered > 0 => u64::MAX,
            Total::FailoverTime => service.failover_max.as_ns(),
            Total::Unavailability => service.unavailable_max.as_ns(),
            Total::ReplicationLag => service.replication_lag.as_ns(),
            Total::UnderReplicatedTime => service.under_replicated.as_ns(),
            Total::UnderMinIsrTime => service.under_min_isr.as_ns(),
            Total::StaleRead => service.stale_read_max.as_ns(),
            Total::Recovery => recovery.map_or(u64::MAX, Span::as_ns),
            Total::Acknowledged => (counted.acknowledged * 1_000_000).checked_div(counted.sent).unwrap_or(0),
        }
    }
}

fn met(section: &str, word: &str, bound: Bound, unit: Unit, value: u64, when: &str) -> Met {
    let shown = match unit {
        _ if value == u64::MAX => "never".to_owned(),
        Unit::Span => Span::from_ns(value).to_string(),
        Unit::Count | Unit::Share => unit.show(value),
    };
    Met {
        name: format!("{section}.{word}"),
        met: bound.holds(value),
        what: format!("{section}: {word} {}; measured {shown} ({when})", bound.text(unit)),
    }
}

/// Two thirds of all observations are; no expectation counts them.
fn is_of_a_record(what: &Observation) -> bool {
    matches!(
        what,
        Observation::Append { .. }
            | Observation::HighWatermark { .. }
            | Observation::Acknowledge { .. }
            | Observation::Poll { .. }
    )
}

fn changes_a_gauge(what: &Observation) -> bool {
    matches!(
        what,
        Observation::ActiveController { .. }
            | Observation::ZkRole { .. }
            | Observation::ZkApply { .. }
            | Observation::ZkCommit { .. }
            | Observation::Up
            | Observation::Down { .. }
            | Observation::ControllersSeen { .. }
    )
}
