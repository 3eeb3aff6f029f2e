//! Whether a case stands an unrelated change: somebody more in the cluster, with streams of chance of its own.

use models::time::{Instant, Span};
use scenarios::Scenario;
use scenarios::workload::{ClientGroup, SessionConfig};

use super::Shrinker;
use super::trial::Spent;
use crate::subject::Subject;

/// How a case stands disturbances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Robustness {
    /// Of the scenarios of [`disturbed`], whether all break the law.
    pub stands: bool,
    /// With how many other seeds the law breaks, of how many.
    pub seeds: (usize, usize),
}

/// Copies of a scenario that differ in something unrelated: an application more that has a session with ZooKeeper and hardly
/// uses it, and two of them.
pub fn disturbed(scenario: &Scenario) -> Vec<Scenario> {
    let clients = scenario.workload.consumers.iter().map(|group| group.host);
    let clients = clients.chain(scenario.workload.sessions.iter().map(|group| group.host));
    let host = if scenario.cluster.has_kafka() { Some(scenario.workload.admin) } else { clients.min() };
    let Some(host) = host else { return Vec::new() };
    let servers = scenario.cluster.zookeeper.servers.iter().map(|server| server.sid).collect();
    let config =
        SessionConfig { servers, shuffle: true, session_timeout: Span::from_secs(30), pause: Span::from_secs(3_600) };
    let with = |count| {
        let mut scenario = scenario.clone();
        scenario.workload.sessions.push(ClientGroup { host, count, group: None, config: config.clone() });
        scenario
    };
    vec![with(1), with(2)]
}

impl<S: Subject + Sync> Shrinker<'_, S> {
    /// If the smallest case does not stand disturbances, begins anew from the smallest on the way that does. If none does, the
    /// smallest stays as it is.
    pub(super) fn make_robust(&mut self) -> Result<(), Spent> {
        self.trials.also_under(disturbed);
        self.trials.limit = Instant::MAX;
        let smallest_first: Vec<Scenario> = self.trail.iter().rev().map(|(scenario, _)| scenario.clone()).collect();
        let found = self.trials.first(&smallest_first)?;
        if let Some(index) = found.as_ref().map(|found| found.index).filter(|index| *index > 0) {
            self.trail.truncate(self.trail.len() - index);
            self.reach_fixpoint()?;
        }
        self.robustness = Some(Robustness { stands: found.is_some(), ..Robustness::default() });
        Ok(())
    }
}
