//! Z-EPHEMERAL-GONE: once the end of a session is applied, no node of it remains, and none is created for it.

use super::ledger::{Law, Ledger};
use super::views::Views;
use crate::id::{SessionId, Zxid};

pub(super) const SOURCE: &str = "ZOOKEEPER-2355; DataTree.killSession";

/// Judges that a server has applied the end of `session`.
pub(super) fn on_closed(session: SessionId, zxid: Zxid, left: u32, views: Views<'_>, ledger: &mut Ledger) {
    ledger.judged(Law::EphemeralGone, 1);
    if left > 0 {
        ledger.breach(Law::EphemeralGone, None, views.at, views.process, || {
            let what = format!("{} still holds {left} nodes of session {session}", views.process);
            (what, format!("the session was closed by {zxid}"))
        });
    }
}

/// Judges that a node was created for a session that had ended.
pub(super) fn on_orphan(path: &str, session: SessionId, zxid: Zxid, views: Views<'_>, ledger: &mut Ledger) {
    ledger.judged(Law::EphemeralGone, 1);
    ledger.breach(Law::EphemeralGone, None, views.at, views.process, || {
        (format!("{zxid} created {path} for session {session}, which had ended"), views.history.summary())
    });
}
