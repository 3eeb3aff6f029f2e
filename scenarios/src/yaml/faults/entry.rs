//! One entry of `schedule.faults`: when, how long, what, and of whom.

use models::time::Span;

use super::super::fields::{Fields, Item};
use super::Targets;
use super::kinds::{Kind, Read, Victim};
use super::targets::any_of;
use crate::choice::Choice;
use crate::fault::Fault;
use crate::nearest::hint;
use crate::schedule::Planned;
use crate::units::show_span;

/// The entries read so far.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) planned: Vec<Planned>,
    /// When each entry with an `id` is over.
    ends: Vec<(String, Span)>,
}

/// Whom an entry hits, one fault each.
enum Hits {
    /// The one fault that was read.
    One,
    /// Each of these.
    Each(Vec<Fault>),
    /// What the seed will choose; so many.
    Chosen(Choice, u32),
}

impl Targets<'_> {
    /// One entry. A list of processes or hosts makes a fault of each, `every` so much time one.
    pub(super) fn read_entry(&self, item: &Item<'_>, entries: &mut Entries) {
        let mut fields = item.fields();
        let name = fields.optional("id").and_then(|id| read_id(&id, entries));
        let at = read_beginning(&mut fields, entries);
        // Without a kind nobody knows which other fields are valid.
        let Some(kind) = fields.required("fault").and_then(|kind| Kind::read(&kind)) else { return };
        let length = read_length(kind, &mut fields);
        let read = match kind.victim() {
            Victim::Process => self.of_processes(kind, length, &mut fields),
            Victim::Host => self.of_hosts(kind, &mut fields),
            Victim::Other => self.other_fault(kind, &mut fields).map(|read| (read, Hits::One, Span::ZERO)),
        };
        fields.finish();
        let Some(((fault, choice), hits, every)) = read else { return };
        let duration = match (length, &fault) {
            (Some(length), _) => length,
            // By then it has been started in any case.
            (None, Fault::Restart { grace, delay, .. }) => *grace + *delay,
            (None, _) => Span::ZERO,
        };
        let planned = Planned { name, at, duration, fault, choice };
        let count = match &hits {
            Hits::One => 1,
            Hits::Each(faults) => faults.len() as u64,
            Hits::Chosen(_, count) => u64::from(*count),
        };
        let (end, phase) = (at + duration + every * (count.max(1) - 1), self.scenario.phases.faults);
        if end > phase {
            let end = show_span(end);
            item.error(format!("ends at {end}, after the fault phase of {} (`phases.faults`)", show_span(phase)));
        }
        entries.ends.extend(planned.name.clone().map(|name| (name, end)));
        match hits {
            Hits::One => entries.planned.push(planned),
            Hits::Each(faults) => {
                let each = planned.one_by_one(faults, every);
                for name in each.iter().filter_map(|one| one.name.as_ref()) {
                    if entries.planned.iter().any(|other| other.name.as_ref() == Some(name)) {
                        item.error(format!("the id `{name}` is taken already"));
                    }
                }
                entries.planned.extend(each);
            }
            Hits::Chosen(choice, _) => entries.planned.push(Planned { choice: Some(choice), ..planned }),
        }
    }

    fn of_processes(&self, kind: Kind, length: Option<Span>, fields: &mut Fields<'_>) -> Option<(Read, Hits, Span)> {
        let item = fields.required("process");
        let every = fields.span("every", Span::ZERO);
        let any = item.as_ref().and_then(|item| any_of(item, |item| self.processes(item)));
        let processes = match (&any, &item) {
            (Some(any), _) => any.of.clone(),
            (None, item) => item.iter().flat_map(Item::list).flat_map(|item| self.processes(&item)).collect(),
        };
        // Something must be read in any case, so that the other fields are known.
        let first = processes.first().copied().unwrap_or(crate::fault::ProcessSelector::Controller);
        let fault = self.process_fault(kind, first, length, fields)?;
        let hits = match any {
            Some(any) => Hits::Chosen(Choice::Processes { every, any: any.clone() }, any.count),
            None => Hits::Each(processes.iter().map(|process| fault.with_process(*process)).collect()),
        };
        Some(((fault, None), hits, every))
    }

    fn of_hosts(&self, kind: Kind, fields: &mut Fields<'_>) -> Option<(Read, Hits, Span)> {
        let item = fields.required("host");
        let every = fields.span("every", Span::ZERO);
        let any = item.as_ref().and_then(|item| any_of(item, |item| self.hosts(item)));
        let mut hosts = match (&any, &item) {
            (Some(any), _) => any.of.clone(),
            (None, item) => item.iter().flat_map(Item::list).flat_map(|item| self.hosts(&item)).collect(),
        };
        let nobody = hosts.is_empty();
        if nobody {
            hosts.push(crate::fault::HostSelector::Host(models::id::HostId(0)));
        }
        let fault = self.host_fault(kind, &hosts, fields)?;
        let hits = match any {
            Some(any) => Hits::Chosen(Choice::Hosts { every, any: any.clone() }, any.count),
            None if nobody => Hits::Each(Vec::new()),
            None => Hits::Each(hosts.iter().map(|host| fault.with_host(*host)).collect()),
        };
        Some(((fault, None), hits, every))
    }
}

fn read_id(item: &Item<'_>, entries: &Entries) -> Option<String> {
    let valid = |text: &str| text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let id = item.parsed("a name of letters, digits, `-`, `_` and `.`", |text| valid(text).then(|| text.to_owned()))?;
    if entries.planned.iter().any(|planned| planned.name.as_ref() == Some(&id))
        || entries.ends.iter().any(|e| e.0 == id)
    {
        item.error(format!("the id `{id}` is taken already"));
        return None;
    }
    Some(id)
}

/// `at: 10s`, or `after: x`, or `after: {fault: x, plus: 5s}`: so long after the fault of an entry further up is over.
fn read_beginning(fields: &mut Fields<'_>, entries: &Entries) -> Span {
    let Some(after) = fields.optional("after") else { return fields.required_span("at") };
    if let Some(at) = fields.optional("at") {
        at.error("give `at` or `after`, not both");
    }
    let is_map = matches!(after.node.value, super::super::node::Value::Map(_));
    let (first, plus) = if is_map {
        let mut inner = after.fields();
        let first = inner.required("fault");
        let plus = inner.span("plus", Span::ZERO);
        inner.finish();
        (first, plus)
    } else {
        (Some(after.clone()), Span::ZERO)
    };
    let Some((item, id)) = first.and_then(|item| Some((item.clone(), item.text("the `id` of a fault")?.to_owned())))
    else {
        return Span::ZERO;
    };
    let Some((_, end)) = entries.ends.iter().find(|(name, _)| *name == id) else {
        let hint = hint(&id, entries.ends.iter().map(|(name, _)| name.as_str()));
        item.error(format!("no fault further up has the id `{id}`{hint}"));
        return Span::ZERO;
    };
    *end + plus
}

/// `for`, or `restart_after` where that is what it means. `None` if it is left out and may be.
fn read_length(kind: Kind, fields: &mut Fields<'_>) -> Option<Span> {
    if kind.restarts() {
        let after = fields.optional("restart_after").or_else(|| fields.optional("restart-after"));
        if let Some(after) = after {
            if let Some(length) = fields.optional("for") {
                length.error("`for` and `restart_after` mean the same; give one of them");
            }
            return after.span();
        }
    }
    if kind.is_instant() || kind == Kind::Restart {
        return fields.optional("for").and_then(|length| length.span());
    }
    Some(fields.required_span("for"))
}
