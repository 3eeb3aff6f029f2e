use std::sync::Arc;

use super::{Broker, Node, P0, Script, addresses, cluster, partitions};
use crate::id::{BrokerId, ProducerId, ValueId};
use crate::kafka::client::{Producer, ProducerSpec};
use crate::kafka::config::{Acks, ProducerConfig};
use crate::kafka::protocol::{ErrorCode, ProducerMark, Request};
use crate::observation::Observation;
use crate::process::Loss;
use crate::testing::Harness;
use crate::time::{Instant, Span};

const SECOND: Span = Span::from_secs(1);

fn config(options: &[(&str, &str)]) -> ProducerConfig {
    let mut config = ProducerConfig::default();
    options.iter().for_each(|(name, value)| config.set(name, value).expect("a valid option"));
    config
}

/// A producer of `n` partitions whose first record comes after a second, when metadata and identity are there.
fn producer(n: u16, interval: Span, options: &[(&str, &str)]) -> Harness<Node> {
    let spec = ProducerSpec {
        skew_ppm: 0,
        creates_topics: false,
        config: Arc::new(config(options)),
        bootstrap: addresses(),
        partitions: partitions(n),
        interval,
        jitter: Span::ZERO,
        record_size: 100,
        defects: crate::defect::Defects::NONE,
        start_after: SECOND,
        client: 3,
    };
    cluster(Node::Producer(Box::new(Producer::new(spec))), n)
}

fn the_producer(harness: &mut Harness<Node>) -> &mut Producer {
    let Node::Producer(producer) = harness.process_mut(0) else { panic!("process 0 is the client") };
    producer
}

/// Sends `n` records in all and stops.
fn send(harness: &mut Harness<Node>, n: usize) {
    while sent(harness).len() < n {
        harness.run_for(Span::from_ms(1));
    }
    the_producer(harness).stop_sending();
}

fn sent(harness: &Harness<Node>) -> Vec<ValueId> {
    let value = |what| if let Observation::Send { value, .. } = what { Some(value) } else { None };
    harness.seen().into_iter().filter_map(value).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Ok(Option<u64>),
    Fail(ErrorCode),
    Unknown(ErrorCode),
}

fn outcomes(harness: &Harness<Node>) -> Vec<(ValueId, Outcome)> {
    let outcome = |what| match what {
        Observation::SendOk { value, offset, .. } => Some((value, Outcome::Ok(offset))),
        Observation::SendFail { value, error, .. } => Some((value, Outcome::Fail(error))),
        Observation::SendUnknown { value, error, .. } => Some((value, Outcome::Unknown(error))),
        _ => None,
    };
    harness.seen().into_iter().filter_map(outcome).collect()
}

/// Epoch and base sequence of every batch of [`P0`] that broker 1 was asked to append.
fn marks(harness: &Harness<Node>) -> Vec<(u16, u32)> {
    let requests = harness.broker(1).produced();
    let batches = requests.iter().flat_map(|request| &request.batches).filter(|(partition, _)| *partition == P0);
    batches.filter_map(|(_, batch)| batch.producer).map(|mark| (mark.epoch, mark.base_sequence)).collect()
}

#[test]
fn every_record_is_acknowledged_once_and_numbered_per_partition() {
    let mut harness = producer(3, Span::from_ms(10), &[]);
    send(&mut harness, 9);
    harness.run_for(SECOND);
    assert!(the_producer(&mut harness).is_drained());
    assert_eq!(sent(&harness), (0..9).map(|n| ValueId((3 << 40) | n)).collect::<Vec<_>>());
    let offsets: Vec<_> = outcomes(&harness).into_iter().map(|(_, outcome)| outcome).collect();
    assert_eq!(offsets, [0, 0, 0, 1, 1, 1, 2, 2, 2].map(|offset| Outcome::Ok(Some(offset))));
    assert_eq!(marks(&harness), [(0, 0), (0, 1), (0, 2)]);
}

