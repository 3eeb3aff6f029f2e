//! Rules that answer, look at ports and sizes or choose connections; resolvers that are wrong; processes short of CPU.

use super::*;
use crate::net::netem::Ppm;
use crate::net::resolver::Answer;
use crate::net::rule::{Effect as Stop, PortFilter};

fn rule(world: &mut World, from: u16, to: u16, effect: Stop) -> RuleId {
    world.sim.add_rule(Rule::new(vec![HostId(from)], vec![HostId(to)], effect))
}

fn closed(world: &World, id: u16) -> Vec<(u64, CloseReason)> {
    let log = &world.sim.process(ProcessId(id)).log;
    let closed = |note: &Note| if let Note::Closed(reason) = note { Some(*reason) } else { None };
    log.iter().filter_map(|(at, note)| Some((at.as_ms(), closed(note)?))).collect()
}

/// What a new connection and one in place meet under a rule: when they are closed and how, and whether data arrives.
#[test]
fn each_way_to_stop_packets_tells_its_own_story() {
    let silence = (vec![], false);
    let told = |reason| (vec![(2_000, reason)], false);
    for (effect, dialled, in_place) in [
        (Stop::Cut, vec![], silence.clone()),
        (Stop::Reset, vec![(2_000, CloseReason::Refused)], told(CloseReason::Reset)),
        (Stop::RefuseNew, vec![(2_000, CloseReason::Refused)], (vec![], true)),
        (Stop::DropNew, vec![], (vec![], true)),
        (Stop::NoRoute, vec![(2_000, CloseReason::Unreachable)], silence),
    ] {
        let mut world = World::new(2, Span::from_ms(10));
        let conn = world.open(0, 1);
        world.run_to(2_000);
        rule(&mut world, 0, 1, effect);
        world.send(0, conn, 1..2);
        world.run_to(5_000);
        assert_eq!((closed(&world, 0), world.said(1) == [1]), in_place, "{effect:?}, in place");
        assert_eq!(closed(&world, 1), [], "{effect:?}: the other end is not told");

        let mut world = World::new(2, Span::from_ms(10));
        world.run_to(2_000);
        rule(&mut world, 0, 1, effect);
        world.dial(0, 1);
        world.run_to(5_000);
        assert_eq!(closed(&world, 0), dialled, "{effect:?}, dialled");
        assert_eq!(world.said(1), [] as [u32; 0]);
    }
}

#[test]
fn a_silent_cut_beside_it_swallows_the_answer_but_not_the_routing_tables() {
    for (effect, expected) in [(Stop::Reset, vec![]), (Stop::NoRoute, vec![(2_000, CloseReason::Unreachable)])] {
        let mut world = World::new(2, Span::from_ms(10));
        world.run_to(2_000);
        rule(&mut world, 0, 1, effect);
        world.cut(0, 1);
        world.dial(0, 1);
        world.run_to(2_900);
        assert_eq!(closed(&world, 0), expected, "{effect:?}");
    }
}

#[test]
fn rules_end_with_what_they_are_for() {
    // By port: connections of process 0 to the port of process 1, in one direction or the other.
    for (src, dst, passes) in
        [(None, None, false), (None, Some(PORT), false), (Some(PORT), None, true), (None, Some(Port(9)), true)]
    {
        let mut world = World::new(2, Span::from_ms(10));
        let conn = world.open(0, 1);
        let ports = PortFilter { src: src.into_iter().collect(), dst: dst.into_iter().collect() };
        let id = world.sim.add_rule(Rule { ports, ..Rule::cut(vec![HostId(0)], vec![HostId(1)]) });
        world.send(0, conn, 1..2);
        world.run_to(1_100);
        assert_eq!(world.said(1) == [1], passes, "src {src:?}, dst {dst:?}");
        assert!(world.sim.remove_rule(id));
        world.run_to(5_000);
        assert_eq!(world.said(1), [1], "it arrives once the rule is gone");
    }
    // By size: a message has 1,000 bytes and 52 of headers.
    for (above, passes) in [(1_051, false), (1_052, true), (1_499, true)] {
        let mut world = World::new(2, Span::from_ms(10));
        let conn = world.open(0, 1);
        rule(&mut world, 0, 1, Stop::Above(above));
        world.send(0, conn, 1..2);
        world.run_to(60_000);
        assert_eq!(world.said(1) == [1], passes, "above {above}");
        assert!(
            closed(&world, 0).is_empty() && closed(&world, 1).is_empty(),
            "small packets keep the connection alive"
        );
    }
}

