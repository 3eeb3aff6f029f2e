//! What each kind of observation means: views change first, unless a law compares before with after; then the laws are asked.

use super::Judge;
use crate::id::{ProcessId, TopicPartition, ValueId};
use crate::kafka::config::Acks;
use crate::laws::clients::poll_order;
use crate::laws::epoch_logs::Batch;
use crate::laws::ledger::Law;
use crate::laws::log_match::Verdict;
use crate::laws::records::{Ack, Standing, Witness};
use crate::laws::replicas::{
    append_only, committed_read_only, consistent_read, isr_join_rule, isr_logs, no_full_truncation, true_hw_monotonic,
    zombie_no_commit,
};
use crate::laws::store_view::StoreEvent;
use crate::laws::views::Views;
use crate::laws::{
    candidate_complete, committed_monotonic, duplicate, ephemeral_gone, inconsistent_offsets, leader_complete,
    leader_completeness, leader_in_isr, log_match, phantom, prefix, stale_request_rejected, trunc_below_hw,
    zombie_no_effect,
};
use crate::observation::{Observation, Observed, ReplicaRole, TruncateReason, ZkRole};
use crate::time::Instant;

impl Judge {
    pub(super) fn replica(&self, process: ProcessId, partition: TopicPartition) -> Option<(usize, usize)> {
        Some((self.roster.broker(process)?, self.roster.partition(partition)?))
    }

    pub(super) fn on_append(&mut self, broker: usize, partition: usize, observed: &Observed) {
        let Observation::Append { base_offset, leader_epoch, values, producer, role, .. } = &observed.what else {
            return;
        };
        let (base_offset, epoch) = (*base_offset, *leader_epoch);
        let views = views!(self, observed.at, observed.process);
        append_only::on_append(partition, broker, (base_offset, values), (epoch, *role), views, &mut self.ledger);
        if *role == ReplicaRole::Leader {
            let batch = Batch { base_offset, records: values.len() as u32, producer: *producer };
            self.epoch_logs.append(partition, epoch, batch, values);
        }
        self.logs.append(broker, partition, base_offset, epoch, values);
        self.gate.on_log_changed(broker, partition, &self.logs);
    }

    pub(super) fn on_high_watermark(
        &mut self,
        at: Instant,
        broker: usize,
        partition: usize,
        value: u64,
        (leader_epoch, role): (i32, ReplicaRole),
    ) {
        let process = self.roster.brokers[broker].1;
        let views = views!(self, at, process);
        if role == ReplicaRole::Leader {
            true_hw_monotonic::on_report(partition, broker, (value, leader_epoch), views, &mut self.ledger);
        }
        self.hw_in_log.on_report(partition, broker, value, views, &mut self.ledger);
        self.logs.high_watermark(broker, partition, value);
        if !self.logs.counts(partition, leader_epoch) {
            return;
        }
        if role == ReplicaRole::Leader {
            let views = views!(self, at, process);
            isr_logs::judge_leader(partition, broker, views, &mut self.ledger);
            zombie_no_commit::on_report(partition, value, leader_epoch, views, &mut self.ledger);
        }
        let verdict = log_match::judge(partition, broker, value, views!(self, at, process), &mut self.ledger);
        if role != ReplicaRole::Leader || verdict == Verdict::Broken {
            return;
        }
        if verdict == Verdict::Permitted {
            self.rebase(broker, partition, leader_epoch);
        }
        let before = self.logs.committed(partition).true_hw();
        if self.logs.commit(broker, partition, value) {
            let views = views!(self, at, process);
            candidate_complete::judge_all(partition, views, &mut self.ledger);
            let range = (before, views.logs.committed(partition).true_hw());
            self.sequences.on_commit(partition, broker, range, views, &mut self.ledger);
        }
    }

    /// The leader's log becomes the true one after a permitted loss.
    pub(super) fn rebase(&mut self, broker: usize, partition: usize, leader_epoch: i32) {
        let to = self.logs.rebase(broker, partition, leader_epoch);
        self.sequences.on_rebase(partition, broker, to, views!(self, Instant::ZERO, self.roster.brokers[broker].1));
        for broker in 0..self.roster.brokers.len() {
            self.gate.on_log_changed(broker, partition, &self.logs);
        }
    }

