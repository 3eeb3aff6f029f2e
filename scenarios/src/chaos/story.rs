//! Faults that belong together: one story each, with times, parts and severities left to chance.
//!
//! Protocols fail where a recovery is disturbed, and independent faults disturb one in the right moment once in ten thousand
//! schedules: whoever comes back has to come back to the line that is bad just then. What administrators tell of outages has
//! such shapes: a broker is restarted because its line was bad, leaders are moved back while the cause still lasts, an
//! operator deletes `/controller` because the controller is slow. A story says who meets whom; all else is drawn widely.

use models::id::{BrokerId, HostId, Sid};
use models::random::Random;
use models::time::Span;

use super::aim::Aim;
use super::draw::{MOMENT, log_span, unsynced};
use crate::fault::{Fault, HostSelector, Place, ProcessSelector, Route};
use crate::netem::{Correlated, Loss, Netem};
use crate::scenario::Scenario;
use crate::schedule::Planned;
use crate::units::Share;

/// A way that is too slow for work to be done at once, and fast enough for a session to live.
const SLOW: (Span, Span) = (Span::from_ms(51), Span::from_secs(3));
/// What a way that is not slow is counted as.
const LAN: Span = Span::from_ms(50);
/// A way between brokers may be slower still: a fetch waits for its answer for half a minute.
const SLOW_FETCH: (Span, Span) = (Span::from_ms(300), Span::from_secs(8));
/// Bits a second of a line that is nearly gone.
const NARROW: (u64, u64) = (16_000, 1_000_000);
/// Percent of packets lost there.
const LOSS: (u64, u64) = (10, 60);
/// How long a line stays bad.
const BAD: (Span, Span) = (Span::from_secs(3), Span::from_secs(45));
/// How soon one part of a story follows another: from within a round trip to after a time-out.
const SOON: (Span, Span) = (Span::from_ms(20), Span::from_secs(20));
/// How long answers alone are lost.
const MUTE: (Span, Span) = (Span::from_ms(100), Span::from_secs(8));
/// How late a disk answers that is busy with a recovery.
const DISK: (Span, Span) = (Span::from_secs(1), Span::from_secs(30));
/// For how long it is busy when others have gone.
const TAKING_OVER: (Span, Span) = (Span::from_ms(200), Span::from_secs(30));
/// How late a disk answers that has to catch up: a group commit takes the longer, the more others wait for it.
const BUSY: (Span, Span) = (Span::from_ms(50), Span::from_secs(3));
/// When something happens again to who is back: while it catches up, before or after it leads again.
const AFTER_RETURN: (Span, Span) = (Span::from_ms(500), Span::from_secs(25));
/// How late a story's first outage begins.
const FIRST_OUTAGE: Span = Span::from_secs(10);
/// How long a ZooKeeper server is away: most ensembles restart one within seconds.
const AWAY: (Span, Span) = (Span::from_ms(500), Span::from_secs(20));

/// A story being told.
pub(super) struct Story<'a> {
    scenario: &'a Scenario,
    aim: &'a Aim<'a>,
    random: &'a mut Random,
    /// When it begins, since the end of the warm-up.
    begin: Span,
    faults: Vec<Planned>,
}

impl<'a> Story<'a> {
    /// One that begins in the first half of the phase, at half of `at`: what happens last is what the rest is told for, and
    /// has to fit in.
    pub(super) fn new(scenario: &'a Scenario, aim: &'a Aim<'a>, at: Span, random: &'a mut Random) -> Self {
        Self { scenario, aim, random, begin: at / 2, faults: Vec::new() }
    }

    /// The faults told, none of which outlasts the phase.
    fn told(self) -> Vec<Planned> {
        self.faults
    }

    /// A fault, at a time after the beginning.
    fn add(&mut self, after: Span, duration: Span, fault: Fault) {
        let phase = self.scenario.phases.faults;
        let at = Span::from_ms((self.begin + after).as_ms()).min(phase - MOMENT);
        let duration = Span::from_ms(duration.as_ms()).max(MOMENT).min(phase - at);
        let fault = match fault {
            Fault::Restart { process, grace, delay } => Fault::Restart { process, grace: grace.min(duration), delay },
            fault => fault,
        };
        self.faults.push(Planned::new(at, duration, fault));
    }

