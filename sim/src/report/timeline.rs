//! The story of a run: observations condensed into lines that an operator can read.
//!
//! Things of a kind that happen close together at the same place become one line with a count: a lost broker moves a hundred
//! partitions, and that is one event for whoever reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use models::id::{BrokerId, ProcessId, SessionId, TopicPartition};
use models::observation::{
    DownCause, GroupState, Observation, Observed, RemovalReason, TruncateReason, ZkClientState, ZkRole,
};
use models::process::DiskError;
use models::time::{Instant, Span};
use models::zk::protocol::ZkError;

use super::names::Names;
use super::sessions::SessionFigures;

/// Lines of the same kind and place that are closer than this become one.
const WINDOW: Span = Span::from_ms(1_500);
/// No acknowledgement for this long is an outage worth a line. Healthy partitions are probed far more often.
const OUTAGE: Span = Span::from_secs(3);

/// A line of the story.
#[derive(Clone, Debug)]
pub struct Line {
    /// When the first of the things happened.
    pub at: Instant,
    /// When the last of them happened.
    pub until: Instant,
    /// What it is about, for the margin: `fault`, `zookeeper`, `controller` ...
    pub topic: &'static str,
    /// The text.
    pub text: String,
}

/// Collects the story.
#[derive(Clone, Debug)]
pub struct Timeline {
    names: Names,
    lines: Vec<Line>,
    groups: BTreeMap<(Kind, u64), Group>,
    zk_leader: Option<ProcessId>,
    leaders: BTreeMap<TopicPartition, (ProcessId, i32)>,
    isr: BTreeMap<TopicPartition, usize>,
    active: BTreeSet<ProcessId>,
    seen: BTreeMap<Arc<str>, u32>,
    acknowledged: BTreeMap<TopicPartition, Instant>,
    outage: Option<Outage>,
    sessions: SessionFigures,
    looked_at: Instant,
}

/// Partitions that acknowledge nothing, from the first that fell silent until all are back.
#[derive(Clone, Copy, Debug)]
struct Outage {
    began: Instant,
    /// Its line, whose count grows as more partitions fall silent.
    line: usize,
    most: usize,
}

/// What lines can be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Looking,
    Following,
    SessionLost,
    SessionBack,
    SessionExpired,
    LeaderMoved,
    IsrShrunk,
    IsrGrown,
    Truncated,
    Recovered,
    Unknown,
    Failed,
    Rejected,
    Expiring,
}

#[derive(Clone, Debug)]
struct Group {
    first: Instant,
    last: Instant,
    count: u64,
    who: BTreeSet<u64>,
    detail: String,
}

impl Timeline {
    /// A story that has not begun.
    pub fn new(names: Names) -> Self {
        Self {
            names,
            lines: Vec::new(),
            groups: BTreeMap::new(),
            zk_leader: None,
            leaders: BTreeMap::new(),
            isr: BTreeMap::new(),
            active: BTreeSet::new(),
            seen: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            outage: None,
            sessions: SessionFigures::new(Instant::ZERO),
            looked_at: Instant::ZERO,
        }
    }

    /// Takes an observation.
    pub fn observe(&mut self, seen: &Observed) {
        let at = seen.at;
        let who = seen.process;
        if at.since(self.looked_at) >= Span::from_secs(1) {
            self.look_for_silence(at);
        }
        match &seen.what {
            Observation::FaultBegin { fault, text, .. } => self.line(at, "fault", format!("{fault} begins: {text}")),
            Observation::FaultEnd { fault } => self.line(at, "fault", format!("{fault} ends")),
            Observation::Up if seen.incarnation > 1 => {
                let name = self.names.process(who);
                self.line(at, "process", format!("{name} starts again (life {})", seen.incarnation));
            }
            Observation::Down { lossy, cause } => self.on_down(at, who, *lossy, cause),
            Observation::Pause => self.line(at, "process", format!("{} stands still", self.names.process(who))),
            Observation::Resume => self.line(at, "process", format!("{} goes on", self.names.process(who))),
            Observation::ZkRole { role, epoch, .. } => self.on_zk_role(at, who, *role, *epoch),
            Observation::ZkClient { state, session } => self.on_zk_client(at, who, *state, *session),
            Observation::ZkSessionExpiring { session, .. } => {
                self.group(at, Kind::Expiring, u64::from(who.0), session.0, String::new());
            }
            Observation::ActiveController { active } => self.on_active(at, who, *active),
            Observation::ControllersSeen { site, sum, reached } => self.on_seen(at, site, *sum, *reached),
            Observation::ControllerBegin { epoch } => {
                self.line(at, "controller", format!("{} is elected, epoch {epoch}", self.names.process(who)));
            }
            Observation::ControllerReady { epoch } => {
                let text = format!("{} has taken over, epoch {epoch}", self.names.process(who));
                self.line(at, "controller", text);
            }
            Observation::CoordinatorLoaded { .. }
            | Observation::GroupState { .. }
            | Observation::GroupAssigned { .. }
            | Observation::MemberRemoved { .. } => self.on_group(seen),
            Observation::Registered { broker, broker_epoch } => {
                self.line(at, "registered", format!("broker {broker} with epoch {broker_epoch}"));
            }
            Observation::RegistrationFailed { broker, reason } => {
                self.line(at, "registered", format!("broker {broker} FAILED for good: {reason}"));
            }
            Observation::ZkWrite { error, .. } => self.on_zk_write(seen, *error),
            what if self.on_life_cycle(at, who, what) => {}
            _ => self.observe_data(seen),
        }
    }

