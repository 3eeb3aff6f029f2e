//! The client itself: the current session handle, the batches, and the registration.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::batch::{Asker, Batches, Round};
use super::registration::{Next, Registration, Sessions};
use super::{ZkAnswer, ZkBatch, ZkReply, ZkRequests, ZkUser};
use crate::defect::{Defect, Defects};
use crate::id::{Address, BrokerId, ConnId, SessionId};
use crate::kafka::Timer as KafkaTimer;
use crate::kafka::broker::BrokerTimer;
use crate::kafka::config::BrokerConfig;
use crate::kafka::znode::{self, BrokerZnode};
use crate::observation::Observation;
use crate::time::Span;
use crate::world::{Ctx, Timer};
use crate::zk::client::{ZkClientEvent, ZkClientSpec, ZkClientTimer, ZooKeeper};
use crate::zk::protocol::{ClientMessage, Op, ZkError};

/// What a client is made of.
#[derive(Clone, Debug, Hash)]
pub struct KafkaZkSpec {
    /// Whom it registers.
    pub broker: BrokerId,
    /// Session timeout, permits, rack.
    pub config: Arc<BrokerConfig>,
    /// The connect string.
    pub zookeeper: Arc<[Address]>,
    /// Which defects the registration has.
    pub defects: Defects,
}

impl KafkaZkSpec {
    fn handle(&self) -> ZkClientSpec {
        ZkClientSpec {
            servers: self.zookeeper.clone(),
            session_timeout: self.config.zookeeper_session_timeout(),
            socket: self.config.zookeeper_client_cnxn_socket,
            gives_up: false,
            thread_delay: Span::ZERO,
        }
    }
}

/// What the owner has to know of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ZkNotice {
    /// The session is confirmed, for the first time or again.
    Connected,
    /// The connection is lost. Nothing is to be done.
    Disconnected,
    /// The session has expired: to be followed by [`KafkaZkClient::reinitialize`].
    Expired,
    /// An answer. Watches are the controller's.
    Answer(ZkUser, ZkAnswer),
}

/// A broker's ZooKeeper client.
#[derive(Clone, Debug, Hash)]
pub struct KafkaZkClient {
    spec: KafkaZkSpec,
    zk: ZooKeeper,
    batches: Batches,
    /// Batches that wait for a connection (`waitUntilConnected`).
    waiting: BTreeSet<ZkBatch>,
    registration: Option<Registration>,
    /// The session of the last successful registration of this process; 0 if there was none.
    remembered_session: SessionId,
    notices: VecDeque<ZkNotice>,
}

impl KafkaZkClient {
    /// A client whose handle has not been started.
    pub fn new(spec: KafkaZkSpec) -> Self {
        Self {
            zk: ZooKeeper::new(1, spec.handle()),
            batches: Batches::default(),
            waiting: BTreeSet::new(),
            registration: None,
            remembered_session: SessionId(0),
            notices: VecDeque::new(),
            spec,
        }
    }

    /// Begins to connect. Once.
    pub fn start(&mut self, ctx: &mut Ctx<'_>) {
        self.zk.start(ctx);
    }

    /// `reinitialize`: a new handle takes the place of a dead one. Connecting goes on by itself, without a deadline.
    pub fn reinitialize(&mut self, ctx: &mut Ctx<'_>) {
        if self.zk.is_alive() {
            return;
        }
        let mut out = Vec::new();
        self.zk.abandon(ctx, &mut out);
        self.zk = ZooKeeper::new(self.zk.handle() + 1, self.spec.handle());
        self.zk.start(ctx);
        self.take(ctx, out);
    }

    /// Ends the session: what it owns in ZooKeeper goes at once. To be followed by nothing but inputs of the handle.
    pub fn close(&mut self, ctx: &mut Ctx<'_>) {
        let mut out = Vec::new();
        self.zk.close(ctx, &mut out);
        self.take(ctx, out);
    }

    /// Whether the session has not ended.
    pub fn is_alive(&self) -> bool {
        self.zk.is_alive()
    }

    /// Whether the session is confirmed, as the Java client reports it.
    pub fn is_connected(&self) -> bool {
        self.zk.is_connected()
    }

    /// The gauge SessionState, as the ordinal of `ZooKeeper.States`.
    pub fn session_state(&self) -> u64 {
        match (self.zk.is_alive(), self.zk.is_connected()) {
            (false, _) => 4,
            (true, true) => 2,
            (true, false) => 0,
        }
    }

