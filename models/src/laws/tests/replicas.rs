//! Histories of replicas.

use super::history::{History, P, create};
use super::{Law, Planted};
use crate::id::{BrokerId, ProducerId};
use crate::kafka::protocol::ProducerMark;
use crate::kafka::znode::{self, TopicZnode};
use crate::observation::{Observation, ReplicaRole, TruncateReason};

/// A producer's batch is appended by all, the first broker leading, and committed.
fn batch(h: &mut History, base_offset: u64, value: u64, (epoch, base_sequence): (u16, u32)) {
    let mark = ProducerMark { id: ProducerId(7), epoch, base_sequence };
    (1..=3).for_each(|broker| h.append_batch(broker, base_offset, 0, &[value], Some(mark)));
    h.high_watermark(&[1], 0, base_offset + 1);
}

fn cut(h: &mut History, broker: u16, to: u64, (role, reason): (ReplicaRole, TruncateReason), high_watermark: u64) {
    let (partition, from, leader_epoch) = (P, 2, 0);
    h.broker(broker, Observation::Truncate { partition, from, to, high_watermark, leader_epoch, role, reason });
}

fn join(h: &mut History, broker: u16, leader_epoch: i32, fetch_offset: u64) {
    h.broker(broker, Observation::IsrJoin { partition: P, leader_epoch, follower: BrokerId(3), fetch_offset });
}

/// Broker 2 loses a record that was not committed, and registers again.
fn lose_a_tail(h: &mut History, before: impl FnOnce(&mut History)) {
    h.write(&[1, 2, 3], 0, 0, &[1, 2]);
    h.append(1, 2, 0, &[3]);
    h.append(2, 2, 0, &[3]);
    h.down(2, true);
    before(h);
    h.broker(2, Observation::Up);
    h.load(2, 2);
    h.register(2);
}

/// The partition has the replicas 1 and 2.
fn assign(h: &mut History) {
    let topic = TopicZnode { version: 3, partitions: [(P.partition, vec![1, 2])].into() };
    h.transact(101, create(&znode::topic_path(P.topic), &znode::encode(&topic), false));
}

