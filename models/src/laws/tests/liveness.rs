//! Liveness conditions are met by a healed cluster; each is unmet alone when its own part is missing.

use super::Story;
use super::history::{History, facts};
use crate::id::{FaultId, Zxid};
use crate::kafka::config::Acks;
use crate::laws::{Facts, Law, Outcome};
use crate::observation::{FaultScope, Observation, TruncateReason, ZkRole};
use crate::time::Span;

/// Each liveness law with a story that leaves it unmet after the quiet point, and words of its wait.
const STORIES: &[(Law, Story, &str)] = &[
    (Law::OneController, |h| h.broker(1, Observation::ActiveController { active: false }), "waits for an active"),
    (Law::OneController, |h| h.broker(2, Observation::ActiveController { active: true }), "all hold themselves"),
    (
        Law::OneController,
        |h| {
            h.broker(1, Observation::ActiveController { active: false });
            h.broker(2, Observation::ActiveController { active: true });
        },
        "names broker 1",
    ),
    (
        Law::OneController,
        |h| {
            // It resigned, and took its own id in `/controller` for an election.
            h.broker(1, Observation::ActiveController { active: false });
            h.broker(1, Observation::ActiveController { active: true });
        },
        "was not elected",
    ),
    (
        Law::OneController,
        |h| {
            // Another one than the one that has acted.
            h.broker(1, Observation::ActiveController { active: false });
            h.elect_controller(2, 2);
        },
        "has not acted",
    ),
    (Law::AllRegistered, |h| h.expire(2), "its node is missing"),
    (
        Law::AllRegistered,
        |h| {
            h.down(3, false);
            h.broker(3, Observation::Up);
            h.serve(3, Some(1), 0, &[1, 2, 3]);
        },
        "has not been told so",
    ),
    (Law::IsrFull, |h| h.state(Some(1), 0, &[1, 2]), "topic-0-0 (and 0 more)"),
    (Law::MetadataConverges, |h| h.store(Some(1), 0, &[1, 2, 3]), "broker 1 waits to hear of topic-0-0"),
    (
        Law::MetadataConverges,
        |h| {
            h.store(Some(1), 0, &[1, 2, 3]);
            (1..=3).for_each(|broker| h.serve(broker, Some(1), 0, &[1, 2]));
        },
        "stored is version",
    ),
    (
        Law::OneActingLeader,
        |h| {
            h.begin(2, 1);
            h.state(Some(2), 1, &[1, 2, 3]);
        },
        "broker 1 has yet to hear",
    ),
    (Law::NoOffline, |h| h.state(None, 1, &[1, 2, 3]), "topic-0-0 waits for a leader that acts"),
    // Named, but it does not act.
    (Law::NoOffline, |h| h.state(Some(2), 1, &[1, 2, 3]), "stored leader 2"),
    (
        Law::IsrChangeResolved,
        |h| {
            let isr = crate::kafka::znode::brokers(&[1, 2]);
            h.broker(1, Observation::IsrChange { partition: super::P, leader_epoch: 0, isr });
            h.pass(11);
        },
        "broker 1 waits for the controller's answer",
    ),
    (
        Law::FullyReplicated,
        |h| {
            h.truncate(3, (1, 0), 0, TruncateReason::Recovery);
        },
        "broker 3 waits for the records of topic-0-0 from offset 0",
    ),
    (Law::Produce, |h| h.pass(16), "acknowledgement of topic-0-0"),
    (Law::ZkQuorum, |h| h.role(2, ZkRole::Looking, 1, Zxid::ZERO), "server 2 waits"),
    (Law::ZkQuorum, |h| h.role(1, ZkRole::Leading, 2, Zxid::new(1, 99)), "it is Following in epoch 1"),
];

/// The laws that are planted here.
pub(super) fn planted() -> Vec<Law> {
    STORIES.iter().map(|(law, ..)| *law).chain(CALM.iter().map(|(law, ..)| *law)).collect()
}

fn healed() -> History {
    let mut history = History::started(facts());
    history.quiet();
    history.state(Some(1), 0, &[1, 2, 3]);
    history.write(&[1, 2, 3], 0, 0, &[1]);
    assert_eq!(history.judge.unmet(history.now()), []);
    history
}

#[test]
fn the_silence_of_producers_that_have_stopped_is_no_waiting() {
    for stopped in [false, true] {
        let mut history = healed();
        if stopped {
            history.judge.producers_stop(history.now());
        }
        history.pass(16);
        assert_eq!(history.judge.unmet(history.now()).is_empty(), stopped);
    }
}

#[test]
fn each_liveness_law_waits_for_its_own_condition() {
    let history = healed();
    for (law, story, words) in STORIES {
        let mut history = healed();
        story(&mut history);
        let unmet = history.judge.unmet(history.now());
        assert_eq!(unmet.iter().map(|unmet| unmet.law).collect::<Vec<_>>(), [*law], "{unmet:#?}");
        assert!(unmet[0].what.contains(words) && unmet[0].since <= history.now(), "{unmet:#?}");
        history.pass(1);
        let reports = history.judge.finish(history.now());
        let report = &reports[*law as usize];
        assert!(matches!(&report.outcome, Outcome::Broken(violation) if violation.what.contains(words)), "{report:#?}");
        assert!(report.longest_wait >= Some(Span::from_secs(1)));
    }
    for (law, ..) in STORIES {
        let reports = history.judge.finish(history.now());
        assert_eq!(reports[*law as usize].outcome, Outcome::Held);
    }
}

