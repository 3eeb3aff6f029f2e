//! `processAlterPartition` (KIP-497): leaders ask, the controller checks against its cache and writes.

use std::collections::BTreeMap;

use super::KafkaController;
use super::failover::read_state;
use super::partition_state_machine::write_state;
use super::thread::{Failure, Frame, Guard, Io, Results, Then, absorb};
use crate::defect::Defect;
use crate::id::{BrokerId, TopicPartition};
use crate::kafka::protocol::{
    AlterPartitionItem, AlterPartitionRequest, AlterPartitionResponse, ErrorCode, LeaderAndIsr, Origin, Response,
};
use crate::zk::protocol::{OpResult, ZkError};

/// A request in progress.
#[derive(Clone, Debug, Hash)]
pub(super) struct Alteration {
    origin: Origin,
    answers: BTreeMap<TopicPartition, Result<LeaderAndIsr, ErrorCode>>,
    writes: Vec<(TopicPartition, LeaderAndIsr)>,
    /// Partitions that are to be read again.
    written: Vec<TopicPartition>,
    /// Writes that met another version: another's, or that of their own first attempt.
    unclear: Vec<(TopicPartition, LeaderAndIsr)>,
}

impl KafkaController {
    /// `tryProcessAlterPartition` up to the writes.
    pub(super) fn alter_partition(&mut self, io: &mut Io<'_, '_>, origin: Origin, request: &AlterPartitionRequest) {
        let refusal = if !self.takes_itself_for_active() {
            Some(ErrorCode::NotController)
        } else if self.context.live_brokers.get(&request.broker) != Some(&request.broker_epoch) {
            Some(ErrorCode::StaleBrokerEpoch)
        } else {
            None
        };
        if let Some(error) = refusal {
            let response = AlterPartitionResponse { error, partitions: Vec::new() };
            return self.answer(io, origin, Response::AlterPartition(response));
        }
        let mut alteration = Alteration {
            origin,
            answers: BTreeMap::new(),
            writes: Vec::new(),
            written: Vec::new(),
            unclear: Vec::new(),
        };
        for item in &request.partitions {
            match self.judge(request.broker, item) {
                Judgement::Write(state) => alteration.writes.push((item.partition, state)),
                Judgement::Answer(answer) => {
                    alteration.answers.insert(item.partition, answer);
                }
            }
        }
        let epoch = self.context.epoch;
        let ops = alteration.writes.iter().map(|(partition, state)| write_state(*partition, state, epoch)).collect();
        // Everything is caught here, a lost fence too: a zombie does not resign on an AlterPartition.
        self.thread.push([Frame::Guard(Guard::AlterPartition(origin))]);
        self.ask_fenced(io, ops, Then::AlterWrites(alteration));
    }

    fn judge(&self, leader: BrokerId, item: &AlterPartitionItem) -> Judgement {
        let refuse = |error| Judgement::Answer(Err(error));
        let Some(leadership) = self.context.leadership(item.partition) else {
            return refuse(ErrorCode::UnknownTopicOrPartition);
        };
        let current = &leadership.state;
        let wished = LeaderAndIsr {
            leader: Some(leader),
            leader_epoch: item.leader_epoch,
            isr: item.new_isr.clone(),
            partition_epoch: item.partition_epoch,
            recovering: item.recovering,
        };
        if wished.partition_epoch > current.partition_epoch || wished.leader_epoch > current.leader_epoch {
            // The leader has heard of a newer controller than this one.
            return refuse(ErrorCode::NotController);
        }
        if wished.leader_epoch < current.leader_epoch {
            return refuse(ErrorCode::FencedLeaderEpoch);
        }
        if wished == (LeaderAndIsr { partition_epoch: wished.partition_epoch, ..current.clone() }) {
            // `equalsAllowStalePartitionEpoch`: a retry of what has been done.
            return Judgement::Answer(Ok(current.clone()));
        }
        if wished.partition_epoch < current.partition_epoch {
            return refuse(ErrorCode::InvalidUpdateVersion);
        }
        if wished.recovering && (wished.isr.len() > 1 || !current.recovering) {
            return refuse(ErrorCode::InvalidRequest);
        }
        if wished.isr.iter().any(|broker| !self.context.is_live(*broker)) {
            return refuse(ErrorCode::IneligibleReplica);
        }
        Judgement::Write(wished)
    }

    pub(super) fn on_alter_writes(
        &mut self,
        io: &mut Io<'_, '_>,
        mut alteration: Alteration,
        outcome: Result<Results, Failure>,
    ) -> Result<(), Failure> {
        let results = absorb(outcome, alteration.writes.len())?;
        for ((partition, mut state), result) in std::mem::take(&mut alteration.writes).into_iter().zip(results) {
            let answer = match result {
                Ok(OpResult::Stat(stat)) => {
                    state.partition_epoch = stat.version;
                    alteration.written.push(partition);
                    Ok(state)
                }
                Err(ZkError::BadVersion) if !self.defects.has(Defect::OwnWriteTakenForConflict) => {
                    alteration.written.push(partition);
                    alteration.unclear.push((partition, state));
                    continue;
                }
                Err(ZkError::BadVersion) => Err(ErrorCode::InvalidUpdateVersion),
                // `Errors.forException` knows no KeeperException.
                _ => Err(ErrorCode::UnknownServerError),
            };
            alteration.answers.insert(partition, answer);
        }
        let reads = alteration.written.iter().map(|p| read_state(*p)).collect();
        self.ask(io, reads, Then::AlterRefresh(alteration));
        Ok(())
    }

    /// The cache is refreshed from ZooKeeper, everybody gets UpdateMetadata, the leader its answer. LeaderAndIsr is not sent.
    pub(super) fn on_alter_refresh(
        &mut self,
        io: &mut Io<'_, '_>,
        mut alteration: Alteration,
        results: &Results,
    ) -> Result<(), Failure> {
        self.learn_states(&alteration.written, results)?;
        for (partition, wished) in std::mem::take(&mut alteration.unclear) {
            // The first answer was lost with the connection, and the repeated write met the version that the first had made.
            let stored = self.context.leadership(partition).map(|leadership| leadership.state.clone());
            let own =
                stored.filter(|stored| LeaderAndIsr { partition_epoch: stored.partition_epoch, ..wished } == *stored);
            alteration.answers.insert(partition, own.ok_or(ErrorCode::InvalidUpdateVersion));
        }
        let everybody = self.context.live_brokers.keys().copied().collect();
        self.send_update_metadata(io, everybody, alteration.answers.keys().copied().collect());
        let response =
            AlterPartitionResponse { error: ErrorCode::None, partitions: alteration.answers.into_iter().collect() };
        self.answer(io, alteration.origin, Response::AlterPartition(response));
        Ok(())
    }

    pub(super) fn answer_alter_partition_failed(&mut self, io: &mut Io<'_, '_>, origin: Origin) {
        let response = AlterPartitionResponse { error: ErrorCode::UnknownServerError, partitions: Vec::new() };
        self.answer(io, origin, Response::AlterPartition(response));
    }
}

enum Judgement {
    Write(LeaderAndIsr),
    Answer(Result<LeaderAndIsr, ErrorCode>),
}
