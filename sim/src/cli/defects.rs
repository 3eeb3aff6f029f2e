//! `sim defects`: the switches, and proof that each breaks its law.

use std::io::{self, Write};

use models::defect::Defect;
use scenarios::Scenario;
use scenarios::library::{self, Entry};

use super::args::{DefectsCommand, VerifyArgs};
use super::{Exit, Failure, campaign, hunt, input};

/// Lists the defects or verifies them.
///
/// # Errors
/// There is no such scenario, or the output cannot be written.
pub(super) fn defects(command: &DefectsCommand) -> Result<Exit, Failure> {
    match command {
        DefectsCommand::List => list(&mut io::stdout().lock()),
        DefectsCommand::Verify(args) => verify(args),
        DefectsCommand::Hunt(args) => hunt::hunt(args),
    }
}

/// The scenarios of the library that switch a defect on, by name.
fn scenarios_about(defect: Defect) -> Result<Vec<&'static str>, Failure> {
    let mut names = Vec::new();
    for entry in library::defects() {
        let scenario = entry.scenario().map_err(|errors| input::list(&errors))?;
        if scenario.cluster.kafka.defects.union(scenario.cluster.zookeeper.defects).has(defect) {
            names.push(entry.name);
        }
    }
    Ok(names)
}

fn list(out: &mut impl Write) -> Result<Exit, Failure> {
    writeln!(
        out,
        "{:<5} {:<4} {:<36} {:<44} {:<24} {:<30} scenario",
        "id", "mark", "switch", "ticket", "law", "fixed in"
    )?;
    for defect in Defect::ALL {
        let facts = defect.facts();
        let law = facts.laws.first().copied().unwrap_or_default();
        let scenarios = scenarios_about(*defect)?.join(", ");
        let (id, word, ticket, fixed_in) = (facts.id, facts.word, facts.ticket, facts.fixed_in);
        let mark = facts.mark.map_or_else(|| "-".to_owned(), |mark| mark.to_string());
        writeln!(out, "{id:<5} {mark:<4} {word:<36} {ticket:<44} {law:<24} {fixed_in:<30} {scenarios}")?;
    }
    Ok(Exit::Clean)
}

/// What the seeds of one scenario showed.
struct Finding {
    /// Seeds that broke the law with the switches on, and the first of them.
    with: (u64, Option<u64>),
    /// Seeds that broke any law with everything repaired, and what the first of them broke.
    without: (u64, Option<String>),
}

/// Seeds with the switches on end at the first that breaks the law, unless `all`.
fn examine(scenario: &Scenario, law: &str, within: u64, seeds: u64, jobs: usize) -> Finding {
    let breaks = |seed| {
        let finished = campaign::watch(scenario, seed, &mut |_| {});
        campaign::broken(&finished).any(|(name, _)| name == law)
    };
    let hits = campaign::map(0..within, jobs, breaks);
    let first = hits.iter().position(|hit| *hit).map(|seed| seed as u64);
    let repaired = scenario.repaired();
    let wrong = campaign::map(0..seeds, jobs, |seed| {
        let finished = campaign::watch(&repaired, seed, &mut |_| {});
        campaign::broken(&finished).next().map(|(name, what)| format!("seed {seed}: {name}: {what}"))
    });
    let wrong: Vec<String> = wrong.into_iter().flatten().collect();
    Finding {
        with: (hits.iter().filter(|hit| **hit).count() as u64, first),
        without: (wrong.len() as u64, wrong.into_iter().next()),
    }
}

fn verify(args: &VerifyArgs) -> Result<Exit, Failure> {
    let entries: Vec<&Entry> = match &args.scenario {
        Some(name) => vec![library::find(name).map_err(Failure::Input)?],
        None => library::defects().iter().collect(),
    };
    let mut out = io::stdout().lock();
    writeln!(out, "{:<36} {:<26} {:>14} {:>6} {:>16}", "scenario", "law", "on: broken", "first", "off: broken")?;
    let mut clean = true;
    for entry in entries {
        let scenario = entry.scenario().map_err(|errors| input::list(&errors))?;
        let Some(shown) = &scenario.demonstrates else {
            return Err(Failure::Input(format!(
                "`{}` demonstrates no defect; `sim defects list` names those that do",
                entry.name
            )));
        };
        let within = u64::from(shown.within);
        let finding = examine(&scenario, &shown.law, within, args.seeds, campaign::threads(args.jobs));
        let on = format!("{} of {within}", finding.with.0);
        let first = finding.with.1.map_or_else(|| "-".to_owned(), |seed| seed.to_string());
        let off = format!("{} of {}", finding.without.0, args.seeds);
        writeln!(out, "{:<36} {:<26} {on:>14} {first:>6} {off:>16}", entry.name, shown.law)?;
        if let Some(wrong) = &finding.without.1 {
            writeln!(out, "    repaired, {wrong}")?;
        }
        clean &= finding.with.0 > 0 && finding.without.0 == 0;
        out.flush()?;
    }
    Ok(if clean { Exit::Clean } else { Exit::Broken })
}
