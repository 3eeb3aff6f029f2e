//! Fingerprints of fixed seeds. They change when a model, the engine or a default changes: then look at the story of the
//! seed before and after, and set the new value with the reason in the commit. Debug and release must agree.

use models::time::Span;

use crate::{run, scenario};

/// Scenario, seed, length of the fault phase in seconds, fingerprint.
const GOLDEN: &[(&str, u64, u64, u64)] = &[
    ("stretch-cluster", 4, 120, 0x2f09_5cdc_62ea_6d9d),
    ("stretch-cluster", 7, 300, 0x2b55_c184_4ae0_2812),
    ("stretch-cluster", 101, 300, 0x2ee5_6eab_8769_8cdc),
    ("wan-cut-zero-controllers", 1, 300, 0x35d2_6563_ca33_1810),
    ("one-way-wan-cut", 2, 300, 0x72d9_59af_bdf1_5a57),
    ("three-zookeepers-2-1", 3, 300, 0x7674_e096_535f_4729),
    ("unclean-election-loss", 0, 300, 0xf36e_8d22_46cf_a82a),
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
