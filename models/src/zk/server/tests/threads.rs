//! What threads that wait for a core change: hand-overs that the real code makes, in its order.

use super::*;
use crate::zk::server::LearnerPhase;

const DELAY: Span = Span::from_ms(128);

#[test]
fn the_own_vote_counts_once_the_threads_on_its_way_have_handed_it_on() {
    let mut e = Ensemble::busy(3, 0, &[], DELAY);
    // Nobody else is there: what comes is the own vote.
    e.h.crash(1, Loss::Memory);
    e.h.crash(2, Loss::Memory);
    e.h.run_for(Span::from_us(100));
    assert_eq!(e.server(0).arriving.len(), 1, "it waits for the receiving thread like any other");
    assert!(matches!(&e.server(0).role, Role::Looking(looking) if looking.timer.is_some()));
    // A single mean wait.
    e.ms(5);
    assert!(e.server(0).arriving.is_empty());
    let waits_again =
        |e: &Ensemble| matches!(&e.server(0).role, Role::Looking(l) if l.timer.is_some() && l.queue.is_empty());
    assert!(waits_again(&e), "the electing thread has taken it and waits anew");
}

/// Without a quorum two servers that hear each other send again together: neither's notification comes before the other's own
/// time-out, which it would put off by a whole interval. 206 of 258 measured intervals of 0.4 to 12.8 s ended
/// like that.
#[test]
fn servers_of_one_site_send_again_in_step() {
    let mut e = Ensemble::busy(4, 0, &[], DELAY);
    let (mut in_step, mut seen) = (0, 0);
    for _ in 0..40 {
        (0..4).for_each(|id| e.h.crash(id, Loss::Memory));
        (0..2).for_each(|id| e.h.restart(id));
        e.ms(300);
        let interval = |e: &Ensemble, id| match &e.server(id).role {
            Role::Looking(looking) => looking.election.interval,
            _ => Span::ZERO,
        };
        let mut since: [(Span, Instant); 2] = [0, 1].map(|id| (interval(&e, id), e.h.now()));
        for _ in 0..6_000 {
            e.ms(1);
            for (id, (last, began)) in (0..2).zip(&mut since) {
                let now = interval(&e, id);
                if now == *last {
                    continue;
                }
                // The first one was not seen from its beginning.
                if *last > Span::from_ms(400) {
                    seen += 1;
                    in_step += u32::from(e.h.now().since(*began) < *last + Span::from_ms(50));
                }
                (*last, *began) = (now, e.h.now());
            }
        }
    }
    assert!(seen > 150 && in_step * 10 > seen * 7, "{in_step} of {seen} intervals");
}

/// `Leader.shutdown` closes the learners' sockets last, so measured partners of a leader went LOOKING 6 to 106 ms after it.
#[test]
fn a_leader_keeps_its_learners_until_its_threads_have_ended() {
    let mut e = Ensemble::busy(4, 0, &[], DELAY);
    e.ms(5_000);
    let mut seen = 0;
    for round in 0..10 {
        let Some(leader) = e.leader() else { panic!("nobody leads in round {round}") };
        let partner = if leader == 3 { 2 } else { 3 };
        let far: Vec<u16> = (0..4).filter(|id| ![leader, partner].contains(id)).collect();
        e.hold_between(&far, &[leader, partner]);
        let cut = e.h.now();
        while e.h.now() < cut + Span::from_secs(13) {
            e.h.run_for(Span::from_us(500));
            if matches!(e.server(leader).role, Role::Joining) {
                seen += 1;
                let follows = matches!(&e.server(partner).role, Role::Following(learner) if learner.conn.is_some());
                assert!(follows, "round {round}: the partner has lost a leader that is still shutting down");
            }
        }
        let [down, looks] = [leader, partner].map(|id| e.role_after(id, ZkRole::Looking, cut));
        assert!(down < looks && looks < 13_000, "round {round}: {down} and {looks} ms");
        e.release_between(&far, &[leader, partner]);
        e.ms(30_000);
    }
    assert!(seen > 50, "{seen}");
}

/// Each packet of a synchronisation finds the thread that reads it asleep, on either side.
#[test]
fn a_busy_machine_is_slower_to_join_and_still_joins() {
    let joins_after = |delay: Span| {
        let mut e = Ensemble::busy(3, 1, &[], delay);
        e.ms(5_000);
        e.dial(0, 2);
        assert!(e.ask(0, create("/a")).is_ok());
        let mut taken = Vec::new();
        for _ in 0..8 {
            e.h.crash(0, Loss::Memory);
            e.ms(50);
            let since = e.h.now();
            e.h.restart(0);
            e.ms(2_000);
            taken.push(e.role_after(0, ZkRole::Following, since));
        }
        e.assert_agreement(&[0, 1, 2]);
        taken.iter().sum::<u64>() / taken.len() as u64
    };
    let (idle, busy) = (joins_after(Span::ZERO), joins_after(DELAY));
    // Eleven waits of its process's first time, which are five each, of 4 ms in the mean.
    assert!(idle < 20 && (40..=400).contains(&busy), "{idle} ms, {busy} ms");
}

