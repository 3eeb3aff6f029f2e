//! `ZkReplicaStateMachine`: replicas are told of their partitions, and leave the ISR with their broker.

use super::KafkaController;
use super::context::{ReplicaGroups, ReplicaState};
use super::failover::read_state;
use super::partition_state_machine::{writable_state, write_state};
use super::thread::{Call, Failure, Frame, Guard, Io, Results, Then, absorb};
use crate::id::{BrokerId, TopicPartition};
use crate::kafka::protocol::LeaderAndIsr;
use crate::zk::protocol::{OpResult, ZkError};

/// `removeReplicasFromIsr` for one broker, in progress.
#[derive(Clone, Debug, Hash)]
pub(super) struct Removal {
    broker: BrokerId,
    remaining: Vec<TopicPartition>,
    /// Under way in this round.
    writes: Vec<(TopicPartition, LeaderAndIsr)>,
    removed: Vec<TopicPartition>,
    /// Never had a leader: nothing to remove.
    unled: Vec<TopicPartition>,
}

impl KafkaController {
    /// `ReplicaStateMachine.startup`.
    pub(super) fn replica_state_machine_startup(&mut self) {
        let online = self.context.group_replicas(|broker, partition| self.context.is_online(broker, partition));
        let offline = self.context.group_replicas(|broker, partition| !self.context.is_online(broker, partition));
        for (groups, state) in [(&online, ReplicaState::Online), (&offline, ReplicaState::DeletionIneligible)] {
            for (broker, partitions) in groups {
                for partition in partitions {
                    self.put_replica_state(*partition, *broker, state);
                }
            }
        }
        self.thread.push([
            Frame::Call(Call::Replicas { groups: online, target: ReplicaState::Online }),
            Frame::Call(Call::Replicas { groups: offline, target: ReplicaState::Offline }),
        ]);
    }

    /// `handleStateChanges`.
    pub(super) fn change_replicas(&mut self, io: &mut Io<'_, '_>, groups: ReplicaGroups, target: ReplicaState) {
        // `newBatch` throws IllegalStateException, which is logged; see `Defect::PoisonedRequestBatch`.
        if groups.is_empty() || !self.replica_batch.is_empty() {
            return;
        }
        if target == ReplicaState::Offline {
            self.thread.push([Frame::Call(Call::FlushReplicaBatch), Frame::Guard(Guard::StateMachine)]);
            for (broker, partitions) in groups.into_iter().rev() {
                self.thread.call(Call::RemoveFromIsr { broker, partitions });
            }
            return;
        }
        for (broker, partitions) in groups {
            for partition in partitions {
                self.change_replica(broker, partition, target);
            }
        }
        self.flush_replica_batch(io);
    }

    fn change_replica(&mut self, broker: BrokerId, partition: TopicPartition, target: ReplicaState) {
        let Some(state) = self.replica_state(partition, broker) else { return };
        let led = self.context.leadership(partition).map(|l| l.state.leader);
        match (state, target) {
            (ReplicaState::NonExistent, ReplicaState::New) => {
                if led == Some(Some(broker)) {
                    return;
                }
                self.replica_batch.add_leader_and_isr(&self.context, [broker], partition, true);
            }
            (ReplicaState::New, ReplicaState::Online) => {}
            (ReplicaState::Online | ReplicaState::Offline | ReplicaState::DeletionIneligible, ReplicaState::Online) => {
                self.replica_batch.add_leader_and_isr(&self.context, [broker], partition, false);
            }
            // An invalid transition is logged and skipped.
            _ => return,
        }
        self.put_replica_state(partition, broker, target);
    }

    pub(super) fn flush_replica_batch(&mut self, io: &mut Io<'_, '_>) {
        self.replica_batch.flush(io.ctx, self.broker, &self.context, &mut self.channels);
    }

    /// To OfflineReplica, one broker. StopReplica enters the batch before the fence is tried: that is what
    /// `Defect::PoisonedRequestBatch` lives on.
    pub(super) fn remove_from_isr(&mut self, broker: BrokerId, partitions: Vec<TopicPartition>) {
        let valid: Vec<TopicPartition> = partitions
            .into_iter()
            .filter(|p| self.replica_state(*p, broker).is_some_and(|state| state != ReplicaState::NonExistent))
            .collect();
        for partition in &valid {
            self.replica_batch.add_stop_replica(&self.context, broker, *partition);
        }
        let (remaining, unled) = valid.into_iter().partition(|p| self.context.leadership(*p).is_some());
        let removal = Removal { broker, remaining, writes: Vec::new(), removed: Vec::new(), unled };
        self.thread.call(Call::RemovalRound(removal));
    }

