//! Groups: process 7 is a member of the only group; its coordinators are brokers 1 and 2.

use std::sync::Arc;

use super::history::{History, P, facts};
use super::{Expect, Story, check};
use crate::id::{Group, MemberId, ProcessId, Topic, TopicPartition};
use crate::laws::{Facts, GroupFacts, Law, Outcome, PartitionFacts};
use crate::observation::{GroupState, Observation, RemovalReason};
use crate::time::{Instant, Span};

const HOME: TopicPartition = TopicPartition { topic: Topic::CONSUMER_OFFSETS, partition: 31 };
const MEMBER: MemberId = MemberId(1);
const OTHER: MemberId = MemberId(2);

fn group() -> Group {
    Group("orders".into())
}

/// The facts of the other histories, and a group.
pub(super) fn grouped() -> Facts {
    let group = GroupFacts {
        group: group(),
        members: vec![ProcessId(7)],
        session_timeout: Span::from_secs(45),
        rebalance_timeout: Span::from_secs(300),
    };
    Facts { groups: vec![group], ..facts() }
}

impl History {
    fn subscribe(&mut self) {
        self.see(7, Observation::Subscribe { group: group(), topics: [P.topic].into() });
    }

    fn group_state(&mut self, broker: u16, state: GroupState, generation: i32) {
        self.broker(broker, Observation::GroupState { partition: HOME, group: group(), state, generation, members: 1 });
    }

    fn assigned(&mut self, process: u16, member: MemberId, generation: i32) {
        self.see(process, Observation::Assigned { group: group(), member, generation, partitions: [P].into() });
    }

    fn ask_commit(&mut self, offset: u64) {
        self.ask_as(7, 1, offset);
    }

    fn ask_as(&mut self, process: u16, generation: i32, offset: u64) {
        self.see(process, Observation::Commit { group: group(), generation, offsets: [(P, offset)].into() });
    }

    /// A broker acknowledges a commit that stands at this offset of the offsets partition.
    fn accept(&mut self, broker: u16, place: (i32, u64), offset: u64) {
        self.accept_in(1, broker, place, offset);
    }

    fn accept_in(&mut self, generation: i32, broker: u16, (leader_epoch, base_offset): (i32, u64), offset: u64) {
        self.broker(
            broker,
            Observation::CommitAccepted {
                partition: HOME,
                leader_epoch,
                base_offset,
                group: group(),
                member: MEMBER,
                generation,
                offsets: [(P, offset)].into(),
            },
        );
    }

    fn serve_offsets(&mut self, broker: u16, leader_epoch: i32, offset: Option<u64>) {
        let offsets = [(P, offset)].into();
        self.broker(broker, Observation::OffsetsServed { partition: HOME, leader_epoch, group: group(), offsets });
    }

    /// The clock of this broker keeps true time.
    fn heard(&mut self, broker: u16, generation: i32) {
        self.heard_at(broker, generation, self.now());
    }

    fn removed(&mut self, broker: u16, reason: RemovalReason) {
        self.removed_at(broker, reason, self.now());
    }

    fn heard_at(&mut self, broker: u16, generation: i32, clock: Instant) {
        self.broker(broker, Observation::MemberHeard { group: group(), member: MEMBER, generation, clock });
    }

    fn removed_at(&mut self, broker: u16, reason: RemovalReason, clock: Instant) {
        self.broker(broker, Observation::MemberRemoved { group: group(), member: MEMBER, reason, clock });
    }

    /// A broker hears of the member and removes it as silent `seconds` later, `ms` later by its own clock.
    fn silent(&mut self, broker: u16, seconds: u64, ms: u64) {
        let clock = Instant::ZERO + Span::from_secs(1_000);
        self.heard_at(broker, 1, clock);
        self.pass(seconds);
        self.removed_at(broker, RemovalReason::SessionTimeout, clock + Span::from_ms(ms));
    }

    /// The member asks for a commit and gets no answer, then for more, one record further each time.
    fn ask_in_vain(&mut self, offset: u64, more: u64) {
        (offset..=offset + more).for_each(|offset| self.ask_commit(offset));
    }

