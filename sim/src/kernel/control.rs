//! What can be done to a deployment from outside, between two events. All of it takes effect at once.

use models::id::{HostId, Port, ProcessId, TimerId};
use models::observation::{DownCause, Observation};
use models::process::{CloseReason, Input, Loss, Process};
use models::time::Span;

use crate::disk::DiskFault;
use crate::net::connection::{Connection, EndState};
use crate::net::resolver::Answer;
use crate::net::rule::{Effect, Rule, RuleId};

use super::Simulation;
use super::event::{Event, News};
use super::slot::RunState;
use super::spec::RestartPolicy;

impl<P: Process> Simulation<P> {
    /// `kill -9`. The kernel closes the process's connections; its supervisor starts it again unless it is held down.
    pub fn kill(&mut self, id: ProcessId) {
        if self.is_up(id) {
            self.take_down(id, DownCause::Killed, Loss::Memory);
        }
    }

    /// Edits what a process reads when it starts, such as its configuration file.
    ///
    /// # Panics
    /// If the process is not down.
    pub fn edit(&mut self, id: ProcessId, change: impl FnOnce(&mut P)) {
        let slot = &mut self.slots[usize::from(id.0)];
        assert!(slot.run == RunState::Down, "{id} reads its configuration only when it starts");
        change(&mut slot.process);
    }

    /// SIGTERM: the process ends when it likes. One that stands still reads the signal when it goes on.
    pub fn terminate(&mut self, id: ProcessId) {
        self.deliver(id, Input::Terminate);
    }

    /// Tells the supervisor to leave the process down, once it is, until [`Simulation::start`].
    pub fn hold_down(&mut self, id: ProcessId) {
        self.slots[usize::from(id.0)].held_down = true;
    }

    /// Starts a process that is down, on a host that is up. The process is no longer held down in any case.
    pub fn start(&mut self, id: ProcessId) {
        let slot = &mut self.slots[usize::from(id.0)];
        slot.held_down = false;
        slot.starts_at_boot = true;
        let start = Event::Start { process: id, incarnation: slot.incarnation };
        match slot.draw_start_up() {
            Span::ZERO => self.launch(id),
            after => {
                self.queue.push(self.now + after, start);
            }
        }
    }

    /// A process has been loaded and begins.
    fn launch(&mut self, id: ProcessId) {
        let slot = &mut self.slots[usize::from(id.0)];
        if slot.run != RunState::Down || !self.hosts[usize::from(slot.host.0)].up {
            return;
        }
        slot.run = RunState::Up;
        slot.incarnation += 1;
        self.record(id, Observation::Up);
        self.handle(id, Input::Start);
    }

    /// Hands a process what one of its timers would carry, now. Nothing happens if it is down or stands still.
    pub fn signal(&mut self, id: ProcessId, timer: P::Timer) {
        if self.slots[usize::from(id.0)].run == RunState::Up {
            // No timer has this id.
            self.handle(id, Input::Timer { id: TimerId(0), timer });
        }
    }

    /// Stops a process in its tracks (SIGSTOP, a long garbage collection). Its kernel goes on.
    pub fn pause(&mut self, id: ProcessId) {
        let slot = &mut self.slots[usize::from(id.0)];
        if slot.run == RunState::Up {
            slot.run = RunState::Paused;
            self.record(id, Observation::Pause);
        }
    }

    /// Lets a paused process go on: it reads what has come meanwhile, and its late timers fire.
    pub fn resume(&mut self, id: ProcessId) {
        let slot = &mut self.slots[usize::from(id.0)];
        if slot.run != RunState::Paused {
            return;
        }
        slot.run = RunState::Up;
        slot.unread_datagrams = 0;
        let open = slot.conns.clone();
        self.record(id, Observation::Resume);
        let mut waiting = Vec::new();
        for open in open {
            let Some(conn) = self.connection(open.conn) else { continue };
            let half = &mut conn.halves[usize::from(1 - open.side)];
            half.unread = 0;
            if std::mem::take(&mut half.refused) {
                waiting.push(open);
            }
        }
        let inbox = std::mem::take(&mut self.slots[usize::from(id.0)].inbox);
        let yields = |input: &Input<P::Message, P::Timer>| matches!(input, Input::Timer { timer, .. } if P::yields_to_input(timer));
        let (last, first): (Vec<_>, Vec<_>) = inbox.into_iter().partition(yields);
        for input in first.into_iter().chain(last) {
            self.read(id, input);
        }
        for open in waiting {
            self.send_ack(open.conn, 1 - open.side, News::WindowOpen, true);
        }
    }

    /// Hands a formerly paused process an input, unless what it has read before made the input void.
    pub(super) fn read(&mut self, id: ProcessId, input: Input<P::Message, P::Timer>) {
        // Of one that is short of CPU it shows when the turn of the input has come.
        if self.slot(id).input_takes > Span::ZERO || self.stands(id, &input) {
            self.deliver(id, input);
        }
    }

