//! The laws of ZooKeeper's servers: each with a history that breaks it and one that comes as close as is allowed.

use super::Story;
use super::history::{History, create};
use crate::id::{SessionId, Zxid};
use crate::laws::Law;
use crate::observation::{DownCause, Observation, ZkRole};
use crate::time::Span;
use crate::zk::protocol::{Txn, TxnBody, ZkError};

use std::sync::Arc;

/// A transaction that is proposed and committed, and that nobody has applied yet.
fn proposed(h: &mut History) -> Arc<Txn> {
    let path = format!("/n{}", h.now());
    let txn = h.propose(101, create(&path, "", false));
    h.commit(&txn);
    txn
}

/// Servers deliver a transaction.
fn deliver(h: &mut History, servers: &[u16], txn: &Arc<Txn>) {
    servers.iter().for_each(|server| h.apply(*server, txn));
    h.settle(txn);
}

fn set(path: &str, data: &str, version: i32) -> TxnBody {
    TxnBody::SetData { path: path.into(), data: data.into(), version }
}

fn ack(h: &mut History, process: u16, zxid: Zxid) {
    h.see(process, Observation::ZkAck { zxid, history: zxid });
}

fn log(h: &mut History, process: u16, zxid: Zxid) {
    h.see(process, Observation::ZkLog { zxid, digest: 7 });
}

fn crash(h: &mut History, process: u16, cause: DownCause) {
    h.see(process, Observation::Down { lossy: cause == DownCause::HostCrash, cause });
}

fn expiring(h: &mut History, silent: u64) {
    let (session, timeout) = (SessionId(1), Span::from_secs(18));
    h.see(2, Observation::ZkSessionExpiring { session, timeout, silent: Span::from_secs(silent) });
}

fn reply(h: &mut History, process: u16, session: u64, zxid: Zxid) {
    h.see(process, Observation::ZkReply { session: SessionId(session), zxid });
}

const Z: fn(u32) -> Zxid = |counter| Zxid::new(1, counter);

