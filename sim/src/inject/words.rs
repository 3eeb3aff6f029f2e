//! A scenario's words in the engine's terms.

use models::process::{DiskError, Loss as CrashLoss};
use models::time::Span;
use scenarios::fault::{DiskOps, DnsAnswer, Errno, Mode, Ports, Unsynced};
use scenarios::netem as words;
use scenarios::units::Share;

use crate::disk::Failing;
use crate::net::netem::{Chance, Distribution, Loss, Netem, Ppm, Slot};
use crate::net::resolver::Answer;
use crate::net::rule::{Effect, PortFilter};

/// How long a resolver asks in vain: `timeout:5 attempts:2` of resolv.conf(5), with one server.
const RESOLVER_TIMEOUT: Span = Span::from_secs(10);

/// A share in the engine's unit.
pub(crate) fn ppm(share: Share) -> Ppm {
    Ppm(share.ppm())
}

/// A scenario's netem in the engine's terms. Rates go from bits to bytes.
pub(crate) fn netem(words: &words::Netem) -> Netem {
    let chance = |c: words::Correlated| Chance { probability: ppm(c.share), correlation: ppm(c.correlation) };
    Netem {
        delay: words.delay,
        jitter: words.jitter,
        delay_correlation: ppm(words.correlation),
        distribution: match words.distribution {
            words::Distribution::Uniform => Distribution::Uniform,
            words::Distribution::Normal => Distribution::Normal,
            words::Distribution::Pareto => Distribution::Pareto,
            words::Distribution::ParetoNormal => Distribution::ParetoNormal,
        },
        loss: match words.loss {
            words::Loss::Random(c) if c.share == Share::NONE => Loss::None,
            words::Loss::Random(c) => Loss::Random(chance(c)),
            words::Loss::State { p13, p31, p32, p23, p14 } => {
                Loss::FourState { p13: ppm(p13), p31: ppm(p31), p32: ppm(p32), p23: ppm(p23), p14: ppm(p14) }
            }
            words::Loss::GilbertElliott { p, r, one_minus_h, one_minus_k } => {
                Loss::GilbertElliott { p: ppm(p), r: ppm(r), bad: ppm(one_minus_h), good: ppm(one_minus_k) }
            }
        },
        duplicate: chance(words.duplicates()),
        corrupt: chance(words.corrupt),
        reorder: chance(words.reorder),
        gap: words.gap,
        rate: words.rate.unwrap_or(0) / 8,
        overhead: words.overhead,
        cell: words.cell,
        keep_order: words.keep_order,
        slot: words.slot.map(|slot| Slot { min: slot.min, max: slot.max, packets: slot.packets, bytes: slot.bytes }),
        limit: words.limit.unwrap_or(0),
    }
}

/// What a cut does to packets.
pub(super) fn effect(mode: Mode) -> Effect {
    match mode {
        Mode::Silent => Effect::Cut,
        Mode::Reset => Effect::Reset,
        Mode::Refuse => Effect::RefuseNew,
        Mode::NewOnly => Effect::DropNew,
    }
}

pub(super) fn ports(ports: &Ports) -> PortFilter {
    PortFilter { src: ports.src.clone(), dst: ports.dst.clone() }
}

pub(super) fn answer(answer: DnsAnswer) -> Answer {
    match answer {
        DnsAnswer::Host(host) => Answer::Host(host),
        DnsAnswer::Error => Answer::Fails(Span::ZERO),
        DnsAnswer::Timeout => Answer::Fails(RESOLVER_TIMEOUT),
        DnsAnswer::Stale => Answer::Nobody,
    }
}

pub(super) fn crash_loss(unsynced: Unsynced) -> CrashLoss {
    match unsynced {
        Unsynced::Keep => CrashLoss::Memory,
        Unsynced::Torn => CrashLoss::PageCache,
        Unsynced::Lose => CrashLoss::Unsynced,
    }
}

/// Processes see two errors: no space, and any other.
pub(super) fn failing(errno: Errno, ops: DiskOps, share: Share) -> Failing {
    let error = match errno {
        Errno::NoSpace => DiskError::Full,
        Errno::Io | Errno::ReadOnly => DiskError::Io,
    };
    Failing { error, read: ops.read, write: ops.write, sync: ops.sync, share: ppm(share) }
}
