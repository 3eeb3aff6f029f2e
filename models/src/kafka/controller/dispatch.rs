//! Which method handles an event, a call of the stack, or an answer of ZooKeeper.

use super::KafkaController;
use super::broker_changes::BrokersFor;
use super::thread::{Call, Event, Failure, Frame, Io, Results, Then};
use crate::kafka::protocol::ErrorCode;
use crate::kafka::znode;
use crate::zk::protocol::Op;

impl KafkaController {
    /// `KafkaController.process`.
    pub(super) fn begin(&mut self, io: &mut Io<'_, '_>, event: Event) -> Result<(), Failure> {
        match event {
            Event::Startup => {
                let arm = Op::Exists { path: znode::CONTROLLER.into(), watch: true };
                self.ask(io, vec![arm], Then::StartupWatchArmed);
            }
            Event::ControllerChange => self.follow_controller_change(),
            Event::Reelect => self.thread.push([Frame::Call(Call::MaybeResign), Frame::Call(Call::Elect)]),
            Event::RegisterBrokerAndReelect => self.register(io),
            // `ControllerEpochListener`, only with `Defect::ZombieAdoptsNewEpoch`.
            Event::ControllerEpochChange => {
                if self.acts() {
                    self.read_new_epoch(io);
                }
            }
            Event::Expire => {
                self.thread.expire_pending = false;
                self.set_active_controller(io, None);
                self.resign(io);
            }
            Event::AlterPartition { origin, request } => self.alter_partition(io, origin, &request),
            Event::AllocateProducerIds { origin, broker, broker_epoch } => {
                self.allocate_producer_ids(io, origin, broker, broker_epoch);
            }
            Event::ControlledShutdown { origin, broker, broker_epoch } => {
                self.controlled_shutdown(io, origin, broker, broker_epoch);
            }
            // Everything below is for the active controller only.
            _ if !self.takes_itself_for_active() => {}
            Event::BrokerChange => self.read_brokers(io, BrokersFor::Change),
            Event::TopicChange => {
                let list = Op::GetChildren { path: znode::TOPICS.into(), watch: true };
                self.ask(io, vec![list], Then::Topics);
            }
            Event::IsrChangeNotification => self.read_isr_changes(io),
            Event::LogDirEventNotification => self.read_log_dir_events(io),
            Event::LeaderAndIsrResponse { broker, error, partitions } => {
                if error == ErrorCode::None {
                    self.leader_and_isr_answered(broker, &partitions);
                }
            }
            Event::AutoPreferredReplicaLeaderElection => self.rebalance(),
        }
        Ok(())
    }

    pub(super) fn call(&mut self, io: &mut Io<'_, '_>, call: Call) -> Result<(), Failure> {
        match call {
            Call::MaybeResign => self.maybe_resign(io),
            Call::Elect => self.elect(io),
            Call::ElectIfVacant => self.elect_if_vacant(),
            Call::FollowEpoch => self.read_new_epoch(io),
            Call::RemoveInertController => self.remove_inert_controller(io),
            Call::TriggerControllerMove => self.trigger_controller_move(io),
            Call::Failover(step) => self.failover_ask(io, step),
            Call::ReplicaStateMachineStartup => self.replica_state_machine_startup(),
            Call::PartitionStateMachineStartup => self.partition_state_machine_startup(),
            Call::BrokerStartup(brokers) => self.broker_startup(io, brokers),
            Call::BrokerFailure(brokers) => self.broker_failure(&brokers),
            Call::ReplicasBecomeOffline(groups) => self.replicas_become_offline(groups),
            Call::UpdateMetadataUnlessElected => self.update_metadata_unless_elected(io),
            Call::TriggerOnlinePartitions => self.trigger_online_partitions(),
            Call::PartitionsOnline { partitions, strategy } => self.partitions_online(&partitions, strategy),
            Call::Initialize(partitions) => self.initialize_partitions(io, &partitions),
            Call::ElectLeaders { partitions, strategy } => self.elect_leaders(io, partitions, strategy),
            Call::FlushPartitionBatch => self.flush_partition_batch(io),
            Call::Replicas { groups, target } => self.change_replicas(io, groups, target),
            Call::RemoveFromIsr { broker, partitions } => self.remove_from_isr(broker, partitions),
            Call::RemovalRound(removal) => self.removal_round(io, removal),
            Call::FlushReplicaBatch => self.flush_replica_batch(io),
            Call::Rebalance { broker, partitions } => self.rebalance_broker(broker, &partitions),
            Call::ScheduleRebalance => self.schedule_rebalance(io, self.rebalance_interval()),
            Call::DeleteIsrChanges(names) => self.delete_isr_changes(io, &names),
            Call::ReadProducerIdBlock { origin, broker } => self.read_producer_id_block(io, origin, broker),
            Call::StopFollowing { broker, partitions } => self.stop_following(io, broker, partitions),
            Call::AnswerControlledShutdown { origin, broker } => self.answer_controlled_shutdown(io, origin, broker),
            Call::DeleteLogDirEvents(paths) => self.delete_log_dir_events(io, paths),
        }
        Ok(())
    }

