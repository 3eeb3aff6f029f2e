//! R-WEAK-ISR and R-STRONG-ISR: below the high watermark of a presumed leader, be it deposed or not, every member of an ISR
//! holds the leader's records. Weak: of the ISR that the leader knows. Strong: of the stored ISR.
//!
//! A member counts in the stored ISR as for R-CANDIDATE-COMPLETE: it runs, and its place is meant for its present
//! registration. One that lost records in a crash and has not got them back is not held against the leader's own view,
//! which cannot know of it.

use crate::laws::ledger::{Law, Ledger};
use crate::laws::views::Views;

pub(in crate::laws) const SOURCE: &str = "hachikuji/kafka-specification, WeakIsr and StrongIsr (Kip320)";

/// Judges all members of a leader's ISR and of the stored one, after either or the leader's high watermark changed.
pub(in crate::laws) fn judge_leader(partition: usize, leader: usize, views: Views<'_>, ledger: &mut Ledger) {
    if views.leaders.reign(leader, partition).is_some() {
        for member in (0..views.roster.brokers.len()).filter(|member| *member != leader) {
            judge(partition, leader, member, views, ledger);
        }
    }
}

/// Judges the members under every presumed leader, after the stored state changed.
pub(in crate::laws) fn judge_all(partition: usize, views: Views<'_>, ledger: &mut Ledger) {
    for (leader, _) in views.leaders.reigning(partition) {
        judge_leader(partition, leader, views, ledger);
    }
}

/// Judges one replica under every presumed leader, after its log was cut.
pub(in crate::laws) fn judge_member(partition: usize, member: usize, views: Views<'_>, ledger: &mut Ledger) {
    for (leader, _) in views.leaders.reigning(partition).filter(|(leader, _)| *leader != member) {
        judge(partition, leader, member, views, ledger);
    }
}

fn judge(partition: usize, leader: usize, member: usize, views: Views<'_>, ledger: &mut Ledger) {
    let (id, process) = views.roster.brokers[member];
    let Some(reign) = views.leaders.reign(leader, partition) else { return };
    if !views.logs.counts(partition, reign.epoch) {
        return;
    }
    let weak = reign.isr.contains(&id) && views.processes.is_up(process) && !views.gate.is_lossy(member, partition);
    let stored = views.store.partition(partition);
    let strong = stored.is_some_and(|state| state.isr.contains(&id)) && views.is_electable(partition, member);
    if !weak && !strong {
        return;
    }
    let (leaders, members) = (views.logs.replica(leader, partition), views.logs.replica(member, partition));
    let high_watermark = leaders.high_watermark;
    let Some(wanted) = leaders.digest(high_watermark) else { return };
    if members.leo() >= high_watermark && members.digest(high_watermark).is_none() {
        return;
    }
    let holds = members.digest(high_watermark) == Some(wanted);
    for law in [(weak, Law::WeakIsr), (strong, Law::StrongIsr)].into_iter().filter_map(|(is, law)| is.then_some(law)) {
        ledger.judged(law, 1);
        if holds {
            continue;
        }
        let parting = views.logs.parting(member, partition).min(members.leo());
        ledger.breach(law, views.gate.log(partition, parting), views.at, process, || {
            let (name, leader) = (views.roster.name(partition), views.roster.brokers[leader].0);
            let whose = if law == Law::WeakIsr { "its" } else { "the stored" };
            let what = format!(
                "broker {leader} leads {name} in epoch {} with high watermark {high_watermark}, but member {id} of {whose} \
                 ISR does not hold its records below that",
                reign.epoch
            );
            (what, views.partition_state(partition))
        });
    }
}
