//! `sim shrink`.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use replay::record::{BrokenLaw, Record};
use replay::shrink::{Budget, Case, Shrunk, Size, Target, Watcher};
use replay::subject::Subject;
use scenarios::schedule::Schedule;
use scenarios::units::{parse_span, show_span};
use scenarios::{Scenario, Seeds};
use serde_json::json;

use super::args::{Format, ShrinkArgs};
use super::plan::{self, Plan};
use super::stopwatch::Stopwatch;
use super::{Exit, Failure, campaign, input};
use crate::fuzz::case::Guarded;
use crate::guard::PANIC;
use crate::run::Simulator;

/// What runs the candidates. A panic is an outcome like any other, and is shrunk like any other.
const SUBJECT: Guarded<Simulator> = Guarded(Simulator);

/// Shrinks a failing run and writes what it comes to.
///
/// # Errors
/// The input is bad, or something cannot be written.
pub(super) fn shrink(args: &ShrinkArgs) -> Result<Exit, Failure> {
    let began = Stopwatch::start();
    let budget = budget(args)?;
    let given = Given::read(args)?;
    let out = given.out(args)?;
    if !given.case.scenario.is_sound() {
        let text = given.case.scenario.to_yaml();
        let errors = Scenario::parse("its scenario", &text).err().unwrap_or_default();
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let what = format!("{}: no scenario file can say this: {}", given.what, errors.join("; "));
        return Err(Failure::Input(what));
    }
    let Ok(outcome) =
        SUBJECT.run(&given.case.scenario, given.case.seeds, &schedule(&given.case), &mut |_| ControlFlow::Continue(()));
    let broken = outcome.violation;
    let is_meant = |broken: &&BrokenLaw| given.law.as_ref().is_none_or(|law| broken.law == *law);
    let Some(broken) = broken.as_ref().filter(is_meant) else {
        writeln!(io::stderr(), "{}", given.complaint(broken.as_ref()))?;
        return Ok(Exit::Broken);
    };
    let target = Target {
        law: broken.law.clone(),
        // Two panics have nothing in common but that.
        signature: (args.same_signature || broken.law == PANIC).then(|| broken.signature()),
        seeds: given.case.seeds,
    };
    let over = || budget.is_some_and(|budget| began.elapsed() >= budget);
    let limits = Budget { runs: args.runs, over: &over, jobs: campaign::threads(args.jobs) };
    let progress = Progress::new(&given.what, broken);
    let shrunk = replay::shrink::shrink(&given.case, &target, &SUBJECT, &limits, &progress);
    progress.bar.finish_and_clear();
    let Ok(shrunk) = shrunk else {
        return Err(Failure::Input("the budget ended with the first run; give a longer one with --budget".to_owned()));
    };
    let files = write_files(&given, &shrunk, &out)?;
    let told = Told { given: &given, shrunk: &shrunk, files: &files, took: began.elapsed() };
    let mut stdout = io::stdout().lock();
    match args.format {
        Format::Text => write!(stdout, "{}", told.text())?,
        Format::Json => writeln!(stdout, "{}", told.json())?,
    }
    Ok(Exit::Clean)
}

fn budget(args: &ShrinkArgs) -> Result<Option<Duration>, Failure> {
    let Some(text) = &args.budget else { return Ok(None) };
    let span = parse_span(text).filter(|span| span.as_ns() > 0).ok_or_else(|| {
        Failure::Input(format!("--budget {text}: expected a number above zero with a unit, such as 60s or 5m"))
    })?;
    Ok(Some(Duration::from_nanos(span.as_ns())))
}

/// What is to be shrunk.
struct Given {
    case: Case,
    /// The law that the record says it broke.
    law: Option<String>,
    /// For people.
    what: String,
    /// Who recorded it.
    build: Option<String>,
    /// The file without its extension.
    stem: PathBuf,
}

