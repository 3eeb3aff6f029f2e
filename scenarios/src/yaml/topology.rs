//! `topology:`.

use models::time::Span;

use super::fields::{Fields, Item, unknown};
use super::root::read_tcp;
use crate::netem::{Correlated, Distribution, Loss, Netem, Slot};
use crate::topology::{Clock, Disk, Host, Link, SiteId, Topology};
use crate::units;

pub(super) fn read(item: &Item<'_>) -> Topology {
    let mut fields = item.fields();
    let mut topology = Topology {
        lan: Netem::delay(Topology::LAN_DELAY),
        loopback: Netem::delay(Topology::LOOPBACK_DELAY),
        ..Topology::default()
    };
    for site in fields.required("sites").iter().flat_map(Item::list) {
        if let Some(name) = name(&site, site.text("a name").unwrap_or_default(), &topology) {
            topology.sites.push(name);
        }
    }
    if let Some(lan) = fields.optional("lan") {
        topology.lan = netem_of(&lan);
    }
    if let Some(loopback) = fields.optional("loopback") {
        topology.loopback = netem_of(&loopback);
        if topology.loopback != Netem::delay(topology.loopback.delay) {
            loopback.error("a loopback has a `delay` and nothing else: its packets never leave the host");
        }
    }
    if let Some(hosts) = fields.required("hosts") {
        read_hosts(&hosts, &mut topology);
    }
    let links = fields.optional("links");
    for link in links.iter().flat_map(Item::list) {
        read_link(&link, &mut topology);
    }
    for (from, to) in unlinked(&topology) {
        let (from, to) = (topology.site_name(from), topology.site_name(to));
        links
            .as_ref()
            .unwrap_or(item)
            .error(format!("no link from `{from}` to `{to}`; add one with `between` or `from` and `to`"));
    }
    fields.finish();
    topology
}

/// A new name of a site or host. Both share one space of names, so that a fault can say `london` or `zk1`.
fn name(item: &Item<'_>, name: &str, topology: &Topology) -> Option<String> {
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if name.is_empty() {
        return None;
    }
    if name.len() > 253 || !name.chars().all(valid) {
        item.error(format!("`{name}` is no name; expected letters, digits, `-`, `.` and `_`"));
    } else if topology.site(name).is_some() || topology.host(name).is_some() {
        item.error(format!("the name `{name}` is taken already"));
    } else {
        return Some(name.to_owned());
    }
    None
}

fn read_hosts(item: &Item<'_>, topology: &mut Topology) {
    for (key, host) in item.entries("hosts") {
        // Twice the same host is reported by `entries`.
        if topology.host(&key.name).is_some() {
            continue;
        }
        let name = name(&host, &key.name, topology);
        let mut fields = host.fields();
        let site = fields.required("site").map_or(SiteId(0), |site| site_of(&site, topology));
        let disk = fields.optional("disk").map_or_else(Disk::default, |disk| read_disk(&disk));
        let clock = fields.optional("clock").map_or_else(Clock::default, |clock| read_clock(&clock));
        let thread_delay = fields.span("thread_delay", Host::THREAD_DELAY);
        let tcp = fields.optional("tcp").map(|tcp| read_tcp(&tcp));
        fields.finish();
        if topology.hosts.len() >= 10_000 {
            item.error("more than 10000 hosts");
            return;
        }
        topology.hosts.extend(name.map(|name| Host { name, site, disk, clock, thread_delay, tcp }));
    }
}

pub(super) fn site_of(item: &Item<'_>, topology: &Topology) -> SiteId {
    let sites: Vec<&str> = topology.sites.iter().map(String::as_str).collect();
    let Some(name) = item.text("the name of a site") else { return SiteId(0) };
    topology.site(name).unwrap_or_else(|| {
        item.error(unknown("site", name, &sites));
        SiteId(0)
    })
}

fn read_disk(item: &Item<'_>) -> Disk {
    let default = Disk::default();
    // `disk: 10GB` is a disk of that size.
    if matches!(item.node.value, super::node::Value::Scalar(_)) {
        let capacity = item.parsed(units::SIZE, units::parse_size).unwrap_or(default.capacity);
        return Disk { capacity, ..default };
    }
    let mut fields = item.fields();
    let disk = Disk {
        fsync: fields.span("fsync", default.fsync),
        fsync_jitter: fields.span("fsync_jitter", default.fsync_jitter),
        read: fields.span("read", default.read),
        bandwidth: size(&mut fields, "bandwidth", default.bandwidth).max(1),
        capacity: size(&mut fields, "capacity", default.capacity),
    };
    fields.finish();
    disk
}

