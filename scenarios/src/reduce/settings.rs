//! Whatever a scenario sets to something else than its default, one setting at a time.

use models::defect::{Defect, Defects};
use models::kafka::config::{BrokerConfig, ConsumerConfig, ProducerConfig};
use models::options::OptionInfo;
use models::time::Span;
use models::zk::config::ZooKeeperConfig;

use crate::cluster::FIXED;
use crate::expect::Expect;
use crate::monitoring::Monitoring;
use crate::netem::Netem;
use crate::scenario::{Restart, Scenario, Tcp};
use crate::topology::{Clock, Disk, Host, Topology};
use crate::units::Share;

/// Something that does not have its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// An option of the brokers, all of them.
    Broker(&'static str),
    /// An option of the ZooKeeper servers.
    ZooKeeper(&'static str),
    /// An option of the producers of an entry, by its position.
    Producer(usize, &'static str),
    /// An option of the consumers of an entry.
    Consumer(usize, &'static str),
    /// Kafka's version. Its defects stay, as switches.
    KafkaVersion,
    /// ZooKeeper's version. Its defects stay, as switches.
    ZooKeeperVersion,
    /// A defect of Kafka that is on.
    KafkaDefect(Defect),
    /// A defect of ZooKeeper that is on.
    ZooKeeperDefect(Defect),
    /// One of the expectations about gauges at the beginning, throughout and at the end, and totals, by list and position.
    Expectation(usize, usize),
    /// The bound on acknowledged records that may be lost.
    PermittedLosses,
    /// A law that is known to be broken, by position.
    KnownBreach(usize),
    /// The restart policy.
    Supervisor,
    /// The time of a start.
    StartUp,
    /// The kernels' TCP.
    Tcp,
    /// The monitors.
    Monitoring,
    /// What the operator does at the end.
    Rollback,
    /// Disk, clock and threads of a host, by its position.
    Host(usize),
    /// Everything of a link but its delay.
    Link(usize),
    /// The network within a site.
    Lan,
    /// The network within a host.
    Loopback,
    /// The hottest partition.
    Skew,
    /// Consumers that ask for the ends of their logs.
    EndOffsets,
    /// Topics that come about by being asked for.
    AutoCreation,
}

impl Scenario {
    /// Everything that does not have its default, except sizes, times and the schedule.
    pub fn settings(&self) -> Vec<Setting> {
        let mut all = vec![Setting::KafkaVersion, Setting::ZooKeeperVersion];
        all.extend(self.cluster.kafka.defects.iter().map(Setting::KafkaDefect));
        all.extend(self.cluster.zookeeper.defects.iter().map(Setting::ZooKeeperDefect));
        let Expect { steady_state, throughout, at_end, totals, .. } = &self.expect;
        let expectations = [steady_state.len(), throughout.len(), at_end.len(), totals.len()];
        for (list, length) in expectations.into_iter().enumerate() {
            // From the last, so that the positions of the others stay.
            all.extend((0..length).rev().map(|index| Setting::Expectation(list, index)));
        }
        all.extend((0..self.expect.known_breaches.len()).rev().map(Setting::KnownBreach));
        all.extend([Setting::PermittedLosses, Setting::Supervisor, Setting::StartUp, Setting::Tcp]);
        all.extend([Setting::Monitoring, Setting::Rollback, Setting::Lan, Setting::Loopback]);
        all.extend((0..self.topology.hosts.len()).map(Setting::Host));
        all.extend((0..self.topology.links.len()).map(Setting::Link));
        all.extend([Setting::Skew, Setting::EndOffsets, Setting::AutoCreation]);
        let names = |table: Vec<OptionInfo>| table.into_iter().map(|option| option.name);
        let broker = names(BrokerConfig::table()).filter(|name| *name != "broker.id");
        all.extend(broker.map(Setting::Broker));
        all.extend(names(ZooKeeperConfig::table()).map(Setting::ZooKeeper));
        for entry in 0..self.workload.producers.len() {
            all.extend(names(ProducerConfig::table()).map(|name| Setting::Producer(entry, name)));
        }
        for entry in 0..self.workload.consumers.len() {
            all.extend(names(ConsumerConfig::table()).map(|name| Setting::Consumer(entry, name)));
        }
        all.retain(|setting| {
            let mut reset = self.clone();
            setting.reset(&mut reset);
            reset != *self
        });
        all
    }
}

impl Setting {
    /// Gives it its default.
    pub fn reset(&self, scenario: &mut Scenario) {
        let Scenario { cluster, workload, topology, expect, .. } = scenario;
        match self {
            Self::Broker(name) => {
                let default = default_of(BrokerConfig::table(), name);
                for broker in &mut cluster.kafka.brokers {
                    set(name, &default, |name, value| broker.config.set(name, value).is_ok());
                }
            }
            Self::ZooKeeper(name) => {
                let default = default_of(ZooKeeperConfig::table(), name);
                set(name, &default, |name, value| cluster.zookeeper.config.set(name, value).is_ok());
            }
            Self::Producer(entry, name) => {
                let default = default_of(ProducerConfig::table(), name);
                if let Some(group) = workload.producers.get_mut(*entry) {
                    set(name, &default, |name, value| group.config.set(name, value).is_ok());
                }
            }
            Self::Consumer(entry, name) => {
                let default = default_of(ConsumerConfig::table(), name);
                if let Some(group) = workload.consumers.get_mut(*entry) {
                    set(name, &default, |name, value| group.config.set(name, value).is_ok());
                }
            }
            Self::KafkaVersion => FIXED.clone_into(&mut cluster.kafka.version),
            Self::ZooKeeperVersion => FIXED.clone_into(&mut cluster.zookeeper.version),
            Self::KafkaDefect(defect) => cluster.kafka.defects = without(cluster.kafka.defects, *defect),
            Self::ZooKeeperDefect(defect) => cluster.zookeeper.defects = without(cluster.zookeeper.defects, *defect),
            Self::Expectation(list, index) => {
                let Expect { steady_state, throughout, at_end, totals, .. } = expect;
                match list {
                    0 => remove(steady_state, *index),
                    1 => remove(throughout, *index),
                    2 => remove(at_end, *index),
                    _ => remove(totals, *index),
                }
            }
            Self::PermittedLosses => expect.permitted_losses = None,
            Self::KnownBreach(index) => remove(&mut expect.known_breaches, *index),
            Self::Supervisor => scenario.supervisor = Restart::default(),
            Self::StartUp => scenario.start_up = Default::default(),
            Self::Tcp => scenario.tcp = Tcp::default(),
            Self::Monitoring => scenario.monitoring = Monitoring::default(),
            Self::Rollback => scenario.rollback.restart.clear(),
            Self::Host(index) => {
                if let Some(host) = topology.hosts.get_mut(*index) {
                    (host.disk, host.clock) = (Disk::default(), Clock::default());
                    host.thread_delay = Host::THREAD_DELAY;
                    host.tcp = None;
                }
            }
            Self::Link(index) => {
                if let Some(link) = topology.links.get_mut(*index) {
                    link.netem = Netem::delay(link.netem.delay);
                }
            }
            Self::Lan => topology.lan = Netem::delay(Topology::LAN_DELAY),
            Self::Loopback => topology.loopback = Netem::delay(Topology::LOOPBACK_DELAY),
            Self::Skew => workload.skew = Share::NONE,
            Self::EndOffsets => workload.end_offsets_every = None::<Span>,
            Self::AutoCreation => workload.auto_create_topics = false,
        }
    }
}

fn default_of(table: Vec<OptionInfo>, name: &str) -> String {
    table.into_iter().find(|option| option.name == name).map(|option| option.default).unwrap_or_default()
}

/// Sets an option of the table to its own default.
fn set(name: &str, default: &str, set: impl FnOnce(&str, &str) -> bool) {
    let taken = set(name, default);
    debug_assert!(taken, "`{name}` refuses its own default `{default}`");
}

fn without(defects: Defects, gone: Defect) -> Defects {
    defects.iter().filter(|defect| *defect != gone).collect()
}

fn remove<T>(list: &mut Vec<T>, index: usize) {
    if index < list.len() {
        list.remove(index);
    }
}
