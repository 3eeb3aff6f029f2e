//! `sim replay FILE` with `--at`, `--until` or `--step`.

use std::io::{self, BufRead, IsTerminal, Write};

use models::observation::Observed;
use models::time::{Instant, Span};
use replay::record::Record;

use super::{Exit, Failure};
use crate::kernel::trace::What;
use crate::report::board::moment;
use crate::report::names::Names;
use crate::report::text;
use crate::report::timeline::Timeline;
use crate::run::{Phase, Run};
use crate::travel::tape::{Head, NodeNoted, SNAPSHOTS, Tape};
use crate::travel::words;

/// Events shown ahead.
const AHEAD: usize = 8;

/// A moment as it is typed and printed: after the end of the start-up, or before it with a minus sign.
///
/// # Errors
/// It is none.
pub(super) fn parse_moment(text: &str, start: Instant) -> Result<Instant, String> {
    let (back, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let span = parse_length(rest)
        .ok_or_else(|| format!("{text}: expected a time after the end of the start-up, such as 95.5s, 2m or -3s"))?;
    Ok(if back { Instant::ZERO + (start - Instant::ZERO).saturating_sub(span) } else { start + span })
}

/// A length of time; without a unit in seconds, as moments are printed.
fn parse_length(text: &str) -> Option<Span> {
    scenarios::units::parse_span(text).or_else(|| scenarios::units::parse_span(&format!("{text}s")))
}

fn run_of(record: &Record) -> Run {
    Run::new(record.scenario.clone(), record.seeds, &record.schedule)
}

/// Says so if the run on the tape is not the recorded one.
struct Check<'a> {
    record: &'a Record,
    passed: usize,
    wrong: Option<Instant>,
}

impl<'a> Check<'a> {
    fn new(record: &'a Record) -> Self {
        Self { record, passed: 0, wrong: None }
    }

    fn pass(&mut self, found: replay::record::Checkpoint) {
        if self.wrong.is_none() && self.record.checkpoints.get(self.passed).is_some_and(|recorded| *recorded != found) {
            self.wrong = Some(found.at);
        }
        self.passed += 1;
    }

    /// The exit status of whoever looked at the run, and a line if it is not the recorded one.
    fn verdict(&self, out: &mut impl Write, start: Instant) -> io::Result<Exit> {
        if let Some(at) = self.wrong {
            let at = moment(at, start);
            writeln!(out, "\nThis is not the recorded run: it differs before {at}. `sim replay FILE` says more.")?;
            return Ok(Exit::Broken);
        }
        Ok(Exit::Clean)
    }
}

/// Jumps to each of `moments` and prints the state there.
///
/// # Errors
/// A moment is none, or the output cannot be written.
pub(super) fn at(record: &Record, moments: &[String], out: &mut impl Write) -> Result<Exit, Failure> {
    let run = run_of(record);
    let start = run.start();
    let moments: Vec<_> =
        moments.iter().map(|text| parse_moment(text, start)).collect::<Result<_, _>>().map_err(flag("--at"))?;
    let mut check = Check::new(record);
    // A few jumps do not pay for a dense tape.
    let snapshots = (8 * moments.len()).clamp(2, SNAPSHOTS);
    let mut tape = Tape::record(run, snapshots, &mut |checkpoint| check.pass(checkpoint));
    for at in moments {
        if at > tape.end() {
            let end = moment(tape.end(), start);
            return Err(Failure::Input(format!("--at {}: the run is over at {end}", moment(at, start))));
        }
        tape.wind_to(at);
        place(&tape, out)?;
        state(tape.head(), out)?;
        ahead(&tape, out)?;
    }
    Ok(check.verdict(out, start)?)
}

/// Tells the story up to a moment, and the state there.
///
/// # Errors
/// The moment is none, or the output cannot be written.
pub(super) fn until(record: &Record, until: &str, out: &mut impl Write) -> Result<Exit, Failure> {
    let run = run_of(record);
    let start = run.start();
    let until = parse_moment(until, start).map_err(flag("--until"))?;
    let names = Names::new(run.deployment().processes.iter().map(|p| p.name.clone()));
    let mut story = Timeline::new(names);
    let mut head = Head::new(run);
    let mut check = Check::new(record);
    head.advance_to(until, &mut |seen: &Observed| story.observe(seen), &mut |checkpoint| check.pass(checkpoint));
    let now = head.run.now();
    write!(out, "{}", text::timeline(&story.finish(now), start))?;
    writeln!(out, "\nAt {} ({})", moment(now, start), phase(&head.run))?;
    state(&head, out)?;
    Ok(check.verdict(out, start)?)
}

fn flag(name: &'static str) -> impl Fn(String) -> Failure {
    move |what| Failure::Input(format!("{name} {what}"))
}

fn phase(run: &Run) -> &'static str {
    match run.phase() {
        Phase::StartUp => "start-up",
        Phase::Faults => "fault phase",
        Phase::Quiet => "quiet phase",
        Phase::LastRead { .. } => "last read",
        Phase::Over { .. } => "the run is over",
    }
}

fn place(tape: &Tape, out: &mut impl Write) -> io::Result<()> {
    let Head { run, steps, .. } = tape.head();
    writeln!(out, "At {} ({}), step {steps} of {}", moment(run.now(), run.start()), phase(run), tape.steps())
}

