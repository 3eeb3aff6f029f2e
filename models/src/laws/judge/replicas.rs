//! What replicas do: their logs, their high watermarks, their roles.

use super::Judge;
use crate::id::TopicPartition;
use crate::laws::epoch_logs::Batch;
use crate::laws::log_match::Verdict;
use crate::laws::metadata::isr_changes;
use crate::laws::replicas::{
    append_only, consistent_read, epoch_cache, isr_join_rule, isr_logs, no_full_truncation, quorum_superset,
    true_hw_monotonic, zombie_no_commit,
};
use crate::laws::views::Views;
use crate::laws::{candidate_complete, leader_complete, log_match, trunc_below_hw};
use crate::observation::{Observation, Observed, ReplicaRole, TruncateReason};
use crate::time::Instant;

impl Judge {
    pub(super) fn on_append(&mut self, broker: usize, partition: usize, observed: &Observed) {
        let Observation::Append { base_offset, leader_epoch, values, producer, role, .. } = &observed.what else {
            return;
        };
        let (base_offset, epoch) = (*base_offset, *leader_epoch);
        let views = views!(self, observed.at, observed.process);
        append_only::on_append(partition, broker, (base_offset, values), (epoch, *role), views, &mut self.ledger);
        epoch_cache::on_append(partition, broker, (base_offset, epoch), views, &mut self.ledger);
        if *role == ReplicaRole::Leader {
            let batch = Batch { base_offset, records: values.len() as u32, producer: *producer, at: observed.at };
            self.epoch_logs.append(partition, epoch, batch, values);
        } else if let Some(appended) = self.epoch_logs.appended_at(partition, epoch, base_offset) {
            self.service.on_replicated(appended, observed.at);
        }
        self.logs.append(broker, partition, base_offset, epoch, values);
        if *role == ReplicaRole::Follower {
            self.gate.on_fetched(broker, partition);
        }
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

    /// A leader acknowledged records: in which epoch decides what is promised of them.
    pub(super) fn on_acknowledge(&mut self, broker: usize, partition: usize, (base_offset, records): (u64, u32)) {
        let Some(epoch) = self.leaders.reign(broker, partition).map(|reign| reign.epoch) else { return };
        let log = self.logs.replica(broker, partition);
        for value in (base_offset..base_offset + u64::from(records)).filter_map(|offset| log.value(offset)) {
            self.records[partition].on_acknowledged(value, epoch);
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

    /// What a broker says of its own part in a partition, which need not be one that the workload reads.
    pub(super) fn on_role(&mut self, partition: TopicPartition, observed: &Observed) {
        if observed.at >= self.roster.facts.start {
            self.coverage.on_observation(&observed.what);
        }
        if let Observation::LeaderBegin { leader_epoch, .. } = &observed.what {
            self.groups.on_leader(partition, *leader_epoch, observed.process);
        }
        if let Some((broker, partition)) = self.replica(observed.process, partition) {
            self.on_replica(broker, partition, observed);
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
            Observation::LeaderEnd { .. } => {
                self.service.on_reaction(at);
                self.leaders.end(broker, partition);
            }
            Observation::IsrLocal { isr, maximal_isr, .. } => {
                self.leaders.isr(broker, partition, isr, maximal_isr);
                let views = views!(self, at, process);
                isr_logs::judge_leader(partition, broker, views, &mut self.ledger);
                quorum_superset::judge(partition, views, &mut self.ledger);
            }
            Observation::IsrChange { .. } => {
                self.service.on_reaction(at);
                let first = self.leaders.change_begins(broker, partition, at);
                isr_changes::on_change(partition, first, views!(self, at, process), &mut self.ledger);
            }
            Observation::IsrChangeEnd { isr, stored, .. } => {
                self.leaders.change_ends(broker, partition);
                if let Some(version) = stored {
                    let views = views!(self, at, process);
                    self.isr_changes.on_stored(partition, (*version, isr), views, &mut self.ledger);
                }
            }
            Observation::IsrJoin { leader_epoch, fetch_offset, .. } => {
                isr_join_rule::on_join(partition, broker, *leader_epoch, *fetch_offset, views, &mut self.ledger);
            }
            Observation::EndOffsetAnswer { leader_epoch, offset, .. } => {
                let known = self.records[partition].read_to.max(self.records[partition].acked_to());
                let answer = (*offset, *leader_epoch);
                self.offset_regress.on_answer(partition, answer, known, views, &mut self.ledger);
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
        self.gate.on_leader_begin(partition, epoch, self.logs.parting(broker, partition));
        let views = views!(self, at, self.roster.brokers[broker].1);
        let gives_way = leader_complete::judge(partition, broker, epoch, views, &mut self.ledger);
        consistent_read::on_leader_begin(partition, broker, epoch, read_to, views, &mut self.ledger);
        if views.is_current(partition, epoch) && views.logs.counts(partition, epoch) {
            true_hw_monotonic::on_log_end(partition, broker, (leo, ReplicaRole::Leader), views, &mut self.ledger);
        }
        epoch_cache::on_leader_begin(partition, broker, (epoch, leo), views, &mut self.ledger);
        if gives_way {
            self.rebase(broker, partition, epoch);
        }
        self.service.on_leader_begin(partition);
        self.leaders.begin(broker, partition, (epoch, leo), at);
    }
}
