//! `zoo.cfg` and the system properties that matter to a partition.

use crate::options::options;
use crate::random::Random;
use crate::time::Span;

options! {
    /// The options of a ZooKeeper server. Times without a unit in their name are milliseconds; limits are ticks.
    /// The defaults are those of `zoo_sample.cfg` where the code has none (`initLimit`, `syncLimit`) or another
    /// (`tickTime` is 3000 in `QuorumPeerConfig`, 2000 in the sample file that everybody starts from).
    pub struct ZooKeeperConfig {
        /// The unit of the limits and of session expiry.
        tick_time: u32 = 2000, "tickTime" in 1..=3_600_000;
        /// Ticks a follower may take to connect and synchronise.
        init_limit: u32 = 10, "initLimit" in 1..=1_000_000;
        /// Ticks without a packet after which leader and follower give each other up.
        sync_limit: u32 = 5, "syncLimit" in 1..=1_000_000;
        /// Lower bound of session timeouts; default 2 ticks.
        min_session_timeout: Option<u32> = None, "minSessionTimeout";
        /// Upper bound of session timeouts; default 20 ticks.
        max_session_timeout: Option<u32> = None, "maxSessionTimeout";
        /// How long a dialled election connection may take.
        cnx_timeout: u32 = 5000, "cnxTimeout" in 1..=3_600_000;
        /// Committed requests kept in memory for DIFF.
        commit_log_count: u32 = 500, "commitLogCount" in 1..=1_000_000;
        /// Ticks for connecting to a leader; 0 means `initLimit`.
        connect_to_learner_master_limit: u32 = 0, "connectToLearnerMasterLimit" in 0..=1_000_000;
        /// Transactions between snapshots.
        snap_count: u32 = 100_000, "snapCount" in 2..=2_000_000_000;
        /// Whether the log is fsynced before it is acknowledged.
        force_sync: YesNo = YesNo(true), "forceSync";
        /// First re-send of a notification.
        min_notification_interval: u32 = 200, "zookeeper.fastleader.minNotificationInterval" in 1..=3_600_000;
        /// Longest interval between re-sends.
        max_notification_interval: u32 = 60_000, "zookeeper.fastleader.maxNotificationInterval" in 1..=3_600_000;
        /// Pause between attempts to connect to the leader.
        leader_connect_delay_during_retry_ms: u32 = 100, "leaderConnectDelayDuringRetryMs" in 0..=3_600_000;
        /// Outstanding requests above which a server stops reading from clients.
        global_outstanding_limit: u32 = 1000, "globalOutstandingLimit" in 1..=1_000_000_000;
    }
}

/// `yes` or `no`, as `forceSync` is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct YesNo(pub bool);

impl crate::options::OptionValue for YesNo {
    fn parse(text: &str) -> Result<Self, String> {
        match text.trim() {
            "yes" => Ok(Self(true)),
            "no" => Ok(Self(false)),
            _ => Err("yes or no".to_owned()),
        }
    }

    fn show(&self) -> String {
        if self.0 { "yes" } else { "no" }.to_owned()
    }
}

impl ZooKeeperConfig {
    /// `tickTime`.
    pub fn tick(&self) -> Span {
        Span::from_ms(u64::from(self.tick_time))
    }

    /// `initLimit` ticks.
    pub fn init_limit_span(&self) -> Span {
        self.tick() * u64::from(self.init_limit)
    }

    /// `syncLimit` ticks.
    pub fn sync_limit_span(&self) -> Span {
        self.tick() * u64::from(self.sync_limit)
    }

    /// When a read of a socket whose `SO_TIMEOUT` is `limit` gives up: Java waits in `poll`, and Linux lets its timer be late by up
    /// to a thousandth, at most 100 ms (`select_estimate_accuracy`), unless the core wakes before. On a busy machine 40 waits of
    /// 10 s were late by 6.5 to 10.2 ms.
    pub fn read_timeout(limit: Span, random: &mut Random) -> Span {
        let slack = (limit / 1_000).min(Span::from_ms(100)).as_ns() / 2;
        limit + Span::from_ns(slack + random.below(slack.max(1)))
    }

    /// What a wished-for session timeout is granted as (`ZooKeeperServer.processConnectRequest`).
    pub fn negotiate(&self, wish: Span) -> Span {
        let low = self.min_session_timeout.map_or(self.tick() * 2, |ms| Span::from_ms(ms.into()));
        let high = self.max_session_timeout.map_or(self.tick() * 20, |ms| Span::from_ms(ms.into()));
        wish.max(low).min(high.max(low))
    }
}
