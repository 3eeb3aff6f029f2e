//! `onControllerFailover`: what a broker does when it has just been elected, one ZooKeeper round trip after another.
//!
//! Left out, since nothing in the model uses them: the watches on deletions, reassignments and legacy
//! elections (their nodes are read or purged all the same), topic ids, and the wait for the local feature cache.

use super::KafkaController;
use super::broker_changes::BrokersFor;
use super::life_cycle::unexpected;
use super::thread::{Call, Failure, Io, Results, Then};
use crate::defect::Defect;
use crate::id::{BrokerId, Topic, TopicPartition};
use crate::kafka::znode::{self, PartitionStateZnode, TopicZnode};
use crate::observation::Observation;
use crate::time::Span;
use crate::zk::protocol::{ANY_VERSION, CreateMode, Data, Op, OpResult, Path, ZkError};

/// A round trip of the failover, in order.
#[derive(Clone, Debug, Hash)]
pub(super) enum FailoverStep {
    Feature,
    FeatureCreate,
    PreferredElectionExists,
    ReassignmentExists,
    /// 0: log dir events, 1: ISR changes.
    Notifications(u8),
    NotificationsPurge(u8, Vec<Path>),
    Topics,
    Assignments(Vec<Topic>),
    States(Vec<TopicPartition>),
    Deletions,
    Reassignments,
    PreferredElection,
    PreferredElectionDelete,
}

const NOTIFICATIONS: [&str; 2] = [znode::LOG_DIR_EVENT_NOTIFICATION, znode::ISR_CHANGE_NOTIFICATION];

/// What `/feature` holds after its creation with `inter.broker.protocol.version` 3.6.
const FEATURES: &str = r#"{"version":2,"status":1,"features":{}}"#;

impl KafkaController {
    pub(super) fn failover_ask(&mut self, io: &mut Io<'_, '_>, step: FailoverStep) {
        let get = |path: &str| vec![Op::GetData { path: path.into(), watch: false }];
        let exists = |path: &str| vec![Op::Exists { path: path.into(), watch: false }];
        let children = |path: &str, watch| vec![Op::GetChildren { path: path.into(), watch }];
        let delete = |path: Path| Op::Delete { path, version: ANY_VERSION };
        let (fenced, ops) = match &step {
            FailoverStep::Feature => (false, get(znode::FEATURE)),
            FailoverStep::FeatureCreate => {
                let mode = CreateMode::Persistent;
                (false, vec![Op::Create { path: znode::FEATURE.into(), data: FEATURES.into(), mode }])
            }
            FailoverStep::PreferredElectionExists => (false, exists(znode::PREFERRED_REPLICA_ELECTION)),
            FailoverStep::ReassignmentExists => (false, exists(znode::REASSIGN_PARTITIONS)),
            // Both kinds are waited for: leaders before 2.7 write ISR notifications themselves.
            FailoverStep::Notifications(which) => (false, children(NOTIFICATIONS[usize::from(*which)], true)),
            FailoverStep::NotificationsPurge(which, names) => {
                let parent = NOTIFICATIONS[usize::from(*which)];
                (true, names.iter().map(|name| delete(format!("{parent}/{name}").into())).collect())
            }
            FailoverStep::Topics => (false, children(znode::TOPICS, true)),
            FailoverStep::Assignments(topics) => (false, topics.iter().map(|topic| read_topic(*topic)).collect()),
            FailoverStep::States(partitions) => (false, partitions.iter().map(|p| read_state(*p)).collect()),
            FailoverStep::Deletions => (false, children(znode::DELETE_TOPICS, false)),
            FailoverStep::Reassignments => (false, get(znode::REASSIGN_PARTITIONS)),
            FailoverStep::PreferredElection => (false, get(znode::PREFERRED_REPLICA_ELECTION)),
            FailoverStep::PreferredElectionDelete => (true, vec![delete(znode::PREFERRED_REPLICA_ELECTION.into())]),
        };
        if fenced {
            self.ask_fenced(io, ops, Then::Failover(step));
        } else {
            self.ask(io, ops, Then::Failover(step));
        }
    }

    pub(super) fn on_failover(
        &mut self,
        io: &mut Io<'_, '_>,
        step: FailoverStep,
        results: Results,
    ) -> Result<(), Failure> {
        let next = match step {
            FailoverStep::Feature => match results.first() {
                Some(Ok(_)) => self.after_feature(),
                Some(Err(ZkError::NoNode)) => FailoverStep::FeatureCreate,
                other => return Err(unexpected(other)),
            },
            FailoverStep::FeatureCreate => match results.first() {
                Some(Ok(_)) => self.after_feature(),
                other => return Err(unexpected(other)),
            },
            FailoverStep::PreferredElectionExists => {
                found(&results)?;
                FailoverStep::ReassignmentExists
            }
            FailoverStep::ReassignmentExists => {
                found(&results)?;
                FailoverStep::Notifications(0)
            }
            FailoverStep::Notifications(which) => FailoverStep::NotificationsPurge(which, child_names(&results)?),
            FailoverStep::NotificationsPurge(0, _) => FailoverStep::Notifications(1),
            FailoverStep::NotificationsPurge(..) => {
                self.read_brokers(io, BrokersFor::Failover);
                return Ok(());
            }
            FailoverStep::Topics => {
                let topics: Vec<Topic> = topics_of(&child_names(&results)?);
                self.context.topics = topics.iter().copied().collect();
                FailoverStep::Assignments(topics)
            }
            FailoverStep::Assignments(topics) => {
                let added = self.learn_assignments(&topics, &results)?;
                FailoverStep::States(added)
            }
            FailoverStep::States(partitions) => {
                self.learn_states(&partitions, &results)?;
                self.set_aside_unnoticed_restarts(&partitions, &results);
                for broker in self.context.live_brokers.keys().chain(self.context.unnoticed_restarts.keys()) {
                    self.channels.add_broker(*broker);
                }
                FailoverStep::Deletions
            }
            FailoverStep::Deletions => {
                child_names(&results)?;
                // Brokers must know the living peers before LeaderAndIsr makes them connect to one.
                let everybody: Vec<_> = self.context.live_brokers.keys().copied().collect();
                self.send_update_metadata(io, everybody, Vec::new());
                self.thread.call(Call::Failover(FailoverStep::Reassignments));
                let unnoticed = std::mem::take(&mut self.context.unnoticed_restarts);
                if !unnoticed.is_empty() {
                    self.thread.call(Call::BrokerStartup(unnoticed));
                }
                self.thread.call(Call::PartitionStateMachineStartup);
                self.thread.call(Call::ReplicaStateMachineStartup);
                return Ok(());
            }
            FailoverStep::Reassignments => {
                found(&results)?;
                FailoverStep::PreferredElection
            }
            FailoverStep::PreferredElection => {
                found(&results)?;
                FailoverStep::PreferredElectionDelete
            }
            FailoverStep::PreferredElectionDelete => {
                if self.config.auto_leader_rebalance_enable {
                    self.schedule_rebalance(io, Span::from_secs(5));
                }
                io.ctx.observe(Observation::ControllerReady { epoch: self.context.epoch });
                return Ok(());
            }
        };
        self.thread.call(Call::Failover(next));
        Ok(())
    }

