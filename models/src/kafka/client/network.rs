//! `NetworkClient`: the connections of a client to all brokers, and the metadata requests on them.

use std::sync::Arc;

use super::ClientTimer;
use super::alarm::Alarm;
use super::metadata::Metadata;
use crate::id::{Address, BrokerId};
use crate::kafka::Addresses;
use crate::kafka::channel::{Channel, ChannelEvent, ChannelId, ChannelLimits, ChannelTimer, ConnInput};
use crate::kafka::protocol::{MetadataResponse, Request, Response};
use crate::time::{Instant, Span};
use crate::world::{Ctx, In, Message};

/// What happened on the network that its owner has to act on.
#[derive(Clone, Debug)]
pub(super) enum NetworkEvent {
    /// An answer to one of the owner's requests.
    Answer {
        /// From where.
        from: ChannelId,
        /// To which request.
        correlation: u32,
        /// What it says.
        response: Response,
    },
    /// A connection is gone.
    Lost {
        /// Where to.
        from: ChannelId,
        /// The owner's requests that will never be answered, oldest first.
        failed: Vec<u32>,
        /// Whether we closed it because a request took too long.
        timed_out: bool,
    },
    /// The view of the cluster was renewed.
    Metadata {
        /// Partitions whose leader or epoch changed.
        changed: Vec<u32>,
        /// The whole answer.
        response: Arc<MetadataResponse>,
    },
    /// Something may be possible that was not: look at what waits.
    Nothing,
}

#[derive(Clone, Debug, Hash)]
struct Link {
    id: ChannelId,
    channel: Channel,
    /// When it was last dialled.
    dialled: Instant,
}

impl Link {
    fn new(id: ChannelId, to: Address, limits: ChannelLimits) -> Self {
        let broker = match id {
            ChannelId::Client(broker) | ChannelId::Coordinator(broker) => Some(broker),
            // Which broker answers at a bootstrap server's address is nothing that a client knows.
            _ => None,
        };
        Self { id, channel: Channel::new(id, broker, to, limits), dialled: Instant::ZERO }
    }
}

/// The connections of a client. After [`Network::start`], the owner hands in connection inputs, channel timers and
/// [`ClientTimer::Metadata`], and looks at what it has to send after each.
#[derive(Clone, Debug, Hash)]
pub(super) struct Network {
    addresses: Addresses,
    limits: ChannelLimits,
    request_timeout: Span,
    links: Vec<Link>,
    alarm: Alarm,
    in_progress: Option<(ChannelId, u32)>,
    /// The view of the cluster.
    pub(super) metadata: Metadata,
    /// Whether asking for a topic may create it.
    pub(super) allow_auto_topic_creation: bool,
}

impl Network {
    /// Not connected; knows the bootstrap servers.
    pub(super) fn new(addresses: Addresses, limits: ChannelLimits, request_timeout: Span, metadata: Metadata) -> Self {
        let bootstrap = addresses.values().enumerate();
        let links = bootstrap.map(|(i, to)| Link::new(ChannelId::Bootstrap(i as u16), *to, limits)).collect();
        let alarm = Alarm::new(ClientTimer::Metadata);
        Self {
            addresses,
            limits,
            request_timeout,
            links,
            alarm,
            in_progress: None,
            metadata,
            allow_auto_topic_creation: false,
        }
    }

    /// Begins to look for the cluster.
    pub(super) fn start(&mut self, ctx: &mut Ctx<'_>) {
        self.refresh(ctx);
    }

    /// Closes everything; nothing will fire any more.
    pub(super) fn shut(&mut self, ctx: &mut Ctx<'_>) {
        self.links.iter_mut().for_each(|link| link.channel.shut(ctx));
        self.links.clear();
        self.alarm.cancel(ctx);
    }

    /// Whether a request can be sent to the broker now. Dials if that is possible and has not been done.
    pub(super) fn ready(&mut self, ctx: &mut Ctx<'_>, broker: BrokerId) -> bool {
        self.ready_on(ctx, ChannelId::Client(broker))
    }

    /// The same for one of the connections to a broker.
    pub(super) fn ready_on(&mut self, ctx: &mut Ctx<'_>, id: ChannelId) -> bool {
        if let (None, ChannelId::Client(broker) | ChannelId::Coordinator(broker)) = (self.link(id), id) {
            let Some(to) = self.addresses.get(&broker) else { return false };
            self.links.push(Link::new(id, *to, self.limits));
        }
        self.dial(ctx, id)
    }