    /// The path from the controller to ZooKeeper is slow, its work piles up, and somebody makes another broker controller.
    pub(super) fn ousted_controller(mut self) -> Vec<Planned> {
        let controller = ProcessSelector::Controller;
        let length = self.log(BAD);
        let route = self.to_zookeeper(controller);
        self.slow(Span::ZERO, length, route, SLOW);
        for _ in 0..self.random.within(1, 3) {
            let (after, who) = (self.within(length / 2), self.a_broker());
            self.outage(after, who);
        }
        for _ in 0..self.random.within(1, 3) {
            let after = self.within(length);
            match self.random.weighted(&[4, 1, 1]) {
                0 => self.add(after, MOMENT, Fault::DeleteController),
                1 => {
                    let length = self.session_share(60, 200);
                    self.add(after, length, Fault::Pause { process: controller });
                }
                _ => self.add(after, MOMENT, Fault::AuthFailed { process: controller }),
            }
        }
        self.told()
    }

    /// A broker loses its session with ZooKeeper, and while it opens another the path is slow, or broken again and again, or
    /// brings no answers.
    pub(super) fn bad_return(mut self) -> Vec<Planned> {
        let broker = self.aim.broker(self.random);
        // The role may be somebody else's before the story is over.
        let broker = if broker == ProcessSelector::Controller { self.a_broker() } else { broker };
        let route = self.to_zookeeper(broker);
        let away = self.session_share(80, 220);
        self.add(Span::ZERO, away, Fault::cut(route.clone()));
        let delay = if self.random.chance(3, 4) { self.log(SLOW) } else { LAN };
        if delay > LAN {
            let (from, length) = (away.scaled(self.random.within(50, 100), 100), self.log(BAD));
            self.add(from, length, Fault::Impair { route: route.clone(), netem: Netem::delay(delay) });
        }
        let answers = Route { from: route.to.clone(), to: route.from.clone(), both_ways: false, ..Route::default() };
        let after = away + self.log(SOON);
        // What is under way changes with each of a few round trips.
        let sound = delay.scaled(self.random.log_uniform(200, 1_500), 100);
        match self.random.below(3) {
            0 => {
                for _ in 0..self.random.within(1, 3) {
                    let (after, length) = (away + self.log(SOON), self.log(MUTE));
                    self.add(after, length, Fault::cut(answers.clone()));
                }
            }
            1 => {
                let (length, down) = (self.log(BAD), self.log(MUTE));
                self.add(after, length, Fault::Flap { route: answers, down, up: sound });
            }
            _ => {
                for number in 0..self.random.within(1, 12) {
                    self.add(after + sound * number, MOMENT, Fault::ResetConnections(route.clone()));
                }
            }
        }
        self.told()
    }

    /// A broker goes, comes back and goes again, and leaderships with it; meanwhile it and another one hardly reach each
    /// other, mostly from soon after its first return on: its leaderships have just been given back, or are about to.
    pub(super) fn see_saw(mut self) -> Vec<Planned> {
        let (first, second) = self.two_brokers();
        let begin = self.within(FIRST_OUTAGE);
        let slow = self.random.chance(1, 2);
        if slow {
            // Who takes over reads what it has not looked at for long, perhaps from storage that all the others share, and is
            // not done when the leaderships go back.
            let length = self.log(TAKING_OVER);
            let after = begin - self.within(length.min(begin));
            let (latency, all) = (self.log(DISK), self.random.chance(2, 3));
            for id in self.ids() {
                let other = ProcessSelector::Broker(id);
                if other == second || all && other != first {
                    let host = HostSelector::Of(other);
                    self.add(after, length, Fault::SlowDisk { host, read: latency, sync: latency });
                }
            }
        }
        let back = begin + self.outage(begin, first);
        let bad = if self.random.chance(2, 3) { back + self.log(AFTER_RETURN) } else { self.within(back) };
        // What is led meanwhile goes back only if the first one catches up.
        if !slow || self.random.chance(1, 3) {
            self.bad_line(bad, first, second);
        }
        let mut after = bad.max(back) + self.log(AFTER_RETURN);
        for _ in 0..self.random.within(1, 2) {
            let who = if self.random.chance(3, 4) { first } else { second };
            // Clients have sessions as well, mostly longer ones than brokers.
            let length = if slow { self.session_share(50, 500) } else { self.session_share(10, 200) };
            self.outage_of(after, length, who);
            after = after + length + self.log(AFTER_RETURN);
        }
        self.told()
    }

    /// The way between two brokers is cut or slow, both ways or one; seldom it is sound.
    fn bad_line(&mut self, after: Span, first: ProcessSelector, second: ProcessSelector) {
        let route = match self.random.weighted(&[4, 1, 1]) {
            0 => Route::between(host_of(first), host_of(second)),
            1 => Route::one_way(host_of(first), host_of(second)),
            _ => Route::one_way(host_of(second), host_of(first)),
        };
        let length = self.log(BAD);
        match self.random.weighted(&[3, 3, 1]) {
            0 => self.add(after, length, Fault::cut(route)),
            1 => self.slow(after, length, route, SLOW_FETCH),
            _ => {}
        }
    }

