//! `KafkaConsumer`, with assigned partitions or in a group. It reads as fast as brokers answer, and reports what it got.
//! With assigned partitions it begins where `auto.offset.reset` says and commits nothing; in a group it reads its share from
//! where the group left off ([`group`], [`commit`]). What it is given counts as processed at once.
//!
//! Each partition is in one [`Phase`] and stands with at most one broker, in one of the broker's lists (positions to
//! look up, positions to validate, fetch session). A broker's lists are sent when its connection can take a request.
//! Records may come from a follower that the leader names ([`preferred`], KIP-392); all else is the leader's.

mod assignor;
mod commit;
mod ends;
mod group;
mod member;
mod position;
mod preferred;
mod session;

use std::collections::BTreeSet;
use std::hash::Hash;
use std::sync::Arc;

use member::Member;
use position::{PartitionState, Phase, Validity};
use session::Broker;

use super::ClientTimer;
use super::alarm::Alarm;
use super::errors::is_invalid_metadata;
use super::metadata::Metadata;
use super::network::{Network, NetworkEvent};
use crate::defect::{Defect, Defects};
use crate::fingerprint::Fingerprint;
use crate::id::{BrokerId, Group, Topic, TopicPartition, ValueId};
use crate::kafka::channel::{ChannelId, ChannelLimits};
use crate::kafka::config::ConsumerConfig;
use crate::kafka::group::messages::Position;
use crate::kafka::protocol::{ErrorCode, FetchedPartition, OffsetSpec, Response};
use crate::kafka::{Addresses, Timer as KafkaTimer};
use crate::observation::Observation;
use crate::process::{Loss, Process};
use crate::random::Random;
use crate::sorted_map::SortedMap;
use crate::time::{Instant, Span};
use crate::world::{Ctx, In, Message, Timer};

/// `max.in.flight.requests.per.connection` of the consumer's network client.
const MAX_IN_FLIGHT: usize = 100;

/// How a consumer came to its partitions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subscribed {
    /// They are assigned to it for good, and read from the earliest offset.
    Manually,
    /// It shares them with the other members of a group.
    In(Group),
}

/// What a consumer is to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConsumerSpec {
    /// Its options.
    pub config: Arc<ConsumerConfig>,
    /// The brokers: where it begins, and where it finds those that metadata name.
    pub bootstrap: Addresses,
    /// The partitions it reads; in a group all partitions of the topics that it subscribes to. Order and repetitions do not
    /// matter.
    pub partitions: Arc<[TopicPartition]>,
    /// How it came to them.
    pub subscribed: Subscribed,
    /// Until the first poll, counted from the start of the first incarnation.
    pub start_after: Span,
    /// How often it asks for the ends of its partitions, as lag monitors do; never if unset.
    pub end_offsets_every: Option<Span>,
    /// Which defects it has.
    pub defects: Defects,
}

/// A consumer.
#[derive(Clone, Debug, Hash)]
pub struct Consumer {
    spec: ConsumerSpec,
    network: Network,
    partitions: Vec<PartitionState>,
    brokers: SortedMap<BrokerId, Broker>,
    homeless: BTreeSet<u32>,
    waiting: BTreeSet<(Instant, u32)>,
    /// When preferences for a follower end.
    preferences: BTreeSet<(Instant, u32)>,
    retry: Alarm,
    /// Questions for the ends of partitions that are under way.
    end_questions: BTreeSet<(BrokerId, u32)>,
    /// Its part in a group.
    member: Option<Box<Member>>,
    started: bool,
}

impl Consumer {
    /// A consumer that has not started.
    pub fn new(mut spec: ConsumerSpec) -> Self {
        let mut partitions = spec.partitions.to_vec();
        partitions.sort_unstable();
        partitions.dedup();
        spec.partitions = partitions.into();
        let (state, member) = match &spec.subscribed {
            Subscribed::Manually => (PartitionState::new(&spec.config), None),
            Subscribed::In(group) => {
                let mut topics: Vec<Topic> = spec.partitions.iter().map(|partition| partition.topic).collect();
                topics.dedup();
                (PartitionState::unassigned(), Some(Box::new(Member::new(group.clone(), topics.into()))))
            }
        };
        Self {
            network: new_network(&spec),
            partitions: vec![state; spec.partitions.len()],
            brokers: SortedMap::default(),
            homeless: BTreeSet::new(),
            waiting: BTreeSet::new(),
            preferences: BTreeSet::new(),
            retry: Alarm::new(ClientTimer::Ready),
            end_questions: BTreeSet::new(),
            member,
            started: false,
            spec,
        }
    }