fn state(head: &Head, out: &mut impl Write) -> io::Result<()> {
    write!(out, "{}", head.board.text(head.run.simulation(), head.run.start()))?;
    if head.run.is_broken() {
        writeln!(out, "  law          one is broken already")?;
    }
    Ok(())
}

fn ahead(tape: &Tape, out: &mut impl Write) -> io::Result<()> {
    let next = tape.ahead(AHEAD, |noted| !matches!(noted.what, What::Effect(_)));
    writeln!(out, "{}", if next.is_empty() { "nothing follows" } else { "next" })?;
    tell(tape.head(), &next, out)
}

fn tell(head: &Head, happened: &[NodeNoted], out: &mut impl Write) -> io::Result<()> {
    let run = &head.run;
    for noted in happened {
        let name = run.deployment().name(noted.process);
        writeln!(out, "  {:>14}  {}", moment(noted.at, run.start()), words::noted(noted, name))?;
    }
    Ok(())
}

const HELP: &str = "\
n [COUNT]   on to the next input that a process is given      b [COUNT]   back to the one before
o [COUNT]   on to the next observation                        p [COUNT]   back to the one before
+100ms      on by a length of time                            -5s         back by it
@95.5s      to a moment after the end of the start-up         s           state
/TEXT       on to the next observation with TEXT              ?TEXT       back to the one before
a           what comes next                                   q           quit
";

/// Steps through the run as commands from standard input say.
///
/// # Errors
/// The input cannot be read, or the output cannot be written.
pub(super) fn step(record: &Record, out: &mut impl Write) -> Result<Exit, Failure> {
    let run = run_of(record);
    let start = run.start();
    let mut check = Check::new(record);
    let mut tape = Tape::record(run, SNAPSHOTS, &mut |checkpoint| check.pass(checkpoint));
    let exit = check.verdict(out, start)?;
    tape.wind_to(start);
    let input = io::stdin().lock();
    let prompt = if io::stdin().is_terminal() { "> " } else { "" };
    write!(out, "{HELP}")?;
    place(&tape, out)?;
    write!(out, "{prompt}")?;
    out.flush()?;
    for line in input.lines() {
        let line = line?;
        match line.trim() {
            "" => {}
            "q" | "quit" => break,
            "s" | "state" => {
                place(&tape, out)?;
                state(tape.head(), out)?;
            }
            "a" => ahead(&tape, out)?,
            "h" | "help" => write!(out, "{HELP}")?,
            command => {
                if let Err(what) = go(&mut tape, command, out)? {
                    writeln!(out, "{what}")?;
                }
            }
        }
        write!(out, "{prompt}")?;
        out.flush()?;
    }
    Ok(exit)
}

/// Moves as `command` says. Returns what is wrong with the command, if anything.
fn go(tape: &mut Tape, command: &str, out: &mut impl Write) -> io::Result<Result<(), String>> {
    let is_input = |noted: &NodeNoted| matches!(noted.what, What::Input(_));
    let is_observed = |noted: &NodeNoted| matches!(noted.what, What::Observed(_));
    let deployment = tape.head().run.deployment().clone();
    let says = |text: &str, noted: &NodeNoted| {
        is_observed(noted) && words::noted(noted, deployment.name(noted.process)).contains(text)
    };
    let (word, rest) = command.split_at(command.chars().next().map_or(0, char::len_utf8));
    let rest = rest.trim();
    match word {
        "n" | "b" | "o" | "p" => {
            let Ok(count) = (if rest.is_empty() { Ok(1u64) } else { rest.parse() }) else {
                return Ok(Err(format!("{command}: expected a number after `{word}`")));
            };
            let wanted =
                |noted: &NodeNoted| if matches!(word, "n" | "b") { is_input(noted) } else { is_observed(noted) };
            for _ in 0..count {
                let found = if matches!(word, "n" | "o") { tape.forward(wanted) } else { tape.back(wanted) };
                if !arrived(tape, found, out)? {
                    break;
                }
            }
        }
        "/" if !rest.is_empty() => {
            let found = tape.forward(|noted| says(rest, noted));
            arrived(tape, found, out)?;
        }
        "?" if !rest.is_empty() => {
            let found = tape.back(|noted| says(rest, noted));
            arrived(tape, found, out)?;
        }
        "+" | "-" | "@" => {
            let (now, start) = (tape.head().run.now(), tape.head().run.start());
            let to = match (word, parse_length(rest)) {
                ("+", Some(span)) => now + span,
                ("-", Some(span)) => Instant::ZERO + (now - Instant::ZERO).saturating_sub(span),
                ("@", _) => match parse_moment(rest, start) {
                    Ok(at) => at,
                    Err(what) => return Ok(Err(what)),
                },
                _ => return Ok(Err(format!("{command}: expected a length of time, such as {word}100ms or {word}5s"))),
            };
            tape.wind_to(to);
            place(tape, out)?;
        }
        _ => return Ok(Err(format!("{command}: no such command\n{HELP}"))),
    }
    Ok(Ok(()))
}

fn arrived(tape: &Tape, found: Option<Vec<NodeNoted>>, out: &mut impl Write) -> io::Result<bool> {
    match &found {
        Some(happened) => tell(tape.head(), happened, out)?,
        None => writeln!(out, "there is none")?,
    }
    place(tape, out)?;
    Ok(found.is_some())
}
