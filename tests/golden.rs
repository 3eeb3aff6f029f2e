//! Fingerprints of fixed seeds. They change when a model, the engine or a default changes: then look at the story of the
//! seed before and after, and set the new value with the reason in the commit. Debug and release must agree.

use models::time::Span;

use crate::{run, scenario};

/// Scenario, seed, length of the fault phase in seconds, fingerprint.
const GOLDEN: &[(&str, u64, u64, u64)] = &[
    ("stretch-cluster", 4, 120, 0x50df_28c1_f64b_9185),
    ("stretch-cluster", 7, 300, 0xe425_5c7a_6baf_d673),
    ("stretch-cluster", 101, 300, 0x937e_6300_0852_115d),
    ("wan-cut-zero-controllers", 1, 300, 0x311f_5cbe_2413_2390),
    ("one-way-wan-cut", 2, 300, 0x59c2_4594_d710_9e3f),
    ("three-zookeepers-2-1", 3, 300, 0xf6f5_01ef_6bc4_be4f),
    ("unclean-election-loss", 0, 300, 0xa51e_333a_45e8_77c8),
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
