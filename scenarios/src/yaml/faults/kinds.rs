//! The kinds of faults: their words, and the fields that only one kind has.

use models::time::Span;

use super::super::fields::{Fields, Item};
use super::super::topology::{jittered, ppm, read_loss_model, read_netem, read_slot, signed_span, sized_rate};
use super::Targets;
use crate::choice::Choice;
use crate::fault::{DiskOps, DnsAnswer, Errno, Fault, HostSelector, LostRoute, Mode, ProcessSelector, Route, Unsynced};
use crate::nearest::hint;
use crate::netem::{Correlated, Loss, Netem};
use crate::units::{self, Share, show_span};

/// `DefaultTimeoutStopSec` of systemd.
const DEFAULT_GRACE: Span = Span::from_secs(90);
/// A full packet of Ethernet: what is longer travels in several.
const FULL_PACKET: u32 = 1_500;

/// The words for kinds of faults.
const KINDS: &[(&str, Kind)] = &[
    ("cut", Kind::Cut),
    ("partition", Kind::Partition),
    ("impair", Kind::Impair),
    ("delay", Kind::Delay),
    ("loss", Kind::Loss),
    ("duplicate", Kind::Duplicate),
    ("corrupt", Kind::Corrupt),
    ("reorder", Kind::Reorder),
    ("rate", Kind::Rate),
    ("slot", Kind::Slot),
    ("mtu-hole", Kind::MtuHole),
    ("flow-loss", Kind::FlowLoss),
    ("flap", Kind::Flap),
    ("refuse", Kind::Refuse),
    ("route-lost", Kind::RouteLost),
    ("link-down", Kind::LinkDown),
    ("dns", Kind::Dns),
    ("kill", Kind::Kill),
    ("stop", Kind::Stop),
    ("restart", Kind::Restart),
    ("pause", Kind::Pause),
    ("gc", Kind::Gc),
    ("cpu", Kind::Cpu),
    ("auth-failed", Kind::AuthFailed),
    ("delete-controller", Kind::DeleteController),
    ("host-crash", Kind::HostCrash),
    ("slow-disk", Kind::SlowDisk),
    ("limit-disk", Kind::DiskRate),
    ("stall-disk", Kind::StallDisk),
    ("fail-disk", Kind::FailDisk),
    ("fill-disk", Kind::FillDisk),
    ("damage-indexes", Kind::DamageIndexes),
    ("clock-jump", Kind::ClockJump),
    ("clock-drift", Kind::ClockDrift),
    ("clock-strobe", Kind::ClockStrobe),
    ("reset-connections", Kind::ResetConnections),
    ("reconfigure", Kind::Reconfigure),
];

/// What other tools call them.
const ALIASES: &[(&str, Kind)] = &[
    ("disk-slow", Kind::SlowDisk),
    ("disk-rate", Kind::DiskRate),
    ("disk-stall", Kind::StallDisk),
    ("disk-error", Kind::FailDisk),
    ("disk-full", Kind::FillDisk),
    ("damage-file", Kind::DamageIndexes),
    ("reset", Kind::ResetConnections),
];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Cut,
    Partition,
    Impair,
    Delay,
    Loss,
    Duplicate,
    Corrupt,
    Reorder,
    Rate,
    Slot,
    MtuHole,
    FlowLoss,
    Flap,
    Refuse,
    RouteLost,
    LinkDown,
    Dns,
    Kill,
    Stop,
    Restart,
    Pause,
    Gc,
    Cpu,
    AuthFailed,
    DeleteController,
    HostCrash,
    SlowDisk,
    DiskRate,
    StallDisk,
    FailDisk,
    FillDisk,
    DamageIndexes,
    ClockJump,
    ClockDrift,
    ClockStrobe,
    ResetConnections,
    Reconfigure,
}

/// What a kind of fault hits, as far as a list of them makes a fault of each.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Victim {
    Process,
    Host,
    Other,
}

impl Kind {
    pub(super) fn read(item: &Item<'_>) -> Option<Self> {
        let text = item.text("a kind of fault")?;
        let found = KINDS.iter().chain(ALIASES).find(|(word, _)| *word == text);
        if found.is_none() {
            // However many there are: who looks for one wants to see them all.
            let words: Vec<&str> = KINDS.iter().map(|(word, _)| *word).collect();
            let hint = hint(text, KINDS.iter().chain(ALIASES).map(|(word, _)| *word));
            item.error(format!("unknown fault `{text}`{hint}; valid: {}", words.join(", ")));
        }
        found.map(|(_, kind)| *kind)
    }