#[test]
fn flow_loss_chooses_connections_and_chooses_the_same_again() {
    let hit = || {
        let mut world = World::new(2, Span::from_ms(10));
        let conns: Vec<ConnId> = (0..200).map(|_| world.dial(0, 1)).collect();
        world.run_to(1_000);
        let flows = Stop::Flows { flows: Ppm(300_000), packets: Ppm::ALWAYS };
        rule(&mut world, 0, 1, flows);
        for (word, conn) in (0..).zip(&conns) {
            world.send(0, *conn, word..word + 1);
        }
        world.run_to(10_000);
        let arrived = world.said(1);
        (0..200).filter(|word| !arrived.contains(word)).collect::<Vec<u32>>()
    };
    let first = hit();
    assert!((45..=75).contains(&first.len()), "30 % of 200: {}", first.len());
    assert_eq!(hit(), first);
}

#[test]
fn a_wrong_resolver_leads_astray_until_it_is_mended() {
    let refused = vec![(1_010, CloseReason::Refused)];
    for (answer, expected, reaches) in [
        (Answer::Right, vec![], Some(1)),
        (Answer::Host(HostId(2)), vec![], Some(2)),
        (Answer::Nobody, vec![], None),
        (Answer::Fails(Span::ZERO), vec![(1_000, CloseReason::Unreachable)], None),
        (Answer::Fails(Span::from_secs(10)), vec![(11_000, CloseReason::Unreachable)], None),
        (Answer::Host(HostId(3)), refused, None),
    ] {
        let mut world = World::new(4, Span::from_ms(10));
        world.act(3, Effect::Unlisten(PORT));
        let before = world.open(0, 1);
        world.sim.break_name(HostId(0), HostId(1), answer);
        let conn = world.dial(0, 1);
        world.send(0, before, 7..8);
        world.run_to(3_000);
        world.send(0, conn, 8..9);
        world.run_to(12_000);
        assert_eq!(closed(&world, 0), expected, "{answer:?}");
        assert!(world.said(1).contains(&7), "connections in place stay");
        let reached: Vec<u16> = (1..4).filter(|id| world.said(*id).contains(&8)).collect();
        assert_eq!(reached, Vec::from_iter(reaches), "{answer:?}");
        world.sim.mend_name(HostId(0), HostId(1), answer);
        assert!(world.open(0, 1).0 > conn.0, "a mended name is dialled rightly");
    }
}

#[test]
fn a_process_short_of_cpu_takes_its_inputs_one_after_the_other() {
    let mut world = World::new(2, Span::from_ms(10));
    let conn = world.open(0, 1);
    world.sim.set_input_time(ProcessId(1), Span::from_ms(100));
    world.send(0, conn, 1..6);
    world.run_to(1_000 + 5 + 350);
    assert_eq!(world.said(1), [1, 2, 3], "one every 100 ms");
    world.act(1, Effect::SetTimer { id: models::id::TimerId(900), after: Span::from_ms(1), timer: 1 });
    world.run_to(1_800);
    assert_eq!(world.said(1), [1, 2, 3, 4, 5]);
    assert_eq!(world.when(1, Note::Timer(1)), Some(1_605), "a timer waits for its turn");
    // Back at full speed it reads at once what waits.
    world.send(0, conn, 6..9);
    world.run_to(1_850);
    assert_eq!(world.said(1).len(), 5);
    world.sim.set_input_time(ProcessId(1), Span::ZERO);
    assert_eq!(world.said(1), [1, 2, 3, 4, 5, 6, 7, 8]);
    world.send(0, conn, 9..10);
    world.run_to(1_860);
    assert_eq!(world.said(1).last(), Some(&9));
    // Neither a pause nor death in the middle is a problem.
    world.sim.set_input_time(ProcessId(1), Span::from_ms(100));
    world.send(0, conn, 10..13);
    world.run_to(1_900);
    world.sim.pause(ProcessId(1));
    world.run_to(3_000);
    assert_eq!(world.said(1).last(), Some(&9));
    world.sim.resume(ProcessId(1));
    world.run_to(3_250);
    assert_eq!(world.said(1).last(), Some(&11), "it goes on as slowly as before");
    world.sim.kill(ProcessId(1));
    world.run_to(20_000);
    assert!(world.sim.is_up(ProcessId(1)));
}