    fn loaded(&mut self, broker: u16, leader_epoch: i32) {
        self.broker(broker, Observation::CoordinatorLoaded { partition: HOME, leader_epoch, groups: 1, offsets: 1 });
    }

    fn unloaded(&mut self, broker: u16, leader_epoch: i32) {
        self.broker(broker, Observation::CoordinatorUnloaded { partition: HOME, leader_epoch });
    }
}

/// Safety laws, each with a history that breaks it and one that comes as close as is allowed.
pub(super) const STORIES: &[(Law, Story, Story)] = &[
    (
        Law::CommitDurable,
        |h| {
            h.told(0, 9);
            h.subscribe();
            h.told(0, 9);
            h.ask_commit(3);
            h.accept(1, (1, 0), 3);
            h.ask_commit(5);
            h.accept(1, (1, 1), 5);
            h.serve_offsets(2, 2, Some(3));
        },
        // A commit that nobody was told of may have been written, and a deposed coordinator remembers what it remembers.
        |h| {
            h.subscribe();
            h.told(0, 9);
            h.ask_commit(3);
            h.accept(1, (1, 0), 3);
            h.ask_commit(5);
            h.accept(2, (2, 1), 5);
            h.ask_commit(7);
            h.serve_offsets(2, 2, Some(7));
            h.serve_offsets(1, 1, Some(3));
            h.serve_offsets(2, 2, Some(5));
        },
    ),
    (
        Law::CommitDurable,
        |h| {
            h.subscribe();
            h.told(0, 9);
            h.ask_commit(3);
            h.accept(1, (1, 0), 3);
            h.serve_offsets(1, 1, None);
        },
        |h| h.serve_offsets(1, 1, None),
    ),
    (
        // However much is asked for later: what stands before an acknowledged commit never comes back.
        Law::CommitDurable,
        |h| {
            h.subscribe();
            h.told(0, 9_999);
            h.ask_commit(5);
            h.ask_commit(6);
            h.accept(1, (1, 1), 6);
            h.ask_in_vain(7, 500);
            h.serve_offsets(2, 2, Some(5));
        },
        // And what may stand behind it is not forgotten.
        |h| {
            h.subscribe();
            h.told(0, 9_999);
            h.ask_commit(4);
            h.accept(1, (1, 0), 4);
            h.ask_in_vain(5, 500);
            h.serve_offsets(2, 2, Some(5));
            h.serve_offsets(2, 2, Some(6));
            h.serve_offsets(2, 2, Some(505));
        },
    ),
    (
        // Asked for once and acknowledged: it stands before what another member had acknowledged afterwards.
        Law::CommitDurable,
        |h| {
            h.subscribe();
            h.told(0, 9);
            h.ask_commit(5);
            h.accept(1, (1, 0), 5);
            h.ask_as(6, 1, 4);
            h.accept(1, (1, 1), 4);
            h.serve_offsets(1, 1, Some(5));
        },
        // Asked for twice and acknowledged once.
        |h| {
            h.subscribe();
            h.told(0, 9);
            h.ask_commit(5);
            h.ask_commit(5);
            h.accept(1, (1, 0), 5);
            h.ask_as(6, 1, 4);
            h.accept(1, (1, 1), 4);
            h.serve_offsets(1, 1, Some(5));
        },
    ),
    (
        // Nothing of an older generation is written behind a commit of a newer one.
        Law::CommitDurable,
        |h| {
            h.subscribe();
            h.told(0, 9);
            h.ask_commit(5);
            h.ask_as(6, 2, 4);
            h.accept_in(2, 1, (1, 1), 4);
            h.serve_offsets(1, 1, Some(5));
        },
        |h| {
            h.subscribe();
            h.told(0, 9);
            h.ask_as(7, 2, 5);
            h.ask_as(6, 2, 4);
            h.accept_in(2, 1, (1, 1), 4);
            h.serve_offsets(1, 1, Some(5));
        },
    ),
    (
        Law::GenerationFence,
        |h| {
            h.group_state(1, GroupState::Stable, 2);
            h.heard(1, 1);
        },
        // Another coordinator may not have come that far.
        |h| {
            h.group_state(1, GroupState::Stable, 2);
            h.heard(1, 2);
            h.group_state(2, GroupState::Stable, 1);
            h.heard(2, 1);
        },
    ),
    (
        Law::GenerationFence,
        |h| {
            h.group_state(1, GroupState::Stable, 2);
            h.removed(1, RemovalReason::Left);
            h.heard(1, 2);
        },
        // The removal was in memory alone.
        |h| {
            h.group_state(1, GroupState::Stable, 2);
            h.removed(1, RemovalReason::Left);
            h.loaded(1, 3);
            h.group_state(1, GroupState::Stable, 2);
            h.heard(1, 2);
        },
    ),
    (
        Law::Exclusive,
        |h| {
            h.assigned(7, MEMBER, 1);
            h.assigned(6, OTHER, 1);
        },
        |h| {
            h.assigned(7, MEMBER, 1);
            h.assigned(6, OTHER, 2);
            h.assigned(7, MEMBER, 1);
        },
    ),
    (
        Law::Exclusive,
        |h| {
            let share: Arc<[_]> = [P].into();
            let assignment = [(MEMBER, Arc::clone(&share)), (OTHER, share)].into();
            h.broker(1, Observation::GroupAssigned { group: group(), generation: 1, assignment });
        },
        |h| {
            let assignment = [(MEMBER, [P].into()), (OTHER, Arc::default())].into();
            h.broker(1, Observation::GroupAssigned { group: group(), generation: 1, assignment });
        },
    ),
    (
        Law::NoSilentSkip,
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2, 3]);
            h.subscribe();
            h.poll(0, &[1]);
            h.poll(2, &[3]);
        },
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2, 3]);
            h.subscribe();
            h.poll(0, &[1]);
            h.told(1, 2);
            h.poll(2, &[3]);
            h.poll(0, &[1]);
        },
    ),
    (
        // It comes back to a group that has gone on: nothing that it was told explains where it begins.
        Law::NoSilentSkip,
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2, 3]);
            h.subscribe();
            h.assigned(7, MEMBER, 1);
            h.see(7, Observation::FetchCommitted { group: group(), generation: 1, offsets: [(P, Some(1))].into() });
            h.poll(2, &[3]);
        },
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2, 3]);
            h.subscribe();
            h.poll(0, &[1]);
            h.assigned(7, MEMBER, 1);
            h.see(7, Observation::FetchCommitted { group: group(), generation: 1, offsets: [(P, Some(2))].into() });
            h.poll(2, &[3]);
        },
    ),
    (
        Law::CoordinatorUnique,
        |h| {
            h.accept(1, (1, 0), 0);
            h.accept(2, (1, 1), 0);
        },
        |h| {
            h.accept(1, (1, 0), 0);
            h.accept(2, (2, 1), 0);
            h.accept(1, (1, 2), 0);
        },
    ),
    (
        Law::MemberFencing,
        |h| {
            h.heard(1, 1);
            h.pass(44);
            h.removed(1, RemovalReason::SessionTimeout);
        },
        |h| {
            h.heard(1, 1);
            h.pass(10);
            h.removed(1, RemovalReason::Left);
            h.heard(2, 1);
            h.pass(45);
            h.removed(2, RemovalReason::SessionTimeout);
        },
    ),
    (
        // A slow clock excuses nobody who acts before it says so.
        Law::MemberFencing,
        |h| h.silent(1, 46, 44_999),
        // A heartbeat expires by the clock of the coordinator, whose milliseconds are whole ones.
        |h| {
            h.silent(1, 44, 45_000);
            h.silent(2, 30, 45_000);
        },
    ),
    (
        Law::GroupNoLoss,
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2]);
            h.subscribe();
            h.told(0, 0);
            h.poll(0, &[1, 2]);
            h.ask_commit(3);
            h.accept(1, (1, 0), 3);
        },
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2]);
            h.subscribe();
            h.told(0, 0);
            h.poll(0, &[1, 2]);
            h.accept(1, (1, 0), 2);
            h.told(2, 9);
            h.accept(1, (1, 1), 9);
        },
    ),
];

