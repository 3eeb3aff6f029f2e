//! Brokers made of a replica manager and a metadata cache alone; the test is the controller and the client.

mod durability;
mod idempotence;
mod in_sync;
mod log_dirs;
mod old_rules;
mod reads;
mod replication;
mod sessions;

use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::Arc;

use super::ReplicaManager;
use crate::defect::Defects;
use crate::fingerprint::Fingerprint;
use crate::id::{Address, BrokerId, ConnId, ProcessId, Topic, TopicPartition, ValueId};
use crate::kafka::channel::ConnInput;
use crate::kafka::config::{Acks, BrokerConfig, Text};
use crate::kafka::metadata_cache::MetadataCache;
use crate::kafka::protocol::*;
use crate::kafka::{Racks, Timer as KafkaTimer};
use crate::observation::{Observation, TruncateReason};
use crate::process::{Effect, Input, Loss, Process};
use crate::random::Random;
use crate::testing::Harness;
use crate::time::Span;
use crate::world::{Ctx, In, KAFKA_PORT, Message, Timer};

/// The test's connection to each broker.
const CLIENT: ConnId = ConnId(1_000_000);
const P0: TopicPartition = TopicPartition { topic: Topic(0), partition: 0 };
const ALL: [i32; 3] = [0, 1, 2];

#[derive(Clone, Debug)]
struct Broker {
    manager: ReplicaManager,
    cache: MetadataCache,
    /// Answers on the test's connection.
    answers: Vec<Response>,
    /// ISR changes that the test has not answered.
    asked: Vec<AlterPartitionItem>,
    /// Partitions named in fetch requests and answers sent, by frames.
    fetch_sizes: Vec<usize>,
    /// How often the controller was to hear of a failed log directory.
    told_of_log_dirs: u32,
}

impl Process for Broker {
    type Message = Message;
    type Timer = Timer;

    fn on_input(&mut self, input: In, ctx: &mut Ctx<'_>) {
        match input {
            Input::Start => {
                ctx.listen(KAFKA_PORT);
                self.manager.load_logs(ctx);
            }
            Input::Opened { conn } => drop(self.manager.on_conn(ctx, &self.cache, ConnInput::Opened(conn))),
            Input::Closed { conn, reason } => {
                let not_a_fetchers = self.manager.on_conn(ctx, &self.cache, ConnInput::Closed(conn, reason));
                if not_a_fetchers.is_some() {
                    self.manager.on_client_closed(ctx, conn);
                }
            }
            Input::Message { conn, message: Message::Kafka(frame) } => self.on_frame(ctx, conn, frame),
            Input::Timer { timer: Timer::Kafka(timer), .. } => match timer {
                KafkaTimer::Replica(timer) => self.manager.on_timer(ctx, &self.cache, timer),
                KafkaTimer::Channel(timer) => self.manager.on_channel_timer(ctx, &self.cache, timer),
                _ => {}
            },
            Input::Terminate => self.manager.close_logs(ctx),
            Input::Disk { token, result } => self.manager.on_disk(ctx, &self.cache, token, result),
            _ => {}
        }
        self.told_of_log_dirs += u32::from(self.manager.handle_log_dir_failures(ctx));
        self.asked.extend(self.manager.take_isr_changes());
        for effect in ctx.effects.iter() {
            let Effect::Send { conn, message: Message::Kafka(frame) } = effect else { continue };
            match &frame.body {
                Body::Response(response) if *conn == CLIENT => self.answers.push(response.clone()),
                Body::Response(Response::Fetch(response)) => self.fetch_sizes.push(response.partitions.len()),
                Body::Request(Request::Fetch(request)) => self.fetch_sizes.push(request.partitions.len()),
                _ => {}
            }
        }
    }

    fn crash(&mut self, loss: Loss, random: &mut Random) -> bool {
        self.cache = MetadataCache::default();
        self.asked.clear();
        self.manager.crash(loss, random)
    }

    fn fold_state(&self, into: &mut Fingerprint) {
        self.manager.hash(into);
    }
}

impl Broker {
    fn on_frame(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, frame: Frame) {
        let origin = Origin { conn, correlation: frame.correlation };
        let response = match frame.body {
            Body::Response(Response::AlterPartition(answer)) => {
                let items = std::mem::take(&mut self.asked);
                return self.manager.on_isr_answer(ctx, &self.cache, items, answer);
            }
            Body::Response(_) => return drop(self.manager.on_conn(ctx, &self.cache, ConnInput::Frame(conn, frame))),
            Body::Request(Request::Produce(request)) => return self.manager.produce(ctx, &self.cache, origin, request),
            Body::Request(Request::Fetch(request)) => return self.manager.fetch(ctx, &self.cache, origin, &request),
            Body::Request(Request::ListOffsets(queries)) => self.manager.list_offsets(&queries),
            Body::Request(Request::OffsetsForLeaderEpoch(queries)) => self.manager.offsets_for_leader_epoch(&queries),
            Body::Request(Request::LeaderAndIsr(request)) => self.manager.leader_and_isr(ctx, &self.cache, &request),
            Body::Request(Request::StopReplica(request)) => self.manager.stop_replica(ctx, &self.cache, &request),
            Body::Request(Request::UpdateMetadata(request)) => {
                self.cache.update(&request);
                return self.manager.metadata_updated(ctx, &self.cache);
            }
            Body::Request(_) => return,
        };
        ctx.send(conn, Message::Kafka(Frame::response(frame.correlation, response)));
    }
}