    /// A broker hears of no election, since other brokers do not reach it, but keeps its session; leaders change meanwhile.
    pub(super) fn deaf_broker(mut self) -> Vec<Planned> {
        let (leader, deaf) = self.two_brokers();
        let all = self.scenario.cluster.kafka.brokers.iter().map(|broker| ProcessSelector::Broker(broker.id));
        let others: Vec<Place> = all.filter(|other| *other != deaf && *other != leader).map(host_of).collect();
        let length = self.log((Span::from_secs(10), Span::from_secs(60)));
        if !others.is_empty() {
            let route = Route { from: vec![host_of(deaf)], to: others.clone(), both_ways: true, ..Route::default() };
            self.add(Span::ZERO, length, Fault::cut(route));
        }
        if self.random.chance(2, 3) {
            let part = length.scaled(self.random.within(20, 100), 100);
            self.add(Span::ZERO, part, Fault::cut(Route::between(host_of(deaf), host_of(leader))));
        }
        if self.random.chance(1, 2) && !others.is_empty() {
            // It has what the others lack.
            let other = *self.random.pick(&others);
            let (length, early) = (self.log(MUTE), self.begin.min(Span::from_secs(4)));
            self.begin = self.begin - early;
            let before = self.within(early);
            self.add(before, length, Fault::cut(Route::between(host_of(leader), other)));
            self.begin += early;
        }
        self.outages(leader, deaf);
        self.told()
    }

    /// A ZooKeeper server was away, and while it catches up its line is narrow, lossy or slow, and its connections break.
    pub(super) fn rough_sync(mut self) -> Vec<Planned> {
        let servers = &self.scenario.cluster.zookeeper.servers;
        let hosts: Vec<(Sid, HostId)> = servers.iter().map(|server| (server.sid, server.host)).collect();
        let (sid, host) = *self.random.pick(&hosts);
        let place = |host: HostId| Place::Host(HostSelector::Host(host));
        let to: Vec<Place> = hosts.iter().filter(|(other, _)| *other != sid).map(|(_, host)| place(*host)).collect();
        let route = Route { from: vec![place(host)], to, both_ways: true, ..Route::default() };
        let (process, away) = (ProcessSelector::ZooKeeper(sid), self.log(AWAY));
        match self.random.weighted(&[2, 2, 1]) {
            0 => self.add(Span::ZERO, away, Fault::Kill { process }),
            1 => self.add(Span::ZERO, away, Fault::cut(route.clone())),
            _ => self.add(Span::ZERO, away, Fault::Pause { process }),
        }
        let netem = match self.random.weighted(&[3, 2, 2]) {
            0 => Netem { rate: Some(self.random.log_uniform(NARROW.0, NARROW.1) / 1_000 * 1_000), ..Netem::default() },
            1 => {
                let share = Share::from_ppm(self.random.within(LOSS.0, LOSS.1) as u32 * 10_000);
                Netem { loss: Loss::Random(Correlated::independent(share)), ..Netem::default() }
            }
            _ => Netem::delay(log_span(SLOW, self.random)),
        };
        let length = self.log(BAD);
        let bad_from = away.scaled(self.random.within(0, 100), 100);
        self.add(bad_from, length, Fault::Impair { route: route.clone(), netem });
        for _ in 0..self.random.within(1, 6) {
            let after = away + self.log(SOON);
            match self.random.weighted(&[4, 1, 1]) {
                0 => self.add(after, MOMENT, Fault::ResetConnections(route.clone())),
                1 => self.add(after, MOMENT, Fault::Kill { process }),
                _ => self.add(after, MOMENT, Fault::Kill { process: ProcessSelector::ZooKeeperLeader }),
            }
        }
        self.told()
    }

