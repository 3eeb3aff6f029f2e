//! What has been judged so far, what was permitted although it looks wrong, and what was broken.

use std::fmt;

use crate::id::ProcessId;
use crate::time::{Instant, Span};

macro_rules! laws {
    ($($law:ident, $name:literal, $($file:ident)::+;)*) => {
        /// A law, by the name that the catalogue of invariants gives it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Law {
            $( #[doc = concat!("`", $name, "`, judged in `", stringify!($($file)::+), "`.")] $law, )*
        }

        impl Law {
            /// Every law, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$law),*];

            /// Its name in the catalogue.
            pub fn name(self) -> &'static str {
                match self { $(Self::$law => $name,)* }
            }

            /// Where the rule comes from.
            pub fn source(self) -> &'static str {
                match self { $(Self::$law => super::$($file)::+::SOURCE,)* }
            }
        }

        const LAWS: usize = [$(Law::$law),*].len();
    };
}

laws! {
    LostWrite, "J-LOST-WRITE", lost_write;
    Unseen, "J-UNSEEN", unseen;
    Duplicate, "J-DUPLICATE", duplicate;
    InconsistentOffsets, "J-INCONSISTENT-OFFSETS", inconsistent_offsets;
    Phantom, "J-PHANTOM", phantom;
    LeaderInIsr, "R-LEADER-IN-ISR", leader_in_isr;
    OneLeaderPerEpoch, "R-ONE-LEADER-PER-EPOCH", one_leader_per_epoch;
    LogMatch, "R-LOG-MATCH", log_match;
    LeaderComplete, "R-LEADER-COMPLETE", leader_complete;
    CandidateComplete, "R-CANDIDATE-COMPLETE", candidate_complete;
    AckRule, "R-ACK-RULE", ack_rule;
    TruncBelowHw, "R-TRUNC-BELOW-HW", trunc_below_hw;
    OnePerEpoch, "C-ONE-PER-EPOCH", one_per_epoch;
    ZombieNoEffect, "C-ZOMBIE-NO-EFFECT", zombie_no_effect;
    StaleRequestRejected, "C-STALE-REQUEST-REJECTED", stale_request_rejected;
    Prefix, "Z-PREFIX", prefix;
    LeaderCompleteness, "Z-LEADER-COMPLETENESS", leader_completeness;
    EphemeralGone, "Z-EPHEMERAL-GONE", ephemeral_gone;
    CommitDurable, "G-COMMIT-DURABLE", groups::commit_durable;
    GenerationFence, "G-GENERATION-FENCE", groups::generation_fence;
    Exclusive, "G-EXCLUSIVE", groups::exclusive;
    OverlapBound, "G-OVERLAP-BOUND", groups::overlap_bound;
    NoSilentSkip, "G-NO-SILENT-SKIP", groups::no_silent_skip;
    CoordinatorUnique, "G-COORDINATOR-UNIQUE", groups::coordinator_unique;
    MemberFencing, "G-MEMBER-FENCING-CORRECT", groups::member_fencing;
    GroupNoLoss, "G-NO-LOSS", groups::group_no_loss;
    OneController, "L-ONE-CONTROLLER", one_controller;
    AllRegistered, "L-ALL-REGISTERED", all_registered;
    IsrFull, "L-ISR-FULL", isr_full;
    Produce, "L-PRODUCE", produce;
    GroupStable, "L-GROUP-STABLE", groups::group_stable;
    Consume, "L-CONSUME", groups::consume;
    ZkQuorum, "L-ZK-QUORUM", zk_quorum;
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why something that looks like a breach is allowed: the gate of section 0.4 of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permit {
    /// Nobody answered the write.
    AcksNone,
    /// The answer rested on the leader's copy alone.
    AcksLeader,
    /// A leader from outside the ISR was elected, as configured.
    UncleanElection,
    /// A replica lost its unflushed tail while the ISR was below `min.insync.replicas`.
    LastReplicaStanding,
    /// An ISR change crossed the restart of a replica that had lost its tail.
    IsrChangeAcrossRestart,
    /// As many replicas lost their tails together as `min.insync.replicas` asks for.
    LossyRestarts,
    /// The producer does not number its batches.
    NotIdempotent,
    /// Consumers of a group process at least once, two of them perhaps at a time.
    AtLeastOnce,
}

const PERMITS: usize = 8;

impl Permit {
    const ALL: [Self; PERMITS] = [
        Self::AcksNone,
        Self::AcksLeader,
        Self::UncleanElection,
        Self::LastReplicaStanding,
        Self::IsrChangeAcrossRestart,
        Self::LossyRestarts,
        Self::NotIdempotent,
        Self::AtLeastOnce,
    ];

    /// The reason in words, with its KIP.
    pub fn reason(self) -> &'static str {
        match self {
            Self::AcksNone => "acks=0 promises nothing",
            Self::AcksLeader => "acks=1: acknowledged by the leader alone, lost before it was replicated",
            Self::UncleanElection => {
                "unclean.leader.election.enable=true and a leader outside the ISR was elected (KIP-106)"
            }
            Self::LastReplicaStanding => {
                "known hazard: a restart lost unflushed records while the ISR was below min.insync.replicas (last replica \
                 standing, KIP-966)"
            }
            Self::IsrChangeAcrossRestart => {
                "known hazard: an ISR change crossed a restart that lost unflushed records (KIP-903)"
            }
            Self::LossyRestarts => "as many overlapping lossy restarts as min.insync.replicas: beyond what is promised",
            Self::AtLeastOnce => {
                "known hazard: a member cut off from its coordinator went on with a partition that another had been given, for \
                 longer than session.timeout.ms"
            }
            Self::NotIdempotent => "enable.idempotence=false: a retry may append twice (KIP-98)",
        }
    }
}

