//! L-NO-CHURN and L-NO-SPURIOUS-FENCING: long after the last fault nobody is elected any more, but for preferred leaders, and no
//! broker that has run all the time loses its registration.
//!
//! The catalogue watches from the deadline of recovery until as long again. A run ends when it has settled, so that runs that
//! recover in time have little of that to show.

use crate::kafka::protocol::LeaderAndIsr;
use crate::laws::ledger::{Law, Ledger};
use crate::laws::views::Views;
use crate::time::Instant;

pub(in crate::laws) const SOURCE: &str = "KIP-996, KAFKA-16144, KAFKA-15019";

/// Judges an election at a moment by which the cluster had to be calm; `who` says whose.
pub(in crate::laws) fn on_election(who: &str, views: Views<'_>, ledger: &mut Ledger) {
    ledger.judged(Law::NoChurn, 1);
    ledger.breach(Law::NoChurn, None, views.at, views.process, || {
        (format!("{who} was elected after the deadline of recovery"), views.history.summary())
    });
}

/// Whether a new stored state elected somebody else than the preferred leader.
pub(in crate::laws) fn is_churn(
    partition: usize,
    before: Option<&LeaderAndIsr>,
    now: &LeaderAndIsr,
    views: Views<'_>,
) -> bool {
    let preferred = views.store.replicas(partition).and_then(|replicas| replicas.first());
    before.is_some_and(|before| before.leader != now.leader) && now.leader.is_some() && now.leader.as_ref() != preferred
}

/// Judges that the registration of a broker is gone; no fault has been active since `calm`, which is long enough ago.
pub(in crate::laws) fn on_unregistered(broker: usize, calm: Instant, views: Views<'_>, ledger: &mut Ledger) {
    let (id, process) = views.roster.brokers[broker];
    ledger.judged(Law::NoSpuriousFencing, 1);
    if views.processes.is_up(process) && views.processes.up_since(process) < calm {
        ledger.breach(Law::NoSpuriousFencing, None, views.at, process, || {
            let what = format!("broker {id} lost its registration, although nothing has disturbed it since {calm}");
            (what, format!("up since {}; {}", views.processes.up_since(process), views.history.summary()))
        });
    }
}
