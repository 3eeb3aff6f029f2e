//! What operations do and which watches they fire.

use super::*;
use crate::zk::protocol::{ANY_VERSION, WatchKind};

fn served() -> Ensemble {
    let mut e = Ensemble::new(3, 2, &[]);
    e.ms(1000);
    e.dial(0, 0);
    e.dial(1, 1);
    e
}

fn delete(path: &str, version: i32) -> Op {
    Op::Delete { path: path.into(), version }
}

fn set(path: &str, version: i32) -> Op {
    Op::SetData { path: path.into(), data: "x".into(), version }
}

#[test]
fn operations_succeed_and_fail_as_documented() {
    let mut e = served();
    let ok: &[(Op, Option<ZkError>)] = &[
        (create("/a/b"), Some(ZkError::NoNode)),
        (create("/a"), None),
        (create("/a"), Some(ZkError::NodeExists)),
        (create_as("/a/e", CreateMode::Ephemeral), None),
        (create("/a/e/x"), Some(ZkError::NoChildrenForEphemerals)),
        (delete("/a", ANY_VERSION), Some(ZkError::NotEmpty)),
        (set("/a", 1), Some(ZkError::BadVersion)),
        (set("/a", 0), None),
        (set("/a", ANY_VERSION), None),
        (delete("/a/e", 1), Some(ZkError::BadVersion)),
        (delete("/a/e", 0), None),
        (delete("/a/e", 0), Some(ZkError::NoNode)),
        (set("/none", ANY_VERSION), Some(ZkError::NoNode)),
    ];
    for (op, error) in ok {
        assert_eq!(e.ask(0, op.clone()).err(), *error, "{op:?}");
    }
    let Ok(OpResult::Stat(stat)) = e.ask(0, Op::Exists { path: "/a".into(), watch: false }) else {
        panic!("/a is gone")
    };
    assert_eq!((stat.version, stat.cversion, stat.num_children), (2, 2, 0), "one create and one delete below it");
    assert!(stat.czxid < stat.mzxid && stat.mzxid < stat.pzxid);
    e.assert_agreement(&[0, 1, 2]);
}

#[test]
fn sequential_nodes_are_numbered_by_the_parents_creations() {
    let mut e = served();
    assert!(e.ask(0, create("/s")).is_ok());
    let mut names = Vec::new();
    for _ in 0..3 {
        let Ok(OpResult::Created { path, .. }) = e.ask(0, create_as("/s/n-", CreateMode::PersistentSequential)) else {
            panic!("not created")
        };
        assert!(e.ask(1, delete(&path, ANY_VERSION)).is_ok());
        names.push(path);
    }
    assert_eq!(
        names.iter().map(|p| &**p).collect::<Vec<_>>(),
        ["/s/n-0000000000", "/s/n-0000000001", "/s/n-0000000002"]
    );
}

#[test]
fn a_multi_happens_as_a_whole_or_not_at_all() {
    let mut e = served();
    let check = |path: &str, version| Op::Check { path: path.into(), version };
    let result = e.ask(0, Op::Multi(vec![create("/m"), set("/m", 0), check("/m", 1)]));
    assert!(
        matches!(&result, Ok(OpResult::Multi(all)) if all.len() == 3 && all.iter().all(Result::is_ok)),
        "{result:?}"
    );
    let result = e.ask(0, Op::Multi(vec![create("/n"), check("/m", 0), delete("/m", ANY_VERSION)]));
    let errors = [ZkError::RolledBack, ZkError::BadVersion, ZkError::RuntimeInconsistency];
    assert_eq!(result, Ok(OpResult::Multi(errors.map(Err).to_vec())));
    assert_eq!(e.ask(0, Op::Exists { path: "/n".into(), watch: false }), Err(ZkError::NoNode));
    // Requests in flight together see each other, and a multi that failed between them leaves no trace.
    let first = e.send(0, create("/p"));
    let failing = e.send(0, Op::Multi(vec![create("/p/q"), create("/p")]));
    let second = e.send(0, create("/p/q"));
    e.ms(20);
    assert!(e.reply(0, first).is_some_and(|r| r.is_ok()));
    assert!(matches!(e.reply(0, failing), Some(Ok(OpResult::Multi(all))) if all[1] == Err(ZkError::NodeExists)));
    assert!(e.reply(0, second).is_some_and(|r| r.is_ok()));
    e.assert_agreement(&[0, 1, 2]);
}

