//! Processes that are short of CPU: every input keeps them busy for a while, and the others wait in the inbox meanwhile.

use models::id::ProcessId;
use models::process::{Input, Process};
use models::time::Span;

use super::Simulation;
use super::event::Event;
use super::slot::RunState;

impl<P: Process> Simulation<P> {
    /// Makes every input keep a process busy for `takes`; zero gives it back all the CPU that it wants, and it reads at once
    /// what has waited.
    pub fn set_input_time(&mut self, id: ProcessId, takes: Span) {
        let slot = &mut self.slots[usize::from(id.0)];
        slot.input_takes = takes;
        if takes > Span::ZERO {
            return;
        }
        if let Some(ticket) = slot.busy.take() {
            self.queue.cancel(ticket);
        }
        if slot.run == RunState::Up {
            for input in std::mem::take(&mut slot.inbox) {
                self.read(id, input);
            }
        }
    }

    /// An input has come for a process that is short of CPU.
    pub(super) fn enqueue(&mut self, id: ProcessId, input: Input<P::Message, P::Timer>) {
        self.slots[usize::from(id.0)].inbox.push_back(input);
        self.keep_busy(id);
    }

    fn keep_busy(&mut self, id: ProcessId) {
        let slot = &mut self.slots[usize::from(id.0)];
        if slot.busy.is_none() && !slot.inbox.is_empty() {
            slot.busy = Some(self.queue.push(self.now + slot.input_takes, Event::Serve { process: id }));
        }
    }

    /// The time of the first input in the inbox is over: the process acts on it. Inputs that have become void take no time.
    pub(super) fn on_served(&mut self, id: ProcessId) {
        self.slots[usize::from(id.0)].busy = None;
        // A process that stands still reads all of it when it goes on.
        while self.slot(id).run == RunState::Up
            && let Some(input) = self.slots[usize::from(id.0)].inbox.pop_front()
        {
            if self.stands(id, &input) {
                self.handle(id, input);
                break;
            }
        }
        if self.slot(id).run == RunState::Up {
            self.keep_busy(id);
        }
    }
}
