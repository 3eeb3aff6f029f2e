//! Runs a rig and tells its story.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use models::defect::Defects;
use models::id::ProcessId;
use models::observation::{Observation, Observed, ZkClientState, ZkRole};
use models::time::{Instant, Span};
use models::zk::protocol::{TxnBody, ZkError};
use models::zk::session_client::write_path;
use scenarios::Scenario;
use scenarios::deployment::{Deployment, ProcessKind};
use scenarios::schedule::Schedule;

use super::lab::LabRun;
use super::rig;
use super::story::{Role, SessionStory, Side, Story};
use crate::run::Run;

/// How long after the heal all must be well again: what the measured runs were given.
const PATIENCE: Span = Span::from_secs(155);
/// What the measured runs went on for afterwards.
const AFTERWARDS: Span = Span::from_secs(5);
/// A client that has done a write within this time writes.
const LATELY: Span = Span::from_ms(1_500);

/// The rig of a measured run. The fault begins at the measured point of the leader's tick, where that was recorded, else at an
/// arbitrary one. When the leader begins to serve depends on the seed, so the warm-up is run to learn it: it is the same
/// whatever comes later.
///
/// # Errors
/// The rig cannot be expressed.
pub fn scenario(run: &LabRun, seed: u64) -> Result<Scenario, String> {
    let early = rig::scenario(run, Span::ZERO)?;
    let tick = early.cluster.zookeeper.config.tick();
    let Some(measured) = run.led_since() else { return rig::scenario(run, arbitrary(tick, seed)) };
    let start = Instant::ZERO + early.phases.warm_up;
    let mut led_since = Instant::ZERO;
    Run::new(early, seed, &Schedule::default()).finish(
        &mut |seen: &Observed| {
            if matches!(seen.what, Observation::ZkRole { role: ZkRole::Leading, .. }) {
                led_since = seen.at;
            }
        },
        &mut |checkpoint| if checkpoint.at >= start { ControlFlow::Break(()) } else { ControlFlow::Continue(()) },
    );
    let ahead = Span::from_us((measured * 1_000.0) as u64).as_ns() % tick.as_ns();
    let now = (start - led_since).as_ns() % tick.as_ns();
    rig::scenario(run, Span::from_ns((ahead + tick.as_ns() - now) % tick.as_ns()))
}

/// A point of a tick: evenly over the seeds, in an order without pattern (multiples of the golden ratio modulo one).
fn arbitrary(tick: Span, seed: u64) -> Span {
    const GOLDEN: u64 = 618_034;
    tick.scaled(seed * GOLDEN % 1_000_000, 1_000_000)
}

/// Runs the rig of a measured run, and tells what happened.
///
/// # Errors
/// The rig cannot be expressed, the intended server did not lead when the fault began, or a law was broken.
pub fn story(run: &LabRun, seed: u64) -> Result<Story, String> {
    let scenario = scenario(run, seed)?;
    let schedule = Schedule::draw(&scenario, seed);
    let deployment = scenario.deployment();
    let defects = scenario.cluster.zookeeper.defects;
    let recorder = RefCell::new(Recorder::new(&scenario, &deployment, run));
    let finished = Run::new(scenario, seed, &schedule).finish(
        &mut |seen: &Observed| recorder.borrow_mut().observe(seen),
        &mut |checkpoint| {
            if recorder.borrow_mut().is_over(checkpoint.at) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        },
    );
    let recorder = recorder.into_inner();
    if recorder.leader_at_fault != Some(recorder.story.leader) {
        return Err("another server than the intended one led when the fault began".to_owned());
    }
    // Another one may have been broken before.
    let unexpected = finished.judgement.broken().filter(|(law, _)| !is_expected(law, defects));
    match unexpected.min_by_key(|(_, violation)| violation.at) {
        Some((law, violation)) => Err(format!("{law} is broken: {}", violation.what)),
        None => Ok(recorder.finish()),
    }
}

/// Whether that a law is broken says nothing against the models: that writes come back is what is measured here, and some laws
/// fall with a defect that the measured release has.
fn is_expected(law: &str, defects: Defects) -> bool {
    law.starts_with("L-") || defects.iter().any(|defect| defect.facts().laws.contains(&law))
}