impl Given {
    fn read(args: &ShrinkArgs) -> Result<Self, Failure> {
        if let Some(name) = &args.scenario {
            let mut scenario = input::scenario(name)?;
            plan::change(&mut scenario, &args.changes)?;
            let seed = args.seed.unwrap_or_default();
            let seeds = Seeds { start_up: args.start_up_seed.unwrap_or(seed), faults: seed };
            let plan = Plan::new(scenario, seeds);
            return Ok(Self {
                what: format!("{} (seed {seeds})", plan.scenario.name),
                stem: PathBuf::from(format!("{}-{}", plan.scenario.name, seeds.faults)),
                case: Case::new(&plan.scenario, seeds, &plan.schedule),
                law: None,
                build: None,
            });
        }
        let file = args.file.as_deref().ok_or_else(|| Failure::Input("no replay file is given".to_owned()))?;
        if args.changes.is_any() {
            let what = "--duration, --topics, --partitions, --rate change a scenario, not a record";
            return Err(Failure::Input(format!("{}: {what}", file.display())));
        }
        let record = replay::file::read(file).map_err(|error| Failure::Input(error.to_string()))?;
        Ok(Self {
            case: Case::from(&record),
            what: format!("{} (seed {})", record.scenario.name, record.seeds),
            law: record.outcome.violation.as_ref().map(|broken| broken.law.clone()),
            build: Some(record.build),
            stem: file.with_extension(""),
        })
    }

    /// Where the replay file goes.
    fn out(&self, args: &ShrinkArgs) -> Result<PathBuf, Failure> {
        let mut beside = self.stem.clone().into_os_string();
        beside.push(".min.flt");
        let out = args.out.clone().unwrap_or_else(|| PathBuf::from(beside));
        if out.extension().is_some_and(|extension| extension == "yaml") {
            let what = "expected the name of a replay file, such as small.flt; the scenario file goes beside it";
            return Err(Failure::Input(format!("--out {}: {what}", out.display())));
        }
        if args.file.as_deref() == Some(&*out) {
            return Err(Failure::Input(format!("--out {}: would overwrite the record itself", out.display())));
        }
        Ok(out)
    }

    fn complaint(&self, instead: Option<&BrokenLaw>) -> String {
        let found = match instead {
            Some(broken) => format!("it breaks {} at {}", broken.law, broken.at),
            None => "every law and expectation held".to_owned(),
        };
        let mut text = match &self.law {
            Some(law) => format!("{}: the record says that it broke {law}, but with this build {found}", self.what),
            None => format!("{}: nothing to shrink: {found}", self.what),
        };
        let here = crate::build_identity();
        if let Some(build) = self.build.as_ref().filter(|build| **build != here) {
            let _ = write!(text, " (recorded by {build}, this is {here})");
        }
        text
    }
}

fn schedule(case: &Case) -> Schedule {
    Schedule::new(case.scenario.faults.clone())
}

/// A bar on a terminal, lines elsewhere.
struct Progress {
    bar: ProgressBar,
    is_terminal: bool,
    pass: Mutex<String>,
}

