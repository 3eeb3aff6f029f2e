//! Workloads for the criterion benches, and the peers that they are measured against.
//!
//! | bench | group | what is run | an element is |
//! |---|---|---|---|
//! | `engine` | `w1-30s` | a tenth of [`w1`]: our engine over datagrams and streams, turmoil over UDP, nexosim | a delivered message |
//! | `engine` | `w1` | the whole of [`w1`] on our engine | a delivered message |
//! | `queues` | `hold` | each event queue alone: an event out, one in, some cancelled | an event |
//! | `queues` | `w1-30s` | a tenth of [`w1`] with each event queue | a delivered message |
//! | `cluster` | `zookeeper-30s` | the [`ensemble`] alone, 30 virtual seconds | an input given to a process |
//! | `cluster` | `stretch-cluster-60s` | the scenario of that name, seed 7, laws included, 60 virtual seconds | the same |
//! | `forks` | `w1-forks` | [`w1`] at 200 s: a clone, and a clone that goes on for 100 virtual ms | a fork |
//! | `forks` | `stretch-cluster-forks` | the same for the scenario of that name, with 100 and with 10 partitions | a fork |
//! | `travel` | `five-minutes` | jumps within a recorded run of `stretch-cluster`, and clones of it | |
//!
//! ```text
//! cargo bench -p benches                                   # everything
//! cargo bench -p benches --bench engine -- w1-30s          # side by side
//! cargo bench -p benches -- --warm-up-time 1 --measurement-time 3
//! cargo test -p benches                                    # the workloads do what they have to
//! ```
//!
//! Compare only figures of one group from one invocation: machines differ, and so do their other tenants. Before it is
//! timed, each workload is run once and held against the counts that it has to reach.

pub mod ensemble;
pub mod w1;
