//! `sim scenarios`.

use std::io::{self, Write};

use super::args::ScenariosCommand;
use super::{Exit, Failure, input};
use crate::report::text;

/// Lists, prints or checks scenarios.
///
/// # Errors
/// There is no such scenario, the file is bad, or the output cannot be written.
pub(super) fn scenarios(command: &ScenariosCommand) -> Result<Exit, Failure> {
    let mut out = io::stdout().lock();
    match command {
        ScenariosCommand::List => {
            for entry in scenarios::library::list().iter().chain(scenarios::library::defects()) {
                let scenario = entry.scenario().map_err(|errors| input::list(&errors))?;
                let first = scenario.description.lines().next().unwrap_or_default();
                writeln!(out, "{:<28} {first}", scenario.name)?;
            }
        }
        ScenariosCommand::Show { name } => write!(out, "{}", input::scenario(name)?.to_yaml())?,
        ScenariosCommand::Check { file } => {
            let scenario = input::scenario_file(file)?;
            let schedule = scenarios::schedule::Schedule::draw(&scenario, 0);
            write!(out, "{}", text::header(&scenario, 0.into(), &schedule))?;
            writeln!(out, "{}: a valid scenario", file.display())?;
        }
    }
    Ok(Exit::Clean)
}