struct Cluster {
    harness: Harness<Broker>,
    partition_epochs: BTreeMap<TopicPartition, i32>,
    next_value: u64,
}

impl Cluster {
    fn new(set: impl Fn(&mut BrokerConfig)) -> Self {
        Self::with_defects(set, Defects::NONE)
    }

    fn with_defects(set: impl Fn(&mut BrokerConfig), defects: Defects) -> Self {
        let mut config = BrokerConfig::default();
        set(&mut config);
        let address = |id: i32| Address { process: ProcessId(id as u16), port: KAFKA_PORT };
        let addresses = Arc::new(ALL.iter().map(|id| (BrokerId(*id), address(*id))).collect());
        let racks: Racks = Arc::new(ALL.iter().map(|id| (BrokerId(*id), Text(format!("rack-{id}")))).collect());
        let broker = |id: &i32| Broker {
            manager: ReplicaManager::new(
                BrokerId(*id),
                Arc::new(config.clone()),
                defects,
                Arc::clone(&addresses),
                racks.clone(),
            ),
            cache: MetadataCache::default(),
            answers: Vec::new(),
            asked: Vec::new(),
            fetch_sizes: Vec::new(),
            told_of_log_dirs: 0,
        };
        let mut cluster = Self {
            harness: Harness::new(ALL.iter().map(broker).collect()),
            partition_epochs: BTreeMap::new(),
            next_value: 1,
        };
        cluster.run_ms(10);
        cluster
    }

    /// A cluster in which broker 0 leads `P0` in epoch 1 with everybody in the ISR.
    fn led_by_0(set: impl Fn(&mut BrokerConfig)) -> Self {
        let mut cluster = Self::new(set);
        cluster.elect(&ALL, 0, 1, &ALL);
        cluster.run_ms(100);
        cluster
    }

    fn run_ms(&mut self, ms: u64) {
        self.harness.run_for(Span::from_ms(ms));
    }

    fn say(&mut self, to: i32, body: Body) {
        let message = Message::Kafka(Frame { correlation: 1, meant_for: None, body });
        self.harness.input(to as u16, Input::Message { conn: CLIENT, message });
    }

    fn ask(&mut self, to: i32, request: Request) {
        self.say(to, Body::Request(request));
    }

    /// The controller tells `to` who is alive.
    fn update_metadata(&mut self, to: i32, live: &[i32], partitions: Vec<PartitionLeadership>) {
        let live_brokers = live.iter().map(|id| BrokerId(*id)).collect();
        let request = UpdateMetadataRequest {
            controller: BrokerId(0),
            controller_epoch: 1,
            broker_epoch: 0,
            live_brokers,
            partitions,
        };
        self.ask(to, Request::UpdateMetadata(Arc::new(request)));
    }

    fn leadership(&self, id: TopicPartition, leader: i32, leader_epoch: i32, isr: &[i32]) -> PartitionLeadership {
        let brokers = |ids: &[i32]| ids.iter().map(|id| BrokerId(*id)).collect();
        let state = LeaderAndIsr {
            leader: (leader >= 0).then_some(BrokerId(leader)),
            leader_epoch,
            isr: brokers(isr),
            partition_epoch: self.partition_epochs.get(&id).copied().unwrap_or(0),
            recovering: false,
        };
        PartitionLeadership { partition: id, controller_epoch: 1, state, replicas: brokers(&ALL), is_new: false }
    }

    /// The controller elects a leader of `P0` and tells `told`.
    fn elect(&mut self, told: &[i32], leader: i32, leader_epoch: i32, isr: &[i32]) {
        self.elect_all(told, &[P0], leader, leader_epoch, isr);
    }

    fn elect_all(&mut self, told: &[i32], ids: &[TopicPartition], leader: i32, leader_epoch: i32, isr: &[i32]) {
        for id in ids {
            *self.partition_epochs.entry(*id).or_insert(0) += 1;
        }
        let partitions: Vec<_> = ids.iter().map(|id| self.leadership(*id, leader, leader_epoch, isr)).collect();
        for broker in told {
            self.update_metadata(*broker, &ALL, partitions.clone());
            let request = LeaderAndIsrRequest {
                controller: BrokerId(0),
                controller_epoch: 1,
                broker_epoch: 0,
                live_leaders: vec![BrokerId(leader)],
                partitions: partitions.clone(),
            };
            self.ask(*broker, Request::LeaderAndIsr(Arc::new(request)));
        }
    }

