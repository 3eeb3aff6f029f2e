//! Fingerprints of fixed seeds. They change when a model, the engine or a default changes: then look at the story of the
//! seed before and after, and set the new value with the reason in the commit. Debug and release must agree.

use models::time::Span;

use crate::{run, scenario};

/// Scenario, seed, length of the fault phase in seconds, fingerprint.
const GOLDEN: &[(&str, u64, u64, u64)] = &[
    ("stretch-cluster", 4, 120, 0x476c_6801_ed68_d9be),
    ("stretch-cluster", 7, 300, 0x59d7_9a3d_7fa7_e022),
    ("stretch-cluster", 101, 300, 0xe01a_6b7f_f154_81ff),
    ("wan-cut-zero-controllers", 1, 300, 0x4df9_f55a_5432_562f),
    ("one-way-wan-cut", 2, 300, 0x18bc_d297_a7f3_b083),
    ("three-zookeepers-2-1", 3, 300, 0x13e0_1cc8_3cdf_fdb9),
    ("unclean-election-loss", 0, 300, 0x7a04_3cb4_9108_fefd),
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
