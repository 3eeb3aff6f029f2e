//! Whether a case stands an unrelated change: somebody more in the cluster, with streams of chance of its own.

use models::time::Span;
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
    /// If the smallest case does not stand disturbances, begins anew from the smallest on the way that does.
    pub(super) fn make_robust(&mut self) -> Result<(), Spent> {
        self.trials.also_under(disturbed);
        let small = self.trail.len();
        while let Some((scenario, _)) = self.trail.last() {
            let scenario = scenario.clone();
            self.trials.limit = models::time::Instant::MAX;
            if self.trials.first(&[scenario])?.is_some() {
                break;
            }
            self.fragile.push(self.trail.pop().expect("the loop saw a last one"));
        }
        todo!()
    }
}