    pub(super) fn victim(self) -> Victim {
        match self {
            Self::Kill
            | Self::Stop
            | Self::Restart
            | Self::Pause
            | Self::Gc
            | Self::Cpu
            | Self::AuthFailed
            | Self::DamageIndexes => Victim::Process,
            Self::LinkDown
            | Self::Dns
            | Self::HostCrash
            | Self::SlowDisk
            | Self::DiskRate
            | Self::StallDisk
            | Self::FailDisk
            | Self::FillDisk
            | Self::ClockJump
            | Self::ClockDrift
            | Self::ClockStrobe => Victim::Host,
            _ => Victim::Other,
        }
    }

    /// Whether it is over as soon as it has begun, so that it needs no length.
    pub(super) fn is_instant(self) -> bool {
        matches!(self, Self::AuthFailed | Self::DeleteController | Self::DamageIndexes | Self::ResetConnections)
    }

    /// Whether its length may be called `restart_after`.
    pub(super) fn restarts(self) -> bool {
        matches!(self, Self::Kill | Self::Stop | Self::HostCrash)
    }
}

/// A fault, and what of it is left to the seed.
pub(super) type Read = (Fault, Option<Choice>);

impl Targets<'_> {
    /// A fault that hits no list of processes or hosts.
    pub(super) fn other_fault(&self, kind: Kind, fields: &mut Fields<'_>) -> Option<Read> {
        let alone = |fault| Some((fault, None));
        match kind {
            Kind::Partition => {
                let mode = mode(fields);
                let (groups, choice) = self.groups(fields);
                return Some((Fault::Partition { groups, mode }, choice));
            }
            Kind::DeleteController => return alone(Fault::DeleteController),
            Kind::Reconfigure => return alone(Fault::Reconfigure { servers: self.ensemble(fields)? }),
            _ => {}
        }
        let (route, choice) = self.route(fields);
        Some((on_route(kind, route, fields)?, choice))
    }

    /// A fault of a process. `length` is that of the fault, where the file gives one.
    pub(super) fn process_fault(
        &self,
        kind: Kind,
        process: ProcessSelector,
        length: Option<Span>,
        fields: &mut Fields<'_>,
    ) -> Option<Fault> {
        Some(match kind {
            Kind::Kill => {
                if let Some(signal) = fields.optional("signal") {
                    signal.choice(&[("9", ()), ("KILL", ()), ("SIGKILL", ())])?;
                }
                Fault::Kill { process }
            }
            Kind::Stop => Fault::Stop { process, grace: read_grace(fields, length.unwrap_or_default()) },
            Kind::Restart => {
                let delay = fields.span("delay", Span::ZERO);
                let most = length.map(|length| length.saturating_sub(delay));
                let grace = fields.optional("grace");
                let given = grace.as_ref().and_then(Item::span);
                let grace = match (given, most) {
                    (Some(given), Some(most)) if given > most => {
                        grace.as_ref()?.error("`grace` and `delay` together are longer than the fault itself");
                        given
                    }
                    (Some(given), _) => given,
                    (None, most) => DEFAULT_GRACE.min(most.unwrap_or(DEFAULT_GRACE)),
                };
                Fault::Restart { process, grace, delay }
            }
            Kind::Pause => Fault::Pause { process },
            Kind::Gc => {
                let (pause, period) = (positive(fields, "pause"), positive(fields, "period"));
                if pause >= period && fields.item().report.is_clean() {
                    fields.item().error("`pause` must be shorter than `period`; a fault that never lets go is `pause`");
                }
                Fault::Gc { process, pause, period }
            }
            Kind::Cpu => Fault::Cpu { process, delay: positive(fields, "delay") },
            Kind::AuthFailed => Fault::AuthFailed { process },
            Kind::DamageIndexes => {
                if let Some(file) = fields.optional("file") {
                    file.choice(&[("indexes", ())])?;
                }
                Fault::DamageIndexes { process }
            }
            _ => return None,
        })
    }

    /// A fault of a host, the first of `hosts`.
    pub(super) fn host_fault(&self, kind: Kind, hosts: &[HostSelector], fields: &mut Fields<'_>) -> Option<Fault> {
        let host = *hosts.first()?;
        Some(match kind {
            Kind::LinkDown => Fault::LinkDown { host },
            Kind::Dns => {
                let name = fields.required("name").and_then(|name| self.named_host(&name));
                let answer = fields.required("answer").and_then(|answer| self.answer(&answer));
                Fault::Dns { host, name: name?, answer: answer? }
            }
            Kind::HostCrash => {
                let unsynced = fields.optional("unsynced").and_then(|word| word.choice(Unsynced::WORDS));
                Fault::HostCrash { host, unsynced: unsynced.unwrap_or_default() }
            }
            Kind::SlowDisk => slow_disk(host, fields),
            Kind::DiskRate => {
                let mut rate = |name| {
                    let rate = |text: &str| units::parse_rate_of_bytes(text).filter(|rate| *rate > 0);
                    fields.optional(name).and_then(|item| item.parsed(units::RATE_OF_BYTES, rate))
                };
                let (read, write) = (rate("read"), rate("write"));
                let iops = fields.optional("iops").and_then(|iops| iops.integer(1..=u32::MAX));
                if read.is_none() && write.is_none() && iops.is_none() && fields.item().report.is_clean() {
                    fields.item().error("limits nothing; give `read`, `write` or `iops`");
                }
                Fault::DiskRate { host, read, write, iops }
            }
            Kind::StallDisk => Fault::StallDisk { host },
            Kind::FailDisk => self.fail_disk(hosts, fields)?,
            Kind::FillDisk => {
                let leave = fields.optional("leave");
                let leave = leave.map_or(Some(0), |item| item.parsed(units::SIZE, units::parse_size));
                Fault::FillDisk { host, leave: leave? }
            }
            Kind::ClockJump => Fault::ClockJump { host, by_ns: fields.required("by").and_then(|by| signed_span(&by))? },
            Kind::ClockDrift => Fault::ClockDrift { host, ppm: fields.required("by").and_then(|by| ppm(&by))? },
            Kind::ClockStrobe => {
                let by_ns = fields.required("by").and_then(|by| signed_span(&by));
                Fault::ClockStrobe { host, by_ns: by_ns?, period: positive(fields, "period") }
            }
            _ => return None,
        })
    }

    fn fail_disk(&self, hosts: &[HostSelector], fields: &mut Fields<'_>) -> Option<Fault> {
        let host = *hosts.first()?;
        let dir = fields.optional("dir").and_then(|dir| self.log_dir(&dir, hosts));
        let errno = fields.optional("errno").and_then(|errno| errno.choice(Errno::WORDS)).unwrap_or_default();
        // What can be read from a full or read-only file system can still be read.
        let possible = if errno == Errno::Io { DiskOps::ALL } else { DiskOps::WRITING };
        let ops = fields.optional("ops").map_or(Some(possible), |ops| read_ops(&ops, possible, errno))?;
        let percent = fields.optional("percent");
        let share = percent.as_ref().map_or(Some(Share::ALL), Item::share)?;
        if let Some(percent) = percent
            && ops.write
            && share != Share::ALL
        {
            percent.error("writes into the page cache fail all or not at all; give `ops: [read, sync]`");
        }
        if dir.is_some() && (errno, ops, share) != (Errno::Io, DiskOps::ALL, Share::ALL) {
            fields.item().error("a single `dir` fails with EIO and as a whole; leave `errno`, `ops` and `percent` out");
        }
        Some(Fault::FailDisk { host, dir, errno, ops, share })
    }

    /// The host whose name it is.
    fn named_host(&self, item: &Item<'_>) -> Option<models::id::HostId> {
        let host = self.one_host(item)?.fixed(&self.deployment);
        if host.is_none() {
            item.error("a name belongs to a host; a role has none");
        }
        host
    }

    fn answer(&self, item: &Item<'_>) -> Option<DnsAnswer> {
        match item.text("a host, `error`, `timeout` or `stale`")? {
            "error" => Some(DnsAnswer::Error),
            "timeout" => Some(DnsAnswer::Timeout),
            "stale" => Some(DnsAnswer::Stale),
            _ => self.named_host(item).map(DnsAnswer::Host),
        }
    }
}

