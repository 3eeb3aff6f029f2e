//! What the judge is told of a deployment before it sees the first observation.

use super::ledger::Law;
use crate::id::{BrokerId, Group, HostId, ProcessId, Sid, Topic, TopicPartition};
use crate::kafka::config::Acks;
use crate::time::{Instant, Span};

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessKind {
    /// A ZooKeeper server.
    ZooKeeper(Sid),
    /// A broker.
    Broker(BrokerId),
    /// A producer.
    Producer,
    /// A consumer.
    Consumer,
    /// The admin client.
    Admin,
    /// An application with a ZooKeeper session.
    Session,
}

/// A process of the deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessFacts {
    /// What it is.
    pub kind: ProcessKind,
    /// Where it runs.
    pub host: HostId,
    /// Whether the scenario wants it running when the faults are over.
    pub wanted: bool,
}

/// A partition of the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionFacts {
    /// Which.
    pub partition: TopicPartition,
    /// How many replicas it has.
    pub replication_factor: u32,
}

/// A consumer group of the workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupFacts {
    /// Its name.
    pub group: Group,
    /// Its members' processes.
    pub members: Vec<ProcessId>,
    /// `session.timeout.ms`, the largest.
    pub session_timeout: Span,
    /// `max.poll.interval.ms`, the largest: how long a rebalance may wait for members.
    pub rebalance_timeout: Span,
}

/// The settings that decide what is promised, and how long recovery may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Every process, by [`ProcessId`].
    pub processes: Vec<ProcessFacts>,
    /// The partitions to judge, those of the brokers' own topics included; observations of others are passed over.
    pub partitions: Vec<PartitionFacts>,
    /// The consumer groups.
    pub groups: Vec<GroupFacts>,
    /// `offsets.topic.num.partitions`.
    pub offsets_partitions: u32,
    /// Brokers whose `inter.broker.protocol.version` is older than 2.7-IV2: where they lead, they write the ISR to ZooKeeper
    /// themselves, and no controller looks at who joins it (KIP-497).
    pub isr_writers: Vec<BrokerId>,
    /// `min.insync.replicas`.
    pub min_isr: u32,
    /// `unclean.leader.election.enable`.
    pub unclean_election: bool,
    /// `replica.lag.time.max.ms`.
    pub replica_lag: Span,
    /// The negotiated ZooKeeper session timeout of the brokers.
    pub session_timeout: Span,
    /// `tickTime`.
    pub tick: Span,
    /// `initLimit`, in ticks.
    pub init_limit: u32,
    /// `syncLimit`, in ticks.
    pub sync_limit: u32,
    /// `forceSync` of every ZooKeeper server.
    pub force_sync: bool,
    /// What the producers ask for.
    pub acks: Acks,
    /// `enable.idempotence`.
    pub idempotence: bool,
    /// How long a record's fate may be open: `max.block.ms` and `delivery.timeout.ms` together.
    pub delivery: Span,
    /// The longest time between two sends to one partition while all is well; `None` if nobody sends.
    pub produce_interval: Option<Span>,
    /// Whether the workload keeps asking the controller for something that makes it write to ZooKeeper. Without such a
    /// probe, "has acted since" cannot be demanded of a controller, nor "a write succeeded" of ZooKeeper.
    pub controller_probe: bool,
    /// Whether clients of ZooKeeper's own keep writing to it: then "a write succeeded" can be demanded of it.
    pub zookeeper_probe: bool,
    /// Laws that are known to be broken: that is counted, and fails nothing.
    pub known_breaches: Vec<Law>,
    /// When start-up is over: coverage and controller counts begin.
    pub start: Instant,
}

impl Facts {
    /// What is known of a group.
    pub(super) fn group(&self, group: &Group) -> Option<&GroupFacts> {
        self.groups.iter().find(|facts| facts.group == *group)
    }

    /// Where a group's offsets are kept.
    pub(super) fn offsets_partition(&self, group: &Group) -> Option<TopicPartition> {
        self.group(group).map(|facts| crate::kafka::group::offsets_partition(&facts.group, self.offsets_partitions))
    }
}

