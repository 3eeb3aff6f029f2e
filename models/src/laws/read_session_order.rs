//! Z-READ-SESSION-ORDER: the answers to one ZooKeeper session never go back in zxid, not even after a reconnect. Reads of
//! different sessions may be stale (KAFKA-16667 is about forgetting this).

use super::ledger::{Law, Ledger};
use super::views::Views;
use crate::id::{SessionId, Zxid};

pub(super) const SOURCE: &str = "ZooKeeper's guarantees, sequential consistency; ZooKeeperServer.processConnectRequest";

/// What each session has seen.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadSessionOrder {
    /// In order of the sessions.
    seen: Vec<(SessionId, Zxid)>,
    /// Where the last answer's session stands: answers come in runs.
    hint: usize,
}

impl ReadSessionOrder {
    /// Judges that a session got an answer with `zxid`.
    pub(super) fn judge(&mut self, session: SessionId, zxid: Zxid, views: Views<'_>, ledger: &mut Ledger) {
        ledger.judged(Law::ReadSessionOrder, 1);
        if self.seen.get(self.hint).is_none_or(|(known, _)| *known != session) {
            self.hint = self.seen.binary_search_by_key(&session, |(known, _)| *known).unwrap_or_else(|index| {
                self.seen.insert(index, (session, Zxid::ZERO));
                index
            });
        }
        let (_, seen) = &mut self.seen[self.hint];
        if zxid < *seen {
            ledger.breach(Law::ReadSessionOrder, None, views.at, views.process, || {
                let what = format!("{} is answered to {session}, which had seen {seen} already", zxid);
                (what, views.history.summary())
            });
        }
        *seen = zxid.max(*seen);
    }
}