/// `Leader`'s constructor binds the port long before its acceptor runs. A learner that is early waits there, and only one that dials
/// before the election was won is refused, which costs it `leaderConnectDelayDuringRetryMs`.
#[test]
fn a_new_leader_refuses_no_learner_and_reads_nothing_before_its_acceptor_runs() {
    let mut waited = 0;
    each_election(|e| {
        let Some(leader) = (0..3).find(|id| matches!(e.server(*id).role, Role::Leading(_))) else { return };
        let Role::Leading(role) = &e.server(leader).role else { return };
        if !role.accepting {
            assert!(role.handlers.values().all(|handler| handler.sid.is_none()), "nobody has accepted it yet");
            waited += role.handlers.len();
        }
    });
    assert!(waited > 20, "{waited}: learners are connected before anybody accepts them");
}

/// `Learner.connectToLeader`: `LeaderConnector` is a thread of its own, and the main thread waits for it.
#[test]
fn a_learner_dials_from_a_thread_of_its_own_and_introduces_itself_from_the_main_one() {
    let (mut before, mut between) = (0, 0);
    each_election(|e| {
        for id in 0..3 {
            let Role::Following(learner) = &e.server(id).role else { continue };
            before += u32::from(learner.phase == LearnerPhase::Connecting && learner.conn.is_none());
            between += u32::from(learner.phase == LearnerPhase::Registering && !learner.is_introduced());
        }
    });
    assert!(before > 20 && between > 20, "{before} and {between}: each of the two threads waits for a core");
}

/// Looks at an ensemble of three every 100 us while it elects a leader, ten times over.
fn each_election(mut look: impl FnMut(&Ensemble)) {
    let mut e = Ensemble::busy(3, 0, &[], DELAY);
    for _ in 0..10 {
        for _ in 0..20_000 {
            e.h.run_for(Span::from_us(100));
            look(&e);
        }
        assert!(e.leader().is_some(), "all threads have run in two seconds");
        (0..3).for_each(|id| e.h.crash(id, Loss::Memory));
        (0..3).for_each(|id| e.h.restart(id));
    }
}

#[test]
fn most_waits_for_a_core_are_short_and_some_are_long() {
    let mut random = Random::new(7, crate::random::Purpose::Workload, 0);
    let mut waits: Vec<Span> = (0..10_000).map(|_| random.wait(DELAY)).collect();
    waits.sort();
    let mean = waits.iter().fold(Span::ZERO, |sum, wait| sum + *wait) / waits.len() as u64;
    assert!(mean > Span::from_us(3_600) && mean < Span::from_us(4_400), "{mean}");
    let median = waits[5_000];
    assert!(median > Span::from_us(900) && median < Span::from_us(1_500), "{median}");
    assert!(waits[9_999] > DELAY / 2 && waits[9_999] <= DELAY, "{}", waits[9_999]);
}

/// A follower's sync thread sleeps until something is queued for it. Which of two followers is the last is left to their machines.
#[test]
fn a_followers_sync_thread_has_to_wake_and_either_follower_may_be_the_last() {
    let last_acks = |delay: Span| {
        let mut e = Ensemble::busy(3, 1, &[], delay);
        e.ms(5_000);
        e.dial(0, 2);
        let (mut last, mut slowest) = ([0, 0], Span::ZERO);
        for n in 0..100 {
            let (began, seen) = (e.h.now(), e.h.observed.len());
            e.send(0, create(&format!("/n{n}")));
            e.ms(400);
            let acks = e.h.observed[seen..].iter().filter(|o| matches!(o.what, Observation::ZkAck { .. }));
            let acks: Vec<_> = acks.map(|o| (o.at, o.process.0)).collect();
            assert_eq!(acks.len(), 3, "write {n}: {acks:?}");
            slowest += acks[2].0.since(began);
            if let Some((_, follower)) = acks.iter().rfind(|(_, server)| *server < 2) {
                last[usize::from(*follower)] += 1;
            }
        }
        (last, slowest / 100)
    };
    let (_, idle) = last_acks(Span::ZERO);
    let (last, busy) = last_acks(DELAY);
    // The longer one of two waits of 4 ms in the mean.
    assert!(busy > idle + Span::from_ms(5) && busy < idle + Span::from_ms(10), "{idle} and {busy}");
    assert!(last.iter().all(|count| *count >= 25), "{last:?}");
}

/// A read that times out ends a little late, as the timer of `poll` has slack: a follower that has just heard of a commit goes
/// LOOKING 10,005 to 10,010 ms later.
#[test]
fn a_follower_gives_up_its_leader_a_little_after_the_sync_limit() {
    let mut after = Vec::new();
    let mut e = Ensemble::new(3, 1, &[]);
    e.ms(5_000);
    e.dial(0, 2);
    for round in 0..8 {
        assert_eq!(e.leader(), Some(2), "round {round}");
        assert!(e.ask(0, create(&format!("/{round}"))).is_ok());
        e.hold_between(&[0], &[1, 2]);
        let commits = |seen: &&crate::observation::Observed| {
            seen.process.0 == 0 && matches!(seen.what, Observation::ZkApply { .. })
        };
        let heard = e.h.observed.iter().rfind(commits).expect("it has heard of the write").at;
        e.ms(11_000);
        after.push(e.role_after(0, ZkRole::Looking, heard));
        e.release_between(&[0], &[1, 2]);
        e.ms(5_000);
    }
    assert!(after.iter().all(|ms| (10_005..=10_010).contains(ms)), "{after:?}");
    assert!(after.iter().any(|ms| *ms != after[0]), "{after:?}: it varies");
}