    /// The offset that the consumer reads next, `None` before it is known.
    pub fn position(&self, partition: TopicPartition) -> Option<u64> {
        let index = self.network.metadata.index(partition)?;
        self.partitions[index as usize].offset
    }

    /// Whether the partition is among those that it reads now.
    pub fn reads(&self, partition: TopicPartition) -> bool {
        self.member.as_ref().is_none_or(|member| member.assigned.contains(&partition))
    }

    fn start(&mut self, ctx: &mut Ctx<'_>) {
        self.started = true;
        match &self.member {
            None => ctx.observe(Observation::Assign { partitions: Arc::clone(&self.spec.partitions) }),
            Some(member) => {
                let (group, topics) = (member.group.clone(), Arc::clone(&member.topics));
                ctx.observe(Observation::Subscribe { group, topics });
            }
        }
        self.network.start(ctx);
        for index in 0..self.partitions.len() as u32 {
            self.place(ctx, index);
        }
        self.schedule_end_question(ctx);
    }

    /// Takes a partition out of the list in which it stands.
    fn withdraw(&mut self, index: u32) {
        let partition = &mut self.partitions[index as usize];
        if let Some(home) = partition.home.take()
            && let Some(broker) = self.brokers.get_mut(home)
        {
            broker.withdraw(index);
        }
        if let Some(until) = partition.waits_until.take() {
            self.waiting.remove(&(until, index));
        }
        self.homeless.remove(&index);
    }

    /// Puts a partition into the list where its phase and its leader want it.
    fn place(&mut self, ctx: &mut Ctx<'_>, index: u32) {
        self.withdraw(index);
        if matches!(self.partitions[index as usize].phase, Phase::Halted | Phase::Unassigned | Phase::Committed) {
            return;
        }
        let replica = self.read_replica(ctx, index);
        let partition = &mut self.partitions[index as usize];
        let Some(leader) = self.network.metadata.leader(index) else {
            self.homeless.insert(index);
            self.network.request_update(ctx);
            return;
        };
        let home = replica.unwrap_or(leader);
        partition.home = Some(home);
        self.brokers.get_or_insert_with(home, Broker::default).admit(index, partition.phase);
    }

    /// Lets a partition rest for `retry.backoff.ms`. The Java client asks again at once as long as its metadata are stale;
    /// to everyone else that is only load.
    fn back_off(&mut self, ctx: &mut Ctx<'_>, index: u32) {
        self.withdraw(index);
        let until = ctx.now + Span::from_ms(self.spec.config.retry_backoff_ms.into());
        self.partitions[index as usize].waits_until = Some(until);
        self.waiting.insert((until, index));
        self.retry.at(ctx, until);
    }

    fn on_network(&mut self, ctx: &mut Ctx<'_>, event: NetworkEvent) {
        match event {
            NetworkEvent::Answer { from, correlation, response: Response::Group(response) } => {
                self.on_group_answer(ctx, from, correlation, response);
            }
            NetworkEvent::Lost { from: from @ (ChannelId::Coordinator(_) | ChannelId::Bootstrap(_)), .. } => {
                self.on_group_lost(ctx, from);
            }
            NetworkEvent::Answer { from: ChannelId::Client(broker), correlation, response } => {
                self.on_answer(ctx, broker, correlation, response);
            }
            NetworkEvent::Lost { from: ChannelId::Client(broker), .. } => {
                // Whoever was asked for the coordinator need not be one that is read from.
                self.on_group_lost(ctx, ChannelId::Client(broker));
                let Some(lost) = self.brokers.get_mut(broker).map(Broker::on_lost) else { return };
                for index in lost.asked {
                    self.back_off(ctx, index);
                }
                // `AbstractFetch.handleFetchFailure`
                for index in lost.fetched {
                    self.clear_preference(ctx, index);
                }
                self.end_questions.retain(|(asked, _)| *asked != broker);
            }
            NetworkEvent::Metadata { changed, .. } => {
                for index in changed {
                    self.on_leadership(ctx, index);
                }
                for index in std::mem::take(&mut self.homeless) {
                    self.place(ctx, index);
                }
            }
            NetworkEvent::Answer { .. } | NetworkEvent::Lost { .. } | NetworkEvent::Nothing => {}
        }
    }

    /// A partition's leader or epoch changed: its position has to be validated before it reads on (KIP-320,
    /// `maybeValidatePositionForCurrentLeader`).
    fn on_leadership(&mut self, ctx: &mut Ctx<'_>, index: u32) {
        let epoch = self.network.metadata.leadership(index).epoch;
        // KAFKA-7747 (G04): the defective consumer goes on at its offset, whatever the new leader has there.
        let blind = self.spec.defects.has(Defect::ConsumerBlindToTruncation);
        let partition = &mut self.partitions[index as usize];
        if partition.enter_epoch(epoch, blind) {
            partition.preferred = None;
        }
        if partition.waits_until.is_none() {
            self.place(ctx, index);
        }
    }

