//! What states of the protocols a run went through, from observations alone, so that the same could be said of real hosts.
//!
//! A feature is a hash of something that a run reached:
//!
//! - two kinds of observations that one process made one after the other;
//! - a belief beside the truth: a leader with an epoch older than, equal to or newer than what controllers tell; a controller
//!   that acts in an old epoch; a request that is stale or not;
//! - an abstract state of the cluster (controllers, ZooKeeper's roles, processes down, sizes of ISRs, leaders, faults), and the
//!   step from one such state to the next.
//!
//! Numbers are put into few buckets: a state that differs in a count of records only is the same state.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::mem::{Discriminant, discriminant};

use models::fingerprint::Fingerprint;
use models::id::{ProcessId, TopicPartition};
use models::observation::{Observation, Observed, ServedState, ZkClientState, ZkRole};
use models::time::{Instant, Span};
use scenarios::Scenario;

use crate::kernel::Observer;

/// Moments closer together than this are one.
const MOMENT: Span = Span::from_ms(100);
/// Most moments of a run; a run with more of them is no better a parent.
const MOST_MOMENTS: usize = 256;

/// What a run reached so far.
#[derive(Clone, Debug)]
pub struct Trace {
    start: Instant,
    replicas: usize,
    min_isr: usize,
    features: BTreeSet<u64>,
    moments: Vec<Span>,
    last: BTreeMap<ProcessId, Discriminant<Observation>>,
    /// Pairs that were seen already: most are.
    pairs: BTreeSet<u64>,
    cluster: Cluster,
    state: Option<u64>,
}

/// What is believed and what is so.
#[derive(Clone, Debug, Default)]
struct Cluster {
    down: BTreeSet<ProcessId>,
    paused: BTreeSet<ProcessId>,
    controllers: BTreeSet<ProcessId>,
    /// The greatest controller epoch.
    controller_epoch: i32,
    roles: BTreeMap<ProcessId, (ZkRole, u32)>,
    sessions: BTreeMap<ProcessId, ZkClientState>,
    faults: usize,
    partitions: BTreeMap<TopicPartition, Partition>,
}

#[derive(Clone, Debug, Default)]
struct Partition {
    /// The greatest leader epoch that a controller has told anybody of.
    told: i32,
    /// Who believes to lead, in which epoch.
    leaders: BTreeMap<ProcessId, i32>,
    /// How many replicas the newest leader takes for in sync.
    isr: usize,
}

impl Trace {
    /// Of a run of this scenario. What happens during the start-up does not count.
    pub fn new(scenario: &Scenario) -> Self {
        let brokers = &scenario.cluster.kafka.brokers;
        Self {
            start: Instant::ZERO + scenario.phases.warm_up,
            replicas: usize::from(scenario.workload.replication_factor),
            min_isr: brokers.first().map_or(1, |broker| broker.config.min_insync_replicas as usize),
            features: BTreeSet::new(),
            moments: Vec::new(),
            last: BTreeMap::new(),
            pairs: BTreeSet::new(),
            cluster: Cluster::default(),
            state: None,
        }
    }

    /// The features, ascending, and the moments.
    pub fn finish(self) -> (BTreeSet<u64>, Vec<Span>) {
        (self.features, self.moments)
    }

    fn reach(&mut self, feature: impl Hash) {
        self.features.insert(Fingerprint::of(&feature));
    }

    fn pair(&mut self, seen: &Observed) {
        let kind = discriminant(&seen.what);
        let Some(before) = self.last.insert(seen.process, kind) else { return };
        let mut pair = Fingerprint::default();
        before.hash(&mut pair);
        kind.hash(&mut pair);
        if self.pairs.insert(pair.finish()) {
            self.reach(("pair", pair.finish()));
        }
    }

    fn moment(&mut self, at: Instant) {
        let at = at.since(self.start);
        let is_new = self.moments.last().is_none_or(|last| at - *last >= MOMENT);
        if is_new && self.moments.len() < MOST_MOMENTS {
            self.moments.push(at);
        }
    }

