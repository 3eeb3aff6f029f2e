//! What a silent cut does to a stream: the measurements that decide the models.

use super::*;

/// Cuts a busy connection, says something into the cut, heals it, and tells when it was heard, in ms after it was said.
fn heard_after(rtt_ms: u64, talk: Talk, cut_ms: u64) -> u64 {
    let mut world = World::new(2, Span::from_ms(rtt_ms));
    let conn = world.open(0, 1);
    world.sim.process_mut(ProcessId(1)).echo = talk == Talk::Answered;
    for n in 0..20 {
        world.send(0, conn, n..n + 1);
        let now = world.sim.now().as_ms();
        world.run_to(now + 300);
    }
    let rules = [world.cut(0, 1), world.cut(1, 0)];
    let said_at = world.sim.now().as_ms();
    world.send(0, conn, 100..102);
    world.run_to(said_at + cut_ms);
    for rule in rules {
        assert!(world.sim.remove_rule(rule));
    }
    world.run_to(said_at + cut_ms + 200_000);
    assert_eq!(world.said(1).last(), Some(&101), "all is heard in the end, in order");
    world.when(1, Note::Said(100)).expect("it was heard") - said_at - rtt_ms / 2
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Talk {
    OneWay,
    Answered,
}

/// When the head is sent for the `k`-th time by a timeout, ms after the word, by the kernel's rules: the probe of two segments
/// is due after two round trips and 2 ms, the timeouts count from it, the first after a round trip and 200 ms, and the wheel
/// makes each late by an eighth at most, and by two ticks. By the probe itself (0) only the last segment is sent: it shows the
/// hole, which is filled a round trip and the quarter of one that may be reordering later.
fn due(rtt_ms: u64, k: u32) -> std::ops::RangeInclusive<u64> {
    let probe = 2 * rtt_ms + 2;
    if k == 0 {
        let filled = probe + rtt_ms * 5 / 4;
        return filled..=filled + 12;
    }
    let doubled = (200 + rtt_ms) * ((1 << k) - 1);
    probe + doubled..=probe + 8 + doubled * 9 / 8 + u64::from(k) * 12
}

#[test]
fn after_a_silent_cut_the_stream_moves_at_the_next_doubled_timeout() {
    for rtt_ms in [0, 80] {
        for talk in [Talk::OneWay, Talk::Answered] {
            for cut_ms in [1, 100, 400, 1_000, 30_000, 40_000] {
                let heard = heard_after(rtt_ms, talk, cut_ms);
                let next = (0..).find(|k| *due(rtt_ms, *k).end() >= cut_ms).expect("it doubles");
                // Only a cut that ends while a timer is late leaves open which one it is.
                let open = *due(rtt_ms, next).start() < cut_ms;
                let right = due(rtt_ms, next).contains(&heard) || open && due(rtt_ms, next + 1).contains(&heard);
                assert!(
                    right && heard >= cut_ms,
                    "RTT {rtt_ms}, cut {cut_ms}: heard after {heard}, not {:?}",
                    due(rtt_ms, next)
                );
            }
        }
    }
}

/// The times after the word, in ms, at which a kernel of 6.18 sent data again (veth, RTT 0, HZ=250): one segment, whose probe
/// is due when its timeout would be, and two, whose probe follows at once.
#[test]
fn retransmissions_come_when_a_real_kernel_sends_them() {
    let sent = |segments: u32| {
        let mut world = World::new(2, Span::ZERO);
        let conn = world.open(0, 1);
        world.send(0, conn, 1..2);
        world.run_to(2_000);
        world.cut(0, 1);
        world.send(0, conn, 100..100 + segments);
        let (mut times, mut seen) = (Vec::new(), world.sim.events().retransmissions);
        for ms in 0..8_000 {
            world.run_to(2_000 + ms);
            let now = world.sim.events().retransmissions;
            times.extend((seen < now).then_some(ms));
            seen = now;
        }
        times
    };
    let near = |times: &[u64], real: &[(u64, u64)]| {
        assert_eq!(times.len(), real.len(), "{times:?}");
        assert!(times.iter().zip(real).all(|(at, (low, high))| (low..=high).contains(&at)), "{times:?}, not {real:?}");
    };
    near(&sent(1), &[(204, 209), (410, 420), (820, 860), (1_650, 1_700), (3_310, 3_370), (6_600, 6_890)]);
    near(&sent(2), &[(4, 12), (206, 222), (620, 662), (1_452, 1_500), (3_110, 3_170), (6_400, 6_690)]);
}

/// What a kernel of 6.18 did (veth, RTT 0, HZ=250): five short segments were lost, two more were written while their timeout ran. The
/// timeout sends the five as one packet; the two follow when it is acknowledged, which takes a receiver that has answered before
/// 48 ms.
#[test]
fn a_timeout_sends_again_all_that_fits_in_a_packet_and_its_ack_may_wait() {
    let heard = |lost: u32, answers: bool| {
        let mut world = World::new(2, Span::ZERO);
        let conn = world.open(0, 1);
        world.sim.process_mut(ProcessId(1)).echo = answers;
        world.send(0, conn, 1..2);
        world.run_to(2_000);
        world.sim.process_mut(ProcessId(1)).echo = false;
        let rule = world.cut(0, 1);
        world.send(0, conn, SHORT..SHORT + lost);
        world.run_to(3_000);
        world.send(0, conn, SHORT + lost..SHORT + lost + 2);
        world.run_to(4_200);
        world.sim.remove_rule(rule);
        world.run_to(10_000);
        let at: Vec<u64> = (SHORT..SHORT + lost + 2).filter_map(|word| world.when(1, Note::Said(word))).collect();
        at.iter().map(|ms| ms - at[0]).collect::<Vec<_>>()
    };
    assert_eq!(heard(5, false), [0; 7], "who has not answered acknowledges at once");
    assert_eq!(heard(5, true), [0, 0, 0, 0, 0, 40, 40]);
    let full = heard(20, true);
    assert_eq!((full[13], full[14], full[21]), (0, 40, 40), "1,448 bytes are a packet");
}

#[test]
fn recovery_is_not_monotonic_in_the_length_of_the_cut() {
    let late = |cut_ms| heard_after(0, Talk::OneWay, cut_ms) - cut_ms;
    // 0.21 s: retransmissions are due some 27, 54 and 108 s after the word.
    assert!(late(20_000) < late(30_000) && late(50_000) < late(20_000) && late(58_000) > 45_000);
}

#[test]
fn a_one_way_cut_lets_the_first_copy_through_and_holds_the_rest() {
    let mut world = World::new(2, Span::ZERO);
    let conn = world.open(0, 1);
    let rule = world.cut(1, 0);
    world.send(0, conn, 1..2);
    world.run_to(1_050);
    world.send(0, conn, 2..3);
    world.run_to(2_000);
    world.send(0, conn, 3..4);
    world.run_to(10_000);
    assert_eq!(world.said(1), [1, 2], "only the head is sent while its ACK is missing");
    world.act(0, Effect::Close(conn));
    world.run_to(10_100);
    assert_eq!(world.said(1), [1, 2, 3], "the FIN takes along what waited");
    assert!(world.when(1, Note::Closed(CloseReason::Eof)).is_some());
    world.sim.remove_rule(rule);
    world.run_to(60_000);
    assert_eq!(world.sim.free_conns.len(), 1, "both kernels have forgotten it");
}

#[test]
fn what_the_peer_says_carries_the_ack_that_was_missing() {
    let mut world = World::new(2, Span::ZERO);
    let conn = world.open(0, 1);
    let rule = world.cut(1, 0);
    world.send(0, conn, 1..2);
    world.run_to(9_000);
    world.send(0, conn, 2..3);
    world.sim.remove_rule(rule);
    let accepted = world.sim.slot(ProcessId(1)).conns[0].id;
    world.send(1, accepted, 50..51);
    world.run_to(9_020);
    assert_eq!((world.said(0), world.said(1)), (vec![50], vec![1, 2]), "no wait for the timer at 13 s");
}

#[test]
fn a_connection_is_given_up_after_tcp_retries2() {
    let mut world = World::new(2, Span::ZERO);
    let conn = world.open(0, 1);
    world.cut(0, 1);
    world.send(0, conn, 1..2);
    world.run_to(2_000_000);
    // Linux documents 924.6 s for a base of 200 ms; the probe and the wheel add to it.
    let closed = world.when(0, Note::Closed(CloseReason::TimedOut)).expect("given up") - 1_000;
    assert!((924_600..945_000).contains(&closed), "{closed}");
    assert_eq!(world.when(1, Note::Closed(CloseReason::Eof)), None, "the other end knows nothing");
}

#[test]
fn loss_costs_time_but_neither_words_nor_order() {
    let mut world = World::new(2, Span::from_ms(20));
    let conn = world.open(0, 1);
    let loss = crate::net::netem::Loss::Random(crate::net::netem::Chance {
        probability: crate::net::netem::Ppm(200_000),
        ..Default::default()
    });
    let netem = crate::net::netem::Netem { loss, ..Default::default() };
    world.sim.add_rule(Rule::netem(vec![HostId(0)], vec![HostId(1)], netem));
    world.sim.add_rule(Rule::netem(vec![HostId(1)], vec![HostId(0)], netem));
    for n in 0..2_000 {
        world.send(0, conn, n..n + 1);
        world.run_to(1_000 + u64::from(n) * 5);
    }
    let now = world.sim.now().as_ms();
    world.run_to(now + 5_000);
    assert_eq!(world.said(1), (0..2_000).collect::<Vec<_>>());
    let counts = world.sim.events();
    assert!((300..2_000).contains(&counts.retransmissions), "{counts:?}");
    let log = &world.sim.process(ProcessId(1)).log;
    let last = log.last().expect("it heard something").0.as_ms();
    assert!(last < now + 1_500, "a stream under load keeps up: {last} against {now}");
}

#[test]
fn a_rule_elsewhere_changes_no_fate_here() {
    let run = |elsewhere: bool| {
        let link = LinkProfile { delay: Span::from_ms(10), jitter: Span::from_ms(9), ..LinkProfile::default() };
        let mut world = World::with(4, link, RestartPolicy::default());
        if elsewhere {
            let netem = crate::net::netem::Netem { jitter: Span::from_ms(5), ..Default::default() };
            world.sim.add_rule(Rule::netem(vec![HostId(2)], vec![HostId(3)], netem));
        }
        for n in 0..50 {
            world.act(2, Effect::SendDatagram { to: ProcessId(3), message: Word(n) });
            world.act(0, Effect::SendDatagram { to: ProcessId(1), message: Word(n) });
        }
        world.run_to(1_000);
        let log = |id| world.sim.process(ProcessId(id)).log.clone();
        (log(1), log(3))
    };
    let ((here, there), (here_too, there_not)) = (run(false), run(true));
    assert_eq!(here, here_too);
    assert_ne!(there, there_not);
}