    fn on_zk_write(&mut self, seen: &Observed, error: Option<ZkError>) {
        if let Some(gap) = self.sessions.ended(seen, error).filter(|gap| *gap >= OUTAGE) {
            let text = format!("{} writes to ZooKeeper again, after {gap}", self.names.process(seen.process));
            self.line(seen.at, "clients", text);
        }
    }

    /// Ends the story: what was still being merged is written, in the order of time.
    pub fn finish(mut self, now: Instant) -> Vec<Line> {
        self.look_for_silence(now);
        if let Some(outage) = self.outage {
            let text = format!("writes have not come back everywhere, after {}", now - outage.began);
            self.line(now, "clients", text);
        }
        let open: Vec<_> = self.groups.keys().copied().collect();
        for key in open {
            self.close(key);
        }
        self.lines.sort_by_key(|line| line.at);
        self.lines
    }

    /// The frequent ones: replicas and clients.
    fn observe_data(&mut self, seen: &Observed) {
        let at = seen.at;
        let who = seen.process;
        match &seen.what {
            Observation::SendOk { partition, .. } => {
                self.acknowledged.insert(*partition, at);
            }
            Observation::SendUnknown { partition, error, .. } => {
                let key = (u64::from(partition.topic.0) << 16) | u64::from(partition.partition);
                self.group(at, Kind::Unknown, u64::from(who.0), key, format!("{error:?}"));
            }
            Observation::SendFail { partition, error, .. } => {
                let key = (u64::from(partition.topic.0) << 16) | u64::from(partition.partition);
                self.group(at, Kind::Failed, u64::from(who.0), key, format!("{error:?}"));
            }
            Observation::LeaderBegin { partition, leader_epoch, .. } => {
                let before = self.leaders.insert(*partition, (who, *leader_epoch));
                if let Some((old, _)) = before
                    && old != who
                {
                    let detail = format!("{partition} from {} to {}", self.names.process(old), self.names.process(who));
                    self.group(at, Kind::LeaderMoved, u64::from(who.0), key_of(*partition), detail);
                }
            }
            Observation::IsrLocal { partition, isr, .. } => self.on_isr(at, who, *partition, isr),
            Observation::Truncate { partition, from, to, reason, .. } if from > to => {
                let kind = if *reason == TruncateReason::Recovery { Kind::Recovered } else { Kind::Truncated };
                let detail = format!("{partition} {from} to {to}");
                self.group(at, kind, u64::from(who.0), key_of(*partition), detail);
            }
            Observation::ControlRequest { controller, controller_epoch, applied: false, .. } => {
                let detail = format!("from broker {controller}, epoch {controller_epoch}");
                self.group(at, Kind::Rejected, u64::from(who.0), 0, detail);
            }
            _ => {}
        }
    }

    fn on_group(&mut self, seen: &Observed) {
        let (at, who) = (seen.at, self.names.process(seen.process));
        let text = match &seen.what {
            Observation::CoordinatorLoaded { partition, leader_epoch, groups, offsets } if *groups > 0 => {
                let of = format!("{groups} groups, {offsets} offsets");
                format!("{who} coordinates {partition}, epoch {leader_epoch}: {of}")
            }
            Observation::GroupState { group, state: GroupState::PreparingRebalance, generation, members, .. } => {
                format!("{group} rebalances at {who}: generation {generation}, {members} members")
            }
            Observation::GroupAssigned { group, generation, assignment } => {
                format!("{group} is stable at {who}: generation {generation}, {} members", assignment.len())
            }
            Observation::MemberRemoved { group, member, reason, .. } => {
                let why = match reason {
                    RemovalReason::SessionTimeout => "was silent",
                    RemovalReason::NotRejoined => "did not join in time",
                    RemovalReason::NotSynced => "did not ask for its share",
                    RemovalReason::Left => "left",
                };
                format!("{group} loses {member} at {who}: it {why}")
            }
            _ => return,
        };
        self.line(at, "group", text);
    }

