//! `FastLeaderElection`: votes, rounds, and the decision. Pure: what to send and what to wait for is returned.

use std::collections::BTreeMap;

use crate::id::{Sid, Zxid};
use crate::time::Span;

/// `QuorumPeer.ServerState` as peers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerState {
    /// Electing.
    Looking,
    /// Follows, or tries to.
    Following,
    /// Leads, or tries to.
    Leading,
}

/// For whom a server votes. The order is that of `totalOrderPredicate`: epoch, then zxid, then server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vote {
    /// The candidate's `currentEpoch`.
    pub peer_epoch: u32,
    /// The candidate's last zxid.
    pub zxid: Zxid,
    /// The candidate.
    pub leader: Sid,
}

/// What servers tell each other on the election port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Notification {
    /// The sender's state.
    pub state: PeerState,
    /// The sender's vote.
    pub vote: Vote,
    /// The sender's round (`electionEpoch`).
    pub round: u64,
}

impl Notification {
    /// `Vote.equals`: of servers that have decided, only leader and epoch must agree (ZOOKEEPER-1805).
    fn agrees(&self, other: &Self) -> bool {
        let both_looking = self.state == PeerState::Looking && other.state == PeerState::Looking;
        let full = !both_looking || (self.vote.zxid == other.vote.zxid && self.round == other.round);
        full && self.vote.leader == other.vote.leader && self.vote.peer_epoch == other.vote.peer_epoch
    }
}

/// What an election asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Wait for the current re-send interval, from now: every notification begins the wait anew.
    Wait,
    /// Send the proposal to all, then wait likewise.
    Broadcast,
    /// Wait for [`FINALIZE_WAIT`], from now.
    Finalize,
    /// The same, after sending the proposal to all.
    BroadcastAndFinalize,
    /// Over.
    Decided(Vote),
}

/// One call of `lookForLeader`.
#[derive(Clone, Debug, Hash)]
pub(super) struct Election {
    me: Sid,
    voters: usize,
    initial: Vote,
    proposal: Vote,
    recvset: BTreeMap<Sid, Notification>,
    out_of_election: BTreeMap<Sid, Notification>,
    finalizing: bool,
    /// `notTimeout`.
    pub(super) interval: Span,
}

impl Election {
    pub(super) fn new(initial: Vote, voters: usize, interval: Span) -> Self {
        Self {
            me: initial.leader,
            voters,
            initial,
            proposal: initial,
            recvset: BTreeMap::new(),
            out_of_election: BTreeMap::new(),
            finalizing: false,
            interval,
        }
    }

    pub(super) fn proposal(&self) -> Vote {
        self.proposal
    }

    /// Nothing came while waiting. Returns the decision if the finalize wait is over.
    pub(super) fn silence(&mut self) -> Option<Vote> {
        self.finalizing.then_some(self.proposal)
    }

    /// A notification of a voter for a voter; `round` is `logicalclock`.
    pub(super) fn receive(&mut self, from: Sid, n: Notification, round: &mut u64) -> Step {
        if self.finalizing {
            if n.vote <= self.proposal {
                // Thrown away unread, but it restarts the wait.
                return Step::Finalize;
            }
            self.finalizing = false;
        }
        self.process(from, n, round)
    }

    /// A notification for somebody who is no voter is thrown away, but it restarts the wait.
    pub(super) fn ignore(&self) -> Step {
        if self.finalizing { Step::Finalize } else { Step::Wait }
    }

    fn process(&mut self, from: Sid, n: Notification, round: &mut u64) -> Step {
        match n.state {
            PeerState::Looking => self.looking(from, n, round),
            PeerState::Following | PeerState::Leading => self.decided(from, n, round),
        }
    }

    fn looking(&mut self, from: Sid, n: Notification, round: &mut u64) -> Step {
        let mut send = false;
        if n.round > *round {
            *round = n.round;
            self.recvset.clear();
            self.proposal = n.vote.max(self.initial);
            send = true;
        } else if n.round < *round {
            return Step::Wait;
        } else if n.vote > self.proposal {
            self.proposal = n.vote;
            send = true;
        }
        self.recvset.insert(from, n);
        let mine = Notification { state: PeerState::Looking, vote: self.proposal, round: *round };
        self.finalizing = self.quorum(&self.recvset, &mine);
        match (send, self.finalizing) {
            (false, false) => Step::Wait,
            (true, false) => Step::Broadcast,
            (false, true) => Step::Finalize,
            (true, true) => Step::BroadcastAndFinalize,
        }
    }

    /// `receivedFollowingNotification`.
    fn decided(&mut self, from: Sid, n: Notification, round: &mut u64) -> Step {
        if n.round == *round {
            self.recvset.insert(from, n);
            if self.quorum(&self.recvset, &n) && self.check_leader(&self.recvset, &n, *round) {
                return Step::Decided(n.vote);
            }
        }
        self.out_of_election.insert(from, n);
        if self.quorum(&self.out_of_election, &n) && self.check_leader(&self.out_of_election, &n, *round) {
            *round = n.round;
            return Step::Decided(n.vote);
        }
        Step::Wait
    }

