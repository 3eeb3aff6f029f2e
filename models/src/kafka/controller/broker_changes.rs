//! `processBrokerChange`, `processTopicChange` and what follows from brokers that come and go.

use std::collections::{BTreeMap, BTreeSet};

use super::KafkaController;
use super::context::{ReplicaGroups, ReplicaState};
use super::election::Strategy;
use super::failover::{FailoverStep, child_names, read_topic, topics_of};
use super::life_cycle::unexpected;
use super::thread::{Call, Failure, Frame, Io, Results, Then};
use crate::defect::Defect;
use crate::id::{BrokerId, Topic, TopicPartition};
use crate::kafka::protocol::ErrorCode;
use crate::kafka::znode;
use crate::zk::protocol::{Op, OpResult, ZkError};

/// Why the registered brokers are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum BrokersFor {
    /// `initializeControllerContext`.
    Failover,
    /// `processBrokerChange`.
    Change,
}

impl KafkaController {
    /// `getAllBrokerAndEpochsInCluster`: the children, with the watch armed again, then each node. The data watches of
    /// `BrokerModifications` are left out: endpoints never change in the model.
    pub(super) fn read_brokers(&mut self, io: &mut Io<'_, '_>, purpose: BrokersFor) {
        let list = Op::GetChildren { path: znode::BROKER_IDS.into(), watch: true };
        self.ask(io, vec![list], Then::BrokerIds(purpose));
    }

    pub(super) fn on_broker_ids(
        &mut self,
        io: &mut Io<'_, '_>,
        purpose: BrokersFor,
        results: &Results,
    ) -> Result<(), Failure> {
        let mut ids: Vec<BrokerId> =
            child_names(results)?.iter().filter_map(|name| name.parse().ok().map(BrokerId)).collect();
        ids.sort_unstable();
        let reads = ids.iter().map(|id| Op::GetData { path: znode::broker_path(*id), watch: false }).collect();
        self.ask(io, reads, Then::Brokers(purpose, ids));
        Ok(())
    }

    pub(super) fn on_brokers(
        &mut self,
        io: &mut Io<'_, '_>,
        purpose: BrokersFor,
        ids: &[BrokerId],
        results: &Results,
    ) -> Result<(), Failure> {
        let mut registered = BTreeMap::new();
        for (id, result) in ids.iter().zip(results) {
            match result {
                Ok(OpResult::Data { stat, .. }) => {
                    registered.insert(*id, stat.czxid.0.cast_signed());
                }
                // It went between the two reads.
                Err(ZkError::NoNode) => {}
                other => return Err(unexpected(Some(other))),
            }
        }
        match purpose {
            BrokersFor::Failover => {
                self.context.live_brokers = registered;
                self.thread.call(Call::Failover(FailoverStep::Topics));
            }
            BrokersFor::Change => self.brokers_changed(io, &registered),
        }
        Ok(())
    }

    fn brokers_changed(&mut self, io: &mut Io<'_, '_>, registered: &BTreeMap<BrokerId, i64>) {
        let known = &self.context.live_brokers;
        let select = |wanted: &dyn Fn(&BrokerId, i64) -> bool| -> BTreeMap<BrokerId, i64> {
            registered.iter().filter(|(id, epoch)| wanted(id, **epoch)).map(|(id, epoch)| (*id, *epoch)).collect()
        };
        let new = select(&|id, _| !known.contains_key(id));
        // KIP-380: a node that went and came back between two reads betrays itself by its czxid.
        let compared = !self.defects.has(Defect::NoBrokerGeneration);
        let bounced = select(&|id, epoch| compared && known.get(id).is_some_and(|before| epoch > *before));
        let dead: BTreeSet<BrokerId> = known.keys().copied().filter(|id| !registered.contains_key(id)).collect();

        for broker in new.keys() {
            self.channels.add_broker(*broker);
        }
        for broker in bounced.keys() {
            self.channels.remove_broker(io.ctx, *broker);
            self.channels.add_broker(*broker);
        }
        for broker in &dead {
            self.channels.remove_broker(io.ctx, *broker);
        }
        let mut calls = Vec::new();
        if !new.is_empty() {
            calls.push(Call::BrokerStartup(new));
        }
        if !bounced.is_empty() {
            calls.push(Call::BrokerFailure(bounced.keys().copied().collect()));
            calls.push(Call::BrokerStartup(bounced));
        }
        if !dead.is_empty() {
            calls.push(Call::BrokerFailure(dead));
        }
        for call in calls.into_iter().rev() {
            self.thread.call(call);
        }
    }

