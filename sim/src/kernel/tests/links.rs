//! Links that are a netem.

use super::*;
use crate::net::netem::{Chance, Loss as Losses, Netem, Ppm, Slot};

const ALL: Chance = Chance { probability: Ppm::ALWAYS, correlation: Ppm::NEVER };

/// When `datagrams` sent at once arrive over such a link, by ms.
fn arrivals(netem: Netem, datagrams: u32) -> Vec<u64> {
    let link = LinkProfile { delay: Span::from_ms(1), netem: Some(netem), ..LinkProfile::default() };
    let mut world = World::with(2, link, RestartPolicy::default());
    for n in 0..datagrams {
        world.act(0, Effect::SendDatagram { to: ProcessId(1), message: Word(n) });
    }
    world.run_to(60_000);
    let log = &world.sim.process(ProcessId(1)).log;
    log.iter().filter(|(_, note)| matches!(note, Note::Datagram(_))).map(|(at, _)| at.as_ms()).collect()
}

#[test]
fn a_link_does_what_netem_says_on_top_of_its_delay() {
    let delay = Span::from_ms(10);
    assert_eq!(arrivals(Netem { delay, ..Netem::default() }, 2), [11, 11]);
    assert_eq!(arrivals(Netem { delay, duplicate: ALL, ..Netem::default() }, 1), [11, 11]);
    assert_eq!(arrivals(Netem { corrupt: ALL, ..Netem::default() }, 3), [] as [u64; 0]);
    assert_eq!(arrivals(Netem { delay, limit: 2, ..Netem::default() }, 5), [11, 11]);
    assert_eq!(arrivals(Netem { delay, reorder: ALL, ..Netem::default() }, 1), [1]);
    // 1,028 bytes with their headers take 10 ms each.
    assert_eq!(arrivals(Netem { rate: 102_800, ..Netem::default() }, 3), [11, 21, 31]);
    let slot = Slot { min: Span::from_ms(100), max: Span::from_ms(100), packets: 1, bytes: 0 };
    assert_eq!(arrivals(Netem { delay, slot: Some(slot), ..Netem::default() }, 3), [101, 201, 301]);
}

#[test]
fn losses_of_a_link_come_in_bursts() {
    let burst = Losses::GilbertElliott { p: Ppm(20_000), r: Ppm(200_000), bad: Ppm::ALWAYS, good: Ppm::NEVER };
    let link = LinkProfile { netem: Some(Netem { loss: burst, ..Netem::default() }), ..LinkProfile::default() };
    let mut world = World::with(2, link, RestartPolicy::default());
    for n in 0..5_000 {
        world.act(0, Effect::SendDatagram { to: ProcessId(1), message: Word(n) });
    }
    world.run_to(1_000);
    let log = &world.sim.process(ProcessId(1)).log;
    let words = log.iter().filter_map(|(_, note)| if let Note::Datagram(word) = note { Some(*word) } else { None });
    let words: Vec<u32> = words.collect();
    let gaps: Vec<u32> = words.windows(2).map(|pair| pair[1] - pair[0] - 1).filter(|gap| *gap > 0).collect();
    let lost = 5_000 - words.len();
    assert!((300..650).contains(&lost), "p / (p + r) is 9 %: {lost}");
    let mean = gaps.iter().sum::<u32>() as usize / gaps.len();
    assert!((4..=6).contains(&mean), "1 / r is 5 packets: {gaps:?}");
}

#[test]
fn a_stream_over_such_a_link_arrives_whole_and_in_order() {
    let some = Chance { probability: Ppm(100_000), correlation: Ppm::NEVER };
    let (delay, jitter) = (Span::from_ms(20), Span::from_ms(15));
    let netem = Netem { delay, jitter, duplicate: some, corrupt: some, ..Netem::default() };
    let link = LinkProfile { netem: Some(netem), ..LinkProfile::default() };
    let mut world = World::with(2, link, RestartPolicy::default());
    let conn = world.open(0, 1);
    world.send(0, conn, 0..500);
    world.run_to(60_000);
    assert_eq!(world.said(1), (0..500).collect::<Vec<_>>());
    assert!(world.sim.events().retransmissions > 0);
}

#[test]
fn what_uses_a_link_shares_it_and_inside_a_site_each_host_has_its_own() {
    let last = |across: bool| {
        let mut sites = SiteGraph::new();
        let line = LinkProfile { netem: Some(Netem { rate: 102_800, ..Netem::default() }), ..LinkProfile::default() };
        let [a, b] = ["a", "b"].map(|name| sites.add_node(Site { name: name.into(), inside: line }));
        sites.add_edge(a, b, line);
        sites.add_edge(b, a, line);
        let mut world = World::between(sites, &[0, 0, u16::from(across)]);
        for from in [0, 1] {
            world.act(from, Effect::SendDatagram { to: ProcessId(2), message: Word(0) });
        }
        world.run_to(1_000);
        world.sim.process(ProcessId(2)).log.last().map(|(at, _)| at.as_ms())
    };
    assert_eq!((last(true), last(false)), (Some(20), Some(10)));
}