    fn on_down(&mut self, at: Instant, who: ProcessId, lossy: bool, cause: &DownCause) {
        let name = self.names.process(who);
        let how = match cause {
            DownCause::Killed => "is killed".to_owned(),
            DownCause::HostCrash => "dies with its host".to_owned(),
            DownCause::Exited(reason) => format!("exits: {reason}"),
        };
        let loss = if lossy { "; unflushed data is lost" } else { "" };
        self.line(at, "process", format!("{name} {how}{loss}"));
        if self.zk_leader == Some(who) {
            self.lose_quorum(at);
        }
        self.on_active(at, who, false);
    }

    /// A broker's orderly end, and its log directories. Returns whether it was about that.
    fn on_life_cycle(&mut self, at: Instant, who: ProcessId, what: &Observation) -> bool {
        let name = || self.names.process(who);
        let (topic, text) = match what {
            Observation::ControlledShutdownBegin => {
                ("process", format!("{} is told to stop and asks for a controlled shutdown", name()))
            }
            Observation::ControlledShutdownEnd { attempt, remaining } => {
                let outcome = match remaining {
                    Some(0) => "has handed everything over".to_owned(),
                    Some(count) => format!("still leads {count} partition(s)"),
                    None => "had no answer from a controller".to_owned(),
                };
                ("process", format!("{} {outcome} (controlled shutdown, attempt {attempt})", name()))
            }
            Observation::LogsClosed { clean, bytes } => {
                let how =
                    if *clean { "flushed its logs and marked them clean" } else { "could NOT close its logs cleanly" };
                ("log", format!("{} {how} ({})", name(), size(*bytes)))
            }
            Observation::LogRecoveryBegin { dir, logs, bytes } => {
                let what = format!("{logs} log(s) of directory {dir}, {}", size(*bytes));
                ("log", format!("{} was not stopped cleanly: recovers {what}", name()))
            }
            Observation::LogRecoveryEnd { dir, bytes } => {
                ("log", format!("{} has recovered directory {dir}, {}", name(), size(*bytes)))
            }
            Observation::LogDirOffline { dir, partitions, error } => {
                let why = match error {
                    DiskError::Full => "no space left on device",
                    DiskError::Io => "input/output error",
                };
                ("log", format!("{} loses log directory {dir} with {partitions} replica(s): {why}", name()))
            }
            _ => return false,
        };
        self.line(at, topic, text);
        true
    }

    fn on_zk_role(&mut self, at: Instant, who: ProcessId, role: ZkRole, epoch: u32) {
        if self.zk_leader == Some(who) && role != ZkRole::Leading {
            self.lose_quorum(at);
        }
        match role {
            ZkRole::Looking => self.group(at, Kind::Looking, 0, u64::from(who.0), String::new()),
            ZkRole::Electing | ZkRole::Synchronizing => {}
            ZkRole::Following => self.group(at, Kind::Following, 0, u64::from(who.0), String::new()),
            ZkRole::Leading => {
                self.zk_leader = Some(who);
                self.line(at, "zookeeper", format!("{} leads the ensemble, epoch {epoch}", self.names.process(who)));
            }
        }
    }

    fn lose_quorum(&mut self, at: Instant) {
        if let Some(leader) = self.zk_leader.take() {
            self.line(at, "zookeeper", format!("{} no longer leads", self.names.process(leader)));
        }
    }

    fn on_zk_client(&mut self, at: Instant, who: ProcessId, state: ZkClientState, _session: SessionId) {
        let kind = match state {
            ZkClientState::Connected => Kind::SessionBack,
            ZkClientState::Disconnected => Kind::SessionLost,
            ZkClientState::Expired => Kind::SessionExpired,
        };
        self.group(at, kind, 0, u64::from(who.0), String::new());
    }

    fn on_active(&mut self, at: Instant, who: ProcessId, active: bool) {
        let changed = if active { self.active.insert(who) } else { self.active.remove(&who) };
        if changed {
            let list: Vec<_> = self.active.iter().map(|p| self.names.process(*p)).collect();
            let who = if list.is_empty() { String::new() } else { format!(" ({})", list.join(", ")) };
            self.line(at, "controller", format!("ActiveControllerCount is {}{who}", list.len()));
        }
    }

    /// How many brokers a monitor reaches is part of the line, but no reason for one.
    fn on_seen(&mut self, at: Instant, site: &Arc<str>, sum: u32, reached: u32) {
        if self.seen.insert(Arc::clone(site), sum) != Some(sum) {
            let text = format!("ActiveControllerCount seen from {site} is {sum} ({reached} brokers answer)");
            self.line(at, "monitor", text);
        }
    }

