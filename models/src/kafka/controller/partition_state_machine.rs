//! `ZkPartitionStateMachine`: partitions get their first leader, lose it, and get another.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::KafkaController;
use super::context::PartitionState;
use super::election::{self, Elected, Strategy};
use super::failover::{read_state, state_data};
use super::thread::{Call, Failure, Frame, Guard, Io, Results, Then, absorb};
use crate::defect::Defect;
use crate::id::{BrokerId, Topic, TopicPartition};
use crate::kafka::metrics::Metric;
use crate::kafka::protocol::LeaderAndIsr;
use crate::kafka::znode::{self, PartitionStateZnode};
use crate::zk::protocol::{CreateMode, Op, OpResult, ZkError};

/// First states to be written.
pub(super) type Initialization = Vec<(TopicPartition, LeaderAndIsr)>;

/// A round of elections: as read, then as to be written with the receivers of LeaderAndIsr.
#[derive(Clone, Debug, Hash)]
pub(super) struct Election {
    strategy: Strategy,
    partitions: Vec<(TopicPartition, LeaderAndIsr, Vec<BrokerId>)>,
}

impl KafkaController {
    /// `PartitionStateMachine.startup`.
    pub(super) fn partition_state_machine_startup(&mut self) {
        let dead: BTreeSet<TopicPartition> = self.context.with_offline_leader().into_iter().collect();
        for (partition, info) in self.context.partitions_mut() {
            info.state = match &info.leadership {
                None => PartitionState::New,
                Some(_) if dead.contains(&partition) => PartitionState::Offline,
                Some(_) => PartitionState::Online,
            };
        }
        self.thread.call(Call::TriggerOnlinePartitions);
    }

    /// To OfflinePartition: in memory only.
    pub(super) fn partitions_offline(&mut self, partitions: &[TopicPartition]) {
        if !self.partition_batch.is_empty() {
            return;
        }
        for partition in partitions {
            if let Some(info) = self.context.partition_mut(*partition) {
                info.state = PartitionState::Offline;
            }
        }
    }

    /// `triggerOnlinePartitionStateChange`.
    pub(super) fn trigger_online_partitions(&mut self) {
        self.elected_some = false;
        let partitions = self.context.leaderless();
        self.partitions_online(&partitions, Strategy::Offline);
    }

    /// To OnlinePartition: partitions that never had a leader get their first state, the others an election.
    pub(super) fn partitions_online(&mut self, partitions: &[TopicPartition], strategy: Strategy) {
        // `newBatch` throws IllegalStateException, which `handleStateChanges` logs.
        if partitions.is_empty() || !self.partition_batch.is_empty() {
            return;
        }
        let known = partitions.iter().filter_map(|p| Some((*p, self.context.partition(*p)?.state)));
        let (new, old): (Vec<_>, Vec<_>) = known.partition(|(_, state)| *state == PartitionState::New);
        let names = |list: Vec<(TopicPartition, PartitionState)>| list.into_iter().map(|(p, _)| p).collect();
        self.thread.push([
            Frame::Call(Call::Initialize(names(new))),
            Frame::Call(Call::ElectLeaders { partitions: names(old), strategy }),
            Frame::Call(Call::FlushPartitionBatch),
            Frame::Guard(Guard::StateMachine),
        ]);
    }

    pub(super) fn flush_partition_batch(&mut self, io: &mut Io<'_, '_>) {
        self.partition_batch.flush(io.ctx, self.broker, &self.context, &mut self.channels);
    }

    /// `initializeLeaderAndIsrForPartitions`: parents first, level by level, each write fenced.
    pub(super) fn initialize_partitions(&mut self, io: &mut Io<'_, '_>, partitions: &[TopicPartition]) {
        let first_state = |partition: &TopicPartition| {
            let info = self.context.partition(*partition)?;
            let live = info.replicas.iter().copied().filter(|broker| self.context.is_online(*broker, *partition));
            let isr: Vec<BrokerId> = live.collect();
            // Without a live replica it stays New.
            let leader = *isr.first()?;
            let state = LeaderAndIsr {
                leader: Some(leader),
                leader_epoch: 0,
                isr: isr.into(),
                partition_epoch: 0,
                recovering: false,
            };
            Some((*partition, state))
        };
        let init: Initialization = partitions.iter().filter_map(first_state).collect();
        let topics: BTreeSet<Topic> = init.iter().map(|(partition, _)| partition.topic).collect();
        let parents = topics.iter().map(|topic| create(&format!("{}/partitions", znode::topic_path(*topic)), ""));
        self.ask_fenced(io, parents.collect(), Then::InitTopics(init));
    }

