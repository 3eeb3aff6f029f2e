//! Numbers with units, as scenario files have them. A bare number is an error wherever a unit is due: tc itself has changed
//! what one means.

use std::fmt;

use models::time::Span;
use serde::{Deserialize, Serialize};

/// A share in parts per million, 0 to 1,000,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Share(u32);

impl Share {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Everything.
    pub const ALL: Self = Self(1_000_000);

    /// `ppm` parts per million, at most everything.
    pub const fn from_ppm(ppm: u32) -> Self {
        Self(if ppm > 1_000_000 { 1_000_000 } else { ppm })
    }

    /// Parts per million.
    pub const fn ppm(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Share {
    /// Percent with as many decimals as it needs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal(self.0.into(), 4))?;
        f.write_str("%")
    }
}

const SPAN_UNITS: &[(&str, u64)] = &[
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];
const SIZE_UNITS: &[(&str, u64)] = &[
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];
const RATE_UNITS: &[(&str, u64)] =
    &[("tbit", 1_000_000_000_000), ("gbit", 1_000_000_000), ("mbit", 1_000_000), ("kbit", 1_000), ("bit", 1)];

/// What a span looks like.
pub(crate) const SPAN: &str = "a length of time with its unit, such as 15ms, 2.5s or 2m (ns, us, ms, s, m, h)";
/// What a size looks like.
pub(crate) const SIZE: &str = "a size with its unit, such as 512B or 4kB (B, kB, MB, GB, TB, KiB, MiB, GiB, TiB)";
/// What a rate looks like.
pub(crate) const RATE: &str = "a rate with its unit, such as 100mbit (bit, kbit, mbit, gbit, tbit: bits a second)";
/// What a rate of bytes looks like.
pub(crate) const RATE_OF_BYTES: &str = "a rate of bytes with its unit, such as 10MB/s (B/s, kB/s, MB/s, GB/s)";
/// What a share looks like.
pub(crate) const SHARE: &str = "a share from 0% to 100%, with the sign %";

/// Reads a span.
pub fn parse_span(text: &str) -> Option<Span> {
    with_unit(text, SPAN_UNITS).map(Span::from_ns)
}

/// Reads a span that may be negative, in nanoseconds.
pub(crate) fn parse_signed_span(text: &str) -> Option<i64> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let ns = i64::try_from(parse_span(rest)?.as_ns()).ok()?;
    Some(if negative { -ns } else { ns })
}

/// Reads a size in bytes.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    with_unit(text, SIZE_UNITS)
}

/// Reads a rate in bytes a second, such as `10MB/s`.
pub(crate) fn parse_rate_of_bytes(text: &str) -> Option<u64> {
    parse_size(text.strip_suffix("/s")?.trim_end())
}

/// Reads a rate in bits a second.
pub(crate) fn parse_rate(text: &str) -> Option<u64> {
    with_unit(text, RATE_UNITS)
}

/// Reads a share.
pub(crate) fn parse_share(text: &str) -> Option<Share> {
    let ppm = scaled(text.strip_suffix('%')?.trim_end(), 10_000)?;
    u32::try_from(ppm).ok().filter(|ppm| *ppm <= 1_000_000).map(Share)
}

/// Writes a span in the largest unit that needs no decimals.
pub fn show_span(span: Span) -> String {
    if span == Span::ZERO { "0s".to_owned() } else { show_with_unit(span.as_ns(), SPAN_UNITS) }
}

/// Writes a span that may be negative.
pub(crate) fn show_signed_span(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    format!("{sign}{}", show_span(Span::from_ns(ns.unsigned_abs())))
}

/// Writes a size.
pub(crate) fn show_size(bytes: u64) -> String {
    show_with_unit(bytes, SIZE_UNITS)
}

/// Writes a rate.
pub(crate) fn show_rate(bits: u64) -> String {
    show_with_unit(bits, RATE_UNITS)
}

/// Writes a rate of bytes, such as `10MB/s`.
pub(crate) fn show_rate_of_bytes(bytes: u64) -> String {
    format!("{}/s", show_size(bytes))
}

fn show_with_unit(value: u64, units: &[(&str, u64)]) -> String {
    let (name, unit) = units.iter().find(|(_, unit)| value.is_multiple_of(*unit) && value >= *unit).unwrap_or(&("", 1));
    // Zero has no largest unit; any will do.
    if value == 0 { format!("0{}", units[units.len() - 1].0) } else { format!("{}{name}", value / unit) }
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_')?;
    let (number, unit) = text.split_at(split);
    let (_, unit) = units.iter().find(|(name, _)| *name == unit.trim())?;
    scaled(number, *unit)
}

/// `number * unit` exactly; `None` if that is no whole number or too large.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 15 || number.ends_with('.') {
        return None;
    }
    let whole: u64 = whole.replace('_', "").parse().ok()?;
    let fraction = fraction.replace('_', "");
    let scale = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let part = fraction.parse::<u128>().unwrap_or(0) * u128::from(unit);
    if !part.is_multiple_of(scale) {
        return None;
    }
    whole.checked_mul(unit)?.checked_add(u64::try_from(part / scale).ok()?)
}

/// `value / 10^places` without trailing zeros.
fn decimal(value: u64, places: u32) -> String {
    let scale = 10u64.pow(places);
    let (whole, fraction) = (value / scale, value % scale);
    if fraction == 0 {
        return whole.to_string();
    }
    let fraction = format!("{fraction:0width$}", width = places as usize);
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

#[test]
fn numbers_with_units_are_read_exactly_and_written_back() {
    let spans =
        [("15ms", 15_000_000), ("2.5s", 2_500_000_000), ("2m", 120_000_000_000), ("0s", 0), ("1_000 us", 1_000_000)];
    for (text, ns) in spans {
        let span = parse_span(text).unwrap();
        assert_eq!(span.as_ns(), ns, "{text}");
        assert_eq!(parse_span(&show_span(span)), Some(span), "{text}");
    }
    for bad in ["15", "ms", "", "-1s", "1.5ns", "1e3ms", "1.ms", ".5s", "99999999999h", "15 Ms", "1.0000000000000001s"]
    {
        assert_eq!(parse_span(bad), None, "{bad}");
    }
    for (text, ppm, shown) in
        [("5%", 50_000, "5%"), ("0.25 %", 2_500, "0.25%"), ("100%", 1_000_000, "100%"), ("0.0001%", 1, "0.0001%")]
    {
        let share = parse_share(text).unwrap();
        assert_eq!((share.ppm(), share.to_string().as_str()), (ppm, shown), "{text}");
    }
    for bad in ["5", "100.0001%", "0.00001%", "-1%", "%", "0.05"] {
        assert_eq!(parse_share(bad), None, "{bad}");
    }
    assert_eq!((parse_size("4kB"), parse_size("16 KiB"), parse_size("4")), (Some(4_000), Some(16_384), None));
    assert_eq!(
        (parse_rate("100mbit"), parse_rate("100mbps"), show_rate(1_500_000)),
        (Some(100_000_000), None, "1500kbit".to_owned())
    );
    assert_eq!((parse_signed_span("-3ms"), show_signed_span(-3_000_000)), (Some(-3_000_000), "-3ms".to_owned()));
}
