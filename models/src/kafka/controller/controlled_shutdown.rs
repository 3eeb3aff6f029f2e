//! `processControlledShutdown` (KAFKA-340, KIP-380): a broker that is about to stop hands its leaderships over and leaves the
//! ISRs before it goes.

use super::KafkaController;
use super::context::{ReplicaGroups, ReplicaState};
use super::election::Strategy;
use super::request_batch::RequestBatch;
use super::thread::{Call, Frame, Guard, Io};
use crate::id::{BrokerId, TopicPartition};
use crate::kafka::protocol::{ErrorCode, Origin, Response};

impl KafkaController {
    /// `doControlledShutdown` up to the elections. Whatever is thrown is answered; a lost fence makes nobody resign here.
    pub(super) fn controlled_shutdown(
        &mut self,
        io: &mut Io<'_, '_>,
        origin: Origin,
        broker: BrokerId,
        broker_epoch: i64,
    ) {
        let refusal = match self.context.live_brokers.get(&broker) {
            _ if !self.is_active() => Some(ErrorCode::StaleControllerEpoch),
            // `liveBrokerIdAndEpochs(id)` throws NoSuchElementException before the existence is looked at.
            None => Some(ErrorCode::UnknownServerError),
            Some(known) if broker_epoch < *known => Some(ErrorCode::StaleBrokerEpoch),
            Some(_) => None,
        };
        if let Some(error) = refusal {
            return self.answer(io, origin, Response::ControlledShutdown(Err(error)));
        }
        self.context.shutting_down.insert(broker);
        let replicated = self.context.partitions().iter().filter_map(|(partition, info)| {
            let leader = info.leadership.as_ref()?.state.leader;
            (info.replicas.len() > 1 && info.replicas.contains(&broker)).then_some((*partition, leader))
        });
        let (led, followed): (Vec<_>, Vec<_>) = replicated.partition(|(_, leader)| *leader == Some(broker));
        let names =
            |list: Vec<(TopicPartition, Option<BrokerId>)>| list.into_iter().map(|(p, _)| p).collect::<Vec<_>>();
        self.thread.push([
            Frame::Call(Call::PartitionsOnline { partitions: names(led), strategy: Strategy::ControlledShutdown }),
            Frame::Call(Call::StopFollowing { broker, partitions: names(followed) }),
            Frame::Call(Call::AnswerControlledShutdown { origin, broker }),
            Frame::Guard(Guard::ControlledShutdown(origin)),
        ]);
    }

    /// What the broker follows it is told to stop following, and it leaves those ISRs.
    pub(super) fn stop_following(&mut self, io: &mut Io<'_, '_>, broker: BrokerId, partitions: Vec<TopicPartition>) {
        let mut batch = RequestBatch::default();
        for partition in &partitions {
            batch.add_stop_replica(&self.context, broker, *partition);
        }
        batch.flush(io.ctx, self.broker, &self.context, &mut self.channels);
        if !partitions.is_empty() {
            let groups = ReplicaGroups::from([(broker, partitions)]);
            self.thread.call(Call::Replicas { groups, target: ReplicaState::Offline });
        }
    }

    /// Which replicated partitions it still leads: the broker asks again until there are none.
    pub(super) fn answer_controlled_shutdown(&mut self, io: &mut Io<'_, '_>, origin: Origin, broker: BrokerId) {
        let led = self.context.partitions().values().filter(|info| {
            info.replicas.len() > 1 && info.leadership.as_ref().is_some_and(|l| l.state.leader == Some(broker))
        });
        let remaining = led.count() as u32;
        self.answer(io, origin, Response::ControlledShutdown(Ok(remaining)));
    }
}
