//! Connecting and closing.

use super::*;
use crate::net::rule::Effect as RuleEffect;

#[test]
fn a_connection_opens_talks_and_closes_at_latency() {
    let mut world = World::new(2, Span::from_ms(10));
    world.sim.process_mut(ProcessId(1)).echo = true;
    let conn = world.dial(0, 1);
    world.run_to(100);
    world.send(0, conn, 1..4);
    world.act(0, Effect::Close(conn));
    world.run_to(1_000);
    assert_eq!(world.when(0, Note::Opened(conn)), Some(10));
    assert_eq!(world.when(1, Note::Accepted(ConnId(1))), Some(15));
    assert_eq!((world.said(1), world.when(1, Note::Said(3))), (vec![1, 2, 3], Some(105)));
    assert_eq!(
        world.when(1, Note::Closed(CloseReason::Reset)),
        None,
        "everything sent was read before the answer's RST"
    );
    assert_eq!(world.when(1, Note::Closed(CloseReason::Eof)), Some(105));
    assert_eq!(world.said(0), Vec::<u32>::new(), "nothing is heard on a closed connection");
    assert_eq!(world.sim.free_conns.len(), 1);
}

#[test]
fn a_healthy_stream_costs_one_event_a_message() {
    let mut world = World::new(2, Span::from_ms(10));
    let conn = world.open(0, 1);
    let before = world.sim.events().queued;
    for n in 0..100 {
        world.send(0, conn, n..n + 1);
        let now = world.sim.now().as_ms();
        world.run_to(now + 700);
    }
    assert_eq!(world.sim.events().queued - before, 100);
}

#[test]
fn syn_is_retried_at_1_2_3_4_5_7_11_19_35_67_s_and_given_up_at_131() {
    let opened_after = |heal_ms| {
        let mut world = World::new(2, Span::ZERO);
        let rule = world.cut(0, 1);
        let conn = world.dial(0, 1);
        world.run_to(heal_ms);
        world.sim.remove_rule(rule);
        world.run_to(200_000);
        (world.when(0, Note::Opened(conn)), world.when(0, Note::Closed(CloseReason::TimedOut)))
    };
    // The wheel makes each a little later.
    let is_at = |at: Option<u64>, due: u64| at.is_some_and(|at| (due..=due + due / 16 + 40).contains(&at));
    for (heal_ms, due) in [(999, 1_000), (1_100, 2_000), (4_200, 5_000), (5_300, 7_000), (38_000, 67_000)] {
        let (opened, closed) = opened_after(heal_ms);
        assert!(is_at(opened, due) && closed.is_none(), "healed at {heal_ms}: {opened:?}, {closed:?}");
    }
    let (opened, closed) = opened_after(72_000);
    assert!(opened.is_none() && is_at(closed, 131_000), "{opened:?}, {closed:?}");
}

#[test]
fn refused_by_a_live_host_silence_from_a_dead_one() {
    let mut world = World::new(2, Span::from_ms(10));
    world.act(1, Effect::Unlisten(PORT));
    world.dial(0, 1);
    world.run_to(500);
    assert_eq!(world.when(0, Note::Closed(CloseReason::Refused)), Some(10));

    let mut world = World::new(2, Span::from_ms(10));
    world.sim.crash_host(HostId(1), Loss::PageCache);
    let conn = world.dial(0, 1);
    world.run_to(2_500);
    world.sim.boot_host(HostId(1));
    world.run_to(10_000);
    let opened = world.when(0, Note::Opened(conn)).expect("the SYN is repeated");
    assert!((3_010..3_110).contains(&opened) && world.when(1, Note::Start) == Some(0), "{opened}");
}

#[test]
fn kill_is_seen_at_once_a_host_crash_when_the_host_is_back() {
    let mut world = World::new(2, Span::from_ms(10));
    let conn = world.open(0, 1);
    world.sim.kill(ProcessId(1));
    world.run_to(1_100);
    assert_eq!(world.when(0, Note::Closed(CloseReason::Eof)), Some(1_005));
    world.send(0, conn, 1..2);

    let mut world = World::new(2, Span::from_ms(10));
    let conn = world.open(0, 1);
    world.sim.crash_host(HostId(1), Loss::PageCache);
    world.send(0, conn, 1..2);
    world.run_to(2_000);
    world.sim.boot_host(HostId(1));
    world.run_to(10_000);
    // Sent again at 215 ms times 1, 2, 4, 8: the first after the boot is answered by RST.
    let reset = world.when(0, Note::Closed(CloseReason::Reset)).expect("the new kernel does not know it") - 1_000;
    assert!((1_700..1_900).contains(&reset), "{reset}");
    assert!(world.said(1).is_empty());
}

#[test]
fn a_paused_process_reads_in_order_what_its_kernel_kept_and_the_rest_follows() {
    let mut world = World::new(2, Span::from_ms(10));
    let conn = world.open(0, 1);
    world.sim.pause(ProcessId(1));
    world.send(0, conn, 0..100);
    world.run_to(30_000);
    assert!(world.said(1).is_empty());
    assert_eq!(world.sim.slot(ProcessId(1)).inbox.len(), 65, "65,536 bytes of 1,000 each");
    world.sim.resume(ProcessId(1));
    assert_eq!(world.said(1), (0..65).collect::<Vec<_>>());
    world.run_to(30_030);
    assert_eq!(world.said(1), (0..100).collect::<Vec<_>>(), "a window update at once, no timer");
}

