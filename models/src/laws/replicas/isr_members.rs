//! R-ISR-SUBSET-REPLICAS and R-NO-FENCED-IN-ISR: a stored ISR consists of replicas of the partition and is not empty; and a
//! broker that has not been registered for long is in no ISR that is written, unless it is the last member.
//!
//! In ZooKeeper mode a controller hears of an ended session by a watch, and a leader's change of the ISR may pass it before it
//! has acted on that. What it does without having heard is bounded by its own session, which ends at a tick, and which a new
//! ZooKeeper leader gives its whole time again (`SessionTrackerImpl`, `ExpiryQueue.roundToNextInterval`).
//!
//! Before protocol 2.7-IV2 leaders write the ISR themselves (`ZkAlterPartitionManager`, `ReplicationUtils.updateLeaderAndIsr`).
//! All that keeps an ended broker out is then `Partition.isReplicaIsrEligible`, and in ZooKeeper mode that asks the leader's own
//! `ZkMetadataCache.hasAliveBroker`: what the controller has told it, however long ago. Such a leader breaks the law once it has
//! been told, not before; and who it took in then stays until it leaves or registers, since the controller's answer to its end
//! is over. The leader itself is in every ISR that it writes. Where no controller has acted on the end of its session, the first
//! thing that its next session carries may be such a write, before it has registered again.

use crate::id::BrokerId;
use crate::kafka::protocol::LeaderAndIsr;
use crate::laws::ledger::{Law, Ledger, Permit};
use crate::laws::views::Views;
use crate::shared_vec::SharedVec;
use crate::time::Instant;

pub(in crate::laws) const SOURCE: &str =
    "Vanlightly/kafka-tlaplus, controller validity; KIP-841, KIP-966; gate: KIP-497";

/// Who has been told nothing takes nobody for alive: its `ZkMetadataCache` is empty.
const UNTOLD: Option<Instant> = Some(Instant::ZERO);

/// Since when each broker is not registered, and who has been told.
#[derive(Clone, Debug)]
pub(in crate::laws) struct IsrMembers {
    gone_since: Vec<Option<Instant>>,
    /// When a ZooKeeper leader last began to lead.
    sessions_from: Instant,
    /// By the number of who was told, then by that of whom: since when UpdateMetadata requests do not list it, `None` if the last one
    /// does.
    told_since: Vec<Option<Instant>>,
    /// Per partition, members that a leader took in without having heard that they are gone.
    taken_in: SharedVec<Vec<BrokerId>>,
}

impl IsrMembers {
    pub(in crate::laws) fn new(brokers: usize, partitions: usize) -> Self {
        Self {
            gone_since: vec![Some(Instant::ZERO); brokers],
            sessions_from: Instant::ZERO,
            told_since: vec![UNTOLD; brokers * brokers],
            taken_in: SharedVec::new(partitions),
        }
    }

    /// A ZooKeeper leader begins to lead.
    pub(in crate::laws) fn on_zk_leader(&mut self, at: Instant) {
        self.sessions_from = at;
    }

    /// A broker is told which brokers are alive.
    pub(in crate::laws) fn on_told(&mut self, broker: usize, alive: &[BrokerId], views: Views<'_>) {
        let told = self.told_since.chunks_exact_mut(views.roster.brokers.len()).nth(broker).into_iter().flatten();
        for (since, (id, _)) in told.zip(&views.roster.brokers) {
            *since = if alive.contains(id) { None } else { since.or(Some(views.at)) };
        }
    }

    /// A broker died: its next life has been told nothing, and takes nobody for alive.
    pub(in crate::laws) fn on_down(&mut self, broker: usize) {
        let brokers = self.gone_since.len();
        self.told_since[broker * brokers..][..brokers].fill(UNTOLD);
    }

