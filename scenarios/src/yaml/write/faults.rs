//! Faults, and what happens to packets.

use models::time::Span;

use super::{inline, scalar};
use crate::choice::{AnyOf, Choice};
use crate::fault::{DiskOps, DnsAnswer, Errno, Fault, Mode, Names, Place, Ports, Route, Unsynced};
use crate::netem::{Correlated, Distribution, Loss, Netem, Slot};
use crate::schedule::Planned;
use crate::units::{Share, show_rate, show_rate_of_bytes, show_signed_span, show_size, show_span};

type Written = Vec<(&'static str, String)>;

/// An entry of the schedule.
pub(super) fn planned(planned: &Planned, names: &Names<'_>) -> Written {
    let mut fields: Written = planned.name.iter().map(|name| ("id", scalar(name))).collect();
    fields.extend([("at", show_span(planned.at)), ("for", show_span(planned.duration))]);
    fields.extend(fault(&planned.fault, names));
    match &planned.choice {
        None => {}
        Some(Choice::Processes { any: chosen, every }) => {
            replace(&mut fields, "process", any(chosen, |process| names.process(*process)));
            fields.extend((*every != Span::ZERO).then(|| ("every", show_span(*every))));
        }
        Some(Choice::Hosts { any: chosen, every }) => {
            replace(&mut fields, "host", any(chosen, |host| names.host(*host)));
            fields.extend((*every != Span::ZERO).then(|| ("every", show_span(*every))));
        }
        Some(Choice::From(chosen)) => replace(&mut fields, "from", any(chosen, |place| names.place(*place))),
        Some(Choice::To(chosen)) => replace(&mut fields, "to", any(chosen, |place| names.place(*place))),
        Some(Choice::Split { shape, hosts }) => {
            replace(&mut fields, "groups", String::new());
            fields.retain(|(name, _)| *name != "groups");
            fields.push(("shape", shape.word().to_owned()));
            if !hosts.is_empty() {
                let hosts = hosts.iter().map(|host| scalar(names.scenario.topology.host_name(*host)));
                fields.push(("hosts", format!("[{}]", hosts.collect::<Vec<_>>().join(", "))));
            }
        }
    }
    fields
}

fn replace(fields: &mut Written, name: &str, value: String) {
    if let Some(field) = fields.iter_mut().find(|(other, _)| *other == name) {
        field.1 = value;
    }
}

fn any<T>(any: &AnyOf<T>, text: impl Fn(&T) -> String) -> String {
    let of: Vec<String> = any.of.iter().map(|one| scalar(&text(one))).collect();
    format!("{{any: {}, of: [{}]}}", any.count, of.join(", "))
}

fn fault(fault: &Fault, names: &Names<'_>) -> Written {
    let mut fields: Written = vec![("fault", word(fault).to_owned())];
    fields.extend(fault.process().map(|process| ("process", scalar(&names.process(process)))));
    fields.extend(fault.host().map(|host| ("host", scalar(&names.host(host)))));
    if let Some(route) = fault.route() {
        fields.extend(self::route(route, names));
    }
    fields.extend(particulars(fault, names));
    fields
}

/// The word for its kind.
fn word(fault: &Fault) -> &'static str {
    match fault {
        Fault::Cut { .. } => "cut",
        Fault::Impair { .. } => "impair",
        Fault::DiskRate { .. } => "limit-disk",
        other => other.kind(),
    }
}