    /// Whether what a process has read before has not made an input void. A timer counts as read from now on.
    pub(super) fn stands(&mut self, id: ProcessId, input: &Input<P::Message, P::Timer>) -> bool {
        let slot = &mut self.slots[usize::from(id.0)];
        match input {
            Input::Timer { id, .. } => slot.take_timer(*id).is_some(),
            Input::Message { conn, .. } | Input::Closed { conn, .. } | Input::Opened { conn } => {
                slot.conn(*conn).is_some()
            }
            _ => true,
        }
    }

    /// Power loss: all processes of the host are gone, and nothing answers. `loss` says what becomes of what they had written and
    /// not fsynced: gone as far as chance has it, gone, or, with [`Loss::Memory`], written back just in time.
    pub fn crash_host(&mut self, id: HostId, loss: Loss) {
        let host = &mut self.hosts[usize::from(id.0)];
        if !host.up {
            return;
        }
        host.up = false;
        host.disk.power_off(self.now);
        for process in self.on_host(id) {
            let slot = &mut self.slots[usize::from(process.0)];
            slot.starts_at_boot = slot.run != RunState::Down || slot.restart != RestartPolicy::Never;
            self.take_down(process, DownCause::HostCrash, loss);
        }
        for index in 0..self.conns.len() {
            for side in [0, 1] {
                let conn = self.conn_ref(index);
                let end = &self.conns[index].ends[usize::from(side)];
                if end.host == id && !matches!(end.state, EndState::Unborn | EndState::Gone) {
                    self.forget_end(conn, side);
                }
            }
        }
    }

    /// Gives a host power again. It starts the processes that ran, or that have a supervisor, unless they are held down.
    pub fn boot_host(&mut self, id: HostId) {
        let host = &mut self.hosts[usize::from(id.0)];
        if host.up {
            return;
        }
        host.up = true;
        for process in self.on_host(id) {
            let slot = self.slot(process);
            if slot.starts_at_boot && !slot.held_down {
                self.start(process);
            }
        }
    }

    /// Puts a rule in force, for packets sent from now on.
    pub fn add_rule(&mut self, rule: Rule) -> RuleId {
        if matches!(rule.effect, Effect::Cut | Effect::Reset | Effect::NoRoute | Effect::Above(_)) {
            self.lose_waiting_acks(&rule);
        }
        self.network.add_rule(rule)
    }

    /// Whether packets from one host get to another as far as cuts are concerned.
    pub fn is_open(&self, from: HostId, to: HostId) -> bool {
        self.network.is_open(from, to)
    }

    /// Takes a rule out of force. Returns whether it was in force.
    pub fn remove_rule(&mut self, id: RuleId) -> bool {
        self.network.remove_rule(id)
    }

    /// Resets every established connection between a host of `some` and one of `others`, at both ends, as a firewall does; only
    /// those to one of `ports`, unless there is none.
    pub fn reset_connections(&mut self, some: &[HostId], others: &[HostId], ports: &[Port]) {
        for index in 0..self.conns.len() {
            let Connection { ends: [a, b], port, .. } = &self.conns[index];
            if !ports.is_empty() && !ports.contains(port) {
                continue;
            }
            let between = some.contains(&a.host) && others.contains(&b.host)
                || some.contains(&b.host) && others.contains(&a.host);
            if !between {
                continue;
            }
            for side in [0, 1] {
                let conn = self.conn_ref(index);
                if self.conns[index].ends[usize::from(side)].state == EndState::Established {
                    self.end_connection(conn, side, CloseReason::Reset);
                }
            }
        }
    }

    /// Breaks a disk in one more way.
    pub fn set_disk_fault(&mut self, id: HostId, fault: DiskFault) {
        self.hosts[usize::from(id.0)].disk.set_fault(fault);
    }

    /// Mends a disk in one way. Requests that had stalled go to the end of its queue; those that a bound keeps waiting go on without it.
    pub fn clear_disk_fault(&mut self, id: HostId, fault: DiskFault) {
        let disk = &mut self.hosts[usize::from(id.0)].disk;
        for request in disk.clear_fault(self.now, fault) {
            let (at, round) = disk.enqueue(self.now, request);
            self.queue.push(at, Event::Disk { host: id, round });
        }
    }

    /// Breaks a directory of a process that is a file system of its own, so that it fails with EIO, or mends it.
    pub fn set_dir_failing(&mut self, process: ProcessId, dir: u8, failing: bool) {
        let host = self.slot(process).host;
        let dirs = &mut self.hosts[usize::from(host.0)].disk.state.failing_dirs;
        if failing {
            dirs.insert((process, dir))
        } else {
            dirs.remove(&(process, dir))
        };
    }

