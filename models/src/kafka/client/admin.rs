//! `KafkaAdminClient`, as far as setting a workload up goes: waits for the brokers, creates topics, waits for leaders.

use std::hash::Hash;
use std::sync::Arc;

use super::ClientTimer;
use super::alarm::Alarm;
use super::metadata::Metadata;
use super::network::{Network, NetworkEvent};
use super::zookeeper_shell::ZooKeeperShell;
use crate::fingerprint::Fingerprint;
use crate::id::{Address, Topic, TopicPartition};
use crate::kafka::channel::{ChannelId, ChannelLimits};
use crate::kafka::protocol::{ErrorCode, MetadataResponse, Request, Response};
use crate::kafka::{Addresses, Timer as KafkaTimer};
use crate::process::{Loss, Process};
use crate::random::Random;
use crate::time::Span;
use crate::world::{Ctx, In, Message, Timer};

/// `retry.backoff.ms` of the admin client, and the pace at which it looks at metadata while it waits.
const RETRY_BACKOFF: Span = Span::from_ms(100);
/// `request.timeout.ms`.
const REQUEST_TIMEOUT: Span = Span::from_secs(30);
/// `metadata.max.age.ms`.
const METADATA_MAX_AGE: Span = Span::from_secs(300);
/// One request per connection (`KafkaAdminClient.createInternal`), the other limits at their defaults.
const LIMITS: ChannelLimits = ChannelLimits {
    setup_timeout: Span::from_secs(10),
    setup_timeout_max: Span::from_secs(30),
    backoff: Span::from_ms(50),
    backoff_max: Span::from_secs(1),
    max_in_flight: 1,
};

/// What an admin client is to set up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AdminSpec {
    /// The brokers.
    pub bootstrap: Addresses,
    /// The ZooKeeper servers, for what is done by hand.
    pub zookeeper: Arc<[Address]>,
    /// Nothing is created before metadata list this many brokers, so that assignments cover all of them.
    pub brokers_expected: usize,
    /// Topic, partitions, replication factor.
    pub topics: Vec<(Topic, u16, u16)>,
    /// Until it begins, counted from its start.
    pub start_after: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Phase {
    WaitForBrokers,
    Create { asked: Option<(ChannelId, u32)> },
    WaitForLeaders,
    Done,
}

/// An admin client. After a crash it begins anew; topics that exist are taken as created.
#[derive(Clone, Debug, Hash)]
pub struct AdminClient {
    spec: AdminSpec,
    network: Network,
    phase: Phase,
    /// Topics not yet created, by position in the spec.
    missing: Vec<(Topic, u16, u16)>,
    retry: Alarm,
    backing_off: bool,
    shell: ZooKeeperShell,
}

impl AdminClient {
    /// An admin client that has not started.
    pub fn new(spec: AdminSpec) -> Self {
        let metadata = Metadata::new(Arc::from([]), true, RETRY_BACKOFF, METADATA_MAX_AGE);
        Self {
            network: Network::new(Arc::clone(&spec.bootstrap), LIMITS, REQUEST_TIMEOUT, metadata),
            phase: Phase::WaitForBrokers,
            missing: spec.topics.clone(),
            retry: Alarm::new(ClientTimer::Retry),
            backing_off: false,
            shell: ZooKeeperShell::new(Arc::clone(&spec.zookeeper)),
            spec,
        }
    }

    /// Whether every topic exists and every partition of it had a leader.
    pub fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    fn on_network(&mut self, ctx: &mut Ctx<'_>, event: NetworkEvent) {
        match event {
            NetworkEvent::Metadata { response, .. } => self.on_metadata(ctx, &response),
            NetworkEvent::Answer { from, correlation, response: Response::CreateTopics(results) }
                if self.phase == (Phase::Create { asked: Some((from, correlation)) }) =>
            {
                self.on_created(ctx, &results);
            }
            NetworkEvent::Lost { from, failed, .. } => {
                if let Phase::Create { asked: Some((node, correlation)) } = self.phase
                    && node == from
                    && failed.contains(&correlation)
                {
                    self.back_off(ctx);
                }
            }
            NetworkEvent::Answer { .. } | NetworkEvent::Nothing => {}
        }
        self.create(ctx);
    }