impl Progress {
    fn new(what: &str, broken: &BrokenLaw) -> Self {
        let is_terminal = io::stderr().is_terminal();
        let bar = if is_terminal { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {pos} runs ({per_sec}) {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        let progress = Self { bar, is_terminal, pass: Mutex::default() };
        progress.line(&format!("shrinking  {what}: {} at {}", broken.law, broken.at));
        progress
    }

    /// What happens to standard error is nobody's concern.
    fn line(&self, line: &str) {
        if self.is_terminal {
            self.bar.println(line);
        } else {
            let _ = writeln!(io::stderr(), "{line}");
        }
    }
}

impl Watcher for Progress {
    fn ran(&self) {
        self.bar.inc(1);
    }

    fn found(&self, pass: &str, size: &Size, runs: u64) {
        let line = format!(
            "{runs:>5} runs  {pass:<24} {} faults, {} hosts, {} clients, {} partitions, {} records/s, {}",
            size.faults,
            size.hosts,
            size.clients,
            size.partitions,
            size.records_per_second,
            show_span(size.phase)
        );
        self.bar.set_message(line.clone());
        let mut last = self.pass.lock().unwrap_or_else(PoisonError::into_inner);
        if *last != pass {
            pass.clone_into(&mut last);
            self.line(&line);
        }
    }
}

/// The files written.
struct Files {
    record: PathBuf,
    scenario: PathBuf,
}

/// Runs the smallest case once more, for its checkpoints, and writes both files.
fn write_files(given: &Given, shrunk: &Shrunk, out: &Path) -> Result<Files, Failure> {
    let mut scenario = shrunk.case.scenario.clone();
    let name = &given.case.scenario.name;
    if !name.ends_with("-min") {
        scenario.name = format!("{}-min", name.get(..name.len().min(96)).unwrap_or(name));
    }
    scenario.description =
        format!("Shrunk from {}. It breaks {} at {}.", given.what, shrunk.broken.law, shrunk.broken.at);
    let seeds = shrunk.case.seeds;
    let schedule = Schedule::draw(&scenario, seeds.faults);
    let mut checkpoints = Vec::new();
    let Ok(outcome) = SUBJECT.run(&scenario, seeds, &schedule, &mut |checkpoint| {
        checkpoints.push(checkpoint);
        ControlFlow::Continue(())
    });
    let violation = outcome.violation.as_ref();
    if violation != Some(&shrunk.broken) {
        let error = anyhow::anyhow!("the smallest case ends otherwise when repeated: {violation:?}");
        return Err(Failure::Internal(error));
    }
    let files = Files { record: out.to_owned(), scenario: out.with_extension("yaml") };
    let text = format!("{}{}", head(given, shrunk, &files), scenario.to_yaml());
    let record = Record { build: crate::build_identity(), scenario, seeds, schedule, checkpoints, outcome };
    replay::file::write(&files.record, &record).map_err(|error| Failure::Input(error.to_string()))?;
    write_text(&files.scenario, &text)?;
    Ok(files)
}

/// The file appears under its name only when it is complete.
fn write_text(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::Input(format!("{}: {error}", path.display()));
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    std::fs::write(&partial, text).map_err(failed)?;
    std::fs::rename(&partial, path).map_err(failed)
}

/// The comment on top of the scenario file.
fn head(given: &Given, shrunk: &Shrunk, files: &Files) -> String {
    let mut out = format!("# Shrunk by `sim shrink` from {}.\n", given.what);
    let _ = writeln!(out, "# Breaks {} at {}:", shrunk.broken.law, shrunk.broken.at);
    for line in shrunk.broken.what.lines() {
        let _ = writeln!(out, "#   {line}");
    }
    let _ = writeln!(out, "# To run it: sim run {} {}", files.scenario.display(), shrunk.case.seeds.flags());
    for line in qualities(shrunk) {
        let _ = writeln!(out, "# {line}");
    }
    out
}

/// What can be said of the result, a line each.
fn qualities(shrunk: &Shrunk) -> Vec<String> {
    let mut lines = Vec::new();
    lines.push(match shrunk.minimal {
        Some(minimal) => format!(
            "1-minimal: without any one of {} faults, {} hosts, {} clients the law holds{}",
            minimal.faults,
            minimal.hosts,
            minimal.clients,
            if minimal.robustly { ", or breaks no longer with an idle client more" } else { "" },
        ),
        None => "not verified to be 1-minimal: the budget ended before".to_owned(),
    });
    if let Some(robustness) = shrunk.robustness {
        let (hits, seeds) = robustness.seeds;
        let word = if robustness.stands { "robust" } else { "fragile" };
        let stands = if robustness.stands { "still breaks" } else { "no longer breaks" };
        lines.push(format!("{word}: {stands} with an idle client more; breaks with {hits} of {seeds} other seeds"));
    }
    if shrunk.cut {
        lines.push("cut off by the budget: a longer one may give a smaller case".to_owned());
    }
    lines
}

/// What is said in the end.
struct Told<'a> {
    given: &'a Given,
    shrunk: &'a Shrunk,
    files: &'a Files,
    took: Duration,
}

impl Told<'_> {
    /// Figures before and after.
    fn figures(&self) -> Vec<(&'static str, [String; 2])> {
        let sizes = [Size::of(&self.given.case.scenario), Size::of(&self.shrunk.case.scenario)];
        let figure = |show: fn(&Size) -> String| sizes.each_ref().map(show);
        vec![
            ("faults", figure(|size| size.faults.to_string())),
            ("faults last, together", figure(|size| show_span(size.faulty))),
            ("fault phase", figure(|size| show_span(size.phase))),
            ("hosts", figure(|size| size.hosts.to_string())),
            ("brokers", figure(|size| size.brokers.to_string())),
            ("ZooKeeper servers", figure(|size| size.zookeepers.to_string())),
            ("clients", figure(|size| size.clients.to_string())),
            ("partitions", figure(|size| size.partitions.to_string())),
            ("replicas", figure(|size| size.replicas.to_string())),
            ("records/s", figure(|size| size.records_per_second.to_string())),
            ("settings not default", figure(|size| size.settings.to_string())),
            (
                "virtual time until it breaks",
                [&self.shrunk.original, &self.shrunk.broken].map(|broken| broken.at.to_string()),
            ),
        ]
    }

