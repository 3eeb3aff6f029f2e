//! What each kind of observation means: views change first, unless a law compares before with after; then the laws are asked.

use super::Judge;
use crate::id::{ProcessId, TopicPartition, ValueId};
use crate::kafka::config::Acks;
use crate::laws::clients::{aborted_read, poll_order, realtime};
use crate::laws::groups::Read;
use crate::laws::ledger::Law;
use crate::laws::metadata::transitions;
use crate::laws::records::{Ack, Sent, Standing, Value, Witness};
use crate::laws::recovery::calm;
use crate::laws::replicas::{committed_read_only, consistent_read, isr_logs, quorum_superset};
use crate::laws::store_view::StoreEvent;
use crate::laws::views::Views;
use crate::laws::{
    candidate_complete, committed_monotonic, duplicate, ephemeral_gone, inconsistent_offsets, leader_completeness,
    leader_in_isr, phantom, prefix, stale_request_rejected, zombie_no_effect,
};
use crate::observation::{Observation, Observed, ZkRole};
use crate::time::Instant;

impl Judge {
    pub(super) fn replica(&self, process: ProcessId, partition: TopicPartition) -> Option<(usize, usize)> {
        Some((self.roster.broker(process)?, self.roster.partition(partition)?))
    }

    pub(super) fn on_client(&mut self, observed: &Observed) {
        let (at, process) = (observed.at, observed.process);
        match &observed.what {
            Observation::Send { partition, value, idempotent, max_in_flight, .. } => {
                if let Some(partition) = self.roster.partition(*partition) {
                    let (sender, single_file) = ((process, observed.incarnation), *max_in_flight == 1);
                    let sent = Sent { at, sender, idempotent: *idempotent, single_file };
                    self.records[partition].on_send(*value, sent);
                }
            }
            Observation::SendOk { partition, value, offset, acks, .. } => {
                if let Some(partition) = self.roster.partition(*partition) {
                    self.produce.on_ack(partition, at);
                    self.service.on_ack(partition, at);
                    self.groups.on_ack(partition, offset.map_or(0, |offset| offset + 1));
                    let ack = Ack { at, by: process, offset: *offset, acks: *acks };
                    let fate = self.records[partition].on_ack(*value, ack);
                    realtime::on_ack(partition, fate, ack, views!(self, at, process), &mut self.ledger);
                    let by = if *acks == Acks::All { Witness::Isr } else { Witness::Leader };
                    if let Some(offset) = offset.filter(|_| *acks != Acks::None) {
                        self.place(at, process, partition, (*value, offset), by);
                    }
                }
            }
            Observation::SendUnknown { partition, value, .. } | Observation::SendFail { partition, value, .. } => {
                let failed = matches!(observed.what, Observation::SendFail { .. });
                if at >= self.roster.facts.start {
                    self.coverage.on_observation(&observed.what);
                }
                if let Some(partition) = self.roster.partition(*partition) {
                    let read = self.records[partition].on_given_up(*value, at, failed);
                    self.ledger.judged(Law::AbortedRead, u64::from(failed));
                    let views = views!(self, at, process);
                    aborted_read::judge(partition, *value, read && failed, views, &mut self.ledger);
                }
            }
            Observation::Poll { partition, base_offset, values, replica } => {
                if let Some(partition) = self.roster.partition(*partition) {
                    let read = Read { base_offset: *base_offset, values, replica: *replica };
                    self.on_poll(at, process, partition, read);
                }
            }
            Observation::Assign { partitions } => {
                self.groups.observe(&observed.what, views!(self, at, process), &mut self.ledger);
                for partition in partitions.iter().filter_map(|partition| self.roster.partition(*partition)) {
                    self.records[partition].assign(process);
                }
            }
            Observation::FirstPosition { partition, offset } => {
                if let Some(partition) = self.roster.partition(*partition) {
                    self.groups.on_reset(partition, 0, *offset, process);
                    if self.groups.group_of(process).is_none() {
                        self.records[partition].reset(process, 0, *offset);
                    }
                }
            }
            Observation::PositionReset { partition, from, to } => {
                if let Some(partition) = self.roster.partition(*partition) {
                    self.groups.on_reset(partition, *from, *to, process);
                    // Who is overtaken by retention goes on where `auto.offset.reset` says.
                    let overtaken = self.logs.committed(partition).is_below_start(*from);
                    let records = &mut self.records[partition];
                    match self.groups.group_of(process) {
                        None if overtaken => records.reset(process, *from, *to),
                        None => {
                            records.move_to(process, *to, false);
                        }
                        Some(_) => {}
                    }
                }
            }
            Observation::EndOffset { .. } if self.groups.group_of(process).is_some() => {}
            Observation::EndOffset { partition, offset } => {
                if let Some(partition) = self.roster.partition(*partition) {
                    self.records[partition].end = Some((*offset, at));
                }
            }
            _ => {}
        }
    }

