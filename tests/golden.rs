//! Fingerprints of fixed seeds. They change when a model, the engine or a default changes: then look at the story of the
//! seed before and after, and set the new value with the reason in the commit. Debug and release must agree.

use models::time::Span;

use crate::{run, scenario};

/// Scenario, seed, length of the fault phase in seconds, fingerprint.
const GOLDEN: &[(&str, u64, u64, u64)] = &[
    ("stretch-cluster", 4, 120, 0xbb2d_21a6_5fcc_32ae),
    ("stretch-cluster", 7, 300, 0xe325_69cb_8c88_1bfc),
    ("stretch-cluster", 101, 300, 0xeb5e_95db_cc36_9049),
    ("wan-cut-zero-controllers", 1, 300, 0xfcf7_43f4_8daf_5a37),
    ("one-way-wan-cut", 2, 300, 0x0245_5213_a5c3_ce68),
    ("three-zookeepers-2-1", 3, 300, 0x1f31_9a8d_6555_c8b1),
    ("unclean-election-loss", 0, 300, 0x2509_e41a_35b3_897b),
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
