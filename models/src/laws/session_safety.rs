//! Z-SESSION-SAFETY: a ZooKeeper session expires no earlier than its timeout after the last contact that the leader learned
//! of, and a session that has ended never acts again.

use super::ledger::{Law, Ledger};
use super::views::Views;
use crate::id::SessionId;
use crate::time::Span;
use crate::zk::protocol::{Txn, TxnBody};

pub(super) const SOURCE: &str = "ExpiryQueue, SessionTrackerImpl.checkSession; rule of this catalogue";

/// Judges that a leader lets a session expire.
pub(super) fn on_expiring(session: SessionId, timeout: Span, silent: Span, views: Views<'_>, ledger: &mut Ledger) {
    ledger.judged(Law::SessionSafety, 1);
    if silent < timeout {
        ledger.breach(Law::SessionSafety, None, views.at, views.process, || {
            let what = format!("{} lets {session} expire {silent} after its last contact", views.process);
            (what, format!("its timeout is {timeout}"))
        });
    }
}

/// Judges a committed transaction of a session that had ended before. That it was refused is no act.
pub(super) fn on_ended(txn: &Txn, views: Views<'_>, ledger: &mut Ledger) {
    ledger.judged(Law::SessionSafety, 1);
    if !matches!(txn.body, TxnBody::Error { .. } | TxnBody::CloseSession { .. }) {
        ledger.breach(Law::SessionSafety, None, views.at, views.process, || {
            let what = format!("{} is a write of {}, which had ended", txn.zxid, txn.session);
            (what, views.history.summary())
        });
    }
}
