//! Every kind of process of the Kafka deployment, as one enum: no boxing and no dynamic dispatch on the way to a process.

use std::hash::Hash;

use crate::fingerprint::Fingerprint;
use crate::kafka::broker::Broker;
use crate::kafka::client::{AdminClient, Consumer, Producer};
use crate::process::{Context, Input, Loss, Process, TERMINATED};
use crate::random::Random;
use crate::world::{Message, Timer};
use crate::zk::client::ZkClientTimerKind;
use crate::zk::server::Server;
use crate::zk::session_client::SessionClient;

/// A process of the deployment.
#[derive(Clone, Debug, Hash)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are a dozen of them, and each is reached by index a million times"
)]
pub enum Node {
    /// A ZooKeeper server.
    ZooKeeper(Server),
    /// A Kafka broker.
    Broker(Broker),
    /// A producing application.
    Producer(Producer),
    /// A consuming application.
    Consumer(Consumer),
    /// Creates the topics.
    Admin(AdminClient),
    /// An application with a ZooKeeper session.
    Session(SessionClient),
}

impl Process for Node {
    type Message = Message;
    type Timer = Timer;

    fn on_input(&mut self, input: Input<Message, Timer>, ctx: &mut Context<'_, Message, Timer>) {
        // Only a broker has work to do before it goes. `QuorumPeerMain` has no shutdown hook, and an application that is told
        // to stop does not wait for its records: the kernel closes their sockets.
        if matches!(input, Input::Terminate) && !matches!(self, Self::Broker(_)) {
            return ctx.exit(TERMINATED);
        }
        match self {
            Self::ZooKeeper(server) => server.on_input(input, ctx),
            Self::Broker(broker) => broker.on_input(input, ctx),
            Self::Producer(producer) => producer.on_input(input, ctx),
            Self::Consumer(consumer) => consumer.on_input(input, ctx),
            Self::Admin(admin) => admin.on_input(input, ctx),
            Self::Session(session) => session.on_input(input, ctx),
        }
    }

    fn crash(&mut self, loss: Loss, random: &mut Random) -> bool {
        match self {
            Self::ZooKeeper(server) => server.crash(loss, random),
            Self::Broker(broker) => broker.crash(loss, random),
            Self::Producer(producer) => producer.crash(loss, random),
            Self::Consumer(consumer) => consumer.crash(loss, random),
            Self::Admin(admin) => admin.crash(loss, random),
            Self::Session(session) => session.crash(loss, random),
        }
    }

    fn yields_to_input(timer: &Timer) -> bool {
        match timer {
            Timer::ZkServer(timer) => timer.is_read_timeout(),
            Timer::ZkClient(timer) => timer.kind == ZkClientTimerKind::Wake,
            Timer::SessionClient | Timer::Kafka(_) => false,
        }
    }

    fn fold_state(&self, into: &mut Fingerprint) {
        self.hash(into);
    }
}