    /// See [`Defect::UnnoticedRestart`]: brokers that registered after an ISR was written with them in it count as dead until
    /// the state machines have started, and as started then.
    fn set_aside_unnoticed_restarts(&mut self, partitions: &[TopicPartition], results: &Results) {
        if self.defects.has(Defect::UnnoticedRestart) {
            return;
        }
        for (partition, result) in partitions.iter().zip(results) {
            let Ok(OpResult::Data { stat, .. }) = result else { continue };
            let Some(leadership) = self.context.leadership(*partition) else { continue };
            let unnoticed = |id: &&BrokerId| {
                self.context.live_brokers.get(*id).is_some_and(|registered| *registered > stat.mzxid.0 as i64)
            };
            for broker in leadership.state.isr.iter().filter(unnoticed).copied().collect::<Vec<_>>() {
                let moved = self.context.live_brokers.remove_entry(&broker);
                self.context.unnoticed_restarts.extend(moved);
            }
        }
    }

    fn after_feature(&mut self) -> FailoverStep {
        self.handlers_registered = true;
        FailoverStep::PreferredElectionExists
    }

    /// Takes the assignments of `topics` from their znodes. Returns their partitions, in order.
    pub(super) fn learn_assignments(
        &mut self,
        topics: &[Topic],
        results: &Results,
    ) -> Result<Vec<TopicPartition>, Failure> {
        let mut added = Vec::new();
        for (topic, result) in topics.iter().zip(results) {
            match result {
                Ok(OpResult::Data { data, .. }) => {
                    let content: TopicZnode = znode::decode(data).ok_or(Failure::Other)?;
                    for (partition, replicas) in content.partitions {
                        let partition = TopicPartition { topic: *topic, partition };
                        self.context.assign(partition, znode::brokers(&replicas));
                        added.push(partition);
                    }
                }
                Err(ZkError::NoNode) => {}
                other => return Err(unexpected(Some(other))),
            }
        }
        Ok(added)
    }

    /// `updateLeaderAndIsrCache`: takes the states of `partitions` from their znodes; those without one are skipped.
    pub(super) fn learn_states(&mut self, partitions: &[TopicPartition], results: &Results) -> Result<(), Failure> {
        for (partition, result) in partitions.iter().zip(results) {
            match result {
                Ok(OpResult::Data { data, stat }) => {
                    let content: PartitionStateZnode = znode::decode(data).ok_or(Failure::Other)?;
                    self.context.put_leadership(*partition, content.state(stat.version), content.controller_epoch);
                }
                Err(ZkError::NoNode) => {}
                other => return Err(unexpected(Some(other))),
            }
        }
        Ok(())
    }
}

/// A read of a topic's assignment.
pub(super) fn read_topic(topic: Topic) -> Op {
    Op::GetData { path: znode::topic_path(topic), watch: false }
}

/// A read of a partition's state.
pub(super) fn read_state(partition: TopicPartition) -> Op {
    Op::GetData { path: znode::partition_state_path(partition), watch: false }
}

/// A partition's new state as the content of its znode.
pub(super) fn state_data(state: &crate::kafka::protocol::LeaderAndIsr, controller_epoch: i32) -> Data {
    znode::encode(&PartitionStateZnode::new(state, controller_epoch))
}

/// The names of children; a missing parent has none.
pub(super) fn child_names(results: &Results) -> Result<Vec<Path>, Failure> {
    match results.first() {
        Some(Ok(OpResult::Children { names, .. })) => Ok(names.clone()),
        Some(Err(ZkError::NoNode)) => Ok(Vec::new()),
        other => Err(unexpected(other)),
    }
}

/// The topics among names; others are not of the model.
pub(super) fn topics_of(names: &[Path]) -> Vec<Topic> {
    let mut topics: Vec<Topic> = names.iter().filter_map(|name| Topic::parse(name)).collect();
    topics.sort_unstable();
    topics
}

fn found(results: &Results) -> Result<bool, Failure> {
    match results.first() {
        Some(Ok(_)) => Ok(true),
        Some(Err(ZkError::NoNode)) => Ok(false),
        other => Err(unexpected(other)),
    }
}