    fn text(&self) -> String {
        let Self { shrunk, files, .. } = self;
        let mut out = format!("{:<30}{:>14}{:>14}\n", "", "before", "after");
        for (name, [before, after]) in self.figures() {
            let _ = writeln!(out, "{name:<30}{before:>14}{after:>14}");
        }
        out.push_str("\nfaults\n");
        for fault in &shrunk.case.scenario.faults {
            let (at, duration) = (show_span(fault.at), show_span(fault.duration));
            let _ = writeln!(out, "  at {at:>8} for {duration:>8}  {}", fault.fault.text(&shrunk.case.scenario));
        }
        let broken = &shrunk.broken;
        let _ = writeln!(out, "\nBROKEN     {} at {}: {}", broken.law, broken.at, broken.what);
        for line in qualities(shrunk) {
            let _ = writeln!(out, "{line}");
        }
        let _ = writeln!(
            out,
            "{} runs ({} more made ahead in vain) in {:.1} s",
            shrunk.runs,
            shrunk.wasted,
            self.took.as_secs_f64()
        );
        let flags = shrunk.case.seeds.flags();
        let _ = writeln!(out, "\nsim replay {}", files.record.display());
        let _ = writeln!(out, "sim run {} {flags}", files.scenario.display());
        out
    }

    fn json(&self) -> serde_json::Value {
        let Self { shrunk, files, .. } = self;
        let figures: serde_json::Map<String, serde_json::Value> =
            self.figures().into_iter().map(|(name, sides)| (name.to_owned(), json!(sides))).collect();
        json!({
            "type": "shrunk",
            "law": shrunk.broken.law,
            "at_ns": shrunk.broken.at,
            "what": shrunk.broken.what,
            "figures": figures,
            "runs": shrunk.runs,
            "wasted": shrunk.wasted,
            "seconds": self.took.as_secs_f64(),
            "one_minimal": shrunk.minimal.is_some(),
            "robust": shrunk.robustness.map(|robustness| robustness.stands),
            "other_seeds": shrunk.robustness.map(|robustness| [robustness.seeds.0, robustness.seeds.1]),
            "cut": shrunk.cut,
            "record": files.record.display().to_string(),
            "scenario": files.scenario.display().to_string(),
        })
    }
}