    pub(super) fn on_poll(&mut self, at: Instant, process: ProcessId, partition: usize, read: Read<'_>) {
        let Read { base_offset, values, .. } = read;
        let mut first = None;
        for (offset, value) in (base_offset..).zip(values) {
            let fate = self.place(at, process, partition, (*value, offset), Witness::Poll);
            first.get_or_insert(fate);
            aborted_read::judge(partition, *value, fate.failed, views!(self, at, process), &mut self.ledger);
        }
        self.ledger.judged(Law::AbortedRead, values.len() as u64);
        self.ledger.judged(Law::Phantom, values.len() as u64);
        let end = read.end();
        // A member of a group reads only its share, and again after a rebalance: it owes no read to the end.
        let reads_all = self.groups.group_of(process).is_none();
        let records = &mut self.records[partition];
        let mut position = None;
        if reads_all {
            records.read_to = records.read_to.max(end);
            let (before, furthest) = records.move_to(process, end, true);
            position = before;
            self.consume_count.on_poll((base_offset, end), furthest);
            if let Some(first) = first.filter(|_| position.is_some() && at >= self.roster.facts.start) {
                self.realtime_lag.on_poll(first, at);
            }
        }
        let views = views!(self, at, process);
        if let Some(position) = position {
            poll_order::judge(partition, position, base_offset, views, &mut self.ledger);
        }
        consistent_read::on_poll(partition, base_offset, values, views, &mut self.ledger);
        committed_read_only::on_poll(partition, end, views, &mut self.ledger);
        self.groups.on_poll(partition, read, views, &mut self.ledger);
    }

    /// A client saw `value` at `offset`.
    pub(super) fn place(
        &mut self,
        at: Instant,
        process: ProcessId,
        partition: usize,
        (value, offset): (ValueId, u64),
        by: Witness,
    ) -> Value {
        let placement = self.records[partition].place(value, offset, by);
        let views = views!(self, at, process);
        self.ledger.judged(Law::Duplicate, 1);
        self.ledger.judged(Law::InconsistentOffsets, u64::from(placement.before.is_some()));
        if by == Witness::Poll {
            phantom::judge(partition, (value, offset), placement.value, views, &mut self.ledger);
        }
        duplicate::judge(partition, (value, offset), placement, views, &mut self.ledger);
        let now = Standing { value, by };
        inconsistent_offsets::judge(partition, now, offset, placement, views, &mut self.ledger);
        placement.value
    }

    pub(super) fn on_zookeeper(&mut self, observed: &Observed) {
        let (at, process) = (observed.at, observed.process);
        match &observed.what {
            Observation::ZkApply { txn, digest, tree } => {
                let Some(server) = self.roster.server(process) else { return };
                self.on_delivery(server, txn.zxid, *tree, at, process);
                if !self.history.on_apply(server, process, txn, *digest) {
                    self.on_unequalled(txn, at, process);
                }
                self.after_history(at, process);
            }
            Observation::ZkReset { zxid, digest } => {
                let Some(server) = self.roster.server(process) else { return };
                self.on_zk_reset(server, *zxid);
                self.history.on_reset(server, process, *zxid, *digest);
                self.after_history(at, process);
            }
            Observation::ZkCommit { zxid, epoch } => {
                leader_completeness::on_commit(*zxid, *epoch, views!(self, at, process), &mut self.ledger);
                committed_monotonic::on_commit(*zxid, *epoch, views!(self, at, process), &mut self.ledger);
                self.history.on_commit(*zxid, *epoch);
                self.zk_quorum.on_commit();
                self.after_history(at, process);
            }
            Observation::ZkRole { role, epoch, last_zxid } => {
                let Some(server) = self.roster.server(process) else { return };
                if *role == ZkRole::Leading {
                    leader_completeness::on_established(
                        *epoch,
                        *last_zxid,
                        views!(self, at, process),
                        &mut self.ledger,
                    );
                    self.history.on_established(*epoch, *last_zxid);
                    self.after_history(at, process);
                }
                self.on_zk_leading(server, *role, *epoch, at, process);
                self.on_zk_role(server, *role, *epoch, at);
                if *role == ZkRole::Looking {
                    self.service.on_reaction(at);
                }
                if *role == ZkRole::Leading {
                    self.isr_members.on_zk_leader(at);
                    self.on_election(|| format!("ZooKeeper server {process}"), at, process);
                }
            }
            Observation::ZkSessionClosed { session, zxid, left } => {
                ephemeral_gone::on_closed(*session, *zxid, *left, views!(self, at, process), &mut self.ledger);
            }
            _ => self.on_ensemble(observed),
        }
    }

