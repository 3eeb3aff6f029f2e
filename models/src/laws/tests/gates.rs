//! What the settings do not promise is permitted and counted; everything else stays a breach.

use super::history::{History, P, create, facts};
use super::{Expect, Story, check};
use crate::id::{BrokerId, ValueId};
use crate::kafka::config::Acks;
use crate::kafka::protocol::ErrorCode;
use crate::kafka::znode;
use crate::laws::{Facts, Law};
use crate::observation::{Observation, TruncateReason};
use crate::zk::protocol::TxnBody;

const ACKS_1: fn() -> Facts = || Facts { acks: Acks::Leader, idempotence: false, ..facts() };
const UNCLEAN: fn() -> Facts = || Facts { unclean_election: true, ..facts() };
const MIN_ISR_3: fn() -> Facts = || Facts { min_isr: 3, ..facts() };

/// The leader alone had the acknowledged record 2; the next leader puts 3 in its place.
const SINGLE_COPY_LOST: Story = |h| {
    h.write(&[1, 2, 3], 0, 0, &[1]);
    h.send(2);
    h.append(1, 1, 0, &[2]);
    h.ok(2, Some(1));
    h.state(Some(2), 1, &[2, 3]);
    h.begin(2, 1);
    h.truncate(1, (2, 1), 1, TruncateReason::DivergingEpoch);
    h.write(&[2, 3], 1, 1, &[3, 4]);
    h.poll(0, &[1, 3, 4]);
};

/// Broker 3 leads from outside the ISR; the records 2 and 3 are gone, and 4 takes their place.
const UNCLEAN_ELECTION: Story = |h| {
    h.write(&[1, 2, 3], 0, 0, &[1]);
    h.state(Some(1), 0, &[1, 2]);
    h.write(&[1, 2], 1, 0, &[2, 3]);
    h.state(None, 1, &[1]);
    h.state(Some(3), 2, &[3]);
    h.begin(3, 2);
    h.write(&[3], 1, 2, &[4]);
    // A deposed leader goes on in its old epoch.
    h.high_watermark(&[1], 0, 3);
    h.truncate(1, (3, 1), 2, TruncateReason::DivergingEpoch);
    h.write(&[3], 2, 2, &[5, 6]);
    h.append(1, 1, 2, &[4, 5]);
    h.poll(0, &[1, 4, 5, 6]);
};

/// Broker 1, the last in the ISR, loses the record 2 with the power and leads again.
fn last_replica_standing(h: &mut History, lossy: bool) {
    h.write(&[1, 2, 3], 0, 0, &[1]);
    h.state(Some(1), 0, &[1]);
    h.write(&[1], 1, 0, &[2]);
    restart(h, 1, lossy, 1);
    h.state(Some(1), 1, &[1]);
    h.begin(1, 1);
    h.write(&[1], 1, 1, &[3]);
    h.poll(0, &[1, 3]);
}

/// Broker 2 loses record 2 in a crash; an ISR with it is written before it has caught up.
fn restart_in_isr(h: &mut History, crossed: bool) {
    h.write(&[1, 2, 3], 0, 0, &[1, 2]);
    h.down(2, true);
    if crossed {
        h.state(Some(1), 0, &[1, 2]);
    }
    h.broker(2, Observation::Up);
    h.load(2, 1);
    h.register(2);
    h.take_over(3, 2);
}

fn restart(h: &mut History, broker: u16, lossy: bool, leo: u64) {
    h.down(broker, lossy);
    h.broker(broker, Observation::Up);
    h.load(broker, leo);
    h.register(broker);
}

#[test]
fn acks_1_may_lose_what_was_not_replicated() {
    let permitted = &[
        (Law::LostWrite, "acks=1"),
        (Law::InconsistentOffsets, "acks=1"),
        (Law::AckStable, "acks=1"),
        (Law::NoGlobalLoss, "acks=1"),
    ];
    check("acks=1", ACKS_1(), SINGLE_COPY_LOST, &Expect { broken: None, permitted });
    check("acks=all", facts(), SINGLE_COPY_LOST, &Expect { broken: Some(Law::RealtimeOrder), permitted: &[] });
    // Below TrueHW even acks=1 is safe.
    let committed: Story = |h| {
        h.write(&[1, 2, 3], 0, 0, &[1, 2]);
        h.send(3);
        h.poll(0, &[1, 3]);
    };
    let expect = Expect { broken: Some(Law::InconsistentOffsets), permitted: &[] };
    check("acks=1 committed", ACKS_1(), committed, &expect);
}

