//! Z-COMMITTED-MONOTONIC: ZooKeeper's committed log only grows: a leader counts quorums in order, and no server cuts a
//! committed transaction from its log.

use super::ledger::{Law, Ledger};
use super::views::Views;
use crate::id::Zxid;

pub(super) const SOURCE: &str = "Remix (EuroSys '25), CommittedLogMonotonicity";

/// Judges that the leader of `epoch` counted a quorum for `zxid`.
pub(super) fn on_commit(zxid: Zxid, epoch: u32, views: Views<'_>, ledger: &mut Ledger) {
    ledger.judged(Law::CommittedMonotonic, 1);
    if let Some(last) = views.history.committed_in(epoch).filter(|last| zxid < *last) {
        ledger.breach(Law::CommittedMonotonic, None, views.at, views.process, || {
            (format!("{} commits {zxid} after {last}", views.process), views.history.summary())
        });
    }
}

/// Judges that a server cut its log, which went up to `from`, after `to`.
pub(super) fn on_truncate(from: Zxid, to: Zxid, views: Views<'_>, ledger: &mut Ledger) {
    ledger.judged(Law::CommittedMonotonic, 1);
    if let Some(lost) = views.history.delivered_after(to).filter(|zxid| *zxid <= from) {
        ledger.breach(Law::CommittedMonotonic, None, views.at, views.process, || {
            let what = format!("{} cuts its log from {from} to {to}, and {lost} with it", views.process);
            (what, views.history.summary())
        });
    }
}