    /// Sends a request on a connection that is ready. Returns its correlation id.
    pub(super) fn send(&mut self, ctx: &mut Ctx<'_>, to: ChannelId, request: Request) -> u32 {
        self.send_within(ctx, to, request, self.request_timeout)
    }

    /// Sends a request that has a time-out of its own.
    pub(super) fn send_within(&mut self, ctx: &mut Ctx<'_>, to: ChannelId, request: Request, timeout: Span) -> u32 {
        let link = self.link(to).expect("a ready connection exists");
        link.channel.send(ctx, request, timeout)
    }

    /// Closes a connection. What was asked on it will not be answered, and nobody is told.
    pub(super) fn disconnect(&mut self, ctx: &mut Ctx<'_>, id: ChannelId) {
        if let Some(link) = self.link(id) {
            link.channel.disconnect(ctx);
        }
    }

    /// Sends a request that nobody answers on a connection that is ready.
    pub(super) fn send_without_answer(&mut self, ctx: &mut Ctx<'_>, to: ChannelId, request: Request) {
        let link = self.link(to).expect("a ready connection exists");
        link.channel.send_without_answer(ctx, request);
    }

    /// The node with the fewest requests under way that a request can be sent to now. If there is none, one is dialled.
    pub(super) fn least_loaded_ready(&mut self, ctx: &mut Ctx<'_>) -> Option<ChannelId> {
        let node = self.least_loaded(ctx)?;
        self.dial(ctx, node).then_some(node)
    }

    /// Asks for new metadata as soon as the back-off allows.
    pub(super) fn request_update(&mut self, ctx: &mut Ctx<'_>) {
        self.metadata.request_update();
        self.refresh(ctx);
    }

    /// A connection input. Inputs of other kinds are ignored.
    pub(super) fn on_input(&mut self, ctx: &mut Ctx<'_>, input: In) -> NetworkEvent {
        let input = match input {
            In::Opened { conn } => ConnInput::Opened(conn),
            In::Closed { conn, reason } => ConnInput::Closed(conn, reason),
            In::Message { conn, message: Message::Kafka(frame) } => ConnInput::Frame(conn, frame),
            _ => return NetworkEvent::Nothing,
        };
        let Some(at) = self.links.iter().position(|link| link.channel.conn() == Some(input.conn())) else {
            return NetworkEvent::Nothing;
        };
        let event = self.links[at].channel.on_input(ctx, input);
        self.on_event(ctx, at, event)
    }

    /// A channel's timer fired.
    pub(super) fn on_channel_timer(&mut self, ctx: &mut Ctx<'_>, timer: ChannelTimer) -> NetworkEvent {
        let Some(at) = self.links.iter().position(|link| link.id == timer.channel) else {
            return NetworkEvent::Nothing;
        };
        let event = self.links[at].channel.on_timer(ctx, timer.kind);
        self.on_event(ctx, at, event)
    }

    /// [`ClientTimer::Metadata`] fired.
    pub(super) fn on_metadata_timer(&mut self, ctx: &mut Ctx<'_>) {
        self.alarm.fired();
        self.refresh(ctx);
    }

    fn on_event(&mut self, ctx: &mut Ctx<'_>, at: usize, event: ChannelEvent) -> NetworkEvent {
        let from = self.links[at].id;
        match event {
            ChannelEvent::Response { correlation, response } => {
                if self.in_progress == Some((from, correlation)) {
                    return self.on_metadata(ctx, response);
                }
                self.refresh(ctx);
                NetworkEvent::Answer { from, correlation, response }
            }
            ChannelEvent::Disconnected { mut failed, timed_out } => {
                if let Some((node, asked)) = self.in_progress
                    && node == from
                {
                    failed.retain(|correlation| *correlation != asked);
                    self.in_progress = None;
                    self.metadata.failed(ctx.now);
                }
                // `handleServerDisconnect`: the disconnect may be the result of stale metadata.
                self.request_update(ctx);
                NetworkEvent::Lost { from, failed, timed_out }
            }
            ChannelEvent::Connected | ChannelEvent::MayReconnect => {
                self.refresh(ctx);
                NetworkEvent::Nothing
            }
            ChannelEvent::Nothing => NetworkEvent::Nothing,
        }
    }

