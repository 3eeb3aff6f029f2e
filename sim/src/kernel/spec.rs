//! What a simulation consists of.

use models::id::HostId;
use models::time::{Instant, Span};

use crate::clock::ClockProfile;
use crate::disk::DiskProfile;
use crate::net::tcp::TcpConfig;
use crate::net::topology::SiteGraph;

/// Everything that a run is a function of, apart from what is done to it from outside.
#[derive(Clone, Debug)]
pub struct SimulationSpec<P> {
    /// The seed of all chance.
    pub seed: u64,
    /// The sites and the links between them. Sites are numbered by their node index, from 0 without gaps.
    pub sites: SiteGraph,
    /// How long a packet takes within one host.
    pub loopback: Span,
    /// TCP of all hosts that do not bring their own.
    pub tcp: TcpConfig,
    /// The hosts, by [`HostId`].
    pub hosts: Vec<HostSpec>,
    /// The processes, by [`models::id::ProcessId`].
    pub processes: Vec<ProcessSpec<P>>,
}

/// A host.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostSpec {
    /// Which streams of chance it and its links draw from, as [`models::random::named`] makes it of a name; `None` is its
    /// position. No two hosts may share one.
    pub stream: Option<u64>,
    /// The site where it stands.
    pub site: u16,
    /// Its disk.
    pub disk: DiskProfile,
    /// Its clock.
    pub clock: ClockProfile,
    /// The longest that a thread which is ready to run waits for a core ([`models::random::Random::wait`]).
    pub thread_delay: Span,
    /// Its TCP, if it differs from that of the others.
    pub tcp: Option<TcpConfig>,
}

/// A process.
#[derive(Clone, Debug)]
pub struct ProcessSpec<P> {
    /// Which streams of chance it draws from, as for hosts. No two processes may share one.
    pub stream: Option<u64>,
    /// Before its first start.
    pub process: P,
    /// Where it runs.
    pub host: HostId,
    /// What its supervisor does when it ends.
    pub restart: RestartPolicy,
    /// When it runs first.
    pub start_at: Instant,
    /// How long every later start takes until it runs: the least and the greatest, drawn uniformly.
    pub start_up: (Span, Span),
}

/// What the supervisor does when a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RestartPolicy {
    /// Starts it again this much later.
    After(Span),
    /// Nothing.
    Never,
}

impl Default for RestartPolicy {
    /// 5 s, as the unit files of Kafka and ZooKeeper packages have it (`RestartSec=5`).
    fn default() -> Self {
        Self::After(Span::from_secs(5))
    }
}

/// The loopback device of a machine that is not busy.
pub const LOOPBACK: Span = Span::from_us(20);
