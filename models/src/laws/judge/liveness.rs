//! What has to hold when the faults are over: waits while it does not, breaches at the deadline.

use super::{Judge, OBSERVER};
use crate::kafka::config::Acks;
use crate::laws::ledger::{Law, Ledger, Unmet};
use crate::laws::metadata::isr_changes;
use crate::laws::recovery::one_acting_leader;
use crate::laws::views::Views;
use crate::time::{Instant, Span};

impl Judge {
    /// The producers send no more: the last read begins.
    pub fn producers_stop(&mut self, now: Instant) {
        self.produce.producers_stop(now);
    }

    /// The last fault is over.
    pub fn quiet_begins(&mut self, now: Instant) {
        self.deadline.quiet_begins(now);
        self.count.quiet_begins(now);
        self.groups.quiet_begins(now);
        let views = views!(self, now, OBSERVER);
        self.zk_quorum.quiet_begins(views);
        self.one_controller.quiet_begins(views);
    }

    /// When unmet liveness conditions become failures: `Tq + B`. `None` before the quiet phase.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.deadline(&self.roster.facts)
    }

    /// The liveness conditions that do not hold now, one a law at most, without those of laws that are known to be broken. Also
    /// measures how long they take.
    pub fn unmet(&mut self, now: Instant) -> Vec<Unmet> {
        let unmet = unmet(self.waits(now));
        for wait in &unmet {
            if let Some(quiet) = self.deadline.quiet() {
                self.ledger.waited(wait.law, now - wait.since.max(quiet));
            }
        }
        let views = views!(self, now, OBSERVER);
        self.no_offline.look(views);
        self.fully_replicated.look(views);
        let known = &self.roster.facts.known_breaches;
        unmet.into_iter().filter(|wait| !known.contains(&wait.law)).collect()
    }

    pub(super) fn finish_liveness(&self, now: Instant, ledger: &mut Ledger) {
        let waits = self.waits(now);
        let Some(quiet) = self.deadline.quiet() else {
            waits.iter().for_each(|(law, _)| ledger.not_judged(*law, "the run had no quiet phase"));
            return;
        };
        if self.deadline().is_some_and(|deadline| now > deadline) {
            ledger.judged(Law::NoChurn, 1);
            ledger.judged(Law::NoSpuriousFencing, 1);
        }
        for (law, _) in &waits {
            ledger.judged(*law, 1);
            ledger.waited(*law, Span::ZERO);
        }
        if self.has_kafka() && self.roster.facts.acks == Acks::None {
            ledger.not_judged(Law::Produce, "nobody answers writes with acks=0");
        } else if self.has_kafka() && self.roster.facts.produce_interval.is_none() {
            ledger.not_judged(Law::Produce, "nobody writes");
        }
        for Unmet { law, what, since } in unmet(waits) {
            ledger.waited(law, now - since.max(quiet));
            ledger.breach(law, None, now, OBSERVER, || (what, format!("unmet since {since}, quiet since {quiet}")));
        }
    }

    /// Whether there are brokers; an ensemble alone owes nobody a controller.
    fn has_kafka(&self) -> bool {
        !self.roster.brokers.is_empty()
    }

    /// Every liveness law of what is there, with its oldest unmet wait.
    fn waits(&self, now: Instant) -> Vec<(Law, Option<Wait>)> {
        let views = views!(self, now, OBSERVER);
        let ensemble = (Law::ZkQuorum, self.zk_quorum.oldest(views));
        if !self.has_kafka() {
            return vec![ensemble];
        }
        let produce = (self.roster.facts.acks != Acks::None).then(|| self.produce.oldest(views)).flatten();
        let mut waits = vec![
            (Law::OneController, self.one_controller.oldest(views)),
            (Law::AllRegistered, self.all_registered.oldest(views)),
            (Law::IsrFull, self.isr_full.oldest(views)),
            (Law::MetadataConverges, self.converges.oldest(views)),
            (Law::OneActingLeader, one_acting_leader::oldest(views)),
            (Law::NoOffline, self.no_offline.oldest(views)),
            (Law::IsrChangeResolved, isr_changes::oldest(self.deadline.quiet(), views)),
            (Law::FullyReplicated, self.fully_replicated.oldest(&self.records, views)),
            (Law::Produce, produce),
            ensemble,
        ];
        if !self.roster.facts.groups.is_empty() {
            waits.extend(self.groups.oldest(views));
        }
        waits
    }
}

/// Who waits for what, since when.
type Wait = (Instant, String);

fn unmet(waits: Vec<(Law, Option<Wait>)>) -> Vec<Unmet> {
    let unmet = waits.into_iter().filter_map(|(law, wait)| wait.map(|(since, what)| Unmet { law, what, since }));
    unmet.collect()
}
