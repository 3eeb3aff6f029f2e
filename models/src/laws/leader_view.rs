//! Who holds itself for the leader of which partition, since which offset, and with which ISR in mind.

use std::sync::Arc;

use super::facts::Roster;
use crate::id::BrokerId;
use crate::shared_vec::SharedVec;
use crate::time::Instant;

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
    /// Since when a change of the ISR is under way.
    pub(super) changing_since: Option<Instant>,
    /// Since when it leads.
    pub(super) since: Instant,
}

/// All presumed leaders.
#[derive(Clone, Debug)]
pub(super) struct LeaderView {
    partitions: usize,
    /// By broker number, then by partition number.
    reigns: Vec<Option<Reign>>,
    /// Per partition the epochs that anybody began to lead in, with the LEO at that moment, in order of the epochs.
    begun: SharedVec<Vec<(i32, u64)>>,
}

impl LeaderView {
    pub(super) fn new(roster: &Roster) -> Self {
        let partitions = roster.facts.partitions.len();
        Self { partitions, reigns: vec![None; roster.brokers.len() * partitions], begun: SharedVec::new(partitions) }
    }

    /// The broker begins to lead.
    pub(super) fn begin(&mut self, broker: usize, partition: usize, (epoch, start): (i32, u64), since: Instant) {
        let nobody: Arc<[BrokerId]> = Arc::new([]);
        let isr = Arc::clone(&nobody);
        let reign = Reign { epoch, start, isr, maximal_isr: nobody, changing_since: None, since };
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

    /// The broker asks for another ISR. Returns false if it does so already.
    pub(super) fn change_begins(&mut self, broker: usize, partition: usize, at: Instant) -> bool {
        let Some(reign) = &mut self.reigns[broker * self.partitions + partition] else { return true };
        let before = reign.changing_since;
        reign.changing_since = before.or(Some(at));
        before.is_none()
    }

    /// The broker's change of the ISR is over.
    pub(super) fn change_ends(&mut self, broker: usize, partition: usize) {
        if let Some(reign) = &mut self.reigns[broker * self.partitions + partition] {
            reign.changing_since = None;
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
