//! The laws that observations of a deployment must obey. A [`Judge`] holds them all and is fed with [`Observed`](crate::observation::Observed) alone, so
//! that it judges a simulated run and real hosts alike.
//!
//! | law | says | file |
//! |---|---|---|
//! | J-LOST-WRITE | an acknowledged value below an offset that was read is read | `lost_write` |
//! | J-UNSEEN | a read to the end returns every acknowledged value | `unseen` |
//! | J-DUPLICATE | a value stands at one offset | `duplicate` |
//! | J-INCONSISTENT-OFFSETS | an offset stands for one value | `inconsistent_offsets` |
//! | J-PHANTOM | nothing is read that was not sent | `phantom` |
//! | R-LEADER-IN-ISR | the stored leader is in the stored ISR | `leader_in_isr` |
//! | R-ONE-LEADER-PER-EPOCH | one broker leads in a leader epoch, the stored one | `one_leader_per_epoch` |
//! | R-LOG-MATCH | replicas agree below their high watermarks | `log_match` |
//! | R-LEADER-COMPLETE | a new leader holds every committed record | `leader_complete` |
//! | R-CANDIDATE-COMPLETE | every electable replica holds every committed record | `candidate_complete` |
//! | R-ACK-RULE | `acks=all` is answered below the high watermark with enough replicas | `ack_rule` |
//! | R-TRUNC-BELOW-HW | no truncation removes a committed record | `trunc_below_hw` |
//! | C-ONE-PER-EPOCH | one process claims a controller epoch | `one_per_epoch` |
//! | C-ZOMBIE-NO-EFFECT | an old controller has no effect | `zombie_no_effect` |
//! | C-STALE-REQUEST-REJECTED | a stale control request is not applied | `stale_request_rejected` |
//! | Z-PREFIX | ZooKeeper servers apply one history | `prefix` |
//! | Z-LEADER-COMPLETENESS | a ZooKeeper leader holds every committed transaction | `leader_completeness` |
//! | Z-EPHEMERAL-GONE | the nodes of an ended session are gone | `ephemeral_gone` |
//! | G-COMMIT-DURABLE | a group finds the positions whose commit was acknowledged | `groups::commit_durable` |
//! | G-GENERATION-FENCE | nothing of an older generation is taken for good | `groups::generation_fence` |
//! | G-EXCLUSIVE | a partition has one owner in a generation | `groups::exclusive` |
//! | G-OVERLAP-BOUND | how long two members process a partition; reported | `groups::overlap_bound` |
//! | G-NO-SILENT-SKIP | no consumer passes a record by without being told | `groups::no_silent_skip` |
//! | G-COORDINATOR-UNIQUE | one coordinator acknowledges commits in a leader epoch | `groups::coordinator_unique` |
//! | G-MEMBER-FENCING-CORRECT | nobody is removed as silent who was not | `groups::member_fencing` |
//! | G-NO-LOSS | what is committed was read | `groups::group_no_loss` |
//! | L-ONE-CONTROLLER | one active controller, the stored one, acts | `one_controller` |
//! | L-ALL-REGISTERED | every broker is registered | `all_registered` |
//! | L-ISR-FULL | every replica is in the ISR | `isr_full` |
//! | L-PRODUCE | every partition acknowledges writes | `produce` |
//! | L-GROUP-STABLE | groups are stable and every partition is somebody's | `groups::group_stable` |
//! | L-CONSUME | groups read what was written | `groups::consume` |
//! | L-ZK-QUORUM | ZooKeeper serves at every server | `zk_quorum` |
//!
//! Sources stand in the files, as `SOURCE`. What several laws look at is kept once, in views: `zk_history` says which
//! transactions are committed, `store_view` what they mean to Kafka, `log_view` keeps all logs with running digests,
//! `records` what clients know, and `gate` says what the settings do not promise.
//!
//! The error table (section 0.3 of the catalogue) is applied by producers: they report a definite failure as `SendFail` and
//! anything else as `SendUnknown`; neither obliges anybody.

mod ack_rule;
mod all_registered;
mod candidate_complete;
mod chunks;
mod controller_count;
mod deadline;
mod duplicate;
mod ephemeral_gone;
mod facts;
mod figures;
mod gate;
mod groups;
mod inconsistent_offsets;
mod isr_full;
mod judge;
mod leader_complete;
mod leader_completeness;
mod leader_in_isr;
mod ledger;
mod log_match;
mod log_view;
mod lost_write;
mod one_controller;
mod one_leader_per_epoch;
mod one_per_epoch;
mod pages;
mod phantom;
mod prefix;
mod process_view;
mod produce;
mod records;
mod sparse;
mod stale_request_rejected;
mod store_view;
#[cfg(test)]
mod tests;
mod trunc_below_hw;
mod unseen;
mod views;
mod zk_history;
mod zk_quorum;
mod zombie_no_effect;

pub use controller_count::{ControllerCount, ControllerTime};
pub use facts::{Facts, GroupFacts, PartitionFacts, ProcessFacts, ProcessKind};
pub use figures::Coverage;
pub use judge::Judge;
pub use ledger::{Law, LawReport, Outcome, Permit, Unmet, Violation};
pub use store_view::StoreSummary;