#[test]
fn acks_0_promises_nothing() {
    let facts = Facts { acks: Acks::None, idempotence: false, ..facts() };
    let story: Story = |h| {
        h.send(1);
        h.ok(1, None);
        h.write(&[1, 2, 3], 0, 0, &[2]);
        h.pass(31);
        h.poll(0, &[2]);
        h.end_offset(1);
    };
    check("acks=0", facts, story, &Expect { broken: None, permitted: &[(Law::Unseen, "acks=0")] });
}

/// What became of the first of two records.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Answered,
    /// Before the second was answered.
    GivenUp,
    /// After that.
    GivenUpLate,
    /// Nobody knows.
    Open,
}

/// One request at a time, no idempotence: 2 stands before 1.
fn one_at_a_time(h: &mut History, first: First) {
    let give_up = |h: &mut History| {
        let (value, error) = (ValueId(1), ErrorCode::RequestTimedOut);
        h.see(6, Observation::SendUnknown { partition: P, value, error });
    };
    for value in [1, 2] {
        let value = ValueId(value);
        let (acks, idempotent) = (Acks::All, false);
        h.see(6, Observation::Send { partition: P, value, acks, idempotent, max_in_flight: 1 });
        if value == ValueId(1) && first == First::GivenUp {
            give_up(h);
        }
    }
    h.append(1, 0, 0, &[2, 1]);
    (2..=3).for_each(|broker| h.append(broker, 0, 0, &[2, 1]));
    h.high_watermark(&[1, 2, 3], 0, 2);
    h.ok(2, Some(0));
    match first {
        First::Answered => h.ok(1, Some(1)),
        First::GivenUpLate => {
            h.pass(1);
            give_up(h);
        }
        First::GivenUp | First::Open => {}
    }
    h.poll(0, &[2, 1]);
}

#[test]
fn what_a_producer_has_given_up_may_still_arrive() {
    let facts = || Facts { idempotence: false, ..facts() };
    let permitted = &[(Law::NonmonotonicSend, "KIP-98")];
    check("given up", facts(), |h| one_at_a_time(h, First::GivenUp), &Expect { broken: None, permitted });
    let expect = Expect { broken: Some(Law::NonmonotonicSend), permitted: &[] };
    check("answered", facts(), |h| one_at_a_time(h, First::Answered), &expect);
    check("given up late", facts(), |h| one_at_a_time(h, First::GivenUpLate), &expect);
    check("open", facts(), |h| one_at_a_time(h, First::Open), &expect);
}

#[test]
fn unclean_elections_excuse_losses_where_they_are_configured() {
    let permitted = &[
        (Law::LostWrite, "KIP-106"),
        (Law::InconsistentOffsets, "KIP-106"),
        (Law::AckStable, "KIP-106"),
        (Law::RealtimeOrder, "KIP-106"),
        (Law::LeaderComplete, "KIP-106"),
        (Law::CandidateComplete, "KIP-106"),
        (Law::TruncBelowHw, "KIP-106"),
        (Law::StrongIsr, "KIP-106"),
        (Law::TrueHwMonotonic, "KIP-106"),
        (Law::ExactlyOnce, "KIP-106"),
        (Law::NoElectOutside, "KIP-106"),
    ];
    check("unclean", UNCLEAN(), UNCLEAN_ELECTION, &Expect { broken: None, permitted });
    let expect = Expect { broken: Some(Law::NoElectOutside), permitted: &[] };
    check("unclean, but off", facts(), UNCLEAN_ELECTION, &expect);
    // Records acknowledged after the election are promised again.
    let later: Story = |h| {
        UNCLEAN_ELECTION(h);
        h.write(&[3, 1], 4, 2, &[7, 8]);
        h.poll(5, &[8]);
    };
    let mut history = History::started(UNCLEAN());
    later(&mut history);
    let reports = history.judge.finish(history.now());
    assert!(matches!(reports[Law::LostWrite as usize].outcome, crate::laws::Outcome::Broken(_)), "{reports:#?}");
}

/// A leader says that it acknowledges one record.
fn acknowledge(h: &mut History, broker: u16, base_offset: u64) {
    let (records, acks, high_watermark, maximal_isr, min_isr) = (1, Acks::All, base_offset + 1, 2, 2);
    h.broker(
        broker,
        Observation::Acknowledge { partition: P, base_offset, records, acks, high_watermark, maximal_isr, min_isr },
    );
}

