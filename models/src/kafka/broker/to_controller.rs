//! `BrokerToControllerChannelManager`: one request at a time to whoever is controller, until it is answered.

use super::BrokerTimer;
use crate::id::{BrokerId, ConnId};
use crate::kafka::channel::{Channel, ChannelEvent, ChannelId, ChannelLimits, ChannelTimerKind, ConnInput};
use crate::kafka::config::BrokerConfig;
use crate::kafka::metadata_cache::MetadataCache;
use crate::kafka::protocol::{ErrorCode, Request, Response};
use crate::kafka::{Addresses, Timer as KafkaTimer};
use crate::time::{Instant, Span};
use crate::world::{Ctx, Timer};

#[derive(Clone, Debug, Hash)]
struct Asked {
    request: Request,
    at: Instant,
    /// Its number on the channel, once sent.
    sent: Option<u32>,
}

/// A conversation with the controller. The controller is taken from the metadata cache and kept, whatever the cache says
/// later, until the connection breaks, a request times out or the answer is NOT_CONTROLLER.
#[derive(Clone, Debug, Hash)]
pub(super) struct ToController {
    number: u8,
    limits: ChannelLimits,
    request_timeout: Span,
    /// How old a request may become; `None` is "as old as it takes".
    retry_timeout: Option<Span>,
    controller: Option<BrokerId>,
    channel: Option<Channel>,
    asked: Option<Asked>,
    looking: bool,
}

impl ToController {
    pub(super) fn new(number: u8, config: &BrokerConfig, retry_timeout: Option<Span>) -> Self {
        let ms = |ms: u32| Span::from_ms(ms.into());
        let socket_timeout = ms(config.controller_socket_timeout_ms);
        Self {
            number,
            limits: ChannelLimits {
                setup_timeout: ms(config.socket_connection_setup_timeout_ms),
                setup_timeout_max: ms(config.socket_connection_setup_timeout_max_ms),
                backoff: RECONNECT_BACKOFF,
                backoff_max: RECONNECT_BACKOFF,
                max_in_flight: 1,
            },
            request_timeout: retry_timeout.map_or(socket_timeout, |limit| limit.min(socket_timeout)),
            retry_timeout,
            controller: None,
            channel: None,
            asked: None,
            looking: false,
        }
    }

    /// Whether a request is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.asked.is_some()
    }

    pub(super) fn owns(&self, conn: ConnId) -> bool {
        self.channel.as_ref().is_some_and(|channel| channel.conn() == Some(conn))
    }

    /// Takes a request; [`ToController::pump`] sends it.
    pub(super) fn ask(&mut self, ctx: &Ctx<'_>, request: Request) {
        assert!(self.asked.is_none(), "one request at a time");
        self.asked = Some(Asked { request, at: ctx.now, sent: None });
    }

    pub(super) fn on_lookup_timer(&mut self) {
        self.looking = false;
    }

    pub(super) fn on_channel_timer(&mut self, ctx: &mut Ctx<'_>, kind: ChannelTimerKind) {
        if let Some(channel) = &mut self.channel {
            let event = channel.on_timer(ctx, kind);
            self.on_event(ctx, event);
        }
    }

    /// Something happened on the connection. Returns the controller's answer if this was it.
    pub(super) fn on_input(&mut self, ctx: &mut Ctx<'_>, input: ConnInput) -> Option<Response> {
        let event = self.channel.as_mut()?.on_input(ctx, input);
        self.on_event(ctx, event)
    }

    fn on_event(&mut self, ctx: &mut Ctx<'_>, event: ChannelEvent) -> Option<Response> {
        match event {
            ChannelEvent::Response { correlation, response } => {
                let asked = self.asked.as_mut().filter(|asked| asked.sent == Some(correlation))?;
                if !is_refused(&response) {
                    self.asked = None;
                    return Some(response);
                }
                asked.sent = None;
                self.controller = None;
                self.channel.as_mut()?.disconnect(ctx);
            }
            ChannelEvent::Disconnected { .. } => {
                self.controller = None;
                if let Some(asked) = &mut self.asked {
                    asked.sent = None;
                }
            }
            ChannelEvent::Connected | ChannelEvent::MayReconnect | ChannelEvent::Nothing => {}
        }
        None
    }

    /// Sends what is to be sent, as far as that is possible now.
    pub(super) fn pump(&mut self, ctx: &mut Ctx<'_>, cache: &MetadataCache, addresses: &Addresses) {
        let Some(asked) = &self.asked else { return };
        if asked.sent.is_some() {
            return;
        }
        if self.retry_timeout.is_some_and(|limit| ctx.now - asked.at >= limit) {
            self.asked = None;
            return;
        }
        if self.controller.is_none() {
            self.look_up(ctx, cache, addresses);
        }
        let (Some(_), Some(channel), Some(asked)) = (self.controller, &mut self.channel, &mut self.asked) else {
            return;
        };
        if channel.ready(ctx) {
            asked.sent = Some(channel.send(ctx, asked.request.clone(), self.request_timeout));
        }
    }

    fn look_up(&mut self, ctx: &mut Ctx<'_>, cache: &MetadataCache, addresses: &Addresses) {
        let known = cache.controller().filter(|id| cache.is_alive(*id));
        let Some((id, to)) = known.and_then(|id| addresses.get(&id).map(|to| (id, *to))) else {
            if !self.looking {
                self.looking = true;
                let timer = BrokerTimer::ControllerLookup(self.number);
                ctx.set_timer(LOOKUP_PAUSE, Timer::Kafka(KafkaTimer::Broker(timer)));
            }
            return;
        };
        self.controller = Some(id);
        if self.channel.as_ref().is_none_or(|channel| channel.to() != to) {
            if let Some(mut old) = self.channel.take() {
                old.shut(ctx);
            }
            self.channel = Some(Channel::new(ChannelId::ToController(self.number), Some(id), to, self.limits));
        }
    }
}

/// NOT_CONTROLLER anywhere in it (`errorCounts`).
fn is_refused(response: &Response) -> bool {
    match response {
        Response::AlterPartition(answer) => {
            answer.error == ErrorCode::NotController
                || answer.partitions.iter().any(|(_, result)| *result == Err(ErrorCode::NotController))
        }
        Response::AllocateProducerIds(answer) => *answer == Err(ErrorCode::NotController),
        _ => false,
    }
}

/// `doWork`: without a controller it looks again after this.
const LOOKUP_PAUSE: Span = Span::from_ms(100);
/// `reconnectBackoffMs` and its maximum in `buildNetworkClient`.
const RECONNECT_BACKOFF: Span = Span::from_ms(50);
