//! `sim run`.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use models::observation::Observed;
use replay::record::{Checkpoint, Record};
use scenarios::Scenario;

use super::args::{Format, RunArgs, RunFlags};
use super::plan::{self, Plan};
use super::{Exit, Failure, doctor, input};
use crate::kernel::Observer;
use crate::report::figures::Figures;
use crate::report::json::JsonLines;
use crate::report::names::Names;
use crate::report::text;
use crate::report::timeline::Timeline;
use crate::run::{Finished, Run};

const DEFAULT_SCENARIO: &str = "stretch-cluster";

/// Runs a scenario once and tells what happened.
///
/// # Errors
/// The input is bad, or the output cannot be written.
pub(super) fn run(args: &RunArgs) -> Result<Exit, Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let (mut scenario, name) = match &args.zoo_cfg {
        Some(zoo_cfg) => {
            let imported = input::cluster(&args.server_properties, zoo_cfg)?;
            if args.flags.format == Format::Text && !args.flags.quiet {
                for remark in &imported.remarks {
                    writeln!(out, "{remark}")?;
                }
                writeln!(out)?;
            }
            (imported.scenario, import_words(args))
        }
        None => {
            let name = args.scenario.as_deref().unwrap_or(DEFAULT_SCENARIO);
            (input::scenario(name)?, name.to_owned())
        }
    };
    plan::change(&mut scenario, &args.flags.changes)?;
    let plan = Plan::new(scenario, args.flags.seeds());
    if args.flags.check_determinism {
        return doctor::check(&plan, &args.flags, &mut out);
    }
    match args.flags.format {
        Format::Text => run_for_people(&plan, &name, &args.flags, &mut out),
        Format::Json => run_for_programs(&plan, &args.flags, out),
    }
}

/// What to type after `sim run` to get the imported cluster again.
fn import_words(args: &RunArgs) -> String {
    let mut words: Vec<_> = args.server_properties.iter().map(|p| format!("--server-properties '{p}'")).collect();
    words.extend(args.zoo_cfg.iter().map(|path| format!("--zoo-cfg '{}'", path.display())));
    words.join(" ")
}

/// Makes the figures and the story.
struct Reporter {
    timeline: Timeline,
    figures: Figures,
}

impl Observer for Reporter {
    fn observe(&mut self, seen: &Observed) {
        self.timeline.observe(seen);
        self.figures.observe(seen);
    }
}

fn run_for_people(plan: &Plan, name: &str, flags: &RunFlags, out: &mut impl Write) -> Result<Exit, Failure> {
    if !flags.quiet {
        write!(out, "{}", text::header(&plan.scenario, plan.seeds, &plan.schedule))?;
        out.flush()?;
    }
    let run = Run::new(plan.scenario.clone(), plan.seeds, &plan.schedule);
    let start = models::time::Instant::ZERO + plan.scenario.phases.warm_up;
    let names = Names::new(run.deployment().processes.iter().map(|p| p.name.clone()));
    let mut reporter = Reporter { timeline: Timeline::new(names), figures: Figures::new(start) };
    let (finished, checkpoints) = finish(run, &mut reporter);
    let replay = record(plan, flags.record.as_deref(), &finished, checkpoints)?;
    let clean = finished.judgement.is_clean();
    if !flags.quiet || !clean {
        let now = finished.outcome.ended;
        let summary = reporter.figures.summary(now);
        write!(out, "{}", text::timeline(&reporter.timeline.finish(now), start))?;
        write!(out, "{}", text::laws(&finished.judgement.reports))?;
        write!(out, "{}", text::expectations(&finished.judgement))?;
        write!(out, "{}", text::figures(&summary, &finished.judgement))?;
        let changed = changed_words(flags);
        let name = format!("{name}{changed}");
        write!(out, "{}", text::verdict(&finished, &name, plan.seeds, replay.as_deref()))?;
        if let (Some(file), true) = (&replay, clean) {
            writeln!(out, "recorded in {file}")?;
        }
    }
    out.flush()?;
    Ok(if clean { Exit::Clean } else { Exit::Broken })
}

/// The flags that changed the scenario, to be pasted.
fn changed_words(flags: &RunFlags) -> String {
    let changes = &flags.changes;
    let mut words = String::new();
    for (name, value) in [
        ("duration", changes.duration.clone()),
        ("topics", changes.topics.map(|v| v.to_string())),
        ("partitions", changes.partitions.map(|v| v.to_string())),
        ("rate", changes.rate.map(|v| v.to_string())),
    ] {
        if let Some(value) = value {
            words.push_str(&format!(" --{name} {value}"));
        }
    }
    words
}

fn run_for_programs(plan: &Plan, flags: &RunFlags, out: impl Write) -> Result<Exit, Failure> {
    struct Both<'a, W> {
        lines: &'a mut JsonLines<W>,
        figures: Figures,
    }
    impl<W: Write> Observer for Both<'_, W> {
        fn observe(&mut self, seen: &Observed) {
            self.lines.observe(seen);
            self.figures.observe(seen);
        }
    }
    let run = Run::new(plan.scenario.clone(), plan.seeds, &plan.schedule);
    let start = models::time::Instant::ZERO + plan.scenario.phases.warm_up;
    let mut lines = JsonLines::new(out);
    lines.run(&plan.scenario, run.deployment(), plan.seeds, &plan.schedule);
    let mut both = Both { lines: &mut lines, figures: Figures::new(start) };
    let (finished, checkpoints) = finish(run, &mut both);
    let summary = both.figures.summary(finished.outcome.ended);
    let replay = record(plan, flags.record.as_deref(), &finished, checkpoints)?;
    let exit = if finished.judgement.is_clean() { Exit::Clean } else { Exit::Broken };
    lines.end(&finished, &summary, replay.as_deref(), exit as u8);
    lines.finish()?;
    Ok(exit)
}

fn finish(run: Run, watcher: &mut impl Observer) -> (Finished, Vec<Checkpoint>) {
    let mut checkpoints = Vec::new();
    let finished = run.finish(watcher, &mut |checkpoint| {
        checkpoints.push(checkpoint);
        ControlFlow::Continue(())
    });
    (finished, checkpoints)
}

/// Writes the replay file that was asked for, or that a failure leaves. Returns its path.
fn record(
    plan: &Plan,
    wanted: Option<&Path>,
    finished: &Finished,
    checkpoints: Vec<Checkpoint>,
) -> Result<Option<String>, Failure> {
    let path = match wanted {
        Some(path) => path.to_owned(),
        None if finished.judgement.is_clean() => return Ok(None),
        None => PathBuf::from(format!("{}-{}.flt", plan.scenario.name, plan.seeds.faults)),
    };
    let record = Record {
        build: crate::build_identity(),
        scenario: Scenario::clone(&plan.scenario),
        seeds: plan.seeds,
        schedule: plan.schedule.clone(),
        checkpoints,
        outcome: finished.outcome.clone(),
    };
    replay::file::write(&path, &record).map_err(|error| Failure::Input(error.to_string()))?;
    Ok(Some(path.display().to_string()))
}
