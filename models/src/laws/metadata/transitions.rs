//! C-EPOCH-MONOTONIC, C-ISR-CHANGE-CAS, C-NO-ELECT-OUTSIDE and C-ATOMIC-BATCH: how one stored state of a partition may follow
//! on another.
//!
//! Epochs never fall and each write raises the partition epoch by one. Within a leader epoch only its leader changes the ISR,
//! so the leader stays. A new leader comes from the ISR before. And a controller computes a state from the one that is
//! stored: with a new leader epoch nobody comes back who had left, however many changes it decided on together.

use crate::kafka::protocol::LeaderAndIsr;
use crate::laws::gate::is_unclean;
use crate::laws::ledger::{Law, Ledger, Permit};
use crate::laws::views::Views;

pub(in crate::laws) const SOURCE: &str = "hachikuji/kafka-specification; KIP-380, KIP-497, KIP-966; KAFKA-13173";

/// The controller epoch that was stored last.
#[derive(Clone, Debug, Default)]
pub(in crate::laws) struct Transitions {
    controller_epoch: Option<i32>,
}

impl Transitions {
    /// Judges a new stored controller epoch.
    pub(in crate::laws) fn on_controller_epoch(&mut self, views: Views<'_>, ledger: &mut Ledger) {
        let Some(epoch) = views.store.controller_epoch() else { return };
        ledger.judged(Law::EpochMonotonic, 1);
        if let Some(before) = self.controller_epoch.replace(epoch).filter(|before| *before > epoch) {
            ledger.breach(Law::EpochMonotonic, None, views.at, views.process, || {
                (format!("controller epoch {epoch} is stored after {before}"), views.history.summary())
            });
        }
    }
}

/// Judges a new stored state of a partition.
pub(in crate::laws) fn judge(
    partition: usize,
    before: Option<&LeaderAndIsr>,
    now: &LeaderAndIsr,
    views: Views<'_>,
    ledger: &mut Ledger,
) {
    // A partition that is created anew begins at version 0.
    let Some(before) = before.filter(|_| now.partition_epoch > 0) else { return };
    let mut breach = |law, permit, what: &str| {
        ledger.breach(law, permit, views.at, views.process, || {
            let isr = |state: &LeaderAndIsr| state.isr.iter().map(|id| id.0).collect::<Vec<_>>();
            let show = |s: &LeaderAndIsr| {
                let leader = s.leader.map_or(-1, |id| id.0);
                format!("leader {leader} epoch {} isr {:?} version {}", s.leader_epoch, isr(s), s.partition_epoch)
            };
            let what =
                format!("{what}: {} followed on by {}: {}", views.roster.name(partition), show(before), show(now));
            (what, views.partition_state(partition))
        });
    };
    if now.leader_epoch < before.leader_epoch || now.partition_epoch != before.partition_epoch + 1 {
        breach(Law::EpochMonotonic, None, "an epoch fell or a version was left out");
    }
    let elected = now.leader_epoch > before.leader_epoch;
    if !elected && now.leader != before.leader {
        breach(Law::IsrChangeCas, None, "the leader changed within its epoch");
    }
    let unclean = is_unclean(Some(before), now);
    let permit = views.roster.facts.unclean_election.then_some(Permit::UncleanElection);
    if unclean {
        breach(Law::NoElectOutside, permit, "the new leader was not in the ISR");
    }
    let back = |id| !before.isr.contains(id) && now.leader != Some(*id);
    if elected && now.isr.iter().any(back) {
        breach(Law::AtomicBatch, None, "a new leader epoch brings a replica back into the ISR");
    }
    ledger.judged(Law::EpochMonotonic, 1);
    ledger.judged(if elected { Law::AtomicBatch } else { Law::IsrChangeCas }, 1);
    ledger.judged(Law::NoElectOutside, u64::from(elected && now.leader.is_some()));
}