    fn batch(&mut self, records: u64, producer: Option<ProducerMark>) -> Arc<RecordBatch> {
        let values = (self.next_value..self.next_value + records).map(ValueId).collect();
        self.next_value += records;
        let timestamp = self.harness.now();
        Arc::new(RecordBatch {
            base_offset: 0,
            leader_epoch: -1,
            producer,
            values,
            content: None,
            size: 100,
            timestamp,
        })
    }

    /// Produces to `P0`; the answer, if it is there at once, is in [`Cluster::last_produce`].
    fn produce(&mut self, to: i32, acks: Acks, records: u64) {
        let batch = self.batch(records, None);
        self.produce_batch(to, acks, batch);
    }

    fn produce_batch(&mut self, to: i32, acks: Acks, batch: Arc<RecordBatch>) {
        self.harness.process_mut(to as u16).answers.clear();
        let request = ProduceRequest { acks, timeout: Span::from_secs(30), batches: vec![(P0, batch)] };
        self.ask(to, Request::Produce(request));
    }

    /// Error and base offset of the last produce request to a broker; `None` while it waits.
    fn last_produce(&self, to: i32) -> Option<(ErrorCode, Option<u64>)> {
        self.harness.process(to as u16).answers.iter().rev().find_map(|answer| match answer {
            Response::Produce(results) => Some((results[0].error, results[0].base_offset)),
            _ => None,
        })
    }

    /// LEO and high watermark of `P0` on a broker.
    fn ends(&self, broker: i32) -> (u64, u64) {
        let log = &self.harness.process(broker as u16).manager.partitions.get(P0).unwrap().log;
        (log.log_end(), log.high_watermark())
    }

    /// The values of `P0` on a broker.
    fn values(&self, broker: i32) -> Vec<u64> {
        self.values_from(broker, 0)
    }

    /// The values of `P0` on a broker from an offset on.
    fn values_from(&self, broker: i32, from: u64) -> Vec<u64> {
        let log = &self.harness.process(broker as u16).manager.partitions.get(P0).unwrap().log;
        let batches = log.read(from, log.log_end(), u64::MAX, true);
        batches.iter().flat_map(|batch| batch.values.iter().map(|value| value.0)).collect()
    }

    fn asked(&self, broker: i32) -> Vec<Vec<i32>> {
        let asked = &self.harness.process(broker as u16).asked;
        asked.iter().map(|item| item.new_isr.iter().map(|id| id.0).collect()).collect()
    }

    /// The controller answers what `broker` asked: it stores the ISR, or refuses.
    fn answer_isr(&mut self, broker: i32, refusal: Option<ErrorCode>) {
        let items = self.harness.process(broker as u16).asked.clone();
        let answer = |item: &AlterPartitionItem| {
            let state = LeaderAndIsr {
                leader: Some(BrokerId(broker)),
                leader_epoch: item.leader_epoch,
                isr: Arc::clone(&item.new_isr),
                partition_epoch: item.partition_epoch + 1,
                recovering: false,
            };
            (item.partition, refusal.map_or(Ok(state), Err))
        };
        let partitions: Vec<_> = items.iter().map(answer).collect();
        if refusal.is_none() {
            for item in &items {
                self.partition_epochs.insert(item.partition, item.partition_epoch + 1);
            }
        }
        let answer = AlterPartitionResponse { error: ErrorCode::None, partitions };
        self.say(broker, Body::Response(Response::AlterPartition(answer)));
    }

    /// Committed and maximal ISR of `P0` on a broker.
    fn isr(&self, broker: i32) -> (Vec<i32>, Vec<i32>) {
        let ids = |isr: &Arc<[BrokerId]>| isr.iter().map(|id| id.0).collect();
        let isr = &self.harness.process(broker as u16).manager.partitions.get(P0).unwrap().isr;
        (ids(isr.isr()), ids(isr.maximal_isr()))
    }

    fn observed<T>(&self, broker: i32, pick: impl Fn(&Observation) -> Option<T>) -> Vec<T> {
        let of_broker = self.harness.observed.iter().filter(|seen| seen.process == ProcessId(broker as u16));
        of_broker.filter_map(|seen| pick(&seen.what)).collect()
    }

    /// Every cut of `P0` on a broker, as (from, to).
    fn cuts(&self, broker: i32) -> Vec<(u64, u64)> {
        self.observed(broker, |what| match what {
            Observation::Truncate { from, to, .. } => Some((*from, *to)),
            _ => None,
        })
    }
}