    /// Goes on where the thread blocked.
    pub(super) fn resume(
        &mut self,
        io: &mut Io<'_, '_>,
        then: Then,
        outcome: Result<Results, Failure>,
    ) -> Result<(), Failure> {
        match then {
            Then::StartupWatchArmed => {
                outcome?;
                self.thread.call(Call::Elect);
                Ok(())
            }
            Then::Registered => {
                outcome?;
                self.reelect_in_new_session(io);
                Ok(())
            }
            Then::Ignore => outcome.map(drop),
            Then::ResignWatchArmed { was_active } => self.on_resign_watch_armed(io, was_active, &outcome?),
            Then::ResignRead { was_active } => self.on_resign_read(io, was_active, &outcome?),
            Then::ElectRead => self.on_elect_read(io, &outcome?),
            Then::EpochAdopted => self.on_new_epoch_read(&outcome?),
            Then::EpochRead => self.on_epoch_read(io, &outcome?),
            Then::EpochCreated => self.on_epoch_created(io, &outcome?),
            Then::ElectionDone { epoch } => self.on_election_done(io, epoch, &outcome?),
            Then::VerifyController { epoch } => self.on_verify_controller(io, epoch, &outcome?),
            Then::VerifyEpoch { epoch } => self.on_verify_epoch(io, epoch, &outcome?),
            Then::InertEpochRead => self.on_inert_epoch_read(io, &outcome?),
            Then::InertControllerRead { epoch_version } => self.on_inert_controller_read(io, epoch_version, &outcome?),
            Then::MoveRead => self.on_move_read(io, &outcome?),
            Then::Failover(step) => self.on_failover(io, step, outcome?),
            Then::BrokerIds(purpose) => self.on_broker_ids(io, purpose, &outcome?),
            Then::Brokers(purpose, ids) => self.on_brokers(io, purpose, &ids, &outcome?),
            Then::Topics => self.on_topics(io, &outcome?),
            Then::IsrChangeNames => self.on_isr_change_names(io, &outcome?),
            Then::IsrChanges => self.on_isr_changes(io, &outcome?),
            Then::IsrChangeStates(partitions) => self.on_isr_change_states(io, partitions, &outcome?),
            Then::LogDirEvents => self.on_log_dir_events(io, &outcome?),
            Then::LogDirEventBrokers(paths) => {
                self.on_log_dir_event_brokers(paths, &outcome?);
                Ok(())
            }
            Then::NewTopics(topics) => self.on_new_topics(&topics, &outcome?),
            Then::InitTopics(init) => self.on_init_topics(io, init, outcome),
            Then::InitPartitions(init) => self.on_init_partitions(io, init, outcome),
            Then::InitStates(init) => self.on_init_states(init, outcome),
            Then::ElectionStates { partitions, strategy } => {
                self.on_election_states(io, &partitions, strategy, outcome)
            }
            Then::ElectionConfigs { valid, topics } => self.on_election_configs(io, valid, &topics, outcome),
            Then::ElectionWrites { writes } => self.on_election_writes(writes, outcome),
            Then::RemovalStates(removal) => self.on_removal_states(io, removal, outcome),
            Then::RemovalWrites(removal) => self.on_removal_writes(removal, outcome),
            Then::AlterWrites(alteration) => self.on_alter_writes(io, alteration, outcome),
            Then::AlterRefresh(alteration) => self.on_alter_refresh(io, alteration, &outcome?),
            Then::ProducerIdBlockRead { origin, broker } => {
                self.on_producer_id_block_read(io, origin, broker, &outcome?)
            }
            Then::ProducerIdBlockWritten { origin, broker, start } => {
                self.on_producer_id_block_written(io, origin, broker, start, &outcome?)
            }
        }
    }
}