    fn on_metadata(&mut self, ctx: &mut Ctx<'_>, response: &MetadataResponse) {
        match self.phase {
            Phase::WaitForBrokers if response.brokers.len() >= self.spec.brokers_expected => {
                self.phase = if self.missing.is_empty() { Phase::Done } else { Phase::Create { asked: None } };
            }
            Phase::WaitForLeaders if self.all_led(response) => self.phase = Phase::Done,
            Phase::WaitForBrokers | Phase::WaitForLeaders => self.network.request_update(ctx),
            Phase::Create { .. } if response.controller.is_none() => self.network.request_update(ctx),
            Phase::Create { .. } | Phase::Done => {}
        }
        if self.phase == Phase::Done {
            self.network.shut(ctx);
        }
    }

    fn all_led(&self, response: &MetadataResponse) -> bool {
        let led = |partition| response.partitions.iter().any(|p| p.partition == partition && p.leader.is_some());
        let mut wanted = self.spec.topics.iter();
        wanted.all(|&(topic, partitions, _)| (0..partitions).all(|partition| led(TopicPartition { topic, partition })))
    }

    /// Sends the topics that are missing to the controller, once it is known and connected.
    fn create(&mut self, ctx: &mut Ctx<'_>) {
        let Phase::Create { asked: None } = self.phase else { return };
        if self.backing_off {
            return;
        }
        let Some(controller) = self.network.metadata.controller() else {
            self.network.request_update(ctx);
            return;
        };
        if self.network.ready(ctx, controller) {
            let node = ChannelId::Client(controller);
            let request = Request::CreateTopics { topics: self.missing.clone(), timeout: REQUEST_TIMEOUT };
            let correlation = self.network.send(ctx, node, request);
            self.phase = Phase::Create { asked: Some((node, correlation)) };
        }
    }

    /// Whatever error there is, the topic is asked for again: the workload cannot do without it. Too few brokers for the
    /// replication factor, which is final for the Java client, may pass while the cluster starts.
    fn on_created(&mut self, ctx: &mut Ctx<'_>, results: &[(Topic, ErrorCode)]) {
        let created = |topic: Topic| {
            results.iter().any(|&(answered, error)| {
                answered == topic && matches!(error, ErrorCode::None | ErrorCode::TopicAlreadyExists)
            })
        };
        self.missing.retain(|(topic, ..)| !created(*topic));
        if self.missing.is_empty() {
            self.phase = Phase::WaitForLeaders;
            self.network.request_update(ctx);
        } else {
            self.back_off(ctx);
        }
    }

    fn back_off(&mut self, ctx: &mut Ctx<'_>) {
        self.phase = Phase::Create { asked: None };
        self.backing_off = true;
        self.network.request_update(ctx);
        self.retry.at(ctx, ctx.now + RETRY_BACKOFF);
    }
}

impl Process for AdminClient {
    type Message = Message;
    type Timer = Timer;

    fn on_input(&mut self, input: In, ctx: &mut Ctx<'_>) {
        let Some(input) = self.shell.on_input(ctx, input) else { return };
        let event = match input {
            In::Start => {
                let application = Timer::Kafka(KafkaTimer::Client(ClientTimer::Application));
                ctx.set_timer(self.spec.start_after, application);
                return;
            }
            In::Timer { timer: Timer::Kafka(KafkaTimer::Client(timer)), .. } => {
                match timer {
                    ClientTimer::DeleteController => self.shell.delete_controller(ctx),
                    ClientTimer::Application => self.network.start(ctx),
                    ClientTimer::Metadata => self.network.on_metadata_timer(ctx),
                    ClientTimer::Retry => {
                        self.retry.fired();
                        self.backing_off = false;
                    }
                    ClientTimer::Ready
                    | ClientTimer::Delivery
                    | ClientTimer::MaxBlock
                    | ClientTimer::EndOffsets
                    | ClientTimer::Group => {}
                }
                NetworkEvent::Nothing
            }
            In::Timer { timer: Timer::Kafka(KafkaTimer::Channel(timer)), .. } => {
                self.network.on_channel_timer(ctx, timer)
            }
            input => self.network.on_input(ctx, input),
        };
        self.on_network(ctx, event);
    }

    fn crash(&mut self, _loss: Loss, _random: &mut Random) -> bool {
        *self = Self::new(self.spec.clone());
        false
    }

    fn fold_state(&self, into: &mut Fingerprint) {
        self.hash(into);
    }
}
