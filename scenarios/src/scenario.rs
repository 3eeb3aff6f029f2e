//! A scenario: the argument of a run, beside the seed.

use models::defect::Defect;
use models::time::Span;
use serde::{Deserialize, Serialize};

use crate::chaos::ChaosProfile;
use crate::cluster::Cluster;
use crate::deployment::Deployment;
use crate::expect::Expect;
use crate::fault::ProcessSelector;
use crate::monitoring::Monitoring;
use crate::schedule::Planned;
use crate::topology::Topology;
use crate::workload::Workload;
use crate::yaml::{self, ScenarioError};

/// What is there, what happens to it, and what is expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenario {
    /// One word, as in `sim run NAME`.
    pub name: String,
    /// For people.
    pub description: String,
    /// Sites, hosts and paths.
    pub topology: Topology,
    /// ZooKeeper and Kafka.
    pub cluster: Cluster,
    /// Topics and clients.
    pub workload: Workload,
    /// What follows when a process ends.
    pub supervisor: Restart,
    /// How long a process takes from its start until it does anything: the least and the greatest, drawn uniformly. It is
    /// the time of a JVM to load, and adds to every start, the first included.
    pub start_up: (Span, Span),
    /// The kernels' TCP.
    pub tcp: Tcp,
    /// Who watches.
    pub monitoring: Monitoring,
    /// How long what lasts.
    pub phases: Phases,
    /// Faults at fixed times.
    pub faults: Vec<Planned>,
    /// What a seed draws further faults from.
    pub chaos: Option<ChaosProfile>,
    /// What the run should show.
    pub expect: Expect,
    /// What an operator does when the faults are over.
    pub rollback: Rollback,
    /// For a scenario about defects: what they bring about.
    pub demonstrates: Option<Demonstration>,
}

/// A scenario's own defects break a law in it, and without them it breaks none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demonstration {
    /// The law's name in the catalogue of invariants.
    pub law: String,
    /// Seeds 0 up to this one, excluded, of which at least one breaks it.
    pub within: u32,
}

/// The supervisor's policy, as systemd's `Restart=` and `RestartSec=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restart {
    /// The process starts again after this time.
    After(Span),
    /// It stays down.
    Never,
}

impl Default for Restart {
    /// `RestartSec` as the unit files of both systems are commonly written.
    fn default() -> Self {
        Self::After(Span::from_secs(5))
    }
}

/// What sysctl sets, with Linux's defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tcp {
    /// Least retransmission timeout on a measured connection.
    pub rto_min: Span,
    /// Greatest retransmission timeout.
    pub rto_max: Span,
    /// Retransmission timeout before anything was measured, and of SYN.
    pub rto_initial: Span,
    /// `tcp_retries2`: a connection is given up when it has retransmitted for as long as so many retransmissions take that
    /// begin with 200 ms and end with [`Tcp::rto_max`].
    pub retries2: u32,
    /// `tcp_syn_retries`: repeated SYNs before a connect fails.
    pub syn_retries: u32,
    /// `tcp_syn_linear_timeouts`: timeouts of a SYN that do not double the next one (since Linux 6.5; 0 before).
    pub syn_linear_timeouts: u32,
}

impl Default for Tcp {
    fn default() -> Self {
        Self {
            rto_min: Span::from_ms(200),
            rto_max: Span::from_secs(120),
            rto_initial: Span::from_secs(1),
            retries2: 15,
            syn_retries: 6,
            syn_linear_timeouts: 4,
        }
    }
}

/// The phases of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phases {
    /// From the start until faults may begin.
    pub warm_up: Span,
    /// The fault phase.
    pub faults: Span,
    /// How long every liveness law must have held for the quiet phase to end.
    pub quiet_hold: Span,
    /// The deadline of the quiet phase; `None` leaves it to the liveness laws, which compute it from the settings.
    pub quiet_limit: Option<Span>,
}

impl Default for Phases {
    fn default() -> Self {
        Self {
            warm_up: Span::from_secs(30),
            faults: Span::from_secs(300),
            quiet_hold: Span::from_secs(30),
            quiet_limit: None,
        }
    }
}

/// What an operator does at the beginning of the quiet phase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// Processes that are restarted, in this order.
    pub restart: Vec<ProcessSelector>,
}

impl Scenario {
    /// Reads a scenario file. `file_name` is for messages only.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the lines.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, Vec<ScenarioError>> {
        yaml::parse(file_name, text)
    }

    /// Writes the scenario as a file that [`Scenario::parse`] reads as the same scenario.
    pub fn to_yaml(&self) -> String {
        yaml::write(self)
    }

    /// The same scenario with every defect repaired.
    #[must_use]
    pub fn repaired(&self) -> Self {
        let mut repaired = self.clone();
        repaired.cluster.kafka.repair();
        repaired.cluster.zookeeper.repair();
        repaired
    }

    /// The same scenario with this defect repaired, and all else as it is, what it implies included: what the switch makes of a
    /// run.
    #[must_use]
    pub fn repaired_of(&self, defect: Defect) -> Self {
        let mut repaired = self.clone();
        repaired.cluster.kafka.repair_one(defect);
        repaired.cluster.zookeeper.repair_one(defect);
        repaired
    }

    /// The processes, numbered and named. A pure function, so that everybody agrees on them.
    pub fn deployment(&self) -> Deployment {
        Deployment::of(self)
    }
}
