//! The clients against scripted brokers: process 0 is the client, processes 1 and 2 are brokers of the same numbers.

mod admin;
mod broker;
mod consumer;
mod metadata;
mod producer;

use std::hash::Hash;
use std::sync::Arc;

use broker::{FakeBroker, Script};

use super::{AdminClient, Consumer, Producer};
use crate::fingerprint::Fingerprint;
use crate::id::{Address, BrokerId, ProcessId, Topic, TopicPartition};
use crate::kafka::Addresses;
use crate::observation::Observation;
use crate::process::{Loss, Process};
use crate::random::Random;
use crate::testing::Harness;
use crate::world::{Ctx, In, KAFKA_PORT, Message, Timer};

#[derive(Clone, Hash)]
enum Node {
    Producer(Box<Producer>),
    Consumer(Box<Consumer>),
    Admin(Box<AdminClient>),
    Broker(Box<FakeBroker>),
}

impl Process for Node {
    type Message = Message;
    type Timer = Timer;

    fn on_input(&mut self, input: In, ctx: &mut Ctx<'_>) {
        match self {
            Self::Producer(process) => process.on_input(input, ctx),
            Self::Consumer(process) => process.on_input(input, ctx),
            Self::Admin(process) => process.on_input(input, ctx),
            Self::Broker(process) => process.on_input(input, ctx),
        }
    }

    fn crash(&mut self, loss: Loss, random: &mut Random) -> bool {
        match self {
            Self::Producer(process) => process.crash(loss, random),
            Self::Consumer(process) => process.crash(loss, random),
            Self::Admin(process) => process.crash(loss, random),
            Self::Broker(_) => false,
        }
    }

    fn fold_state(&self, into: &mut Fingerprint) {
        self.hash(into);
    }
}

/// The partition that most tests use.
const P0: TopicPartition = TopicPartition { topic: Topic(0), partition: 0 };

fn partitions(n: u16) -> Arc<[TopicPartition]> {
    (0..n).map(|partition| TopicPartition { topic: Topic(0), partition }).collect()
}

fn addresses() -> Addresses {
    let address = |broker: i32| Address { process: ProcessId(broker as u16), port: KAFKA_PORT };
    Arc::new((1..=2).map(|broker| (BrokerId(broker), address(broker))).collect())
}

/// A client and two brokers; broker 1 leads `led` partitions of topic 0 in epoch 0.
fn cluster(client: Node, led: u16) -> Harness<Node> {
    let broker = |id: i32| {
        Node::Broker(Box::new(FakeBroker {
            id: BrokerId(id),
            brokers: vec![BrokerId(1), BrokerId(2)],
            leaders: partitions(led).iter().map(|p| (*p, (Some(BrokerId(1)), 0))).collect(),
            ..FakeBroker::default()
        }))
    };
    Harness::new(vec![client, broker(1), broker(2)])
}

trait Broker {
    fn broker(&self, id: u16) -> &FakeBroker;
    fn broker_mut(&mut self, id: u16) -> &mut FakeBroker;
    /// Both brokers now say that `leader` leads [`P0`].
    fn elect(&mut self, leader: Option<i32>, epoch: i32);
    fn script(&mut self, script: &[Script]);
    fn seen(&self) -> Vec<Observation>;
}

impl Broker for Harness<Node> {
    fn broker(&self, id: u16) -> &FakeBroker {
        let Node::Broker(broker) = self.process(id) else { panic!("process {id} is a broker") };
        broker
    }

    fn broker_mut(&mut self, id: u16) -> &mut FakeBroker {
        let Node::Broker(broker) = self.process_mut(id) else { panic!("process {id} is a broker") };
        broker
    }

    fn elect(&mut self, leader: Option<i32>, epoch: i32) {
        for id in [1, 2] {
            self.broker_mut(id).leaders.insert(P0, (leader.map(BrokerId), epoch));
        }
    }

    fn script(&mut self, script: &[Script]) {
        self.broker_mut(1).script.extend(script);
    }

    fn seen(&self) -> Vec<Observation> {
        self.observed.iter().map(|observed| observed.what.clone()).collect()
    }
}
