//! Z-LEADER-COMPLETENESS: the log of an established ZooKeeper leader holds every transaction that was committed in an
//! earlier epoch. That its earlier transactions are the right ones too is seen by Z-PREFIX as soon as it commits.

use super::ledger::{Law, Ledger};
use super::views::Views;
use crate::id::Zxid;

pub(super) const SOURCE: &str =
    "Remix (EuroSys '25), LeaderCompleteness; ZOOKEEPER-4643, ZOOKEEPER-4646, ZOOKEEPER-4685";

/// Judges that a leader of `epoch` begins to serve with a log up to `last`. Commits of later epochs do not concern it: it
/// may be an old leader whose acknowledgements were long under way.
pub(super) fn on_established(epoch: u32, last: Zxid, views: Views<'_>, ledger: &mut Ledger) {
    let Some(committed) = views.history.committed_before(epoch) else { return };
    ledger.judged(Law::LeaderCompleteness, 1);
    if last < committed {
        ledger.breach(Law::LeaderCompleteness, None, views.at, views.process, || {
            let what = format!(
                "{} leads in epoch {epoch} with a log up to {last}, but {committed} is committed",
                views.process
            );
            (what, views.history.summary())
        });
    }
}

/// Judges a commit of a leader whose successor is established already.
pub(super) fn on_commit(zxid: Zxid, epoch: u32, views: Views<'_>, ledger: &mut Ledger) {
    let Some((later, last)) = views.history.established_after(epoch) else { return };
    ledger.judged(Law::LeaderCompleteness, 1);
    if last < zxid {
        ledger.breach(Law::LeaderCompleteness, None, views.at, views.process, || {
            let what = format!("{zxid} is committed in epoch {epoch}, but the leader of epoch {later} began at {last}");
            (what, views.history.summary())
        });
    }
}
