//! Elections, cuts and crashes, with the times that were measured on real ensembles.

use super::*;

fn writes(e: &mut Ensemble, client: u16, prefix: &str, count: u32) {
    for n in 0..count {
        assert!(e.ask(client, create(&format!("/{prefix}{n}"))).is_ok(), "{prefix}{n}");
    }
}

#[test]
fn a_clean_election_takes_the_finalize_wait_and_writes_reach_everybody() {
    let mut e = Ensemble::new(4, 2, &[]);
    e.ms(1000);
    assert_eq!(e.leader(), Some(3));
    let times: Vec<u64> = (0..4)
        .map(|id| e.role_after(id, if id == 3 { ZkRole::Leading } else { ZkRole::Following }, Instant::ZERO))
        .collect();
    assert!(times.iter().all(|ms| (200..=300).contains(ms)), "{times:?}");
    e.dial(0, 0);
    e.dial(1, 3);
    writes(&mut e, 0, "a", 5);
    writes(&mut e, 1, "b", 5);
    e.assert_agreement(&[0, 1, 2, 3]);
    assert_eq!(broken_laws(&e.h.observed), Vec::<String>::new());
}

#[test]
fn an_even_split_stops_everybody_and_heals_without_losing_a_session() {
    let mut e = Ensemble::new(4, 2, &[]);
    e.ms(1000);
    e.dial(0, 3);
    e.dial(1, 0);
    assert!(e.ask(0, create_as("/near", CreateMode::Ephemeral)).is_ok());
    assert!(e.ask(1, create_as("/far", CreateMode::Ephemeral)).is_ok());
    e.hold_between(&[0, 1], &[2, 3]);
    let cut = e.h.now();
    let tail = e.send(0, create("/tail"));
    e.ms(30_000);
    assert_eq!(e.reply(0, tail), None, "two of four are no quorum");
    for far in [0, 1] {
        let looking = e.role_after(far, ZkRole::Looking, cut);
        assert!((9_000..=10_050).contains(&looking), "server {far} looks after {looking} ms");
    }
    let down = e.role_after(3, ZkRole::Looking, cut);
    assert!((10_000..=12_050).contains(&down), "the leader steps down after {down} ms");
    let partner = e.role_after(2, ZkRole::Looking, cut);
    assert!((down..=down + 200).contains(&partner), "its partner follows after {partner} ms");
    assert_eq!(e.leader(), None);
    let healed = e.h.now();
    e.release_between(&[0, 1], &[2, 3]);
    e.ms(1_500);
    assert_eq!(e.leader(), Some(3), "the longer log wins");
    assert!(e.role_after(3, ZkRole::Leading, healed) < 500);
    e.assert_agreement(&[0, 1, 2, 3]);
    let sessions = [e.client(0).session, e.client(1).session];
    e.dial(0, 1);
    e.dial(1, 2);
    assert_eq!([e.client(0).session, e.client(1).session], sessions);
    assert!(e.client(0).connected && e.client(1).connected);
    for path in ["/near", "/far", "/tail"] {
        let read = Op::Exists { path: path.into(), watch: false };
        assert!(e.ask(1, read).is_ok(), "{path} is there: the uncommitted tail was kept");
    }
    assert_eq!(broken_laws(&e.h.observed), Vec::<String>::new());
}

#[test]
fn a_majority_goes_on_and_expires_the_far_session() {
    let mut e = Ensemble::new(3, 2, &[]);
    e.ms(1000);
    e.dial(0, 2);
    e.dial(1, 0);
    assert!(e.ask(1, create_as("/far", CreateMode::Ephemeral)).is_ok());
    e.hold_between(&[0], &[1, 2]);
    let cut = e.h.now();
    for n in 0..300 {
        assert!(e.ask(0, create(&format!("/n{n}"))).is_ok());
        e.ms(80);
    }
    let looking = e.role_after(0, ZkRole::Looking, cut);
    assert!((9_000..=10_050).contains(&looking), "{looking}");
    let expiry = e.h.observed.iter().find(|o| matches!(o.what, Observation::ZkSessionExpiring { .. })).unwrap();
    assert!((17_000..=21_000).contains(&expiry.at.since(cut).as_ms()), "{}", expiry.at.since(cut));
    assert_eq!(e.ask(0, Op::Exists { path: "/far".into(), watch: false }), Err(ZkError::NoNode));
    e.release_between(&[0], &[1, 2]);
    e.ms(500);
    e.assert_agreement(&[0, 1, 2]);
    e.dial(1, 0);
    assert!(e.client(1).expired);
    assert_eq!(broken_laws(&e.h.observed), Vec::<String>::new());
}

