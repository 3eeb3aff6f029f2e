//! The table of defects: what is publicly known of each, after the catalogue of historical defects.

use serde::{Deserialize, Serialize};

use super::{Facts, Mark, System};

macro_rules! defects {
    (@mark) => { None };
    (@mark $mark:ident) => { Some(Mark::$mark) };
    (@protocol) => { None };
    (@protocol $protocol:literal) => { Some($protocol) };
    ($($(#[doc = $doc:literal])+ $name:ident = $id:literal, $word:literal, $system:ident {
        $(mark: $mark:ident,)? ticket: $ticket:literal, laws: $laws:expr, fixed_in: $fixed:literal
        $(, protocol: $protocol:literal)? $(, implies: [$($implied:ident),*])? $(,)?
    })*) => {
        /// A known defect. The model holds both rules; the switch stands next to the rule that it breaks.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Defect { $($(#[doc = $doc])+ $name,)* }

        impl Defect {
            /// Every defect, in the order of the declaration.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// What is known of it.
            pub const fn facts(self) -> &'static Facts {
                match self {
                    $(Self::$name => &Facts {
                        id: $id,
                        word: $word,
                        mark: defects!(@mark $($mark)?),
                        ticket: $ticket,
                        system: System::$system,
                        laws: &$laws,
                        fixed_in: $fixed,
                        protocol: defects!(@protocol $($protocol)?),
                        implies: &[$($(Self::$implied),*)?],
                    },)*
                }
            }
        }
    };
}