/// A fault of the packets on a route.
fn on_route(kind: Kind, route: Route, fields: &mut Fields<'_>) -> Option<Fault> {
    Some(match kind {
        Kind::Cut => Fault::Cut { route, mode: mode(fields) },
        Kind::Refuse => Fault::Cut { route, mode: Mode::Refuse },
        Kind::ResetConnections => Fault::ResetConnections(route),
        Kind::Flap => Fault::Flap { route, down: positive(fields, "down"), up: positive(fields, "up") },
        Kind::RouteLost => {
            let kind = fields.optional("kind").and_then(|kind| kind.choice(LostRoute::WORDS)).unwrap_or_default();
            Fault::RouteLost { route, kind }
        }
        Kind::MtuHole => {
            let expected = format!("a size from 1B to {}B: a packet is {FULL_PACKET} bytes at most", FULL_PACKET - 1);
            let parse = |text: &str| {
                let bytes = u32::try_from(units::parse_size(text)?).ok()?;
                (1..FULL_PACKET).contains(&bytes).then_some(bytes)
            };
            Fault::MtuHole { route, above: fields.required("above")?.parsed(&expected, parse)? }
        }
        Kind::FlowLoss => {
            let flows = fields.required("flows").and_then(|share| share.share());
            let packets = fields.optional("packets").map_or(Some(Share::ALL), |share| share.share());
            Fault::FlowLoss { route, flows: flows?, packets: packets? }
        }
        Kind::Impair => {
            let netem = read_netem(fields);
            if netem == Netem::default() {
                fields.item().error(
                    "impairs nothing; give `delay`, `loss`, `duplicate`, `corrupt`, `reorder`, `rate`, `limit` or `slot`",
                );
            }
            Fault::Impair { route, netem }
        }
        _ => Fault::Impair { route, netem: one_impairment(kind, fields)? },
    })
}