/// Watches to set, what then happens, and the events.
type Row<'a> = (&'a [&'a str], Op, Vec<(String, WatchKind)>);

#[test]
fn watches_fire_once_with_the_documented_events() {
    let mut e = served();
    let p = "/w/p";
    assert!(e.ask(0, create("/w")).is_ok());
    let watch = |kind: &str| match kind {
        "data" => Op::GetData { path: p.into(), watch: true },
        "exist" => Op::Exists { path: p.into(), watch: true },
        "child" => Op::GetChildren { path: p.into(), watch: true },
        _ => Op::GetChildren { path: "/w".into(), watch: true },
    };
    let event = |path: &str, kind| (path.to_owned(), kind);
    let table: &[Row<'_>] = &[
        (&["exist", "parent"], create(p), vec![event(p, WatchKind::Created), event("/w", WatchKind::ChildrenChanged)]),
        (&["data", "exist", "child", "parent"], set(p, ANY_VERSION), vec![event(p, WatchKind::DataChanged)]),
        (&["child"], create("/w/p/c"), vec![event(p, WatchKind::ChildrenChanged)]),
        (&[], delete("/w/p/c", ANY_VERSION), vec![]),
        (
            &["data", "child"],
            delete(p, ANY_VERSION),
            vec![event(p, WatchKind::Deleted), event("/w", WatchKind::ChildrenChanged)],
        ),
        (&[], create(p), vec![]),
    ];
    for (watches, op, expected) in table {
        for kind in *watches {
            let _ = e.ask(1, watch(kind));
        }
        let before = e.client(1).received.len();
        assert!(e.ask(0, op.clone()).is_ok(), "{op:?}");
        let events: Vec<(String, WatchKind)> = e.client(1).received[before..]
            .iter()
            .filter_map(|m| match m {
                ClientMessage::Event { path, kind } => Some((path.to_string(), *kind)),
                _ => None,
            })
            .collect();
        assert_eq!(&events, expected, "{op:?}");
    }
}

#[test]
fn set_watches_fires_what_changed_while_away() {
    let mut e = served();
    for path in ["/changed", "/same", "/gone"] {
        assert!(e.ask(0, create(path)).is_ok());
    }
    let relative_zxid = e.client(0).last_zxid;
    assert!(e.ask(0, set("/changed", ANY_VERSION)).is_ok());
    assert!(e.ask(0, delete("/gone", ANY_VERSION)).is_ok());
    let before = e.client(1).received.len();
    e.send_raw(
        1,
        ClientMessage::SetWatches {
            relative_zxid,
            data: vec!["/changed".into(), "/same".into(), "/gone".into()],
            exist: vec!["/changed".into()],
            child: vec!["/".into()],
        },
    );
    e.ms(20);
    let event = |path: &str, kind| ClientMessage::Event { path: path.into(), kind };
    let expected = [
        event("/changed", WatchKind::DataChanged),
        event("/gone", WatchKind::Deleted),
        event("/changed", WatchKind::Created),
        event("/", WatchKind::ChildrenChanged),
    ];
    assert_eq!(e.client(1).received[before..], expected);
}

#[test]
fn everything_behind_a_write_waits_for_it_and_a_moved_session_is_disowned() {
    let mut e = served();
    let ephemeral = create_as("/mine", CreateMode::Ephemeral);
    assert!(e.ask(0, ephemeral).is_ok());
    // Without a quorum the write hangs, and the ping behind it with it.
    e.hold_between(&[0], &[1, 2]);
    let before = e.client(0).received.len();
    e.send(0, create("/late"));
    e.send_raw(0, ClientMessage::Ping);
    e.ms(1_000);
    assert_eq!(e.client(0).received.len(), before);
    // The session moves; then the old request arrives at the leader and must not be carried out.
    e.dial(0, 1);
    assert!(e.client(0).connected);
    e.release_between(&[0], &[1, 2]);
    e.ms(1_000);
    assert_eq!(e.ask(0, Op::Exists { path: "/late".into(), watch: false }), Err(ZkError::NoNode));
    assert!(e.ask(0, Op::CloseSession).is_ok());
    assert_eq!(e.ask(1, Op::Exists { path: "/mine".into(), watch: false }), Err(ZkError::NoNode));
    e.assert_agreement(&[0, 1, 2]);
    assert_eq!(broken_laws(&e.h.observed), Vec::<String>::new());
}

#[test]
fn a_server_that_is_behind_the_client_refuses_it() {
    let mut e = served();
    e.hold_between(&[0], &[1, 2]);
    assert!(e.ask(1, create("/new")).is_ok());
    let Node::Client(client) = e.h.process_mut(4) else { panic!("process 4 is a client") };
    assert!(client.last_zxid > Zxid::ZERO);
    e.dial(1, 0);
    assert!(!e.client(1).connected && e.client(1).conn.is_none() && !e.client(1).expired);
}
