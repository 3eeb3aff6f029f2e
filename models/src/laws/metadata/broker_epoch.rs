//! C-BROKER-EPOCH: every registration of a broker has a larger epoch than those before, and a broker applies nothing that is
//! addressed to an earlier one, whether or not it has been told of its present one.

use crate::laws::ledger::{Law, Ledger};
use crate::laws::views::Views;
use crate::observation::Observation;

pub(in crate::laws) const SOURCE: &str = "KIP-380, KAFKA-16952; Vanlightly/kafka-tlaplus, incarnation guard";

/// By broker number, the largest epoch that it was registered with in an earlier life.
#[derive(Clone, Debug)]
pub(in crate::laws) struct BrokerEpoch {
    former: Vec<Option<i64>>,
}

impl BrokerEpoch {
    pub(in crate::laws) fn new(brokers: usize) -> Self {
        Self { former: vec![None; brokers] }
    }

    /// The broker is going down.
    pub(in crate::laws) fn on_down(&mut self, broker: usize, views: Views<'_>) {
        self.former[broker] = self.former[broker].max(views.processes.broker_epoch(broker));
    }

    /// Judges a registration before it is taken into the views.
    pub(in crate::laws) fn on_registered(
        &mut self,
        broker: usize,
        broker_epoch: i64,
        views: Views<'_>,
        ledger: &mut Ledger,
    ) {
        ledger.judged(Law::BrokerEpoch, 1);
        let known = views.processes.broker_epoch(broker);
        if known.is_some_and(|known| broker_epoch < known) || self.former[broker].is_some_and(|it| broker_epoch <= it) {
            let former = self.former[broker].max(known);
            ledger.breach(Law::BrokerEpoch, None, views.at, views.process, || {
                let id = views.roster.brokers[broker].0;
                let what = format!("broker {id} registered with epoch {broker_epoch} after {former:?}");
                (what, format!("the store has {:?}", views.store.broker_epoch(broker)))
            });
        }
    }

    /// Judges a request of a controller that was applied.
    pub(in crate::laws) fn on_request(&self, broker: usize, what: &Observation, views: Views<'_>, ledger: &mut Ledger) {
        let Observation::ControlRequest { request, controller, broker_epoch, applied: true, .. } = what else { return };
        if *broker_epoch == UNCHECKED {
            return;
        }
        ledger.judged(Law::BrokerEpoch, 1);
        let known = views.processes.broker_epoch(broker);
        let stale = known.is_some_and(|known| *broker_epoch < known)
            || self.former[broker].is_some_and(|former| *broker_epoch <= former);
        if stale {
            ledger.breach(Law::BrokerEpoch, None, views.at, views.process, || {
                let id = views.roster.brokers[broker].0;
                let what =
                    format!("broker {id} applied {request:?} of controller {controller} for its epoch {broker_epoch}");
                (what, format!("registered with {known:?} in this life, {:?} before", self.former[broker]))
            });
        }
    }
}

const UNCHECKED: i64 = -1; // KafkaApis.isBrokerEpochStale lets it pass.
