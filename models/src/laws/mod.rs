//! The laws that observations of a deployment must obey. A [`Judge`] holds them all and is fed with [`Observed`](crate::observation::Observed) alone, so
//! that it judges a simulated run and real hosts alike.
//!
//! The table of them is in `ledger`, that of laws which are not judged in `not_judged`; each has a file, or shares one with
//! others on the same thing. `replicas`, `metadata`, `clients`, `recovery` and `groups` hold those of one concern each.
//!
//! Sources stand in the files, as `SOURCE`. What several laws look at is kept once, in views: `zk_history` says which
//! transactions are committed, `store_view` what they mean to Kafka, `log_view` keeps all logs with running digests,
//! `epoch_logs` what the leader of each epoch appended, `leader_view` who holds itself for a leader, `records` what clients know, and `gate` says what the settings do not promise.
//!
//! The error table (section 0.3 of the catalogue) is applied by producers: they report a definite failure as `SendFail` and
//! anything else as `SendUnknown`; neither obliges anybody.

mod ack_durable;
mod ack_rule;
mod agreement;
mod all_registered;
mod candidate_complete;
mod cas;
mod clients;
mod committed_monotonic;
mod controller_count;
mod deadline;
mod duplicate;
mod ephemeral_gone;
mod epoch_after_history;
mod epoch_logs;
mod facts;
mod figures;
mod gate;
mod global_primary_order;
mod groups;
mod honest_zxid;
mod inconsistent_offsets;
mod integrity;
mod isr_full;
mod judge;
mod leader_complete;
mod leader_completeness;
mod leader_in_isr;
mod leader_view;
mod leadership;
mod ledger;
mod legal_message;
mod local_primary_order;
mod log_match;
mod log_view;
mod lost_write;
mod metadata;
mod not_judged;
mod one_controller;
mod one_leader_per_epoch;
mod one_per_epoch;
mod pages;
mod phantom;
mod prefix;
mod primary_integrity;
mod process_view;
mod produce;
mod read_session_order;
mod records;
mod recovery;
mod replicas;
mod replicas_equal;
mod service;
mod session_safety;
mod sparse;
mod stale_request_rejected;
mod store_view;
#[cfg(test)]
mod tests;
mod total_order;
mod trunc_below_hw;
mod unseen;
mod version_agreement;
mod views;
mod zk_deliveries;
mod zk_disks;
mod zk_history;
mod zk_nodes;
mod zk_quorum;
mod zombie_no_effect;

pub use controller_count::{ControllerCount, ControllerTime};
pub use facts::{Facts, GroupFacts, PartitionFacts, ProcessFacts, ProcessKind};
pub use figures::Coverage;
pub use judge::Judge;
pub use ledger::{Law, LawReport, Outcome, Permit, Unmet, Violation};
pub use not_judged::NOT_JUDGED;
pub use service::ServiceLevels;
pub use store_view::StoreSummary;
