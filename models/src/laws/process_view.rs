//! Which processes run, in which life, and under which epoch each broker believes to be registered.

use super::facts::Roster;
use crate::id::ProcessId;

/// What is known of the processes.
#[derive(Clone, Debug)]
pub(super) struct ProcessView {
    up: Vec<bool>,
    /// Per broker number the broker epoch that it learned in its present life.
    broker_epochs: Vec<Option<i64>>,
}

impl ProcessView {
    pub(super) fn new(roster: &Roster) -> Self {
        Self { up: vec![false; roster.facts.processes.len()], broker_epochs: vec![None; roster.brokers.len()] }
    }

    pub(super) fn on_up(&mut self, process: ProcessId) {
        if let Some(up) = self.up.get_mut(usize::from(process.0)) {
            *up = true;
        }
    }

    pub(super) fn on_down(&mut self, process: ProcessId, broker: Option<usize>) {
        if let Some(up) = self.up.get_mut(usize::from(process.0)) {
            *up = false;
        }
        if let Some(broker) = broker {
            self.broker_epochs[broker] = None;
        }
    }

    pub(super) fn on_registered(&mut self, broker: usize, broker_epoch: i64) {
        self.broker_epochs[broker] = Some(broker_epoch);
    }

    /// Whether `process` runs.
    pub(super) fn is_up(&self, process: ProcessId) -> bool {
        self.up.get(usize::from(process.0)).copied().unwrap_or(false)
    }

    /// The epoch under which a broker believes to be registered.
    pub(super) fn broker_epoch(&self, broker: usize) -> Option<i64> {
        self.broker_epochs[broker]
    }
}
