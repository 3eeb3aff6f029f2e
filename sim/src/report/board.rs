//! The cluster at a moment, as its observations tell it: who leads what, who is in sync, what is broken.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use models::id::{BrokerId, FaultId, ProcessId, SessionId, TopicPartition, Zxid};
use models::observation::{Observation, Observed, ZkClientState, ZkRole};
use models::time::{Instant, Span};
use scenarios::deployment::Deployment;

use crate::kernel::{Observer, Simulation, Unacknowledged};
use models::node::Node;

/// More lines of a kind than this are counted, not shown.
const MOST: usize = 40;

/// Keeps what an operator would look up. Cheap to clone as long as nobody writes to either copy.
#[derive(Clone, Debug)]
pub struct Board {
    deployment: Arc<Deployment>,
    faults: BTreeMap<FaultId, (Instant, Arc<str>)>,
    controllers: BTreeMap<ProcessId, i32>,
    newest_controller: i32,
    zookeepers: BTreeMap<ProcessId, Server>,
    sessions: BTreeMap<ProcessId, (ZkClientState, SessionId)>,
    partitions: BTreeMap<TopicPartition, Partition>,
    paused: BTreeMap<ProcessId, Instant>,
}

#[derive(Clone, Debug)]
struct Server {
    role: ZkRole,
    epoch: u32,
    last_zxid: Zxid,
}

#[derive(Clone, Debug, Default)]
struct Partition {
    /// Leaders that have not given up, by epoch.
    leaders: BTreeMap<i32, ProcessId>,
    isr: Option<(i32, Arc<[BrokerId]>)>,
    replicas: BTreeMap<ProcessId, Replica>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Replica {
    leo: u64,
    high_watermark: u64,
}

impl Observer for Board {
    fn observe(&mut self, seen: &Observed) {
        let who = seen.process;
        match &seen.what {
            Observation::FaultBegin { fault, text, .. } => {
                self.faults.insert(*fault, (seen.at, text.clone()));
            }
            Observation::FaultEnd { fault } => {
                self.faults.remove(fault);
            }
            Observation::Down { .. } => self.on_down(who),
            Observation::Pause => {
                self.paused.insert(who, seen.at);
            }
            Observation::Resume => {
                self.paused.remove(&who);
            }
            Observation::ControllerBegin { epoch } => {
                self.controllers.insert(who, *epoch);
                self.newest_controller = self.newest_controller.max(*epoch);
            }
            Observation::ControllerEnd { .. } | Observation::ActiveController { active: false } => {
                self.controllers.remove(&who);
            }
            Observation::ZkClient { state, session } => {
                self.sessions.insert(who, (*state, *session));
            }
            what => {
                self.on_zookeeper(who, what);
                self.on_replica(who, what);
            }
        }
    }
}

impl Board {
    /// Before anything was observed.
    pub fn new(deployment: Arc<Deployment>) -> Self {
        Self {
            deployment,
            faults: BTreeMap::new(),
            controllers: BTreeMap::new(),
            newest_controller: 0,
            zookeepers: BTreeMap::new(),
            sessions: BTreeMap::new(),
            partitions: BTreeMap::new(),
            paused: BTreeMap::new(),
        }
    }

    fn on_down(&mut self, who: ProcessId) {
        self.controllers.remove(&who);
        self.sessions.remove(&who);
        self.paused.remove(&who);
        self.zookeepers.remove(&who);
        for partition in self.partitions.values_mut() {
            partition.leaders.retain(|_, leader| *leader != who);
        }
    }

    fn on_zookeeper(&mut self, who: ProcessId, what: &Observation) {
        match what {
            Observation::ZkRole { role, epoch, last_zxid } => {
                self.zookeepers.insert(who, Server { role: *role, epoch: *epoch, last_zxid: *last_zxid });
            }
            Observation::ZkLog { zxid, .. }
            | Observation::ZkReset { zxid, .. }
            | Observation::ZkTruncate { zxid, .. } => {
                if let Some(server) = self.zookeepers.get_mut(&who) {
                    server.last_zxid = *zxid;
                }
            }
            Observation::ZkApply { txn, .. } => {
                if let Some(server) = self.zookeepers.get_mut(&who) {
                    server.last_zxid = server.last_zxid.max(txn.zxid);
                }
            }
            _ => {}
        }
    }

    fn on_replica(&mut self, who: ProcessId, what: &Observation) {
        match what {
            Observation::Append { partition, base_offset, values, .. } => {
                self.replica(*partition, who).leo = base_offset + values.len() as u64;
            }
            Observation::Truncate { partition, to, .. } => self.replica(*partition, who).leo = *to,
            Observation::LogLoaded { partition, leo, high_watermark, .. } => {
                *self.replica(*partition, who) = Replica { leo: *leo, high_watermark: *high_watermark };
            }
            Observation::HighWatermark { partition, value, .. } => {
                self.replica(*partition, who).high_watermark = *value;
            }
            Observation::LeaderBegin { partition, leader_epoch, leo } => {
                self.replica(*partition, who).leo = *leo;
                self.partitions.entry(*partition).or_default().leaders.insert(*leader_epoch, who);
            }
            Observation::LeaderEnd { partition, leader_epoch } => {
                if let Some(known) = self.partitions.get_mut(partition) {
                    known.leaders.remove(leader_epoch);
                }
            }
            Observation::IsrLocal { partition, leader_epoch, isr, .. } => {
                let known = &mut self.partitions.entry(*partition).or_default().isr;
                if known.as_ref().is_none_or(|(epoch, _)| leader_epoch >= epoch) {
                    *known = Some((*leader_epoch, isr.clone()));
                }
            }
            _ => {}
        }
    }