#[test]
fn each_law_of_groups_fires_on_its_breach_and_only_there() {
    for (law, bad, good) in STORIES {
        check(&format!("{law} planted"), grouped(), bad, &Expect { broken: Some(*law), permitted: &[] });
        check(&format!("{law} sound"), grouped(), good, &Expect { broken: None, permitted: &[] });
    }
}

/// Process 7 loses its partition to process 6 and reads on, as long as said.
fn overlap(h: &mut History, seconds: u64) {
    h.write(&[1, 2, 3], 0, 0, &[1, 2, 3]);
    h.subscribe();
    h.assigned(7, MEMBER, 1);
    h.poll(0, &[1]);
    h.assigned(6, OTHER, 2);
    h.pass(seconds);
    h.poll(1, &[2, 3]);
}

#[test]
fn a_long_overlap_is_reported_and_no_failure() {
    let permitted: &[_] = &[(Law::OverlapBound, "went on with a partition")];
    check("long", grouped(), |h| overlap(h, 46), &Expect { broken: None, permitted });
    check("short", grouped(), |h| overlap(h, 44), &Expect { broken: None, permitted: &[] });
}

fn healed() -> History {
    let mut history = History::started(grouped());
    history.write(&[1, 2, 3], 0, 0, &[1]);
    history.subscribe();
    history.group_state(1, GroupState::Stable, 1);
    history.assigned(7, MEMBER, 1);
    history.told(0, 0);
    history.quiet();
    history.poll(0, &[1]);
    history.state(Some(1), 0, &[1, 2, 3]);
    history.write(&[1, 2, 3], 1, 0, &[2]);
    history
}