    pub(super) fn on_replica(&mut self, broker: usize, partition: usize, observed: &Observed) {
        let (at, process) = (observed.at, observed.process);
        let views = views!(self, at, process);
        match &observed.what {
            Observation::Truncate { .. } => self.on_truncate(broker, partition, observed),
            Observation::LogLoaded { leo, high_watermark, .. } => {
                let before = self.logs.replica(broker, partition).leo();
                self.logs.load(broker, partition, *leo);
                self.gate.on_loaded(broker, partition, before, *leo, at);
                self.gate.on_log_changed(broker, partition, &self.logs);
                self.unclean_exclusion.on_loaded(partition, broker, (before, *leo), &mut self.ledger);
                let views = views!(self, at, process);
                self.hw_in_log.on_report(partition, broker, *high_watermark, views, &mut self.ledger);
            }
            Observation::LogStart { log_start, .. } => self.logs.log_start(partition, *log_start),
            Observation::LeaderBegin { leader_epoch, leo, .. } => {
                self.on_leader_begin(broker, partition, (*leader_epoch, *leo), at);
            }
            Observation::LeaderEnd { .. } => self.leaders.end(broker, partition),
            Observation::IsrLocal { isr, maximal_isr, .. } => {
                self.leaders.isr(broker, partition, isr, maximal_isr);
                isr_logs::judge_leader(partition, broker, views!(self, at, process), &mut self.ledger);
            }
            Observation::IsrJoin { leader_epoch, fetch_offset, .. } => {
                isr_join_rule::on_join(partition, broker, *leader_epoch, *fetch_offset, views, &mut self.ledger);
            }
            Observation::EndOffsetAnswer { leader_epoch, offset, .. } => {
                let read_to = self.records[partition].read_to;
                let answer = (*offset, *leader_epoch);
                self.offset_regress.on_answer(partition, answer, read_to, views, &mut self.ledger);
            }
            _ => {}
        }
    }

    fn on_truncate(&mut self, broker: usize, partition: usize, observed: &Observed) {
        let (at, process) = (observed.at, observed.process);
        let Observation::Truncate { from, to, high_watermark, role, reason, .. } = observed.what else { return };
        let views = views!(self, at, process);
        trunc_below_hw::judge(partition, broker, (from, to), reason, views, &mut self.ledger);
        append_only::on_truncate(partition, (from, to), (role, reason), views, &mut self.ledger);
        no_full_truncation::on_truncate(partition, (from, to), reason, views, &mut self.ledger);
        match reason {
            TruncateReason::Recovery => {
                let before = self.logs.replica(broker, partition).leo();
                self.gate.on_loaded(broker, partition, before, to, at);
                self.unclean_exclusion.on_loaded(partition, broker, (before, to), &mut self.ledger);
                self.logs.truncate(broker, partition, to);
            }
            TruncateReason::Full => {
                self.hw_in_log.on_truncate(partition, broker, (to, to), high_watermark, views);
                self.logs.restart(broker, partition, to);
            }
            _ => {
                self.hw_in_log.on_truncate(partition, broker, (0, to), high_watermark, views);
                self.logs.truncate(broker, partition, to);
            }
        }
        let views = views!(self, at, process);
        candidate_complete::judge(partition, broker, views, &mut self.ledger);
        true_hw_monotonic::on_log_end(partition, broker, (to, role), views, &mut self.ledger);
        isr_logs::judge_member(partition, broker, views, &mut self.ledger);
    }

    fn on_leader_begin(&mut self, broker: usize, partition: usize, (epoch, leo): (i32, u64), at: Instant) {
        let views = views!(self, at, self.roster.brokers[broker].1);
        self.one_leader_per_epoch.on_leader_begin(partition, broker, epoch, views, &mut self.ledger);
        let read_to = self.records[partition].read_to;
        let gives_way = leader_complete::judge(partition, broker, epoch, views, &mut self.ledger);
        consistent_read::on_leader_begin(partition, broker, epoch, read_to, views, &mut self.ledger);
        if views.is_current(partition, epoch) && views.logs.counts(partition, epoch) {
            true_hw_monotonic::on_log_end(partition, broker, (leo, ReplicaRole::Leader), views, &mut self.ledger);
        }
        if gives_way {
            self.rebase(broker, partition, epoch);
        }
        self.leaders.begin(broker, partition, epoch, leo);
    }

