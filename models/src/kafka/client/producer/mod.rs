//! `KafkaProducer` with an application that hands records over at a steady pace.
//!
//! The Java client has two threads: the application's, which may block in `send()`, and the sender. Here one value takes
//! inputs; a blocked `send()` is [`Blocked`]. After each input the sender's round runs: settle sequences, go on with the
//! blocked `send()`, send what is ready.

mod accumulator;
mod batch;
mod sender;
mod transactions;

use std::hash::Hash;
use std::sync::Arc;

use accumulator::Accumulator;
use transactions::TransactionManager;

use super::ClientTimer;
use super::alarm::Alarm;
use super::metadata::Metadata;
use super::network::{Network, NetworkEvent};
use crate::defect::Defects;
use crate::fingerprint::Fingerprint;
use crate::id::{BrokerId, TopicPartition, ValueId};
use crate::kafka::channel::ChannelLimits;
use crate::kafka::config::{Acks, ProducerConfig};
use crate::kafka::protocol::ErrorCode;
use crate::kafka::{Addresses, Timer as KafkaTimer};
use crate::observation::Observation;
use crate::process::{Loss, Process};
use crate::random::Random;
use crate::sorted_map::SortedMap;
use crate::time::{Instant, Span};
use crate::world::{Ctx, In, Message, Timer};

/// Most bytes of a request and of a record (`max.request.size`, 1 MiB).
const MAX_REQUEST_SIZE: u32 = 1_048_576;
/// Idempotence holds up to this many requests under way (KIP-185); with more the default setting turns itself off.
const MAX_IN_FLIGHT_FOR_IDEMPOTENCE: u32 = 5;
/// Values of one client are numbered with this many bits; the bits above hold [`ProducerSpec::client`].
const VALUE_BITS: u32 = 40;
/// A pace of zero would never let time pass.
const SHORTEST_INTERVAL: Span = Span::from_us(1);

/// What a producer is to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProducerSpec {
    /// Its options.
    pub config: Arc<ProducerConfig>,
    /// The brokers: where it begins, and where it finds those that metadata name.
    pub bootstrap: Addresses,
    /// The partitions it writes to, round robin. Order and repetitions do not matter.
    pub partitions: Arc<[TopicPartition]>,
    /// Whether its metadata requests may create topics. A real producer's always may; here nobody's do unless the workload says
    /// that topics come about this way.
    pub creates_topics: bool,
    /// Out of a million records, how many go to the first partition, whoever's turn it is.
    pub skew_ppm: u32,
    /// Between two records of this producer; at least 1 us.
    pub interval: Span,
    /// Each interval is longer or shorter by up to this much.
    pub jitter: Span,
    /// Bytes of a record's payload.
    pub record_size: u32,
    /// Until the first record, counted from the start of the first incarnation.
    pub start_after: Span,
    /// Makes the values of this producer its own: below 2^24, and no two producers of a run share it.
    pub client: u64,
    /// Which defects it has.
    pub defects: Defects,
}

/// A `send()` that has not returned: it waits for metadata or memory.
#[derive(Clone, Copy, Debug, Hash)]
struct Blocked {
    value: ValueId,
    partition: u32,
    for_memory: bool,
}

/// A producer.
#[derive(Clone, Debug, Hash)]
pub struct Producer {
    spec: ProducerSpec,
    idempotent: bool,
    network: Network,
    accumulator: Accumulator,
    transactions: TransactionManager,
    /// Requests under way: which batch of which partition is in them.
    requests: SortedMap<(BrokerId, u32), Vec<(u32, u64)>>,
    blocked: Option<Blocked>,
    ready_alarm: Alarm,
    delivery_alarm: Alarm,
    block_alarm: Alarm,
    retry_alarm: Alarm,
    next_partition: u32,
    /// Survives a crash: a value is never used twice.
    next_value: u64,
    /// Records that were handed over and whose outcome is not known.
    unfinished: u64,
    stopped: bool,
}

