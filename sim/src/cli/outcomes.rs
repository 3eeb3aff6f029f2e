//! `sim outcomes`: what becomes of the stretch cluster after a cut of the WAN, as a table of variants and lengths.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::Arc;

use models::observation::{Observation, Observed};
use models::time::{Instant, Span};
use scenarios::schedule::Schedule;
use scenarios::units::{parse_span, show_span};
use scenarios::wan_cut::{LENGTHS, Variant};

use super::args::OutcomesArgs;
use super::{Exit, Failure, campaign};
use crate::run::{Finished, Run};

/// How a run ended, when the deadline of every liveness law had passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// Every liveness law holds.
    Recovers,
    /// No broker shows an active controller.
    None,
    /// Two or more do.
    Several,
    /// One does, and does not act.
    Inert,
    /// ZooKeeper does not serve, or no write to it succeeds.
    Stalled,
    /// One acts, and something else is not as it should be.
    Impaired,
}

impl Outcome {
    fn of(finished: &Finished) -> Self {
        let broken = |law| campaign::broken(finished).any(|(name, _)| name == law);
        match finished.judgement.controllers_at_end {
            _ if broken("L-ZK-QUORUM") => Self::Stalled,
            0 => Self::None,
            1 if broken("L-ONE-CONTROLLER") => Self::Inert,
            1 if campaign::broken(finished).any(|(law, _)| law.starts_with("L-")) => Self::Impaired,
            1 => Self::Recovers,
            _ => Self::Several,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recovers => "recovers",
            Self::None => "0",
            Self::Several => "2",
            Self::Inert => "inert",
            Self::Stalled => "stalled",
            Self::Impaired => "impaired",
        })
    }
}

/// What one run came to.
struct Ended {
    outcome: Outcome,
    /// Time with a sum of none, one, and several in the cluster.
    controllers: [Span; 3],
    /// The same as each site's monitor shows it.
    shown: BTreeMap<Arc<str>, [Span; 3]>,
    recovery: Option<Span>,
    /// Laws that were broken, with what happened.
    broken: Vec<(&'static str, String)>,
}

/// What the runs of one cell came to.
#[derive(Default)]
struct Cell {
    outcomes: BTreeMap<Outcome, u64>,
    /// Runs in which the sum was ever 0, and ever 2 or more, and the longest time of each.
    none: (u64, Span),
    several: (u64, Span),
    /// The same for each site's monitor.
    shown: BTreeMap<Arc<str>, [(u64, Span); 2]>,
    slowest: Span,
    /// Broken laws with the number of seeds and the first of them.
    broken: BTreeMap<&'static str, (u64, u64, String)>,
}

impl Cell {
    fn add(&mut self, seed: u64, ended: Ended) {
        *self.outcomes.entry(ended.outcome).or_default() += 1;
        let count = |total: &mut (u64, Span), span: Span| {
            total.0 += u64::from(span > Span::ZERO);
            total.1 = total.1.max(span);
        };
        let [none, _, several] = ended.controllers;
        count(&mut self.none, none);
        count(&mut self.several, several);
        for (site, [none, _, several]) in ended.shown {
            let shown = self.shown.entry(site).or_default();
            count(&mut shown[0], none);
            count(&mut shown[1], several);
        }
        self.slowest = self.slowest.max(ended.recovery.unwrap_or(Span::ZERO));
        for (law, what) in ended.broken {
            self.broken.entry(law).or_insert((0, seed, what)).0 += 1;
        }
    }

    fn outcomes(&self) -> String {
        match self.outcomes.iter().next() {
            Some((Outcome::Recovers, _)) if self.outcomes.len() == 1 => "recovers".to_owned(),
            _ => self.outcomes.iter().map(|(outcome, n)| format!("{outcome} {n}")).collect::<Vec<_>>().join(", "),
        }
    }

    fn sums(&self) -> String {
        sums(self.none, self.several)
    }

    fn shown(&self) -> String {
        let sites = self.shown.iter().map(|(site, [none, several])| format!("{site}: {}", sums(*none, *several)));
        sites.collect::<Vec<_>>().join("<br>")
    }
}

/// `0 in 21, up to 3s; 2 in 4, up to 6s`: in how many runs, and the longest in one.
fn sums(none: (u64, Span), several: (u64, Span)) -> String {
    let part = |what: &str, (runs, longest): (u64, Span)| match runs {
        0 => None,
        _ => Some(format!("{what} in {runs}, up to {}", whole(longest))),
    };
    let parts: Vec<String> = [part("0", none), part("2", several)].into_iter().flatten().collect();
    if parts.is_empty() { "always 1".to_owned() } else { parts.join("; ") }
}

/// Adds up how long each site's monitor shows a sum of 0, 1, or more.
#[derive(Default)]
struct Shown {
    /// Since when which sum.
    now: BTreeMap<Arc<str>, (Instant, u32)>,
    times: BTreeMap<Arc<str>, [Span; 3]>,
}

impl Shown {
    fn observe(&mut self, seen: &Observed, start: Instant) {
        if let Observation::ControllersSeen { site, sum, .. } = &seen.what {
            self.count(site, seen.at, start);
            self.now.insert(site.clone(), (seen.at, *sum));
        }
    }

    fn count(&mut self, site: &Arc<str>, until: Instant, start: Instant) {
        let Some((since, sum)) = self.now.get(site) else { return };
        let times = self.times.entry(site.clone()).or_default();
        times[(*sum).min(2) as usize] += until - (*since).max(start);
    }

