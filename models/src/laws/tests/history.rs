//! A small builder of histories.

use std::sync::Arc;

use crate::fingerprint::Fingerprint;
use crate::id::{BrokerId, HostId, ProcessId, SessionId, Sid, Topic, TopicPartition, ValueId, Zxid};
use crate::kafka::config::Acks;
use crate::kafka::protocol::{LeaderAndIsr, ProducerMark};
use crate::kafka::znode::{self, PartitionStateZnode};
use crate::laws::{Facts, Judge, PartitionFacts, ProcessFacts, ProcessKind};
use crate::observation::{
    ControlRequestKind, DownCause, Observation, Observed, ReplicaRole, ServedState, TruncateReason, ZkRole,
};
use crate::time::{Instant, Span};
use crate::zk::protocol::{Txn, TxnBody};

/// The partition of all histories, unless their facts name another.
pub(crate) const P: TopicPartition = TopicPartition { topic: Topic(0), partition: 0 };

/// Three servers (processes 0 to 2), three brokers 1 to 3 (processes 3 to 5), a producer (6) and a consumer (7); one
/// partition on all brokers.
pub(crate) fn facts() -> Facts {
    let servers = (1..=3).map(|sid| ProcessKind::ZooKeeper(Sid(sid)));
    let brokers = (1..=3).map(|id| ProcessKind::Broker(BrokerId(id)));
    let kinds = servers.chain(brokers).chain([ProcessKind::Producer, ProcessKind::Consumer]);
    Facts {
        processes: kinds.map(|kind| ProcessFacts { kind, host: HostId(0), wanted: true }).collect(),
        partitions: vec![PartitionFacts { partition: P, replication_factor: 3 }],
        groups: Vec::new(),
        offsets_partitions: 50,
        isr_writers: Vec::new(),
        min_isr: 2,
        unclean_election: false,
        replica_lag: Span::from_secs(30),
        session_timeout: Span::from_secs(18),
        tick: Span::from_secs(2),
        init_limit: 10,
        sync_limit: 5,
        force_sync: true,
        acks: Acks::All,
        idempotence: true,
        delivery: Span::from_secs(180),
        produce_interval: Some(Span::from_secs(5)),
        controller_probe: true,
        zookeeper_probe: true,
        known_breaches: Vec::new(),
        start: Instant::ZERO,
    }
}

/// A history in the making: each call adds observations, a millisecond apart.
pub(crate) struct History {
    /// The partition that everything is about.
    partition: TopicPartition,
    pub(crate) judge: Judge,
    now: Instant,
    stands: bool,
    incarnations: [u32; 8],
    zxid: Zxid,
    digest: u64,
    settled: Vec<(Zxid, u64)>,
    state_version: i32,
    controller_epochs: i32,
    epochs: [i64; 4],
    /// The epoch that each broker leads in.
    leads: [Option<i32>; 4],
    /// Ephemeral nodes that exist.
    nodes: Vec<Arc<str>>,
}

impl History {
    /// The cluster is up: server 3 leads in epoch 1, broker 1 is controller in epoch 1 and leads the partition in epoch 0.
    pub(crate) fn started(facts: Facts) -> Self {
        let mut history = Self {
            partition: facts.partitions[0].partition,
            judge: Judge::new(facts),
            now: Instant::ZERO,
            stands: false,
            incarnations: [1; 8],
            zxid: Zxid::new(1, 0),
            digest: 1,
            settled: Vec::new(),
            state_version: -1,
            controller_epochs: 0,
            epochs: [0; 4],
            leads: [None; 4],
            nodes: Vec::new(),
        };
        (0..8).for_each(|process| history.see(process, Observation::Up));
        history.zk_leader(3, 1, Zxid::ZERO);
        (1..=3).for_each(|broker| history.register(broker));
        history.elect_controller(1, 1);
        history.state(Some(1), 0, &[1, 2, 3]);
        (1..=3).for_each(|broker| history.load(broker, 0));
        history.begin(1, 0);
        history
    }

    /// Adds one observation of a process.
    pub(crate) fn see(&mut self, process: u16, what: Observation) {
        self.now += if self.stands { Span::ZERO } else { Span::from_ms(1) };
        let incarnation = self.incarnations[usize::from(process)];
        self.judge.observe(&Observed { at: self.now, process: ProcessId(process), incarnation, what });
    }

    /// Adds one observation of broker 1, 2 or 3.
    pub(crate) fn broker(&mut self, broker: u16, what: Observation) {
        self.see(2 + broker, what);
    }

    /// What is added by `story` happens at one moment.
    pub(crate) fn at_once(&mut self, story: impl FnOnce(&mut Self)) {
        self.now += Span::from_ms(1);
        self.stands = true;
        story(self);
        self.stands = false;
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now += Span::from_secs(seconds);
    }

