//! What happened in a run, measured or simulated, in the terms that metrics are taken in. Times are milliseconds after the
//! beginning of the fault.

use std::collections::BTreeMap;

/// A role that a server took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It looks for a leader.
    Looking,
    /// It was elected; nobody has acknowledged it yet.
    Elected,
    /// It leads and serves.
    Leading,
    /// It follows and serves.
    Following,
    /// It does not run.
    Down,
}

/// Which of a run's sessions: where its client stands, and whom it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Side {
    /// Not at the site where the leader was when the fault began.
    pub far: bool,
    /// It knows its own site's servers only.
    pub local: bool,
}

/// What a session's application met.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionStory {
    /// The first acknowledged write after the moment recorded for the heal, ms after that moment.
    pub first_contact: Option<f64>,
    /// The longest time between two acknowledged writes, ms.
    pub longest_gap: Option<f64>,
    /// The first loss of its connection.
    pub disconnected: Option<f64>,
    /// Sessions that it was told had expired.
    pub expired: u64,
    /// Writes of unknown outcome.
    pub unknown: u64,
    /// Of those, found in the healed ensemble; unknown where that could not be asked.
    pub unknown_applied: Option<u64>,
    /// Acknowledged writes that the healed ensemble lacks.
    pub lost: Option<u64>,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Story {
    /// Per server whether it stands at another site than the leader did.
    pub far: Vec<bool>,
    /// Which server led when the fault began.
    pub leader: usize,
    /// When the fault ended.
    pub heal: f64,
    /// Whether the fault was that the leader stood still.
    pub paused: bool,
    /// Whether the ensemble served everybody again within the time allowed.
    pub recovered: bool,
    /// Roles that servers took after the fault began, in order of time.
    pub roles: Vec<(f64, usize, Role)>,
    /// When leaders let a session expire. A leader without a quorum does so too, and cannot commit it.
    pub expiring: Vec<f64>,
    /// What the applications met.
    pub sessions: BTreeMap<Side, SessionStory>,
}

impl Side {
    /// The words of it.
    pub fn name(self) -> String {
        let place = if self.far { "far-side" } else { "leader-side" };
        format!("{place} client ({})", if self.local { "local" } else { "all" })
    }
}
