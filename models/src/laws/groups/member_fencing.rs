//! G-MEMBER-FENCING-CORRECT: a member that was heard of within its session timeout is not removed for its silence. Static
//! members, whom the catalogue names as well, are not modelled.

use std::collections::BTreeMap;

use super::super::ledger::{Law, Ledger};
use super::super::views::Views;
use crate::id::{Group, MemberId, ProcessId};
use crate::observation::{Observation, RemovalReason};
use crate::time::Instant;

pub(in crate::laws) const SOURCE: &str = "KAFKA-10284; GroupCoordinator.onExpireHeartbeat";

/// When each coordinator heard of each member last.
#[derive(Clone, Debug, Default)]
pub(super) struct MemberFencing {
    heard: BTreeMap<(ProcessId, Group, MemberId), Instant>,
}

impl MemberFencing {
    pub(super) fn observe(&mut self, what: &Observation, views: Views<'_>, ledger: &mut Ledger) {
        match what {
            Observation::MemberHeard { group, member, .. } => {
                self.heard.insert((views.process, group.clone(), *member), views.at);
            }
            Observation::MemberRemoved { group, member, reason } => {
                let heard = self.heard.remove(&(views.process, group.clone(), *member));
                let timeout = views.roster.facts.group(group).map(|facts| facts.session_timeout);
                let (RemovalReason::SessionTimeout, Some(timeout)) = (*reason, timeout) else { return };
                ledger.judged(Law::MemberFencing, 1);
                // Coordinators measure by their own clocks, which drift: a hundredth is far more than any does.
                let Some(heard) = heard.filter(|heard| views.at - *heard < timeout.scaled(99, 100)) else { return };
                ledger.breach(Law::MemberFencing, None, views.at, views.process, || {
                    let what = format!("group {group}: member {member} was removed as silent");
                    (what, format!("it was heard of at {heard}, its session timeout is {timeout}"))
                });
            }
            _ => {}
        }
    }

    pub(super) fn forget(&mut self, process: ProcessId) {
        self.heard.retain(|(coordinator, ..), _| *coordinator != process);
    }
}