    fn replica(&mut self, partition: TopicPartition, who: ProcessId) -> &mut Replica {
        self.partitions.entry(partition).or_default().replicas.entry(who).or_default()
    }

    /// The state in words. Moments are told relative to `start`.
    pub fn text(&self, sim: &Simulation<Node>, start: Instant) -> String {
        let mut out = String::new();
        let name = |id: ProcessId| self.deployment.name(id);
        for (fault, (since, text)) in &self.faults {
            let _ = writeln!(out, "  fault        {fault} since {}: {text}", moment(*since, start));
        }
        if self.faults.is_empty() {
            out.push_str("  fault        none\n");
        }
        let controllers: Vec<_> =
            self.controllers.iter().map(|(who, epoch)| format!("{} (epoch {epoch})", name(*who))).collect();
        let controllers = if controllers.is_empty() { "nobody".to_owned() } else { controllers.join(", ") };
        if self.deployment.brokers().next().is_some() {
            let _ = writeln!(out, "  controller   {controllers}; newest epoch {}", self.newest_controller);
        }
        for (_, who) in self.deployment.zookeepers() {
            let state = match self.zookeepers.get(&who) {
                Some(Server { role, epoch, last_zxid }) => {
                    format!("{:?}, epoch {epoch}, last zxid {last_zxid}", role).to_lowercase()
                }
                None if sim.is_up(who) => "started".to_owned(),
                None => "down".to_owned(),
            };
            let _ = writeln!(out, "  zookeeper    {:<10} {state}", name(who));
        }
        self.processes(&mut out, sim, start);
        self.partitions(&mut out);
        connections(&mut out, &sim.unacknowledged(), sim.now(), &self.deployment);
        out
    }

    fn processes(&self, out: &mut String, sim: &Simulation<Node>, start: Instant) {
        for process in &self.deployment.processes {
            let (who, name) = (process.id, &process.name);
            if let Some(since) = self.paused.get(&who) {
                let _ = writeln!(out, "  process      {name} stands still since {}", moment(*since, start));
            } else if !sim.is_up(who) {
                let life = sim.incarnation(who);
                let _ = writeln!(out, "  process      {name} is down (lives so far: {life})");
            }
            if let Some((state, session)) = self.sessions.get(&who) {
                let state = format!("{state:?}").to_lowercase();
                let _ = writeln!(out, "  session      {name:<10} {session} {state}");
            }
        }
    }

    fn partitions(&self, out: &mut String) {
        let name = |id: &ProcessId| self.deployment.name(*id).to_owned();
        for (partition, state) in self.partitions.iter().take(MOST) {
            let leaders: Vec<_> =
                state.leaders.iter().map(|(epoch, who)| format!("{} (epoch {epoch})", name(who))).collect();
            let leaders = if leaders.is_empty() { "no leader".to_owned() } else { leaders.join(" and ") };
            let isr: Vec<_> = state.isr.iter().flat_map(|(_, isr)| isr.iter()).map(ToString::to_string).collect();
            let replicas: Vec<_> =
                state.replicas.iter().map(|(who, r)| format!("{} {}/{}", name(who), r.leo, r.high_watermark)).collect();
            let _ = writeln!(
                out,
                "  partition    {partition}: {leaders}, ISR {}; LEO/HW {}",
                isr.join(","),
                replicas.join(", ")
            );
        }
        if self.partitions.len() > MOST {
            let _ = writeln!(out, "  partition    and {} more", self.partitions.len() - MOST);
        }
    }
}

fn connections(out: &mut String, all: &[Unacknowledged], now: Instant, deployment: &Deployment) {
    // What was sent a moment ago is on every busy connection; what waits for a timer is news.
    let late = |one: &&Unacknowledged| one.backoff > 0 || now.since(one.since) > Span::from_ms(200);
    for one in all.iter().filter(late).take(MOST) {
        let again = match one.retransmission {
            Instant::MAX => String::new(),
            at => format!(", sent again in {}", at.since(now)),
        };
        let _ = writeln!(
            out,
            "  unacked      {} -> {}: {} segments for {}, {} more wait, timeout doubled {} times{again}",
            deployment.name(one.from),
            deployment.name(one.to),
            one.sent,
            now.since(one.since),
            one.waiting,
            one.backoff,
        );
    }
    let (late_count, all_count) = (all.iter().filter(late).count(), all.len());
    let _ = writeln!(out, "  unacked      {all_count} directions of connections, {late_count} of them for over 200 ms");
}

/// A moment relative to the end of the start-up.
pub fn moment(at: Instant, start: Instant) -> String {
    let (sign, span) = if at >= start { ('+', at - start) } else { ('-', start - at) };
    let ns = span.as_ns();
    let (seconds, rest) = (ns / 1_000_000_000, ns % 1_000_000_000);
    if rest.is_multiple_of(1_000_000) {
        format!("{sign}{seconds}.{:03}s", rest / 1_000_000)
    } else {
        format!("{sign}{seconds}.{rest:09}s")
    }
}