    fn on_isr(&mut self, at: Instant, who: ProcessId, partition: TopicPartition, isr: &[BrokerId]) {
        let before = self.isr.insert(partition, isr.len());
        let kind = match before {
            Some(before) if isr.len() < before => Kind::IsrShrunk,
            Some(before) if isr.len() > before => Kind::IsrGrown,
            _ => return,
        };
        let ids: Vec<_> = isr.iter().map(ToString::to_string).collect();
        self.group(at, kind, u64::from(who.0), key_of(partition), format!("{partition} to [{}]", ids.join(",")));
    }

    /// Called once a second, not per observation: it looks at every partition.
    fn look_for_silence(&mut self, now: Instant) {
        self.looked_at = now;
        let silent = || self.acknowledged.values().filter(|last| now.since(**last) >= OUTAGE);
        let (count, first) = (silent().count(), silent().min().copied());
        match (first, &mut self.outage) {
            (None, None) => {}
            (None, Some(outage)) => {
                let text =
                    format!("every partition takes writes again, {} after the first fell silent", now - outage.began);
                self.outage = None;
                self.line(now, "clients", text);
            }
            (Some(began), None) => {
                self.outage = Some(Outage { began, line: self.lines.len(), most: count });
                self.line(began, "clients", silence(count, self.acknowledged.len()));
            }
            (Some(_), Some(outage)) => {
                outage.most = outage.most.max(count);
                self.lines[outage.line].text = silence(outage.most, self.acknowledged.len());
            }
        }
    }

    fn line(&mut self, at: Instant, topic: &'static str, text: String) {
        self.lines.push(Line { at, until: at, topic, text });
    }

    /// Adds one thing to the open group of its kind and place, or opens a new one.
    fn group(&mut self, at: Instant, kind: Kind, place: u64, who: u64, detail: String) {
        let key = (kind, place);
        if let Some(group) = self.groups.get_mut(&key) {
            if at.since(group.last) <= WINDOW {
                group.last = at;
                group.count += 1;
                group.who.insert(who);
                return;
            }
            self.close(key);
        }
        self.groups.insert(key, Group { first: at, last: at, count: 1, who: BTreeSet::from([who]), detail });
    }

    fn close(&mut self, key: (Kind, u64)) {
        let Some(group) = self.groups.remove(&key) else { return };
        let (topic, text) = self.describe(key, &group);
        self.lines.push(Line { at: group.first, until: group.last, topic, text });
    }

    fn describe(&self, (kind, place): (Kind, u64), group: &Group) -> (&'static str, String) {
        let at_place = || self.names.process(ProcessId(place as u16));
        let who = || {
            let names: Vec<_> = group.who.iter().map(|id| self.names.process(ProcessId(*id as u16))).collect();
            names.join(", ")
        };
        let partitions = |verb: &str| {
            let mut text = format!("{verb} {} partition", group.who.len());
            if group.who.len() > 1 {
                text.push('s');
            }
            let _ = write!(text, " ({}{})", group.detail, if group.who.len() > 1 { ", ..." } else { "" });
            text
        };
        let records = |what: &str| format!("{} records of {} {what} ({})", group.count, at_place(), group.detail);
        match kind {
            Kind::Looking => ("zookeeper", format!("looking for a leader: {}", who())),
            Kind::Following => ("zookeeper", format!("following: {}", who())),
            Kind::SessionLost => ("session", format!("disconnected: {}", who())),
            Kind::SessionBack => ("session", format!("connected: {}", who())),
            Kind::SessionExpired => ("session", format!("EXPIRED: {}", who())),
            Kind::Expiring => {
                ("session", format!("{} proposes to close {} silent session(s)", at_place(), group.who.len()))
            }
            Kind::LeaderMoved => ("leaders", format!("{} now leads {}", at_place(), partitions("in all"))),
            Kind::IsrShrunk => ("isr", partitions(&format!("{} shrinks the ISR of", at_place()))),
            Kind::IsrGrown => ("isr", partitions(&format!("{} expands the ISR of", at_place()))),
            Kind::Truncated => ("log", partitions(&format!("{} cuts an unreplicated tail off", at_place()))),
            Kind::Recovered => ("log", partitions(&format!("{} lost unflushed records of", at_place()))),
            Kind::Unknown => ("clients", records("end without a known outcome")),
            Kind::Failed => ("clients", records("are refused")),
            Kind::Rejected => {
                ("controller", format!("{} refuses {} stale request(s) ({})", at_place(), group.count, group.detail))
            }
        }
    }
}

/// A size as people say it.
fn size(bytes: u64) -> String {
    let unit = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)].into_iter().find(|(_, unit)| bytes >= *unit);
    match unit {
        Some((name, unit)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} B"),
    }
}

fn silence(count: usize, of: usize) -> String {
    format!("last acknowledged write; {count} of {of} partitions fall silent")
}

fn key_of(partition: TopicPartition) -> u64 {
    (u64::from(partition.topic.0) << 16) | u64::from(partition.partition)
}