    pub(crate) fn role(&mut self, server: u16, role: ZkRole, epoch: u32, last_zxid: Zxid) {
        self.see(server - 1, Observation::ZkRole { role, epoch, last_zxid });
    }

    /// A server is established as leader of a new epoch, the others follow it.
    pub(crate) fn zk_leader(&mut self, server: u16, epoch: u32, last: Zxid) {
        self.role(server, ZkRole::Leading, epoch, last);
        for other in (1..=3).filter(|other| *other != server) {
            self.role(other, ZkRole::Following, epoch, last);
        }
        self.zxid = Zxid::new(epoch, 0);
    }

    pub(crate) fn last_zxid(&self) -> Zxid {
        self.zxid
    }

    /// The next transaction, not observed by anybody yet.
    pub(crate) fn propose(&mut self, session: u64, body: TxnBody) -> Arc<Txn> {
        self.zxid = self.zxid.next();
        let txn = Txn { zxid: self.zxid, session: SessionId(session), time: self.now, body };
        self.see(2, Observation::ZkPropose { zxid: txn.zxid, content: Fingerprint::of(&txn) });
        Arc::new(txn)
    }

    /// A server applies a transaction after all that are committed.
    pub(crate) fn apply(&mut self, server: u16, txn: &Arc<Txn>) {
        let digest = self.digest.wrapping_mul(31).wrapping_add(txn.zxid.0);
        self.see(server - 1, Observation::ZkApply { txn: Arc::clone(txn), digest, tree: Some(digest) });
    }

    pub(crate) fn commit(&mut self, txn: &Arc<Txn>) {
        self.see(2, Observation::ZkCommit { zxid: txn.zxid, epoch: txn.zxid.epoch() });
    }

    /// A transaction is committed and applied by everybody.
    pub(crate) fn transact(&mut self, session: u64, body: TxnBody) -> Zxid {
        let txn = self.propose(session, body);
        self.commit(&txn);
        (1..=3).for_each(|server| self.apply(server, &txn));
        self.settle(&txn);
        txn.zxid
    }

    /// Later transactions follow on this one.
    pub(crate) fn settle(&mut self, txn: &Txn) {
        self.digest = self.digest.wrapping_mul(31).wrapping_add(txn.zxid.0);
        self.settled.push((txn.zxid, self.digest));
    }

    /// A server's tree is replaced by the one that ends at a settled transaction.
    pub(crate) fn reset(&mut self, server: u16, zxid: Zxid) {
        let (_, digest) = *self.settled.iter().find(|(settled, _)| *settled == zxid).expect("a settled transaction");
        self.see(server - 1, Observation::ZkReset { zxid, digest });
    }

    /// A broker registers with a new session.
    pub(crate) fn register(&mut self, broker: u16) {
        let path = znode::broker_path(BrokerId(broker.into()));
        self.forget(&path);
        let zxid = self.transact(u64::from(broker), create(&path, "", true));
        self.nodes.push(path);
        self.epochs[usize::from(broker)] = zxid.0 as i64;
        self.broker(broker, Observation::Registered { broker: BrokerId(broker.into()), broker_epoch: zxid.0 as i64 });
    }

    /// Deletes a node of an earlier life, if there is one.
    fn forget(&mut self, path: &Arc<str>) {
        if let Some(index) = self.nodes.iter().position(|node| node == path) {
            self.nodes.remove(index);
            self.transact(101, TxnBody::Delete { path: Arc::clone(path) });
        }
    }

    /// A broker's session ends.
    pub(crate) fn expire(&mut self, broker: u16) {
        let path = znode::broker_path(BrokerId(broker.into()));
        self.nodes.retain(|node| *node != path);
        self.transact(u64::from(broker), TxnBody::CloseSession { ephemerals: vec![path] });
    }

    pub(crate) fn elect_controller(&mut self, broker: u16, epoch: i32) {
        let node = znode::ControllerZnode { version: 2, brokerid: broker.into(), timestamp: "0".to_owned() };
        self.forget(&znode::CONTROLLER.into());
        self.nodes.push(znode::CONTROLLER.into());
        self.controller_epochs += 1;
        let version = self.controller_epochs;
        let epoch_node =
            TxnBody::SetData { path: znode::CONTROLLER_EPOCH.into(), data: epoch.to_string().into(), version };
        let election = vec![create(znode::CONTROLLER, &znode::encode(&node), true), epoch_node];
        self.transact(u64::from(broker) + 100, TxnBody::Multi(election));
        self.broker(broker, Observation::ActiveController { active: true });
        self.broker(broker, Observation::ControllerBegin { epoch });
    }

