//! Every law fires on a planted history and is silent on a sound one.

mod clients;
mod gates;
mod groups;
pub(super) mod history;
mod liveness;
mod metadata;
mod replicas;
mod store;
mod zookeeper;

use history::{History, P, create, facts};

use super::{Facts, Law, LawReport, Outcome};
use crate::id::{SessionId, Zxid};
use crate::kafka::config::Acks;
use crate::observation::{Observation, TruncateReason, ZkRole};

/// What is expected of a history: the first law that it breaks, or none, and the permits it needs.
pub(super) struct Expect {
    pub(super) broken: Option<Law>,
    pub(super) permitted: &'static [(Law, &'static str)],
}

/// Runs `story` on a started cluster and compares.
pub(super) fn check(name: &str, facts: Facts, story: impl FnOnce(&mut History), expect: &Expect) {
    assert_eq!(complaint(name, facts, story, expect), None);
}

/// What is not as expected after `story` on a started cluster.
fn complaint(name: &str, facts: Facts, story: impl FnOnce(&mut History), expect: &Expect) -> Option<String> {
    let mut history = History::started(facts);
    story(&mut history);
    let reports = history.judge.finish(history.now());
    let first = history.judge.first_violation();
    let broken: Vec<Law> = reports.iter().filter(|r| matches!(r.outcome, Outcome::Broken(_))).map(|r| r.law).collect();
    let permitted: Vec<(Law, &[String])> =
        reports.iter().filter(|report| report.permitted > 0).map(|report| (report.law, &report.notes[..])).collect();
    let as_broken = match expect.broken {
        Some(law) => broken.contains(&law) && first.is_none_or(|first| first.law == law),
        None => broken.is_empty(),
    };
    let is_permitted = |((law, notes), (expected, reason)): (&(Law, &[String]), &(Law, &str))| {
        law == expected && notes.len() == 1 && notes[0].contains(reason)
    };
    let as_permitted =
        permitted.len() == expect.permitted.len() && permitted.iter().zip(expect.permitted).all(is_permitted);
    let wanted = expect.broken.map_or("none", Law::name);
    (!as_broken || !as_permitted)
        .then(|| format!("{name}: {wanted} expected, broken {broken:?}, first {first:?}, permitted {permitted:?}"))
}

/// What they find is written down and never a breach.
const REPORTED: &[Law] = &[Law::RealtimeLag, Law::ConsumeCount, Law::ViewStaleness, Law::OverlapBound];

type Story = fn(&mut History);

/// A law with a history that breaks it and one that comes as close as is allowed.
type Planted = (Law, Story, Story);