/// Makes a story of observations.
struct Recorder {
    fault: Instant,
    heal: Instant,
    /// When the lab would have noted the heal.
    heal_recorded: Instant,
    kills: bool,
    /// The position of each server, by process.
    servers: BTreeMap<ProcessId, usize>,
    clients: BTreeMap<ProcessId, Client>,
    serving: Vec<Option<ZkRole>>,
    leader: Option<usize>,
    leader_at_fault: Option<usize>,
    /// Paths that some server knows to be committed.
    committed: BTreeSet<Arc<str>>,
    well_since: Option<Instant>,
    story: Story,
}

/// An application and what it met.
struct Client {
    name: Arc<str>,
    side: Side,
    last_ok: Option<Instant>,
    /// When the last write that was done had been issued.
    last_began: Instant,
    acknowledged: Vec<u64>,
    unknown: Vec<u64>,
    session: SessionStory,
}

impl Recorder {
    fn new(scenario: &Scenario, deployment: &Deployment, run: &LabRun) -> Self {
        let fault = Instant::ZERO + scenario.phases.warm_up + scenario.faults[0].at;
        let heal = fault + scenario.faults[0].duration;
        let near = run.leader_site().to_lowercase();
        let mut clients = BTreeMap::new();
        for process in &deployment.processes {
            if let ProcessKind::Session { config } = &process.kind {
                let far = scenario.topology.site_name_of(process.host) != near;
                let local = config.servers.len() < scenario.cluster.zookeeper.servers.len();
                // A site that holds every server gives both of its clients the same servers: the second is the local one.
                let local = local || clients.values().any(|client: &Client| client.side == Side { far, local });
                clients.insert(process.id, Client::new(&process.name, Side { far, local }));
            }
        }
        let servers: BTreeMap<ProcessId, usize> =
            deployment.zookeepers().enumerate().map(|(index, (_, process))| (process, index)).collect();
        let story = Story {
            far: run.servers().iter().map(|(_, site)| *site != run.leader_site()).collect(),
            leader: run.leader(),
            heal: ms(heal - fault),
            paused: run.pauses(),
            ..Story::default()
        };
        Self {
            fault,
            heal,
            heal_recorded: heal - Span::from_us((run.heal_recorded_early_ms() * 1_000.0) as u64),
            kills: run.kills(),
            serving: vec![None; servers.len()],
            servers,
            clients,
            leader: None,
            leader_at_fault: None,
            committed: BTreeSet::new(),
            well_since: None,
            story,
        }
    }

    fn observe(&mut self, seen: &Observed) {
        let faulty = seen.at >= self.fault;
        match &seen.what {
            Observation::FaultBegin { .. } => self.leader_at_fault = self.leader,
            Observation::ZkRole { role, .. } => {
                let Some(&server) = self.servers.get(&seen.process) else { return };
                self.serving[server] = Some(*role);
                if *role == ZkRole::Leading {
                    self.leader = Some(server);
                }
                if faulty {
                    let role = told(*role).map(|role| (ms(seen.at - self.fault), server, role));
                    self.story.roles.extend(role);
                }
            }
            Observation::Down { .. } => {
                let Some(&server) = self.servers.get(&seen.process) else { return };
                self.serving[server] = None;
                if faulty {
                    self.story.roles.push((ms(seen.at - self.fault), server, Role::Down));
                }
            }
            Observation::ZkSessionExpiring { .. } if faulty => self.story.expiring.push(ms(seen.at - self.fault)),
            Observation::ZkApply { txn, .. } => {
                if let TxnBody::Create { path, .. } = &txn.body {
                    self.committed.insert(path.clone());
                }
            }
            Observation::ZkClient { state, .. } => {
                let Some(client) = self.clients.get_mut(&seen.process) else { return };
                client.session.expired += u64::from(*state == ZkClientState::Expired);
                if faulty && *state == ZkClientState::Disconnected {
                    client.session.disconnected.get_or_insert(ms(seen.at - self.fault));
                }
            }
            Observation::ZkWrite { number, took, error, .. } => {
                if let Some(client) = self.clients.get_mut(&seen.process) {
                    client.wrote(seen.at, self.heal_recorded, (*number, *took), *error);
                }
            }
            _ => {}
        }
    }