/// Long after the last fault: a law, what must not happen any more, and what may.
const CALM: &[(Law, Story, Story)] = &[
    (Law::NoChurn, |h| h.elect_controller(2, 2), |_| {}),
    (Law::NoChurn, |h| h.zk_leader(2, 2, Zxid::new(1, 99)), |h| h.state(Some(1), 0, &[1, 2])),
    (Law::NoChurn, |h| h.state(Some(2), 1, &[1, 2, 3]), |h| h.state(None, 1, &[1, 2, 3])),
    (
        Law::NoSpuriousFencing,
        |h| h.expire(2),
        |h| {
            h.down(2, false);
            h.expire(2);
        },
    ),
];

#[test]
fn after_the_deadline_nothing_may_stir() {
    for (law, bad, good) in CALM {
        for (story, stirs) in [(bad, true), (good, false)] {
            let mut history = healed();
            let deadline = history.judge.deadline().expect("the faults are over");
            history.pass((deadline - history.now()).as_ms() / 1_000 + 1);
            story(&mut history);
            let reports = history.judge.finish(history.now());
            let outcome = &reports[*law as usize].outcome;
            assert_eq!(matches!(outcome, Outcome::Broken(_)), stirs, "{law}: {outcome:?}");
            assert_eq!(*outcome == Outcome::Held, !stirs, "{law}: {outcome:?}");
        }
        // In good time before the deadline the same is nobody's business.
        let mut history = healed();
        bad(&mut history);
        assert_eq!(history.judge.finish(history.now())[*law as usize].outcome, Outcome::NotExercised);
    }
}

#[test]
fn waits_are_measured_from_the_quiet_point() {
    let mut history = History::started(facts());
    history.state(Some(1), 0, &[1, 2]);
    history.pass(100);
    history.quiet();
    let quiet = history.now();
    history.pass(40);
    assert!(history.judge.unmet(history.now()).iter().any(|unmet| unmet.law == Law::IsrFull && unmet.since < quiet));
    history.state(Some(1), 0, &[1, 2, 3]);
    history.write(&[1, 2, 3], 0, 0, &[1]);
    let reports = history.judge.finish(history.now());
    let report = &reports[Law::IsrFull as usize];
    assert_eq!(report.outcome, Outcome::Held);
    assert_eq!(report.longest_wait.map(|wait| wait.as_ms()), Some(40_001));
}

#[test]
fn a_server_that_nobody_wants_back_is_not_waited_for() {
    let mut wanted = facts();
    wanted.processes[5].wanted = false;
    let mut history = History::started(wanted);
    history.down(3, false);
    history.quiet();
    history.state(Some(1), 0, &[1, 2, 3]);
    history.write(&[1, 2, 3], 0, 0, &[1]);
    assert_eq!(history.judge.unmet(history.now()), []);
}

#[test]
fn writes_that_nobody_answers_are_not_waited_for() {
    let mut history = History::started(Facts { acks: Acks::None, idempotence: false, ..facts() });
    history.quiet();
    history.state(Some(1), 0, &[1, 2, 3]);
    assert_eq!(history.judge.unmet(history.now()), []);
    let reports = history.judge.finish(history.now());
    assert!(matches!(reports[Law::Produce as usize].outcome, Outcome::NotJudged(_)));
}

#[test]
fn where_nobody_sends_nothing_has_to_be_acknowledged() {
    let mut history = History::started(Facts { produce_interval: None, ..facts() });
    history.quiet();
    history.pass(1_000);
    assert!(history.judge.unmet(history.now()).iter().all(|wait| wait.law != Law::Produce));
    let reports = history.judge.finish(history.now());
    assert!(matches!(reports[Law::Produce as usize].outcome, Outcome::NotJudged(_)));
}

#[test]
fn a_partition_whose_turn_comes_rarely_is_given_the_time_for_it() {
    let waits = |seconds: u64| {
        let mut history = History::started(Facts { produce_interval: Some(Span::from_secs(100)), ..facts() });
        history.quiet();
        history.pass(seconds);
        history.judge.unmet(history.now()).iter().any(|wait| wait.law == Law::Produce)
    };
    assert_eq!([waits(200), waits(400)], [false, true]);
}

#[test]
fn the_deadline_counts_the_outage_that_was_seen() {
    let mut history = History::started(facts());
    let scope = Box::new(FaultScope::default());
    let begin = Observation::FaultBegin { fault: FaultId(0), name: "cut".into(), text: "cut".into(), scope };
    history.see(0, begin);
    history.pass(40);
    history.see(0, Observation::FaultEnd { fault: FaultId(0) });
    assert_eq!(history.judge.deadline(), None);
    history.judge.quiet_begins(history.now());
    let bound = history.judge.deadline().map(|deadline| deadline - history.now());
    assert_eq!(bound.map(|bound| bound.as_ms()), Some(223_202)); // The cut lasted a millisecond longer, counted twice.
}
