//! L-ONE-CONTROLLER: one process is active controller, it is the stored one, it has been elected (KAFKA-4229, KAFKA-13461: it may
//! take its id in `/controller` for an election), and it has acted since the faults ended.

use super::views::Views;
use crate::id::ProcessId;
use crate::time::Instant;

pub(super) const SOURCE: &str = "KAFKA-4229, KAFKA-13461, KAFKA-13104";

/// Who holds itself for the controller.
#[derive(Clone, Debug, Default)]
pub(super) struct OneController {
    active: Vec<ProcessId>,
    /// Who has won an election and held itself for the controller ever since.
    elected: Vec<ProcessId>,
    /// Who has acted since the faults ended; everybody counts as having acted until then.
    acted: Option<Vec<ProcessId>>,
    unmet_since: Option<Instant>,
}

impl OneController {
    pub(super) fn new() -> Self {
        Self { unmet_since: Some(Instant::ZERO), ..Self::default() }
    }

    pub(super) fn on_active(&mut self, process: ProcessId, active: bool, views: Views<'_>) {
        self.active.retain(|other| *other != process);
        if active {
            self.active.push(process);
        } else {
            self.elected.retain(|other| *other != process);
        }
        self.on_change(views);
    }

    /// A process has won an election; that it is active follows.
    pub(super) fn on_elected(&mut self, process: ProcessId, views: Views<'_>) {
        if !self.elected.contains(&process) {
            self.elected.push(process);
        }
        self.on_change(views);
    }

    /// A controller has finished its failover, or acted.
    pub(super) fn on_acted(&mut self, process: ProcessId, views: Views<'_>) {
        if let Some(acted) = &mut self.acted
            && !acted.contains(&process)
        {
            acted.push(process);
            self.on_change(views);
        }
    }

    pub(super) fn quiet_begins(&mut self, views: Views<'_>) {
        if views.roster.facts.controller_probe {
            self.acted = Some(Vec::new());
        }
        self.on_change(views);
    }

    /// Anything that the condition depends on has changed.
    pub(super) fn on_change(&mut self, views: Views<'_>) {
        match self.wait(views) {
            None => self.unmet_since = None,
            Some(_) => self.unmet_since = self.unmet_since.or(Some(views.at)),
        }
    }

    /// What is waited for, since when.
    pub(super) fn oldest(&self, views: Views<'_>) -> Option<(Instant, String)> {
        let wait = self.wait(views)?;
        let stored = views.store.controller().map_or_else(|| "nobody".to_owned(), |id| format!("broker {id}"));
        let what = match wait {
            Wait::Nobody => format!("the cluster waits for an active controller; /controller names {stored}"),
            Wait::Several => {
                format!("{:?} all hold themselves for the controller; /controller names {stored}", self.active)
            }
            Wait::NotStored(process) => format!("{process} is active controller, but /controller names {stored}"),
            Wait::NotElected(process) => {
                format!("{process} holds itself for the controller, as /controller says, but was not elected")
            }
            Wait::Idle(process) => format!("controller {process} has not acted since the faults ended"),
        };
        Some((self.unmet_since.unwrap_or(views.at), what))
    }

    fn wait(&self, views: Views<'_>) -> Option<Wait> {
        match self.active[..] {
            [] => Some(Wait::Nobody),
            [process] => {
                let id = views.roster.broker(process).map(|broker| views.roster.brokers[broker].0);
                if id.is_none() || views.store.controller() != id {
                    return Some(Wait::NotStored(process));
                }
                if !self.elected.contains(&process) {
                    return Some(Wait::NotElected(process));
                }
                let idle = self.acted.as_ref().is_some_and(|acted| !acted.contains(&process));
                idle.then_some(Wait::Idle(process))
            }
            _ => Some(Wait::Several),
        }
    }
}

enum Wait {
    Nobody,
    Several,
    NotStored(ProcessId),
    NotElected(ProcessId),
    Idle(ProcessId),
}