/// Each liveness law with a story that leaves it unmet after the quiet point, and words of its wait.
const WAITS: &[(Law, Story, &str)] = &[
    (Law::GroupStable, |h| h.group_state(1, GroupState::PreparingRebalance, 1), "waits in PreparingRebalance"),
    (
        Law::GroupStable,
        |h| h.group_state(2, GroupState::Stable, 2),
        "waits for its share of group orders, generation 2",
    ),
    (
        Law::GroupStable,
        |h| {
            h.group_state(1, GroupState::Stable, 2);
            h.see(7, Observation::Assigned { group: group(), member: MEMBER, generation: 2, partitions: [].into() });
        },
        "topic-0-0 waits for a member",
    ),
];

/// The laws whose histories stand below.
pub(super) const LIVENESS: &[Law] = &[Law::GroupStable, Law::Consume];

#[test]
fn groups_are_waited_for() {
    let mut history = healed();
    assert_eq!(history.judge.unmet(history.now()), []);
    let reports = history.judge.finish(history.now());
    for law in LIVENESS {
        assert_eq!(reports[*law as usize].outcome, Outcome::Held);
    }
    for (law, story, words) in WAITS {
        let mut history = healed();
        story(&mut history);
        let unmet = history.judge.unmet(history.now());
        assert_eq!(unmet.iter().map(|unmet| unmet.law).collect::<Vec<_>>(), [*law], "{unmet:#?}");
        assert!(unmet[0].what.contains(words), "{unmet:#?}");
    }
    // A coordinator that was deposed and does not know removes its members; they are with the new one.
    let mut history = healed();
    history.loaded(1, 3);
    history.loaded(2, 4);
    history.group_state(2, GroupState::Stable, 1);
    history.group_state(1, GroupState::Empty, 2);
    assert_eq!(history.judge.unmet(history.now()), []);
    history.group_state(2, GroupState::Empty, 2);
    let unmet = history.judge.unmet(history.now());
    assert_eq!(unmet.iter().map(|unmet| unmet.law).collect::<Vec<_>>(), [Law::GroupStable], "{unmet:#?}");
    // What a coordinator said of the group is void when another takes over who does not know it, or nobody does.
    for lost in
        [|h: &mut History| h.loaded(2, 4), |h: &mut History| h.unloaded(1, 3), |h: &mut History| h.down(1, false)]
    {
        let mut history = healed();
        history.loaded(1, 3);
        history.group_state(1, GroupState::Stable, 1);
        assert_eq!(history.judge.unmet(history.now()), []);
        lost(&mut history);
        let unmet = history.judge.unmet(history.now());
        assert!(unmet.iter().any(|unmet| unmet.what.contains("waits for a coordinator")), "{unmet:#?}");
        history.loaded(2, 4);
        history.group_state(2, GroupState::Stable, 1);
        let unmet = history.judge.unmet(history.now());
        assert!(unmet.iter().all(|unmet| unmet.law != Law::GroupStable), "{unmet:#?}");
    }
    // One that led all the time, and was told of a newer epoch after somebody else's, has not loaded anything anew.
    let mut history = healed();
    history.loaded(1, 3);
    history.group_state(1, GroupState::Stable, 1);
    history.loaded(2, 4);
    history.group_state(2, GroupState::Empty, 1);
    history.down(2, false);
    let waits = |history: &mut History| {
        history.judge.unmet(history.now()).iter().any(|unmet| unmet.what.contains("waits for a coordinator"))
    };
    assert!(waits(&mut history), "broker 1 is deposed");
    history.broker(1, Observation::LeaderBegin { partition: HOME, leader_epoch: 5, leo: 0 });
    assert!(!waits(&mut history));
    // One that was told to go on leading while it read has read for the newer epoch as well, unless another led in between.
    for (reigns, is_stable) in [(&[(1, 3), (1, 4)][..], true), (&[(1, 3), (2, 4), (1, 5)], false)] {
        let mut history = healed();
        for (broker, leader_epoch) in reigns {
            history.broker(*broker, Observation::LeaderBegin { partition: HOME, leader_epoch: *leader_epoch, leo: 0 });
        }
        history.loaded(1, 3);
        history.group_state(1, GroupState::Stable, 1);
        assert_eq!(waits(&mut history), !is_stable, "{reigns:?}");
    }
    // What was acknowledged before the quiet phase is to be read; what came later is not waited for.
    let mut history = History::started(grouped());
    history.write(&[1, 2, 3], 0, 0, &[1]);
    history.group_state(1, GroupState::Stable, 1);
    history.assigned(7, MEMBER, 1);
    history.quiet();
    history.state(Some(1), 0, &[1, 2, 3]);
    history.write(&[1, 2, 3], 1, 0, &[2]);
    let unmet = history.judge.unmet(history.now());
    assert_eq!(unmet.iter().map(|unmet| unmet.law).collect::<Vec<_>>(), [Law::Consume], "{unmet:#?}");
}

