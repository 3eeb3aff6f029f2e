//! R-ISR-SUBSET-REPLICAS and R-NO-FENCED-IN-ISR: a stored ISR consists of replicas of the partition and is not empty; and a
//! broker that has not been registered for long is in no ISR that is written, unless it is the last member.
//!
//! In ZooKeeper mode a controller hears of an ended session by a watch, and a leader's change of the ISR may pass it before it
//! has acted on that. What it does without having heard is bounded by its own session.

use crate::kafka::protocol::LeaderAndIsr;
use crate::laws::ledger::{Law, Ledger};
use crate::laws::views::Views;
use crate::time::Instant;

pub(in crate::laws) const SOURCE: &str = "Vanlightly/kafka-tlaplus, controller validity; KIP-841, KIP-966";

/// Since when each broker is not registered.
#[derive(Clone, Debug)]
pub(in crate::laws) struct IsrMembers {
    gone_since: Vec<Option<Instant>>,
}

impl IsrMembers {
    pub(in crate::laws) fn new(brokers: usize) -> Self {
        Self { gone_since: vec![Some(Instant::ZERO); brokers] }
    }

    /// A broker's node appeared or went.
    pub(in crate::laws) fn on_registration(&mut self, broker: usize, views: Views<'_>) {
        let gone = &mut self.gone_since[broker];
        *gone = if views.store.broker_epoch(broker).is_some() { None } else { gone.or(Some(views.at)) };
    }

    /// Judges a new stored state.
    pub(in crate::laws) fn on_partition_state(
        &self,
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
        let bound = views.roster.facts.session_timeout;
        let is_gone = |id| {
            let gone = views.roster.broker_number(id).and_then(|broker| self.gone_since[broker]);
            gone.is_some_and(|since| views.at - since > bound)
        };
        // A controller in ZooKeeper mode takes the replicas of dead brokers out one by one (`ReplicaStateMachine.startup`,
        // `removeReplicasFromIsr`): what such a step leaves is removed by a later one, and nobody has been added.
        let only_removes = before.is_some_and(|before| {
            now.isr.len() < before.isr.len() && now.isr.iter().all(|member| before.isr.contains(member))
        });
        let gone = now.isr.iter().copied().find(|id| is_gone(*id));
        if let Some(id) = gone.filter(|_| now.isr.len() > 1 && !only_removes) {
            ledger.breach(Law::NoFencedInIsr, None, views.at, views.process, || {
                let what =
                    format!("broker {id}, long not registered, is in a new ISR of {}", views.roster.name(partition));
                (what, views.partition_state(partition))
            });
        }
    }
}
