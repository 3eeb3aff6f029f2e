//! Z-PRIMARY-INTEGRITY: a ZooKeeper leader that begins to broadcast has delivered every committed transaction of older
//! epochs that any server has delivered.

use super::ledger::{Law, Ledger};
use super::views::Views;
use crate::id::Zxid;

pub(super) const SOURCE: &str = "ZooKeeper's TLA+ specification, PrimaryIntegrity";

/// Judges that a server begins to broadcast in `epoch`, having delivered everything up to `delivered`.
pub(super) fn judge(epoch: u32, delivered: Zxid, views: Views<'_>, ledger: &mut Ledger) {
    let Some(older) = views.history.delivered_before(epoch) else { return };
    ledger.judged(Law::PrimaryIntegrity, 1);
    if delivered < older {
        ledger.breach(Law::PrimaryIntegrity, None, views.at, views.process, || {
            let what = format!(
                "{} broadcasts in epoch {epoch}, having delivered up to {delivered}; {older} is delivered elsewhere",
                views.process
            );
            (what, views.history.summary())
        });
    }
}
