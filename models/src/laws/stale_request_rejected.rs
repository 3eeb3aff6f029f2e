//! C-STALE-REQUEST-REJECTED: a broker applies no control request that names an older controller epoch, or an older broker
//! epoch than its own. A larger broker epoch is fine: the broker may not have heard yet of its own registration.

use super::ledger::{Law, Ledger};
use super::views::Views;
use crate::observation::Observation;

pub(super) const SOURCE: &str = "KIP-380, KIP-570";

/// Judges an applied `ControlRequest`.
pub(super) fn judge(what: &Observation, views: Views<'_>, ledger: &mut Ledger) {
    let Observation::ControlRequest {
        request,
        controller,
        controller_epoch,
        known_controller_epoch,
        broker_epoch,
        known_broker_epoch,
        applied: true,
    } = what
    else {
        return;
    };
    ledger.judged(Law::StaleRequestRejected, 1);
    let stale_broker = *broker_epoch != UNCHECKED && broker_epoch < known_broker_epoch;
    if !stale_broker && controller_epoch >= known_controller_epoch {
        return;
    }
    ledger.breach(Law::StaleRequestRejected, None, views.at, views.process, || {
        let what = format!("a stale {request:?} of controller {controller} was applied");
        let state = format!(
            "broker epoch {broker_epoch} against {known_broker_epoch}, controller epoch {controller_epoch} against \
             {known_controller_epoch}"
        );
        (what, state)
    });
}

const UNCHECKED: i64 = -1; // KafkaApis.isBrokerEpochStale lets it pass.