    /// Another broker becomes controller and lets every stored state stand.
    pub(crate) fn take_over(&mut self, broker: u16, epoch: i32) {
        self.elect_controller(broker, epoch);
        self.broker(broker, Observation::ControllerReady { epoch });
    }

    /// The controller stores a partition state, and every broker serves it.
    pub(crate) fn state(&mut self, leader: Option<i32>, epoch: i32, isr: &[i32]) {
        self.store(leader, epoch, isr);
        (1..=3).for_each(|broker| self.serve(broker, leader, epoch, isr));
    }

    /// A broker is told the state that was stored last.
    pub(crate) fn serve(&mut self, broker: u16, leader: Option<i32>, leader_epoch: i32, isr: &[i32]) {
        let (leader, isr, partition_epoch) = (leader.map(BrokerId), znode::brokers(isr), self.state_version);
        let state = ServedState { partition: self.partition, leader, leader_epoch, isr, partition_epoch };
        self.broker(broker, Observation::MetadataServed { states: Arc::new([state]) });
    }

    /// The controller stores a partition state.
    pub(crate) fn store(&mut self, leader: Option<i32>, epoch: i32, isr: &[i32]) {
        self.state_version += 1;
        let state = LeaderAndIsr {
            leader: leader.map(BrokerId),
            leader_epoch: epoch,
            isr: znode::brokers(isr),
            partition_epoch: self.state_version,
            recovering: false,
        };
        let data = znode::encode(&PartitionStateZnode::new(&state, 1));
        let path = znode::partition_state_path(self.partition);
        self.transact(101, TxnBody::SetData { path, data, version: self.state_version });
    }

    pub(crate) fn effect(&mut self, broker: u16, epoch: i32, zxid: Zxid) {
        self.broker(
            broker,
            Observation::ControllerEffect { epoch, path: znode::partition_state_path(self.partition), zxid },
        );
    }

    /// Broker 2 is sent a request. Controller epochs: named and known; broker epochs the same, against its present one.
    pub(crate) fn request(&mut self, epochs: (i32, i32), broker_epochs: (i64, i64), applied: bool) {
        let present = |epoch: i64| if epoch == UNCHECKED { epoch } else { self.epochs[2] + epoch };
        let what = Observation::ControlRequest {
            request: ControlRequestKind::LeaderAndIsr,
            controller: BrokerId(1),
            controller_epoch: epochs.0,
            known_controller_epoch: epochs.1,
            broker_epoch: present(broker_epochs.0),
            known_broker_epoch: present(broker_epochs.1),
            applied,
        };
        self.broker(2, what);
    }

    pub(crate) fn begin(&mut self, broker: u16, leader_epoch: i32) {
        let leo = self.judge.logs().replica(usize::from(broker) - 1, 0).leo();
        self.leads[usize::from(broker)] = Some(leader_epoch);
        self.broker(broker, Observation::LeaderBegin { partition: self.partition, leader_epoch, leo });
    }

    /// A leader knows or asks for an ISR.
    pub(crate) fn isr(&mut self, broker: u16, leader_epoch: i32, isr: &[i32], maximal_isr: &[i32]) {
        let (isr, maximal_isr) = (znode::brokers(isr), znode::brokers(maximal_isr));
        let partition_epoch = self.state_version;
        self.broker(
            broker,
            Observation::IsrLocal { partition: self.partition, leader_epoch, isr, maximal_isr, partition_epoch },
        );
    }

    /// A broker hears that it does not lead, if it holds itself for the leader of another epoch.
    fn step_down(&mut self, broker: u16, unless: Option<i32>) {
        let leads = &mut self.leads[usize::from(broker)];
        if let Some(leader_epoch) = leads.filter(|_| *leads != unless) {
            *leads = None;
            self.broker(broker, Observation::LeaderEnd { partition: self.partition, leader_epoch });
        }
    }

    pub(crate) fn load(&mut self, broker: u16, leo: u64) {
        self.broker(broker, Observation::LogLoaded { partition: self.partition, log_start: 0, leo, high_watermark: 0 });
    }

    pub(crate) fn append(&mut self, broker: u16, base_offset: u64, leader_epoch: i32, values: &[u64]) {
        self.append_batch(broker, base_offset, leader_epoch, values, None);
    }

