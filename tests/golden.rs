//! Fingerprints of fixed seeds. They change when a model, the engine or a default changes: then look at the story of the
//! seed before and after, and set the new value with the reason in the commit. Debug and release must agree.

use models::time::Span;

use crate::{run, scenario};

/// Scenario, seed, length of the fault phase in seconds, fingerprint.
const GOLDEN: &[(&str, u64, u64, u64)] = &[
    ("stretch-cluster", 4, 120, 0xa927_7fad_b414_7c55),
    ("stretch-cluster", 7, 300, 0x0957_f781_fce1_8b14),
    ("stretch-cluster", 101, 300, 0x1c1b_2288_4a2b_1505),
    ("wan-cut-zero-controllers", 1, 300, 0x8fd2_835b_6808_2074),
    ("one-way-wan-cut", 2, 300, 0x7c9c_ed90_b66a_bda9),
    ("three-zookeepers-2-1", 3, 300, 0xc3d5_7694_064b_eaf8),
    ("unclean-election-loss", 0, 300, 0x831e_01a6_3a3e_9b59),
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