    fn quorum(&self, votes: &BTreeMap<Sid, Notification>, vote: &Notification) -> bool {
        votes.values().filter(|v| v.agrees(vote)).count() > self.voters / 2
    }

    /// Nobody joins a leader on hearsay.
    fn check_leader(&self, votes: &BTreeMap<Sid, Notification>, n: &Notification, round: u64) -> bool {
        if n.vote.leader == self.me {
            n.round == round
        } else {
            votes.get(&n.vote.leader).is_some_and(|v| v.state == PeerState::Leading)
        }
    }
}

/// `finalizeWait`.
pub(super) const FINALIZE_WAIT: Span = Span::from_ms(200);

#[cfg(test)]
mod tests {
    use super::*;

    fn vote(peer_epoch: u32, counter: u32, leader: u8) -> Vote {
        Vote { peer_epoch, zxid: Zxid::new(peer_epoch, counter), leader: Sid(leader) }
    }

    fn say(state: PeerState, vote: Vote, round: u64) -> Notification {
        Notification { state, vote, round }
    }

    #[test]
    fn votes_are_ordered_by_epoch_then_zxid_then_server() {
        let sorted = [vote(1, 5, 9), vote(2, 0, 1), vote(2, 0, 2), vote(2, 1, 1)];
        assert!(sorted.is_sorted() && sorted.windows(2).all(|pair| pair[0] != pair[1]));
    }

    /// Z-ELECTION-ORDER (ZOOKEEPER-1419: a comparison that was not transitive kept elections from settling).
    #[test]
    fn votes_have_a_strict_total_order_that_elections_follow() {
        let numbers = [0, 1, 2, u32::MAX];
        let sids = [Sid(1), Sid(2), Sid(255)];
        let votes: Vec<Vote> = numbers
            .iter()
            .flat_map(|&epoch| numbers.iter().flat_map(move |&zxid| numbers.map(|counter| (epoch, zxid, counter))))
            .flat_map(|(peer_epoch, epoch, counter)| {
                sids.map(|leader| Vote { peer_epoch, zxid: Zxid::new(epoch, counter), leader })
            })
            .collect();
        let key = |vote: &Vote| (vote.peer_epoch, vote.zxid.epoch(), vote.zxid.counter(), vote.leader.0);
        for a in &votes {
            for b in &votes {
                // As the order of the keys is strict and total, so is this one.
                assert_eq!(a.cmp(b), key(a).cmp(&key(b)), "{a:?} against {b:?}");
                assert_eq!(a == b, key(a) == key(b));
                let mut election = Election::new(*a, 3, Span::from_ms(200));
                election.receive(Sid(2), say(PeerState::Looking, *b, 1), &mut 1);
                assert_eq!(election.proposal(), *a.max(b), "a server votes for the better one");
            }
        }
    }

    #[test]
    fn a_quorum_of_equal_votes_starts_the_finalize_wait_and_a_better_vote_ends_it() {
        let mut election = Election::new(vote(1, 5, 1), 3, Span::from_ms(200));
        let mut round = 1;
        use PeerState::Looking;
        assert_eq!(election.receive(Sid(1), say(Looking, vote(1, 5, 1), 1), &mut round), Step::Wait);
        assert_eq!(
            election.receive(Sid(2), say(Looking, vote(1, 5, 2), 1), &mut round),
            Step::Broadcast,
            "the vote of 2 is adopted, the own old one no longer counts"
        );
        assert_eq!(election.receive(Sid(1), say(Looking, vote(1, 5, 2), 1), &mut round), Step::Finalize);
        assert_eq!(election.receive(Sid(3), say(Looking, vote(1, 4, 3), 1), &mut round), Step::Finalize);
        assert_eq!(election.receive(Sid(3), say(Looking, vote(1, 6, 3), 1), &mut round), Step::Broadcast);
        assert_eq!(election.silence(), None);
        assert_eq!(election.receive(Sid(1), say(Looking, vote(1, 6, 3), 1), &mut round), Step::Finalize);
        assert_eq!(election.silence(), Some(vote(1, 6, 3)));
    }

    #[test]
    fn nobody_joins_a_leader_whom_it_does_not_hear() {
        let mut election = Election::new(vote(1, 5, 1), 5, Span::from_ms(200));
        let mut round = 7;
        let led = vote(2, 0, 5);
        for sid in [2, 3, 4] {
            assert_eq!(election.receive(Sid(sid), say(PeerState::Following, led, 3), &mut round), Step::Wait);
        }
        assert_eq!(election.receive(Sid(5), say(PeerState::Leading, led, 3), &mut round), Step::Decided(led));
        assert_eq!(round, 3, "the joiner takes the ensemble's round");
    }
}
