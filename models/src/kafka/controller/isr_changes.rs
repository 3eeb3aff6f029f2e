//! `processIsrChangeNotification`: before protocol 2.7 leaders write the ISR themselves and name the partitions in a
//! notification node; the controller reads them again and tells everybody.

use super::KafkaController;
use super::failover::{child_names, read_state};
use super::life_cycle::unexpected;
use super::thread::{Call, Failure, Frame, Guard, Io, Results, Then};
use crate::id::TopicPartition;
use crate::kafka::znode::{self, IsrChangeZnode};
use crate::zk::protocol::{ANY_VERSION, Op, OpResult, Path, ZkError};

impl KafkaController {
    /// Lists the notifications, with the watch armed again.
    pub(super) fn read_isr_changes(&mut self, io: &mut Io<'_, '_>) {
        let list = Op::GetChildren { path: znode::ISR_CHANGE_NOTIFICATION.into(), watch: true };
        self.ask(io, vec![list], Then::IsrChangeNames);
    }

    pub(super) fn on_isr_change_names(&mut self, io: &mut Io<'_, '_>, results: &Results) -> Result<(), Failure> {
        let names = child_names(results)?;
        self.thread.push([Frame::Guard(Guard::IsrChanges), Frame::Call(Call::DeleteIsrChanges(names.clone()))]);
        let reads = names.iter().map(|name| Op::GetData { path: child(name), watch: false }).collect();
        self.ask(io, reads, Then::IsrChanges);
        Ok(())
    }

    pub(super) fn on_isr_changes(&mut self, io: &mut Io<'_, '_>, results: &Results) -> Result<(), Failure> {
        let mut partitions: Vec<TopicPartition> = Vec::new();
        for result in results {
            match result {
                Ok(OpResult::Data { data, .. }) => {
                    // What cannot be read names nobody (`IsrChangeNotificationZNode.decode`).
                    let changes: Option<IsrChangeZnode> = znode::decode(data);
                    partitions.extend(changes.iter().flat_map(IsrChangeZnode::partitions));
                }
                Err(ZkError::NoNode) => {}
                other => return Err(unexpected(Some(other))),
            }
        }
        partitions.sort_unstable();
        partitions.dedup();
        if !partitions.is_empty() {
            let reads = partitions.iter().map(|partition| read_state(*partition)).collect();
            self.ask(io, reads, Then::IsrChangeStates(partitions));
        }
        Ok(())
    }

    pub(super) fn on_isr_change_states(
        &mut self,
        io: &mut Io<'_, '_>,
        partitions: Vec<TopicPartition>,
        results: &Results,
    ) -> Result<(), Failure> {
        self.learn_states(&partitions, results)?;
        let everybody = self.context.live_brokers.keys().copied().collect();
        self.send_update_metadata(io, everybody, partitions);
        Ok(())
    }

    /// The notifications that were listed are done with, whatever came of them.
    pub(super) fn delete_isr_changes(&mut self, io: &mut Io<'_, '_>, names: &[Path]) {
        let deletes = names.iter().map(|name| Op::Delete { path: child(name), version: ANY_VERSION }).collect();
        self.ask_fenced(io, deletes, Then::Ignore);
    }
}

fn child(name: &str) -> Path {
    format!("{}/{name}", znode::ISR_CHANGE_NOTIFICATION).into()
}