#[test]
fn each_answer_has_the_outcome_of_the_table() {
    use ErrorCode as E;
    use Outcome::{Fail, Ok, Unknown};
    use Script::{Append, AppendThenRefuse, AppendThenSay, Close, Refuse};
    let check = |options: &[(&str, &str)], script: &[Script], expected: Outcome, last: Option<(u16, u32)>| {
        let mut harness = producer(1, Span::from_ms(10), options);
        harness.script(script);
        send(&mut harness, 1);
        harness.run_for(Span::from_secs(10));
        let attempts = harness.broker(1).produced().len();
        assert_eq!(attempts, script.len(), "attempts with {script:?}");
        assert_eq!(outcomes(&harness), [(ValueId(3 << 40), expected)], "{script:?} with {options:?}");
        assert_eq!(marks(&harness).last().copied(), last, "{script:?}");
    };
    let idempotent: &[(&str, &str)] = &[];
    let retried = [
        E::RequestTimedOut,
        E::NotLeaderOrFollower,
        E::LeaderNotAvailable,
        E::UnknownTopicOrPartition,
        E::FencedLeaderEpoch,
        E::KafkaStorageError,
        E::NotEnoughReplicas,
        E::NotEnoughReplicasAfterAppend,
    ];
    for error in retried {
        check(idempotent, &[Refuse(error), Append], Ok(Some(0)), Some((0, 0)));
        check(idempotent, &[AppendThenRefuse(error), Append], Ok(Some(0)), Some((0, 0)));
    }
    check(idempotent, &[Close, Append], Ok(Some(0)), Some((0, 0)));
    check(idempotent, &[AppendThenSay(E::DuplicateSequenceNumber)], Ok(None), Some((0, 0)));
    check(idempotent, &[Refuse(E::OutOfOrderSequenceNumber), Append], Ok(Some(0)), Some((1, 0)));
    check(idempotent, &[Refuse(E::UnknownProducerId), Append], Ok(Some(0)), Some((1, 0)));
    check(idempotent, &[Refuse(E::InvalidProducerEpoch)], Fail(E::InvalidProducerEpoch), Some((0, 0)));
    check(idempotent, &[Refuse(E::MessageTooLarge)], Fail(E::MessageTooLarge), Some((0, 0)));
    check(idempotent, &[Refuse(E::UnknownServerError)], Unknown(E::UnknownServerError), Some((0, 0)));

    // What an error proves shows when the attempts are exhausted.
    let once: &[(&str, &str)] = &[("retries", "0")];
    let twice: &[(&str, &str)] = &[("retries", "1"), ("enable.idempotence", "false")];
    check(once, &[Refuse(E::NotEnoughReplicas)], Fail(E::NotEnoughReplicas), None);
    check(once, &[Refuse(E::NotEnoughReplicasAfterAppend)], Unknown(E::NotEnoughReplicasAfterAppend), None);
    check(once, &[Refuse(E::NotLeaderOrFollower)], Unknown(E::NotLeaderOrFollower), None);
    check(once, &[Close], Unknown(E::NetworkException), None);
    check(twice, &[Refuse(E::NotEnoughReplicas), Refuse(E::NotEnoughReplicas)], Fail(E::NotEnoughReplicas), None);
    check(twice, &[Close, Refuse(E::NotEnoughReplicas)], Unknown(E::NotEnoughReplicas), None);
    check(twice, &[Refuse(E::NotEnoughReplicas), Close], Unknown(E::NetworkException), None);
}

#[test]
fn only_doubtful_metadata_are_renewed() {
    let check = |error, expected: usize| {
        let mut harness = producer(1, Span::from_ms(10), &[]);
        harness.script(&[Script::Refuse(error)]);
        send(&mut harness, 1);
        let asked = |harness: &Harness<Node>| {
            let seen = [1, 2].map(|id| &harness.broker(id).seen);
            seen.into_iter().flatten().filter(|(_, _, r)| matches!(r, Request::Metadata { .. })).count()
        };
        let before = asked(&harness);
        harness.run_for(SECOND);
        assert_eq!(asked(&harness) - before, expected, "{error:?}");
    };
    check(ErrorCode::NotLeaderOrFollower, 1);
    check(ErrorCode::NotEnoughReplicas, 0);
}

