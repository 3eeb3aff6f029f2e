//! Laws of the catalogue that are not judged, and what they would need.

/// Names of the catalogue, with what is missing. Laws on mirrors (M) and KRaft (K) are left out as a whole.
pub const NOT_JUDGED: &[(&str, &str)] = &[
    ("J-PRECOMMITTED-READ", "transactions"),
    ("J-CYCLE", "transactions"),
    ("J-INT-POLL-SKIP", "operations of several polls: here each poll is one, and J-POLL-SKIP compares them"),
    ("J-INT-NONMONOTONIC-POLL", "operations of several polls, as above"),
    ("J-INT-NONMONOTONIC-SEND", "operations of several sends: here each is one, and J-NONMONOTONIC-SEND compares them"),
    ("J-INT-SEND-SKIP", "operations of several sends, as above; never a breach"),
    ("R-HW-MIN-ISR", "KIP-966"),
    ("C-METADATA-LOG-MATCH", "KRaft"),
    ("T-ATOMICITY", "transactions"),
    ("T-OUTCOME", "transactions"),
    ("T-ONE-MARKER", "transactions"),
    ("T-FENCE", "transactions"),
    ("T-NO-ORPHAN", "transactions"),
    ("T-LSO-PROGRESS", "transactions"),
    ("T-READ-BELOW-LSO", "transactions"),
    ("L-REASSIGNMENT-DONE", "an observation of reassignments"),
    ("L-TXN-RESOLVED", "transactions"),
    ("L-KRAFT-LEADER", "KRaft"),
    ("L-NOT-STUCK-PROSPECTIVE", "KRaft with KIP-996"),
    ("L-MM-CAUGHT-UP", "MirrorMaker"),
    ("L-NO-DEADLOCK", "a view into the queues of processes; a stuck controller or broker shows in the other L- laws"),
    ("S-COST-OF-RETRY", "a count of requests, which are not observed"),
    ("S-MIRROR-LAG", "MirrorMaker"),
    ("S-RPO-RECORDS", "MirrorMaker"),
    ("S-RPO-TIME", "MirrorMaker"),
    ("S-RPO-GROUP", "MirrorMaker"),
    ("S-RTO", "MirrorMaker"),
    ("S-FAILBACK", "MirrorMaker"),
];

#[test]
fn nothing_is_both_judged_and_not() {
    use super::Law;
    for (name, needs) in NOT_JUDGED {
        assert!(Law::ALL.iter().all(|law| law.name() != *name) && !needs.is_empty(), "{name}");
    }
}
