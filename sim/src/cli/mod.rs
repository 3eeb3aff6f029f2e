//! The command line: [`args`] is what was typed, [`plan`] what it means; each command has its file.

pub mod args;
mod campaign;
pub mod changes;
mod defects;
mod doctor;
mod fidelity;
mod fuzz;
mod hunt;
mod input;
mod laws;
mod odds;
mod outcomes;
mod plan;
mod replay;
mod run;
mod scenarios;
mod shrink;
mod stopwatch;
mod survey;
mod travel;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command, RunArgs};

/// How a command ends, as its exit status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All laws and expectations held.
    Clean = 0,
    /// A law or an expectation was broken, or a replay diverged.
    Broken = 1,
    /// The input was bad.
    BadInput = 2,
    /// A fault of ours; a run that does not repeat itself is one.
    Internal = 3,
    /// Ctrl-C, as shells count signals.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not be carried out.
#[derive(Debug)]
pub enum Failure {
    /// The input was bad; the text says what, where, and what would be valid.
    Input(String),
    /// The output could not be written, or something else went wrong that is not the user's fault.
    Internal(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Internal(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Internal(error.into())
    }
}

/// Parses the command line, carries it out, reports failures on standard error.
#[expect(clippy::print_stderr, reason = "this is where a command line speaks")]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let carried_out = std::panic::catch_unwind(|| match cli.command {
        None => run::run(&RunArgs { scenario: None, server_properties: Vec::new(), zoo_cfg: None, flags: cli.run }),
        Some(Command::Run(args)) => run::run(&args),
        Some(Command::Replay(args)) => replay::replay(&args),
        Some(Command::Odds(args)) => odds::odds(&args),
        Some(Command::Shrink(args)) => shrink::shrink(&args),
        Some(Command::Fuzz(args)) => fuzz::fuzz(&args),
        Some(Command::Survey(args)) => survey::survey(&args),
        Some(Command::Outcomes(args)) => outcomes::outcomes(&args),
        Some(Command::Fidelity(args)) => fidelity::fidelity(&args),
        Some(Command::Laws) => laws::laws(),
        Some(Command::Scenarios(command)) => scenarios::scenarios(&command),
        Some(Command::Defects(command)) => defects::defects(&command),
    });
    match carried_out {
        Ok(Ok(exit)) => exit.into(),
        Ok(Err(Failure::Input(what))) => {
            eprintln!("{what}");
            Exit::BadInput.into()
        }
        // Whoever reads our output has read enough: `sim ... | head` is no error.
        Ok(Err(Failure::Internal(error))) if is_broken_pipe(&error) => Exit::Clean.into(),
        Ok(Err(Failure::Internal(error))) => {
            eprintln!("internal error: {error:#}");
            Exit::Internal.into()
        }
        Err(_panic) => {
            eprintln!(
                "internal error: this is a defect of Faultline; the message above and the command line repeat it"
            );
            Exit::Internal.into()
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}