    fn on_answer(&mut self, ctx: &mut Ctx<'_>, from: BrokerId, correlation: u32, response: Response) {
        let Some(broker) = self.brokers.get_mut(from) else { return };
        match response {
            Response::Fetch(response) => {
                let Some(accepted) = broker.on_fetched(correlation, &response) else { return };
                if accepted {
                    for fetched in response.partitions {
                        self.on_fetched(ctx, from, fetched);
                    }
                }
            }
            Response::ListOffsets(answers) if self.end_questions.remove(&(from, correlation)) => {
                self.on_ends(ctx, &answers);
            }
            Response::ListOffsets(answers) => {
                for index in broker.on_looked_up(correlation) {
                    let partition = self.network.metadata.partition(index);
                    let answer = answers.iter().find(|answer| answer.partition == partition);
                    let result = answer.map_or(Err(ErrorCode::UnknownServerError), |answer| match answer.error {
                        ErrorCode::None => Ok((answer.offset, answer.leader_epoch)),
                        error => Err(error),
                    });
                    self.on_offset(ctx, index, result);
                }
            }
            Response::OffsetsForLeaderEpoch(answers) => {
                for index in broker.on_validated(correlation) {
                    let partition = self.network.metadata.partition(index);
                    let answer = answers.iter().find(|answer| answer.partition == partition);
                    let error = answer.map_or(ErrorCode::UnknownServerError, |answer| answer.error);
                    match answer.filter(|_| error == ErrorCode::None) {
                        Some(answer) => {
                            self.on_epoch_end(ctx, index, answer.end.map(|end| (end.epoch, end.end_offset)));
                        }
                        None => self.on_error(ctx, index, error),
                    }
                }
            }
            _ => {}
        }
    }

    /// An error that passes: look for the leader, try again later.
    fn on_error(&mut self, ctx: &mut Ctx<'_>, index: u32, error: ErrorCode) {
        // UNKNOWN_LEADER_EPOCH and unexpected errors are retried with the metadata at hand while fetching
        // (`handleInitializeErrors`); looking up and validating always renew them.
        if is_invalid_metadata(error)
            || error == ErrorCode::OffsetNotAvailable
            || self.partitions[index as usize].phase != Phase::Fetch
        {
            self.network.request_update(ctx);
            self.partitions[index as usize].preferred = None;
        }
        self.back_off(ctx, index);
    }

    /// `OffsetFetcher.resetPositionsAsync` was answered.
    fn on_offset(&mut self, ctx: &mut Ctx<'_>, index: u32, result: Result<(u64, i32), ErrorCode>) {
        let Phase::Reset { from, .. } = self.partitions[index as usize].phase else { return };
        let (to, epoch) = match result {
            Ok(answer) => answer,
            Err(error) => return self.on_error(ctx, index, error),
        };
        if self.network.metadata.saw_epoch(index, epoch) {
            self.network.request_update(ctx);
        }
        // Without an epoch: a position that was just given needs no validation.
        self.partitions[index as usize].seek(to, None);
        self.report_reset(ctx, index, from, to);
        self.place(ctx, index);
    }

    fn report_reset(&self, ctx: &mut Ctx<'_>, index: u32, from: Option<u64>, to: u64) {
        let partition = self.network.metadata.partition(index);
        ctx.observe(match from {
            Some(from) => Observation::PositionReset { partition, from, to },
            None => Observation::FirstPosition { partition, offset: to },
        });
    }

    /// A position was validated (`SubscriptionState.maybeCompleteValidation`): records behind the end of their epoch have
    /// been truncated.
    fn on_epoch_end(&mut self, ctx: &mut Ctx<'_>, index: u32, end: Option<(i32, u64)>) {
        let partition = &mut self.partitions[index as usize];
        let (Phase::Validate, Some(from)) = (partition.phase, partition.offset) else { return };
        let by_end_alone = self.spec.defects.has(Defect::ValidationByEndAlone);
        let known = end.filter(|(epoch, _)| *epoch >= 0);
        match known.map_or(Validity::Lost, |end| partition.validity(from, end, by_end_alone)) {
            Validity::Valid => partition.phase = Phase::Fetch,
            Validity::PartsAt { to, epoch, ask_again } if self.spec.config.reset_spec().is_some() => {
                partition.go_back(to, epoch, ask_again);
                self.report_reset(ctx, index, Some(from), to);
            }
            Validity::PartsAt { .. } | Validity::Lost => self.request_reset(index),
        }
        self.place(ctx, index);
    }