#[test]
fn a_lost_connection_brings_the_batches_back_one_at_a_time_and_in_order() {
    let mut harness = producer(1, Span::from_ms(1), &[]);
    harness.script(&[Script::Append, Script::Silence, Script::Silence, Script::AppendThenClose]);
    send(&mut harness, 6);
    harness.run_for(Span::from_secs(5));
    let all: Vec<_> = harness.broker(1).logs[&P0].iter().flat_map(|batch| batch.values.to_vec()).collect();
    // The fake does not check sequences: the batch that was appended before the connection closed stands early.
    assert_eq!(all.len(), 6, "no copy, no loss: {all:?}");
    assert_eq!(outcomes(&harness).iter().map(|(value, _)| *value).collect::<Vec<_>>(), sent(&harness));
    let sequences: Vec<u32> = marks(&harness).iter().map(|mark| mark.1).collect();
    let lost = &sequences[1..4];
    let again: Vec<_> = sequences[4..].iter().filter(|sequence| lost.contains(sequence)).collect();
    assert_eq!(again, lost.iter().collect::<Vec<_>>(), "{sequences:?}");
    let seen = &harness.broker(1).seen;
    let at = |sequence: u32| {
        let carries = |request: &Request| matches!(request, Request::Produce(p) if p.batches[0].1.producer.is_some_and(|m| m.base_sequence == sequence));
        seen.iter().rev().find(|(_, _, request)| carries(request)).map(|(at, ..)| *at).expect("it was sent")
    };
    let round_trip = Span::from_ms(1);
    assert!(at(lost[1]) - at(lost[0]) >= round_trip && at(lost[2]) - at(lost[1]) >= round_trip, "one at a time");
}

#[test]
fn an_unanswered_request_closes_the_connection_after_request_timeout() {
    let mut harness = producer(1, Span::from_ms(10), &[]);
    harness.script(&[Script::Silence, Script::Append]);
    send(&mut harness, 1);
    let begun = harness.now();
    harness.run_for(Span::from_ms(29_990));
    assert_eq!(harness.broker(1).closed.len(), 0);
    harness.run_for(Span::from_secs(1));
    assert_eq!(harness.broker(1).closed.len(), 1);
    assert!(harness.broker(1).closed[0] - begun >= Span::from_ms(29_998));
    assert_eq!(outcomes(&harness).len(), 1);
    assert_eq!(marks(&harness), [(0, 0), (0, 0)], "the same sequence again");
}

#[test]
fn delivery_timeout_leaves_the_outcome_unknown_and_bumps_the_epoch() {
    let mut harness = producer(1, Span::from_ms(20), &[]);
    harness.run_for(SECOND);
    harness.script(&[Script::Silence; 5]);
    send(&mut harness, 1);
    let begun = harness.now();
    harness.run_for(Span::from_ms(119_990));
    assert_eq!(outcomes(&harness), []);
    harness.run_for(Span::from_ms(20));
    assert_eq!(outcomes(&harness), [(ValueId(3 << 40), Outcome::Unknown(ErrorCode::RequestTimedOut))]);
    assert!(harness.observed.last().is_some_and(|o| o.at - begun >= Span::from_ms(119_998)));
    assert!(the_producer(&mut harness).is_drained());

    // The next life of the application's loop, by hand: what it sends begins a new epoch.
    let mut harness = producer(1, Span::from_secs(125), &[]);
    harness.script(&[Script::Silence; 4]);
    send(&mut harness, 2);
    harness.run_for(Span::from_secs(5));
    let last = harness.broker(1).produced().last().and_then(|request| request.batches[0].1.producer);
    assert_eq!(last, Some(ProducerMark { id: ProducerId(1), epoch: 1, base_sequence: 0 }));
}

#[test]
fn a_new_leader_is_found_and_gets_the_batch_with_its_sequence() {
    let mut harness = producer(1, Span::from_ms(10), &[]);
    harness.run_for(Span::from_ms(900));
    harness.elect(Some(2), 1);
    harness.script(&[Script::Refuse(ErrorCode::NotLeaderOrFollower)]);
    send(&mut harness, 1);
    harness.run_for(SECOND);
    let values: Vec<_> = harness.broker(2).logs[&P0].iter().map(|batch| batch.values.to_vec()).collect();
    assert_eq!(values, [sent(&harness)]);
    assert_eq!(harness.broker(1).produced()[0].batches[0].1, harness.broker(2).produced()[0].batches[0].1);
    assert_eq!(outcomes(&harness).len(), 1);
}

#[test]
fn without_acks_success_is_what_was_written_to_the_socket() {
    let mut harness = producer(1, Span::from_ms(10), &[("acks", "0")]);
    harness.script(&[Script::Silence, Script::Silence]);
    send(&mut harness, 2);
    assert_eq!(outcomes(&harness).iter().map(|(_, o)| *o).collect::<Vec<_>>(), [Outcome::Ok(None); 2]);
    assert_eq!(marks(&harness), [], "nobody answers, so nothing is numbered");
    let acks = |what: &Observation| matches!(what, Observation::SendOk { acks: Acks::None, latency: Span::ZERO, .. });
    assert!(harness.seen().iter().any(acks));
}