defects! {
    /// KAFKA-1211, KIP-101: a replica that becomes follower, or starts, truncates to its own high watermark.
    HwTruncation = "R01", "hw-truncation", Kafka {
        mark: Easy, ticket: "KAFKA-1211, KIP-101", laws: ["R-TRUNC-BELOW-HW", "R-CANDIDATE-COMPLETE", "R-LEADER-COMPLETE", "J-LOST-WRITE"], fixed_in: "0.11.0.0",
        protocol: "2.6",
    }
    /// KAFKA-6361, KIP-279: a leader asked for the end of an epoch that it does not know answers with the start of the next
    /// larger one, and the
    /// follower asks once.
    EpochQueryTooCoarse = "R03", "epoch-query-too-coarse", Kafka {
        mark: Medium, ticket: "KAFKA-6361, KIP-279", laws: ["R-LOG-MATCH", "R-CANDIDATE-COMPLETE"], fixed_in: "2.0.0",
        protocol: "2.6",
    }
    /// KAFKA-7415: a new leader's epoch enters its epoch cache with its first append, not with its election.
    EpochNotStoredOnElection = "R04", "epoch-not-stored-on-election", Kafka {
        mark: Hard, ticket: "KAFKA-7415", laws: ["R-TRUNC-BELOW-HW", "R-LOG-MATCH", "R-EPOCH-CACHE-MONOTONIC"], fixed_in: "2.0.1, 2.1.0",
        protocol: "2.6",
    }
    /// KAFKA-7128: a follower joins the ISR at the leader's high watermark, though it has not reached the start of the
    /// leader's epoch.
    IsrJoinAtLaggingHw = "R05", "isr-join-at-lagging-hw", Kafka {
        mark: Medium, ticket: "KAFKA-7128", laws: ["R-CANDIDATE-COMPLETE", "R-ISR-JOIN-RULE"], fixed_in: "2.0.1, 2.1.0",
    }
    /// KAFKA-7164: a follower that hears of a newer epoch of the leader it already follows goes on fetching and does not
    /// truncate.
    SkipTruncationSameLeader = "R06", "skip-truncation-same-leader", Kafka {
        mark: Medium, ticket: "KAFKA-7164", laws: ["R-LOG-MATCH"], fixed_in: "2.0.1, 2.1.0",
        protocol: "2.6",
        implies: [FetchWithoutEpoch],
    }
    /// KAFKA-7395, KIP-320: replica fetches and epoch queries carry no leader epoch, and nobody is fenced by it.
    FetchWithoutEpoch = "R07", "fetch-without-epoch", Kafka {
        mark: Medium, ticket: "KAFKA-6880, KAFKA-7395, KIP-320", laws: ["R-LOG-MATCH", "R-STRONG-ISR"], fixed_in: "2.1.0",
        protocol: "2.6",
    }
    /// KAFKA-13141: a leader that answers a fetch with a diverging epoch stores the fetch offset as the follower's position
    /// all the same.
    DivergingFetchCountsAsProgress = "R09", "diverging-fetch-counts-as-progress", Kafka {
        mark: Easy, ticket: "KAFKA-13141", laws: ["R-CANDIDATE-COMPLETE", "J-LOST-WRITE", "R-ISR-JOIN-RULE"], fixed_in: "2.7.2, 2.8.1, 3.0.0",
    }
    /// KAFKA-13207: a divergence told to a fetcher truncates the log although the replica has become leader since.
    TruncateAfterRoleChange = "R10", "truncate-after-role-change", Kafka {
        mark: Medium, ticket: "KAFKA-13207", laws: ["R-LEADER-APPEND-ONLY", "R-LEADER-COMPLETE"], fixed_in: "2.8.1, 3.0.0",
    }
    /// KAFKA-14704: a follower takes the high watermark of a diverging answer before it truncates.
    HwBeforeTruncation = "R11", "hw-before-truncation", Kafka {
        mark: Medium, ticket: "KAFKA-14704", laws: ["R-LOG-MATCH", "R-TRUNC-BELOW-HW", "R-CONSISTENT-READ"], fixed_in: "3.4.1, 3.5.0",
    }
    /// KAFKA-2334, KIP-207: a new leader answers ListOffsets with its own high watermark before that has reached the start
    /// of its epoch.
    ListOffsetsNotMonotonic = "R12", "list-offsets-not-monotonic", Kafka {
        mark: Easy, ticket: "KAFKA-2334, KIP-207", laws: ["J-OFFSET-REGRESS"], fixed_in: "2.2.0",
    }
    /// KAFKA-2143: a follower whose fetch was out of range, and whom the leader's end has overtaken meanwhile, drops its
    /// whole log.
    ResetToStartOnOutOfRange = "R14", "reset-to-start-on-out-of-range", Kafka {
        mark: Medium, ticket: "KAFKA-2143", laws: ["R-NO-FULL-TRUNCATION"], fixed_in: "0.9.0.1, 0.10.0.0",
        protocol: "2.6",
        implies: [HwTruncation],
    }
    /// KAFKA-9491: a follower that restarts its log at the leader's log start keeps its old high watermark.
    StaleHwAfterFullTruncation = "R16", "stale-hw-after-full-truncation", Kafka {
        mark: Hard, ticket: "KAFKA-9491", laws: ["R-HW-IN-LOG", "L-PRODUCE"], fixed_in: "2.4.1, 2.5.0",
    }
    /// KAFKA-1028, the 2013 result: a controller elects outside the ISR when nobody else is alive, whatever
    /// `unclean.leader.election.enable` says.
    UncleanElectionDefault = "R17a", "unclean-election-default", Kafka {
        mark: Easy, ticket: "KAFKA-1028; default changed by KIP-106", laws: ["R-CANDIDATE-COMPLETE", "R-LEADER-COMPLETE", "J-LOST-WRITE", "C-NO-ELECT-OUTSIDE"], fixed_in: "0.8.2.0 (setting), 0.11.0.0 (default)",
    }
    /// KAFKA-1555, the 2013 result: `acks=all` is answered by an ISR of one, whatever `min.insync.replicas` says.
    NoMinIsr = "R17b", "no-min-isr", Kafka {
        mark: Easy, ticket: "KAFKA-1555", laws: ["R-ACK-RULE", "J-LOST-WRITE"], fixed_in: "0.8.2.0",
    }
    /// KAFKA-2729: a leader whose ISR write meets another version of the partition state keeps the version that it has, for
    /// ever. It comes by the old one through a lost answer (C02), or through what a zombie controller has written (C03).
    CachedZkVersion = "C01", "cached-zk-version", Kafka {
        mark: Easy, ticket: "KAFKA-2729, KAFKA-3042", laws: ["L-ISR-FULL", "L-PRODUCE", "L-METADATA-CONVERGES"], fixed_in: "1.1.0",
        protocol: "2.6",
        implies: [IsrWriteReplyLost],
    }
    /// KAFKA-1382: a leader whose ISR write was applied, but not answered, takes its repetition for a conflict.
    IsrWriteReplyLost = "C02", "isr-write-reply-lost", Kafka {
        mark: Easy, ticket: "KAFKA-1382", laws: ["L-ISR-FULL"], fixed_in: "0.8.2.0",
        protocol: "2.6",
    }
    /// KAFKA-3083: a controller goes on with the batch at hand after its session has ended.
    SoftFailureLateIsrWrite = "C03", "soft-failure-late-isr-write", Kafka {
        mark: Medium, ticket: "KAFKA-3083", laws: ["C-ZOMBIE-NO-EFFECT"], fixed_in: "1.1.0",
        implies: [UnfencedControllerWrites],
    }
    /// KAFKA-6082: a controller's writes do not check the version of `/controller_epoch`.
    UnfencedControllerWrites = "C04", "unfenced-controller-writes", Kafka {
        mark: Medium, ticket: "KAFKA-6082", laws: ["C-ZOMBIE-NO-EFFECT"], fixed_in: "2.1.0",
    }
    /// KAFKA-1096: a broker that was controller takes over every epoch that its watch of `/controller_epoch` shows.
    ZombieAdoptsNewEpoch = "C05", "zombie-adopts-new-epoch", Kafka {
        mark: Medium, ticket: "KAFKA-1096", laws: ["C-ONE-PER-EPOCH"], fixed_in: "0.8.2.0",
    }
    /// KAFKA-4447: events that a controller had queued before it resigned are handled as if it were still controller.
    ResignedControllerStillListens = "C07", "resigned-controller-still-listens", Kafka {
        mark: Medium, ticket: "KAFKA-4447", laws: ["C-ZOMBIE-NO-EFFECT"], fixed_in: "0.10.2.0",
        implies: [UnfencedControllerWrites],
    }
    /// KAFKA-4229: every new session makes its broker resign, also when that session has already won the election.
    ResignThenSeeOwnNode = "C08", "resign-then-see-own-node", Kafka {
        mark: Medium, ticket: "KAFKA-4229", laws: ["L-ONE-CONTROLLER"], fixed_in: "0.10.2.0",
        implies: [InertController],
    }
    /// KAFKA-13461: a reinitialisation asked for while the session is alive makes the controller resign, and keeps the
    /// session.
    ResignOnAuthEvent = "C09", "resign-on-auth-event", Kafka {
        mark: Easy, ticket: "KAFKA-13461", laws: ["L-ONE-CONTROLLER"], fixed_in: "3.0.1, 3.1.0",
        implies: [InertController],
    }
    /// KAFKA-13461, KAFKA-13407: a broker that finds its own id in `/controller` takes itself for the controller without
    /// running the failover.
    /// The repaired rule, ours: it deletes the node if its own session does not own it, else fails over.
    InertController = "X01", "inert-controller", Kafka {
        ticket: "KAFKA-13461, KAFKA-13407", laws: ["L-ONE-CONTROLLER"], fixed_in: "never",
    }
    /// KAFKA-6879: the handler that has to create the new session waits for the controller's queue, whose head waits for
    /// the session.
    SessionCallbackBlocksSession = "C10", "session-callback-blocks-session", Kafka {
        mark: Easy, ticket: "KAFKA-6879, KAFKA-6517, KAFKA-4360", laws: ["L-ALL-REGISTERED", "L-ONE-CONTROLLER"], fixed_in: "1.1.1, 2.0.0",
    }
    /// KAFKA-8532: at session expiry the controller's event thread waits for ever. The repaired rule, ours: waits of the
    /// event thread end with the
    /// session they were made in.
    HungEventThread = "C25", "hung-event-thread", Kafka {
        ticket: "KAFKA-8532", laws: ["L-ALL-REGISTERED", "L-ONE-CONTROLLER"], fixed_in: "never",
    }
    /// KAFKA-1387: a registration that finds a node with its broker's own data waits for that node to vanish.
    WaitForOwnEphemeral = "C12", "wait-for-own-ephemeral", Kafka {
        mark: Medium, ticket: "KAFKA-1387, KAFKA-992", laws: ["L-ALL-REGISTERED"], fixed_in: "0.9.0.0",
    }
    /// KAFKA-6584, KAFKA-7165: a registration that finds the node of the broker's own previous session gives up.
    RegistrationGivesUp = "C13", "registration-gives-up", Kafka {
        mark: Easy, ticket: "KAFKA-6584, KAFKA-7165", laws: ["L-ALL-REGISTERED"], fixed_in: "2.2.0",
    }
    /// KAFKA-14845: a registration whose ConnectResponse was lost finds its own node under an unknown session and gives up.
    /// All releases in
    /// ZooKeeper mode.
    LostRegistration = "C14", "lost-registration", Kafka {
        mark: Medium, ticket: "KAFKA-14845", laws: ["L-ALL-REGISTERED"], fixed_in: "never",
    }
    /// No ticket: NODEEXISTS, then the node disappears before it is read: NullPointerException instead of another attempt.
    /// 2.2.0 to 3.8.0.
    RegistrationNullPointer = "C27", "registration-null-pointer", Kafka {
        ticket: "CheckedEphemeral.getAfterNodeExists, no ticket", laws: ["L-ALL-REGISTERED"], fixed_in: "not up to 3.8.0",
    }
    /// KAFKA-7235, KIP-380: control requests carry no broker epoch, so that one for an earlier life is obeyed.
    NoBrokerGeneration = "C15", "no-broker-generation", Kafka {
        mark: Medium, ticket: "KAFKA-7235, KIP-380", laws: ["C-STALE-REQUEST-REJECTED", "L-ISR-FULL"], fixed_in: "2.2.0",
    }
    /// KAFKA-12315: `ControllerMovedException` leaves the replica state machine's request batch non-empty for ever.
    PoisonedRequestBatch = "C26", "poisoned-request-batch", Kafka {
        ticket: "KAFKA-12315", laws: ["L-ISR-FULL"], fixed_in: "never",
    }
    /// No ticket: the controller's write for an AlterPartition was applied, its answer lost; the client repeats it and meets the
    /// version that it made itself. The leader is told INVALID_UPDATE_VERSION and stays pending for ever. Source reading of
    /// `KafkaZkClient.updateLeaderAndIsr`, all releases in ZooKeeper mode. The repaired rule, ours: the state is read again, and if it is
    /// the wished one, that is success.
    OwnWriteTakenForConflict = "X05", "own-write-taken-for-conflict", Kafka {
        ticket: "KafkaZkClient.updateLeaderAndIsr, no ticket", laws: ["L-ISR-FULL", "L-METADATA-CONVERGES"], fixed_in: "never",
    }
    /// No ticket: an UpdateMetadata that the controller gave up and repeated over another connection is still delivered by the kernels
    /// after a heal, behind its successors; the broker goes back to that state and serves it until the partition changes again.
    /// `ZkMetadataCache.updateMetadata` compares no versions; all releases in ZooKeeper mode. The repaired rule, ours: a request
    /// with an older state of a partition than is known is dropped.
    LateUpdateMetadata = "X06", "late-update-metadata", Kafka {
        ticket: "ZkMetadataCache.updateMetadata, no ticket", laws: ["L-METADATA-CONVERGES"], fixed_in: "never",
    }
    /// No ticket: `/controller` is deleted while the controller just elected takes over. Its own creation has spent the watch,
    /// which `processControllerChange` arms again once the failover is done; it finds no node, resigns, and elects nobody. Where
    /// no other broker is up, `ActiveControllerCount` stays 0 until a broker starts. Found by fuzzing, then read in
    /// `KafkaController`; all releases in ZooKeeper mode. The repaired rule, ours: who finds nobody there stands for election.
    ControllerVacancyMissed = "X08", "controller-vacancy-missed", Kafka {
        ticket: "KafkaController.processControllerChange, no ticket", laws: ["L-ONE-CONTROLLER"], fixed_in: "never",
    }
    /// KAFKA-20246, KIP-1242: nobody asks who answers at an address. A connection that was made while a name led to another
    /// broker's address, by a resolver's fault or one that has been given to somebody else, is kept for as long as it lasts:
    /// a controller tells the wrong broker, a follower fetches from one that does not lead. Found by fuzzing. KIP-1242 lets
    /// ApiVersions name the broker that is meant (4.4), for clients that may rebootstrap; brokers among themselves do not. The
    /// repaired rule, ours: every dialler that knows whom it means says so, and another one hangs up.
    MisroutedConnection = "X09", "misrouted-connection", Kafka {
        ticket: "KAFKA-20246, KIP-1242 (clients)", laws: ["L-ISR-FULL", "L-METADATA-CONVERGES"], fixed_in: "clients 4.4.0, brokers never",
    }
    /// No ticket: a consumer that asks a new leader about its position compares the end of the answer alone, not its epoch. Where two
    /// unclean elections in a row have put another history in place, of older epochs and longer, the position counts as valid,
    /// and what stands before it is skipped without a word. `SubscriptionState.maybeCompleteValidation`, all releases since KIP-320
    /// (2.3). Found by fuzzing. The repaired rule, ours: a consumer knows which epochs it has read, and goes back as a follower does.
    ValidationByEndAlone = "X10", "validation-by-end-alone", Kafka {
        ticket: "SubscriptionState.maybeCompleteValidation, no ticket", laws: ["G-NO-SILENT-SKIP"], fixed_in: "never",
    }
    /// KIP-966's unclean-shutdown rule has no counterpart in ZooKeeper mode: a controller elected after a broker has
    /// re-registered finds it alive and in the ISRs that its earlier life had earned, whatever that life lost. All releases
    /// in ZooKeeper mode. The repaired rule, ours: a registration (czxid) younger than a partition's state (mzxid) makes the
    /// new controller treat the broker as bounced, as `processBrokerChange` of a sitting controller does.
    UnnoticedRestart = "X02", "unnoticed-restart", Kafka {
        ticket: "KIP-966 (unclean shutdown), no ticket in ZooKeeper mode", laws: ["R-LEADER-COMPLETE", "R-CANDIDATE-COMPLETE", "L-ISR-FULL"], fixed_in: "never",
    }
    /// KAFKA-15510: a follower forgets `lastFetchedEpoch` after an empty response. 3.6.x. It has no scenario: no history is
    /// known in which it breaks a law (the reviewers of its fix, apache/kafka#14457, asked for one in vain). The answer that
    /// makes it forget is one that found no divergence; from then on the leader's log only grows within the epoch, and a new
    /// epoch adds the partition anew with the epoch of its last record.
    ForgottenFetchedEpoch = "C28", "forgotten-fetched-epoch", Kafka {
        ticket: "KAFKA-15510", laws: ["R-LOG-MATCH"], fixed_in: "3.7.0",
    }
    /// ZOOKEEPER-4643, -4646, -4785: the learner writes `currentEpoch` and acknowledges NEWLEADER before the synchronised
    /// transactions are on disk. 3.8.0 to 3.8.4.
    NewLeaderAckBeforeSync = "Z01", "new-leader-ack-before-sync", ZooKeeper {
        mark: Medium, ticket: "ZOOKEEPER-4643, ZOOKEEPER-4646, ZOOKEEPER-4785", laws: ["Z-ACK-DURABLE", "Z-EPOCH-AFTER-HISTORY", "Z-LEADER-COMPLETENESS"], fixed_in: "3.8.5, 3.9.2",
    }
    /// ZOOKEEPER-2355: a learner takes its last zxid from the header of a DIFF, before the proposals have come.
    LastZxidFromDiffHeader = "Z03", "last-zxid-from-diff-header", ZooKeeper {
        mark: Easy, ticket: "ZOOKEEPER-2355", laws: ["Z-HONEST-ZXID", "Z-REPLICAS-EQUAL", "Z-PREFIX", "Z-LOCAL-PRIMARY-ORDER", "Z-EPHEMERAL-GONE"], fixed_in: "3.4.11, 3.5.4, 3.6.0",
    }
    /// ZOOKEEPER-2845: a server that leaves a role keeps its tree as it is, so that the zxid which it reports hides what is
    /// on its disk.
    RetainedDatabase = "Z04", "retained-database", ZooKeeper {
        mark: Medium, ticket: "ZOOKEEPER-2845", laws: ["Z-HONEST-ZXID", "Z-PREFIX"], fixed_in: "3.4.12, 3.5.4, 3.6.0",
    }
    /// ZOOKEEPER-1653: a server that crashed between the snapshot of a new epoch and `currentEpoch` refuses every start.
    EpochFileMismatchRefusesStart = "Z07", "epoch-file-mismatch-refuses-start", ZooKeeper {
        mark: Hard, ticket: "ZOOKEEPER-1653, ZOOKEEPER-2354", laws: ["L-ZK-QUORUM"], fixed_in: "3.4.6 (3.4 line only)",
    }
    /// ZOOKEEPER-4712: a learner's shutdown leaves its sync thread running, which logs queued proposals after the tree was
    /// fast-forwarded. All 3.8.x.
    SyncThreadSurvivesShutdown = "Z12", "sync-thread-survives-shutdown", ZooKeeper {
        mark: Medium, ticket: "ZOOKEEPER-4712", laws: ["Z-PREFIX", "Z-REPLICAS-EQUAL", "Z-HONEST-ZXID"], fixed_in: "3.9.3",
    }
    /// ZOOKEEPER-4685: outstanding PROPOSALs precede NEWLEADER, and the learner's sync thread may acknowledge one before
    /// the main thread acknowledges NEWLEADER; the leader takes the first ACK for that of NEWLEADER. 3.8.0 to 3.8.4.
    AckOvertakesNewLeader = "Z16", "ack-overtakes-new-leader", ZooKeeper {
        ticket: "ZOOKEEPER-4685", laws: ["L-ZK-QUORUM"], fixed_in: "3.8.5, 3.9.2",
    }
    /// ZOOKEEPER-4394: a COMMIT between NEWLEADER and UPTODATE for a proposal before NEWLEADER throws the learner back to
    /// LOOKING. All 3.8.x.
    CommitBeforeUpToDate = "X03", "commit-before-up-to-date", ZooKeeper {
        ticket: "ZOOKEEPER-4394", laws: ["L-ZK-QUORUM"], fixed_in: "3.9.3",
    }
    /// ZOOKEEPER-4508: a client that reaches no server goes on believing in its session for ever; only a server can tell it
    /// otherwise. The repaired client gives up when it has not been connected for 4/3 of the session timeout. All 3.8.x;
    /// it is a switch of ZooKeeper's own clients, since every Kafka release bundles an unrepaired one.
    ClientNeverGivesUp = "X04", "client-never-gives-up", ZooKeeper {
        ticket: "ZOOKEEPER-4508", laws: [], fixed_in: "3.9.3",
    }
    /// A server whose `acceptedEpoch` ran ahead (it was about to lead, and whoever helped it to a quorum failed before it
    /// had written the epoch) is turned away for as long as the others keep their leader: `Learner.registerWithLeader`
    /// throws "Leaders epoch, x is less than accepted epoch, y", and the leader takes no notice. Found by fuzzing; all
    /// releases. The repaired rule, ours: a leader gives up when a voter tells it of a newer epoch, so that the next one
    /// lies above.
    StrandedByAcceptedEpoch = "X07", "stranded-by-accepted-epoch", ZooKeeper {
        ticket: "Learner.registerWithLeader, no ticket", laws: ["L-ZK-QUORUM"], fixed_in: "never",
    }
    /// KAFKA-3197: one request in flight is counted for each connection, not for each partition, so that a retry lands
    /// behind its successor.
    ReorderWithOneInFlight = "T01", "reorder-with-one-in-flight", Kafka {
        mark: Easy, ticket: "KAFKA-3197", laws: ["J-NONMONOTONIC-SEND"], fixed_in: "0.10.0.0",
    }
    /// KAFKA-10614: a coordinator loads and unloads an offsets partition in the background without regard to the leader
    /// epoch.
    UnorderedCoordinatorLoad = "G01", "unordered-coordinator-load", Kafka {
        mark: Medium, ticket: "KAFKA-10614", laws: ["G-COMMIT-DURABLE"], fixed_in: "2.8.1, 3.0.0",
    }
    /// KAFKA-7747, KIP-320: a consumer does not ask after a leader change whether its position is still in the leader's
    /// history.
    ConsumerBlindToTruncation = "G04", "consumer-blind-to-truncation", Kafka {
        mark: Easy, ticket: "KAFKA-7747, KIP-320", laws: ["J-LOST-WRITE", "G-NO-SILENT-SKIP"], fixed_in: "2.3.0",
    }
}