/// A law was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub law: Law,
    /// When it could first be seen.
    pub at: Instant,
    /// Who did it; for the laws on finished histories the process whose wait or write it is, or process 0.
    pub process: ProcessId,
    /// What happened.
    pub what: String,
    /// What the judge knew at that moment.
    pub state: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} by {}: {} [{}]", self.law, self.at, self.process, self.what, self.state)
    }
}

/// A liveness condition that does not hold now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// Whose.
    pub law: Law,
    /// The oldest unmet wait: who waits for what.
    pub what: String,
    /// Since when.
    pub since: Instant,
}

/// What a law came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It judged something and found nothing wrong.
    Held,
    /// It was broken.
    Broken(Violation),
    /// Nothing happened that it could judge.
    NotExercised,
    /// What it needs could not be seen.
    NotJudged(&'static str),
}

/// The finding of one law over a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LawReport {
    /// Which.
    pub law: Law,
    /// Its name in the catalogue.
    pub name: &'static str,
    /// Where the rule comes from.
    pub source: &'static str,
    /// Facts that it judged.
    pub judged: u64,
    /// Breaches that the setting permits.
    pub permitted: u64,
    /// Why they are permitted, one line a reason, with its count.
    pub notes: Vec<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// For liveness laws: the longest wait within the quiet phase, at the resolution of the calls of `Judge::unmet`.
    pub longest_wait: Option<Span>,
}

#[derive(Clone, Debug, Default)]
struct Tally {
    judged: u64,
    permitted: [u64; PERMITS],
    violation: Option<Violation>,
    not_judged: Option<&'static str>,
    longest_wait: Option<Span>,
}

/// The tallies of all laws.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    tallies: Vec<Tally>,
    first: Option<Law>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { tallies: vec![Tally::default(); LAWS], first: None }
    }
}

impl Ledger {
    /// `law` looked at `facts` more facts.
    pub(super) fn judged(&mut self, law: Law, facts: u64) {
        self.tallies[law as usize].judged += facts;
    }

    /// `law` found a breach. `words` gives what happened and the state; it is asked for the first unpermitted one only.
    pub(super) fn breach(
        &mut self,
        law: Law,
        permit: Option<Permit>,
        at: Instant,
        process: ProcessId,
        words: impl FnOnce() -> (String, String),
    ) {
        let tally = &mut self.tallies[law as usize];
        if let Some(permit) = permit {
            tally.permitted[permit as usize] += 1;
        } else if tally.violation.is_none() {
            let (what, state) = words();
            tally.violation = Some(Violation { law, at, process, what, state });
            self.first.get_or_insert(law);
        }
    }

    /// `law` could not see what it needs.
    pub(super) fn not_judged(&mut self, law: Law, why: &'static str) {
        self.tallies[law as usize].not_judged = Some(why);
    }

    /// A wait of `law` has lasted `wait`.
    pub(super) fn waited(&mut self, law: Law, wait: Span) {
        let longest = &mut self.tallies[law as usize].longest_wait;
        *longest = (*longest).max(Some(wait));
    }

    pub(super) fn first_violation(&self) -> Option<&Violation> {
        self.tallies[self.first? as usize].violation.as_ref()
    }

    pub(super) fn reports(&self) -> Vec<LawReport> {
        Law::ALL.iter().zip(&self.tallies).map(|(law, tally)| tally.report(*law)).collect()
    }
}

impl Tally {
    fn report(&self, law: Law) -> LawReport {
        let outcome = match (&self.violation, self.not_judged) {
            (Some(violation), _) => Outcome::Broken(violation.clone()),
            (None, Some(why)) => Outcome::NotJudged(why),
            (None, None) if self.judged == 0 => Outcome::NotExercised,
            (None, None) => Outcome::Held,
        };
        let notes = Permit::ALL.iter().zip(self.permitted).filter(|(_, count)| *count > 0);
        LawReport {
            law,
            name: law.name(),
            source: law.source(),
            judged: self.judged,
            permitted: self.permitted.iter().sum(),
            notes: notes.map(|(permit, count)| format!("{count} permitted: {}", permit.reason())).collect(),
            outcome,
            longest_wait: self.longest_wait,
        }
    }
}
