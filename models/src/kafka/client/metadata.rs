//! `Metadata`: what a client knows of the cluster, and when it has to ask again.

use std::sync::Arc;

use crate::id::{BrokerId, Topic, TopicPartition};
use crate::kafka::protocol::{ErrorCode, MetadataResponse};
use crate::time::{Instant, Span};

/// Who leads a partition, as far as the client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Leadership {
    /// The leader, if the newest view has one.
    pub(super) leader: Option<BrokerId>,
    /// Its epoch; -1 before any metadata has named the partition.
    pub(super) epoch: i32,
}

/// The client's view of the cluster. Partitions are addressed by their position in the client's sorted list.
#[derive(Clone, Debug, Hash)]
pub(super) struct Metadata {
    partitions: Arc<[TopicPartition]>,
    topics: Option<Arc<[Topic]>>,
    leaders: Vec<Leadership>,
    nodes: Vec<BrokerId>,
    controller: Option<BrokerId>,
    refresh_backoff: Span,
    max_age: Span,
    requested: bool,
    last_refresh: Option<Instant>,
    last_success: Option<Instant>,
}

impl Metadata {
    /// Knows nothing and wants to. `partitions` are sorted; `all_topics` asks for every topic, not theirs alone.
    pub(super) fn new(
        partitions: Arc<[TopicPartition]>,
        all_topics: bool,
        refresh_backoff: Span,
        max_age: Span,
    ) -> Self {
        let mut topics: Vec<Topic> = partitions.iter().map(|p| p.topic).collect();
        topics.dedup();
        Self {
            leaders: vec![Leadership { leader: None, epoch: -1 }; partitions.len()],
            topics: (!all_topics).then(|| topics.into()),
            partitions,
            nodes: Vec::new(),
            controller: None,
            refresh_backoff,
            max_age,
            requested: true,
            last_refresh: None,
            last_success: None,
        }
    }

    /// The partition at an index.
    pub(super) fn partition(&self, index: u32) -> TopicPartition {
        self.partitions[index as usize]
    }

    /// The index of a partition, if the client has to do with it.
    pub(super) fn index(&self, partition: TopicPartition) -> Option<u32> {
        self.partitions.binary_search(&partition).ok().map(|at| at as u32)
    }

    /// Who leads.
    pub(super) fn leadership(&self, index: u32) -> Leadership {
        self.leaders[index as usize]
    }

    /// Who leads, if that broker is among the nodes of the last answer (`Cluster.leaderFor`).
    pub(super) fn leader(&self, index: u32) -> Option<BrokerId> {
        self.leaders[index as usize].leader.filter(|leader| self.nodes.contains(leader))
    }

    /// Whether any answer has named the partition.
    pub(super) fn knows(&self, index: u32) -> bool {
        self.leaders[index as usize].epoch >= 0
    }

    /// The brokers of the last answer; empty before the first.
    pub(super) fn nodes(&self) -> &[BrokerId] {
        &self.nodes
    }

    /// The controller of the last answer.
    pub(super) fn controller(&self) -> Option<BrokerId> {
        self.controller
    }

    /// What to ask for.
    pub(super) fn topics(&self) -> Option<Vec<Topic>> {
        self.topics.as_ref().map(|topics| topics.to_vec())
    }

    /// Asks for a refresh as soon as the back-off allows.
    pub(super) const fn request_update(&mut self) {
        self.requested = true;
    }

    /// When the next request is due (`Metadata.timeToNextUpdate`).
    pub(super) fn due(&self) -> Instant {
        let allowed = self.last_refresh.map_or(Instant::ZERO, |at| at + self.refresh_backoff);
        let expires = match self.last_success {
            Some(at) if !self.requested => at + self.max_age,
            _ => Instant::ZERO,
        };
        allowed.max(expires)
    }

    /// A request goes out: what is asked for from now on needs another one.
    pub(super) const fn asked(&mut self) {
        self.requested = false;
    }

    /// The request came to nothing.
    pub(super) const fn failed(&mut self, now: Instant) {
        self.last_refresh = Some(now);
        self.requested = true;
    }

    /// An answer of another kind told of a newer leader epoch (`updateLastSeenEpochIfNewer`): until metadata follow, the
    /// leader is unknown. Returns whether it was news.
    pub(super) fn saw_epoch(&mut self, index: u32, epoch: i32) -> bool {
        let leadership = &mut self.leaders[index as usize];
        let newer = epoch > leadership.epoch;
        if newer {
            *leadership = Leadership { leader: None, epoch };
            self.requested = true;
        }
        newer
    }

    /// Takes an answer; leader epochs move forward only. Returns the partitions whose leader or epoch changed.
    pub(super) fn update(&mut self, now: Instant, response: &MetadataResponse) -> Vec<u32> {
        self.last_refresh = Some(now);
        if response.brokers.is_empty() {
            // `NetworkClient.handleSuccessfulResponse`: an answer without brokers is no answer.
            self.requested = true;
            return Vec::new();
        }
        self.last_success = Some(now);
        let listed_changed = self.nodes != response.brokers;
        self.nodes.clone_from(&response.brokers);
        self.controller = response.controller;
        let mut changed = Vec::new();
        for told in &response.partitions {
            let Some(index) = self.index(told.partition) else { continue };
            // `Metadata.update`: as long as a partition has no leader, ask again.
            self.requested |= told.error != ErrorCode::None;
            let leadership = &mut self.leaders[index as usize];
            let new = Leadership { leader: told.leader, epoch: told.leader_epoch };
            if new.epoch >= leadership.epoch && (new != *leadership || listed_changed) {
                *leadership = new;
                changed.push(index);
            }
        }
        self.requested |= !response.unknown_topics.is_empty();
        changed
    }
}