    /// `addLiveBrokers`, `onBrokerStartup`.
    pub(super) fn broker_startup(&mut self, io: &mut Io<'_, '_>, brokers: BTreeMap<BrokerId, i64>) {
        let started: BTreeSet<BrokerId> = brokers.keys().copied().collect();
        self.context.live_brokers.extend(brokers);
        for broker in &started {
            self.context.offline_dirs.remove(broker);
        }
        let others: Vec<BrokerId> =
            self.context.live_brokers.keys().copied().filter(|id| !started.contains(id)).collect();
        self.send_update_metadata(io, others, Vec::new());
        let led =
            self.context.partitions().iter().filter(|(_, info)| info.leadership.is_some()).map(|(p, _)| *p).collect();
        self.send_update_metadata(io, started.iter().copied().collect(), led);
        let groups = self.context.replicas_on(&started);
        self.thread.push([
            Frame::Call(Call::Replicas { groups, target: ReplicaState::Online }),
            Frame::Call(Call::TriggerOnlinePartitions),
        ]);
    }

    /// `removeLiveBrokers`, `onBrokerFailure`.
    pub(super) fn broker_failure(&mut self, brokers: &BTreeSet<BrokerId>) {
        for broker in brokers {
            self.context.live_brokers.remove(broker);
            self.context.shutting_down.remove(broker);
            self.context.offline_dirs.remove(broker);
        }
        let groups = self.context.replicas_on(brokers);
        self.thread.call(Call::ReplicasBecomeOffline(groups));
    }

    /// `onReplicasBecomeOffline`: leaders are elected before the dead leave the ISRs.
    pub(super) fn replicas_become_offline(&mut self, groups: ReplicaGroups) {
        let led_by_dead = self.context.with_offline_leader();
        self.partitions_offline(&led_by_dead);
        let nothing_to_say = groups.is_empty();
        if nothing_to_say {
            self.thread.call(Call::UpdateMetadataUnlessElected);
        }
        self.thread.push([
            Frame::Call(Call::TriggerOnlinePartitions),
            Frame::Call(Call::Replicas { groups, target: ReplicaState::Offline }),
        ]);
    }

    /// A broker without replicas died and no leader changed: nothing has told the others yet.
    pub(super) fn update_metadata_unless_elected(&mut self, io: &mut Io<'_, '_>) {
        if !self.elected_some {
            let everybody = self.context.live_brokers.keys().copied().collect();
            self.send_update_metadata(io, everybody, Vec::new());
        }
    }

    /// `sendUpdateMetadataRequest`, through the controller's own batch, which is always empty in between.
    pub(super) fn send_update_metadata(
        &mut self,
        io: &mut Io<'_, '_>,
        brokers: Vec<BrokerId>,
        partitions: Vec<TopicPartition>,
    ) {
        let mut batch = super::request_batch::RequestBatch::default();
        batch.add_update_metadata(&self.context, brokers, partitions);
        batch.flush(io.ctx, self.broker, &self.context, &mut self.channels);
    }

    /// `processLeaderAndIsrResponseReceived`. A refusal of the whole request, also for a stale controller epoch, was logged
    /// and forgotten before.
    pub(super) fn leader_and_isr_answered(&mut self, broker: BrokerId, partitions: &[(TopicPartition, ErrorCode)]) {
        let mut newly_offline = Vec::new();
        for (partition, error) in partitions {
            match error {
                ErrorCode::None => {
                    if let Some(marks) = self.context.offline_dirs.get_mut(&broker) {
                        marks.remove(partition);
                    }
                }
                ErrorCode::KafkaStorageError
                    if self.context.offline_dirs.entry(broker).or_default().insert(*partition) =>
                {
                    newly_offline.push(*partition);
                }
                _ => {}
            }
        }
        if !newly_offline.is_empty() {
            self.thread.call(Call::ReplicasBecomeOffline(ReplicaGroups::from([(broker, newly_offline)])));
        }
    }

    /// `processTopicChange`.
    pub(super) fn on_topics(&mut self, io: &mut Io<'_, '_>, results: &Results) -> Result<(), Failure> {
        let topics = topics_of(&child_names(results)?);
        let now: BTreeSet<Topic> = topics.iter().copied().collect();
        for gone in self.context.topics.difference(&now).copied().collect::<Vec<_>>() {
            self.context.remove_topic(gone);
        }
        let new: Vec<Topic> = now.difference(&self.context.topics).copied().collect();
        self.context.topics = now;
        let reads = new.iter().map(|topic| read_topic(*topic)).collect();
        self.ask(io, reads, Then::NewTopics(new));
        Ok(())
    }

    /// `onNewPartitionCreation`.
    pub(super) fn on_new_topics(&mut self, topics: &[Topic], results: &Results) -> Result<(), Failure> {
        let partitions = self.learn_assignments(topics, results)?;
        let added: BTreeSet<TopicPartition> = partitions.iter().copied().collect();
        let groups = self.context.group_replicas(|_, partition| added.contains(&partition));
        self.thread.push([
            Frame::Call(Call::Replicas { groups: groups.clone(), target: ReplicaState::New }),
            Frame::Call(Call::PartitionsOnline { partitions, strategy: Strategy::Offline }),
            Frame::Call(Call::Replicas { groups, target: ReplicaState::Online }),
        ]);
        Ok(())
    }
}
