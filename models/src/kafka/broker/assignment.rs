//! `AdminUtils.assignReplicasToBrokers`: which brokers hold the partitions of a new topic.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::BrokerId;
use crate::random::Random;

/// Spreads `partitions` times `factor` replicas over `brokers` (in rising order of id), leaders round robin from a random
/// start, the other replicas at a distance that grows with each round. If every broker has a rack, the replicas of a
/// partition are spread over the racks as well. `None` if only some brokers have one (`AdminOperationException`).
///
/// # Panics
/// If `factor` is zero or larger than the number of brokers.
pub(super) fn assign(
    brokers: &[(BrokerId, Option<String>)],
    partitions: u16,
    factor: u16,
    random: &mut Random,
) -> Option<Vec<Vec<BrokerId>>> {
    assert!(factor > 0 && usize::from(factor) <= brokers.len(), "the caller has checked the replication factor");
    let racks: BTreeMap<BrokerId, &str> =
        brokers.iter().filter_map(|(id, rack)| rack.as_deref().map(|rack| (*id, rack))).collect();
    let list = match racks.len() {
        0 => brokers.iter().map(|(id, _)| *id).collect(),
        n if n == brokers.len() => alternate_racks(&racks),
        _ => return None,
    };
    let start = random.below(list.len() as u64) as usize;
    let mut shift = random.below(list.len() as u64) as usize;
    let assignment = (0..usize::from(partitions)).map(|partition| {
        if partition > 0 && partition % list.len() == 0 {
            shift += 1;
        }
        let leader = (partition + start) % list.len();
        if racks.is_empty() {
            spread(&list, leader, shift, factor)
        } else {
            spread_racks(&list, &racks, leader, shift, factor)
        }
    });
    Some(assignment.collect())
}

/// `replicaIndex`: the `index`-th follower's place, never the leader's own.
fn place(leader: usize, shift: usize, index: usize, brokers: usize) -> usize {
    (leader + 1 + (shift + index) % (brokers - 1)) % brokers
}

fn spread(list: &[BrokerId], leader: usize, shift: usize, factor: u16) -> Vec<BrokerId> {
    let followers = (0..usize::from(factor) - 1).map(|index| list[place(leader, shift, index, list.len())]);
    std::iter::once(list[leader]).chain(followers).collect()
}

fn spread_racks(
    list: &[BrokerId],
    racks: &BTreeMap<BrokerId, &str>,
    leader: usize,
    shift: usize,
    factor: u16,
) -> Vec<BrokerId> {
    let rack_count = racks.values().collect::<BTreeSet<_>>().len();
    let mut replicas = vec![list[leader]];
    let mut used = BTreeSet::from([racks[&list[leader]]]);
    let mut index = 0;
    while replicas.len() < usize::from(factor) {
        let broker = list[place(leader, shift * rack_count, index, list.len())];
        index += 1;
        // A rack gets its second replica only when each has one.
        let rack_is_free = used.len() == rack_count || !used.contains(racks[&broker]);
        if rack_is_free && !replicas.contains(&broker) {
            replicas.push(broker);
            used.insert(racks[&broker]);
        }
    }
    replicas
}

/// `getRackAlternatedBrokerList`: one broker of each rack in turn.
fn alternate_racks(racks: &BTreeMap<BrokerId, &str>) -> Vec<BrokerId> {
    let mut by_rack: BTreeMap<&str, Vec<BrokerId>> = BTreeMap::new();
    for (broker, rack) in racks {
        by_rack.entry(rack).or_default().push(*broker);
    }
    let longest = by_rack.values().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|turn| by_rack.values().filter_map(move |rack| rack.get(turn).copied())).collect()
}

#[test]
fn replicas_are_spread_over_brokers_and_racks() {
    let brokers = |racks: &[Option<&str>]| -> Vec<_> {
        racks.iter().zip(1..).map(|(rack, id)| (BrokerId(id), rack.map(str::to_owned))).collect()
    };
    let mut random = Random::new(3, crate::random::Purpose::Process, 0);

    let flat = assign(&brokers(&[None; 5]), 10, 3, &mut random).expect("no racks at all is fine");
    for broker in 1..=5 {
        let count = |at: fn(&[BrokerId]) -> &[BrokerId]| {
            flat.iter().filter(|replicas| at(replicas).contains(&BrokerId(broker))).count()
        };
        assert_eq!((count(|r| &r[..1]), count(|r| r)), (2, 6), "leads two, holds six: {flat:?}");
    }
    let pairs: BTreeSet<_> = flat.iter().map(|replicas| (replicas[0], replicas[1])).collect();
    assert_eq!(pairs.len(), 10, "the second round pairs brokers differently");

    let sites = [Some("a"), Some("a"), Some("b"), Some("b")];
    for replicas in assign(&brokers(&sites), 8, 2, &mut random).expect("all have racks") {
        assert_ne!(replicas[0].0 <= 2, replicas[1].0 <= 2, "one replica a site");
    }
    for replicas in assign(&brokers(&sites), 8, 4, &mut random).expect("all have racks") {
        assert_eq!(replicas.into_iter().collect::<BTreeSet<_>>().len(), 4);
    }
    assert_eq!(assign(&brokers(&[Some("a"), None]), 1, 1, &mut random), None);
    assert_eq!(assign(&brokers(&[None]), 2, 1, &mut random), Some(vec![vec![BrokerId(1)]; 2]));
}
