//! What ZooKeeper's committed transactions mean to Kafka: partition states, registrations, the controller and its epoch.

use std::sync::Arc;

use super::facts::Roster;
use crate::id::{BrokerId, SessionId, TopicPartition, Zxid};
use crate::kafka::protocol::LeaderAndIsr;
use crate::kafka::znode::{self, ControllerZnode, PartitionStateZnode, TopicZnode};
use crate::zk::protocol::{Path, Txn, TxnBody};
use crate::zk::session_client;

/// Something that Kafka's part of the store says now and did not say before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoreEvent {
    /// A partition's state changed.
    PartitionState { partition: usize, before: Option<LeaderAndIsr>, now: LeaderAndIsr },
    /// A broker's node appeared or went; it is given by its number.
    Registration { broker: usize },
    /// `/controller` changed.
    Controller,
    /// `/controller_epoch` changed.
    ControllerEpoch,
    /// The session of a registered broker ended. Brokers of this model never close theirs, so it expired.
    BrokerSessionExpired,
    /// An ephemeral node was created for a session that had ended before.
    OrphanCreated { path: Arc<str>, session: SessionId, zxid: Zxid },
}

/// Kafka's part of the store in numbers: what a dashboard over ZooKeeper would show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreSummary {
    /// Brokers that are registered.
    pub registered: u64,
    /// Partitions whose ISR is smaller than their replication factor.
    pub under_replicated: u64,
    /// Partitions whose ISR is smaller than `min.insync.replicas`.
    pub under_min_isr: u64,
    /// Partitions with a state and without a leader.
    pub offline: u64,
    /// Registrations so far, renewed ones included.
    pub registrations: u64,
    /// Sessions of registered brokers, and of applications with a session of their own, that have ended so far.
    pub sessions_expired: u64,
    /// Elections so far that gave a partition another leader.
    pub leader_changes: u64,
    /// Writes so far that removed a replica from an ISR.
    pub isr_shrinks: u64,
}

impl StoreSummary {
    fn on_partition(
        &mut self,
        before: Option<&LeaderAndIsr>,
        now: &LeaderAndIsr,
        replication_factor: u32,
        min_isr: u32,
    ) {
        let under = |state: &LeaderAndIsr| u64::from((state.isr.len() as u32) < replication_factor);
        let below_min = |state: &LeaderAndIsr| u64::from((state.isr.len() as u32) < min_isr);
        let offline = |state: &LeaderAndIsr| u64::from(state.leader.is_none());
        self.under_replicated = self.under_replicated + under(now) - before.map_or(0, under);
        self.under_min_isr = self.under_min_isr + below_min(now) - before.map_or(0, below_min);
        self.offline = self.offline + offline(now) - before.map_or(0, offline);
        if let Some(before) = before {
            self.leader_changes += u64::from(now.leader.is_some() && now.leader != before.leader);
            self.isr_shrinks += u64::from(now.isr.len() < before.isr.len());
        }
    }
}

/// Kafka's part of the store, by committed transactions.
#[derive(Clone, Debug)]
pub(super) struct StoreView {
    partitions: Vec<Option<LeaderAndIsr>>,
    /// Per partition its replicas, preferred leader first.
    assignments: Vec<Option<Arc<[BrokerId]>>>,
    /// Per broker number the czxid of its node.
    registered: Vec<Option<Zxid>>,
    controller: Option<BrokerId>,
    /// Every controller epoch with the transaction that stored it, oldest first.
    controller_epochs: Vec<(Zxid, i32)>,
    /// Sessions that have ended, in order of their ids.
    ended: Vec<SessionId>,
    summary: StoreSummary,
    /// Per partition the transaction that last wrote its state.
    written: Vec<Zxid>,
    /// The election of the newest controller that has completed its failover.
    taken_over: Zxid,
}

impl StoreView {
    pub(super) fn new(roster: &Roster) -> Self {
        Self {
            partitions: vec![None; roster.facts.partitions.len()],
            assignments: vec![None; roster.facts.partitions.len()],
            registered: vec![None; roster.brokers.len()],
            controller: None,
            controller_epochs: Vec::new(),
            ended: Vec::new(),
            summary: StoreSummary::default(),
            written: vec![Zxid::ZERO; roster.facts.partitions.len()],
            taken_over: Zxid::ZERO,
        }
    }

    /// The controller elected in `epoch` has completed its failover.
    pub(super) fn on_taken_over(&mut self, epoch: i32) {
        let election = self.controller_epochs.iter().rev().find(|(_, stored)| *stored == epoch);
        self.taken_over = self.taken_over.max(election.map_or(Zxid::ZERO, |(zxid, _)| *zxid));
    }

    /// Whether the broker's place in the stored ISR is meant for its present registration: the state was written, or a
    /// controller was elected and took the state over, after the broker had registered. Before that, the place is its
    /// earlier life's, and the controller has yet to notice that it ended.
    pub(super) fn is_vouched_for(&self, partition: usize, broker: usize) -> bool {
        let vouched = self.written[partition].max(self.taken_over);
        self.registered[broker].is_some_and(|registered| registered < vouched)
    }

    /// Whether the end of a session is committed.
    pub(super) fn is_ended(&self, session: SessionId) -> bool {
        self.ended.binary_search(&session).is_ok()
    }

