//! `kafka.controller.Election`: who is to lead, as pure functions of an assignment and a state.

use crate::id::{BrokerId, TopicPartition};
use crate::kafka::protocol::LeaderAndIsr;

use super::context::ControllerContext;

/// `PartitionLeaderElectionStrategy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Strategy {
    /// The leader is dead or there never was one.
    Offline,
    /// Back to the first replica of the assignment.
    Preferred,
    /// Away from brokers that are about to stop.
    ControlledShutdown,
}

/// The outcome of an election: the state to be written, and who is to be told by LeaderAndIsr.
pub(super) struct Elected {
    pub(super) state: LeaderAndIsr,
    pub(super) recipients: Vec<BrokerId>,
}

/// Whether the ISR has a member that is online; if not, only an unclean election can help.
pub(super) fn has_live_isr(context: &ControllerContext, partition: TopicPartition, state: &LeaderAndIsr) -> bool {
    state.isr.iter().any(|broker| context.is_online(*broker, partition))
}

/// Elects a leader, or nobody. The leader epoch rises by one; `partition_epoch` stays the one read, which the write expects.
pub(super) fn elect(
    context: &ControllerContext,
    partition: TopicPartition,
    state: &LeaderAndIsr,
    strategy: Strategy,
    unclean: bool,
) -> Option<Elected> {
    let replicas = &context.partition(partition)?.replicas;
    let online = |broker: &BrokerId| context.is_online(*broker, partition);
    let live: Vec<BrokerId> = replicas.iter().copied().filter(online).collect();
    let epoch = state.leader_epoch + 1;
    match strategy {
        Strategy::Offline => {
            if let Some(leader) = live.iter().copied().find(|broker| state.isr.contains(broker)) {
                let isr = state.isr.iter().copied().filter(online).collect();
                let state = LeaderAndIsr { leader: Some(leader), leader_epoch: epoch, isr, ..state.clone() };
                return Some(Elected { state, recipients: live });
            }
            let leader = *live.first().filter(|_| unclean)?;
            // KIP-704: the leader recovers alone before anybody joins it.
            let state = LeaderAndIsr {
                leader: Some(leader),
                leader_epoch: epoch,
                isr: [leader].into(),
                recovering: true,
                ..state.clone()
            };
            Some(Elected { state, recipients: live })
        }
        Strategy::ControlledShutdown => {
            let there = |broker: &BrokerId| context.is_online_or_shutting_down(*broker, partition);
            let recipients: Vec<BrokerId> = replicas.iter().copied().filter(there).collect();
            let stays = |broker: &BrokerId| !context.shutting_down.contains(broker);
            let leader = recipients.iter().copied().find(|broker| state.isr.contains(broker) && stays(broker))?;
            let isr = state.isr.iter().copied().filter(stays).collect();
            let state = LeaderAndIsr { leader: Some(leader), leader_epoch: epoch, isr, ..state.clone() };
            Some(Elected { state, recipients })
        }
        Strategy::Preferred => {
            let preferred = *replicas.first()?;
            let state = (online(&preferred) && state.isr.contains(&preferred)).then(|| LeaderAndIsr {
                leader: Some(preferred),
                leader_epoch: epoch,
                ..state.clone()
            })?;
            Some(Elected { state, recipients: replicas.to_vec() })
        }
    }
}