/// What it has besides whom it hits.
fn particulars(fault: &Fault, names: &Names<'_>) -> Written {
    let span = |name, span: &Span| (name, show_span(*span));
    match fault {
        Fault::Cut { mode, .. } => written_mode(*mode),
        Fault::Partition { groups, mode } => {
            let groups: Vec<String> = groups.iter().map(|group| list(group, names)).collect();
            [vec![("groups", format!("[{}]", groups.join(", ")))], written_mode(*mode)].concat()
        }
        Fault::Impair { netem, .. } => self::netem(netem),
        Fault::MtuHole { above, .. } => vec![("above", show_size(u64::from(*above)))],
        Fault::FlowLoss { flows, packets, .. } => vec![("flows", flows.to_string()), ("packets", packets.to_string())],
        Fault::Flap { down, up, .. } => vec![span("down", down), span("up", up)],
        Fault::RouteLost { kind, .. } => vec![("kind", kind.word().to_owned())],
        Fault::Dns { name, answer, .. } => {
            let host = |host| scalar(names.scenario.topology.host_name(host));
            let answer = match answer {
                DnsAnswer::Host(other) => host(*other),
                DnsAnswer::Error => "error".to_owned(),
                DnsAnswer::Timeout => "timeout".to_owned(),
                DnsAnswer::Stale => "stale".to_owned(),
            };
            vec![("name", host(*name)), ("answer", answer)]
        }
        Fault::Stop { grace, .. } => vec![span("grace", grace)],
        Fault::Restart { grace, delay, .. } => vec![span("grace", grace), span("delay", delay)],
        Fault::Gc { pause, period, .. } => vec![span("pause", pause), span("period", period)],
        Fault::Cpu { delay, .. } => vec![span("delay", delay)],
        Fault::HostCrash { unsynced: Unsynced::Torn, .. } => Vec::new(),
        Fault::HostCrash { unsynced, .. } => vec![("unsynced", unsynced.word().to_owned())],
        Fault::SlowDisk { read, sync, .. } if read == sync => vec![span("latency", read)],
        Fault::SlowDisk { read, sync, .. } => {
            let both = [("read", read), ("sync", sync)];
            both.into_iter().filter(|(_, later)| **later != Span::ZERO).map(|(name, later)| span(name, later)).collect()
        }
        Fault::DiskRate { read, write, iops, .. } => {
            let rate = |name, rate: &Option<u64>| rate.map(|rate| (name, show_rate_of_bytes(rate)));
            let iops = iops.map(|iops| ("iops", iops.to_string()));
            [rate("read", read), rate("write", write), iops].into_iter().flatten().collect()
        }
        Fault::FailDisk { dir, errno, ops, share, .. } => {
            let possible = if *errno == Errno::Io { DiskOps::ALL } else { DiskOps::WRITING };
            let mut fields: Written = dir.iter().map(|dir| ("dir", scalar(dir))).collect();
            fields.extend((*errno != Errno::Io).then(|| ("errno", errno.word().to_owned())));
            fields.extend((*ops != possible).then(|| ("ops", format!("[{}]", ops.words().join(", ")))));
            fields.extend((*share != Share::ALL).then(|| ("percent", share.to_string())));
            fields
        }
        Fault::FillDisk { leave, .. } => vec![("leave", show_size(*leave))],
        Fault::ClockJump { by_ns, .. } => vec![("by", show_signed_span(*by_ns))],
        Fault::ClockDrift { ppm, .. } => vec![("by", format!("{ppm}ppm"))],
        Fault::ClockStrobe { by_ns, period, .. } => vec![("by", show_signed_span(*by_ns)), span("period", period)],
        Fault::Reconfigure { servers } => {
            let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
            vec![("zookeeper", format!("[{}]", servers.join(", ")))]
        }
        Fault::LinkDown { .. }
        | Fault::Kill { .. }
        | Fault::Pause { .. }
        | Fault::AuthFailed { .. }
        | Fault::DeleteController
        | Fault::StallDisk { .. }
        | Fault::DamageIndexes { .. }
        | Fault::ResetConnections(_) => Vec::new(),
    }
}

fn written_mode(mode: Mode) -> Written {
    if mode == Mode::Silent { Vec::new() } else { vec![("mode", mode.word().to_owned())] }
}

fn list(places: &[Place], names: &Names<'_>) -> String {
    let words: Vec<String> = places.iter().map(|place| scalar(&names.place(*place))).collect();
    format!("[{}]", words.join(", "))
}

