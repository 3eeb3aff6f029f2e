//! Z-LEADERSHIP: in each epoch at most one ZooKeeper server leads, be it that it synchronises or that it is established.

use super::ledger::{Law, Ledger};
use super::views::Views;
use crate::id::ProcessId;

pub(super) const SOURCE: &str = "ZooKeeper's TLA+ specification, Leadership1 and Leadership2; ZOOKEEPER-335";

/// The leader of each epoch.
#[derive(Clone, Debug, Default)]
pub(super) struct Leadership {
    /// By epoch.
    leaders: Vec<(u32, ProcessId)>,
}

impl Leadership {
    /// A server leads in `epoch` now, at least until its learners are synchronised.
    pub(super) fn on_leading(&mut self, epoch: u32, views: Views<'_>, ledger: &mut Ledger) {
        ledger.judged(Law::Leadership, 1);
        match self.leaders.binary_search_by_key(&epoch, |(e, _)| *e) {
            Err(index) => self.leaders.insert(index, (epoch, views.process)),
            Ok(index) => {
                let leader = self.leaders[index].1;
                if leader != views.process {
                    ledger.breach(Law::Leadership, None, views.at, views.process, || {
                        let what = format!("{} leads in epoch {epoch}, as {leader} did", views.process);
                        (what, views.history.summary())
                    });
                }
            }
        }
    }
}
