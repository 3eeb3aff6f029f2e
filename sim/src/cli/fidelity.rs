//! `sim fidelity`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::args::{FidelityArgs, Format};
use super::{Exit, Failure, campaign, input};
use crate::fidelity::chance::{CaseRuns, Chance};
use crate::fidelity::compare::CaseReport;
use crate::fidelity::lab::{LabRun, Measured};
use crate::fidelity::metrics::{self, Measures};
use crate::fidelity::{ZOOKEEPER_3_8_0, report, simulate};

/// Simulates the measured runs and prints where they agree. The exit status tells of more disagreement than chance explains.
///
/// # Errors
/// The input is bad, or the output cannot be written.
pub(super) fn fidelity(args: &FidelityArgs) -> Result<Exit, Failure> {
    let measured = match &args.data {
        Some(path) => Measured::read(&input::read(path)?),
        None => Measured::read(ZOOKEEPER_3_8_0),
    };
    let cases: BTreeMap<&str, &[LabRun]> = measured
        .cases
        .iter()
        .filter(|(case, _)| args.case.is_empty() || args.case.contains(case))
        .map(|(case, runs)| (case.as_str(), runs.as_slice()))
        .collect();
    if cases.is_empty() {
        let known: Vec<_> = measured.cases.keys().map(String::as_str).collect();
        return Err(Failure::Input(format!("no such case; valid: {}", known.join(", "))));
    }
    let mut out = io::stdout().lock();
    if let Some(seed) = args.rig {
        for runs in cases.values() {
            let run = &runs[seed as usize % runs.len()];
            write!(out, "{}", simulate::scenario(run, seed).map_err(Failure::Input)?.to_yaml())?;
        }
        return Ok(Exit::Clean);
    }
    for line in &measured.skipped {
        if args.format == Format::Text {
            writeln!(out, "passed over: {line}")?;
        }
    }
    let (runs, reports) = simulated(&cases, args.seeds, campaign::threads(args.jobs));
    for report in &reports {
        match args.format {
            Format::Text => write!(out, "{}", report::case(report))?,
            Format::Json => writeln!(out, "{}", serde_json::to_string(report).map_err(anyhow::Error::from)?)?,
        }
    }
    let chance = Chance::of(&runs);
    match (args.format, &chance) {
        (Format::Text, _) => write!(out, "{}", report::verdict(&reports, chance.as_ref()))?,
        (Format::Json, Some(chance)) => {
            writeln!(out, "{}", serde_json::to_string(chance).map_err(anyhow::Error::from)?)?;
        }
        (Format::Json, None) => {}
    }
    let agrees = reports.iter().all(CaseReport::agrees);
    Ok(if agrees || chance.is_some_and(|chance| chance.explains(&reports)) { Exit::Clean } else { Exit::Broken })
}

/// Runs `seeds` seeds of each case on `jobs` threads, and compares. Seeds go round the measured runs of a case.
fn simulated(cases: &BTreeMap<&str, &[LabRun]>, seeds: u64, jobs: usize) -> (Vec<CaseRuns>, Vec<CaseReport>) {
    let tasks: Vec<(&str, &LabRun, u64)> = cases
        .iter()
        .flat_map(|(case, runs)| (0..seeds).map(move |seed| (*case, &runs[seed as usize % runs.len()], seed)))
        .collect();
    let told = campaign::map(0..tasks.len() as u64, jobs, |task| {
        let (_, run, seed) = tasks[task as usize];
        let told = simulate::story(run, seed).map(|story| metrics::measure(&story));
        told.map_err(|what| format!("seed {seed}: {what}"))
    });
    let mut told = tasks.iter().map(|(case, ..)| *case).zip(told).peekable();
    let (mut all, mut reports) = (Vec::new(), Vec::new());
    for (case, runs) in cases {
        let real: Vec<Measures> = runs.iter().map(|run| metrics::measure(&run.story())).collect();
        let (mut simulated, mut failures) = (Vec::new(), Vec::new());
        while let Some((_, told)) = told.next_if(|(of, _)| of == case) {
            match told {
                Ok(measures) => simulated.push(measures),
                Err(what) => failures.push(what),
            }
        }
        reports.push(CaseReport::new(case, &real, &simulated, &failures));
        all.push(CaseRuns { case: (*case).to_owned(), real, simulated });
    }
    (all, reports)
}
