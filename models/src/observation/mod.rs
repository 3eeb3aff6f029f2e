//! What an operator or a checker could see. Laws read these and nothing else, so that they can judge real hosts too.
//!
//! The fields follow section 0.1 of the catalogue of invariants. Every observation is stamped by the driver with the true
//! time, the process and its incarnation ([`Observed`]). The enum is versioned: readers of recorded observations refuse
//! another [`VERSION`].

mod parts;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{BrokerId, FaultId, Group, MemberId, ProcessId, SessionId, Topic, TopicPartition, ValueId, Zxid};
use crate::kafka::config::Acks;
use crate::kafka::metrics::Metric;
use crate::kafka::protocol::{ErrorCode, ProducerMark};
use crate::process::DiskError;
use crate::time::{Instant, Span};
use crate::zk::protocol::{Txn, ZkError};

pub use parts::{
    ControlRequestKind, DownCause, FaultScope, GroupState, RemovalReason, ReplicaRole, ServedState, TruncateReason,
    ZkClientState, ZkRole,
};

/// Version of the observation vocabulary.
pub const VERSION: u32 = 1;

/// An observation with its stamp.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Observed {
    /// True time.
    pub at: Instant,
    /// Who was observed. Faults are observed at process 0.
    pub process: ProcessId,
    /// Which life of it, from 1.
    pub incarnation: u32,
    /// What was seen.
    pub what: Observation,
}

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Observation {
    // --- By the engine or the bridge -----------------------------------------------------------------------------
    /// The process started.
    Up,
    /// The process is gone.
    Down {
        /// Whether something that it had written is lost.
        lossy: bool,
        /// Why.
        cause: DownCause,
    },
    /// The process stands still (SIGSTOP, GC).
    Pause,
    /// The process goes on.
    Resume,
    /// A fault begins.
    FaultBegin {
        /// Which.
        fault: FaultId,
        /// Its kind, for people and for grouping: `cut`, `loss`, `kill` ...
        name: Arc<str>,
        /// The whole of it in words.
        text: Arc<str>,
        /// What it touches.
        scope: Box<FaultScope>,
    },
    /// A fault is over.
    FaultEnd {
        /// Which.
        fault: FaultId,
    },

    // --- ZooKeeper servers ---------------------------------------------------------------------------------------
    /// A server's role changed. `Leading` and `Following` are reported when the server starts to serve (BROADCAST).
    ZkRole {
        /// The new role.
        role: ZkRole,
        /// The epoch it leads or follows in; its current epoch otherwise.
        epoch: u32,
        /// Its last logged zxid.
        last_zxid: Zxid,
    },
    /// A server has started and read its disk.
    ZkLoaded {
        /// The last transaction of its log.
        zxid: Zxid,
        /// The last one that an fsync is known to have covered, or that came back after a power loss.
        durable: Zxid,
    },
    /// A server enters an election.
    ZkElection {
        /// The zxid that it votes with.
        vote: Zxid,
        /// The last transaction applied to its tree.
        applied: Zxid,
        /// The last transaction of its log.
        logged: Zxid,
    },
    /// A learner has stored `currentEpoch`.
    ZkEpochEntered {
        /// The epoch.
        epoch: u32,
        /// The last committed transaction of the history that the epoch's leader gave it.
        history: Zxid,
    },
    /// A leader proposes a transaction.
    ZkPropose {
        /// The transaction.
        zxid: Zxid,
        /// Digest of the transaction alone.
        content: u64,
    },
    /// A server acknowledges transactions to its leader, or to itself if it leads.
    ZkAck {
        /// The newest proposal acknowledged, or NEWLEADER's zxid.
        zxid: Zxid,
        /// The last transaction that it thereby vouches for, with all before.
        history: Zxid,
    },
    /// A server got a message that its phase declares impossible, and gave up.
    ZkIllegalMessage {
        /// The message and the phase.
        what: Arc<str>,
    },
    /// A server's log holds these transactions durably now: all up to `zxid`, with a running digest of them.
    ZkLog {
        /// The last transaction.
        zxid: Zxid,
        /// Digest of the log up to it.
        digest: u64,
    },
    /// A leader counted a quorum for a transaction.
    ZkCommit {
        /// The transaction.
        zxid: Zxid,
        /// Epoch of the leader.
        epoch: u32,
    },
    /// A server applied a transaction to its tree.
    ZkApply {
        /// The transaction.
        txn: Arc<Txn>,
        /// Digest of all transactions applied, in order, this one included.
        digest: u64,
        /// Digest of the znodes afterwards (path, data, version, owner), if the tree stands there now.
        tree: Option<u64>,
    },
    /// A server replaced its tree by a snapshot, or cut its log, during synchronisation.
    ZkReset {
        /// The last transaction that the tree holds now.
        zxid: Zxid,
        /// Digest of all transactions applied up to it.
        digest: u64,
    },
    /// A server's log was cut after `zxid` on the order of the leader of `epoch`.
    ZkTruncate {
        /// The leader's epoch.
        epoch: u32,
        /// The last transaction before the cut.
        from: Zxid,
        /// The last transaction that stays.
        zxid: Zxid,
    },
    /// A server holds these ephemeral nodes of a session after having applied its close: always none, unless it is broken.
    ZkSessionClosed {
        /// The session.
        session: SessionId,
        /// The transaction that closed it.
        zxid: Zxid,
        /// Ephemeral nodes that it still owns on this server.
        left: u32,
    },
    /// A leader lets a session expire: it proposes its close.
    ZkSessionExpiring {
        /// The session.
        session: SessionId,
        /// Its timeout.
        timeout: Span,
        /// How long ago, by the leader's clock, the leader last learned of a contact with its client, or was established.
        silent: Span,
    },

    // --- ZooKeeper clients ---------------------------------------------------------------------------------------
    /// A client's handle got an answer.
    ZkReply {
        /// The session.
        session: SessionId,
        /// The zxid of the write, or the server's last processed one for a read.
        zxid: Zxid,
    },
    /// A client's session handle changed its state.
    ZkClient {
        /// The new state.
        state: ZkClientState,
        /// The session, 0 if there is none yet.
        session: SessionId,
    },

    /// An application that writes one new node after another learned what came of one.
    ZkWrite {
        /// The node's number among those of the application; that of the last one if the application failed before it
        /// came to write the next.
        number: u64,
        /// Since the operation was issued.
        took: Span,
        /// The transaction; zero if no server answered.
        zxid: Zxid,
        /// Why it failed. [`ZkError::ConnectionLoss`] leaves the outcome open.
        error: Option<ZkError>,
    },

    // --- Controllers ---------------------------------------------------------------------------------------------
    /// `activeControllerId` was set to the own id, or ceased to be it: the gauge ActiveControllerCount of this broker.
    ActiveController {
        /// The gauge.
        active: bool,
    },
    /// A broker won the controller election.
    ControllerBegin {
        /// Its epoch.
        epoch: i32,
    },
    /// A controller resigned or lost its session.
    ControllerEnd {
        /// Its epoch.
        epoch: i32,
    },
    /// A metric of a broker has a new value, as its JVM would show it over JMX; see [`Metric`].
    Metric {
        /// Which.
        metric: Metric,
        /// A gauge's value; of a meter, timer or histogram the attribute `Count`.
        value: u64,
        /// The newest sample of a timer or histogram.
        took: Option<Span>,
    },
    /// A new controller has read the states of all partitions, and acts on them.
    ControllerLoaded {
        /// Its epoch.
        epoch: i32,
        /// What it knows.
        states: Arc<[ServedState]>,
    },
    /// The sum of ActiveControllerCount that a site's monitor shows has changed, or how much of it is known.
    ControllersSeen {
        /// The monitor's site.
        site: Arc<str>,
        /// The sum over the brokers that answered its last scrape.
        sum: u32,
        /// How many they are.
        reached: u32,
    },
    /// The failover is complete: the controller has read the cluster's state and acts.
    ControllerReady {
        /// Its epoch.
        epoch: i32,
    },
    /// The controller acted: it finished an event that made it write or answer.
    ControllerActed {
        /// Its epoch.
        epoch: i32,
    },
    /// A write guarded by the version of `/controller_epoch` was accepted by the store and reported to the controller.
    ControllerEffect {
        /// Epoch of the controller that wrote.
        epoch: i32,
        /// The znode.
        path: Arc<str>,
        /// The transaction.
        zxid: Zxid,
    },
    /// A broker took or refused a request of a controller.
    ControlRequest {
        /// Which.
        request: ControlRequestKind,
        /// The sender.
        controller: BrokerId,
        /// The sender's epoch.
        controller_epoch: i32,
        /// The largest controller epoch that the broker had seen before.
        known_controller_epoch: i32,
        /// The broker epoch that the request names.
        broker_epoch: i64,
        /// The broker's own.
        known_broker_epoch: i64,
        /// Whether it was applied.
        applied: bool,
    },
    /// A broker took an UpdateMetadata request: it serves these states to clients from now on, and those of other
    /// partitions as before.
    MetadataServed {
        /// The states that the request named.
        states: Arc<[ServedState]>,
    },
    /// A broker took an UpdateMetadata request that lists other brokers as alive than the one before.
    AliveServed {
        /// All that it lists, in order.
        brokers: Arc<[BrokerId]>,
    },
    /// A broker is registered in ZooKeeper with this epoch, as it knows itself.
    Registered {
        /// The broker.
        broker: BrokerId,
        /// `czxid` of its node.
        broker_epoch: i64,
    },
    /// A registration failed for good; the broker stays unregistered.
    RegistrationFailed {
        /// The broker.
        broker: BrokerId,
        /// Why.
        reason: Arc<str>,
    },

    /// A broker was told to stop, and asks the controller to move what it leads (controlled shutdown).
    ControlledShutdownBegin,
    /// An attempt at controlled shutdown ended. After the last one the broker stops in any case.
    ControlledShutdownEnd {
        /// Which attempt, from 1.
        attempt: u32,
        /// How many partitions it still leads; 0 is success. None if the controller was not found or gave no answer.
        remaining: Option<u32>,
    },

    // --- Log directories -----------------------------------------------------------------------------------------
    /// A broker that was not stopped cleanly reads what it had not flushed of a log directory, and rebuilds the indexes. It is
    /// not registered meanwhile.
    LogRecoveryBegin {
        /// Position in `log.dirs`.
        dir: u32,
        /// How many logs have something to be read.
        logs: u32,
        /// How much is read.
        bytes: u64,
    },
    /// The recovery of a log directory is complete.
    LogRecoveryEnd {
        /// Position in `log.dirs`.
        dir: u32,
        /// How much was read.
        bytes: u64,
    },
    /// A log directory failed: its replicas are offline until the broker's next start.
    LogDirOffline {
        /// Position in `log.dirs`.
        dir: u32,
        /// How many replicas were in it.
        partitions: u32,
        /// What the disk said.
        error: DiskError,
    },
    /// A broker that stops has flushed its logs and left the marker of a clean shutdown.
    LogsClosed {
        /// Whether it worked.
        clean: bool,
        /// Bytes of all logs.
        bytes: u64,
    },

    // --- Replicas ------------------------------------------------------------------------------------------------
    /// A replica appended records.
    Append {
        /// The partition.
        partition: TopicPartition,
        /// Offset of the first record.
        base_offset: u64,
        /// Epoch of the leader that first appended them.
        leader_epoch: i32,
        /// The records.
        values: Arc<[ValueId]>,
        /// The idempotent producer's mark of the batch.
        producer: Option<ProducerMark>,
        /// As what.
        role: ReplicaRole,
    },
    /// A replica cut its log: `to` is its new LEO.
    Truncate {
        /// The partition.
        partition: TopicPartition,
        /// LEO before.
        from: u64,
        /// LEO after.
        to: u64,
        /// The replica's high watermark before.
        high_watermark: u64,
        /// The leader epoch it acts in.
        leader_epoch: i32,
        /// As what.
        role: ReplicaRole,
        /// Why.
        reason: TruncateReason,
    },
    /// A replica's log as it is after a start: offsets from `log_start` to `leo`.
    LogLoaded {
        /// The partition.
        partition: TopicPartition,
        /// First offset.
        log_start: u64,
        /// Offset after the last one.
        leo: u64,
        /// The high watermark it starts with.
        high_watermark: u64,
    },
    /// A replica's log begins later: retention deleted what lay before.
    LogStart {
        /// The partition.
        partition: TopicPartition,
        /// Its first offset now.
        log_start: u64,
    },
    /// A replica's high watermark changed.
    HighWatermark {
        /// The partition.
        partition: TopicPartition,
        /// The new value.
        value: u64,
        /// The leader epoch it acts in.
        leader_epoch: i32,
        /// As what.
        role: ReplicaRole,
    },
    /// A replica became leader.
    LeaderBegin {
        /// The partition.
        partition: TopicPartition,
        /// Its epoch.
        leader_epoch: i32,
        /// Its LEO: the epoch's start offset.
        leo: u64,
    },
    /// A replica ceased to be leader.
    LeaderEnd {
        /// The partition.
        partition: TopicPartition,
        /// The epoch that it led in.
        leader_epoch: i32,
    },
    /// A leader's own view of the ISR changed.
    IsrLocal {
        /// The partition.
        partition: TopicPartition,
        /// Its epoch.
        leader_epoch: i32,
        /// The committed ISR.
        isr: Arc<[BrokerId]>,
        /// The committed ISR with every replica that a pending change would add.
        maximal_isr: Arc<[BrokerId]>,
        /// The partition epoch.
        partition_epoch: i32,
    },
    /// A leader asks for a follower to be taken into the ISR, because of the fetch at hand.
    IsrJoin {
        /// The partition.
        partition: TopicPartition,
        /// The leader's epoch.
        leader_epoch: i32,
        /// Who is to join.
        follower: BrokerId,
        /// Where it fetches from: its LEO.
        fetch_offset: u64,
    },
    /// A leader begins to ask the controller for another ISR, and goes on until it is answered or leads no more.
    IsrChange {
        /// The partition.
        partition: TopicPartition,
        /// The leader's epoch.
        leader_epoch: i32,
        /// The ISR that it asks for.
        isr: Arc<[BrokerId]>,
    },
    /// A leader's change of the ISR is over.
    IsrChangeEnd {
        /// The partition.
        partition: TopicPartition,
        /// The leader's epoch.
        leader_epoch: i32,
        /// The ISR that the leader takes for stored from now on.
        isr: Arc<[BrokerId]>,
        /// The version of the state znode if the leader was told "success".
        stored: Option<i32>,
    },
    /// A leader answered a client's question for the end of its log (ListOffsets, latest).
    EndOffsetAnswer {
        /// The partition.
        partition: TopicPartition,
        /// The leader's epoch.
        leader_epoch: i32,
        /// The end that it named.
        offset: u64,
    },
    /// A leader acknowledged a batch (or is about to, when the response travels).
    Acknowledge {
        /// The partition.
        partition: TopicPartition,
        /// Offset of the first record.
        base_offset: u64,
        /// How many records.
        records: u32,
        /// What the producer asked for.
        acks: Acks,
        /// The leader's high watermark.
        high_watermark: u64,
        /// Size of its maximal ISR.
        maximal_isr: u32,
        /// `min.insync.replicas`.
        min_isr: u32,
    },

    // --- Group coordinators --------------------------------------------------------------------------------------
    /// A broker coordinates the groups of an offsets partition from now on: it has read the partition's log.
    CoordinatorLoaded {
        /// The partition of `__consumer_offsets`.
        partition: TopicPartition,
        /// The leader epoch.
        leader_epoch: i32,
        /// Groups found.
        groups: u32,
        /// Committed offsets found.
        offsets: u32,
    },
    /// A broker coordinates the groups of an offsets partition no longer.
    CoordinatorUnloaded {
        /// The partition of `__consumer_offsets`.
        partition: TopicPartition,
        /// The leader epoch that it had loaded.
        leader_epoch: i32,
    },
    /// A coordinator changed a group.
    GroupState {
        /// The partition of `__consumer_offsets`.
        partition: TopicPartition,
        /// The group.
        group: Group,
        /// The new state.
        state: GroupState,
        /// The generation.
        generation: i32,
        /// Its members.
        members: u32,
    },
    /// A coordinator stored and handed out who reads what.
    GroupAssigned {
        /// The group.
        group: Group,
        /// The generation.
        generation: i32,
        /// Who reads what.
        assignment: Arc<[(MemberId, Arc<[TopicPartition]>)]>,
    },
    /// A coordinator removed a member.
    MemberRemoved {
        /// The group.
        group: Group,
        /// Who.
        member: MemberId,
        /// Why.
        reason: RemovalReason,
        /// The monotonic clock of the coordinator's host.
        clock: Instant,
    },
    /// A coordinator took a heartbeat or a commit for one of a present member.
    MemberHeard {
        /// The group.
        group: Group,
        /// Whose.
        member: MemberId,
        /// Of which generation.
        generation: i32,
        /// The monotonic clock of the coordinator's host: the one that measures silence.
        clock: Instant,
    },
    /// A coordinator acknowledged a commit.
    CommitAccepted {
        /// The partition of `__consumer_offsets`.
        partition: TopicPartition,
        /// The leader epoch that the coordinator has loaded.
        leader_epoch: i32,
        /// Where its first record stands.
        base_offset: u64,
        /// The group.
        group: Group,
        /// Who committed.
        member: MemberId,
        /// Of which generation.
        generation: i32,
        /// The positions.
        offsets: Arc<[(TopicPartition, u64)]>,
    },
    /// A coordinator told a member the group's positions.
    OffsetsServed {
        /// The partition of `__consumer_offsets`.
        partition: TopicPartition,
        /// The leader epoch that the coordinator has loaded.
        leader_epoch: i32,
        /// The group.
        group: Group,
        /// The positions, `None` where it knows of none.
        offsets: Arc<[(TopicPartition, Option<u64>)]>,
    },

    // --- Clients -------------------------------------------------------------------------------------------------
    /// An application handed a record to its producer.
    Send {
        /// The partition.
        partition: TopicPartition,
        /// The record.
        value: ValueId,
        /// What it wants to hear of.
        acks: Acks,
        /// Whether the producer is idempotent.
        idempotent: bool,
        /// Most requests under way on a connection.
        max_in_flight: u32,
    },
    /// The producer reported success.
    SendOk {
        /// The partition.
        partition: TopicPartition,
        /// The record.
        value: ValueId,
        /// Its offset, if the answer told it.
        offset: Option<u64>,
        /// What it was sent with.
        acks: Acks,
        /// Since [`Observation::Send`].
        latency: Span,
    },
    /// The producer reported a failure that proves that the record was not appended.
    SendFail {
        /// The partition.
        partition: TopicPartition,
        /// The record.
        value: ValueId,
        /// The error.
        error: ErrorCode,
    },
    /// The producer reported a failure after which the record may be in the log, now or later.
    SendUnknown {
        /// The partition.
        partition: TopicPartition,
        /// The record.
        value: ValueId,
        /// The error.
        error: ErrorCode,
    },
    /// A consumer was told to read these partitions. Where it begins is told by [`Observation::FirstPosition`].
    Assign {
        /// The partitions.
        partitions: Arc<[TopicPartition]>,
    },
    /// A consumer is to read these topics as a member of a group.
    Subscribe {
        /// The group.
        group: Group,
        /// The topics.
        topics: Arc<[Topic]>,
    },
    /// A member was given its share.
    Assigned {
        /// The group.
        group: Group,
        /// The member.
        member: MemberId,
        /// The generation.
        generation: i32,
        /// All that it is to read.
        partitions: Arc<[TopicPartition]>,
    },
    /// A member gave its share up.
    Revoked {
        /// The group.
        group: Group,
        /// The generation that it was a member of.
        generation: i32,
        /// What it had.
        partitions: Arc<[TopicPartition]>,
        /// Whether others may have it already (`onPartitionsLost`).
        lost: bool,
    },
    /// A member asked its coordinator to keep its positions.
    Commit {
        /// The group.
        group: Group,
        /// The generation.
        generation: i32,
        /// The positions.
        offsets: Arc<[(TopicPartition, u64)]>,
    },
    /// A member was told that its positions are kept.
    CommitOk {
        /// The group.
        group: Group,
        /// The generation.
        generation: i32,
        /// The positions.
        offsets: Arc<[(TopicPartition, u64)]>,
    },
    /// A member was told that its positions are not kept, or not told at all.
    CommitFailed {
        /// The group.
        group: Group,
        /// The generation.
        generation: i32,
        /// Why.
        error: ErrorCode,
    },
    /// A member was told the group's positions.
    FetchCommitted {
        /// The group.
        group: Group,
        /// The generation.
        generation: i32,
        /// The positions, `None` where there is none.
        offsets: Arc<[(TopicPartition, Option<u64>)]>,
    },
    /// A consumer got records.
    Poll {
        /// The partition.
        partition: TopicPartition,
        /// Offset of the first record.
        base_offset: u64,
        /// The records, at consecutive offsets.
        values: Arc<[ValueId]>,
        /// Who served them.
        replica: BrokerId,
    },
    /// A consumer was told a partition's end by its leader.
    EndOffset {
        /// The partition.
        partition: TopicPartition,
        /// The end: a consumer can read below it.
        offset: u64,
    },
    /// A consumer without a position got one by `auto.offset.reset`: what lies before is not for it.
    FirstPosition {
        /// The partition.
        partition: TopicPartition,
        /// Where it begins.
        offset: u64,
    },
    /// A consumer's position became invalid and was reset.
    PositionReset {
        /// The partition.
        partition: TopicPartition,
        /// Where it was.
        from: u64,
        /// Where it goes on.
        to: u64,
    },
}