    /// `doRemoveReplicasFromIsr`, until no write was overtaken by another.
    pub(super) fn removal_round(&mut self, io: &mut Io<'_, '_>, mut removal: Removal) {
        if removal.remaining.is_empty() {
            return self.finish_removal(&mut removal);
        }
        let reads = removal.remaining.iter().map(|p| read_state(*p)).collect();
        self.ask(io, reads, Then::RemovalStates(removal));
    }

    pub(super) fn on_removal_states(
        &mut self,
        io: &mut Io<'_, '_>,
        mut removal: Removal,
        outcome: Result<Results, Failure>,
    ) -> Result<(), Failure> {
        let results = absorb(outcome, removal.remaining.len())?;
        let epoch = self.context.epoch;
        for (partition, result) in std::mem::take(&mut removal.remaining).into_iter().zip(&results) {
            // Unreadable, or written by a newer controller: logged, the replica keeps its state.
            let Some(state) = writable_state(result, epoch) else { continue };
            if state.isr.contains(&removal.broker) {
                removal.writes.push((partition, without(&state, removal.broker)));
            } else {
                self.context.put_leadership(partition, state, epoch);
                removal.removed.push(partition);
            }
        }
        let ops = removal.writes.iter().map(|(partition, state)| write_state(*partition, state, epoch)).collect();
        self.ask_fenced(io, ops, Then::RemovalWrites(removal));
        Ok(())
    }

    pub(super) fn on_removal_writes(
        &mut self,
        mut removal: Removal,
        outcome: Result<Results, Failure>,
    ) -> Result<(), Failure> {
        let results = absorb(outcome, removal.writes.len())?;
        for ((partition, mut state), result) in std::mem::take(&mut removal.writes).into_iter().zip(results) {
            match result {
                Ok(OpResult::Stat(stat)) => {
                    state.partition_epoch = stat.version;
                    self.context.put_leadership(partition, state, self.context.epoch);
                    removal.removed.push(partition);
                }
                Err(ZkError::BadVersion) => removal.remaining.push(partition),
                _ => {}
            }
        }
        self.thread.call(Call::RemovalRound(removal));
        Ok(())
    }

    fn finish_removal(&mut self, removal: &mut Removal) {
        let broker = removal.broker;
        removal.removed.sort_unstable();
        for partition in &removal.removed {
            let Some(info) = self.context.partition(*partition) else { continue };
            let others: Vec<BrokerId> = info.replicas.iter().copied().filter(|id| *id != broker).collect();
            self.replica_batch.add_leader_and_isr(&self.context, others, *partition, false);
            self.put_replica_state(*partition, broker, ReplicaState::Offline);
        }
        for partition in &removal.unled {
            let everybody: Vec<BrokerId> = self.context.live_brokers.keys().copied().collect();
            self.replica_batch.add_update_metadata(&self.context, everybody, [*partition]);
            self.put_replica_state(*partition, broker, ReplicaState::Offline);
        }
    }

    fn replica_state(&self, partition: TopicPartition, broker: BrokerId) -> Option<ReplicaState> {
        let info = self.context.partition(partition)?;
        let at = info.replicas.iter().position(|id| *id == broker)?;
        Some(info.replica_states[at])
    }

    fn put_replica_state(&mut self, partition: TopicPartition, broker: BrokerId, state: ReplicaState) {
        if let Some(info) = self.context.partition_mut(partition)
            && let Some(at) = info.replicas.iter().position(|id| *id == broker)
        {
            info.replica_states[at] = state;
        }
    }
}

/// The state without a dead member: no leader if it was that, and never an empty ISR. The leader epoch rises even if the
/// leader stays.
fn without(state: &LeaderAndIsr, dead: BrokerId) -> LeaderAndIsr {
    let isr = if state.isr.len() == 1 {
        std::sync::Arc::clone(&state.isr)
    } else {
        state.isr.iter().copied().filter(|id| *id != dead).collect()
    };
    LeaderAndIsr {
        leader: state.leader.filter(|id| *id != dead),
        leader_epoch: state.leader_epoch + 1,
        isr,
        ..state.clone()
    }
}