impl Producer {
    /// A producer that has not started.
    ///
    /// # Panics
    /// If `client` is 2^24 or more.
    pub fn new(mut spec: ProducerSpec) -> Self {
        assert!(spec.client >> (64 - VALUE_BITS) == 0, "a client's number has to fit above its values");
        let mut partitions = spec.partitions.to_vec();
        partitions.sort_unstable();
        partitions.dedup();
        spec.partitions = partitions.into();
        let config = Arc::clone(&spec.config);
        let idempotent = config.enable_idempotence
            && config.acks == Acks::All
            && config.retries > 0
            && config.max_in_flight_requests_per_connection <= MAX_IN_FLIGHT_FOR_IDEMPOTENCE;
        Self {
            idempotent,
            network: new_network(&spec),
            accumulator: Accumulator::new(spec.partitions.len(), &config),
            transactions: TransactionManager::new(idempotent),
            requests: SortedMap::default(),
            blocked: None,
            ready_alarm: Alarm::new(ClientTimer::Ready),
            delivery_alarm: Alarm::new(ClientTimer::Delivery),
            block_alarm: Alarm::new(ClientTimer::MaxBlock),
            retry_alarm: Alarm::new(ClientTimer::Retry),
            next_partition: 0,
            next_value: 0,
            unfinished: 0,
            stopped: false,
            spec,
        }
    }

    /// Hands over no further records, also after a restart; what is under way goes on.
    pub fn stop_sending(&mut self) {
        self.stopped = true;
    }

    /// Whether the outcome of every record that was handed over in this incarnation is known.
    pub fn is_drained(&self) -> bool {
        self.unfinished == 0
    }

    /// The application's next turn. A blocked one misses its turns, as a thread in `send()` does.
    fn on_application(&mut self, ctx: &mut Ctx<'_>) {
        if self.stopped || self.spec.partitions.is_empty() {
            return;
        }
        let jitter = self.spec.jitter.min(self.spec.interval);
        let pause = match jitter {
            Span::ZERO => self.spec.interval,
            _ => ctx.random.span(self.spec.interval - jitter, self.spec.interval + jitter),
        };
        ctx.set_timer(pause.max(SHORTEST_INTERVAL), Timer::Kafka(KafkaTimer::Client(ClientTimer::Application)));
        if self.blocked.is_some() {
            return;
        }
        let partition = self.choose_partition(ctx);
        let value = ValueId((self.spec.client << VALUE_BITS) | self.next_value);
        self.next_value += 1;
        self.unfinished += 1;
        ctx.observe(Observation::Send {
            partition: self.network.metadata.partition(partition),
            value,
            acks: self.spec.config.acks,
            idempotent: self.idempotent,
            max_in_flight: self.spec.config.max_in_flight_requests_per_connection,
        });
        self.hand_over(ctx, partition, value);
    }

    /// Round robin, but for the records that are drawn to the hottest partition.
    fn choose_partition(&mut self, ctx: &mut Ctx<'_>) -> u32 {
        if self.spec.skew_ppm > 0 && ctx.random.below(1_000_000) < u64::from(self.spec.skew_ppm) {
            return 0;
        }
        let partition = self.next_partition;
        self.next_partition = (partition + 1) % self.spec.partitions.len() as u32;
        partition
    }

    fn hand_over(&mut self, ctx: &mut Ctx<'_>, partition: u32, value: ValueId) {
        let size = self.spec.record_size;
        if size > MAX_REQUEST_SIZE || u64::from(size) > self.spec.config.buffer_memory {
            self.refuse(ctx, partition, value, ErrorCode::MessageTooLarge);
        } else if !self.try_append(ctx, partition, value) {
            self.block_alarm.at(ctx, ctx.now + Span::from_ms(self.spec.config.max_block_ms.into()));
            if self.blocked.is_some_and(|blocked| blocked.for_memory) {
                // `exhausted` in `RecordAccumulator.ready`: nobody lingers while somebody waits for memory.
                for partition in self.accumulator.waited_until(Instant::MAX) {
                    self.place(ctx, partition);
                }
            }
        }
    }

    /// Gives a record to the accumulator, or remembers that `send()` is blocked.
    fn try_append(&mut self, ctx: &mut Ctx<'_>, partition: u32, value: ValueId) -> bool {
        let for_memory = self.network.metadata.knows(partition);
        if !for_memory {
            // `KafkaProducer.waitOnMetadata`
            self.network.request_update(ctx);
        } else if self.accumulator.append(partition, value, self.spec.record_size, ctx.now, ctx.wall).is_ok() {
            self.delivery_alarm.at(ctx, ctx.now + self.delivery_timeout());
            self.place(ctx, partition);
            return true;
        }
        self.blocked = Some(Blocked { value, partition, for_memory });
        false
    }

    /// Tries a blocked `send()` again.
    fn unblock(&mut self, ctx: &mut Ctx<'_>) {
        let Some(Blocked { value, partition, for_memory }) = self.blocked else { return };
        if !for_memory && !self.network.metadata.knows(partition) {
            return;
        }
        self.blocked = None;
        if self.try_append(ctx, partition, value) {
            self.block_alarm.cancel(ctx);
        }
    }