fn size(fields: &mut Fields<'_>, name: &'static str, default: u64) -> u64 {
    fields.optional(name).and_then(|item| item.parsed(units::SIZE, units::parse_size)).unwrap_or(default)
}

fn read_clock(item: &Item<'_>) -> Clock {
    let mut fields = item.fields();
    let clock = Clock {
        offset_ns: fields.optional("offset").and_then(|offset| signed_span(&offset)).unwrap_or(0),
        drift_ppm: fields.optional("drift").and_then(|drift| ppm(&drift)).unwrap_or(0),
        uptime: fields.span("uptime", models::time::Span::ZERO),
    };
    fields.finish();
    clock
}

pub(super) fn signed_span(item: &Item<'_>) -> Option<i64> {
    item.parsed(&format!("{}, with a sign if it is negative", units::SPAN), units::parse_signed_span)
}

pub(super) fn ppm(item: &Item<'_>) -> Option<i32> {
    item.parsed("a drift such as 50ppm, from -500000ppm to 500000ppm", |text| {
        text.strip_suffix("ppm")?.trim().parse().ok().filter(|ppm| (-500_000..=500_000).contains(ppm))
    })
}

fn read_link(item: &Item<'_>, topology: &mut Topology) {
    let mut fields = item.fields();
    let (from, to, both_ways) = match fields.optional("between") {
        Some(between) => {
            let sites: Vec<SiteId> = between.list().iter().map(|site| site_of(site, topology)).collect();
            if sites.len() != 2 {
                between.error("expected two sites");
                return;
            }
            (sites[0], sites[1], true)
        }
        None => {
            let mut end = |name| fields.required(name).map_or(SiteId(0), |site| site_of(&site, topology));
            (end("from"), end("to"), false)
        }
    };
    let netem = read_netem(&mut fields);
    if from == to && item.report.is_clean() {
        item.error("a link joins two different sites; what happens inside a site is `lan`");
    }
    fields.finish();
    for (from, to) in [(from, to), (to, from)].into_iter().take(if both_ways { 2 } else { 1 }) {
        if topology.links.iter().any(|link| link.from == from && link.to == to) {
            let (from, to) = (topology.site_name(from), topology.site_name(to));
            item.error(format!("the link from `{from}` to `{to}` is given twice"));
        }
        topology.links.push(Link { from, to, netem: netem.clone() });
    }
}

fn unlinked(topology: &Topology) -> Vec<(SiteId, SiteId)> {
    let linked = |a, b| topology.links.iter().any(|link| link.from == a && link.to == b);
    let pairs = topology.site_ids().flat_map(|a| topology.site_ids().map(move |b| (a, b)));
    pairs.filter(|(a, b)| a != b && !linked(*a, *b)).collect()
}

fn netem_of(item: &Item<'_>) -> Netem {
    let mut fields = item.fields();
    let netem = read_netem(&mut fields);
    fields.finish();
    netem
}

/// The netem fields of a map that may have others.
pub(super) fn read_netem(fields: &mut Fields<'_>) -> Netem {
    let late = jittered(fields);
    let loss = fields.optional("loss").map_or_else(Loss::default, |loss| read_loss(&loss));
    let (duplicate, corrupt) = (correlated(fields, "duplicate"), correlated(fields, "corrupt"));
    let reorder = correlated(fields, "reorder");
    let gap = fields.optional("gap").and_then(|gap| gap.integer(0..=1_000_000)).unwrap_or(0);
    let slot = fields.optional("slot").map(|slot| {
        let mut inner = slot.fields();
        let slot = read_slot(&mut inner);
        inner.finish();
        slot
    });
    let netem = Netem {
        delay: late.delay,
        jitter: late.jitter,
        correlation: late.correlation,
        distribution: late.distribution,
        keep_order: late.keep_order,
        loss,
        duplicate,
        corrupt,
        reorder,
        gap,
        slot,
        ..sized_rate(fields)
    };
    if netem.reorder.share != units::Share::NONE && netem.delay == Span::ZERO {
        fields.item().error("`reorder` needs a `delay`: packets that overtake skip it");
    }
    if netem.gap > 1 && netem.reorder.share == units::Share::NONE {
        fields.item().error("`gap` needs `reorder`: it says which packets may overtake");
    }
    netem
}

/// `delay` and what spreads it.
pub(super) fn jittered(fields: &mut Fields<'_>) -> Netem {
    let distribution = |word: Item<'_>| word.choice(Distribution::WORDS);
    let netem = Netem {
        delay: fields.span("delay", Span::ZERO),
        jitter: fields.span("jitter", Span::ZERO),
        correlation: fields.share("correlation"),
        distribution: fields.optional("distribution").and_then(distribution).unwrap_or_default(),
        keep_order: yes_or_no(fields, "keep_order"),
        ..Netem::default()
    };
    if netem.distribution != Distribution::Uniform && netem.jitter == Span::ZERO {
        fields.item().error("`distribution` needs a `jitter`");
    }
    netem
}