pub(super) const STORIES: &[Planted] = &[
    (
        Law::LeaderAppendOnly,
        |h| {
            h.append(1, 0, 0, &[1, 2]);
            cut(h, 1, 1, (ReplicaRole::Leader, TruncateReason::DivergingEpoch), 0);
        },
        |h| {
            h.append(1, 0, 0, &[1, 2]);
            h.truncate(1, (2, 1), 1, TruncateReason::DivergingEpoch);
        },
    ),
    (
        // The leader of the epoch put another record there.
        Law::LeaderAppendOnly,
        |h| {
            h.append(1, 0, 0, &[1]);
            h.append(2, 0, 0, &[2]);
        },
        // Two epochs may name two records of one offset.
        |h| {
            h.append(1, 0, 0, &[1]);
            h.begin(3, 1);
            h.append(3, 0, 1, &[2]);
            h.append(2, 0, 1, &[2]);
        },
    ),
    (
        // Nobody put a record there.
        Law::LeaderAppendOnly,
        |h| {
            h.append(1, 0, 0, &[1]);
            h.append(2, 0, 0, &[1, 2]);
        },
        |h| {
            h.append(1, 0, 0, &[1]);
            h.append(1, 1, 0, &[2]);
            h.append(2, 0, 0, &[1, 2]);
        },
    ),
    (
        Law::WeakIsr,
        |h| {
            h.state(Some(1), 0, &[1, 2]);
            h.write(&[1, 2], 0, 0, &[1, 2]);
            h.append(3, 0, 0, &[1]);
            h.isr(1, 0, &[1, 2, 3], &[1, 2, 3]);
        },
        // A follower may be behind in the ISR that is only asked for.
        |h| {
            h.state(Some(1), 0, &[1, 2]);
            h.write(&[1, 2], 0, 0, &[1, 2]);
            h.append(3, 0, 0, &[1]);
            h.isr(1, 0, &[1, 2], &[1, 2, 3]);
        },
    ),
    (
        // A deposed leader's records, below its high watermark, are cut by a follower which then joins another's ISR.
        Law::StrongIsr,
        |h| {
            h.state(Some(1), 0, &[1, 2]);
            h.append(1, 0, 0, &[1]);
            h.begin(2, 1);
            h.append(2, 0, 1, &[2]);
            h.append(3, 0, 1, &[2]);
            h.state(Some(2), 1, &[2]);
            h.state(Some(2), 1, &[2, 3]);
            h.high_watermark(&[1], 0, 1);
        },
        |h| {
            h.state(Some(1), 0, &[1, 2]);
            h.append(1, 0, 0, &[1]);
            h.append(2, 0, 0, &[1]);
            h.state(Some(2), 1, &[2]);
            h.begin(2, 1);
            h.append(3, 0, 0, &[1]);
            h.state(Some(2), 1, &[2, 3]);
            h.high_watermark(&[1], 0, 1);
        },
    ),
    (
        Law::ConsistentRead,
        |h| {
            h.send(1);
            h.send(2);
            (1..=3).for_each(|broker| h.append(broker, 0, 0, &[1]));
            h.high_watermark(&[1], 0, 1);
            h.poll(0, &[2]);
        },
        |h| {
            h.send(1);
            h.send(2);
            (1..=3).for_each(|broker| h.append(broker, 0, 0, &[1]));
            h.high_watermark(&[1], 0, 1);
            h.poll(0, &[1]);
        },
    ),
    (
        Law::CommittedReadOnly,
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1]);
            h.send(2);
            h.append(1, 1, 0, &[2]);
            h.poll(0, &[1, 2]);
        },
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2]);
            h.poll(0, &[1, 2]);
        },
    ),
    (
        Law::TrueHwMonotonic,
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2]);
            h.high_watermark(&[1], 0, 1);
        },
        // A follower takes its leader's, which may be lower.
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2]);
            h.reports(3, 0, 1);
        },
    ),
    (
        // After it has led before.
        Law::TrueHwMonotonic,
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2]);
            h.begin(1, 1);
            h.high_watermark(&[1], 1, 1);
        },
        // Restarted with what it had last written down, and not at the start of its epoch yet.
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2]);
            h.down(2, false);
            h.broker(2, Observation::Up);
            h.load(2, 2);
            h.begin(2, 1);
            h.high_watermark(&[2], 1, 1);
        },
    ),
    (
        Law::HwInLog,
        |h| {
            h.append(2, 0, 0, &[1]);
            h.reports(2, 0, 2);
        },
        |h| {
            h.append(2, 0, 0, &[1]);
            h.reports(2, 0, 1);
        },
    ),
    (
        // Cut below its high watermark, without another word.
        Law::HwInLog,
        |h| {
            h.append(1, 0, 0, &[1, 2]);
            h.append(2, 0, 0, &[1, 2]);
            cut(h, 2, 1, (ReplicaRole::Follower, TruncateReason::OutOfRange), 2);
            h.pass(1);
            h.send(1);
        },
        |h| {
            h.append(1, 0, 0, &[1, 2]);
            h.append(2, 0, 0, &[1, 2]);
            h.at_once(|h| {
                cut(h, 2, 1, (ReplicaRole::Follower, TruncateReason::OutOfRange), 2);
                h.reports(2, 0, 1);
            });
            h.pass(1);
            h.send(1);
        },
    ),
    (
        // Behind the leader's high watermark.
        Law::IsrJoinRule,
        |h| {
            h.state(Some(1), 0, &[1, 2]);
            h.write(&[1, 2], 0, 0, &[1, 2]);
            join(h, 1, 0, 1);
        },
        |h| {
            h.state(Some(1), 0, &[1, 2]);
            h.write(&[1, 2], 0, 0, &[1, 2]);
            join(h, 1, 0, 2);
        },
    ),
    (
        // Behind the start of the leader's epoch.
        Law::IsrJoinRule,
        |h| {
            h.append(1, 0, 0, &[1, 2]);
            h.begin(1, 1);
            join(h, 1, 1, 1);
        },
        |h| {
            h.append(1, 0, 0, &[1, 2]);
            h.begin(1, 1);
            join(h, 1, 1, 2);
        },
    ),
    (
        // Nothing committed is lost, and yet the place is not earned by this life.
        Law::UncleanExclusion,
        |h| {
            lose_a_tail(h, |_| {});
            h.take_over(3, 2);
        },
        |h| {
            lose_a_tail(h, |h| h.state(Some(1), 1, &[1, 3]));
            h.append(2, 2, 0, &[3]);
            h.state(Some(1), 1, &[1, 3, 2]);
            h.take_over(3, 2);
        },
    ),
    (
        Law::NoFullTruncation,
        |h| {
            h.append(2, 0, 5, &[1, 2]);
            cut(h, 2, 1, (ReplicaRole::Follower, TruncateReason::Full), 0);
        },
        // The leader's log begins where this one does not reach.
        |h| {
            h.append(2, 0, 5, &[1, 2]);
            h.at_once(|h| {
                cut(h, 2, 3, (ReplicaRole::Follower, TruncateReason::Full), 0);
                h.reports(2, 0, 3);
            });
            h.append(2, 3, 5, &[4]);
        },
    ),
    (
        Law::ZombieNoCommit,
        |h| {
            h.append(1, 0, 0, &[1, 2]);
            h.state(Some(2), 1, &[2, 3]);
            h.begin(2, 1);
            h.state(Some(2), 1, &[2]);
            h.append(2, 0, 0, &[1, 2]);
            h.high_watermark(&[1], 0, 2);
        },
        // Fetched before the newer leader began, told afterwards.
        |h| {
            h.append(1, 0, 0, &[1, 2]);
            h.append(2, 0, 0, &[1, 2]);
            h.state(Some(2), 1, &[2]);
            h.begin(2, 1);
            h.high_watermark(&[1], 0, 2);
        },
    ),
    (
        Law::IsrSubsetReplicas,
        |h| {
            assign(h);
            h.state(Some(1), 0, &[1, 3]);
        },
        |h| {
            assign(h);
            h.state(Some(1), 0, &[1, 2]);
        },
    ),
    (Law::IsrSubsetReplicas, |h| h.state(None, 1, &[]), |h| h.state(None, 1, &[3])),
    (
        // The leader has shrunk its ISR in mind before that was stored.
        Law::QuorumSuperset,
        |h| h.isr(1, 0, &[1, 2], &[1, 2]),
        |h| {
            h.isr(1, 0, &[1, 2, 3], &[1, 2, 3]);
            h.state(Some(1), 0, &[1, 2]);
            h.isr(1, 0, &[1, 2], &[1, 2]);
            h.isr(1, 0, &[1, 2], &[1, 2, 3]);
            h.state(Some(1), 0, &[1, 2, 3]);
            // Deposed, it may think what it likes.
            h.state(Some(2), 1, &[1, 2, 3]);
            h.isr(1, 0, &[1], &[1]);
        },
    ),
    (
        Law::NoGlobalLoss,
        |h| {
            h.state(Some(1), 0, &[1]);
            h.write(&[1], 0, 0, &[1]);
            h.down(1, false);
            h.broker(1, Observation::Up);
            h.load(1, 0);
        },
        |h| {
            h.state(Some(1), 0, &[1, 3]);
            h.write(&[1, 3], 0, 0, &[1]);
            h.down(1, false);
            h.broker(1, Observation::Up);
            h.load(1, 0);
        },
    ),
    (
        Law::EpochCacheMonotonic,
        |h| {
            h.append(2, 0, 5, &[1]);
            h.append(2, 1, 4, &[2]);
        },
        |h| {
            h.append(2, 0, 4, &[1]);
            h.append(2, 1, 5, &[2]);
            h.append(2, 1, 6, &[3]);
        },
    ),
    (
        // It begins elsewhere than where its log ends.
        Law::EpochCacheMonotonic,
        |h| {
            h.broker(2, Observation::LeaderBegin { partition: P, leader_epoch: 1, leo: 1 });
        },
        |h| h.begin(2, 1),
    ),
    (
        Law::NoFencedInIsr,
        |h| {
            h.expire(3);
            h.pass(21);
            h.state(Some(1), 0, &[1, 2]);
            h.state(Some(1), 0, &[1, 2, 3]);
        },
        // It was written before anybody could be sure to have heard; of two that are gone one is taken out first; and the
        // last member stays.
        |h| {
            h.expire(3);
            h.pass(17);
            h.state(Some(1), 0, &[1, 2, 3]);
            h.expire(2);
            h.pass(21);
            h.state(Some(1), 0, &[1, 3]);
            h.state(None, 1, &[3]);
        },
    ),
    (
        Law::ExactlyOnce,
        |h| {
            batch(h, 0, 1, (0, 0));
            batch(h, 1, 2, (0, 1));
            batch(h, 2, 3, (0, 1));
        },
        // A new epoch counts from 0 again.
        |h| {
            batch(h, 0, 1, (0, 0));
            batch(h, 1, 2, (0, 1));
            batch(h, 2, 3, (1, 0));
            batch(h, 3, 4, (1, 1));
        },
    ),
    (
        // Acknowledged, but not committed there.
        Law::ExactlyOnce,
        |h| {
            h.send(1);
            h.ok(1, Some(0));
        },
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1]);
        },
    ),
    (
        Law::Order,
        |h| {
            batch(h, 0, 1, (0, 0));
            batch(h, 1, 3, (0, 2));
        },
        // What is not committed may come in any order.
        |h| {
            let mark = |base_sequence| Some(ProducerMark { id: ProducerId(7), epoch: 0, base_sequence });
            h.append_batch(1, 0, 0, &[2], mark(1));
            h.truncate(1, (1, 0), 1, TruncateReason::DivergingEpoch);
            h.begin(1, 1);
            (1..=3).for_each(|broker| h.append_batch(broker, 0, 1, &[1], mark(0)));
            h.high_watermark(&[1], 1, 1);
        },
    ),
    (
        // What looks like a repetition is the batch that was missing.
        Law::Order,
        |h| {
            batch(h, 0, 1, (0, 1));
            batch(h, 1, 3, (0, 0));
        },
        |h| {
            batch(h, 0, 1, (0, 0));
            batch(h, 1, 3, (0, 1));
        },
    ),
    (
        Law::EpochOrder,
        |h| {
            batch(h, 0, 1, (1, 0));
            batch(h, 1, 2, (0, 0));
        },
        |h| {
            batch(h, 0, 1, (1, 0));
            batch(h, 1, 2, (3, 0));
        },
    ),
];