    /// `send()` fails: the record never got into the accumulator.
    fn refuse(&mut self, ctx: &mut Ctx<'_>, partition: u32, value: ValueId, error: ErrorCode) {
        self.unfinished -= 1;
        let partition = self.network.metadata.partition(partition);
        ctx.observe(Observation::SendFail { partition, value, error });
    }

    fn delivery_timeout(&self) -> Span {
        Span::from_ms(self.spec.config.delivery_timeout_ms.into())
    }

    fn on_network(&mut self, ctx: &mut Ctx<'_>, event: NetworkEvent) {
        match event {
            NetworkEvent::Answer { from, correlation, response } => self.on_answer(ctx, from, correlation, response),
            NetworkEvent::Lost { from, failed, timed_out } => self.on_lost(ctx, from, &failed, timed_out),
            NetworkEvent::Metadata { changed, .. } => {
                for partition in changed {
                    if self.accumulator.is_placed(partition) {
                        self.place(ctx, partition);
                    }
                }
                for partition in self.accumulator.homeless() {
                    self.place(ctx, partition);
                }
            }
            NetworkEvent::Nothing => {}
        }
    }

    fn on_timer(&mut self, ctx: &mut Ctx<'_>, timer: ClientTimer) {
        match timer {
            ClientTimer::Application => self.on_application(ctx),
            ClientTimer::DeleteController => {}
            ClientTimer::Metadata => self.network.on_metadata_timer(ctx),
            ClientTimer::Ready => {
                self.ready_alarm.fired();
                for partition in self.accumulator.waited_until(ctx.now) {
                    self.place(ctx, partition);
                }
                if let Some(next) = self.accumulator.next_wait() {
                    self.ready_alarm.at(ctx, next);
                }
            }
            ClientTimer::Delivery => {
                self.delivery_alarm.fired();
                self.expire(ctx);
            }
            ClientTimer::Group => {}
            ClientTimer::MaxBlock => {
                self.block_alarm.fired();
                if let Some(Blocked { value, partition, .. }) = self.blocked.take() {
                    self.refuse(ctx, partition, value, ErrorCode::RequestTimedOut);
                }
            }
            ClientTimer::Retry => {
                self.retry_alarm.fired();
                self.transactions.init = transactions::InitProducerId::Needed;
            }
            ClientTimer::EndOffsets => {}
        }
    }
}

impl Process for Producer {
    type Message = Message;
    type Timer = Timer;

    fn on_input(&mut self, input: In, ctx: &mut Ctx<'_>) {
        match input {
            In::Start => {
                self.network.start(ctx);
                let application = Timer::Kafka(KafkaTimer::Client(ClientTimer::Application));
                ctx.set_timer(self.spec.start_after, application);
            }
            In::Timer { timer: Timer::Kafka(KafkaTimer::Client(timer)), .. } => self.on_timer(ctx, timer),
            In::Timer { timer: Timer::Kafka(KafkaTimer::Channel(timer)), .. } => {
                let event = self.network.on_channel_timer(ctx, timer);
                self.on_network(ctx, event);
            }
            input => {
                let event = self.network.on_input(ctx, input);
                self.on_network(ctx, event);
            }
        }
        self.run_sender(ctx);
    }

    fn crash(&mut self, _loss: Loss, _random: &mut Random) -> bool {
        let spec = ProducerSpec { start_after: Span::ZERO, ..self.spec.clone() };
        *self = Self { next_value: self.next_value, stopped: self.stopped, ..Self::new(spec) };
        false
    }

    fn fold_state(&self, into: &mut Fingerprint) {
        self.hash(into);
    }
}

fn new_network(spec: &ProducerSpec) -> Network {
    let config = &spec.config;
    let ms = |ms: u32| Span::from_ms(ms.into());
    let limits = ChannelLimits {
        setup_timeout: ms(config.socket_connection_setup_timeout_ms),
        setup_timeout_max: ms(config.socket_connection_setup_timeout_max_ms),
        backoff: ms(config.reconnect_backoff_ms),
        backoff_max: ms(config.reconnect_backoff_max_ms),
        max_in_flight: config.max_in_flight_requests_per_connection as usize,
    };
    let partitions = Arc::clone(&spec.partitions);
    let metadata = Metadata::new(partitions, false, ms(config.retry_backoff_ms), ms(config.metadata_max_age_ms));
    let mut network = Network::new(Arc::clone(&spec.bootstrap), limits, ms(config.request_timeout_ms), metadata);
    network.allow_auto_topic_creation = spec.creates_topics;
    network
}
