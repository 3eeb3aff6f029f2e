//! L-FULLY-REPLICATED: every replica holds what was committed a while ago, and with it what was acknowledged by all in-sync
//! replicas.

use crate::laws::records::Records;
use crate::laws::views::Views;
use crate::shared_vec::SharedVec;
use crate::time::Instant;

pub(in crate::laws) const SOURCE: &str = "Vanlightly/kafka-tlaplus";

/// `TrueHW` of each partition at the last look: what was committed since may still be on its way.
#[derive(Clone, Debug)]
pub(in crate::laws) struct FullyReplicated {
    committed: Vec<u64>,
}

impl FullyReplicated {
    pub(in crate::laws) fn new(partitions: usize) -> Self {
        Self { committed: vec![0; partitions] }
    }

    /// To be called once in a while, after the question what is waited for.
    pub(in crate::laws) fn look(&mut self, views: Views<'_>) {
        for (partition, committed) in self.committed.iter_mut().enumerate() {
            *committed = views.logs.committed(partition).true_hw();
        }
    }

    /// What is waited for, since when: since the first missing record was acknowledged, if it was.
    pub(in crate::laws) fn oldest(&self, records: &SharedVec<Records>, views: Views<'_>) -> Option<(Instant, String)> {
        let partitions = 0..self.committed.len();
        let missing = partitions.flat_map(|partition| self.missing(partition, views).map(move |it| (partition, it)));
        let waits = missing.map(|(partition, (broker, offset))| {
            let acked = records[partition].acknowledged();
            let since = acked.filter(|(.., ack)| ack.offset >= Some(offset)).map(|(.., ack)| ack.at).min();
            (since.unwrap_or(views.at), partition, broker, offset)
        });
        let (since, partition, broker, offset) = waits.min()?;
        let (name, id) = (views.roster.name(partition), views.roster.brokers[broker].0);
        let state = views.partition_state(partition);
        Some((since, format!("broker {id} waits for the records of {name} from offset {offset} on: {state}")))
    }

    /// Replicas of a partition that lack committed records, each with the first offset that it lacks.
    fn missing<'a>(&'a self, partition: usize, views: Views<'a>) -> impl Iterator<Item = (usize, u64)> + 'a {
        let stored = views.store.partition(partition).map(|state| &state.isr[..]);
        let replicas = views.store.replicas(partition).or(stored).unwrap_or_default().iter();
        let wanted = self.committed[partition].min(views.logs.committed(partition).true_hw());
        replicas.filter_map(move |id| {
            let broker = views.roster.broker_number(*id).filter(|b| views.roster.wanted(views.roster.brokers[*b].1))?;
            let leo = views.logs.replica(broker, partition).leo();
            let lacks = leo < wanted || views.logs.agrees(broker, partition, wanted) == Some(false);
            lacks.then(|| (broker, views.logs.parting(broker, partition).min(leo)))
        })
    }
}