    pub(super) fn on_init_topics(
        &mut self,
        io: &mut Io<'_, '_>,
        init: Initialization,
        outcome: Result<Results, Failure>,
    ) -> Result<(), Failure> {
        if goes_on(outcome)? {
            let parents = init
                .iter()
                .map(|(p, _)| create(&format!("{}/partitions/{}", znode::topic_path(p.topic), p.partition), ""));
            self.ask_fenced(io, parents.collect(), Then::InitPartitions(init));
        }
        Ok(())
    }

    pub(super) fn on_init_partitions(
        &mut self,
        io: &mut Io<'_, '_>,
        init: Initialization,
        outcome: Result<Results, Failure>,
    ) -> Result<(), Failure> {
        if goes_on(outcome)? {
            let epoch = self.context.epoch;
            let states =
                init.iter().map(|(p, state)| create(&znode::partition_state_path(*p), &state_data(state, epoch)));
            self.ask_fenced(io, states.collect(), Then::InitStates(init));
        }
        Ok(())
    }

    pub(super) fn on_init_states(
        &mut self,
        init: Initialization,
        outcome: Result<Results, Failure>,
    ) -> Result<(), Failure> {
        let results = absorb(outcome, init.len())?;
        for ((partition, state), result) in init.into_iter().zip(results) {
            if result.is_ok() {
                let recipients = state.isr.to_vec();
                self.context.put_leadership(partition, state, self.context.epoch);
                self.partition_batch.add_leader_and_isr(&self.context, recipients, partition, true);
                self.became_online(partition);
            }
        }
        Ok(())
    }

    fn became_online(&mut self, partition: TopicPartition) {
        if let Some(info) = self.context.partition_mut(partition) {
            info.state = PartitionState::Online;
        }
    }

    /// `doElectLeaderForPartitions`: the state nodes are read again, for they alone are authoritative.
    pub(super) fn elect_leaders(&mut self, io: &mut Io<'_, '_>, partitions: Vec<TopicPartition>, strategy: Strategy) {
        let reads = partitions.iter().map(|p| read_state(*p)).collect();
        self.ask(io, reads, Then::ElectionStates { partitions, strategy });
    }

    pub(super) fn on_election_states(
        &mut self,
        io: &mut Io<'_, '_>,
        partitions: &[TopicPartition],
        strategy: Strategy,
        outcome: Result<Results, Failure>,
    ) -> Result<(), Failure> {
        let results = absorb(outcome, partitions.len())?;
        let valid: Vec<_> = partitions
            .iter()
            .zip(&results)
            .filter_map(|(p, result)| Some((*p, writable_state(result, self.context.epoch)?, Vec::new())))
            .collect();
        let undecided = |(p, state, _): &(TopicPartition, LeaderAndIsr, Vec<BrokerId>)| {
            (!election::has_live_isr(&self.context, *p, state)).then_some(p.topic)
        };
        let topics: BTreeSet<Topic> = match strategy {
            Strategy::Offline => valid.iter().filter_map(undecided).collect(),
            Strategy::Preferred | Strategy::ControlledShutdown => BTreeSet::new(),
        };
        // `getLogConfigs`: whether a topic allows unclean elections is read at this moment.
        let reads = topics.iter().map(|t| Op::GetData { path: format!("/config/topics/{t}").into(), watch: false });
        let valid = Election { strategy, partitions: valid };
        self.ask(io, reads.collect(), Then::ElectionConfigs { valid, topics: topics.into_iter().collect() });
        Ok(())
    }

