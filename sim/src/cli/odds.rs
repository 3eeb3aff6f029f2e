//! `sim odds`.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::json;

use super::args::{Format, OddsArgs};
use super::{Exit, Failure, campaign};
use crate::report::board::moment;
use crate::report::text;
use crate::travel::odds::{self, Effort, Jump, Odds, Point};

/// Columns of the plot.
const WIDTH: usize = 50;
/// Lines of the story that are shown.
const MOST: usize = 30;

/// Asks how likely the violation was at moments of a failing run.
///
/// # Errors
/// The file cannot be read or its run broke nothing, or the output cannot be written.
pub(super) fn odds(args: &OddsArgs) -> Result<Exit, Failure> {
    let record = replay::file::read(&args.file).map_err(|error| Failure::Input(error.to_string()))?;
    let jobs = campaign::threads(args.jobs);
    let effort = Effort { futures: args.futures, moments: args.moments, refinements: args.refine };
    let answer = odds::ask(&record, effort, &|count, task| campaign::map(0..count, jobs, task));
    let Some(odds) = answer else {
        let file = args.file.display();
        let what = "the recorded run broke no law and no expectation; odds are asked of a run that did";
        return Err(Failure::Input(format!("{file}: {what}")));
    };
    let mut out = io::stdout().lock();
    match args.format {
        Format::Json => json(&odds, &mut out)?,
        Format::Text => {
            write!(out, "{}", text::header(&record.scenario, record.seeds, &record.schedule))?;
            write!(out, "{}", words(&odds))?;
        }
    }
    Ok(Exit::Clean)
}

fn words(odds: &Odds) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "broken     {} at {}\n", odds.law, moment(odds.broken_at, odds.start));
    let _ = writeln!(out, "How likely it was, with 95 % intervals; 'o' is the share of futures that broke it");
    let another = odds.points.iter().any(|point| point.broke_another > 0);
    let _ = writeln!(
        out,
        "  {:>14}  {:>12}  {:>12}  0 %{:>width$}",
        "moment",
        "futures",
        "interval",
        "100 %",
        width = WIDTH - 3
    );
    for point in &odds.points {
        let is_after = odds.jump.as_ref().is_some_and(|jump| jump.to.at == point.at);
        let (low, high) = point.interval();
        let mark = if is_after { "  <- here" } else { "" };
        let also = if point.broke_another > 0 { format!(" (+{})", point.broke_another) } else { String::new() };
        let _ = writeln!(
            out,
            "  {:>14}  {:>12}  {:>12}  {}{mark}{also}",
            moment(point.at, odds.start),
            format!("{} of {}", point.broke, point.futures),
            format!("{:.0}-{:.0} %", low * 100.0, high * 100.0),
            bar(point)
        );
    }
    if another {
        out.push_str("  (+N): N futures broke another law before, and were not pursued\n");
    }
    match &odds.jump {
        Some(jump) => out.push_str(&jump_words(jump, odds)),
        None => out.push_str("\nThe probability never rises: the seeds of the future do not matter here.\n"),
    }
    out
}

fn bar(point: &Point) -> String {
    let column = |share: f64| ((share * (WIDTH - 1) as f64).round() as usize).min(WIDTH - 1);
    let (low, high) = point.interval();
    let (low, high, here) = (column(low), column(high), column(point.share()));
    let cell = |at: usize| match at {
        at if at == here => 'o',
        at if (low..=high).contains(&at) => '-',
        _ => ' ',
    };
    format!("|{}|", (0..WIDTH).map(cell).collect::<String>())
}

fn jump_words(jump: &Jump, odds: &Odds) -> String {
    let mut out = String::new();
    let show = |at| moment(at, odds.start);
    let percent = |point: &Point| (point.share() * 100.0).round();
    let _ = writeln!(
        out,
        "\nIt became likely between {} and {} ({}): from {} % to {} %{}",
        show(jump.from.at),
        show(jump.to.at),
        jump.to.at - jump.from.at,
        percent(&jump.from),
        percent(&jump.to),
        if jump.is_significant { "" } else { ", which may still be chance: more --futures would tell" }
    );
    for line in jump.story.iter().take(MOST) {
        let _ = writeln!(out, "  {:>14}  {:<10} {}", show(line.at), line.topic, line.text);
    }
    match jump.story.len() {
        0 => out.push_str(
            "  nothing that the story tells happened meanwhile; `sim replay FILE --step` shows every event\n",
        ),
        all if all > MOST => {
            let _ = writeln!(out, "  and {} more", all - MOST);
        }
        _ => {}
    }
    out
}

fn json(odds: &Odds, out: &mut impl Write) -> io::Result<()> {
    let ppm = |share: f64| (share * 1e6).round() as u64;
    for point in &odds.points {
        let (low, high) = point.interval();
        let line = json!({
            "type": "moment",
            "at": point.at,
            "futures": point.futures,
            "broke": point.broke,
            "broke_another": point.broke_another,
            "low_ppm": ppm(low),
            "high_ppm": ppm(high),
        });
        writeln!(out, "{line}")?;
    }
    let jump = odds.jump.as_ref().map(|jump| {
        let story: Vec<_> =
            jump.story.iter().map(|line| json!({"at": line.at, "topic": line.topic, "text": line.text})).collect();
        json!({"from": jump.from.at, "to": jump.to.at, "significant": jump.is_significant, "story": story})
    });
    let line = json!({"type": "odds", "law": odds.law, "broken_at": odds.broken_at, "start": odds.start, "jump": jump});
    writeln!(out, "{line}")
}