    pub(super) fn on_zk_role(&mut self, server: usize, role: ZkRole, epoch: u32, at: Instant) {
        let led = self.zk_quorum.is_led();
        self.zk_quorum.on_role(server, role, epoch, at);
        if at >= self.roster.facts.start {
            self.coverage.on_zk_leadership(led, self.zk_quorum.is_led());
        }
    }

    /// ZooKeeper's committed history may have grown: the store follows, and the laws that look at it.
    pub(super) fn after_history(&mut self, at: Instant, process: ProcessId) {
        prefix::judge(&mut self.history, at, &mut self.ledger);
        if self.history.ready.is_empty() {
            return;
        }
        let mut events = std::mem::take(&mut self.events);
        for txn in std::mem::take(&mut self.history.ready) {
            let ended = self.store.is_ended(txn.session);
            self.store.apply(&txn, &self.roster, &mut events);
            for event in events.drain(..) {
                self.on_store_event(&event, at, process);
            }
            self.on_committed(&txn, ended, at, process);
        }
        self.events = events;
    }

    pub(super) fn on_store_event(&mut self, event: &StoreEvent, at: Instant, process: ProcessId) {
        if at >= self.roster.facts.start {
            self.coverage.on_store_event(event);
        }
        match event {
            StoreEvent::PartitionState { partition, before, now } => {
                self.gate.on_partition_state(*partition, before.as_ref(), now, &self.roster, at);
                self.one_leader_per_epoch.on_partition_state(*partition, now);
                self.service.on_store(self.store.summary(), at);
                if before.as_ref().is_some_and(|before| before.leader != now.leader) {
                    self.service.on_leader_change(*partition, at);
                }
                self.isr_changes.on_partition_state(*partition, now);
                let views = views!(self, at, process);
                leader_in_isr::judge(*partition, now, views, &mut self.ledger);
                self.isr_members.on_partition_state(*partition, before.as_ref(), now, views, &mut self.ledger);
                transitions::judge(*partition, before.as_ref(), now, views, &mut self.ledger);
                quorum_superset::judge(*partition, views, &mut self.ledger);
                candidate_complete::judge_all(*partition, views, &mut self.ledger);
                isr_logs::judge_all(*partition, views, &mut self.ledger);
                self.unclean_exclusion.on_partition_state(*partition, now, views, &mut self.ledger);
                self.converges.on_partition_state(*partition, at);
                self.isr_full.on_partition_state(*partition, views);
                if calm::is_churn(*partition, before.as_ref(), now, views) {
                    let name = self.roster.name(*partition);
                    self.on_election(|| format!("a leader of {name}"), at, process);
                }
            }
            StoreEvent::Registration { broker } => self.on_registration(*broker, at, process),
            StoreEvent::Controller => self.one_controller.on_change(views!(self, at, process)),
            StoreEvent::ControllerEpoch => {
                let views = views!(self, at, process);
                self.transitions.on_controller_epoch(views, &mut self.ledger);
                self.reload.on_election(views);
                self.on_election(|| "a controller".to_owned(), at, process);
            }
            StoreEvent::BrokerSessionExpired => self.service.on_reaction(at),
            StoreEvent::OrphanCreated { path, session, zxid } => {
                ephemeral_gone::on_orphan(path, *session, *zxid, views!(self, at, process), &mut self.ledger);
            }
        }
    }

    /// Somebody was elected.
    fn on_election(&mut self, who: impl FnOnce() -> String, at: Instant, process: ProcessId) {
        if self.deadline().is_some_and(|deadline| at > deadline) {
            calm::on_election(&who(), views!(self, at, process), &mut self.ledger);
        }
    }

    /// A broker's node appeared or went, or the broker learned its epoch.
    pub(super) fn on_registration(&mut self, broker: usize, at: Instant, process: ProcessId) {
        let views = views!(self, at, process);
        self.all_registered.on_change(broker, views);
        self.isr_members.on_registration(broker, views);
        let calm = self.deadline.calm_since(&self.roster.facts, at);
        if let Some(calm) = calm.filter(|_| views.store.broker_epoch(broker).is_none()) {
            calm::on_unregistered(broker, calm, views, &mut self.ledger);
        }
        if views.store.broker_epoch(broker).is_some() {
            for partition in 0..self.roster.facts.partitions.len() {
                candidate_complete::judge(partition, broker, views, &mut self.ledger);
                self.unclean_exclusion.judge(partition, broker, views, &mut self.ledger);
            }
        }
    }

