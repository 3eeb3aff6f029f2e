//! `ConsumerPartitionAssignor`: how the leader of a group divides partitions. All members of a group read the same topics
//! here, as instances of one application do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::id::{MemberId, Topic, TopicPartition};
use crate::kafka::config::Strategy;
use crate::kafka::group::messages::{Assignment, Subscription};

/// Divides `partitions`, sorted, among the members.
pub(super) fn assign(
    strategy: Strategy,
    members: &[(MemberId, Subscription)],
    partitions: &[TopicPartition],
) -> Assignment {
    let mut shares: BTreeMap<MemberId, Vec<TopicPartition>> = members.iter().map(|(id, _)| (*id, Vec::new())).collect();
    let readers = |topic: Topic| members.iter().filter(move |(_, s)| s.topics.contains(&topic)).map(|(id, _)| *id);
    match strategy {
        Strategy::Range => {
            for run in partitions.chunk_by(|a, b| a.topic == b.topic) {
                let readers: BTreeSet<_> = readers(run[0].topic).collect();
                range(run, &readers, &mut shares);
            }
        }
        Strategy::RoundRobin => {
            let ids: Vec<_> = shares.keys().copied().collect();
            let mut next = 0;
            for partition in partitions {
                let reads: BTreeSet<_> = readers(partition.topic).collect();
                let turn = (next..next + ids.len()).find(|turn| reads.contains(&ids[turn % ids.len()]));
                if let Some(turn) = turn {
                    shares.entry(ids[turn % ids.len()]).or_default().push(*partition);
                    next = turn + 1;
                }
            }
        }
        Strategy::Sticky => sticky(members, partitions, &mut shares),
    }
    shares.into_iter().map(|(id, share)| (id, Arc::from(share))).collect()
}

/// `RangeAssignor`: a run of equal length to each, one more to the first ones.
fn range(
    partitions: &[TopicPartition],
    readers: &BTreeSet<MemberId>,
    shares: &mut BTreeMap<MemberId, Vec<TopicPartition>>,
) {
    let mut left = partitions;
    for (index, id) in readers.iter().enumerate() {
        let length = left.len().div_ceil(readers.len() - index);
        let (run, rest) = left.split_at(length);
        shares.entry(*id).or_default().extend(run);
        left = rest;
    }
}

/// `AbstractStickyAssignor`, for equal subscriptions: nobody gets more than its quota, and everybody keeps what it had within
/// that. What two claim is the first one's.
fn sticky(
    members: &[(MemberId, Subscription)],
    partitions: &[TopicPartition],
    shares: &mut BTreeMap<MemberId, Vec<TopicPartition>>,
) {
    let readers: Vec<_> = members.iter().filter(|(_, s)| !s.topics.is_empty()).collect();
    if readers.is_empty() {
        return;
    }
    let mut free: BTreeSet<_> = partitions.iter().copied().collect();
    let (least, mut larger) = (partitions.len() / readers.len(), partitions.len() % readers.len());
    for (id, subscription) in &readers {
        let kept: Vec<_> = subscription.owned.iter().filter(|partition| free.contains(partition)).copied().collect();
        let quota = if kept.len() > least && larger > 0 {
            larger -= 1;
            least + 1
        } else {
            least
        };
        let share = shares.entry(*id).or_default();
        share.extend(kept.into_iter().take(quota));
        share.iter().for_each(|partition| {
            free.remove(partition);
        });
    }
    let mut free = free.into_iter();
    for (id, _) in &readers {
        let share = shares.entry(*id).or_default();
        let missing = least.saturating_sub(share.len());
        share.extend(free.by_ref().take(missing));
    }
    for (id, _) in &readers {
        let share = shares.entry(*id).or_default();
        if share.len() == least && larger > 0 {
            larger -= 1;
            share.extend(free.next());
        }
    }
}

#[test]
fn every_strategy_gives_each_partition_to_one_member() {
    let partitions = |topics: u16, n: u16| -> Vec<_> {
        let of = move |topic| (0..n).map(move |partition| TopicPartition { topic: Topic(topic), partition });
        (0..topics).flat_map(of).collect()
    };
    let members = |owned: &[&[u16]]| -> Vec<_> {
        let subscription = |owned: &[u16]| Subscription {
            topics: [Topic(0), Topic(1)].into(),
            owned: owned.iter().map(|p| TopicPartition { topic: Topic(0), partition: *p }).collect(),
        };
        (1..).zip(owned).map(|(id, owned)| (MemberId(id), subscription(owned))).collect()
    };
    let check = |strategy, owned: &[&[u16]], topics: u16, n: u16, expected: &[&[(u16, u16)]]| {
        let assignment = assign(strategy, &members(owned), &partitions(topics, n));
        let shares: Vec<Vec<_>> =
            assignment.iter().map(|(_, share)| share.iter().map(|p| (p.topic.0, p.partition)).collect()).collect();
        assert_eq!(shares, expected, "{strategy:?} {owned:?}");
    };
    check(Strategy::Range, &[&[], &[]], 2, 3, &[&[(0, 0), (0, 1), (1, 0), (1, 1)], &[(0, 2), (1, 2)]]);
    check(Strategy::RoundRobin, &[&[], &[]], 2, 3, &[&[(0, 0), (0, 2), (1, 1)], &[(0, 1), (1, 0), (1, 2)]]);
    check(Strategy::Range, &[&[], &[], &[]], 1, 2, &[&[(0, 0)], &[(0, 1)], &[]]);
    check(Strategy::Sticky, &[&[0, 1, 2, 3], &[]], 1, 4, &[&[(0, 0), (0, 1)], &[(0, 2), (0, 3)]]);
    check(Strategy::Sticky, &[&[3], &[0, 1, 4], &[]], 1, 5, &[&[(0, 3), (0, 4)], &[(0, 0), (0, 1)], &[(0, 2)]]);
    check(Strategy::Sticky, &[&[1, 2], &[2, 3]], 1, 4, &[&[(0, 1), (0, 2)], &[(0, 3), (0, 0)]]);
}