/// The netem of a fault that does one thing only.
fn one_impairment(kind: Kind, fields: &mut Fields<'_>) -> Option<Netem> {
    let share = |fields: &mut Fields<'_>| {
        let share = fields.required("percent").and_then(|percent| percent.share()).unwrap_or_default();
        Correlated { share, correlation: fields.share("correlation") }
    };
    Some(match kind {
        Kind::Delay => {
            fields.required("delay");
            jittered(fields)
        }
        Kind::Loss => {
            let models = [fields.optional("state"), fields.optional("gemodel")].into_iter().flatten().count();
            let loss = if models > 0 { read_loss_model(fields) } else { Loss::Random(share(fields)) };
            Netem { loss, ..Netem::default() }
        }
        Kind::Duplicate => Netem { duplicate: share(fields), ..Netem::default() },
        Kind::Corrupt => Netem { corrupt: share(fields), ..Netem::default() },
        Kind::Reorder => {
            let delay = positive(fields, "delay");
            let gap = fields.optional("gap").and_then(|gap| gap.integer(0..=1_000_000)).unwrap_or(0);
            Netem { delay, reorder: share(fields), gap, ..Netem::default() }
        }
        Kind::Rate => {
            fields.required("rate");
            sized_rate(fields)
        }
        Kind::Slot => Netem { slot: Some(read_slot(fields)), ..Netem::default() },
        _ => return None,
    })
}

fn mode(fields: &mut Fields<'_>) -> Mode {
    fields.optional("mode").and_then(|mode| mode.choice(Mode::WORDS)).unwrap_or_default()
}

/// A length that must be given and is not zero. The stand-in for one that is wrong is longer than any other.
fn positive(fields: &mut Fields<'_>, name: &'static str) -> Span {
    fields.required(name).and_then(|item| item.positive_span()).unwrap_or(Span::MAX)
}

/// `latency` for every completion, or `read` and `sync` apart.
fn slow_disk(host: HostSelector, fields: &mut Fields<'_>) -> Fault {
    let latency = fields.optional("latency");
    let (read, sync) = (fields.optional("read"), fields.optional("sync"));
    if let Some(write) = fields.optional("write") {
        write.error(
            "writes end in the page cache and take no time; what they cost comes with the next fsync: give `sync`",
        );
    }
    let span = |item: Option<&Item<'_>>| item.map_or(Some(Span::ZERO), Item::positive_span).unwrap_or(Span::MAX);
    match (latency, read, sync) {
        (Some(latency), None, None) => {
            let latency = span(Some(&latency));
            Fault::SlowDisk { host, read: latency, sync: latency }
        }
        (None, None, None) => {
            fields.item().error("field `latency` is missing; or give `read` and `sync`");
            Fault::SlowDisk { host, read: Span::ZERO, sync: Span::ZERO }
        }
        (latency, read, sync) => {
            if let Some(latency) = latency {
                latency.error("`latency` means `read` and `sync` alike; give it or them");
            }
            Fault::SlowDisk { host, read: span(read.as_ref()), sync: span(sync.as_ref()) }
        }
    }
}

fn read_ops(item: &Item<'_>, possible: DiskOps, errno: Errno) -> Option<DiskOps> {
    let mut ops = DiskOps { read: false, write: false, sync: false };
    for word in item.list() {
        match word.choice(&[("read", 0), ("write", 1), ("sync", 2)])? {
            0 => ops.read = true,
            1 => ops.write = true,
            _ => ops.sync = true,
        }
    }
    if ops.read && !possible.read {
        item.error(format!("a read never fails with {}", errno.word()));
    }
    if ops.words().is_empty() {
        item.error("names no operation; leave it out to mean all");
    }
    Some(ops)
}

/// How long a process may take to end. It is down before the fault is over in any case.
fn read_grace(fields: &mut Fields<'_>, length: Span) -> Span {
    let Some(item) = fields.optional("grace") else { return DEFAULT_GRACE.min(length) };
    let grace = item.span().unwrap_or(length);
    if grace > length {
        item.error(format!("must not be longer than the fault itself, {}", show_span(length)));
    }
    grace
}