    pub(super) fn on_client(&mut self, observed: &Observed) {
        let (at, process) = (observed.at, observed.process);
        match &observed.what {
            Observation::Send { partition, value, idempotent, max_in_flight, .. } => {
                if let Some(partition) = self.roster.partition(*partition) {
                    let sender = (process, observed.incarnation);
                    self.records[partition].on_send(*value, sender, *idempotent, *max_in_flight == 1);
                }
            }
            Observation::SendOk { partition, value, offset, acks, .. } => {
                if let Some(partition) = self.roster.partition(*partition) {
                    self.produce.on_ack(partition, at);
                    self.groups.on_ack(partition, offset.map_or(0, |offset| offset + 1));
                    self.records[partition].on_ack(*value, Ack { at, by: process, offset: *offset, acks: *acks });
                    let by = if *acks == Acks::All { Witness::Isr } else { Witness::Leader };
                    if let Some(offset) = offset.filter(|_| *acks == Acks::All) {
                        self.offset_regress.on_ack(partition, offset);
                    }
                    if let Some(offset) = offset.filter(|_| *acks != Acks::None) {
                        self.place(at, process, partition, (*value, offset), by);
                    }
                }
            }
            Observation::SendUnknown { .. } if at >= self.roster.facts.start => {
                self.coverage.on_observation(&observed.what);
            }
            Observation::Poll { partition, base_offset, values, .. } => {
                if let Some(partition) = self.roster.partition(*partition) {
                    self.on_poll(at, process, partition, *base_offset, values);
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

    pub(super) fn on_poll(
        &mut self,
        at: Instant,
        process: ProcessId,
        partition: usize,
        base_offset: u64,
        values: &[ValueId],
    ) {
        for (offset, value) in (base_offset..).zip(values) {
            self.place(at, process, partition, (*value, offset), Witness::Poll);
        }
        self.ledger.judged(Law::Phantom, values.len() as u64);
        let end = base_offset + values.len() as u64;
        // A member of a group reads only its share, and again after a rebalance: it owes no read to the end.
        let reads_all = self.groups.group_of(process).is_none();
        let records = &mut self.records[partition];
        let position = reads_all.then(|| records.move_to(process, end, true)).flatten();
        if reads_all {
            records.read_to = records.read_to.max(end);
        }
        let views = views!(self, at, process);
        if let Some(position) = position {
            poll_order::judge(partition, position, base_offset, views, &mut self.ledger);
        }
        consistent_read::on_poll(partition, base_offset, values, views, &mut self.ledger);
        committed_read_only::on_poll(partition, end, views, &mut self.ledger);
        self.groups.on_poll(partition, base_offset, values, views, &mut self.ledger);
    }

    /// A client saw `value` at `offset`.
    pub(super) fn place(
        &mut self,
        at: Instant,
        process: ProcessId,
        partition: usize,
        (value, offset): (ValueId, u64),
        by: Witness,
    ) {
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
                let views = views!(self, at, process);
                leader_in_isr::judge(*partition, now, views, &mut self.ledger);
                candidate_complete::judge_all(*partition, views, &mut self.ledger);
                isr_logs::judge_all(*partition, views, &mut self.ledger);
                self.unclean_exclusion.on_partition_state(*partition, now, views, &mut self.ledger);
                self.converges.on_partition_state(*partition, at);
                self.isr_full.on_partition_state(*partition, views);
            }
            StoreEvent::Registration { broker } => self.on_registration(*broker, at, process),
            StoreEvent::Controller => self.one_controller.on_change(views!(self, at, process)),
            StoreEvent::ControllerEpoch | StoreEvent::BrokerSessionExpired => {}
            StoreEvent::OrphanCreated { path, session, zxid } => {
                ephemeral_gone::on_orphan(path, *session, *zxid, views!(self, at, process), &mut self.ledger);
            }
        }
    }

    /// A broker's node appeared or went, or the broker learned its epoch.
    pub(super) fn on_registration(&mut self, broker: usize, at: Instant, process: ProcessId) {
        let views = views!(self, at, process);
        self.all_registered.on_change(broker, views);
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
            Observation::FaultBegin { .. } => self.deadline.fault_begins(at),
            Observation::FaultEnd { .. } => self.deadline.fault_ends(at),
            Observation::Up => self.processes.on_up(process),
            Observation::Down { lossy, cause } => {
                if at >= self.roster.facts.start {
                    self.coverage.on_observation(&observed.what);
                }
                let broker = self.roster.broker(process);
                if let Some(broker) = broker {
                    self.broker_epoch.on_down(broker, views!(self, at, process));
                    self.leaders.end_all(broker);
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