/// Safety laws; more stand in the modules, by what they are about.
const STORIES: &[Planted] = &[
    (
        Law::LostWrite,
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2, 3]);
            h.poll(0, &[1]);
            h.see(7, Observation::PositionReset { partition: P, from: 1, to: 2 });
            h.poll(2, &[3]);
        },
        // What was acknowledged beyond the last read is not lost yet.
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2, 3]);
            h.poll(0, &[1, 2]);
        },
    ),
    (
        Law::Unseen,
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2]);
            h.pass(31);
            h.poll(0, &[1]);
            h.end_offset(1);
        },
        // Acknowledged while the question for the end was under way.
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2]);
            h.pass(29);
            h.poll(0, &[1]);
            h.end_offset(1);
        },
    ),
    (
        Law::Duplicate,
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2]);
            h.poll(0, &[1, 2, 1]);
        },
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2]);
            h.poll(0, &[1, 2]);
            h.see(7, Observation::Assign { partitions: [P].into() });
            h.poll(0, &[1, 2]);
        },
    ),
    (
        Law::InconsistentOffsets,
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2]);
            h.send(3);
            h.poll(0, &[1, 3]);
        },
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2]);
            h.write(&[1, 2, 3], 2, 0, &[3]);
            h.poll(0, &[1, 2, 3]);
        },
    ),
    (
        Law::Phantom,
        |h| h.poll(0, &[1]),
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1]);
            h.poll(0, &[1]);
        },
    ),
    (
        Law::LeaderInIsr,
        |h| h.state(Some(1), 1, &[2, 3]),
        |h| {
            h.state(None, 1, &[2, 3]);
            h.state(Some(2), 2, &[2, 3]);
        },
    ),
    (
        Law::OneLeaderPerEpoch,
        |h| h.begin(2, 0),
        |h| {
            h.state(Some(2), 1, &[1, 2, 3]);
            h.begin(2, 1);
            h.begin(2, 1);
        },
    ),
    (
        Law::LogMatch,
        |h| {
            h.state(Some(1), 0, &[1, 2]);
            h.write(&[1, 2], 0, 0, &[1, 2]);
            h.append(3, 0, 0, &[1]);
            h.append(3, 1, 7, &[9]);
            h.high_watermark(&[1, 3], 0, 2);
        },
        // A tail above the high watermark may differ.
        |h| {
            h.state(Some(1), 0, &[1, 2]);
            h.write(&[1, 2], 0, 0, &[1, 2]);
            h.append(3, 0, 0, &[1]);
            h.append(3, 1, 7, &[9]);
            h.reports(3, 0, 1);
        },
    ),
    (
        Law::LeaderComplete,
        |h| {
            h.state(Some(1), 0, &[1, 2]);
            h.write(&[1, 2], 0, 0, &[1, 2]);
            // Not registered again yet, hence no candidate, but elected all the same.
            h.down(3, false);
            h.state(Some(1), 0, &[1, 2, 3]);
            h.broker(3, Observation::Up);
            h.load(3, 0);
            h.state(Some(3), 1, &[3]);
            h.begin(3, 1);
        },
        // A tail that was not committed may be missing.
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2]);
            h.append(1, 2, 0, &[3]);
            h.state(Some(2), 1, &[2, 3]);
            h.begin(2, 1);
            h.append(2, 2, 1, &[4]);
            h.append(3, 2, 1, &[4]);
            h.truncate(1, (3, 2), 1, TruncateReason::DivergingEpoch);
            h.append(1, 2, 1, &[4]);
            h.high_watermark(&[2, 1], 1, 3);
        },
    ),
    (
        Law::CandidateComplete,
        |h| {
            h.state(Some(1), 0, &[1, 2]);
            h.write(&[1, 2], 0, 0, &[1, 2]);
            h.append(3, 0, 0, &[1]);
            h.state(Some(1), 0, &[1, 2, 3]);
        },
        // Someone else's registration does not make a candidate.
        |h| {
            h.state(Some(1), 0, &[1, 2]);
            h.write(&[1, 2], 0, 0, &[1, 2]);
            h.append(3, 0, 0, &[1]);
            h.down(3, false);
            h.broker(3, Observation::Up);
            h.load(3, 1);
            h.state(Some(1), 0, &[1, 2, 3]);
        },
    ),
    (
        Law::CandidateComplete,
        // A controller elected after the restart lets a place in the ISR stand that an earlier life had earned.
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2]);
            h.down(2, true);
            h.broker(2, Observation::Up);
            h.load(2, 1);
            h.register(2);
            h.take_over(3, 2);
        },
        // Until then it is the earlier life's, which is over; the new controller removes it.
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2]);
            h.down(2, true);
            h.elect_controller(3, 2);
            h.broker(2, Observation::Up);
            h.load(2, 1);
            h.register(2);
            h.state(Some(1), 1, &[1, 3]);
            h.broker(3, Observation::ControllerReady { epoch: 2 });
        },
    ),
    (Law::AckRule, |h| h.acknowledge(Acks::All, 4, 2), |h| h.acknowledge(Acks::All, 5, 2)),
    (Law::AckRule, |h| h.acknowledge(Acks::All, 5, 1), |h| h.acknowledge(Acks::Leader, 0, 1)),
    (
        Law::TruncBelowHw,
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2]);
            h.truncate(3, (2, 1), 0, TruncateReason::DivergingEpoch);
        },
        // Records of a deposed leader that lie below TrueHW but are not the committed ones.
        |h| {
            h.append(1, 0, 0, &[1, 2]);
            h.state(Some(2), 1, &[2, 3]);
            h.begin(2, 1);
            h.write(&[2, 3], 0, 1, &[3, 4]);
            h.truncate(1, (2, 0), 1, TruncateReason::DivergingEpoch);
        },
    ),
    (
        // Below its own high watermark, though another log is committed there.
        Law::TruncBelowHw,
        |h| {
            h.append(3, 0, 0, &[1]);
            h.reports(3, 0, 1);
            h.truncate(3, (1, 0), 0, TruncateReason::EpochQuery);
        },
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2]);
            h.append(1, 2, 0, &[3]);
            h.append(3, 2, 0, &[3]);
            h.truncate(3, (3, 2), 0, TruncateReason::OutOfRange);
        },
    ),
    (
        Law::OnePerEpoch,
        |h| h.elect_controller(2, 1),
        |h| {
            h.broker(1, Observation::ControllerBegin { epoch: 1 });
            h.elect_controller(2, 2);
        },
    ),
    (
        Law::ZombieNoEffect,
        |h| {
            h.elect_controller(2, 2);
            let zxid = h.transact(101, create("/x", "", false));
            h.effect(1, 1, zxid);
        },
        // Accepted before, reported after.
        |h| {
            let zxid = h.transact(101, create("/x", "", false));
            h.elect_controller(2, 2);
            h.effect(1, 1, zxid);
            h.effect(2, 2, Zxid::new(1, 900));
        },
    ),
    (Law::ZombieNoEffect, |h| h.request((1, 2), (7, 7), true), |h| h.request((1, 2), (7, 7), false)),
    (Law::StaleRequestRejected, |h| h.request((1, 1), (6, 7), true), |h| h.request((1, 1), (8, 7), true)),
    (Law::StaleRequestRejected, |h| h.request((1, 1), (0, 7), true), |h| h.request((2, 1), (-1, 7), true)),
    (
        Law::Prefix,
        |h| {
            let txn = h.propose(101, create("/x", "", false));
            h.commit(&txn);
            h.apply(3, &txn);
            h.see(1, Observation::ZkApply { txn, digest: 9, tree: None });
        },
        // A server that starts again applies an uncommitted tail, which the next leader does not hold.
        |h| {
            let last = h.transact(101, create("/x", "", false));
            let tail = h.propose(101, create("/dead", "", false));
            h.apply(1, &tail);
            h.zk_leader(3, 2, last);
            let next = h.propose(101, create("/y", "", false));
            h.commit(&next);
            h.apply(3, &next);
            h.see(1, Observation::ZkApply { txn: tail, digest: 9, tree: None });
        },
    ),
    (
        Law::LeaderCompleteness,
        |h| {
            let last = h.transact(101, create("/x", "", false));
            h.role(1, ZkRole::Leading, 2, Zxid(last.0 - 1));
        },
        // An old leader that is established late has nothing to do with later epochs.
        |h| {
            let last = h.transact(101, create("/x", "", false));
            h.zk_leader(3, 4, last);
            h.transact(101, create("/y", "", false));
            h.role(1, ZkRole::Leading, 3, last);
        },
    ),
    (
        Law::EphemeralGone,
        |h| {
            let (session, zxid) = (SessionId(1), Zxid::new(1, 9));
            h.see(0, Observation::ZkSessionClosed { session, zxid, left: 1 });
        },
        |h| {
            let (session, zxid) = (SessionId(1), Zxid::new(1, 9));
            h.see(0, Observation::ZkSessionClosed { session, zxid, left: 0 });
        },
    ),
    (
        Law::EphemeralGone,
        |h| {
            h.expire(3);
            h.transact(3, create("/x", "", true));
        },
        |h| {
            h.expire(3);
            h.transact(4, create("/y", "", true));
        },
    ),
];

