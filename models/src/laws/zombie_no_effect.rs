//! C-ZOMBIE-NO-EFFECT: once a newer controller epoch is stored, no guarded write of an older one is accepted; and a broker
//! that knows a newer one applies no request of an older one. Sending them is fine.

use super::ledger::{Law, Ledger};
use super::views::Views;
use crate::observation::Observation;

pub(super) const SOURCE: &str = "KAFKA-6082, KAFKA-3083";

/// Judges a `ControllerEffect` or an applied `ControlRequest`.
pub(super) fn judge(what: &Observation, views: Views<'_>, ledger: &mut Ledger) {
    match what {
        Observation::ControllerEffect { epoch, path, zxid } => {
            // The effect is reported when its answer arrives; what counts is its place in the order of transactions.
            let Some(stored) = views.store.controller_epoch_before(*zxid) else { return };
            ledger.judged(Law::ZombieNoEffect, 1);
            if stored > *epoch {
                ledger.breach(Law::ZombieNoEffect, None, views.at, views.process, || {
                    let what = format!("the store accepted a write of controller epoch {epoch} to {path}");
                    (what, format!("transaction {zxid}; epoch {stored} was stored before it"))
                });
            }
        }
        Observation::ControlRequest {
            request,
            controller,
            controller_epoch,
            known_controller_epoch,
            applied: true,
            ..
        } => {
            ledger.judged(Law::ZombieNoEffect, 1);
            if controller_epoch < known_controller_epoch {
                ledger.breach(Law::ZombieNoEffect, None, views.at, views.process, || {
                    let what =
                        format!("{request:?} of controller {controller} in epoch {controller_epoch} was applied");
                    (what, format!("the broker knew epoch {known_controller_epoch}"))
                });
            }
        }
        _ => {}
    }
}
