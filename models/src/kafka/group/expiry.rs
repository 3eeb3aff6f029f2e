//! What time alone does to groups: sessions, joins, ids that nobody came back with, shares that nobody asked for.

use super::state::{JoinWait, Phase};
use super::{GroupCoordinator, Host};
use crate::id::Group;
use crate::observation::RemovalReason;
use crate::time::{Instant, Span};

impl GroupCoordinator {
    /// Does what is due in every group.
    pub(super) fn expire(&mut self, host: &mut Host<'_, '_>) {
        let now = host.ctx.now;
        let due = self.groups.iter().filter(|(_, group)| group.next_deadline().is_some_and(|at| at <= now));
        for name in due.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.expire_sessions(host, &name);
            self.expire_pending(host, &name);
            self.expire_sync(host, &name);
            self.expire_join(host, &name);
        }
    }

    /// `onExpireHeartbeat`.
    fn expire_sessions(&mut self, host: &mut Host<'_, '_>, name: &Group) {
        let now = host.ctx.now;
        let Some(group) = self.groups.get(name) else { return };
        let silent = group.members.iter().filter(|(_, member)| member.expires().is_some_and(|at| at <= now));
        for id in silent.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.remove_member(host, name, id, RemovalReason::SessionTimeout);
        }
    }

    fn expire_pending(&mut self, host: &mut Host<'_, '_>, name: &Group) {
        let now = host.ctx.now;
        let Some(group) = self.groups.get_mut(name) else { return };
        let before = group.pending.len();
        group.pending.retain(|_, until| *until > now);
        if group.pending.len() < before {
            self.maybe_complete_join(host, name);
        }
    }

    /// `onExpirePendingSync` (KAFKA-12890): without it a group would wait for ever for a leader whose request was lost.
    fn expire_sync(&mut self, host: &mut Host<'_, '_>, name: &Group) {
        let now = host.ctx.now;
        let Some(group) = self.groups.get_mut(name).filter(|g| g.sync_until.is_some_and(|at| at <= now)) else {
            return;
        };
        group.sync_until = None;
        for id in group.unsynced() {
            self.remove_member(host, name, id, RemovalReason::NotSynced);
        }
    }

    /// `DelayedJoin.onComplete`, `InitialDelayedJoin.onComplete`: the initial delay is prolonged while members arrive.
    fn expire_join(&mut self, host: &mut Host<'_, '_>, name: &Group) {
        let now = host.ctx.now;
        let Some(group) = self.groups.get_mut(name) else { return };
        let Phase::PreparingRebalance(JoinWait { until, extension }) = group.phase else { return };
        if until > now {
            return;
        }
        match extension {
            Some(left) if left > Span::ZERO && group.new_member_added => {
                group.new_member_added = false;
                let delay = Span::from_ms(self.config.group_initial_rebalance_delay_ms.into()).min(left);
                let wait = prolonged(now, delay, left);
                group.phase = Phase::PreparingRebalance(wait);
            }
            _ => self.complete_join(host, name),
        }
    }
}

fn prolonged(now: Instant, delay: Span, left: Span) -> JoinWait {
    JoinWait { until: now + delay, extension: Some(left.saturating_sub(delay)) }
}