#[test]
fn each_safety_law_fires_on_its_breach_and_only_there() {
    let stories = [STORIES, replicas::STORIES, clients::STORIES, metadata::STORIES, zookeeper::STORIES].concat();
    let complaints: Vec<String> = stories
        .iter()
        .flat_map(|(law, bad, good)| {
            let fires = Expect { broken: Some(*law), permitted: &[] };
            let silent = Expect { broken: None, permitted: &[] };
            let planted = complaint(&format!("{law} planted"), facts(), bad, &fires);
            [planted, complaint(&format!("{law} sound"), facts(), good, &silent)]
        })
        .flatten()
        .collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    let elsewhere = [liveness::planted().as_slice(), REPORTED, groups::LIVENESS].concat();
    for law in Law::ALL.iter().filter(|law| !elsewhere.contains(law)) {
        let stories = || stories.iter().chain(groups::STORIES);
        assert!(stories().any(|(planted, ..)| planted == law), "{law} has no planted history");
    }
}

#[test]
fn each_law_says_what_it_is() {
    for law in Law::ALL {
        assert!(!law.says().is_empty() && !law.source().is_empty(), "{law}");
    }
}

#[test]
fn what_is_never_a_breach_is_written_down() {
    let mut history = History::started(facts());
    history.write(&[1, 2, 3], 0, 0, &[1]);
    history.poll(0, &[1]);
    history.write(&[1, 2, 3], 1, 0, &[2]);
    history.pass(4);
    history.poll(1, &[2]);
    history.see(7, Observation::Assign { partitions: [P].into() });
    history.poll(0, &[1, 2]);
    history.store(Some(1), 0, &[1, 2]);
    history.pass(5);
    (1..=3).for_each(|broker| history.serve(broker, Some(1), 0, &[1, 2]));
    let reports = history.judge.finish(history.now());
    let words = [
        (Law::RealtimeLag, "at most 4.001 s after"),
        (Law::ConsumeCount, "4 records were read, 2 of them again"),
        (Law::ViewStaleness, "up to 5.00"),
    ];
    for (law, words) in words {
        let LawReport { notes, outcome, .. } = &reports[law as usize];
        assert!(notes.len() == 1 && notes[0].contains(words) && *outcome == Outcome::Held, "{law}: {notes:?}");
    }
}

#[test]
fn a_law_without_facts_does_not_hold() {
    let history = History::started(facts());
    let reports = history.judge.finish(history.now());
    let outcome = |law: Law| reports[law as usize].outcome.clone();
    assert_eq!(outcome(Law::TruncBelowHw), Outcome::NotExercised);
    assert!(matches!(outcome(Law::Unseen), Outcome::NotJudged(_)));
    assert!(matches!(outcome(Law::IsrFull), Outcome::NotJudged(_)));
    assert_eq!(outcome(Law::LeaderInIsr), Outcome::Held);
    assert_eq!(P, history.judge.facts().partitions[0].partition);
}
