//! What a run has met: whether its faults had an effect worth the name.

use super::gate::is_unclean;
use super::store_view::StoreEvent;
use crate::observation::Observation;

/// Events that a run has met since start-up was over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// ZooKeeper had a serving leader and then had none.
    pub zookeeper_quorum_lost: bool,
    /// The session of a registered broker expired.
    pub session_expired: bool,
    /// Another controller epoch was stored.
    pub controller_changed: bool,
    /// A partition got another leader.
    pub leader_moved: bool,
    /// An ISR lost a member.
    pub isr_shrunk: bool,
    /// A leader from outside the ISR was elected.
    pub unclean_election: bool,
    /// A replica cut records off.
    pub truncation: bool,
    /// A crash took something that had been written.
    pub lossy_restart: bool,
    /// A producer could not tell whether its record was written.
    pub ambiguous_write: bool,
}

impl Coverage {
    /// Every flag with its name.
    pub fn flags(&self) -> [(&'static str, bool); 9] {
        [
            ("zookeeper quorum lost", self.zookeeper_quorum_lost),
            ("session expired", self.session_expired),
            ("controller changed", self.controller_changed),
            ("leader moved", self.leader_moved),
            ("ISR shrunk", self.isr_shrunk),
            ("unclean election", self.unclean_election),
            ("truncation", self.truncation),
            ("lossy restart", self.lossy_restart),
            ("ambiguous write", self.ambiguous_write),
        ]
    }

    pub(super) fn on_observation(&mut self, what: &Observation) {
        match what {
            Observation::Truncate { from, to, .. } => self.truncation |= from > to,
            Observation::Down { lossy, .. } => self.lossy_restart |= lossy,
            Observation::SendUnknown { .. } => self.ambiguous_write = true,
            _ => {}
        }
    }

    pub(super) fn on_store_event(&mut self, event: &StoreEvent) {
        match event {
            StoreEvent::PartitionState { before: Some(before), now, .. } => {
                self.leader_moved |= now.leader.is_some() && now.leader != before.leader;
                self.isr_shrunk |= now.isr.len() < before.isr.len();
                self.unclean_election |= is_unclean(Some(before), now);
            }
            StoreEvent::ControllerEpoch => self.controller_changed = true,
            StoreEvent::BrokerSessionExpired => self.session_expired = true,
            _ => {}
        }
    }

    /// Whether ZooKeeper had a serving leader before and after a change.
    pub(super) fn on_zk_leadership(&mut self, before: bool, after: bool) {
        self.zookeeper_quorum_lost |= before && !after;
    }
}