/// Broker 3 is elected from outside the ISR, in epoch 2, and has or has not the record 2, which broker 1 acknowledges when the
/// election is long over: it has not heard of it. Then nobody reads it.
fn acknowledged_late(h: &mut History, elected_has_it: bool) {
    h.write(&[1, 2, 3], 0, 0, &[1]);
    h.state(Some(1), 0, &[1, 2]);
    h.send(2);
    (1..=2 + u16::from(elected_has_it)).for_each(|broker| h.append(broker, 1, 0, &[2]));
    h.high_watermark(&[1, 2], 0, 2);
    h.state(None, 1, &[1]);
    h.state(Some(3), 2, &[3]);
    h.begin(3, 2);
    acknowledge(h, 1, 1);
    h.ok(2, Some(1));
    if elected_has_it {
        h.poll(0, &[1]);
        h.see(7, Observation::PositionReset { partition: P, from: 1, to: 2 });
        h.write(&[3, 1], 2, 2, &[4]);
        h.poll(2, &[4]);
    } else {
        h.truncate(1, (2, 1), 2, TruncateReason::DivergingEpoch);
        h.write(&[3, 1], 1, 2, &[4]);
        h.poll(0, &[1, 4]);
    }
}

/// Brokers 1 and 2 have the record 2, and broker 1 acknowledges it in epoch 0.
fn acknowledged_by_two(h: &mut History) {
    h.write(&[1, 2, 3], 0, 0, &[1]);
    h.state(Some(1), 0, &[1, 2]);
    h.send(2);
    [1, 2].iter().for_each(|broker| h.append(*broker, 1, 0, &[2]));
    h.high_watermark(&[1, 2], 0, 2);
    acknowledge(h, 1, 1);
}

/// What a law comes to where unclean elections are allowed: whether it is broken, and how often that is permitted.
fn where_unclean(law: Law, story: impl FnOnce(&mut History)) -> (bool, u64) {
    let mut history = History::started(UNCLEAN());
    story(&mut history);
    let reports = history.judge.finish(history.now());
    let report = &reports[law as usize];
    (matches!(report.outcome, crate::laws::Outcome::Broken(_)), report.permitted)
}

fn lost_writes(story: impl FnOnce(&mut History)) -> (bool, u64) {
    where_unclean(Law::LostWrite, story)
}

/// A consumer has read two records from broker 1. Broker 3, which has the first alone, is elected, and two others follow it there.
fn read_and_replaced(h: &mut History) {
    h.told(0, 0);
    h.write(&[1, 2, 3], 0, 0, &[1]);
    h.state(Some(1), 0, &[1, 2]);
    h.write(&[1, 2], 1, 0, &[2]);
    h.poll_from(1, 0, &[1, 2]);
    h.state(None, 1, &[1]);
    h.state(Some(3), 2, &[3]);
    h.begin(3, 2);
    h.write(&[3], 1, 2, &[4, 5]);
}

#[test]
fn a_consumer_may_read_on_in_the_log_of_a_deposed_leader_and_must_be_told_before_it_reads_on_in_another() {
    let skips = |story: Story| where_unclean(Law::NoSilentSkip, story);
    let from_the_new: Story = |h| {
        read_and_replaced(h);
        h.poll_from(3, 2, &[5]);
    };
    assert_eq!(skips(from_the_new), (true, 0), "4 is passed by");
    let from_the_deposed: Story = |h| {
        read_and_replaced(h);
        h.send(6);
        h.append(1, 2, 0, &[6]);
        h.poll_from(1, 2, &[6]);
        h.told(3, 1);
        h.poll_from(3, 1, &[4, 5]);
    };
    assert_eq!(skips(from_the_deposed), (false, 0), "it is told before it reads from the other log");
    let without_a_word: Story = |h| {
        read_and_replaced(h);
        h.send(6);
        h.append(1, 2, 0, &[6]);
        h.poll_from(1, 2, &[6]);
        h.write(&[3], 3, 2, &[7]);
        h.poll_from(3, 3, &[7]);
    };
    assert_eq!(skips(without_a_word), (true, 0), "4 and 5 are passed by");
    // The replica that served a record has cut it off since: the committed log still tells what stands before it.
    let cut_off: Story = |h| {
        read_and_replaced(h);
        h.truncate(1, (2, 1), 2, TruncateReason::DivergingEpoch);
        h.poll_from(1, 2, &[5]);
    };
    assert_eq!(skips(cut_off), (true, 0), "4 is passed by");
}