    /// Whether the run can end: all has been well for long enough, or has not become so in time.
    fn is_over(&mut self, now: Instant) -> bool {
        if now < self.heal + Span::from_secs(1) {
            return false;
        }
        let leading = self.serving.iter().filter(|role| **role == Some(ZkRole::Leading)).count();
        let serving = self.serving.iter().all(|role| matches!(role, Some(ZkRole::Leading | ZkRole::Following)));
        let writing =
            self.clients.values().all(|client| client.last_began > self.heal && now.since(client.last_began) < LATELY);
        if self.well_since.is_none() && serving && leading == 1 && writing {
            self.well_since = Some(now);
        }
        now >= self.well_since.map_or(self.heal + PATIENCE, |since| since + AFTERWARDS)
    }

    fn finish(mut self) -> Story {
        self.story.recovered = self.well_since.is_some();
        debug_assert!(!self.kills || self.story.roles.iter().any(|(.., role)| *role == Role::Down));
        for client in self.clients.into_values() {
            let (side, session) = client.finish(&self.committed, self.story.recovered);
            self.story.sessions.insert(side, session);
        }
        self.story
    }
}

impl Client {
    fn new(name: &str, side: Side) -> Self {
        Self {
            name: name.into(),
            side,
            last_ok: None,
            last_began: Instant::ZERO,
            acknowledged: Vec::new(),
            unknown: Vec::new(),
            session: SessionStory::default(),
        }
    }

    fn wrote(&mut self, at: Instant, heal: Instant, (number, took): (u64, Span), error: Option<ZkError>) {
        match error {
            None => {
                self.acknowledged.push(number);
                self.last_began = Instant::ZERO + (at - (Instant::ZERO + took));
                if let Some(last) = self.last_ok.replace(at) {
                    let gap = ms(at - last);
                    self.session.longest_gap = Some(self.session.longest_gap.map_or(gap, |longest| longest.max(gap)));
                }
                if at >= heal {
                    self.session.first_contact.get_or_insert(ms(at - heal));
                }
            }
            Some(ZkError::ConnectionLoss) => self.unknown.push(number),
            Some(_) => {}
        }
    }

    /// What it met, given what the ensemble holds. An ensemble that does not serve cannot be asked.
    fn finish(mut self, committed: &BTreeSet<Arc<str>>, recovered: bool) -> (Side, SessionStory) {
        let holds = |number: &&u64| committed.contains(&write_path(&self.name, **number));
        self.session.unknown = self.unknown.len() as u64;
        if recovered {
            self.session.unknown_applied = Some(self.unknown.iter().filter(holds).count() as u64);
            let lost = self.acknowledged.iter().filter(|number| !holds(number)).count();
            self.session.lost = Some(lost as u64);
        }
        (self.side, self.session)
    }
}

/// What the lab would have logged: a leader says that it was elected and that it serves, not what lies between.
fn told(role: ZkRole) -> Option<Role> {
    match role {
        ZkRole::Looking => Some(Role::Looking),
        ZkRole::Electing => Some(Role::Elected),
        ZkRole::Synchronizing => None,
        ZkRole::Leading => Some(Role::Leading),
        ZkRole::Following => Some(Role::Following),
    }
}

fn ms(span: Span) -> f64 {
    span.as_ns() as f64 / 1e6
}

#[test]
fn only_what_falls_with_a_defect_of_the_release_is_no_error() {
    let retained = Defects::NONE.with(models::defect::Defect::SyncThreadSurvivesShutdown);
    assert!(is_expected("Z-HONEST-ZXID", retained) && !is_expected("Z-HONEST-ZXID", Defects::NONE));
    assert!(!is_expected("Z-COMMITTED-MONOTONIC", retained));
    assert!(is_expected("L-ZK-QUORUM", Defects::NONE));
}
