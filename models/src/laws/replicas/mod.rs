//! Laws on what replicas do with their logs, their high watermarks and their ISRs; asked by the judge, which keeps the views.

pub(super) mod append_only;
pub(super) mod committed_read_only;
pub(super) mod consistent_read;
pub(super) mod hw_in_log;
pub(super) mod isr_join_rule;
pub(super) mod isr_logs;
pub(super) mod no_full_truncation;
pub(super) mod sequences;
pub(super) mod true_hw_monotonic;
pub(super) mod unclean_exclusion;
pub(super) mod zombie_no_commit;
