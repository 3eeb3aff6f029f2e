//! What has been judged so far, what was permitted although it looks wrong, and what was broken.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::ProcessId;
use crate::time::{Instant, Span};

macro_rules! laws {
    ($($law:ident, $name:literal, $($file:ident)::+ $(, $says:literal)?;)*) => {
        /// A law, by the name that the catalogue of invariants gives it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

            /// The law of that name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|law| law.name() == name)
            }

            /// What it says, in one line.
            pub fn says(self) -> &'static str {
                match self { $(Self::$law => concat!($($says)?),)* }
            }

            /// Where the rule comes from.
            pub fn source(self) -> &'static str {
                match self { $(Self::$law => super::$($file)::+::SOURCE,)* }
            }
        }
    };
}

laws! {
    LostWrite, "J-LOST-WRITE", lost_write, "an acknowledged value below an offset that was read is read";
    Unseen, "J-UNSEEN", unseen, "a read to the end returns every acknowledged value";
    Duplicate, "J-DUPLICATE", duplicate, "a value stands at one offset";
    InconsistentOffsets, "J-INCONSISTENT-OFFSETS", inconsistent_offsets, "an offset stands for one value";
    Phantom, "J-PHANTOM", phantom, "nothing is read that was not sent";
    PollSkip, "J-POLL-SKIP", clients::poll_order, "a consumer that reads on leaves no record out";
    NonmonotonicPoll, "J-NONMONOTONIC-POLL", clients::poll_order, "a consumer that reads on gets no record again";
    NonmonotonicSend, "J-NONMONOTONIC-SEND", clients::send_order, "a producer's records stand in the order of its sends";
    AbortedRead, "J-G1A", clients::aborted_read, "nothing is read whose writer failed";
    AckStable, "J-ACK-STABLE", clients::ack_stable, "an acknowledged record stays at its offset";
    RealtimeOrder, "J-REALTIME-ORDER", clients::realtime, "what is sent after an acknowledgement stands behind it";
    RealtimeLag, "J-REALTIME-LAG", clients::realtime, "how old acknowledged records are when they are read (reported)";
    ConsumeCount, "J-CONSUME-COUNT", clients::consume_count, "how often consumers get records again (reported)";
    OffsetRegress, "J-OFFSET-REGRESS", clients::offset_regress, "the end of a log that clients are told never falls";
    LeaderInIsr, "R-LEADER-IN-ISR", leader_in_isr, "the stored leader is in the stored ISR";
    OneLeaderPerEpoch, "R-ONE-LEADER-PER-EPOCH", one_leader_per_epoch, "one broker leads in a leader epoch, the stored one";
    LogMatch, "R-LOG-MATCH", log_match, "replicas agree below their high watermarks";
    LeaderComplete, "R-LEADER-COMPLETE", leader_complete, "a new leader holds every committed record";
    CandidateComplete, "R-CANDIDATE-COMPLETE", candidate_complete, "every electable replica holds every committed record";
    AckRule, "R-ACK-RULE", ack_rule, "`acks=all` is answered below the high watermark with enough replicas";
    TruncBelowHw, "R-TRUNC-BELOW-HW", trunc_below_hw, "no truncation removes a committed record";
    LeaderAppendOnly, "R-LEADER-APPEND-ONLY", replicas::append_only, "leaders only append; epoch and offset name one record";
    WeakIsr, "R-WEAK-ISR", replicas::isr_logs, "the ISR that a leader knows holds its records below its high watermark";
    StrongIsr, "R-STRONG-ISR", replicas::isr_logs, "the stored ISR holds a leader's records below its high watermark";
    ConsistentRead, "R-CONSISTENT-READ", replicas::consistent_read, "the leader holds what was ever read";
    CommittedReadOnly, "R-COMMITTED-READ-ONLY", replicas::committed_read_only, "nothing is read beyond TrueHW";
    TrueHwMonotonic, "R-TRUE-HW-MONOTONIC", replicas::true_hw_monotonic, "no leader falls behind TrueHW";
    HwInLog, "R-HW-IN-LOG", replicas::hw_in_log, "a high watermark lies within its log";
    IsrJoinRule, "R-ISR-JOIN-RULE", replicas::isr_join_rule, "who joins the ISR has reached the leader's high watermark and epoch";
    UncleanExclusion, "R-UNCLEAN-EXCLUSION", replicas::unclean_exclusion, "who lost records in a crash leaves the ISR first";
    NoFullTruncation, "R-NO-FULL-TRUNCATION", replicas::no_full_truncation, "a log is dropped only if it ends before the leader's begins";
    ZombieNoCommit, "R-ZOMBIE-NO-COMMIT", replicas::zombie_no_commit, "a deposed leader commits nothing new";
    IsrSubsetReplicas, "R-ISR-SUBSET-REPLICAS", replicas::isr_members, "a stored ISR is a part of the replicas, and not empty";
    QuorumSuperset, "R-QUORUM-SUPERSET", replicas::quorum_superset, "a leader waits for every member of the stored ISR";
    NoGlobalLoss, "R-NO-GLOBAL-LOSS", clients::ack_stable, "an acknowledged record is on some replica";
    EpochCacheMonotonic, "R-EPOCH-CACHE-MONOTONIC", replicas::epoch_cache, "leader epochs rise along every log";
    NoFencedInIsr, "R-NO-FENCED-IN-ISR", replicas::isr_members, "who is not registered for long is in no new ISR";
    OneActingLeader, "R-ONE-ACTING-LEADER", recovery::one_acting_leader, "a deposed leader hears of it when the faults are over";
    ExactlyOnce, "I-EXACTLY-ONCE", replicas::sequences, "an idempotent producer's records stand once in the committed log";
    Order, "I-ORDER", replicas::sequences, "an idempotent producer's sequences have no gap in the committed log";
    EpochOrder, "I-EPOCH-ORDER", replicas::sequences, "a producer's epochs never fall along the committed log";
    OnePerEpoch, "C-ONE-PER-EPOCH", one_per_epoch, "one process claims a controller epoch";
    ZombieNoEffect, "C-ZOMBIE-NO-EFFECT", zombie_no_effect, "an old controller has no effect";
    StaleRequestRejected, "C-STALE-REQUEST-REJECTED", stale_request_rejected, "a stale control request is not applied";
    BrokerEpoch, "C-BROKER-EPOCH", metadata::broker_epoch, "broker epochs rise, and what is meant for an earlier one is not applied";
    EpochMonotonic, "C-EPOCH-MONOTONIC", metadata::transitions, "stored epochs never fall, versions rise by one";
    IsrChangeCas, "C-ISR-CHANGE-CAS", metadata::transitions, "within a leader epoch only the leader changes the ISR";
    OneInflightIsrChange, "C-ONE-INFLIGHT-ISR-CHANGE", metadata::isr_changes, "a leader asks for one ISR change at a time";
    SuccessMeansStored, "C-SUCCESS-MEANS-STORED", metadata::isr_changes, "an ISR change that succeeded is stored";
    ReloadOnElection, "C-RELOAD-ON-ELECTION", metadata::reload, "a new controller knows what was stored at its election";
    NoElectOutside, "C-NO-ELECT-OUTSIDE", metadata::transitions, "a new leader was in the ISR";
    AtomicBatch, "C-ATOMIC-BATCH", metadata::transitions, "a new leader epoch brings nobody back who had left the ISR";
    ViewStaleness, "C-VIEW-STALENESS", metadata::converges, "how old the states are that brokers serve (reported)";
    Leadership, "Z-LEADERSHIP", leadership, "one ZooKeeper server leads in an epoch";
    Prefix, "Z-PREFIX", prefix, "ZooKeeper servers apply one history";
    Integrity, "Z-INTEGRITY", integrity, "what ZooKeeper servers deliver was proposed";
    Agreement, "Z-AGREEMENT", agreement, "of two transactions delivered at two servers, one server delivered both";
    TotalOrder, "Z-TOTAL-ORDER", total_order, "ZooKeeper servers deliver in one order";
    LocalPrimaryOrder, "Z-LOCAL-PRIMARY-ORDER", local_primary_order, "a leader's transactions are delivered in its order, without gaps";
    GlobalPrimaryOrder, "Z-GLOBAL-PRIMARY-ORDER", global_primary_order, "those of older epochs are delivered first";
    PrimaryIntegrity, "Z-PRIMARY-INTEGRITY", primary_integrity, "a broadcasting leader has delivered what others delivered of older epochs";
    LeaderCompleteness, "Z-LEADER-COMPLETENESS", leader_completeness, "a ZooKeeper leader holds every committed transaction";
    EphemeralGone, "Z-EPHEMERAL-GONE", ephemeral_gone, "the nodes of an ended session are gone";
    AckDurable, "Z-ACK-DURABLE", ack_durable, "what a ZooKeeper server acknowledged survives its crash";
    CommittedMonotonic, "Z-COMMITTED-MONOTONIC", committed_monotonic, "the committed log only grows";
    HonestZxid, "Z-HONEST-ZXID", honest_zxid, "a vote's zxid is that of tree and log";
    EpochAfterHistory, "Z-EPOCH-AFTER-HISTORY", epoch_after_history, "a stored epoch's history is stored too";
    LegalMessage, "Z-LEGAL-MESSAGE", legal_message, "no message comes in an impossible phase";
    ReplicasEqual, "Z-REPLICAS-EQUAL", replicas_equal, "trees after the same transaction are equal";
    VersionAgreement, "Z-VERSION-AGREEMENT", version_agreement, "a znode's version stands for one content";
    SessionSafety, "Z-SESSION-SAFETY", session_safety, "sessions expire no earlier than they may and then never act";
    Cas, "Z-CAS", cas, "conditional writes succeed only against the newest version";
    ReadSessionOrder, "Z-READ-SESSION-ORDER", read_session_order, "the answers to a session never go back";
    CommitDurable, "G-COMMIT-DURABLE", groups::commit_durable, "a group finds the positions whose commit was acknowledged";
    GenerationFence, "G-GENERATION-FENCE", groups::generation_fence, "nothing of an older generation is taken for good";
    Exclusive, "G-EXCLUSIVE", groups::exclusive, "a partition has one owner in a generation";
    OverlapBound, "G-OVERLAP-BOUND", groups::overlap_bound, "how long two members process a partition; reported";
    NoSilentSkip, "G-NO-SILENT-SKIP", groups::no_silent_skip, "no consumer passes a record by without being told";
    CoordinatorUnique, "G-COORDINATOR-UNIQUE", groups::coordinator_unique, "one coordinator acknowledges commits in a leader epoch";
    MemberFencing, "G-MEMBER-FENCING-CORRECT", groups::member_fencing, "nobody is removed as silent who was not";
    GroupNoLoss, "G-NO-LOSS", groups::group_no_loss, "what is committed was read";
    OneController, "L-ONE-CONTROLLER", one_controller, "one active controller, the stored one, acts";
    AllRegistered, "L-ALL-REGISTERED", all_registered, "every broker is registered";
    IsrFull, "L-ISR-FULL", isr_full, "every replica is in the ISR";
    MetadataConverges, "L-METADATA-CONVERGES", metadata::converges, "every broker serves the stored state of every partition";
    NoOffline, "L-NO-OFFLINE", recovery::no_offline, "every partition with an electable replica has a leader that acts";
    IsrChangeResolved, "L-ISR-CHANGE-RESOLVED", metadata::isr_changes, "no ISR change stays under way";
    FullyReplicated, "L-FULLY-REPLICATED", recovery::fully_replicated, "every replica holds what was committed";
    WriteResolved, "L-WRITE-RESOLVED", recovery::write_resolved, "every send is answered within delivery.timeout.ms";
    NoChurn, "L-NO-CHURN", recovery::calm, "after the deadline of recovery nobody is elected";
    NoSpuriousFencing, "L-NO-SPURIOUS-FENCING", recovery::calm, "no undisturbed broker loses its registration";
    Produce, "L-PRODUCE", produce, "every partition acknowledges writes";
    GroupStable, "L-GROUP-STABLE", groups::group_stable, "groups are stable and every partition is somebody's";
    Consume, "L-CONSUME", groups::consume, "groups read what was written";
    ZkQuorum, "L-ZK-QUORUM", zk_quorum, "ZooKeeper serves at every server";
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
    /// ZooKeeper acknowledges before an fsync.
    NoForceSync,
    /// A leader of an older protocol writes the ISR on what it has heard from the controller.
    LeaderWritesIsr,
    /// The scenario says that this law is broken, and looks for others.
    KnownBreach,
}