    /// Changes how much fits on a disk; what is on it stays. Returns what fitted before.
    pub fn set_disk_capacity(&mut self, id: HostId, capacity: u64) -> u64 {
        std::mem::replace(&mut self.hosts[usize::from(id.0)].disk.state.capacity, capacity)
    }

    /// Changes how much too fast a host's clock runs, in parts per billion, from now on. Timers already set follow the
    /// clock: none fires before its host's own clock says so. Returns the drift before.
    pub fn set_clock_drift(&mut self, id: HostId, drift_ppb: i32) -> i32 {
        let now = self.now;
        let Self { hosts, slots, queue, .. } = self;
        let clock = &mut hosts[usize::from(id.0)].clock;
        let before = clock.clone();
        let drift_before = clock.set_drift(now, drift_ppb);
        queue.retime(|event, at| match event {
            Event::Timer { process, .. } if slots[usize::from(process.0)].host == id => {
                now + clock.true_span(before.monotonic(at) - before.monotonic(now))
            }
            _ => at,
        });
        drift_before
    }

    /// Sets the wall clock of a host forward, or back by a negative number of nanoseconds.
    pub fn jump_clock(&mut self, id: HostId, by_ns: i64) {
        self.hosts[usize::from(id.0)].clock.jump(by_ns);
    }

    /// Makes the resolver of a host answer wrongly for the name of another one. Connections in place stay.
    pub fn break_name(&mut self, at: HostId, name: HostId, answer: Answer) {
        self.hosts[usize::from(at.0)].resolver.answer_wrongly(name, answer);
    }

    /// Takes a wrong answer away.
    pub fn mend_name(&mut self, at: HostId, name: HostId, answer: Answer) {
        self.hosts[usize::from(at.0)].resolver.mend(name, answer);
    }

    /// Records an observation made from outside, such as the beginning of a fault.
    pub fn observe(&mut self, process: ProcessId, what: Observation) {
        self.record(process, what);
    }

    pub(super) fn exit(&mut self, id: ProcessId, reason: &'static str) {
        self.take_down(id, DownCause::Exited(reason.into()), Loss::Memory);
    }

    pub(super) fn on_start(&mut self, id: ProcessId, incarnation: u32) {
        let slot = &mut self.slots[usize::from(id.0)];
        slot.starts_at_boot = true;
        if slot.incarnation == incarnation && !slot.held_down {
            self.launch(id);
        }
    }

    fn on_host(&self, id: HostId) -> Vec<ProcessId> {
        let ids = (0..self.slots.len()).map(|index| ProcessId(index as u16));
        ids.filter(|process| self.slot(*process).host == id).collect()
    }

    /// Ends a life. A process that is already down can still lose what it had left in the page cache.
    fn take_down(&mut self, id: ProcessId, cause: DownCause, loss: Loss) {
        let slot = &mut self.slots[usize::from(id.0)];
        let was_up = slot.run != RunState::Down;
        if slot.incarnation == 0 {
            return;
        }
        slot.run = RunState::Down;
        slot.listening.clear();
        slot.inbox.clear();
        slot.unread_datagrams = 0;
        if let Some(ticket) = slot.busy.take() {
            self.queue.cancel(ticket);
        }
        for (_, ticket) in slot.timers.drain(..) {
            if let Some(ticket) = ticket {
                self.queue.cancel(ticket);
            }
        }
        let lossy = slot.process.crash(loss, &mut slot.random);
        let open = std::mem::take(&mut slot.conns);
        if was_up || lossy {
            self.record(id, Observation::Down { lossy, cause });
        }
        let slot = &mut self.slots[usize::from(id.0)];
        if !self.hosts[usize::from(slot.host.0)].up {
            return;
        }
        if let RestartPolicy::After(delay) = slot.restart
            && !slot.held_down
        {
            let delay = delay + slot.draw_start_up();
            let start = Event::Start { process: id, incarnation: slot.incarnation };
            self.queue.push(self.now + delay, start);
        }
        // The kernel takes the process apart, thread by thread and its memory too, before it closes the sockets.
        let longest = self.hosts[usize::from(slot.host.0)].thread_delay;
        let teardown = (0..TEARDOWN_STEPS).fold(Span::ZERO, |sum, _| sum + slot.random.wait(longest));
        for open in open {
            match teardown {
                Span::ZERO => self.close_end(open.conn, open.side),
                after => {
                    self.queue.push(self.now + after, Event::TornDown { conn: open.conn, side: open.side });
                }
            }
        }
    }
}

/// How many waits for a core the end of a killed process takes. Fitted: measured peers of a killed JVM learned of it after 18 to
/// 85 ms, and their clients 24 to 139 ms after the kill.
const TEARDOWN_STEPS: u32 = 19;
