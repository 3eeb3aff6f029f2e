//! How large a case is, in the figures that shrinking is about.

use models::time::Span;
use scenarios::Scenario;

/// The size of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Faults of the schedule.
    pub faults: usize,
    /// Hosts.
    pub hosts: usize,
    /// Brokers.
    pub brokers: usize,
    /// ZooKeeper servers.
    pub zookeepers: usize,
    /// Producers, consumers, and applications with a ZooKeeper session.
    pub clients: usize,
    /// Partitions of all topics.
    pub partitions: u32,
    /// Replicas of each.
    pub replicas: u16,
    /// Records a second.
    pub records_per_second: u32,
    /// The fault phase.
    pub phase: Span,
    /// All durations of faults together.
    pub faulty: Span,
    /// Settings that are not the default.
    pub settings: usize,
}

impl Size {
    /// The size of a scenario.
    pub fn of(scenario: &Scenario) -> Self {
        let workload = &scenario.workload;
        let consumers: usize = workload.consumers.iter().map(|group| usize::from(group.count)).sum();
        let sessions: usize = workload.sessions.iter().map(|group| usize::from(group.count)).sum();
        Self {
            faults: scenario.faults.len(),
            hosts: scenario.topology.hosts.len(),
            brokers: scenario.cluster.kafka.brokers.len(),
            zookeepers: scenario.cluster.zookeeper.servers.len(),
            clients: workload.producer_count() as usize + consumers + sessions,
            partitions: u32::from(workload.topics) * u32::from(workload.partitions),
            replicas: workload.replication_factor,
            records_per_second: workload.records_per_second,
            phase: scenario.phases.faults,
            faulty: scenario.faults.iter().fold(Span::ZERO, |sum, fault| sum + fault.duration),
            settings: scenario.settings().len(),
        }
    }
}
