//! `server.properties`, producer and consumer properties: the options that the model knows.

use super::inter_broker_protocol::ProtocolVersion;
use crate::defect::Defects;
use crate::options::{OptionValue, options};
use crate::time::Span;
use crate::zk::client::ClientCnxnSocket;

options! {
    /// The options of a broker, with the defaults of Kafka 3.6 (`KafkaConfig`, `Defaults`). Sizes are bytes.
    pub struct BrokerConfig {
        /// The broker's id.
        broker_id: i32 = 0, "broker.id" in 0..=32_767;
        /// Where it stands: replicas of a partition are spread over racks, and a selector may prefer the reader's own.
        rack: Option<Text> = None, "broker.rack";
        /// The session timeout asked of ZooKeeper.
        zookeeper_session_timeout_ms: u32 = 18_000, "zookeeper.session.timeout.ms" in 1..=3_600_000;
        /// How long start-up waits for ZooKeeper; unset means the session timeout.
        zookeeper_connection_timeout_ms: Option<u32> = None, "zookeeper.connection.timeout.ms";
        /// Requests under way to ZooKeeper, all threads together.
        zookeeper_max_in_flight_requests: u32 = 10, "zookeeper.max.in.flight.requests" in 1..=100_000;
        /// The socket implementation of the ZooKeeper client; TLS needs Netty.
        zookeeper_client_cnxn_socket: ClientCnxnSocket = ClientCnxnSocket::Nio, "zookeeper.clientCnxnSocket";
        /// Connect wait and in-flight limit of connections to and from the controller.
        controller_socket_timeout_ms: u32 = 30_000, "controller.socket.timeout.ms" in 1..=3_600_000;
        /// In-flight limit of the broker's own requests.
        request_timeout_ms: u32 = 30_000, "request.timeout.ms" in 1..=3_600_000;
        /// How far behind, in time, an in-sync replica may be.
        replica_lag_time_max_ms: u32 = 30_000, "replica.lag.time.max.ms" in 1..=3_600_000;
        /// How long a replica fetch waits for data.
        replica_fetch_wait_max_ms: u32 = 500, "replica.fetch.wait.max.ms" in 0..=3_600_000;
        /// How much data a replica fetch waits for.
        replica_fetch_min_bytes: u32 = 1, "replica.fetch.min.bytes" in 0..=2_147_483_647;
        /// Most bytes of one partition in a replica fetch.
        replica_fetch_max_bytes: u32 = 1_048_576, "replica.fetch.max.bytes" in 1..=2_147_483_647;
        /// Most bytes of a replica fetch.
        replica_fetch_response_max_bytes: u32 = 10_485_760, "replica.fetch.response.max.bytes" in 1..=2_147_483_647;
        /// Pause of a fetcher after an error.
        replica_fetch_backoff_ms: u32 = 1_000, "replica.fetch.backoff.ms" in 0..=3_600_000;
        /// Connect wait of replica fetchers.
        replica_socket_timeout_ms: u32 = 30_000, "replica.socket.timeout.ms" in 1..=3_600_000;
        /// Fetcher threads per source broker.
        num_replica_fetchers: u32 = 1, "num.replica.fetchers" in 1..=1_000;
        /// Which replica consumers read from: the leader if unset.
        replica_selector_class: Option<ReplicaSelector> = None, "replica.selector.class";
        /// How often high watermarks are written to disk.
        replica_high_watermark_checkpoint_interval_ms: u32 = 5_000, "replica.high.watermark.checkpoint.interval.ms" in 1..=3_600_000;
        /// First wait for a TCP connection.
        socket_connection_setup_timeout_ms: u32 = 10_000, "socket.connection.setup.timeout.ms" in 1..=3_600_000;
        /// Longest wait for a TCP connection.
        socket_connection_setup_timeout_max_ms: u32 = 30_000, "socket.connection.setup.timeout.max.ms" in 1..=3_600_000;
        /// Whether a replica outside the ISR may lead.
        unclean_leader_election_enable: bool = false, "unclean.leader.election.enable";
        /// Fewest in-sync replicas for `acks=all`.
        min_insync_replicas: u32 = 1, "min.insync.replicas" in 1..=32_767;
        /// Replicas of topics created without saying how many.
        default_replication_factor: u32 = 1, "default.replication.factor" in 1..=32_767;
        /// Partitions of topics created without saying how many.
        num_partitions: u32 = 1, "num.partitions" in 1..=65_535;
        /// Whether the controller moves leadership back to preferred replicas.
        auto_leader_rebalance_enable: bool = true, "auto.leader.rebalance.enable";
        /// How often it looks.
        leader_imbalance_check_interval_seconds: u32 = 300, "leader.imbalance.check.interval.seconds" in 1..=3_600_000;
        /// From which share of misplaced leaders on, in percent.
        leader_imbalance_per_broker_percentage: u32 = 10, "leader.imbalance.per.broker.percentage" in 0..=100;
        /// Records between fsyncs of a log; the default is "never".
        log_flush_interval_messages: u64 = 9_223_372_036_854_775_807, "log.flush.interval.messages" in 1..=9_223_372_036_854_775_807u64;
        /// Time between fsyncs of a log; unset is "never".
        log_flush_interval_ms: Option<u64> = None, "log.flush.interval.ms";
        /// How often recovery points are written.
        log_flush_offset_checkpoint_interval_ms: u32 = 60_000, "log.flush.offset.checkpoint.interval.ms" in 1..=3_600_000;
        /// Segment size; a full segment is fsynced when it is rolled.
        log_segment_bytes: u32 = 1_073_741_824, "log.segment.bytes" in 14..=2_147_483_647;
        /// Where logs are kept; a new log goes where the fewest are (`log.dirs`, or `log.dir`).
        log_dirs: LogDirs = LogDirs::default(), "log.dirs";
        /// Threads that recover the logs of a directory after an unclean stop.
        num_recovery_threads_per_data_dir: u32 = 1, "num.recovery.threads.per.data.dir" in 1..=10_000;
        /// Age at which a segment is rolled.
        log_roll_hours: u32 = 168, "log.roll.hours" in 1..=1_000_000;
        /// The same, finer; unset means `log.roll.hours`.
        log_roll_ms: Option<u64> = None, "log.roll.ms";
        /// Age at which a segment is deleted, -1 for never. Compared with its newest record's timestamp.
        log_retention_hours: i64 = 168, "log.retention.hours" in -1..=1_000_000i64;
        /// The same, finer; unset means `log.retention.hours`.
        log_retention_minutes: Option<i64> = None, "log.retention.minutes";
        /// The same, finer still; unset means `log.retention.minutes`.
        log_retention_ms: Option<i64> = None, "log.retention.ms";
        /// Size of a log above which its oldest segments are deleted, -1 for none.
        log_retention_bytes: i64 = -1, "log.retention.bytes" in -1..=9_223_372_036_854_775_807i64;
        /// How often a broker looks for segments to delete.
        log_retention_check_interval_ms: u32 = 300_000, "log.retention.check.interval.ms" in 1..=2_147_483_647;
        /// Most bytes of a batch.
        message_max_bytes: u32 = 1_048_588, "message.max.bytes" in 0..=2_147_483_647;
        /// How long the state of an idle producer is kept.
        producer_id_expiration_ms: u32 = 86_400_000, "producer.id.expiration.ms" in 1..=2_000_000_000;
        /// Whether clients asking for a missing topic create it.
        auto_create_topics_enable: bool = true, "auto.create.topics.enable";
        /// Partitions of `__consumer_offsets`; a group belongs to the one that its name hashes to.
        offsets_topic_num_partitions: u32 = 50, "offsets.topic.num.partitions" in 1..=10_000;
        /// Replicas of each of them.
        offsets_topic_replication_factor: u32 = 3, "offsets.topic.replication.factor" in 1..=32_767;
        /// How long a commit waits for the replicas of the offsets topic.
        offsets_commit_timeout_ms: u32 = 5_000, "offsets.commit.timeout.ms" in 1..=3_600_000;
        /// How long an empty group waits for more members before its first rebalance.
        group_initial_rebalance_delay_ms: u32 = 3_000, "group.initial.rebalance.delay.ms" in 0..=3_600_000;
        /// The least session timeout that a member may ask for.
        group_min_session_timeout_ms: u32 = 6_000, "group.min.session.timeout.ms" in 0..=3_600_000;
        /// The largest session timeout that a member may ask for.
        group_max_session_timeout_ms: u32 = 1_800_000, "group.max.session.timeout.ms" in 0..=3_600_000;
        /// Whether SIGTERM moves leadership away first.
        controlled_shutdown_enable: bool = true, "controlled.shutdown.enable";
        /// Attempts at that.
        controlled_shutdown_max_retries: u32 = 3, "controlled.shutdown.max.retries" in 0..=1_000;
        /// Pause between attempts.
        controlled_shutdown_retry_backoff_ms: u32 = 5_000, "controlled.shutdown.retry.backoff.ms" in 0..=3_600_000;
        /// Selects the rules of its time; unset means the newest that the defects switched on leave possible, else 3.6.
        inter_broker_protocol_version: Option<ProtocolVersion> = None, "inter.broker.protocol.version";
    }
}