    /// A broker appends a batch: as leader if it leads in that epoch.
    pub(crate) fn append_batch(
        &mut self,
        broker: u16,
        base_offset: u64,
        leader_epoch: i32,
        values: &[u64],
        producer: Option<ProducerMark>,
    ) {
        self.step_down(broker, Some(leader_epoch));
        let values = values.iter().map(|value| ValueId(*value)).collect();
        let leads = self.leads[usize::from(broker)].is_some();
        let role = if leads { ReplicaRole::Leader } else { ReplicaRole::Follower };
        let what = Observation::Append { partition: self.partition, base_offset, leader_epoch, values, producer, role };
        self.broker(broker, what);
    }

    /// Brokers report a high watermark, the first one as leader.
    pub(crate) fn high_watermark(&mut self, brokers: &[u16], leader_epoch: i32, value: u64) {
        for (index, broker) in brokers.iter().enumerate() {
            let role = if index == 0 { ReplicaRole::Leader } else { ReplicaRole::Follower };
            self.broker(*broker, Observation::HighWatermark { partition: self.partition, value, leader_epoch, role });
        }
    }

    /// A broker reports a high watermark as follower.
    pub(crate) fn reports(&mut self, broker: u16, leader_epoch: i32, value: u64) {
        let role = ReplicaRole::Follower;
        self.broker(broker, Observation::HighWatermark { partition: self.partition, value, leader_epoch, role });
    }

    /// Values are sent, appended by these brokers, the first of them the leader, committed and acknowledged.
    pub(crate) fn write(&mut self, brokers: &[u16], base_offset: u64, leader_epoch: i32, values: &[u64]) {
        values.iter().for_each(|value| self.send(*value));
        brokers.iter().for_each(|broker| self.append(*broker, base_offset, leader_epoch, values));
        let end = base_offset + values.len() as u64;
        self.high_watermark(brokers, leader_epoch, end);
        (base_offset..).zip(values).for_each(|(offset, value)| self.ok(*value, Some(offset)));
    }

    pub(crate) fn truncate(&mut self, broker: u16, (from, to): (u64, u64), leader_epoch: i32, reason: TruncateReason) {
        self.step_down(broker, None);
        let role = ReplicaRole::Follower;
        let what = Observation::Truncate {
            partition: self.partition,
            from,
            to,
            high_watermark: 0,
            leader_epoch,
            role,
            reason,
        };
        self.broker(broker, what);
    }

    pub(crate) fn acknowledge(&mut self, acks: Acks, high_watermark: u64, maximal_isr: u32) {
        let (base_offset, records, min_isr) = (3, 2, 2);
        let what = Observation::Acknowledge {
            partition: self.partition,
            base_offset,
            records,
            acks,
            high_watermark,
            maximal_isr,
            min_isr,
        };
        self.broker(1, what);
    }

    pub(crate) fn down(&mut self, broker: u16, lossy: bool) {
        self.broker(broker, Observation::Down { lossy, cause: DownCause::Killed });
        self.leads[usize::from(broker)] = None;
        self.incarnations[usize::from(broker) + 2] += 1;
    }

    pub(crate) fn send(&mut self, value: u64) {
        let (acks, idempotent) = (self.judge.facts().acks, self.judge.facts().idempotence);
        let value = ValueId(value);
        self.see(6, Observation::Send { partition: self.partition, value, acks, idempotent, max_in_flight: 5 });
    }

    pub(crate) fn ok(&mut self, value: u64, offset: Option<u64>) {
        let acks = self.judge.facts().acks;
        self.see(
            6,
            Observation::SendOk { partition: self.partition, value: ValueId(value), offset, acks, latency: Span::ZERO },
        );
    }

    pub(crate) fn poll(&mut self, base_offset: u64, values: &[u64]) {
        self.poll_from(1, base_offset, values);
    }

    /// The consumer gets records from the replica of this broker.
    pub(crate) fn poll_from(&mut self, broker: i32, base_offset: u64, values: &[u64]) {
        let values = values.iter().map(|value| ValueId(*value)).collect();
        self.see(7, Observation::Poll { partition: self.partition, base_offset, values, replica: BrokerId(broker) });
    }

    /// The consumer is told that its position is reset.
    pub(crate) fn told(&mut self, from: u64, to: u64) {
        self.see(7, Observation::PositionReset { partition: self.partition, from, to });
    }

    pub(crate) fn end_offset(&mut self, offset: u64) {
        self.see(7, Observation::EndOffset { partition: self.partition, offset });
    }

    pub(crate) fn quiet(&mut self) {
        self.judge.quiet_begins(self.now);
        self.broker(1, Observation::ControllerActed { epoch: 1 });
    }
}

const UNCHECKED: i64 = -1;

/// A transaction that creates a node.
pub(crate) fn create(path: &str, data: &str, ephemeral: bool) -> TxnBody {
    TxnBody::Create { path: path.into(), data: data.into(), ephemeral, parent_cversion: 1 }
}