    /// A belief beside what is so.
    fn relate(&mut self, what: &Observation, process: ProcessId) {
        match what {
            Observation::Acknowledge { partition, .. } => {
                let Some(seen) = self.cluster.partitions.get(partition) else { return };
                let Some(epoch) = seen.leaders.get(&process) else { return };
                let feature = ("acknowledges", epoch.cmp(&seen.told) as i8, seen.leaders.len().min(3));
                self.reach(feature);
            }
            Observation::LeaderBegin { partition, leader_epoch, .. } => {
                let told = self.cluster.partitions.get(partition).map_or(0, |seen| seen.told);
                let others = self.cluster.partitions.get(partition).map_or(0, |seen| seen.leaders.len());
                self.reach(("leads", leader_epoch.cmp(&told) as i8, others.min(3)));
            }
            Observation::ControllerActed { epoch } | Observation::ControllerEffect { epoch, .. } => {
                let newest = self.cluster.controller_epoch;
                self.reach(("acts", epoch.cmp(&newest) as i8, self.cluster.controllers.len().min(3)));
            }
            Observation::ControlRequest {
                request,
                controller_epoch,
                known_controller_epoch,
                broker_epoch,
                known_broker_epoch,
                applied,
                ..
            } => {
                let epochs = (controller_epoch.cmp(known_controller_epoch), broker_epoch.cmp(known_broker_epoch));
                self.reach(("request", *request as u8, epochs.0 as i8, epochs.1 as i8, *applied));
            }
            Observation::Truncate { from, to, high_watermark, role, reason, .. } => {
                let below = to.cmp(high_watermark) as i8;
                self.reach(("truncates", *reason as u8, *role as u8, below, from.cmp(to) as i8));
            }
            Observation::ZkRole { role, epoch, .. } => {
                let newest = self.cluster.roles.values().map(|(_, epoch)| *epoch).max().unwrap_or(0);
                self.reach(("zookeeper", *role as u8, epoch.cmp(&newest) as i8));
            }
            Observation::SendUnknown { error, .. } | Observation::SendFail { error, .. } => {
                self.reach(("fails", Fingerprint::of(error)));
            }
            Observation::GroupState { state, members, .. } => {
                self.reach(("group", *state as u8, (*members).min(4)));
            }
            Observation::MemberRemoved { reason, .. } => self.reach(("removed", *reason as u8)),
            _ => {}
        }
    }

    /// Whether something of the abstract state has changed.
    fn follow(&mut self, what: &Observation, process: ProcessId) -> bool {
        let cluster = &mut self.cluster;
        match what {
            Observation::Up => cluster.down.remove(&process),
            Observation::Down { .. } => {
                cluster.forget(process);
                cluster.down.insert(process)
            }
            Observation::Pause => cluster.paused.insert(process),
            Observation::Resume => cluster.paused.remove(&process),
            Observation::FaultBegin { .. } => {
                cluster.faults += 1;
                true
            }
            Observation::FaultEnd { .. } => {
                cluster.faults = cluster.faults.saturating_sub(1);
                true
            }
            Observation::ActiveController { active: true } => cluster.controllers.insert(process),
            Observation::ActiveController { active: false } => cluster.controllers.remove(&process),
            Observation::ControllerBegin { epoch } => {
                cluster.controller_epoch = cluster.controller_epoch.max(*epoch);
                true
            }
            Observation::ZkRole { role, epoch, .. } => {
                cluster.roles.insert(process, (*role, *epoch)) != Some((*role, *epoch))
            }
            Observation::ZkClient { state, .. } => cluster.sessions.insert(process, *state) != Some(*state),
            Observation::MetadataServed { states } | Observation::ControllerLoaded { states, .. } => {
                states.iter().for_each(|state| cluster.tell(state));
                false
            }
            Observation::LeaderBegin { partition, leader_epoch, .. } => {
                cluster.partitions.entry(*partition).or_default().leaders.insert(process, *leader_epoch);
                true
            }
            Observation::LeaderEnd { partition, .. } => {
                cluster.partitions.entry(*partition).or_default().leaders.remove(&process);
                true
            }
            Observation::IsrLocal { partition, leader_epoch, isr, .. } => {
                let partition = cluster.partitions.entry(*partition).or_default();
                let is_newest = partition.leaders.values().all(|epoch| epoch <= leader_epoch);
                is_newest && std::mem::replace(&mut partition.isr, isr.len()) != isr.len()
            }
            _ => false,
        }
    }
}

