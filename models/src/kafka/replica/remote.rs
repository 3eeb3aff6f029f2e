//! `Replica`: what a leader knows of a follower.

use super::session::FetchSessions;
use crate::id::BrokerId;
use crate::time::{Instant, Span};

/// A follower as its leader knows it. `None` stands for -1 (offset) and 0 (times).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RemoteReplica {
    pub(super) id: BrokerId,
    /// Its LEO: the offset that it fetched last.
    pub(super) log_end: Option<u64>,
    /// Its first offset.
    pub(super) log_start: u64,
    last_fetch_leader_log_end: u64,
    last_fetch: Option<Instant>,
    last_caught_up: Option<Instant>,
    /// Set while the partition is quiet in this session: each fetch of the session is one at the log's end.
    pub(super) quiet_in: Option<u32>,
}

impl RemoteReplica {
    /// A follower of which nothing is known.
    pub(super) fn new(id: BrokerId) -> Self {
        Self {
            id,
            log_end: None,
            log_start: 0,
            last_fetch_leader_log_end: 0,
            last_fetch: None,
            last_caught_up: None,
            quiet_in: None,
        }
    }

    /// A new leader epoch began at `epoch_start` (`Replica.resetReplicaState`): its members count as caught up now. What a
    /// leader knew of positions stays only if it led before too.
    pub(super) fn reset(&mut self, now: Instant, epoch_start: u64, new_leadership: bool, in_sync: bool) {
        self.quiet_in = None;
        self.last_caught_up = in_sync.then_some(now);
        if new_leadership {
            self.log_end = None;
            self.last_fetch_leader_log_end = 0;
            self.last_fetch = None;
        } else {
            self.last_fetch_leader_log_end = epoch_start;
            self.last_fetch = in_sync.then_some(now);
        }
    }

    /// Takes over what the session remembered for a quiet partition, whose end is `log_end`.
    pub(super) fn settle(&mut self, sessions: &FetchSessions, log_end: u64) {
        let Some(session) = self.quiet_in.take().and_then(|id| sessions.get(id)) else { return };
        self.last_fetch = Some(session.last_fetch);
        self.last_fetch_leader_log_end = log_end;
        self.last_caught_up = self.last_caught_up.max(self.last_fetch);
    }

    /// It fetched from `offset` (`Replica.updateFetchState`).
    pub(super) fn on_fetch(&mut self, now: Instant, offset: u64, leader_log_end: u64) {
        if offset >= leader_log_end {
            self.last_caught_up = self.last_caught_up.max(Some(now));
        } else if offset >= self.last_fetch_leader_log_end {
            // It has by now what the leader had when it fetched last.
            self.last_caught_up = self.last_caught_up.max(self.last_fetch);
        }
        self.log_end = Some(offset);
        self.last_fetch_leader_log_end = leader_log_end;
        self.last_fetch = Some(now);
    }

    /// Whether it holds all, or did so within `lag` (`ReplicaState.isCaughtUp`).
    pub(super) fn is_caught_up(&self, now: Instant, lag: Span, leader_log_end: u64, sessions: &FetchSessions) -> bool {
        if self.log_end == Some(leader_log_end) {
            return true;
        }
        self.caught_up_at(sessions).is_some_and(|at| now - at <= lag)
    }

    /// When it last held all (`lastCaughtUpTimeMs`).
    pub(super) fn caught_up_at(&self, sessions: &FetchSessions) -> Option<Instant> {
        let quiet = self.quiet_in.and_then(|id| sessions.get(id)).map(|session| session.last_fetch);
        self.last_caught_up.max(quiet)
    }
}