    /// The position is invalid (`SubscriptionState.requestOffsetReset`). Without a policy the application gets an
    /// exception: this one then leaves the partition alone.
    fn request_reset(&mut self, index: u32) {
        let partition = &mut self.partitions[index as usize];
        partition.phase = match self.spec.config.reset_spec() {
            Some(at) => Phase::Reset { at, from: partition.offset },
            None => Phase::Halted,
        };
    }

    /// One partition of a fetch's answer.
    fn on_fetched(&mut self, ctx: &mut Ctx<'_>, from: BrokerId, fetched: FetchedPartition) {
        let Some(index) = self.network.metadata.index(fetched.partition) else { return };
        let partition = &mut self.partitions[index as usize];
        let Some(broker) = self.brokers.get_mut(from).filter(|broker| broker.is_current(index)) else { return };
        match fetched.error {
            ErrorCode::None if fetched.preferred_read_replica.is_some() => {
                self.prefer(ctx, index, fetched.preferred_read_replica);
            }
            ErrorCode::None => {
                let before = partition.offset;
                partition.take(ctx, from, &fetched);
                if partition.offset != before {
                    broker.moved(index);
                    if let Some(member) = self.member.as_mut().filter(|_| !self.spec.config.enable_auto_commit) {
                        member.processed.get_or_insert(ctx.now);
                    }
                }
            }
            // A follower may be behind, or begin later: its leader is to say so itself.
            ErrorCode::OffsetOutOfRange if partition.preferred.is_some() => self.clear_preference(ctx, index),
            ErrorCode::OffsetOutOfRange => {
                self.request_reset(index);
                self.place(ctx, index);
            }
            error => self.on_error(ctx, index, error),
        }
    }

    /// Sends whatever can be sent.
    fn run(&mut self, ctx: &mut Ctx<'_>) {
        self.run_member(ctx);
        // An application that commits what it has processed polls again when the commit is answered.
        if self.member.as_ref().is_some_and(|member| member.processed.is_some()) {
            return;
        }
        for (id, broker) in self.brokers.iter_mut() {
            while broker.has_request() && self.network.ready(ctx, id) {
                let request = broker.next_request(&self.spec.config, &self.network.metadata, &self.partitions);
                let correlation = self.network.send(ctx, ChannelId::Client(id), request);
                broker.sent(correlation);
            }
        }
    }

    fn on_timer(&mut self, ctx: &mut Ctx<'_>, timer: ClientTimer) {
        match timer {
            ClientTimer::Application => self.start(ctx),
            ClientTimer::Metadata => self.network.on_metadata_timer(ctx),
            ClientTimer::Ready => {
                self.retry.fired();
                while let Some(&(until, index)) = self.waiting.first() {
                    if until > ctx.now {
                        self.retry.at(ctx, until);
                        break;
                    }
                    self.place(ctx, index);
                }
                self.end_preferences(ctx);
            }
            ClientTimer::EndOffsets => self.ask_ends(ctx),
            ClientTimer::Group => {
                if let Some(member) = &mut self.member {
                    member.alarm.fired();
                }
            }
            ClientTimer::DeleteController | ClientTimer::Delivery | ClientTimer::MaxBlock | ClientTimer::Retry => {}
        }
    }
}

impl Process for Consumer {
    type Message = Message;
    type Timer = Timer;

    fn on_input(&mut self, input: In, ctx: &mut Ctx<'_>) {
        match input {
            In::Start => {
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
        self.run(ctx);
    }

    fn crash(&mut self, _loss: Loss, _random: &mut Random) -> bool {
        *self = Self::new(ConsumerSpec { start_after: Span::ZERO, ..self.spec.clone() });
        false
    }

    fn fold_state(&self, into: &mut Fingerprint) {
        self.hash(into);
    }
}

fn new_network(spec: &ConsumerSpec) -> Network {
    let config = &spec.config;
    let ms = |ms: u32| Span::from_ms(ms.into());
    let limits = ChannelLimits {
        setup_timeout: ms(config.socket_connection_setup_timeout_ms),
        setup_timeout_max: ms(config.socket_connection_setup_timeout_max_ms),
        backoff: ms(config.reconnect_backoff_ms),
        backoff_max: ms(config.reconnect_backoff_max_ms),
        max_in_flight: MAX_IN_FLIGHT,
    };
    let partitions = Arc::clone(&spec.partitions);
    let metadata = Metadata::new(partitions, false, ms(config.retry_backoff_ms), ms(config.metadata_max_age_ms));
    Network::new(Arc::clone(&spec.bootstrap), limits, ms(config.request_timeout_ms), metadata)
}