fn route(route: &Route, names: &Names<'_>) -> Written {
    let places = |places: &[Place]| match places {
        [place] => scalar(&names.place(*place)),
        places => list(places, names),
    };
    let mut fields = vec![("from", places(&route.from))];
    if !route.to.is_empty() {
        fields.push(("to", places(&route.to)));
    }
    if route.both_ways {
        fields.push(("direction", "both".to_owned()));
    }
    if route.ports != Ports::default() {
        fields.push(("ports", ports(&route.ports)));
    }
    fields
}

fn ports(ports: &Ports) -> String {
    let list = |ports: &[models::id::Port]| {
        let words: Vec<String> = ports.iter().map(|port| port.0.to_string()).collect();
        format!("[{}]", words.join(", "))
    };
    if ports.src == ports.dst {
        return list(&ports.src);
    }
    let sides = [("src", &ports.src), ("dst", &ports.dst)].into_iter().filter(|(_, ports)| !ports.is_empty());
    inline(&sides.map(|(name, ports)| (name, list(ports))).collect::<Vec<_>>())
}

pub(super) fn netem(netem: &Netem) -> Vec<(&'static str, String)> {
    let mut fields = Vec::new();
    let mut add = |given: bool, name, value: String| fields.extend(given.then_some((name, value)));
    add(netem.delay != Span::ZERO, "delay", show_span(netem.delay));
    add(netem.jitter != Span::ZERO, "jitter", show_span(netem.jitter));
    add(netem.correlation != Share::NONE, "correlation", netem.correlation.to_string());
    add(netem.distribution != Distribution::Uniform, "distribution", netem.distribution.word().to_owned());
    add(netem.loss != Loss::default(), "loss", loss(netem.loss));
    for (name, value) in [("duplicate", netem.duplicate), ("corrupt", netem.corrupt), ("reorder", netem.reorder)] {
        add(value != Correlated::default(), name, correlated(value));
    }
    add(netem.gap != 0, "gap", netem.gap.to_string());
    fields.extend(netem.rate.map(|rate| ("rate", show_rate(rate))));
    let mut add = |given: bool, name, value: String| fields.extend(given.then_some((name, value)));
    add(netem.overhead != 0, "overhead", netem.overhead.to_string());
    add(netem.cell != 0, "cell", netem.cell.to_string());
    add(netem.keep_order, "keep_order", "true".to_owned());
    fields.extend(netem.limit.map(|limit| ("limit", limit.to_string())));
    fields.extend(netem.slot.map(|slot| ("slot", inline(&self::slot(slot)))));
    fields
}

fn slot(slot: Slot) -> Vec<(&'static str, String)> {
    let bounds = [("packets", slot.packets), ("bytes", slot.bytes)];
    let mut fields = vec![("min", show_span(slot.min)), ("max", show_span(slot.max))];
    fields.extend(bounds.into_iter().filter(|(_, bound)| *bound > 0).map(|(name, bound)| (name, bound.to_string())));
    fields
}

fn correlated(value: Correlated) -> String {
    match value.correlation {
        Share::NONE => value.share.to_string(),
        correlation => inline(&[("share", value.share.to_string()), ("correlation", correlation.to_string())]),
    }
}

fn loss(loss: Loss) -> String {
    let shares = |fields: &[(&'static str, Share)]| {
        inline(&fields.iter().map(|(name, share)| (*name, share.to_string())).collect::<Vec<_>>())
    };
    match loss {
        Loss::Random(value) => correlated(value),
        Loss::State { p13, p31, p32, p23, p14 } => {
            let state = shares(&[("p13", p13), ("p31", p31), ("p32", p32), ("p23", p23), ("p14", p14)]);
            inline(&[("state", state)])
        }
        Loss::GilbertElliott { p, r, one_minus_h, one_minus_k } => {
            inline(&[("gemodel", shares(&[("p", p), ("r", r), ("1-h", one_minus_h), ("1-k", one_minus_k)]))])
        }
    }
}