options! {
    /// The options of a producer, with the defaults of the Java client 3.6 (`ProducerConfig`).
    pub struct ProducerConfig {
        /// How many replicas must have a record before it is acknowledged.
        acks: Acks = Acks::All, "acks";
        /// Whether retries are recognised by sequence numbers.
        enable_idempotence: bool = true, "enable.idempotence";
        /// Attempts after the first one.
        retries: u32 = 2_147_483_647, "retries" in 0..=2_147_483_647;
        /// Requests under way per connection.
        max_in_flight_requests_per_connection: u32 = 5, "max.in.flight.requests.per.connection" in 1..=2_147_483_647;
        /// How long a batch waits for company.
        linger_ms: u32 = 0, "linger.ms" in 0..=3_600_000;
        /// Most bytes of a batch.
        batch_size: u32 = 16_384, "batch.size" in 0..=2_147_483_647;
        /// Bytes of records not yet answered.
        buffer_memory: u64 = 33_554_432, "buffer.memory" in 0..=1_000_000_000_000u64;
        /// How long a request waits for its response.
        request_timeout_ms: u32 = 30_000, "request.timeout.ms" in 0..=3_600_000;
        /// How long a record may take in all.
        delivery_timeout_ms: u32 = 120_000, "delivery.timeout.ms" in 0..=86_400_000;
        /// Pause before a retry.
        retry_backoff_ms: u32 = 100, "retry.backoff.ms" in 0..=3_600_000;
        /// First pause before reconnecting.
        reconnect_backoff_ms: u32 = 50, "reconnect.backoff.ms" in 0..=3_600_000;
        /// Longest pause before reconnecting.
        reconnect_backoff_max_ms: u32 = 1_000, "reconnect.backoff.max.ms" in 0..=3_600_000;
        /// How long `send()` waits for metadata and memory.
        max_block_ms: u32 = 60_000, "max.block.ms" in 0..=3_600_000;
        /// Age at which metadata is refreshed unasked.
        metadata_max_age_ms: u32 = 300_000, "metadata.max.age.ms" in 0..=86_400_000;
        /// First wait for a TCP connection.
        socket_connection_setup_timeout_ms: u32 = 10_000, "socket.connection.setup.timeout.ms" in 1..=3_600_000;
        /// Longest wait for a TCP connection.
        socket_connection_setup_timeout_max_ms: u32 = 30_000, "socket.connection.setup.timeout.max.ms" in 1..=3_600_000;
    }
}

