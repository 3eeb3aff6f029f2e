//! `SessionTrackerImpl` over `ExpiryQueue`: who expires when, kept by the leader; and the owner of each session.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{ConnId, SessionId, Sid};
use crate::time::{Instant, Span};
use crate::zk::protocol::ZkError;

/// Where a session's requests come from: the leader itself, or the learner at the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    /// `ServerCnxn.me`.
    Me,
    /// The `LearnerHandler`.
    Learner(ConnId),
}

/// A session that falls due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expired {
    pub(super) session: SessionId,
    pub(super) timeout: Span,
    /// Since its last contact that the leader learned of.
    pub(super) silent: Span,
}

#[derive(Clone, Debug, Hash)]
struct Tracked {
    timeout: Span,
    touched: Instant,
    expires: Instant,
    closing: bool,
    /// Unknown until the first request under this leader.
    owner: Option<Owner>,
}

/// See the module.
#[derive(Clone, Debug, Hash)]
pub(super) struct SessionTracker {
    interval: Span,
    sessions: BTreeMap<SessionId, Tracked>,
    buckets: BTreeMap<Instant, BTreeSet<SessionId>>,
}

impl SessionTracker {
    /// A new leader gives every session a full timeout.
    pub(super) fn new(interval: Span, sessions: &BTreeMap<SessionId, Span>, now: Instant) -> Self {
        let mut tracker = Self { interval, sessions: BTreeMap::new(), buckets: BTreeMap::new() };
        for (session, timeout) in sessions {
            tracker.track(*session, *timeout, now);
        }
        tracker
    }

    /// `trackSession`: adds the session if it is new, and touches it.
    pub(super) fn track(&mut self, session: SessionId, timeout: Span, now: Instant) {
        let expires = round_up(now + timeout, self.interval);
        if let std::collections::btree_map::Entry::Vacant(entry) = self.sessions.entry(session) {
            entry.insert(Tracked { timeout, touched: now, expires, closing: false, owner: None });
            self.buckets.entry(expires).or_default().insert(session);
        } else {
            self.touch(session, timeout, now);
        }
    }

    /// Whether the session lives; if so it lives on.
    pub(super) fn touch(&mut self, session: SessionId, timeout: Span, now: Instant) -> bool {
        let Some(tracked) = self.sessions.get_mut(&session).filter(|tracked| !tracked.closing) else { return false };
        let expires = round_up(now + timeout, self.interval);
        (tracked.timeout, tracked.touched) = (timeout, now);
        if expires != tracked.expires {
            let before = std::mem::replace(&mut tracked.expires, expires);
            self.leave(before, session);
            self.buckets.entry(expires).or_default().insert(session);
        }
        true
    }

    /// Marks a session; from now on it counts as expired, though its nodes go only when its close is committed.
    pub(super) fn set_closing(&mut self, session: SessionId) {
        if let Some(tracked) = self.sessions.get_mut(&session) {
            tracked.closing = true;
        }
    }

    pub(super) fn remove(&mut self, session: SessionId) {
        if let Some(tracked) = self.sessions.remove(&session) {
            self.leave(tracked.expires, session);
        }
    }

    pub(super) fn set_owner(&mut self, session: SessionId, owner: Owner) {
        if let Some(tracked) = self.sessions.get_mut(&session) {
            tracked.owner = Some(owner);
        }
    }

    /// `checkSession`: whether a request of the session may come this way.
    pub(super) fn check(&mut self, session: SessionId, owner: Owner) -> Result<(), ZkError> {
        match self.sessions.get_mut(&session) {
            Some(tracked) if !tracked.closing => match tracked.owner {
                Some(known) if known != owner => Err(ZkError::SessionMoved),
                _ => {
                    tracked.owner = Some(owner);
                    Ok(())
                }
            },
            _ => Err(ZkError::SessionExpired),
        }
    }

    /// When the next bucket falls due.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.buckets.keys().next().copied()
    }

    /// Takes the sessions whose bucket is due, and marks them as closing.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Expired> {
        let mut due: Vec<SessionId> = Vec::new();
        while let Some(entry) = self.buckets.first_entry()
            && *entry.key() <= now
        {
            due.extend(entry.remove());
        }
        // Closing ones have their close under way already.
        let mut expired = Vec::new();
        for session in due {
            if let Some(tracked) = self.sessions.get_mut(&session).filter(|tracked| !tracked.closing) {
                tracked.closing = true;
                let (timeout, silent) = (tracked.timeout, now.since(tracked.touched));
                expired.push(Expired { session, timeout, silent });
            }
        }
        expired
    }

    fn leave(&mut self, bucket: Instant, session: SessionId) {
        if let Some(members) = self.buckets.get_mut(&bucket) {
            members.remove(&session);
            if members.is_empty() {
                self.buckets.remove(&bucket);
            }
        }
    }
}

/// `ExpiryQueue.roundToNextInterval`: always later than `at`.
pub(super) fn round_up(at: Instant, interval: Span) -> Instant {
    Instant::from_ns((at.as_ns() / interval.as_ns() + 1) * interval.as_ns())
}

/// `initializeNextSessionId`: the server in the top byte, then milliseconds of `Time.currentElapsedTime`, the monotonic clock, then
/// room for a counter.
pub(super) fn first_session_id(sid: Sid, elapsed: Instant) -> u64 {
    (elapsed.as_ms() << 24 >> 8) & 0x00ff_ffff_ffff_ffff | u64::from(sid.0) << 56
}

#[test]
fn a_session_expires_between_its_timeout_and_one_interval_later() {
    let at = |ms: u64| Instant::from_ns(ms * 1_000_000);
    let tick = Span::from_ms(2000);
    for (touched, due) in [(0, 20_000), (1_999, 20_000), (2_000, 22_000), (3_500, 22_000)] {
        let mut tracker = SessionTracker::new(tick, &BTreeMap::new(), at(0));
        let session = SessionId(7);
        tracker.track(session, Span::from_ms(18_000), at(touched));
        assert_eq!(tracker.next_expiry(), Some(at(due)));
        assert_eq!(tracker.expire(at(due - 1)), vec![]);
        assert!(tracker.touch(session, Span::from_ms(18_000), at(touched)));
        let silent = Span::from_ms(due - touched);
        assert_eq!(tracker.expire(at(due)), vec![Expired { session, timeout: Span::from_ms(18_000), silent }]);
        assert!(!tracker.touch(session, Span::from_ms(18_000), at(due)), "a closing session cannot be touched");
        assert_eq!(tracker.check(session, Owner::Me), Err(ZkError::SessionExpired));
    }
}

#[test]
fn a_request_that_comes_another_way_than_the_session_has_moved() {
    let mut tracker = SessionTracker::new(Span::from_ms(2000), &BTreeMap::new(), Instant::ZERO);
    let (session, old, new) = (SessionId(7), Owner::Learner(ConnId(1)), Owner::Me);
    tracker.track(session, Span::from_ms(18_000), Instant::ZERO);
    assert_eq!(tracker.check(session, old), Ok(()));
    tracker.set_owner(session, new);
    assert_eq!(tracker.check(session, old), Err(ZkError::SessionMoved));
    assert_eq!(tracker.check(session, new), Ok(()));
}
