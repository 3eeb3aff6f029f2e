//! By when a healed cluster must have recovered: section 9 of the catalogue of invariants.

use super::facts::Facts;
use crate::time::{Instant, Span};

/// Follows the faults, and computes the bound of recovery from the longest stretch without a moment free of faults.
#[derive(Clone, Debug, Default)]
pub(super) struct Deadline {
    active: u32,
    began: Instant,
    longest: Span,
    quiet: Option<Instant>,
}

impl Deadline {
    pub(super) fn fault_begins(&mut self, at: Instant) {
        if self.active == 0 {
            self.began = at;
        }
        self.active += 1;
    }

    pub(super) fn fault_ends(&mut self, at: Instant) {
        if self.active == 1 {
            self.longest = self.longest.max(at - self.began);
        }
        self.active = self.active.saturating_sub(1);
    }

    pub(super) fn quiet_begins(&mut self, at: Instant) {
        if self.active > 0 {
            self.longest = self.longest.max(at - self.began);
        }
        self.quiet.get_or_insert(at);
    }

    /// The quiet point.
    pub(super) fn quiet(&self) -> Option<Instant> {
        self.quiet
    }

    /// `Tq + B`.
    pub(super) fn deadline(&self, facts: &Facts) -> Option<Instant> {
        Some(self.quiet? + bound(facts, self.longest))
    }
}

/// `B = B_link + B_zk + B_session + B_link + B_isr`, plus `B_group` where there are groups, after an outage of `outage`.
fn bound(facts: &Facts, outage: Span) -> Span {
    let link = outage.min(LONGEST_RETRANSMISSION) + RECONNECT_BACKOFF;
    let zk = ELECTION_SETTLES + LONGEST_NOTIFICATION + facts.tick * u64::from(facts.init_limit);
    let session = facts.session_timeout + SESSION_CREATION;
    let isr = facts.replica_lag + FETCH_BACKOFF + BACKLOG;
    // A member may find its coordinator gone only when its request times out, and the rebalance then waits for everybody.
    let group = facts.groups.iter().map(|group| group.session_timeout + group.rebalance_timeout).max();
    link + zk + session + link + isr + group.map_or(Span::ZERO, |group| group + JOIN_LAPSE)
}

const LONGEST_RETRANSMISSION: Span = Span::from_secs(120); // TCP_RTO_MAX: a stream notices a healed link no later.
const RECONNECT_BACKOFF: Span = Span::from_secs(1); // reconnect.backoff.max.ms; ZooKeeper clients pause as long.
const ELECTION_SETTLES: Span = Span::from_ms(200); // finalizeWait.
const LONGEST_NOTIFICATION: Span = Span::from_secs(60); // maxNotificationInterval.
const SESSION_CREATION: Span = Span::from_secs(2); // Connection attempts to half-dead servers, registration.
const FETCH_BACKOFF: Span = Span::from_secs(1); // replica.fetch.backoff.ms.
const JOIN_LAPSE: Span = Span::from_secs(5); // JOIN_GROUP_TIMEOUT_LAPSE.
const BACKLOG: Span = Span::from_secs(10); // Replication of what piled up; ours.

#[test]
fn overlapping_faults_count_as_one_outage() {
    let facts = super::tests::history::facts();
    let at = |s| Instant::ZERO + Span::from_secs(s);
    let mut deadline = Deadline::default();
    deadline.fault_begins(at(10));
    deadline.fault_begins(at(20));
    deadline.fault_ends(at(30));
    deadline.fault_ends(at(50));
    deadline.fault_begins(at(60));
    deadline.fault_ends(at(61));
    assert_eq!(deadline.deadline(&facts), None);
    deadline.quiet_begins(at(61));
    // 41 + (0.2 + 60 + 20) + (18 + 2) + 41 + (30 + 1 + 10)
    assert_eq!(deadline.deadline(&facts), Some(at(61) + Span::from_ms(223_200)));
    assert_eq!(bound(&facts, Span::from_secs(121)), bound(&facts, Span::from_secs(120)));
}
