//! Fingerprints of fixed seeds. They change when a model, the engine or a default changes: then look at the story of the
//! seed before and after, and set the new value with the reason in the commit. Debug and release must agree.

use models::time::Span;

use crate::{run, scenario};

/// Scenario, seed, length of the fault phase in seconds, fingerprint.
const GOLDEN: &[(&str, u64, u64, u64)] = &[
    ("stretch-cluster", 4, 120, 0xd587_8ad9_ce8b_3f65),
    ("stretch-cluster", 7, 300, 0x9d73_573a_55b8_8e73),
    ("stretch-cluster", 101, 300, 0x07cd_3177_e475_3def),
    ("wan-cut-zero-controllers", 1, 300, 0xbb02_fe4a_36df_7450),
    ("one-way-wan-cut", 2, 300, 0x6493_ea51_c7e3_122d),
    ("three-zookeepers-2-1", 3, 300, 0x9359_a804_f002_b124),
    ("unclean-election-loss", 0, 300, 0x314f_06ed_6ed8_2e4f),
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
