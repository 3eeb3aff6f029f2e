//! C-ONE-PER-EPOCH: each controller epoch is claimed by one life of one process, and nobody else acts in it.

use super::ledger::{Law, Ledger};
use super::views::Views;
use crate::id::ProcessId;

pub(super) const SOURCE: &str = "KAFKA-532, KAFKA-1096";

/// Who claimed which epoch.
#[derive(Clone, Debug, Default)]
pub(super) struct OnePerEpoch {
    claims: Vec<(i32, ProcessId, u32)>,
}

impl OnePerEpoch {
    /// Judges a `ControllerBegin`, or a `ControllerActed`: who acts in an epoch claims it.
    pub(super) fn on_claim(&mut self, epoch: i32, incarnation: u32, views: Views<'_>, ledger: &mut Ledger) {
        ledger.judged(Law::OnePerEpoch, 1);
        let process = views.process;
        match self.claims.iter().rev().find(|(e, ..)| *e == epoch) {
            None => self.claims.push((epoch, process, incarnation)),
            Some((_, other, life)) if (*other, *life) != (process, incarnation) => {
                ledger.breach(Law::OnePerEpoch, None, views.at, process, || {
                    let what = format!("{process} is controller in epoch {epoch}, which {other} has claimed");
                    (what, format!("lives {incarnation} and {life}; all claims: {:?}", self.claims))
                });
            }
            Some(_) => {}
        }
    }
}