#[test]
fn an_unclean_election_excuses_what_older_epochs_acknowledged_and_the_elected_leader_lacked() {
    assert_eq!(lost_writes(|h| acknowledged_late(h, false)), (false, 1), "by a deposed leader, half a second later");
    assert_eq!(lost_writes(|h| acknowledged_late(h, true)), (true, 0), "the elected leader had it");
    // Where the logs part is told by who was elected, not by who begins late in an older epoch.
    let stale_begins: Story = |h| {
        acknowledged_by_two(h);
        h.ok(2, Some(1));
        h.state(Some(2), 1, &[2]);
        h.state(None, 2, &[2]);
        h.state(Some(3), 3, &[3]);
        h.begin(2, 1);
        h.begin(3, 3);
        h.truncate(1, (2, 1), 3, TruncateReason::DivergingEpoch);
        h.write(&[3, 1], 1, 3, &[4]);
        h.poll(0, &[1, 4]);
    };
    assert_eq!(lost_writes(stale_begins), (false, 1), "a leader of an older epoch begins in between");
    // What the elected leader acknowledges is promised.
    let by_the_new: Story = |h| {
        UNCLEAN_ELECTION(h);
        h.send(9);
        h.append(3, 4, 2, &[9]);
        acknowledge(h, 3, 4);
        h.ok(9, Some(4));
        h.poll(5, &[]);
        h.see(7, Observation::PositionReset { partition: P, from: 4, to: 5 });
        h.write(&[3, 1], 5, 2, &[10]);
        h.poll(5, &[10]);
    };
    assert!(lost_writes(by_the_new).0, "acknowledged in the new epoch");
    // So is what it acknowledges again.
    let by_both: Story = |h| {
        acknowledged_by_two(h);
        h.state(None, 1, &[1]);
        h.state(Some(3), 2, &[3]);
        h.begin(3, 2);
        h.append(3, 1, 2, &[2]);
        acknowledge(h, 3, 1);
        h.ok(2, Some(1));
        h.poll(0, &[1]);
        h.see(7, Observation::PositionReset { partition: P, from: 1, to: 2 });
        h.truncate(1, (2, 1), 2, TruncateReason::DivergingEpoch);
        h.append(1, 1, 2, &[2]);
        h.write(&[3, 1], 2, 2, &[4]);
        h.poll(2, &[4]);
    };
    assert!(lost_writes(by_both).0, "acknowledged in the old epoch and in the new one");
}

#[test]
fn lossy_restarts_excuse_what_zookeeper_mode_does_not_promise() {
    let lost = &[
        (Law::LostWrite, "KIP-966"),
        (Law::InconsistentOffsets, "KIP-966"),
        (Law::AckStable, "KIP-966"),
        (Law::RealtimeOrder, "KIP-966"),
        (Law::LeaderComplete, "KIP-966"),
        (Law::CandidateComplete, "KIP-966"),
        (Law::TrueHwMonotonic, "KIP-966"),
        (Law::UncleanExclusion, "KIP-966"),
        (Law::NoGlobalLoss, "KIP-966"),
        (Law::ExactlyOnce, "KIP-966"),
    ];
    check("last replica", facts(), |h| last_replica_standing(h, true), &Expect { broken: None, permitted: lost });
    let broken = Expect { broken: Some(Law::CandidateComplete), permitted: &[] };
    check("nothing was lost by the crash", facts(), |h| last_replica_standing(h, false), &broken);

    let both = &[(Law::CandidateComplete, "KIP-903"), (Law::UncleanExclusion, "KIP-903")];
    let crossed = Expect { broken: None, permitted: both };
    check("isr change crossed", facts(), |h| restart_in_isr(h, true), &crossed);
    check("one lossy restart", facts(), |h| restart_in_isr(h, false), &broken);

    let story: Story = |h| {
        h.write(&[1, 2, 3], 0, 0, &[1, 2]);
        h.down(1, true);
        h.down(2, true);
        h.broker(2, Observation::Up);
        h.load(2, 1);
        h.register(2);
        h.take_over(3, 2);
    };
    let both = &[(Law::CandidateComplete, "overlapping"), (Law::UncleanExclusion, "overlapping")];
    let together = Expect { broken: None, permitted: both };
    check("two at once", facts(), story, &together);
    check("two at once, three promised", MIN_ISR_3(), story, &broken);
}