impl Cluster {
    fn tell(&mut self, state: &ServedState) {
        let partition = self.partitions.entry(state.partition).or_default();
        partition.told = partition.told.max(state.leader_epoch);
    }

    fn forget(&mut self, process: ProcessId) {
        self.paused.remove(&process);
        self.controllers.remove(&process);
        self.roles.remove(&process);
        self.sessions.remove(&process);
        for partition in self.partitions.values_mut() {
            partition.leaders.remove(&process);
        }
    }

    /// The abstract state.
    fn state(&self, replicas: usize, min_isr: usize) -> u64 {
        let role = |wanted: ZkRole| self.roles.values().filter(|(role, _)| *role == wanted).count();
        let zookeeper = (role(ZkRole::Leading).min(2), role(ZkRole::Following).min(3), role(ZkRole::Looking).min(3));
        let epochs: BTreeSet<u32> = self.roles.values().map(|(_, epoch)| *epoch).collect();
        let session = |wanted: ZkClientState| self.sessions.values().filter(|state| **state == wanted).count().min(3);
        let sessions = (session(ZkClientState::Disconnected), session(ZkClientState::Expired));
        let isr = |partition: &Partition| match partition.isr {
            0 => 0u8,
            isr if isr >= replicas => 4,
            isr if isr >= min_isr.max(2) => 3,
            1 => 1,
            _ => 2,
        };
        let worst = self.partitions.values().map(isr).min().unwrap_or(0);
        let leaders: Vec<usize> = self.partitions.values().map(|partition| partition.leaders.len()).collect();
        let none = leaders.iter().filter(|count| **count == 0).count();
        let share = match none {
            0 => 0u8,
            none if none == leaders.len() => 2,
            _ => 1,
        };
        let rivals = leaders.iter().max().copied().unwrap_or(0).min(3);
        let processes = (self.down.len().min(3), self.paused.len().min(2), self.faults.min(3));
        let mut state = Fingerprint::default();
        (self.controllers.len().min(3), zookeeper, epochs.len().min(3), sessions).hash(&mut state);
        (worst, share, rivals, processes).hash(&mut state);
        state.finish()
    }
}

/// Whether a fault that begins just then may meet something half done.
fn is_interesting(what: &Observation) -> bool {
    match what {
        Observation::ControllerBegin { .. }
        | Observation::ControllerEnd { .. }
        | Observation::LeaderBegin { .. }
        | Observation::IsrChange { .. }
        | Observation::IsrChangeEnd { .. }
        | Observation::IsrJoin { .. }
        | Observation::ZkSessionExpiring { .. }
        | Observation::ZkElection { .. }
        | Observation::ZkEpochEntered { .. }
        | Observation::LogLoaded { .. }
        | Observation::Registered { .. }
        | Observation::ControlledShutdownBegin
        | Observation::CoordinatorLoaded { .. }
        | Observation::Down { .. } => true,
        Observation::ZkRole { role, .. } => *role != ZkRole::Electing,
        Observation::ZkClient { state, .. } => *state != ZkClientState::Connected,
        Observation::Truncate { from, to, .. } => from.cmp(to) == Ordering::Greater,
        _ => false,
    }
}

impl Observer for Trace {
    fn observe(&mut self, seen: &Observed) {
        if seen.at >= self.start {
            self.pair(seen);
            self.relate(&seen.what, seen.process);
            if is_interesting(&seen.what) {
                self.moment(seen.at);
            }
        }
        if self.follow(&seen.what, seen.process) && seen.at >= self.start {
            let state = self.cluster.state(self.replicas, self.min_isr);
            if self.state != Some(state) {
                self.reach(("state", state));
                if let Some(before) = self.state.replace(state) {
                    self.reach(("step", before, state));
                }
            }
        }
    }
}
