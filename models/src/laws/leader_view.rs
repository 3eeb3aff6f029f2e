//! Who holds itself for the leader of which partition, since which offset, and with which ISR in mind.

use std::sync::Arc;

use super::facts::Roster;
use crate::id::BrokerId;

/// From a replica's `LeaderBegin` to its `LeaderEnd`: a presumed leader.
#[derive(Clone, Debug)]
pub(super) struct Reign {
    pub(super) epoch: i32,
    /// Its LEO when it began.
    pub(super) start: u64,
    /// The ISR that it knows to be stored.
    pub(super) isr: Arc<[BrokerId]>,
    /// That, with whom a change under way would add.
    pub(super) maximal_isr: Arc<[BrokerId]>,
}

/// All presumed leaders.
#[derive(Clone, Debug)]
pub(super) struct LeaderView {
    partitions: usize,
    /// By broker number, then by partition number.
    reigns: Vec<Option<Reign>>,
    /// Per partition the epochs that anybody began to lead in, with the LEO at that moment, in order of the epochs.
    begun: Vec<Vec<(i32, u64)>>,
}

impl LeaderView {
    pub(super) fn new(roster: &Roster) -> Self {
        let partitions = roster.facts.partitions.len();
        Self { partitions, reigns: vec![None; roster.brokers.len() * partitions], begun: vec![Vec::new(); partitions] }
    }

    /// The broker begins to lead.
    pub(super) fn begin(&mut self, broker: usize, partition: usize, epoch: i32, start: u64) {
        let nobody: Arc<[BrokerId]> = Arc::new([]);
        let reign = Reign { epoch, start, isr: Arc::clone(&nobody), maximal_isr: nobody };
        self.reigns[broker * self.partitions + partition] = Some(reign);
        let begun = &mut self.begun[partition];
        if let Err(index) = begun.binary_search_by_key(&epoch, |(epoch, _)| *epoch) {
            begun.insert(index, (epoch, start));
        }
    }

    /// The broker leads no more.
    pub(super) fn end(&mut self, broker: usize, partition: usize) {
        self.reigns[broker * self.partitions + partition] = None;
    }

    /// The broker is gone.
    pub(super) fn end_all(&mut self, broker: usize) {
        let first = broker * self.partitions;
        self.reigns[first..first + self.partitions].fill(None);
    }

    /// The broker's view of the ISR changed.
    pub(super) fn isr(&mut self, broker: usize, partition: usize, isr: &Arc<[BrokerId]>, maximal: &Arc<[BrokerId]>) {
        if let Some(reign) = &mut self.reigns[broker * self.partitions + partition] {
            (reign.isr, reign.maximal_isr) = (Arc::clone(isr), Arc::clone(maximal));
        }
    }

    /// The broker as presumed leader.
    pub(super) fn reign(&self, broker: usize, partition: usize) -> Option<&Reign> {
        self.reigns[broker * self.partitions + partition].as_ref()
    }

    /// All presumed leaders of a partition.
    pub(super) fn reigning(&self, partition: usize) -> impl Iterator<Item = (usize, &Reign)> {
        let of = self.reigns.iter().skip(partition).step_by(self.partitions).enumerate();
        of.filter_map(|(broker, reign)| Some((broker, reign.as_ref()?)))
    }

    /// The first epoch after `epoch` that anybody began to lead in, with the LEO at that moment.
    pub(super) fn successor(&self, partition: usize, epoch: i32) -> Option<(i32, u64)> {
        let begun = &self.begun[partition];
        begun.get(begun.partition_point(|(begun, _)| *begun <= epoch)).copied()
    }
}