/// `rate`, what a packet takes of it, and the `limit` of the queue before it.
pub(super) fn sized_rate(fields: &mut Fields<'_>) -> Netem {
    // Less than a byte a second would never end.
    let rate = |rate: Item<'_>| rate.parsed(units::RATE, |text| units::parse_rate(text).filter(|rate| *rate >= 8));
    let limit = fields.optional("limit").or_else(|| fields.optional("queue"));
    let netem = Netem {
        rate: fields.optional("rate").and_then(rate),
        overhead: fields.optional("overhead").and_then(|bytes| bytes.integer(-1_000..=1_000)).unwrap_or(0),
        cell: fields.optional("cell").and_then(|bytes| bytes.integer(0..=65_535)).unwrap_or(0),
        limit: limit.and_then(|limit| limit.integer(1..=u32::MAX)),
        ..Netem::default()
    };
    if (netem.overhead, netem.cell) != (0, 0) && netem.rate.is_none() {
        fields.item().error("`overhead` and `cell` need a `rate`");
    }
    netem
}

/// `min`, `max`, `packets` and `bytes`.
pub(super) fn read_slot(fields: &mut Fields<'_>) -> Slot {
    let min = fields.required("min").and_then(|min| min.positive_span()).unwrap_or(Span::MAX);
    let max = fields.optional("max");
    let longest = max.as_ref().and_then(Item::span).unwrap_or(min);
    if let Some(max) = max
        && longest < min
    {
        max.error("`max` is less than `min`");
    }
    let mut bound = |name| fields.optional(name).and_then(|bound| bound.integer(0..=u32::MAX)).unwrap_or(0);
    Slot { min, max: longest, packets: bound("packets"), bytes: bound("bytes") }
}

fn yes_or_no(fields: &mut Fields<'_>, name: &'static str) -> bool {
    fields.optional(name).and_then(|item| item.choice(&[("true", true), ("false", false)])).unwrap_or(false)
}

fn correlated(fields: &mut Fields<'_>, name: &'static str) -> Correlated {
    fields.optional(name).map_or_else(Correlated::default, |item| read_correlated(&item))
}

fn read_correlated(item: &Item<'_>) -> Correlated {
    if !matches!(item.node.value, super::node::Value::Map(_)) {
        return Correlated::independent(item.share().unwrap_or_default());
    }
    let mut fields = item.fields();
    let value = Correlated { share: fields.share("share"), correlation: fields.share("correlation") };
    fields.finish();
    value
}

fn read_loss(item: &Item<'_>) -> Loss {
    if !matches!(item.node.value, super::node::Value::Map(_)) {
        return Loss::Random(read_correlated(item));
    }
    let mut fields = item.fields();
    let loss = read_loss_model(&mut fields);
    fields.finish();
    loss
}

/// `gemodel`, `state`, or `share` and `correlation`. What a model's map leaves out is as tc has it.
pub(super) fn read_loss_model(fields: &mut Fields<'_>) -> Loss {
    let rest = |share: units::Share| units::Share::from_ppm(units::Share::ALL.ppm() - share.ppm());
    let share = |fields: &mut Fields<'_>, name, default| {
        fields.optional(name).map_or(default, |item: Item<'_>| item.share().unwrap_or_default())
    };
    let (gemodel, state) = (fields.optional("gemodel"), fields.optional("state"));
    if let (Some(_), Some(state)) = (&gemodel, &state) {
        state.error("give one model of loss, `gemodel` or `state`");
    }
    if let Some(model) = gemodel {
        let mut model = model.fields();
        let p = model.required("p").and_then(|p| p.share()).unwrap_or_default();
        let loss = Loss::GilbertElliott {
            p,
            r: share(&mut model, "r", rest(p)),
            one_minus_h: share(&mut model, "1-h", units::Share::ALL),
            one_minus_k: share(&mut model, "1-k", units::Share::NONE),
        };
        model.finish();
        return loss;
    }
    if let Some(model) = state {
        let mut model = model.fields();
        let p13 = model.required("p13").and_then(|p13| p13.share()).unwrap_or_default();
        let loss = Loss::State {
            p13,
            p31: share(&mut model, "p31", rest(p13)),
            p32: share(&mut model, "p32", units::Share::NONE),
            p23: share(&mut model, "p23", units::Share::ALL),
            p14: share(&mut model, "p14", units::Share::NONE),
        };
        model.finish();
        return loss;
    }
    Loss::Random(Correlated { share: fields.share("share"), correlation: fields.share("correlation") })
}
