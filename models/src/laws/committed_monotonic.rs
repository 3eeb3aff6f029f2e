//! Z-COMMITTED-MONOTONIC: ZooKeeper's committed log only grows: a leader counts quorums in order, and no server cuts a
//! committed transaction from its log for good.

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

/// Judges that a server, which has delivered up to `delivered`, cut its log on the order of the leader of `epoch`: it went up to
/// `from`, and ends with `to` now. What was committed in an earlier epoch that leader holds from the beginning. What is of its own
/// epoch it may have committed since it gave the order, and sends again behind it; a server that has delivered it has been told
/// of the commit before.
pub(super) fn on_truncate(
    (from, to): (Zxid, Zxid),
    epoch: u32,
    delivered: Option<Zxid>,
    views: Views<'_>,
    ledger: &mut Ledger,
) {
    ledger.judged(Law::CommittedMonotonic, 1);
    let earlier = views.history.delivered_after(to).filter(|zxid| zxid.epoch() < epoch);
    if let Some(lost) = delivered.filter(|zxid| *zxid > to).or(earlier).filter(|zxid| *zxid <= from) {
        ledger.breach(Law::CommittedMonotonic, None, views.at, views.process, || {
            let what = format!("{} cuts its log from {from} to {to}, and {lost} with it", views.process);
            (what, views.history.summary())
        });
    }
}