options! {
    /// The options of a consumer, with the defaults of the Java client 3.6 (`ConsumerConfig`).
    pub struct ConsumerConfig {
        /// How long a fetch waits for data.
        fetch_max_wait_ms: u32 = 500, "fetch.max.wait.ms" in 0..=3_600_000;
        /// How much data a fetch waits for.
        fetch_min_bytes: u32 = 1, "fetch.min.bytes" in 0..=2_147_483_647;
        /// Most bytes of a fetch.
        fetch_max_bytes: u32 = 52_428_800, "fetch.max.bytes" in 0..=2_147_483_647;
        /// Most bytes of one partition.
        max_partition_fetch_bytes: u32 = 1_048_576, "max.partition.fetch.bytes" in 0..=2_147_483_647;
        /// Most records of a poll.
        max_poll_records: u32 = 500, "max.poll.records" in 1..=2_147_483_647;
        /// How a group's leader divides the partitions, the most wanted first; in groups only, as are the next six.
        partition_assignment_strategy: Strategies = Strategies::default(), "partition.assignment.strategy";
        /// How long the coordinator waits for a heartbeat.
        session_timeout_ms: u32 = 45_000, "session.timeout.ms" in 1..=3_600_000;
        /// How often the member tells the coordinator that it lives.
        heartbeat_interval_ms: u32 = 3_000, "heartbeat.interval.ms" in 1..=3_600_000;
        /// How long the application may take between polls; a rebalance waits as long for members to join.
        max_poll_interval_ms: u32 = 300_000, "max.poll.interval.ms" in 1..=3_600_000;
        /// Whether positions are committed in the background; if not, after each poll that returned records, before the next.
        enable_auto_commit: bool = true, "enable.auto.commit";
        /// How often.
        auto_commit_interval_ms: u32 = 5_000, "auto.commit.interval.ms" in 0..=3_600_000;
        /// How long a synchronous commit is tried.
        default_api_timeout_ms: u32 = 60_000, "default.api.timeout.ms" in 0..=3_600_000;
        /// Where the consumer stands: a broker with a replica selector sends it to a replica there (KIP-392).
        client_rack: Option<Text> = None, "client.rack";
        /// Where to begin without a position.
        auto_offset_reset: OffsetReset = OffsetReset::Latest, "auto.offset.reset";
        /// How long a request waits for its response.
        request_timeout_ms: u32 = 30_000, "request.timeout.ms" in 0..=3_600_000;
        /// Pause before a retry.
        retry_backoff_ms: u32 = 100, "retry.backoff.ms" in 0..=3_600_000;
        /// First pause before reconnecting.
        reconnect_backoff_ms: u32 = 50, "reconnect.backoff.ms" in 0..=3_600_000;
        /// Longest pause before reconnecting.
        reconnect_backoff_max_ms: u32 = 1_000, "reconnect.backoff.max.ms" in 0..=3_600_000;
        /// Age at which metadata is refreshed unasked.
        metadata_max_age_ms: u32 = 300_000, "metadata.max.age.ms" in 0..=86_400_000;
        /// First wait for a TCP connection.
        socket_connection_setup_timeout_ms: u32 = 10_000, "socket.connection.setup.timeout.ms" in 1..=3_600_000;
        /// Longest wait for a TCP connection.
        socket_connection_setup_timeout_max_ms: u32 = 30_000, "socket.connection.setup.timeout.max.ms" in 1..=3_600_000;
    }
}