/// (the law, what breaks it, what does not)
pub(super) const STORIES: &[(Law, Story, Story)] = &[
    (
        Law::Leadership,
        |h| h.role(1, ZkRole::Synchronizing, 1, Z(9)),
        // A leader that no quorum has promised an epoch still names its old one.
        |h| {
            h.role(1, ZkRole::Electing, 1, Z(9));
            h.role(1, ZkRole::Synchronizing, 2, Z(9));
            h.role(1, ZkRole::Leading, 2, Z(9));
        },
    ),
    (
        Law::Integrity,
        |h| {
            let txn = proposed(h);
            let changed = Txn { session: SessionId(102), ..(*txn).clone() };
            h.apply(1, &Arc::new(changed));
        },
        |h| {
            let txn = proposed(h);
            let copy = Arc::new((*txn).clone());
            deliver(h, &[1, 2], &copy);
        },
    ),
    (
        Law::Integrity,
        |h| {
            let txn = proposed(h);
            deliver(h, &[1, 2, 3], &txn);
            let next = Txn { zxid: txn.zxid.next(), ..(*txn).clone() };
            h.apply(1, &Arc::new(next));
        },
        |h| drop(proposed(h)),
    ),
    (
        // Server 1 delivered the end of epoch 1, server 2 is the first to deliver the beginning of epoch 2.
        Law::Agreement,
        |h| {
            let last = proposed(h);
            deliver(h, &[1, 3], &last);
            h.zk_leader(3, 2, last.zxid);
            let txn = proposed(h);
            deliver(h, &[2], &txn);
        },
        |h| {
            let last = proposed(h);
            deliver(h, &[1, 2, 3], &last);
            h.zk_leader(3, 2, last.zxid);
            let txn = proposed(h);
            deliver(h, &[2], &txn);
        },
    ),
    (
        // The same, but somebody else has delivered both.
        Law::TotalOrder,
        |h| {
            let last = proposed(h);
            deliver(h, &[3], &last);
            h.zk_leader(3, 2, last.zxid);
            let txn = proposed(h);
            deliver(h, &[3, 2], &txn);
        },
        // What a snapshot brings is not skipped.
        |h| {
            let last = proposed(h);
            deliver(h, &[3], &last);
            h.zk_leader(3, 2, last.zxid);
            let txn = proposed(h);
            h.reset(2, last.zxid);
            deliver(h, &[3, 2], &txn);
        },
    ),
    (
        // Server 1 delivered what the next leader does not have, and goes on.
        Law::TotalOrder,
        |h| {
            let last = proposed(h);
            deliver(h, &[1, 2, 3], &last);
            let dead = h.propose(101, create("/dead", "", false));
            h.zk_leader(3, 2, last.zxid);
            h.apply(1, &dead);
            let txn = proposed(h);
            deliver(h, &[3, 1], &txn);
        },
        |h| {
            let last = proposed(h);
            deliver(h, &[1, 2, 3], &last);
            let dead = h.propose(101, create("/dead", "", false));
            h.zk_leader(3, 2, last.zxid);
            h.apply(1, &dead);
            h.reset(1, last.zxid);
            let txn = proposed(h);
            deliver(h, &[3, 1], &txn);
        },
    ),
    (
        Law::LocalPrimaryOrder,
        |h| {
            let (first, second) = (proposed(h), proposed(h));
            deliver(h, &[3], &first);
            deliver(h, &[3, 2], &second);
        },
        |h| {
            let (first, second) = (proposed(h), proposed(h));
            deliver(h, &[3, 2], &first);
            deliver(h, &[3, 2], &second);
        },
    ),
    (
        Law::LocalPrimaryOrder,
        |h| {
            let last = proposed(h);
            deliver(h, &[1, 2, 3], &last);
            h.zk_leader(3, 2, last.zxid);
            let (_, second) = (proposed(h), proposed(h));
            deliver(h, &[3], &second);
        },
        // An epoch may end anywhere.
        |h| {
            let last = proposed(h);
            deliver(h, &[1, 2, 3], &last);
            drop(h.propose(101, create("/dead", "", false)));
            h.zk_leader(3, 2, last.zxid);
            let first = proposed(h);
            deliver(h, &[3], &first);
        },
    ),
    (
        Law::GlobalPrimaryOrder,
        |h| {
            let last = proposed(h);
            deliver(h, &[1, 2, 3], &last);
            let dead = h.propose(101, create("/dead", "", false));
            h.zk_leader(3, 2, last.zxid);
            let first = proposed(h);
            deliver(h, &[1, 2, 3], &first);
            h.apply(1, &dead);
        },
        |h| {
            let last = proposed(h);
            deliver(h, &[1, 2, 3], &last);
            h.zk_leader(3, 4, last.zxid);
            let first = proposed(h);
            deliver(h, &[1, 2, 3], &first);
        },
    ),
    (
        // Its log holds the last transaction, its tree does not.
        Law::PrimaryIntegrity,
        |h| {
            let last = proposed(h);
            deliver(h, &[2, 3], &last);
            h.role(1, ZkRole::Leading, 2, last.zxid);
        },
        // Nobody else has delivered it yet.
        |h| {
            let last = proposed(h);
            h.role(1, ZkRole::Leading, 2, last.zxid);
        },
    ),
    (
        Law::AckDurable,
        |h| {
            log(h, 0, Z(8));
            ack(h, 0, Z(9));
            crash(h, 0, DownCause::HostCrash);
        },
        |h| {
            log(h, 0, Z(9));
            ack(h, 0, Z(9));
            crash(h, 0, DownCause::HostCrash);
            h.see(0, Observation::ZkLoaded { zxid: Z(9), durable: Z(9) });
        },
    ),
    (
        // The process alone died: what it had written is there, what it had only queued is not.
        Law::AckDurable,
        |h| {
            ack(h, 0, Z(9));
            crash(h, 0, DownCause::Killed);
            h.see(0, Observation::ZkLoaded { zxid: Z(8), durable: Z(0) });
        },
        |h| {
            ack(h, 0, Z(9));
            crash(h, 0, DownCause::Killed);
            h.see(0, Observation::ZkLoaded { zxid: Z(9), durable: Z(0) });
        },
    ),
    (
        Law::EpochAfterHistory,
        |h| {
            log(h, 0, Z(8));
            h.see(0, Observation::ZkEpochEntered { epoch: 2, history: Z(9) });
            crash(h, 0, DownCause::HostCrash);
        },
        // What was cut on the leader's order is no part of the history.
        |h| {
            log(h, 0, Z(9));
            h.see(0, Observation::ZkEpochEntered { epoch: 1, history: Z(99) });
            h.see(0, Observation::ZkTruncate { epoch: 1, from: Z(99), zxid: Z(98) });
            log(h, 0, Z(98));
            crash(h, 0, DownCause::HostCrash);
        },
    ),
    (
        Law::CommittedMonotonic,
        |h| {
            let (first, second) = (proposed(h), proposed(h));
            deliver(h, &[1, 2], &first);
            deliver(h, &[1, 2], &second);
            h.see(2, Observation::ZkTruncate { epoch: 2, from: second.zxid, zxid: first.zxid });
        },
        |h| {
            let last = proposed(h);
            deliver(h, &[1, 2], &last);
            let tail = h.propose(101, create("/tail", "", false));
            h.see(2, Observation::ZkTruncate { epoch: 2, from: tail.zxid, zxid: last.zxid });
        },
    ),
    (
        // The order of a leader for something of its own epoch, at a server that has been told of the commit.
        Law::CommittedMonotonic,
        |h| {
            let (first, second) = (proposed(h), proposed(h));
            deliver(h, &[1, 2], &first);
            deliver(h, &[1, 2], &second);
            h.see(1, Observation::ZkTruncate { epoch: 1, from: second.zxid, zxid: first.zxid });
        },
        // At one that has not, the leader may have committed it since the order, and sends it again behind.
        |h| {
            let (first, second) = (proposed(h), proposed(h));
            deliver(h, &[1, 2, 3], &first);
            deliver(h, &[1, 2], &second);
            h.see(2, Observation::ZkTruncate { epoch: 1, from: second.zxid, zxid: first.zxid });
        },
    ),
    (
        Law::CommittedMonotonic,
        |h| {
            let first = h.propose(101, create("/a", "", false));
            let second = h.propose(101, create("/b", "", false));
            [&second, &first].into_iter().for_each(|txn| h.commit(txn));
        },
        // A new leader counts its whole history again.
        |h| {
            let first = proposed(h);
            deliver(h, &[1, 2, 3], &first);
            h.see(0, Observation::ZkCommit { zxid: first.zxid, epoch: 2 });
        },
    ),
    (
        Law::HonestZxid,
        |h| h.see(0, Observation::ZkElection { vote: Z(8), applied: Z(8), logged: Z(9) }),
        |h| h.see(0, Observation::ZkElection { vote: Zxid::new(2, 0), applied: Z(9), logged: Z(9) }),
    ),
    (
        Law::HonestZxid,
        |h| h.see(0, Observation::ZkElection { vote: Z(9), applied: Z(8), logged: Z(8) }),
        |h| h.see(0, Observation::ZkElection { vote: Z(9), applied: Z(9), logged: Z(9) }),
    ),
    (
        Law::LegalMessage,
        |h| h.see(0, Observation::ZkIllegalMessage { what: "COMMIT of (1,3) while nothing is pending".into() }),
        |h| h.role(1, ZkRole::Following, 1, Z(9)),
    ),
    (
        Law::ReplicasEqual,
        |h| {
            let txn = proposed(h);
            h.apply(3, &txn);
            h.see(0, Observation::ZkApply { txn: Arc::clone(&txn), digest: 3, tree: Some(9) });
        },
        // Trees at different transactions differ.
        |h| {
            let (first, second) = (proposed(h), proposed(h));
            deliver(h, &[3, 2], &first);
            deliver(h, &[3], &second);
        },
    ),
    (
        // Version 1 is x, but once it was y, in a transaction that the next leader did not have.
        Law::VersionAgreement,
        |h| {
            let last = h.transact(101, create("/a", "", false));
            let dead = h.propose(101, set("/a", "y", 1));
            h.zk_leader(3, 2, last);
            h.transact(101, set("/a", "x", 1));
            h.reset(1, last);
            h.apply(1, &dead);
        },
        // A node that is created anew begins anew.
        |h| {
            h.transact(101, create("/a", "", false));
            h.transact(101, set("/a", "x", 1));
            h.transact(101, TxnBody::Delete { path: "/a".into() });
            h.transact(101, create("/a", "z", false));
            h.transact(101, set("/a", "y", 1));
        },
    ),
    (Law::SessionSafety, |h| expiring(h, 17), |h| expiring(h, 18)),
    (
        Law::SessionSafety,
        |h| {
            h.expire(3);
            h.transact(3, create("/x", "", false));
        },
        // It is refused, or ends once more.
        |h| {
            h.expire(3);
            h.transact(3, TxnBody::Error { error: ZkError::SessionExpired, multi: Vec::new() });
            h.transact(3, TxnBody::CloseSession { ephemerals: Vec::new() });
        },
    ),
    (
        Law::Cas,
        |h| {
            h.transact(101, create("/a", "", false));
            h.transact(101, set("/a", "x", 2));
        },
        |h| {
            h.transact(101, create("/a", "", false));
            h.transact(101, set("/a", "x", 1));
            h.transact(102, set("/a", "x", 2));
        },
    ),
    (
        Law::Cas,
        |h| {
            h.transact(101, create("/a", "", false));
            h.transact(102, create("/a", "", false));
        },
        |h| {
            h.transact(101, create("/a", "", false));
            h.transact(102, TxnBody::Delete { path: "/a".into() });
            h.transact(102, create("/a", "", false));
        },
    ),
    (
        Law::ReadSessionOrder,
        |h| {
            reply(h, 3, 1, Z(5));
            reply(h, 3, 1, Z(4));
        },
        // Another session may read what is stale.
        |h| {
            reply(h, 3, 1, Z(5));
            reply(h, 4, 2, Z(4));
            reply(h, 3, 1, Z(5));
        },
    ),
];