    /// Whether the connection is this client's.
    pub fn owns(&self, conn: ConnId) -> bool {
        self.zk.owns(conn)
    }

    /// The handle's connection is established.
    pub fn on_opened(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        self.zk.on_opened(ctx, conn);
    }

    /// A message arrived on the handle's connection.
    pub fn on_message(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, message: ClientMessage) {
        let mut out = Vec::new();
        self.zk.on_message(ctx, conn, message, &mut out);
        self.take(ctx, out);
    }

    /// The handle's connection is gone.
    pub fn on_closed(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        let mut out = Vec::new();
        self.zk.on_closed(ctx, conn, &mut out);
        self.take(ctx, out);
    }

    /// A timer of a handle fired.
    pub fn on_zk_timer(&mut self, ctx: &mut Ctx<'_>, timer: ZkClientTimer) {
        let mut out = Vec::new();
        self.zk.on_timer(ctx, timer, &mut out);
        self.take(ctx, out);
    }

    /// [`BrokerTimer::RetryRegistration`] fired.
    pub fn on_retry_registration(&mut self, ctx: &mut Ctx<'_>) {
        if let Some(registration) = self.registration.as_mut().filter(|r| r.is_pausing()) {
            let ops = registration.create();
            self.ask(ctx, Asker::Registration, ops);
        }
    }

    /// The next thing that the owner has to act on.
    pub fn next_notice(&mut self) -> Option<ZkNotice> {
        self.notices.pop_front()
    }

    /// Acts on what the handle says, and on what follows from that.
    fn take(&mut self, ctx: &mut Ctx<'_>, mut events: Vec<ZkClientEvent>) {
        while !events.is_empty() {
            for event in std::mem::take(&mut events) {
                match event {
                    ZkClientEvent::Connected => self.on_connected(),
                    ZkClientEvent::Disconnected => self.notices.push_back(ZkNotice::Disconnected),
                    ZkClientEvent::Expired => self.on_expired(),
                    ZkClientEvent::Watch { path, kind } => {
                        let answer = ZkAnswer::Watch(path, kind);
                        self.notices.push_back(ZkNotice::Answer(ZkUser::Controller, answer));
                    }
                    // KAFKA-8532: nobody ever hears of what the session's end has answered.
                    ZkClientEvent::Reply { request, result: Err(ZkError::SessionExpired), .. }
                        if self.spec.defects.has(Defect::HungEventThread) && self.batches.is_controllers(request) => {}
                    ZkClientEvent::Reply { request, zxid, mut result } => {
                        if result == Err(ZkError::SessionExpired) && self.requests_outlive_sessions() {
                            result = Err(ZkError::ConnectionLoss);
                        }
                        if let Some(round) = self.batches.on_reply(request, ZkReply { zxid, result }) {
                            self.on_round(ctx, round);
                        }
                    }
                }
            }
            self.pump(ctx, &mut events);
        }
    }

    /// Hands over as many requests as there are permits for.
    fn pump(&mut self, ctx: &mut Ctx<'_>, out: &mut Vec<ZkClientEvent>) {
        let permits = self.spec.config.zookeeper_max_in_flight_requests as usize;
        while let Some((batch, index, op)) = self.batches.next_op(permits) {
            let request = self.zk.submit(ctx, op, out);
            self.batches.sent(request, batch, index);
        }
    }

    fn on_connected(&mut self) {
        self.notices.push_back(ZkNotice::Connected);
        for batch in std::mem::take(&mut self.waiting) {
            self.batches.retry(batch);
        }
    }

    /// Waiters are woken and find the state CLOSED.
    fn on_expired(&mut self) {
        self.notices.push_back(ZkNotice::Expired);
        if self.requests_outlive_sessions() {
            return;
        }
        for batch in std::mem::take(&mut self.waiting) {
            self.abort(batch);
        }
        if self.registration.as_ref().is_some_and(Registration::is_pausing) {
            self.abort_registration();
        }
    }

    /// Whether requests wait for the next session instead of ending with their own, as with `zkclient` before Kafka had a
    /// client of its own (`retryUntilConnected`): a part of three defects. `Defect::SessionCallbackBlocksSession` had it still
    /// in that client: nobody woke who waited for a connection when the session ended (KAFKA-6879).
    fn requests_outlive_sessions(&self) -> bool {
        let defects = self.spec.defects;
        defects.has(Defect::SoftFailureLateIsrWrite)
            || defects.has(Defect::ResignThenSeeOwnNode)
            || defects.has(Defect::SessionCallbackBlocksSession)
    }

