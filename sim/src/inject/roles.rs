//! Who fills which role, as observed.

use std::collections::BTreeMap;

use models::id::{HostId, ProcessId, TopicPartition};
use models::observation::{Observation, Observed, ZkRole};
use scenarios::deployment::Deployment;
use scenarios::fault::{HostSelector, ProcessSelector};

/// Who fills which role, as observed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roles {
    controller: Option<(i32, ProcessId)>,
    zookeeper_leader: Option<(u32, ProcessId)>,
    leaders: BTreeMap<TopicPartition, (i32, ProcessId)>,
}

impl Roles {
    /// Takes an observation.
    pub(crate) fn observe(&mut self, seen: &Observed) {
        match seen.what {
            Observation::ControllerBegin { epoch } if self.controller.is_none_or(|(newest, _)| epoch >= newest) => {
                self.controller = Some((epoch, seen.process));
            }
            Observation::ZkRole { role: ZkRole::Leading, epoch, .. }
                if self.zookeeper_leader.is_none_or(|(newest, _)| epoch >= newest) =>
            {
                self.zookeeper_leader = Some((epoch, seen.process));
            }
            Observation::LeaderBegin { partition, leader_epoch, .. } => {
                let newest = self.leaders.entry(partition).or_insert((leader_epoch, seen.process));
                if leader_epoch >= newest.0 {
                    *newest = (leader_epoch, seen.process);
                }
            }
            _ => {}
        }
    }

    /// The process that a selector means now; `None` if nobody fills the role.
    pub(crate) fn resolve(&self, selector: ProcessSelector, deployment: &Deployment) -> Option<ProcessId> {
        match selector {
            ProcessSelector::Controller => self.controller.map(|(_, process)| process),
            ProcessSelector::ZooKeeperLeader => self.zookeeper_leader.map(|(_, process)| process),
            ProcessSelector::LeaderOf(partition) => self.leaders.get(&partition).map(|(_, process)| *process),
            fixed => fixed.fixed(deployment),
        }
    }

    pub(super) fn host(&self, selector: HostSelector, deployment: &Deployment) -> Option<HostId> {
        match selector {
            HostSelector::Host(host) => Some(host),
            HostSelector::Of(process) => {
                let process = self.resolve(process, deployment)?;
                deployment.process(process).map(|p| p.host)
            }
        }
    }
}
