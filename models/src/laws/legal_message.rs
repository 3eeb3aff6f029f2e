//! Z-LEGAL-MESSAGE: no ZooKeeper server gets a message that its phase declares impossible.

use super::ledger::{Law, Ledger};
use super::views::Views;

pub(super) const SOURCE: &str = "ZooKeeper's TLA+ specification, violatedInvariants; FollowerZooKeeperServer.commit";

/// A server serves: it has come through all phases with legal messages.
pub(super) fn on_serving(ledger: &mut Ledger) {
    ledger.judged(Law::LegalMessage, 1);
}

/// A server got such a message.
pub(super) fn on_illegal(what: &str, views: Views<'_>, ledger: &mut Ledger) {
    ledger.judged(Law::LegalMessage, 1);
    ledger.breach(Law::LegalMessage, None, views.at, views.process, || {
        (format!("{} got {what}", views.process), views.history.summary())
    });
}