/// How many replicas must have a record before the producer hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Acks {
    /// `0`: nobody answers.
    None,
    /// `1`: the leader.
    Leader,
    /// `all` or `-1`: every in-sync replica.
    All,
}

impl OptionValue for Acks {
    fn parse(text: &str) -> Result<Self, String> {
        match text.trim() {
            "0" => Ok(Self::None),
            "1" => Ok(Self::Leader),
            "all" | "-1" => Ok(Self::All),
            _ => Err("0, 1 or all".to_owned()),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::None => "0",
            Self::Leader => "1",
            Self::All => "all",
        }
        .to_owned()
    }
}

/// Which replica a consumer is sent to (`ReplicaSelector`, KIP-392).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum ReplicaSelector {
    /// `LeaderSelector`: the leader.
    Leader,
    /// `RackAwareReplicaSelector`: one in the consumer's rack, if there is any.
    RackAware,
}

impl ReplicaSelector {
    const CLASSES: [(&str, Self); 2] = [
        ("org.apache.kafka.common.replica.LeaderSelector", Self::Leader),
        ("org.apache.kafka.common.replica.RackAwareReplicaSelector", Self::RackAware),
    ];
}

impl OptionValue for ReplicaSelector {
    fn parse(text: &str) -> Result<Self, String> {
        let known = Self::CLASSES.iter().find(|(class, _)| *class == text.trim());
        known.map(|(_, selector)| *selector).ok_or_else(|| Self::CLASSES.map(|(class, _)| class).join(" or "))
    }

    fn show(&self) -> String {
        Self::CLASSES.iter().filter(|(_, selector)| selector == self).map(|(class, _)| *class).collect()
    }
}

/// How a group's leader divides partitions among the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Strategy {
    /// `RangeAssignor`: of each topic a run of partitions to each member.
    Range,
    /// `RoundRobinAssignor`: all partitions in turn.
    RoundRobin,
    /// `StickyAssignor`: evenly, and members keep what they had.
    Sticky,
}