/// Dense numbers for brokers, servers and partitions.
#[derive(Clone, Debug)]
pub(super) struct Roster {
    pub(super) facts: Facts,
    /// Brokers in the order of their processes.
    pub(super) brokers: Vec<(BrokerId, ProcessId)>,
    /// ZooKeeper servers in the order of their processes.
    pub(super) servers: Vec<(Sid, ProcessId)>,
    /// Per process its number among brokers or servers.
    numbers: Vec<Option<u16>>,
    /// Per topic and partition number the dense number.
    partitions: Vec<Vec<Option<u32>>>,
    /// The same for the brokers' own topics, whose numbers are large.
    internal: Vec<Vec<Option<u32>>>,
}

impl Roster {
    pub(super) fn new(facts: Facts) -> Self {
        let (mut brokers, mut servers) = (Vec::new(), Vec::new());
        let mut numbers = Vec::with_capacity(facts.processes.len());
        for (index, process) in facts.processes.iter().enumerate() {
            let id = ProcessId(index as u16);
            numbers.push(match process.kind {
                ProcessKind::Broker(broker) => {
                    brokers.push((broker, id));
                    Some(brokers.len() as u16 - 1)
                }
                ProcessKind::ZooKeeper(sid) => {
                    servers.push((sid, id));
                    Some(servers.len() as u16 - 1)
                }
                ProcessKind::Producer | ProcessKind::Consumer | ProcessKind::Admin | ProcessKind::Session => None,
            });
        }
        let (mut partitions, mut internal) = (Vec::<Vec<Option<u32>>>::new(), Vec::<Vec<Option<u32>>>::new());
        for (index, PartitionFacts { partition, .. }) in facts.partitions.iter().enumerate() {
            let number = usize::from(partition.partition);
            let (topics, topic) = match partition.topic.0.checked_sub(Topic::FIRST_INTERNAL) {
                None => (&mut partitions, usize::from(partition.topic.0)),
                Some(topic) => (&mut internal, usize::from(topic)),
            };
            topics.resize_with(topics.len().max(topic + 1), Vec::new);
            let numbers = &mut topics[topic];
            numbers.resize(numbers.len().max(number + 1), None);
            numbers[number] = Some(index as u32);
        }
        Self { facts, brokers, servers, numbers, partitions, internal }
    }

    /// The number of the broker that runs as `process`.
    pub(super) fn broker(&self, process: ProcessId) -> Option<usize> {
        let index = usize::from(process.0);
        matches!(self.facts.processes.get(index)?.kind, ProcessKind::Broker(_))
            .then(|| self.numbers[index])?
            .map(usize::from)
    }

    /// The number of the ZooKeeper server that runs as `process`.
    pub(super) fn server(&self, process: ProcessId) -> Option<usize> {
        let index = usize::from(process.0);
        matches!(self.facts.processes.get(index)?.kind, ProcessKind::ZooKeeper(_))
            .then(|| self.numbers[index])?
            .map(usize::from)
    }

    /// The number of the broker with this id. There are few: a scan beats a map.
    pub(super) fn broker_number(&self, id: BrokerId) -> Option<usize> {
        self.brokers.iter().position(|(broker, _)| *broker == id)
    }

    /// The number of a partition.
    pub(super) fn partition(&self, partition: TopicPartition) -> Option<usize> {
        let numbers = match partition.topic.0.checked_sub(Topic::FIRST_INTERNAL) {
            None => self.partitions.get(usize::from(partition.topic.0))?,
            Some(topic) => self.internal.get(usize::from(topic))?,
        };
        numbers.get(usize::from(partition.partition)).copied().flatten().map(|number| number as usize)
    }

    /// The name of partition number `index`.
    pub(super) fn name(&self, index: usize) -> TopicPartition {
        self.facts.partitions[index].partition
    }

    /// Whether the scenario wants `process` running in the end.
    pub(super) fn wanted(&self, process: ProcessId) -> bool {
        self.facts.processes.get(usize::from(process.0)).is_some_and(|process| process.wanted)
    }
}

#[test]
fn every_partition_has_a_number_of_its_own_however_many_there_are() {
    let all =
        (0..300).flat_map(|topic| (0..300).map(move |partition| TopicPartition { topic: Topic(topic), partition }));
    let partitions = all.map(|partition| PartitionFacts { partition, replication_factor: 3 }).collect();
    let roster = Roster::new(Facts { partitions, ..super::tests::history::facts() });
    for (number, PartitionFacts { partition, .. }) in roster.facts.partitions.iter().enumerate() {
        assert_eq!(roster.partition(*partition), Some(number));
    }
}