    fn on_metadata(&mut self, ctx: &mut Ctx<'_>, response: Response) -> NetworkEvent {
        self.in_progress = None;
        let Response::Metadata(response) = response else {
            self.metadata.failed(ctx.now);
            self.refresh(ctx);
            return NetworkEvent::Nothing;
        };
        let changed = self.metadata.update(ctx.now, &response);
        self.drop_bootstrap(ctx);
        self.refresh(ctx);
        NetworkEvent::Metadata { changed, response }
    }

    /// Once the real nodes are known the bootstrap ones are used no more. The Java client leaves their connections to the
    /// idle limit; closing them unused is the same to everyone but the kernel.
    fn drop_bootstrap(&mut self, ctx: &mut Ctx<'_>) {
        if self.metadata.nodes().is_empty() {
            return;
        }
        self.links.retain_mut(|link| {
            let keep = !matches!(link.id, ChannelId::Bootstrap(_)) || link.channel.in_flight() > 0;
            if !keep {
                link.channel.shut(ctx);
            }
            keep
        });
    }

    /// Sends a metadata request if one is due and possible, sees to it that one will be otherwise
    /// (`DefaultMetadataUpdater.maybeUpdate`).
    fn refresh(&mut self, ctx: &mut Ctx<'_>) {
        if self.in_progress.is_some() {
            return;
        }
        let due = self.metadata.due();
        if due > ctx.now {
            self.alarm.at(ctx, due);
            return;
        }
        // Without a node, or with one that is being dialled, the next event of a channel leads here again.
        if let Some(node) = self.least_loaded_ready(ctx) {
            self.metadata.asked();
            let topics = self.metadata.topics();
            let allow_auto_topic_creation = self.allow_auto_topic_creation;
            let correlation = self.send(ctx, node, Request::Metadata { topics, allow_auto_topic_creation });
            self.in_progress = Some((node, correlation));
        }
    }

    /// `NetworkClient.leastLoadedNode`: a connected node with the fewest requests under way, else one being dialled, else
    /// the one whose last attempt is longest ago. The search begins at a random node.
    fn least_loaded(&mut self, ctx: &mut Ctx<'_>) -> Option<ChannelId> {
        for broker in 0..self.metadata.nodes().len() {
            let broker = self.metadata.nodes()[broker];
            let id = ChannelId::Client(broker);
            if self.link(id).is_none()
                && let Some(to) = self.addresses.get(&broker)
            {
                self.links.push(Link::new(id, *to, self.limits));
            }
        }
        let nodes = self.metadata.nodes();
        let eligible = |link: &Link| match link.id {
            ChannelId::Client(broker) => nodes.contains(&broker),
            ChannelId::Bootstrap(_) => nodes.is_empty(),
            _ => false,
        };
        if self.links.is_empty() {
            return None;
        }
        let offset = ctx.random.below(self.links.len() as u64) as usize;
        let (mut sendable, mut connecting, mut idle) = (None::<&Link>, None::<&Link>, None::<&Link>);
        for link in self.links.iter().cycle().skip(offset).take(self.links.len()).filter(|link| eligible(link)) {
            let channel = &link.channel;
            if channel.is_connected() {
                let loaded = channel.in_flight();
                if loaded < self.limits.max_in_flight && sendable.is_none_or(|best| loaded < best.channel.in_flight()) {
                    sendable = Some(link);
                }
            } else if channel.conn().is_some() {
                connecting = Some(link);
            } else if channel.is_idle() && idle.is_none_or(|best| link.dialled < best.dialled) {
                idle = Some(link);
            }
        }
        sendable.or(connecting).or(idle).map(|link| link.id)
    }

    fn dial(&mut self, ctx: &mut Ctx<'_>, id: ChannelId) -> bool {
        let now = ctx.now;
        let Some(link) = self.link(id) else { return false };
        if link.channel.is_idle() {
            link.dialled = now;
        }
        link.channel.ready(ctx)
    }

    fn link(&mut self, id: ChannelId) -> Option<&mut Link> {
        self.links.iter_mut().find(|link| link.id == id)
    }
}