impl Strategy {
    const CLASSES: [(&str, Self); 3] =
        [("RangeAssignor", Self::Range), ("RoundRobinAssignor", Self::RoundRobin), ("StickyAssignor", Self::Sticky)];
}

/// `partition.assignment.strategy`: the most wanted first.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Strategies(pub std::sync::Arc<[Strategy]>);

impl Default for Strategies {
    /// The client's default lists the cooperative assignor behind this one; as long as a group's members all do, the group
    /// uses the first (KIP-726).
    fn default() -> Self {
        Self([Strategy::Range].into())
    }
}

impl OptionValue for Strategies {
    fn parse(text: &str) -> Result<Self, String> {
        let find = |class: &str| {
            let class = class.trim();
            let name = class.rsplit('.').next().unwrap_or(class);
            Strategy::CLASSES.iter().find(|(known, _)| *known == name).map(|(_, strategy)| *strategy)
        };
        text.split(',').map(find).collect::<Option<Vec<_>>>().map(|found| Self(found.into())).ok_or_else(|| {
            "a list of RangeAssignor, RoundRobinAssignor and StickyAssignor (cooperative rebalancing is not modelled)"
                .to_owned()
        })
    }

    fn show(&self) -> String {
        let name = |strategy: &Strategy| Strategy::CLASSES.iter().find(|(_, known)| known == strategy).map(|(c, _)| *c);
        self.0.iter().filter_map(name).collect::<Vec<_>>().join(",")
    }
}

/// Where a consumer begins without a valid position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum OffsetReset {
    /// At the log's start.
    Earliest,
    /// At the log's end.
    Latest,
    /// It stops with an error.
    None,
}

impl OptionValue for OffsetReset {
    fn parse(text: &str) -> Result<Self, String> {
        match text.trim() {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            "none" => Ok(Self::None),
            _ => Err("earliest, latest or none".to_owned()),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Earliest => "earliest",
            Self::Latest => "latest",
            Self::None => "none",
        }
        .to_owned()
    }
}

/// `log.dirs`: paths, separated by commas.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct LogDirs(Vec<String>);

impl LogDirs {
    /// Most directories of a broker.
    pub const MOST: usize = 64;

    /// The paths, in the order written; at least one.
    pub fn paths(&self) -> &[String] {
        &self.0
    }

    /// The number of a path.
    pub fn position(&self, path: &str) -> Option<u8> {
        self.0.iter().position(|known| known == path).map(|index| index as u8)
    }
}

impl Default for LogDirs {
    /// The default of `log.dir`.
    fn default() -> Self {
        Self(vec!["/tmp/kafka-logs".to_owned()])
    }
}

impl OptionValue for LogDirs {
    fn parse(text: &str) -> Result<Self, String> {
        let paths: Vec<String> = text.split(',').map(|path| path.trim().to_owned()).collect();
        let distinct: std::collections::BTreeSet<_> = paths.iter().collect();
        let valid = paths.len() <= Self::MOST && distinct.len() == paths.len() && paths.iter().all(|p| !p.is_empty());
        if valid { Ok(Self(paths)) } else { Err(format!("1 to {} different paths, separated by commas", Self::MOST)) }
    }

    fn show(&self) -> String {
        self.0.join(",")
    }
}

/// Free text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Text(pub String);

impl OptionValue for Text {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(text.trim().to_owned()))
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

impl BrokerConfig {
    /// The rules that a broker with these defects follows towards other brokers, and its defects with those that such rules
    /// bring along.
    pub fn rules(&self, defects: Defects) -> (ProtocolVersion, Defects) {
        let version = self.inter_broker_protocol_version.unwrap_or_else(|| ProtocolVersion::newest_with(defects));
        (version, defects.union(version.brings()))
    }

    /// The ZooKeeper session timeout that the broker asks for.
    pub fn zookeeper_session_timeout(&self) -> Span {
        Span::from_ms(self.zookeeper_session_timeout_ms.into())
    }

    /// How long start-up waits for ZooKeeper.
    pub fn zookeeper_connection_timeout(&self) -> Span {
        Span::from_ms(self.zookeeper_connection_timeout_ms.unwrap_or(self.zookeeper_session_timeout_ms).into())
    }
}
