//! G-MEMBER-FENCING-CORRECT: a member that was heard of within its session timeout is not removed for its silence. Static
//! members, whom the catalogue names as well, are not modelled.
//!
//! Silence lasts as long as the coordinator's own clock says: a heartbeat expires by `System.nanoTime` of its host
//! (`SystemTimer.add`), and nobody promises members that this clock keeps true time. That one whole clock is too fast or too
//! slow excuses nothing else: when somebody was heard of is what was observed then, not what the coordinator remembers.

use std::collections::BTreeMap;

use super::super::ledger::{Law, Ledger};
use super::super::views::Views;
use crate::id::{Group, MemberId, ProcessId};
use crate::observation::{Observation, RemovalReason};
use crate::time::{Instant, Span};

pub(in crate::laws) const SOURCE: &str = "KAFKA-10284; GroupCoordinator.onExpireHeartbeat, DelayedHeartbeat";

/// `Time.hiResClockMs` counts whole milliseconds: of both moments the fraction is cut off.
const RESOLUTION: Span = Span::from_ms(1);

/// When each coordinator heard of each member last, by its own clock.
#[derive(Clone, Debug, Default)]
pub(super) struct MemberFencing {
    heard: BTreeMap<(ProcessId, Group, MemberId), Instant>,
}

impl MemberFencing {
    pub(super) fn observe(&mut self, what: &Observation, views: Views<'_>, ledger: &mut Ledger) {
        match what {
            Observation::MemberHeard { group, member, clock, .. } => {
                self.heard.insert((views.process, group.clone(), *member), *clock);
            }
            Observation::MemberRemoved { group, member, reason, clock } => {
                let heard = self.heard.remove(&(views.process, group.clone(), *member));
                let timeout = views.roster.facts.group(group).map(|facts| facts.session_timeout);
                let (RemovalReason::SessionTimeout, Some(timeout)) = (*reason, timeout) else { return };
                ledger.judged(Law::MemberFencing, 1);
                let Some(heard) = heard.filter(|heard| *clock - *heard + RESOLUTION <= timeout) else { return };
                ledger.breach(Law::MemberFencing, None, views.at, views.process, || {
                    let silent = *clock - heard;
                    let what = format!("group {group}: member {member} was removed as silent");
                    (what, format!("it was heard of {silent} before by the coordinator's clock, its session timeout is {timeout}"))
                });
            }
            _ => {}
        }
    }

    pub(super) fn forget(&mut self, process: ProcessId) {
        self.heard.retain(|(coordinator, ..), _| *coordinator != process);
    }
}