#[test]
fn a_full_buffer_is_never_a_timeout_and_killing_its_owner_is_a_reset() {
    let mut world = World::new(2, Span::from_ms(10));
    let conn = world.open(0, 1);
    world.sim.pause(ProcessId(1));
    world.send(0, conn, 0..100);
    world.run_to(3_000_000);
    assert_eq!(world.when(0, Note::Closed(CloseReason::TimedOut)), None, "probes are answered");
    world.sim.kill(ProcessId(1));
    world.run_to(3_000_100);
    assert_eq!(world.when(0, Note::Closed(CloseReason::Reset)), Some(3_000_005));
}

#[test]
fn reset_connections_tells_both_ends_and_leaves_others() {
    let mut world = World::new(3, Span::from_ms(10));
    world.open(0, 1);
    let other = world.open(0, 2);
    world.sim.reset_connections(&[HostId(1)], &[HostId(0)], &[]);
    for id in [0, 1] {
        assert_eq!(world.when(id, Note::Closed(CloseReason::Reset)), Some(2_000));
    }
    world.send(0, other, 5..6);
    world.run_to(3_000);
    assert_eq!(world.said(2), [5]);
}

#[test]
fn a_process_may_talk_to_itself() {
    let mut world = World::new(1, Span::ZERO);
    world.sim.process_mut(ProcessId(0)).echo = false;
    let conn = world.open(0, 0);
    world.send(0, conn, 1..5);
    world.run_to(2_000);
    assert_eq!(world.said(0), [1, 2, 3, 4]);
    world.sim.kill(ProcessId(0));
    world.run_to(3_000);
    assert_eq!(world.sim.free_conns.len(), 1);
}

/// An ACK that waits is sent when its time has come, so a rule that began meanwhile stops it; the sender repeats what has arrived.
/// Who is told that it was rejected has no connection any more.
#[test]
fn an_ack_that_waits_meets_a_rule_that_begins_before_it_is_sent() {
    let after = |effect: RuleEffect, rule_after_ms: u64| {
        let mut world = World::new(2, Span::from_ms(10));
        let conn = world.open(0, 1);
        // The receiver has answered at once before, so its ACKs wait.
        world.sim.process_mut(ProcessId(1)).echo = true;
        world.send(0, conn, 0..1);
        world.run_to(2_000);
        world.sim.process_mut(ProcessId(1)).echo = false;
        world.send(0, conn, 1..2);
        let before = world.sim.events().retransmissions;
        world.run_to(2_000 + rule_after_ms);
        let rule = world.sim.add_rule(Rule::new(vec![HostId(1)], vec![HostId(0)], effect));
        world.run_to(2_100);
        world.sim.remove_rule(rule);
        world.run_to(5_000);
        assert_eq!(world.said(1), vec![0, 1]);
        (world.sim.events().retransmissions - before, world.when(1, Note::Closed(CloseReason::Reset)))
    };
    use RuleEffect::{Above, Cut, NoRoute, Reset};
    // It arrives after 5 ms, and its ACK, of 52 bytes, waits for 40.
    for (effect, stops) in [(Cut, true), (NoRoute, true), (Above(51), true), (Above(52), false)] {
        assert_eq!(after(effect, 25), (u64::from(stops), None), "{effect:?}");
        assert_eq!(after(effect, 50), (0, None), "{effect:?}, too late");
    }
    assert_eq!(after(Reset, 25).1, Some(2_045));
    assert_eq!(after(Reset, 50), (0, None));
}

/// Words of 1,000 bytes; a full packet holds 1,448, and so the 20 packets of the second window 27 words and a packet.
#[test]
fn a_bulk_is_heard_in_windows_that_double_each_round_trip() {
    let mut world = World::new(2, Span::from_ms(10));
    let conn = world.open(0, 1);
    world.send(0, conn, 0..100);
    let mut heard = Vec::new();
    for round in 0..4 {
        world.run_to(1_006 + 10 * round);
        heard.push(world.said(1).len());
    }
    assert_eq!(heard, [10, 38, 96, 100]);
    assert_eq!(world.sim.counts.retransmissions, 0, "what has not left is not late");
}

#[test]
fn after_a_timeout_what_was_lost_follows_in_windows_that_double() {
    let mut world = World::new(2, Span::from_ms(10));
    let conn = world.open(0, 1);
    let rule = world.cut(0, 1);
    world.send(0, conn, 0..10);
    world.run_to(1_500);
    assert!(world.sim.remove_rule(rule));
    while world.said(1).is_empty() {
        let now = world.sim.now().as_ms();
        world.run_to(now + 1);
    }
    let first = world.sim.now().as_ms();
    let mut heard = Vec::new();
    for round in 0..4 {
        world.run_to(first + 1 + 10 * round);
        heard.push(world.said(1).len());
    }
    // Four packets hold the better part of six words.
    assert_eq!(heard, [1, 3, 8, 10]);
}