const PERMITS: usize = 11;

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
        Self::NoForceSync,
        Self::LeaderWritesIsr,
        Self::KnownBreach,
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
            Self::NotIdempotent => "enable.idempotence=false: a retry may append twice or too late (KIP-98)",
            Self::KnownBreach => "known to be broken, as the scenario says",
            Self::NoForceSync => "forceSync=no: a ZooKeeper server acknowledges what no fsync has covered",
            Self::LeaderWritesIsr => {
                "known hazard: before inter.broker.protocol.version 2.7-IV2 a leader that has not heard of a broker's end, perhaps its \
                 own, writes an ISR with it, and no controller refuses (KIP-497)"
            }
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
    /// Why they are permitted, one line a reason, with its count; and what the law measured.
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
    figure: Option<String>,
    known: bool,
}

/// The tallies of all laws.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    tallies: Vec<Tally>,
    first: Option<Law>,
}

impl Ledger {
    /// Breaches of the laws in `known` are counted and fail nothing.
    pub(super) fn new(known: &[Law]) -> Self {
        let tally = |law| Tally { known: known.contains(law), ..Tally::default() };
        Self { tallies: Law::ALL.iter().map(tally).collect(), first: None }
    }

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
        if let Some(permit) = permit.or(tally.known.then_some(Permit::KnownBreach)) {
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

    /// What `law` has measured, in words.
    pub(super) fn figure(&mut self, law: Law, words: String) {
        self.tallies[law as usize].figure = Some(words);
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
            notes: notes
                .map(|(permit, count)| format!("{count} permitted: {}", permit.reason()))
                .chain(self.figure.clone())
                .collect(),
            outcome,
            longest_wait: self.longest_wait,
        }
    }
}