#[test]
fn requests_under_way_are_bounded() {
    let check = |limit: usize, options: &[(&str, &str)]| {
        let mut harness = producer(1, Span::from_ms(10), options);
        harness.script(&[Script::Silence; 100]);
        harness.run_for(Span::from_secs(5));
        assert_eq!(harness.broker(1).produced().len(), limit);
        assert!(sent(&harness).len() > 300, "the application goes on");
    };
    check(5, &[]);
    check(1, &[("max.in.flight.requests.per.connection", "1")]);
    check(7, &[("max.in.flight.requests.per.connection", "7")]);
}

#[test]
fn memory_and_max_block_bound_what_waits() {
    // Two batches of 16,384 bytes fit; each takes one record until it is sent, the second one all that follow.
    let options =
        [("buffer.memory", "32768"), ("max.in.flight.requests.per.connection", "1"), ("max.block.ms", "2000")];
    let mut harness = producer(1, Span::from_ms(10), &options);
    harness.script(&[Script::Silence; 2]);
    harness.run_for(Span::from_secs(5));
    let in_batches = 1 + (16_384 - 61) / 110;
    assert_eq!(outcomes(&harness), [(ValueId((3 << 40) | in_batches), Outcome::Fail(ErrorCode::RequestTimedOut))]);
    assert_eq!(sent(&harness).len() as u64, in_batches + 2, "the one after it is blocked again");
}

#[test]
fn linger_gathers_records_into_batches() {
    let mut harness = producer(2, Span::from_ms(10), &[("linger.ms", "100")]);
    send(&mut harness, 20);
    harness.run_for(SECOND);
    let sizes: Vec<_> = harness.broker(1).logs[&P0].iter().map(|batch| batch.values.len()).collect();
    assert_eq!(sizes, [6, 4], "a record each 20 ms, and the one that opened the batch");
}

#[test]
fn a_batch_that_is_too_large_is_split() {
    let mut harness = producer(1, Span::from_ms(10), &[("linger.ms", "35")]);
    harness.script(&[Script::Refuse(ErrorCode::MessageTooLarge), Script::Refuse(ErrorCode::MessageTooLarge)]);
    send(&mut harness, 4);
    harness.run_for(SECOND);
    let log: Vec<_> = harness.broker(1).logs[&P0].iter().flat_map(|batch| batch.values.to_vec()).collect();
    assert_eq!(log, sent(&harness));
    assert_eq!(marks(&harness), [(0, 0), (0, 0), (0, 0), (0, 1), (0, 2)]);
    assert_eq!(outcomes(&harness).len(), 4);
}

#[test]
fn after_a_crash_values_and_identity_are_new() {
    let mut harness = producer(1, Span::from_ms(10), &[]);
    harness.run_for(Span::from_ms(1_100));
    let before = sent(&harness).len();
    harness.crash(0, Loss::Memory);
    harness.restart(0);
    harness.run_for(SECOND);
    let values = sent(&harness);
    assert!(before > 0 && values.len() > before);
    assert!(values.windows(2).all(|pair| pair[0] < pair[1]), "no value twice");
    let last = harness.broker(1).produced().last().and_then(|request| request.batches[0].1.producer).expect("numbered");
    let asked =
        |id: u16| harness.broker(id).seen.iter().filter(|(_, _, r)| matches!(r, Request::InitProducerId)).count();
    assert_eq!(asked(1) + asked(2), 2);
    assert!(last.base_sequence < values.len() as u32 - before as u32);
}

#[test]
fn a_partition_without_leader_waits_and_metadata_are_asked_for_at_the_backoff() {
    let mut harness = producer(1, Span::from_ms(500), &[]);
    harness.elect(None, 0);
    send(&mut harness, 1);
    harness.run_for(Span::from_secs(10));
    let asked =
        |id: u16| harness.broker(id).seen.iter().filter(|(_, _, r)| matches!(r, Request::Metadata { .. })).count();
    let asked = asked(1) + asked(2);
    assert!((95..=115).contains(&asked), "{asked} requests in 11 s, at most one per 100 ms");
    assert_eq!(outcomes(&harness), []);
    harness.elect(Some(2), 1);
    harness.run_for(SECOND);
    assert_eq!(outcomes(&harness).len(), 1);
    assert_eq!(harness.broker(2).id, BrokerId(2));
    assert_eq!(harness.broker(2).end(P0), 1);
    assert!(harness.now() > Instant::ZERO);
}
