//! The store view follows committed transactions, once each, and nothing else; coverage is read from it.

use super::history::{History, create, facts};
use crate::id::{BrokerId, SessionId, Zxid};
use crate::kafka::znode;
use crate::laws::zk_history::ZkHistory;
use crate::laws::{Coverage, Facts};
use crate::observation::{Observation, TruncateReason, ZkRole};
use crate::time::{Instant, Span};
use crate::zk::protocol::{Txn, TxnBody};

use std::sync::Arc;

fn txn(epoch: u32, counter: u32) -> Arc<Txn> {
    let body = TxnBody::Check { path: "/".into() };
    Arc::new(Txn { zxid: Zxid::new(epoch, counter), session: SessionId(1), time: Instant::ZERO, body })
}

fn taken(history: &mut ZkHistory) -> Vec<(u32, u32)> {
    history.ready.drain(..).map(|txn| (txn.zxid.epoch(), txn.zxid.counter())).collect()
}

#[test]
fn applied_is_not_committed_and_dead_tails_stay_dead() {
    let process = crate::id::ProcessId(0);
    let mut history = ZkHistory::new(3);
    let apply = |history: &mut ZkHistory, server, epoch, counter| {
        history.on_apply(server, process, &txn(epoch, counter), u64::from(epoch * 100 + counter));
    };
    // A commit covers everything before it; an apply may come first.
    apply(&mut history, 0, 1, 1);
    assert_eq!(taken(&mut history), []);
    history.on_commit(Zxid::new(1, 2), 1);
    assert_eq!(taken(&mut history), [(1, 1)]);
    apply(&mut history, 0, 1, 2);
    apply(&mut history, 1, 1, 1);
    apply(&mut history, 1, 1, 2);
    assert_eq!(taken(&mut history), [(1, 2)]);
    // (1,3) is in the next leader's log and counts with its establishment; (1,4) is not and never will.
    apply(&mut history, 0, 1, 3);
    apply(&mut history, 0, 1, 4);
    history.on_established(2, Zxid::new(1, 3));
    assert_eq!(taken(&mut history), [(1, 3)]);
    apply(&mut history, 2, 1, 4);
    history.on_commit(Zxid::new(2, 1), 2);
    apply(&mut history, 1, 2, 1);
    assert_eq!(taken(&mut history), [(2, 1)]);
    assert_eq!((history.compared, history.conflicts.len()), (2, 0));
}

#[test]
fn znodes_become_partition_states_registrations_and_controllers() {
    let mut history = History::started(facts());
    history.state(Some(2), 1, &[2, 3]);
    let store = history.judge.store();
    let state = store.partition(0).expect("the state was written");
    assert_eq!((state.leader, state.leader_epoch, state.partition_epoch), (Some(BrokerId(2)), 1, 1));
    assert_eq!(state.isr[..], [BrokerId(2), BrokerId(3)]);
    assert_eq!(store.controller(), Some(BrokerId(1)));
    assert_eq!(store.broker_epoch(2), Some(Zxid::new(1, 3).0 as i64));
    assert_eq!(store.controller_epoch_before(Zxid::new(1, 4)), None);
    assert_eq!(store.controller_epoch_before(Zxid::new(1, 5)), Some(1));

    // Deleted by its owner, and with the session of its owner.
    history.transact(9, TxnBody::Delete { path: znode::CONTROLLER.into() });
    history.expire(3);
    assert_eq!(history.judge.store().controller(), None);
    assert_eq!(history.judge.store().broker_epoch(2), None);

    // A refused write leaves no trace, and a transaction that nobody counted is not believed.
    let uncounted = history.propose(1, create(&znode::broker_path(BrokerId(3)), "", true));
    history.apply(3, &uncounted);
    assert_eq!(history.judge.store().broker_epoch(2), None);
    history.commit(&uncounted);
    assert_eq!(history.judge.store().broker_epoch(2), Some(uncounted.zxid.0 as i64));
}

#[test]
fn coverage_counts_after_start_up_only() {
    let start = Instant::ZERO + Span::from_secs(10);
    let mut history = History::started(Facts { start, ..facts() });
    history.append(1, 0, 0, &[1]);
    history.truncate(1, (1, 0), 0, TruncateReason::DivergingEpoch);
    assert_eq!(history.judge.coverage(), Coverage::default());
    history.pass(10);
    history.truncate(1, (0, 0), 0, TruncateReason::DivergingEpoch);
    history.state(Some(1), 0, &[1, 2, 3]);
    history.role(2, ZkRole::Looking, 1, Zxid::ZERO);
    assert_eq!(history.judge.coverage(), Coverage::default());

    history.append(1, 0, 0, &[1]);
    history.truncate(1, (1, 0), 0, TruncateReason::DivergingEpoch);
    history.state(Some(2), 1, &[2, 3]);
    history.expire(3);
    history.role(3, ZkRole::Looking, 1, Zxid::ZERO);
    history.elect_controller(2, 2);
    history.down(3, true);
    let (partition, value) = (super::P, crate::id::ValueId(5));
    let error = crate::kafka::protocol::ErrorCode::RequestTimedOut;
    history.see(6, Observation::SendUnknown { partition, value, error });
    let missing: Vec<_> = history.judge.coverage().flags().into_iter().filter(|(_, met)| !met).collect();
    assert_eq!(missing, [("unclean election", false)]);
}