    pub(super) fn on_election_configs(
        &mut self,
        io: &mut Io<'_, '_>,
        valid: Election,
        topics: &[Topic],
        outcome: Result<Results, Failure>,
    ) -> Result<(), Failure> {
        let results = absorb(outcome, topics.len())?;
        let default = self.config.unclean_leader_election_enable;
        let unclean: BTreeMap<Topic, Option<bool>> =
            topics.iter().copied().zip(results.iter().map(|result| allows_unclean(result, default))).collect();
        // Before KAFKA-1028 (R17a) nobody asked whether an election outside the ISR is allowed.
        let always = self.defects.has(Defect::UncleanElectionDefault);
        let mut writes = Vec::new();
        for (partition, state, _) in valid.partitions {
            let allowed = match unclean.get(&partition.topic) {
                // The configuration could not be read: the election fails, if it depends on it.
                Some(None) if !election::has_live_isr(&self.context, partition, &state) => continue,
                Some(Some(allowed)) => *allowed || always,
                _ => false,
            };
            let elected = election::elect(&self.context, partition, &state, valid.strategy, allowed);
            if elected.is_some() && !election::has_live_isr(&self.context, partition, &state) {
                self.metrics.mark(io.ctx, Metric::UncleanLeaderElectionsPerSec);
            }
            if let Some(Elected { state, recipients }) = elected {
                writes.push((partition, state, recipients));
            }
        }
        let epoch = self.context.epoch;
        let ops = writes.iter().map(|(partition, state, _)| write_state(*partition, state, epoch)).collect();
        let writes = Election { strategy: valid.strategy, partitions: writes };
        self.ask_fenced(io, ops, Then::ElectionWrites { writes });
        Ok(())
    }

    pub(super) fn on_election_writes(
        &mut self,
        writes: Election,
        outcome: Result<Results, Failure>,
    ) -> Result<(), Failure> {
        let results = absorb(outcome, writes.partitions.len())?;
        let mut again = Vec::new();
        for ((partition, mut state, recipients), result) in writes.partitions.into_iter().zip(results) {
            match result {
                Ok(OpResult::Stat(stat)) => {
                    state.partition_epoch = stat.version;
                    self.context.put_leadership(partition, state, self.context.epoch);
                    self.partition_batch.add_leader_and_isr(&self.context, recipients, partition, false);
                    self.became_online(partition);
                    self.elected_some = true;
                }
                Err(ZkError::BadVersion) => again.push(partition),
                // Logged; the partition keeps its state until the next occasion.
                _ => {}
            }
        }
        if !again.is_empty() {
            self.thread.call(Call::ElectLeaders { partitions: again, strategy: writes.strategy });
        }
        Ok(())
    }
}

/// The state that a controller of `epoch` may replace: none if a newer controller has written it.
pub(super) fn writable_state(result: &Result<OpResult, ZkError>, epoch: i32) -> Option<LeaderAndIsr> {
    let Ok(OpResult::Data { data, stat }) = result else { return None };
    let content: PartitionStateZnode = znode::decode(data)?;
    (content.controller_epoch <= epoch).then(|| content.state(stat.version))
}

/// A write of a state, on condition of the partition epoch that was read.
pub(super) fn write_state(partition: TopicPartition, state: &LeaderAndIsr, controller_epoch: i32) -> Op {
    Op::SetData {
        path: znode::partition_state_path(partition),
        data: state_data(state, controller_epoch),
        version: state.partition_epoch,
    }
}

fn create(path: &str, data: &str) -> Op {
    Op::Create { path: path.into(), data: data.into(), mode: CreateMode::Persistent }
}

/// Whether the next level is to be created: an exception ends the initialisation, results do not matter.
fn goes_on(outcome: Result<Results, Failure>) -> Result<bool, Failure> {
    match outcome {
        Err(Failure::ControllerMoved) => Err(Failure::ControllerMoved),
        outcome => Ok(outcome.is_ok()),
    }
}

/// Content of `/config/topics/T`, as far as it matters here.
#[derive(Deserialize)]
struct ConfigZnode {
    #[serde(default)]
    config: BTreeMap<String, String>,
}

fn allows_unclean(result: &Result<OpResult, ZkError>, default: bool) -> Option<bool> {
    match result {
        Ok(OpResult::Data { data, .. }) => {
            let content: ConfigZnode = znode::decode(data)?;
            match content.config.get("unclean.leader.election.enable") {
                Some(value) => value.parse().ok(),
                None => Some(default),
            }
        }
        Err(ZkError::NoNode) => Some(default),
        _ => None,
    }
}
