//! Which processes run, in which life, and under which epoch each broker believes to be registered.

use super::facts::Roster;
use crate::id::ProcessId;
use crate::time::Instant;

/// What is known of the processes.
#[derive(Clone, Debug)]
pub(super) struct ProcessView {
    up: Vec<bool>,
    /// The present or last life of each, and since when.
    lives: Vec<(u32, Instant)>,
    /// Per broker number the broker epoch that it learned in its present life.
    broker_epochs: Vec<Option<i64>>,
}

impl ProcessView {
    pub(super) fn new(roster: &Roster) -> Self {
        let processes = roster.facts.processes.len();
        Self {
            up: vec![false; processes],
            lives: vec![(0, Instant::ZERO); processes],
            broker_epochs: vec![None; roster.brokers.len()],
        }
    }

    pub(super) fn on_up(&mut self, process: ProcessId, life: u32, at: Instant) {
        let index = usize::from(process.0);
        if let (Some(up), Some(lives)) = (self.up.get_mut(index), self.lives.get_mut(index)) {
            (*up, *lives) = (true, (life, at));
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

    /// The present or last life of a process, from 1.
    pub(super) fn life(&self, process: ProcessId) -> u32 {
        self.lives.get(usize::from(process.0)).map_or(0, |(life, _)| *life)
    }

    /// When that began.
    pub(super) fn up_since(&self, process: ProcessId) -> Instant {
        self.lives.get(usize::from(process.0)).map_or(Instant::ZERO, |(_, since)| *since)
    }

    /// The epoch under which a broker believes to be registered.
    pub(super) fn broker_epoch(&self, broker: usize) -> Option<i64> {
        self.broker_epochs[broker]
    }
}
