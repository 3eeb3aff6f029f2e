//! Everything at once, by seed: nothing panics, nothing is heard twice or out of order, and no connection is leaked.

use std::collections::BTreeMap;

use models::random::Purpose;

use super::*;
use crate::net::netem::{Chance, Loss as PacketLoss, Netem, Ppm};

#[test]
fn streams_keep_their_promises_under_any_faults() {
    for seed in 0..150 {
        storm(seed);
    }
}

fn storm(seed: u64) {
    let mut random = Random::new(seed, Purpose::Schedule, 0);
    let mut world = World::new(3, Span::from_ms(random.within(0, 60)));
    let mut rules = Vec::new();
    let mut conns = Vec::new();
    let mut word = 0;
    for _ in 0..600 {
        let [a, b] = [random.below(3) as u16, random.below(3) as u16];
        match random.below(16) {
            0 if world.sim.is_up(ProcessId(a)) && !world.sim.is_paused(ProcessId(a)) => {
                conns.push((a, world.dial(a, b)));
            }
            1..=7 if !conns.is_empty() => {
                let (from, conn) = *random.pick(&conns);
                if !world.sim.is_paused(ProcessId(from)) {
                    world.send(from, conn, word..word + 8);
                    word += 8;
                }
            }
            8 => world.sim.pause(ProcessId(a)),
            9 | 10 => world.sim.resume(ProcessId(a)),
            11 if random.chance(1, 3) => world.sim.kill(ProcessId(a)),
            12 if random.chance(1, 4) => world.sim.crash_host(HostId(a), Loss::PageCache),
            13 => world.sim.boot_host(HostId(a)),
            14 if rules.len() < 4 => {
                let chance = Chance { probability: Ppm(200_000), correlation: Ppm::NEVER };
                let netem = Netem {
                    jitter: Span::from_ms(20),
                    loss: PacketLoss::Random(chance),
                    duplicate: chance,
                    ..Netem::default()
                };
                let (from, to) = (vec![HostId(a)], vec![HostId(b)]);
                let rule = if random.chance(1, 2) { Rule::cut(from, to) } else { Rule::netem(from, to, netem) };
                rules.push(world.sim.add_rule(rule));
            }
            15 if !rules.is_empty() => {
                let rule = rules.swap_remove(random.below(rules.len() as u64) as usize);
                assert!(world.sim.remove_rule(rule));
            }
            _ => {}
        }
        let now = world.sim.now().as_ms();
        world.run_to(now + random.within(0, 200));
    }
    for rule in rules {
        world.sim.remove_rule(rule);
    }
    for id in 0..3 {
        world.sim.boot_host(HostId(id));
        world.sim.resume(ProcessId(id));
    }
    let now = world.sim.now().as_ms();
    world.run_to(now + 400_000);
    for id in 0..3 {
        // Eight words are said in one breath on one connection: each is heard after the one before, and once.
        let mut next = BTreeMap::new();
        for word in world.said(id) {
            let expected = next.insert(word / 8, word + 1).unwrap_or(word / 8 * 8);
            assert_eq!(word, expected, "seed {seed}: process {id} missed a word, or heard one twice");
        }
        world.sim.kill(ProcessId(id));
        world.sim.hold_down(ProcessId(id));
    }
    world.run_to(now + 1_000_000);
    for id in 0..3 {
        world.sim.crash_host(HostId(id), Loss::PageCache);
    }
    assert_eq!(world.sim.free_conns.len(), world.sim.conns.len(), "seed {seed}: a connection is leaked");
}