    fn finish(mut self, end: Instant, start: Instant) -> BTreeMap<Arc<str>, [Span; 3]> {
        let sites: Vec<Arc<str>> = self.now.keys().cloned().collect();
        sites.iter().for_each(|site| self.count(site, end, start));
        self.times
    }
}

/// In whole milliseconds, as nobody needs more of it.
fn whole(span: Span) -> String {
    show_span(Span::from_ms(span.as_ms()))
}

/// Runs the table and prints it.
///
/// # Errors
/// A variant or length that does not exist, or the output cannot be written.
pub(super) fn outcomes(args: &OutcomesArgs) -> Result<Exit, Failure> {
    let variants: Vec<Variant> = match &args.variant {
        Some(word) => vec![variant(word)?],
        None => Variant::ALL.to_vec(),
    };
    let lengths = match &args.cut {
        Some(text) => vec![length(text)?],
        None => LENGTHS.to_vec(),
    };
    let mut out = io::stdout().lock();
    if args.show {
        for (variant, cut) in variants.iter().flat_map(|variant| lengths.iter().map(move |cut| (variant, cut))) {
            write!(out, "{}", variant.scenario(*cut).to_yaml())?;
        }
        return Ok(Exit::Clean);
    }
    let mut table = Vec::new();
    for variant in variants {
        let cells: Vec<Cell> = lengths.iter().map(|cut| run_cell(variant, *cut, args)).collect();
        table.push((variant, cells));
    }
    print(&mut out, &lengths, &table, args.seeds)?;
    Ok(Exit::Clean)
}

fn run_cell(variant: Variant, cut: Span, args: &OutcomesArgs) -> Cell {
    let scenario = Arc::new(variant.scenario(cut));
    let runs = campaign::map(0..args.seeds, campaign::threads(args.jobs), |seed| {
        let schedule = Schedule::draw(&scenario, seed);
        let run = Run::new(scenario.clone(), seed, &schedule).beyond_violations();
        let start = Instant::ZERO + scenario.phases.warm_up;
        let mut shown = Shown::default();
        let finished =
            run.finish(&mut |seen: &Observed| shown.observe(seen, start), &mut |_| ControlFlow::Continue(()));
        Ended {
            outcome: Outcome::of(&finished),
            controllers: finished.judgement.controllers,
            shown: shown.finish(finished.outcome.ended, start),
            recovery: finished.judgement.recovery,
            broken: campaign::broken(&finished).map(|(law, what)| (law, what.to_owned())).collect(),
        }
    });
    let mut cell = Cell::default();
    runs.into_iter().zip(0..).for_each(|(ended, seed)| cell.add(seed, ended));
    cell
}

fn print(out: &mut impl Write, lengths: &[Span], table: &[(Variant, Vec<Cell>)], seeds: u64) -> io::Result<()> {
    let head: Vec<String> = lengths.iter().map(|cut| show_span(*cut)).collect();
    writeln!(out, "Outcome when every deadline has passed, {seeds} seeds a cell, by length of the cut\n")?;
    rows(out, &head, table, Cell::outcomes)?;
    writeln!(out, "\nSum of ActiveControllerCount over the brokers that run, at every instant\n")?;
    rows(out, &head, table, Cell::sums)?;
    writeln!(
        out,
        "\nThe sum that each site's monitor shows: scrapes every 15 s, and what it cannot reach it does not add\n"
    )?;
    rows(out, &head, table, Cell::shown)?;
    writeln!(out, "\nLongest time from the heal until every liveness law holds\n")?;
    rows(out, &head, table, |cell| whole(cell.slowest))?;
    writeln!(out, "\nVariants\n")?;
    for (variant, _) in table {
        writeln!(out, "- {variant}: {}", variant.text())?;
    }
    writeln!(out, "\nLaws broken\n")?;
    for (variant, cells) in table {
        for (cut, cell) in lengths.iter().zip(cells) {
            for (law, (runs, seed, what)) in &cell.broken {
                writeln!(out, "- {variant}, {}: {law} in {runs}, first seed {seed}: {what}", show_span(*cut))?;
            }
        }
    }
    Ok(())
}

/// A Markdown table.
fn rows(
    out: &mut impl Write,
    head: &[String],
    table: &[(Variant, Vec<Cell>)],
    text: impl Fn(&Cell) -> String,
) -> io::Result<()> {
    writeln!(out, "| variant | {} |", head.join(" | "))?;
    writeln!(out, "|---{}|", "|---".repeat(head.len()))?;
    for (variant, cells) in table {
        writeln!(out, "| {variant} | {} |", cells.iter().map(&text).collect::<Vec<_>>().join(" | "))?;
    }
    Ok(())
}

fn variant(word: &str) -> Result<Variant, Failure> {
    Variant::ALL.into_iter().find(|variant| variant.word() == word).ok_or_else(|| {
        let words: Vec<&str> = Variant::ALL.iter().map(|variant| variant.word()).collect();
        Failure::Input(format!("--variant {word}: there is none; valid: {}", words.join(", ")))
    })
}

fn length(text: &str) -> Result<Span, Failure> {
    let longest = Span::from_secs(24 * 3600);
    parse_span(text)
        .filter(|span| *span >= Span::from_secs(1) && *span <= longest)
        .ok_or_else(|| Failure::Input(format!("--cut {text}: expected a length from 1s to 24h, such as 30s or 5m")))
}