    fn on_round(&mut self, ctx: &mut Ctx<'_>, round: Round) {
        match round {
            Round::Complete(Asker::User(user), batch, replies) => {
                self.notices.push_back(ZkNotice::Answer(user, ZkAnswer::Replies(batch, replies)));
            }
            Round::Complete(Asker::Registration, _, replies) => {
                let sessions = Sessions {
                    remembered: self.remembered_session,
                    current: self.zk.session(),
                    defects: self.spec.defects,
                };
                let Some(registration) = &mut self.registration else { return };
                let reply = replies.first().expect("each step of a registration is one request");
                match registration.on_reply(reply, sessions) {
                    Next::Ask(ops) => {
                        self.batches.add(Asker::Registration, ops);
                    }
                    Next::Wait => {
                        let timer = Timer::Kafka(KafkaTimer::Broker(BrokerTimer::RetryRegistration));
                        ctx.set_timer(REGISTRATION_PAUSE, timer);
                    }
                    Next::Expired => self.abort_registration(),
                    Next::Done(outcome) => self.finish_registration(ctx, outcome.map(|czxid| czxid.0 as i64)),
                }
            }
            Round::Lost(batch) if !self.zk.is_alive() && !self.requests_outlive_sessions() => self.abort(batch),
            Round::Lost(batch) if self.zk.is_connected() => self.batches.retry(batch),
            Round::Lost(batch) => {
                self.waiting.insert(batch);
            }
        }
    }

    /// `ZooKeeperClientExpiredException`.
    fn abort(&mut self, batch: ZkBatch) {
        match self.batches.give_up(batch) {
            Some(Asker::User(user)) => {
                self.notices.push_back(ZkNotice::Answer(user, ZkAnswer::SessionExpired(batch)));
            }
            Some(Asker::Registration) => self.abort_registration(),
            None => {}
        }
    }

    fn abort_registration(&mut self) {
        if let Some(Registration { batch, user, .. }) = self.registration.take() {
            self.notices.push_back(ZkNotice::Answer(user, ZkAnswer::SessionExpired(batch)));
        }
    }

    fn finish_registration(&mut self, ctx: &mut Ctx<'_>, outcome: Result<i64, Arc<str>>) {
        let Some(Registration { batch, user, .. }) = self.registration.take() else { return };
        let broker = self.spec.broker;
        match &outcome {
            Ok(broker_epoch) => {
                self.remembered_session = self.zk.session();
                ctx.observe(Observation::Registered { broker, broker_epoch: *broker_epoch });
            }
            Err(reason) => ctx.observe(Observation::RegistrationFailed { broker, reason: reason.clone() }),
        }
        self.notices.push_back(ZkNotice::Answer(user, ZkAnswer::Registered(batch, outcome)));
    }

    fn ask(&mut self, ctx: &mut Ctx<'_>, asker: Asker, ops: Vec<Op>) -> ZkBatch {
        let (batch, round) = self.batches.add(asker, ops);
        if let Some(round) = round {
            self.on_round(ctx, round);
        }
        let mut out = Vec::new();
        self.pump(ctx, &mut out);
        self.take(ctx, out);
        batch
    }
}

impl ZkRequests for KafkaZkClient {
    fn submit(&mut self, ctx: &mut Ctx<'_>, user: ZkUser, ops: Vec<Op>) -> ZkBatch {
        self.ask(ctx, Asker::User(user), ops)
    }

    fn register_broker(&mut self, ctx: &mut Ctx<'_>, user: ZkUser) -> ZkBatch {
        assert!(self.registration.is_none(), "one registration at a time");
        let znode = BrokerZnode {
            version: 5,
            timestamp: ctx.wall.as_ms().to_string(),
            rack: self.spec.config.rack.as_ref().map(|rack| rack.0.clone()),
        };
        let batch = self.batches.next_number();
        let path = znode::broker_path(self.spec.broker);
        let mut registration = Registration::new(batch, user, path, znode::encode(&znode));
        let ops = registration.create();
        self.registration = Some(registration);
        self.ask(ctx, Asker::Registration, ops);
        batch
    }

    fn session(&self) -> SessionId {
        self.zk.session()
    }
}

/// Between looks at a node that a forgotten session of ours still owns. Ours: the real client gives up.
const REGISTRATION_PAUSE: Span = Span::from_ms(1_000);
