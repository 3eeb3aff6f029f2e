//! Z-HONEST-ZXID: the zxid with which a ZooKeeper server enters an election is that of the last transaction applied to its
//! tree, and that is the last one on its disk. Who led, or was given a leader's snapshot, votes with (e,0), which stands
//! for everything before epoch e.

use super::ledger::{Law, Ledger};
use super::views::Views;
use crate::id::Zxid;

pub(super) const SOURCE: &str = "ZOOKEEPER-2845, ZOOKEEPER-2355; Remix (EuroSys '25), ProcessConsistency";

/// Judges that a server enters an election.
pub(super) fn judge(vote: Zxid, applied: Zxid, logged: Zxid, views: Views<'_>, ledger: &mut Ledger) {
    ledger.judged(Law::HonestZxid, 1);
    let led = vote.counter() == 0 && vote > applied;
    if applied != logged || (vote != applied && !led) {
        ledger.breach(Law::HonestZxid, None, views.at, views.process, || {
            let what = format!(
                "{} votes with {vote}, its tree holds everything up to {applied}, and its log ends at {logged}",
                views.process
            );
            (what, views.history.summary())
        });
    }
}