    /// Somebody was away, and its host loses power while it catches up, which takes long since its disk is slow; perhaps others
    /// whose disks have as much to do lose it soon after.
    pub(super) fn dark_return(mut self) -> Vec<Planned> {
        let servers =
            self.scenario.cluster.zookeeper.servers.iter().map(|server| ProcessSelector::ZooKeeper(server.sid));
        let brokers = self.ids().into_iter().map(ProcessSelector::Broker).collect();
        let mut alike: Vec<ProcessSelector> = if self.random.chance(1, 2) { servers.collect() } else { brokers };
        if alike.is_empty() {
            alike.push(ProcessSelector::ZooKeeperLeader);
        }
        self.random.shuffle(&mut alike);
        let process = alike[0];
        let away = self.log(AWAY);
        match self.random.weighted(&[3, 1, 1]) {
            0 => self.add(Span::ZERO, away, Fault::Kill { process }),
            1 => self.dark(Span::ZERO, away, process),
            _ => {
                let to = alike[1..].iter().copied().map(host_of).collect();
                let route = Route { from: vec![host_of(process)], to, both_ways: true, ..Route::default() };
                match alike.len() {
                    1 => self.add(Span::ZERO, away, Fault::Pause { process }),
                    _ => self.add(Span::ZERO, away, Fault::cut(route)),
                }
            }
        }
        let (latency, length) = (self.log(BUSY), self.log(BAD));
        for busy in &alike[..self.random.within(1, alike.len() as u64) as usize] {
            let host = HostSelector::Of(*busy);
            let begin = away.scaled(self.random.within(0, 100), 100);
            self.add(begin, length, Fault::SlowDisk { host, read: Span::ZERO, sync: latency });
        }
        let dark = away + self.log(SOON);
        let down = self.log(AWAY);
        self.dark(dark, down, process);
        if let Some(other) = alike.get(1).copied().filter(|_| self.random.chance(1, 2)) {
            let after = dark + self.log(SOON);
            self.dark(after, down, other);
        }
        self.told()
    }

    /// A host loses power.
    fn dark(&mut self, after: Span, length: Span, process: ProcessSelector) {
        let (host, unsynced) = (HostSelector::Of(process), unsynced(self.random));
        self.add(after, length, Fault::HostCrash { host, unsynced });
    }

    /// Two or three outages one after the other, mostly of `first`, each perhaps just when its leaderships have come back.
    fn outages(&mut self, first: ProcessSelector, second: ProcessSelector) {
        let mut after = self.within(FIRST_OUTAGE);
        for _ in 0..self.random.within(2, 3) {
            let who = if self.random.chance(3, 4) { first } else { second };
            let length = self.outage(after, who);
            after += length + self.log(AFTER_RETURN);
        }
    }

    /// Something after which others lead; how long it lasts.
    fn outage(&mut self, after: Span, process: ProcessSelector) -> Span {
        let length = self.session_share(10, 200);
        self.outage_of(after, length, process);
        length
    }

    /// Something of that length after which others lead.
    fn outage_of(&mut self, after: Span, length: Span, process: ProcessSelector) {
        let fault = match self.random.weighted(&[4, 7, 2, 2, 2]) {
            0 => Fault::Kill { process },
            1 => Fault::Restart { process, grace: length, delay: Span::ZERO },
            2 => Fault::Pause { process },
            3 => Fault::cut(self.to_zookeeper(process)),
            _ => return self.dark(after, length, process),
        };
        self.add(after, length, fault);
    }

    fn slow(&mut self, after: Span, length: Span, route: Route, delay: (Span, Span)) {
        let netem = Netem::delay(log_span(delay, self.random));
        self.add(after, length, Fault::Impair { route, netem });
    }

    /// A broker's host and those of all ZooKeeper servers, both ways.
    fn to_zookeeper(&self, broker: ProcessSelector) -> Route {
        let servers = self.scenario.cluster.zookeeper.servers.iter();
        let to = servers.map(|server| Place::Host(HostSelector::Host(server.host))).collect();
        Route { from: vec![host_of(broker)], to, both_ways: true, ..Route::default() }
    }

    fn ids(&self) -> Vec<BrokerId> {
        self.scenario.cluster.kafka.brokers.iter().map(|broker| broker.id).collect()
    }

    fn a_broker(&mut self) -> ProcessSelector {
        let ids = self.ids();
        ProcessSelector::Broker(*self.random.pick(&ids))
    }

    /// Two different ones; where there is but one, the same twice.
    fn two_brokers(&mut self) -> (ProcessSelector, ProcessSelector) {
        let mut ids = self.ids();
        self.random.shuffle(&mut ids);
        (ProcessSelector::Broker(ids[0]), ProcessSelector::Broker(ids[ids.len().min(2) - 1]))
    }

    /// A time of so many percent of a broker's session timeout, log-uniform: an outage matters most that is about as long.
    fn session_share(&mut self, low: u64, high: u64) -> Span {
        let session =
            self.scenario.cluster.kafka.brokers.first().map(|broker| broker.config.zookeeper_session_timeout());
        let percent = self.random.log_uniform(low, high);
        session.unwrap_or(Span::from_secs(18)).scaled(percent, 100)
    }

    fn within(&mut self, longest: Span) -> Span {
        self.random.span(Span::ZERO, longest)
    }

    fn log(&mut self, range: (Span, Span)) -> Span {
        log_span(range, self.random)
    }
}

fn host_of(process: ProcessSelector) -> Place {
    Place::Host(HostSelector::Of(process))
}
