//! What a monitor on each site sees of the brokers: scrapes, computed from the rules in force, without traffic.
//!
//! Each broker has its own moment within the interval, drawn once, as Prometheus spreads its targets. A scrape that finds no
//! way, or nobody at work, is tried again as the kernel repeats a SYN, until its timeout; then the broker's series ends (the
//! staleness marker) until a scrape succeeds again. In between a series keeps its last value.

use std::collections::BTreeSet;
use std::sync::Arc;

use models::id::{HostId, ProcessId};
use models::node::Node;
use models::observation::Observation;
use models::random::{Purpose, Random, named, together};
use models::time::{Instant, Span};
use scenarios::Scenario;
use scenarios::deployment::Deployment;

use crate::kernel::Simulation;

/// All monitors.
#[derive(Clone, Debug)]
pub(crate) struct Monitors {
    interval: Span,
    timeout: Span,
    /// Until the first repetition of an attempt; every further one takes twice as long.
    retry: Span,
    monitors: Vec<Monitor>,
    targets: Vec<Target>,
    /// When which target is to be looked at.
    steps: BTreeSet<(Instant, usize)>,
}

#[derive(Clone, Debug)]
struct Monitor {
    site: Arc<str>,
    host: HostId,
    /// The sum that it shows and how many brokers are in it, as last reported.
    shown: Option<(u32, u32)>,
}

/// A broker as one monitor scrapes it.
#[derive(Clone, Debug)]
struct Target {
    monitor: usize,
    broker: ProcessId,
    /// The scrape in progress.
    scrape: Option<Scrape>,
    /// The newest value of ActiveControllerCount, unless the last scrape failed.
    value: Option<bool>,
}

#[derive(Clone, Copy, Debug)]
struct Scrape {
    began: Instant,
    wait: Span,
}

impl Monitors {
    /// The monitors of a scenario before their first scrape.
    pub(crate) fn new(scenario: &Scenario, deployment: &Deployment, seed: u64) -> Self {
        let monitors: Vec<_> = scenario
            .monitors()
            .into_iter()
            .map(|(site, host)| Monitor { site: scenario.topology.site_name(site).into(), host, shown: None })
            .collect();
        let interval = scenario.monitoring.interval;
        let mut all = Self {
            interval,
            timeout: scenario.monitoring.timeout,
            retry: scenario.tcp.rto_initial.max(Span::from_ms(1)),
            monitors,
            targets: Vec::new(),
            steps: BTreeSet::new(),
        };
        for (monitor, Monitor { host, .. }) in all.monitors.iter().enumerate() {
            for (_, broker) in deployment.brokers() {
                let entity = together(&[named(scenario.topology.host_name(*host)), named(deployment.name(broker))]);
                let offset = Random::new(seed, Purpose::Monitor, entity).below(interval.as_ns().max(1));
                all.steps.insert((Instant::ZERO + Span::from_ns(offset), all.targets.len()));
                all.targets.push(Target { monitor, broker, scrape: None, value: None });
            }
        }
        all
    }

    /// When a scrape next begins, is repeated or times out.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.steps.first().map(|(at, _)| *at)
    }

    /// Does what is due by now.
    pub(crate) fn act(&mut self, sim: &mut Simulation<Node>) {
        while let Some(&(at, index)) = self.steps.first()
            && at <= sim.now()
        {
            self.steps.pop_first();
            let next = self.look(index, at, sim);
            self.steps.insert((next, index));
            self.show(self.targets[index].monitor, sim);
        }
    }

    /// One attempt. Returns when the target is to be looked at again.
    fn look(&mut self, index: usize, at: Instant, sim: &Simulation<Node>) -> Instant {
        let target = &mut self.targets[index];
        let host = self.monitors[target.monitor].host;
        let scrape = target.scrape.take().unwrap_or(Scrape { began: at, wait: self.retry });
        let deadline = scrape.began + self.timeout;
        let answer = if at < deadline { ask(sim, host, target.broker) } else { None };
        if answer.is_some() || at >= deadline {
            target.value = answer;
            return scrape.began + self.interval;
        }
        target.scrape = Some(Scrape { wait: scrape.wait * 2, ..scrape });
        (at + scrape.wait).min(deadline)
    }

    fn show(&mut self, monitor: usize, sim: &mut Simulation<Node>) {
        let values = self.targets.iter().filter(|target| target.monitor == monitor).filter_map(|target| target.value);
        let (sum, reached) = values.fold((0, 0), |(sum, reached), active| (sum + u32::from(active), reached + 1));
        let monitor = &mut self.monitors[monitor];
        if monitor.shown.replace((sum, reached)) != Some((sum, reached)) {
            sim.observe(ProcessId(0), Observation::ControllersSeen { site: monitor.site.clone(), sum, reached });
        }
    }
}

/// ActiveControllerCount of a broker, if it can answer a scrape from `monitor` now: there is a way there and back, and the
/// process runs and does not stand still.
fn ask(sim: &Simulation<Node>, monitor: HostId, broker: ProcessId) -> Option<bool> {
    let host = sim.host_of(broker);
    let can_answer = sim.is_host_up(monitor) && sim.is_up(broker) && !sim.is_paused(broker);
    if !can_answer || !sim.is_open(monitor, host) || !sim.is_open(host, monitor) {
        return None;
    }
    match sim.process(broker) {
        Node::Broker(broker) => Some(broker.is_active_controller()),
        _ => None,
    }
}