#[test]
fn a_minority_leader_is_replaced_and_its_tail_is_cut() {
    let mut e = Ensemble::new(3, 2, &[]);
    e.ms(1000);
    e.dial(0, 2);
    e.dial(1, 0);
    writes(&mut e, 0, "a", 3);
    e.hold_between(&[2], &[0, 1]);
    let cut = e.h.now();
    let lost = e.send(0, create("/lost"));
    e.ms(15_000);
    let (new, old) = (e.role_after(1, ZkRole::Leading, cut), e.role_after(2, ZkRole::Looking, cut));
    assert!((9_200..=10_700).contains(&new), "the new leader serves after {new} ms");
    assert!((10_000..=12_050).contains(&old), "the old one steps down after {old} ms");
    assert_eq!(e.reply(0, lost), None);
    e.dial(1, 0);
    writes(&mut e, 1, "b", 3);
    e.release_between(&[2], &[0, 1]);
    e.ms(500);
    e.assert_agreement(&[0, 1, 2]);
    assert_eq!(e.ask(1, Op::Exists { path: "/lost".into(), watch: false }), Err(ZkError::NoNode));
    assert_eq!(broken_laws(&e.h.observed), Vec::<String>::new());
}

#[test]
fn a_killed_leader_is_replaced_within_a_second_and_comes_back() {
    for loss in [Loss::Memory, Loss::PageCache] {
        let mut e = Ensemble::new(3, 1, &[]);
        e.ms(1000);
        e.dial(0, 0);
        writes(&mut e, 0, "a", 3);
        let killed = e.h.now();
        e.h.crash(2, loss);
        e.ms(1_000);
        assert!(e.role_after(1, ZkRole::Leading, killed) < 1_000);
        e.dial(0, 0);
        writes(&mut e, 0, "b", 3);
        e.h.restart(2);
        e.ms(1_000);
        e.assert_agreement(&[0, 1, 2]);
        assert_eq!(broken_laws(&e.h.observed), Vec::<String>::new());
    }
}

#[test]
fn acknowledged_writes_survive_power_loss_of_everybody() {
    let mut e = Ensemble::new(3, 1, &[]);
    e.ms(1000);
    e.dial(0, 0);
    let mut acknowledged = Vec::new();
    for round in 0..6 {
        let sent: Vec<(i32, String)> = (0..20)
            .map(|n| {
                let path = format!("/r{round}-{n}");
                (e.send(0, create(&path)), path)
            })
            .collect();
        // Some are still under way.
        e.h.run_for(Span::from_us(3_200 + 300 * round));
        acknowledged
            .extend(sent.into_iter().filter(|(xid, _)| e.reply(0, *xid).is_some_and(|r| r.is_ok())).map(|s| s.1));
        (0..3).for_each(|id| e.h.crash(id, Loss::PageCache));
        (0..3).for_each(|id| e.h.restart(id));
        e.ms(1_000);
        e.assert_agreement(&[0, 1, 2]);
        e.dial(0, 1);
        assert!(e.client(0).connected, "the session survives");
        for path in &acknowledged {
            let read = Op::Exists { path: path.as_str().into(), watch: false };
            assert!(e.ask(0, read).is_ok(), "{path} is lost in round {round}");
        }
    }
    assert!(acknowledged.len() > 20, "{}", acknowledged.len());
    assert_eq!(broken_laws(&e.h.observed), Vec::<String>::new());
}

#[test]
fn random_crashes_and_cuts_never_break_agreement() {
    let mut acknowledged = 0;
    for seed in 0..300 {
        let outcome = chaos(seed, &[]);
        assert_eq!(outcome.broken, Vec::<String>::new(), "seed {seed}");
        acknowledged += outcome.acknowledged;
    }
    assert!(acknowledged > 2_000, "{acknowledged} writes were acknowledged: the runs prove little");
}

#[test]
fn a_standalone_server_serves_and_recovers() {
    let mut e = Ensemble::new(1, 1, &[]);
    e.ms(100);
    e.dial(0, 0);
    writes(&mut e, 0, "a", 3);
    e.h.crash(0, Loss::PageCache);
    e.h.restart(0);
    e.ms(100);
    e.dial(0, 0);
    writes(&mut e, 0, "b", 1);
    assert!(e.ask(0, Op::Exists { path: "/a2".into(), watch: false }).is_ok());
}