/// Whether handing a partition out twice in a generation is a breach, or how often it is permitted, where the last replica of the
/// offsets partition lost its second record with the power. The generation was told after so many records of that partition.
fn handed_out_again(after_records: usize) -> (bool, u64) {
    let partitions = vec![PartitionFacts { partition: HOME, replication_factor: 3 }];
    let mut h = History::started(Facts { partitions, ..grouped() });
    let told = |h: &mut History, member| {
        let assignment = [(member, [P].into())].into();
        h.broker(1, Observation::GroupAssigned { group: group(), generation: 1, assignment });
    };
    h.write(&[1, 2, 3], 0, 0, &[1]);
    if after_records == 1 {
        told(&mut h, MEMBER);
    }
    h.state(Some(1), 0, &[1]);
    h.write(&[1], 1, 0, &[2]);
    if after_records == 2 {
        told(&mut h, MEMBER);
    }
    h.down(1, true);
    h.broker(1, Observation::Up);
    h.load(1, 1);
    h.register(1);
    h.state(Some(1), 1, &[1]);
    h.begin(1, 1);
    h.write(&[1], 1, 1, &[3]);
    told(&mut h, OTHER);
    let reports = h.judge.finish(h.now());
    let report = &reports[Law::Exclusive as usize];
    (matches!(report.outcome, Outcome::Broken(_)), report.permitted)
}

#[test]
fn a_generation_whose_record_was_lost_is_counted_again() {
    assert_eq!(handed_out_again(2), (false, 1), "its record is lost");
    assert_eq!(handed_out_again(1), (true, 0), "its record stands before what was lost");
}
