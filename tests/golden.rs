//! Fingerprints of fixed seeds. They change when a model, the engine or a default changes: then look at the story of the
//! seed before and after, and set the new value with the reason in the commit. Debug and release must agree.

use models::time::Span;

use crate::{run, scenario};

/// Scenario, seed, length of the fault phase in seconds, fingerprint.
const GOLDEN: &[(&str, u64, u64, u64)] = &[
    ("stretch-cluster", 4, 120, 0x66c8_ff25_c116_e214),
    ("stretch-cluster", 7, 300, 0xa42d_730d_2793_ce15),
    ("stretch-cluster", 101, 300, 0x1f89_c488_7c67_d8d7),
    ("wan-cut-zero-controllers", 1, 300, 0x26e7_e2d0_2858_0a73),
    ("one-way-wan-cut", 2, 300, 0xff63_c6b9_6676_4c4d),
    ("three-zookeepers-2-1", 3, 300, 0xc886_426a_94c0_bb3c),
    ("unclean-election-loss", 0, 300, 0x70e8_157e_3fc2_aa77),
];

#[test]
fn golden_fingerprints_are_the_same_in_every_build() {
    let mut wrong = Vec::new();
    for (name, seed, seconds, expected) in GOLDEN {
        let mut scenario = scenario(name);
        scenario.phases.faults = scenario.phases.faults.min(Span::from_secs(*seconds));
        let found = run(&scenario, *seed).outcome.fingerprint;
        if found != *expected {
            wrong.push(format!("(\"{name}\", {seed}, {seconds}, 0x{found:016x}),"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