#[test]
fn only_lost_offsets_are_excused_and_only_until_they_are_back() {
    let caught_up: Story = |h| {
        h.write(&[1, 2, 3], 0, 0, &[1, 2]);
        h.down(2, true);
        h.broker(2, Observation::Up);
        h.load(2, 1);
        h.append(2, 1, 0, &[2]);
        h.state(Some(1), 0, &[1, 2, 3]);
        h.register(2);
        h.truncate(2, (2, 1), 0, TruncateReason::DivergingEpoch);
    };
    check("caught up", facts(), caught_up, &Expect { broken: Some(Law::TruncBelowHw), permitted: &[] });
    let below: Story = |h| {
        restart_in_isr(h, true);
        h.truncate(3, (2, 0), 0, TruncateReason::DivergingEpoch);
    };
    let both = &[(Law::CandidateComplete, "KIP-903"), (Law::UncleanExclusion, "KIP-903")];
    let expect = Expect { broken: Some(Law::TruncBelowHw), permitted: both };
    check("below what was lost", facts(), below, &expect);
}

/// Broker 3 holds record 2, which the ISR does not yet hold, loses it in a crash, and comes back with all that is committed. The
/// leader in office counts on what it had heard before, unless broker 3 has `fetched` since: the crash took more then, and the
/// leader has given it back what is committed.
fn commit_on_an_old_fetch(h: &mut History, fetched: bool) {
    h.write(&[1, 2, 3], 0, 0, &[1]);
    h.append(1, 1, 0, &[2]);
    h.append(3, 1, 0, &[2]);
    h.expire(3);
    h.down(3, true);
    h.broker(3, Observation::Up);
    h.load(3, u64::from(!fetched));
    if fetched {
        h.append(3, 0, 0, &[1]);
    }
    h.state(Some(1), 1, &[1, 3]);
    h.begin(1, 1);
    h.isr(1, 1, &[1, 3], &[1, 3]);
    h.high_watermark(&[1], 1, 2);
}

#[test]
fn a_leader_may_count_on_what_a_crash_has_taken_until_the_next_fetch() {
    let silent = Expect { broken: None, permitted: &[] };
    check("before the next fetch", facts(), |h| commit_on_an_old_fetch(h, false), &silent);
    let broken = Expect { broken: Some(Law::WeakIsr), permitted: &[] };
    check("after it", facts(), |h| commit_on_an_old_fetch(h, true), &broken);
}

/// Broker 3 is gone for longer than any session; its leader takes it back into the ISR.
fn take_back(h: &mut History, told_before: bool) {
    let told = |h: &mut History| {
        let brokers = znode::brokers(&[1, 2]);
        h.broker(1, Observation::AliveServed { brokers });
    };
    h.broker(1, Observation::AliveServed { brokers: znode::brokers(&[1, 2, 3]) });
    h.state(Some(1), 0, &[1, 2]);
    h.expire(3);
    h.pass(21);
    if told_before {
        told(h);
    }
    h.broker(1, Observation::IsrChange { partition: P, leader_epoch: 0, isr: znode::brokers(&[1, 2, 3]) });
    if !told_before {
        // The write was under way.
        told(h);
    }
    h.state(Some(1), 0, &[1, 2, 3]);
}

#[test]
fn a_leader_that_writes_the_isr_knows_what_it_has_been_told() {
    let old = || Facts { isr_writers: vec![BrokerId(1)], ..facts() };
    let broken = Expect { broken: Some(Law::NoFencedInIsr), permitted: &[] };
    check("the controller decides", facts(), |h| take_back(h, false), &broken);
    check("told before", old(), |h| take_back(h, true), &broken);
    let permitted = Expect { broken: None, permitted: &[(Law::NoFencedInIsr, "KIP-497")] };
    check("not told", old(), |h| take_back(h, false), &permitted);
    let stays: Story = |h| {
        take_back(h, false);
        h.state(Some(2), 1, &[1, 2, 3]);
    };
    check("it stays", old(), stays, &permitted);
    let again: Story = |h| {
        take_back(h, false);
        let path = znode::broker_path(BrokerId(3));
        h.transact(4, create(&path, "", true));
        h.transact(4, TxnBody::CloseSession { ephemerals: vec![path] });
        h.pass(21);
        h.state(Some(2), 1, &[1, 2, 3]);
    };
    let excused_once = Expect { broken: Some(Law::NoFencedInIsr), permitted: permitted.permitted };
    check("gone again", old(), again, &excused_once);
    // A leader that has begun a new life has not been told what the one before it was.
    let reborn: Story = |h| {
        h.state(Some(1), 0, &[1, 2]);
        h.expire(3);
        h.pass(21);
        h.broker(1, Observation::AliveServed { brokers: znode::brokers(&[1, 2]) });
        restart(h, 1, false, 0);
        h.begin(1, 0);
        take_back(h, false);
    };
    check("told in an earlier life", old(), reborn, &permitted);
    let untold: Story = |h| {
        h.state(Some(1), 0, &[1, 2]);
        h.expire(3);
        h.pass(21);
        h.broker(1, Observation::IsrChange { partition: P, leader_epoch: 0, isr: znode::brokers(&[1, 2, 3]) });
        h.state(Some(1), 0, &[1, 2, 3]);
    };
    check("told nothing", old(), untold, &broken);
    // Whom another leader, or the controller, adds is another matter.
    let elected: Story = |h| {
        h.state(Some(1), 0, &[1, 2]);
        h.expire(3);
        h.pass(21);
        h.state(Some(1), 1, &[1, 2, 3]);
    };
    check("by an election", old(), elected, &broken);
}