    pub(super) fn on_controller(&mut self, observed: &Observed) {
        let (at, process) = (observed.at, observed.process);
        if let Observation::ControllerReady { epoch } = observed.what {
            self.store.on_taken_over(epoch);
            for partition in 0..self.roster.facts.partitions.len() {
                let views = views!(self, at, process);
                candidate_complete::judge_all(partition, views, &mut self.ledger);
                for broker in 0..self.roster.brokers.len() {
                    self.unclean_exclusion.judge(partition, broker, views, &mut self.ledger);
                }
            }
        }
        let views = views!(self, at, process);
        match &observed.what {
            Observation::ActiveController { active } => {
                self.count.on_active(process, *active, at);
                self.one_controller.on_active(process, *active, views);
            }
            Observation::ControllerBegin { epoch } => {
                self.one_per_epoch.on_claim(*epoch, observed.incarnation, views, &mut self.ledger);
                self.one_controller.on_elected(process, views);
            }
            Observation::ControllerLoaded { epoch, states } => {
                self.reload.on_loaded(*epoch, states, views, &mut self.ledger);
            }
            Observation::ControllerReady { .. } | Observation::ControllerActed { .. } => {
                if let Observation::ControllerActed { epoch } = &observed.what {
                    self.one_per_epoch.on_claim(*epoch, observed.incarnation, views, &mut self.ledger);
                }
                self.one_controller.on_acted(process, views);
            }
            Observation::Registered { broker_epoch, .. } => {
                if let Some(broker) = self.roster.broker(process) {
                    self.broker_epoch.on_registered(broker, *broker_epoch, views, &mut self.ledger);
                    self.processes.on_registered(broker, *broker_epoch);
                    self.on_registration(broker, at, process);
                }
            }
            Observation::MetadataServed { states } => {
                let Some(broker) = self.roster.broker(process) else { return };
                for state in states.iter() {
                    if let Some(partition) = self.roster.partition(state.partition) {
                        self.converges.on_served(partition, broker, state, views);
                    }
                }
            }
            Observation::AliveServed { brokers } => {
                if let Some(broker) = self.roster.broker(process) {
                    self.isr_members.on_told(broker, brokers, views);
                }
            }
            what => {
                if let Some(broker) = self.roster.broker(process) {
                    self.broker_epoch.on_request(broker, what, views, &mut self.ledger);
                }
                zombie_no_effect::judge(what, views, &mut self.ledger);
                stale_request_rejected::judge(what, views, &mut self.ledger);
            }
        }
    }

    pub(super) fn on_fault(&mut self, observed: &Observed) {
        let (at, process) = (observed.at, observed.process);
        match &observed.what {
            Observation::FaultBegin { .. } => {
                self.service.on_fault(at);
                self.deadline.fault_begins(at);
            }
            Observation::FaultEnd { .. } => self.deadline.fault_ends(at),
            Observation::Up => self.processes.on_up(process, observed.incarnation, at),
            Observation::Down { lossy, cause } => {
                if at >= self.roster.facts.start {
                    self.coverage.on_observation(&observed.what);
                }
                let broker = self.roster.broker(process);
                if let Some(broker) = broker {
                    self.broker_epoch.on_down(broker, views!(self, at, process));
                    self.leaders.end_all(broker);
                    self.isr_members.on_down(broker);
                    self.converges.on_down(broker, at);
                }
                self.processes.on_down(process, broker);
                self.groups.on_down(process, at);
                self.count.on_active(process, false, at);
                self.one_controller.on_active(process, false, views!(self, at, process));
                if let Some(broker) = broker.filter(|_| *lossy) {
                    self.gate.on_lossy_down(broker, &self.logs, &self.store, at);
                    self.unclean_exclusion.on_lossy_down(broker, views!(self, at, process));
                }
                if let Some(server) = self.roster.server(process) {
                    self.on_zk_down(server, cause, at, process);
                    self.on_zk_role(server, ZkRole::Looking, 0, at);
                }
            }
            _ => {}
        }
        if let Some(broker) = self.roster.broker(process) {
            self.all_registered.on_change(broker, views!(self, at, process));
        }
    }
}
