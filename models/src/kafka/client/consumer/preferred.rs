//! Reading from a follower (KIP-392): the leader names the one in the reader's rack, and the consumer stays with it until the
//! preference is too old, or something is wrong.

use super::{Consumer, Phase};
use crate::id::BrokerId;
use crate::time::Span;
use crate::world::Ctx;

impl Consumer {
    /// `AbstractFetch.selectReadReplica`: the preferred follower, if there is one. One that is missing in the metadata is
    /// forgotten, and the metadata are renewed.
    pub(super) fn read_replica(&mut self, ctx: &mut Ctx<'_>, index: u32) -> Option<BrokerId> {
        let partition = &mut self.partitions[index as usize];
        let (replica, _) = partition.preferred.filter(|_| partition.phase == Phase::Fetch)?;
        if self.network.metadata.nodes().contains(&replica) {
            return Some(replica);
        }
        partition.preferred = None;
        self.network.request_update(ctx);
        None
    }

    /// The leader named a follower; the preference is as old as metadata may become (`metadata.max.age.ms`).
    pub(super) fn prefer(&mut self, ctx: &mut Ctx<'_>, index: u32, replica: Option<BrokerId>) {
        let until = ctx.now + Span::from_ms(self.spec.config.metadata_max_age_ms.into());
        self.partitions[index as usize].preferred = replica.map(|replica| (replica, until));
        self.preferences.insert((until, index));
        self.retry.at(ctx, until);
        self.place(ctx, index);
    }

    /// Back to the leader, if a follower was preferred (`clearPreferredReadReplica`).
    pub(super) fn clear_preference(&mut self, ctx: &mut Ctx<'_>, index: u32) {
        let partition = &mut self.partitions[index as usize];
        if partition.preferred.take().is_some() && partition.waits_until.is_none() {
            self.place(ctx, index);
        }
    }

    /// Preferences may have become too old.
    pub(super) fn end_preferences(&mut self, ctx: &mut Ctx<'_>) {
        while let Some(&(until, index)) = self.preferences.first() {
            if until > ctx.now {
                self.retry.at(ctx, until);
                return;
            }
            self.preferences.pop_first();
            // A newer preference has an entry of its own.
            if self.partitions[index as usize].preferred.is_some_and(|(_, ends)| ends <= ctx.now) {
                self.clear_preference(ctx, index);
            }
        }
    }
}