#[test]
fn a_known_breach_is_counted_and_does_not_hide_another() {
    let known = || Facts { known_breaches: vec![Law::NoFencedInIsr], ..facts() };
    let permitted: &[_] = &[(Law::NoFencedInIsr, "known to be broken")];
    check("known", known(), |h| take_back(h, true), &Expect { broken: None, permitted });
    let and_another: Story = |h| {
        take_back(h, true);
        h.state(Some(1), 1, &[2, 3]);
    };
    check("and another", known(), and_another, &Expect { broken: Some(Law::LeaderInIsr), permitted });
}

/// The session of broker 1, the last in the ISR, has ended and no controller has acted on it; it takes broker 2 in.
fn take_in_while_gone(h: &mut History, told: bool) {
    h.broker(1, Observation::AliveServed { brokers: znode::brokers(&[1, 2, 3]) });
    h.state(Some(1), 0, &[1]);
    h.expire(1);
    h.pass(21);
    if told {
        h.broker(1, Observation::AliveServed { brokers: znode::brokers(&[2, 3]) });
    }
    h.broker(1, Observation::IsrChange { partition: P, leader_epoch: 0, isr: znode::brokers(&[1, 2]) });
    h.state(Some(1), 0, &[1, 2]);
}

/// A new ZooKeeper leader gives every session its whole time again, that of a controller that has not heard yet included.
#[test]
fn a_controller_may_not_have_heard_for_as_long_as_its_own_session_may_last() {
    let story = |elected: bool, later: u64| {
        move |h: &mut History| {
            h.expire(3);
            h.pass(15);
            if elected {
                h.zk_leader(3, 2, h.last_zxid());
            }
            h.pass(later);
            h.state(Some(1), 0, &[1, 2, 3]);
        }
    };
    let (silent, broken) = (Expect { broken: None, permitted: &[] }, Law::NoFencedInIsr);
    let broken = Expect { broken: Some(broken), permitted: &[] };
    check("without an election", facts(), story(false, 6), &broken);
    check("after one", facts(), story(true, 6), &silent);
    check("long after it", facts(), story(true, 21), &broken);
}

#[test]
fn a_leader_that_writes_the_isr_is_in_it_though_its_session_has_ended() {
    let old = || Facts { isr_writers: vec![BrokerId(1)], ..facts() };
    let permitted = Expect { broken: None, permitted: &[(Law::NoFencedInIsr, "KIP-497")] };
    check("not told", old(), |h| take_in_while_gone(h, false), &permitted);
    let broken = Expect { broken: Some(Law::NoFencedInIsr), permitted: &[] };
    check("told", old(), |h| take_in_while_gone(h, true), &broken);
    check("the controller decides", facts(), |h| take_in_while_gone(h, false), &broken);
    // What another leader leaves in is another matter.
    let elected: Story = |h| {
        h.state(Some(1), 0, &[1]);
        h.expire(1);
        h.pass(21);
        h.state(Some(2), 1, &[1, 2]);
    };
    check("by an election", old(), elected, &broken);
}

#[test]
fn retries_without_numbers_may_append_twice() {
    let facts = Facts { idempotence: false, ..facts() };
    let story: Story = |h| {
        h.write(&[1, 2, 3], 0, 0, &[1]);
        (1..=3).for_each(|broker| h.append(broker, 1, 0, &[1]));
        h.high_watermark(&[1], 0, 2);
        h.poll(0, &[1, 1]);
    };
    check("not idempotent", facts, story, &Expect { broken: None, permitted: &[(Law::Duplicate, "idempotence")] });
}
