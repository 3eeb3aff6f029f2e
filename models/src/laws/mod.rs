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
//! | Z-LEADERSHIP | one ZooKeeper server leads in an epoch | `leadership` |
//! | Z-PREFIX | ZooKeeper servers apply one history | `prefix` |
//! | Z-INTEGRITY | what ZooKeeper servers deliver was proposed | `integrity` |
//! | Z-AGREEMENT | of two transactions delivered at two servers, one server delivered both | `agreement` |
//! | Z-TOTAL-ORDER | ZooKeeper servers deliver in one order | `total_order` |
//! | Z-LOCAL-PRIMARY-ORDER | a leader's transactions are delivered in its order, without gaps | `local_primary_order` |
//! | Z-GLOBAL-PRIMARY-ORDER | those of older epochs are delivered first | `global_primary_order` |
//! | Z-PRIMARY-INTEGRITY | a broadcasting leader has delivered what others delivered of older epochs | `primary_integrity` |
//! | Z-LEADER-COMPLETENESS | a ZooKeeper leader holds every committed transaction | `leader_completeness` |
//! | Z-EPHEMERAL-GONE | the nodes of an ended session are gone | `ephemeral_gone` |
//! | Z-ACK-DURABLE | what a ZooKeeper server acknowledged survives its crash | `ack_durable` |
//! | Z-COMMITTED-MONOTONIC | the committed log only grows | `committed_monotonic` |
//! | Z-HONEST-ZXID | a vote's zxid is that of tree and log | `honest_zxid` |
//! | Z-EPOCH-AFTER-HISTORY | a stored epoch's history is stored too | `epoch_after_history` |
//! | Z-LEGAL-MESSAGE | no message comes in an impossible phase | `legal_message` |
//! | Z-REPLICAS-EQUAL | trees after the same transaction are equal | `replicas_equal` |
//! | Z-VERSION-AGREEMENT | a znode's version stands for one content | `version_agreement` |
//! | Z-SESSION-SAFETY | sessions expire no earlier than they may and then never act | `session_safety` |
//! | Z-CAS | conditional writes succeed only against the newest version | `cas` |
//! | Z-READ-SESSION-ORDER | the answers to a session never go back | `read_session_order` |
//! | L-ONE-CONTROLLER | one active controller, the stored one, acts | `one_controller` |
//! | L-ALL-REGISTERED | every broker is registered | `all_registered` |
//! | L-ISR-FULL | every replica is in the ISR | `isr_full` |
//! | L-PRODUCE | every partition acknowledges writes | `produce` |
//! | L-ZK-QUORUM | ZooKeeper serves at every server | `zk_quorum` |
//!
//! Sources stand in the files, as `SOURCE`. What several laws look at is kept once, in views: `zk_history` says which
//! transactions are committed, `store_view` what they mean to Kafka, `log_view` keeps all logs with running digests,
//! `records` what clients know, and `gate` says what the settings do not promise.
//!
//! The error table (section 0.3 of the catalogue) is applied by producers: they report a definite failure as `SendFail` and
//! anything else as `SendUnknown`; neither obliges anybody.

mod ack_durable;
mod ack_rule;
mod agreement;
mod all_registered;
mod candidate_complete;
mod cas;
mod chunks;
mod committed_monotonic;
mod controller_count;
mod deadline;
mod duplicate;
mod ephemeral_gone;
mod epoch_after_history;
mod facts;
mod figures;
mod gate;
mod global_primary_order;
mod honest_zxid;
mod inconsistent_offsets;
mod integrity;
mod isr_full;
mod judge;
mod leader_complete;
mod leader_completeness;
mod leader_in_isr;
mod leadership;
mod ledger;
mod legal_message;
mod local_primary_order;
mod log_match;
mod log_view;
mod lost_write;
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
mod replicas_equal;
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
pub use facts::{Facts, PartitionFacts, ProcessFacts, ProcessKind};
pub use figures::Coverage;
pub use judge::Judge;
pub use ledger::{Law, LawReport, Outcome, Permit, Unmet, Violation};
pub use store_view::StoreSummary;