    /// All of it in numbers.
    pub(super) fn summary(&self) -> &StoreSummary {
        &self.summary
    }

    /// The stored state of a partition.
    pub(super) fn partition(&self, partition: usize) -> Option<&LeaderAndIsr> {
        self.partitions[partition].as_ref()
    }

    /// The replicas of a partition, preferred leader first; `None` if its topic was not seen to be created.
    pub(super) fn replicas(&self, partition: usize) -> Option<&[BrokerId]> {
        self.assignments[partition].as_deref()
    }

    /// The stored controller epoch.
    pub(super) fn controller_epoch(&self) -> Option<i32> {
        self.controller_epochs.last().map(|(_, epoch)| *epoch)
    }

    /// The broker epoch under which a broker is registered.
    pub(super) fn broker_epoch(&self, broker: usize) -> Option<i64> {
        self.registered[broker].map(|czxid| czxid.0 as i64)
    }

    /// Whom `/controller` names.
    pub(super) fn controller(&self) -> Option<BrokerId> {
        self.controller
    }

    /// The controller epoch that was stored before transaction `zxid`.
    pub(super) fn controller_epoch_before(&self, zxid: Zxid) -> Option<i32> {
        self.controller_epochs.iter().rev().find(|(at, _)| *at < zxid).map(|(_, epoch)| *epoch)
    }

    /// Applies the next committed transaction; what it means is pushed on `out`.
    pub(super) fn apply(&mut self, txn: &Txn, roster: &Roster, out: &mut Vec<StoreEvent>) {
        self.apply_body(&txn.body, txn, roster, out);
    }

    fn apply_body(&mut self, body: &TxnBody, txn: &Txn, roster: &Roster, out: &mut Vec<StoreEvent>) {
        match body {
            TxnBody::Create { path, data, ephemeral, .. } => {
                if *ephemeral && self.is_ended(txn.session) {
                    let event =
                        StoreEvent::OrphanCreated { path: Arc::clone(path), session: txn.session, zxid: txn.zxid };
                    out.push(event);
                }
                if let Some(broker) = znode::parse_broker_path(path).and_then(|id| roster.broker_number(id)) {
                    self.summary.registered += u64::from(self.registered[broker].replace(txn.zxid).is_none());
                    self.summary.registrations += 1;
                    out.push(StoreEvent::Registration { broker });
                }
                self.written(path, data, 0, txn.zxid, roster, out);
            }
            TxnBody::SetData { path, data, version } => self.written(path, data, *version, txn.zxid, roster, out),
            TxnBody::Delete { path } => self.deleted(path, roster, out),
            TxnBody::CloseSession { ephemerals } => {
                if let Err(index) = self.ended.binary_search(&txn.session) {
                    self.ended.insert(index, txn.session);
                }
                let counts =
                    |path: &Path| znode::parse_broker_path(path).is_some() || session_client::is_ephemeral(path);
                if ephemerals.iter().any(counts) {
                    self.summary.sessions_expired += 1;
                    out.push(StoreEvent::BrokerSessionExpired);
                }
                for path in ephemerals {
                    self.deleted(path, roster, out);
                }
            }
            TxnBody::Multi(bodies) => {
                for body in bodies {
                    self.apply_body(body, txn, roster, out);
                }
            }
            TxnBody::CreateSession { .. } | TxnBody::Check { .. } | TxnBody::Error { .. } => {}
        }
    }

    fn written(
        &mut self,
        path: &str,
        data: &str,
        version: i32,
        zxid: Zxid,
        roster: &Roster,
        out: &mut Vec<StoreEvent>,
    ) {
        if path == znode::CONTROLLER {
            self.controller = znode::decode::<ControllerZnode>(data).map(|node| BrokerId(node.brokerid));
            out.push(StoreEvent::Controller);
        } else if path == znode::CONTROLLER_EPOCH {
            if let Ok(epoch) = data.trim().parse() {
                self.controller_epochs.push((zxid, epoch));
                out.push(StoreEvent::ControllerEpoch);
            }
        } else if let Some(partition) = znode::parse_partition_state_path(path).and_then(|tp| roster.partition(tp))
            && let Some(content) = znode::decode::<PartitionStateZnode>(data)
        {
            let now = content.state(version);
            let before = self.partitions[partition].replace(now.clone());
            self.written[partition] = zxid;
            let replication_factor = roster.facts.partitions[partition].replication_factor;
            self.summary.on_partition(before.as_ref(), &now, replication_factor, roster.facts.min_isr);
            out.push(StoreEvent::PartitionState { partition, before, now });
        } else if let Some(topic) = znode::parse_topic_path(path)
            && let Some(content) = znode::decode::<TopicZnode>(data)
        {
            for (number, replicas) in content.partitions {
                if let Some(partition) = roster.partition(TopicPartition { topic, partition: number }) {
                    self.assignments[partition] = Some(znode::brokers(&replicas));
                }
            }
        }
    }

    fn deleted(&mut self, path: &str, roster: &Roster, out: &mut Vec<StoreEvent>) {
        if path == znode::CONTROLLER {
            self.controller = None;
            out.push(StoreEvent::Controller);
        } else if let Some(broker) = znode::parse_broker_path(path).and_then(|id| roster.broker_number(id)) {
            self.summary.registered -= u64::from(self.registered[broker].take().is_some());
            out.push(StoreEvent::Registration { broker });
        }
    }
}
