//! `processLogDirEventNotification`: a broker has lost a log directory. Which replicas were in it, the controller learns from
//! the errors in the broker's answers to LeaderAndIsr.

use serde::{Deserialize, Serialize};

use super::KafkaController;
use super::context::ReplicaState;
use super::thread::{Call, Failure, Frame, Io, Results, Then};
use crate::id::BrokerId;
use crate::kafka::znode;
use crate::zk::protocol::{ANY_VERSION, Op, OpResult, Path};

/// Content of `/log_dir_event_notification/log_dir_event_N`.
#[derive(Serialize, Deserialize)]
struct LogDirEventZnode {
    version: u32,
    broker: i32,
    event: u32,
}

/// The notification of a broker (`propagateLogDirEvent`), to be created in sequence.
pub(in crate::kafka) fn log_dir_event(broker: BrokerId) -> Op {
    // 1 is "a directory failed"; there is no other event.
    let data = znode::encode(&LogDirEventZnode { version: 1, broker: broker.0, event: 1 });
    let path = format!("{}/log_dir_event_", znode::LOG_DIR_EVENT_NOTIFICATION).into();
    Op::Create { path, data, mode: crate::zk::protocol::CreateMode::PersistentSequential }
}

impl KafkaController {
    pub(super) fn read_log_dir_events(&mut self, io: &mut Io<'_, '_>) {
        let list = Op::GetChildren { path: znode::LOG_DIR_EVENT_NOTIFICATION.into(), watch: true };
        self.ask(io, vec![list], Then::LogDirEvents);
    }

    pub(super) fn on_log_dir_events(&mut self, io: &mut Io<'_, '_>, results: &Results) -> Result<(), Failure> {
        let names = super::failover::child_names(results)?;
        let paths: Vec<Path> =
            names.iter().map(|name| format!("{}/{name}", znode::LOG_DIR_EVENT_NOTIFICATION).into()).collect();
        let reads = paths.iter().map(|path| Op::GetData { path: path.clone(), watch: false }).collect();
        self.ask(io, reads, Then::LogDirEventBrokers(paths));
        Ok(())
    }

    /// `onBrokerLogDirFailure`: LeaderAndIsr, with nothing new in it, for every replica of those brokers.
    pub(super) fn on_log_dir_event_brokers(&mut self, paths: Vec<Path>, results: &Results) {
        let broker = |data| znode::decode::<LogDirEventZnode>(data).map(|content| BrokerId(content.broker));
        let brokers = results.iter().filter_map(|result| match result {
            Ok(OpResult::Data { data, .. }) => broker(data),
            _ => None,
        });
        let groups = self.context.replicas_on(&brokers.collect());
        // The notifications are deleted in a `finally`.
        self.thread.push([
            Frame::Call(Call::Replicas { groups, target: ReplicaState::Online }),
            Frame::Call(Call::DeleteLogDirEvents(paths)),
        ]);
    }

    pub(super) fn delete_log_dir_events(&mut self, io: &mut Io<'_, '_>, paths: Vec<Path>) {
        let deletes = paths.into_iter().map(|path| Op::Delete { path, version: ANY_VERSION }).collect();
        self.ask_fenced(io, deletes, Then::Ignore);
    }
}