    /// A broker's node appeared or went.
    pub(in crate::laws) fn on_registration(&mut self, broker: usize, views: Views<'_>) {
        let gone = &mut self.gone_since[broker];
        if views.store.broker_epoch(broker).is_none() {
            *gone = gone.or(Some(views.at));
            return;
        }
        *gone = None;
        let id = views.roster.brokers[broker].0;
        for partition in 0..self.taken_in.len() {
            if self.taken_in[partition].contains(&id) {
                self.taken_in[partition].retain(|member| *member != id);
            }
        }
    }

    /// Judges a new stored state.
    pub(in crate::laws) fn on_partition_state(
        &mut self,
        partition: usize,
        before: Option<&LeaderAndIsr>,
        now: &LeaderAndIsr,
        views: Views<'_>,
        ledger: &mut Ledger,
    ) {
        let replicas = views.store.replicas(partition);
        ledger.judged(Law::IsrSubsetReplicas, 1);
        ledger.judged(Law::NoFencedInIsr, 1);
        let foreign = |id| replicas.is_some_and(|replicas| !replicas.contains(id));
        if now.isr.is_empty() || now.isr.iter().any(foreign) {
            ledger.breach(Law::IsrSubsetReplicas, None, views.at, views.process, || {
                let what = format!("ISR {:?} of {} is stored", now.isr, views.roster.name(partition));
                (what, format!("replicas {replicas:?}; {}", views.partition_state(partition)))
            });
        }
        let gone = |id: BrokerId| views.roster.broker_number(id).and_then(|broker| self.gone_since[broker]);
        let untold = |id: &BrokerId| gone(*id).is_some() && self.is_taken_in(partition, *id, before, now, views);
        let taken_in: Vec<BrokerId> = now.isr.iter().copied().filter(untold).collect();
        let bound = views.roster.facts.session_timeout + views.roster.facts.tick;
        let long_gone = |id: &BrokerId| gone(*id).is_some_and(|since| views.at - since.max(self.sessions_from) > bound);
        // A controller in ZooKeeper mode takes the replicas of dead brokers out one by one (`ReplicaStateMachine.startup`,
        // `removeReplicasFromIsr`): what such a step leaves is removed by a later one, and nobody has been added.
        let only_removes = before.is_some_and(|before| {
            now.isr.len() < before.isr.len() && now.isr.iter().all(|member| before.isr.contains(member))
        });
        // The breach that nothing excuses comes first.
        let long_gone = now.isr.iter().copied().filter(long_gone);
        let worst = long_gone.min_by_key(|id| taken_in.contains(id));
        if let Some(id) = worst.filter(|_| now.isr.len() > 1 && !only_removes) {
            let permit = taken_in.contains(&id).then_some(Permit::LeaderWritesIsr);
            ledger.breach(Law::NoFencedInIsr, permit, views.at, views.process, || {
                let what =
                    format!("broker {id}, long not registered, is in a new ISR of {}", views.roster.name(partition));
                (what, views.partition_state(partition))
            });
        }
        if taken_in != self.taken_in[partition] {
            self.taken_in[partition] = taken_in;
        }
    }

    /// Whether a broker that is gone was taken in, before or now, by a leader of an older protocol (perhaps itself) that had not
    /// been told when it began to write.
    fn is_taken_in(
        &self,
        partition: usize,
        id: BrokerId,
        before: Option<&LeaderAndIsr>,
        now: &LeaderAndIsr,
        views: Views<'_>,
    ) -> bool {
        let Some(before) = before else { return false };
        let same_reign = (before.leader, before.leader_epoch) == (now.leader, now.leader_epoch);
        let writer = now.leader.filter(|leader| same_reign && views.roster.facts.isr_writers.contains(leader));
        if before.isr.contains(&id) && writer != Some(id) {
            return self.taken_in[partition].contains(&id);
        }
        let numbers = writer.and_then(|leader| views.roster.broker_number(leader)).zip(views.roster.broker_number(id));
        numbers.is_some_and(|(leader, member)| {
            let began = views.leaders.reign(leader, partition).and_then(|reign| reign.changing_since);
            let told = self.told_since[leader * self.gone_since.len() + member];
            told.is_none_or(|told| began.is_none_or(|began| began < told))
        })
    }
}
