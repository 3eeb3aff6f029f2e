//! Flags as typed: checked for shape, nothing decided.

use std::path::PathBuf;

use clap::builder::ArgPredicate;
use clap::{Args, Parser, Subcommand, ValueEnum};
use scenarios::Seeds;

use super::changes::{Changes, seeds};
use super::fuzz::args::{FuzzArgs, StrategyArg};
use crate::kernel::QueueKind;

/// Faultline: a deterministic network-partition simulator for Kafka.
///
/// A run is a pure function of scenario and seed. Without a subcommand, `sim --seed N` is `sim run stretch-cluster --seed N`.
///
/// Exit status: 0 all laws held, 1 a law or an expectation of the scenario was broken, 2 bad input, 3 internal error, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "sim", version, args_conflicts_with_subcommands = true, max_term_width = 120)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Without a subcommand: how to run `stretch-cluster`.
    #[command(flatten)]
    pub run: RunFlags,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a scenario once and tell what happened.
    Run(RunArgs),
    /// Repeat a recorded run, verify it at every checkpoint, and name the first difference; or look at it at any moment.
    Replay(ReplayArgs),
    /// Where did it become likely? Run many futures from moments of a failing run and plot how many break the same law.
    Odds(OddsArgs),
    /// Make a failing run small: fewest faults, hosts and clients, shortest times, while the same law breaks. Writes a replay file
    /// and a scenario file.
    ///
    /// Exit status: 0 shrunk, 1 the run does not fail, 2 bad input, 3 internal error.
    Shrink(ShrinkArgs),
    /// Run many schedules drawn from seeds, keep what they broke, group it, and name the smallest seed of each failure.
    Fuzz(FuzzArgs),
    /// Run many seeds and print what they reached: shares of seeds, facts judged by each law, failures.
    Survey(SurveyArgs),
    /// What becomes of the stretch cluster after a cut of the WAN: a table of outcomes by variant and length of the cut.
    Outcomes(OutcomesArgs),
    /// Simulate runs of real ZooKeeper ensembles that were measured, and print where the models agree with them.
    Fidelity(FidelityArgs),
    /// The laws that every run is judged by: what each says, and where it comes from.
    Laws,
    /// The scenarios that are built in.
    #[command(subcommand)]
    Scenarios(ScenariosCommand),
    /// Known defects of Kafka and ZooKeeper as switches.
    #[command(subcommand)]
    Defects(DefectsCommand),
}

/// What to do with scenarios.
#[derive(Debug, Subcommand)]
pub enum ScenariosCommand {
    /// Names and what each is for.
    List,
    /// Print one as a file, to be changed and run.
    Show {
        /// Its name.
        name: String,
    },
    /// Check a scenario file and print what it means.
    Check {
        /// The file.
        file: PathBuf,
    },
}

/// `sim replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// A file written by `--record`, or by a run that broke a law.
    pub file: PathBuf,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Jump to this moment and print the state and what comes next; may be given several times. Times count from the end of
    /// the start-up, as everywhere: `95.5s`, `2m`, `-3s`.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, conflicts_with_all = ["until", "step"])]
    pub at: Vec<String>,
    /// Tell the story up to this moment, and print the state there.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, conflicts_with = "step")]
    pub until: Option<String>,
    /// Step through the run, forwards and backwards, by commands from standard input.
    #[arg(long)]
    pub step: bool,
}

/// `sim odds`.
#[derive(Debug, Args)]
pub struct OddsArgs {
    /// The replay file of a run that broke a law or an expectation.
    pub file: PathBuf,
    /// Futures of each moment. 50 tell shares apart that differ by about 30 %, 400 by about 10 %.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub futures: u64,
    /// Moments, evenly from the end of the start-up to just before the law was broken.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(2..=1_000))]
    pub moments: u64,
    /// How often the stretch in which the probability jumps is halved.
    #[arg(long, default_value_t = 5, value_name = "TIMES", value_parser = clap::value_parser!(u32).range(0..=40))]
    pub refine: u32,
    /// Runs at a time; 0 is one per core.
    #[arg(long, default_value_t = 0)]
    pub jobs: usize,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `sim outcomes`.
#[derive(Debug, Args)]
pub struct OutcomesArgs {
    /// One variant only.
    #[arg(long)]
    pub variant: Option<String>,
    /// One length of the cut only, e.g. `30s`.
    #[arg(long, value_name = "SPAN")]
    pub cut: Option<String>,
    /// Seeds of each cell.
    #[arg(long, default_value_t = 21)]
    pub seeds: u64,
    /// Runs at a time; 0 is one per core.
    #[arg(long, default_value_t = 0)]
    pub jobs: usize,
    /// Run nothing, print the scenario files.
    #[arg(long)]
    pub show: bool,
}

/// What to do with defects.
#[derive(Debug, Subcommand)]
pub enum DefectsCommand {
    /// Id, switch, ticket, law, first releases with the repaired rule, and the scenarios that show it.
    List,
    /// Run the scenarios about defects: each must break its law with its switches on, and no law without.
    Verify(VerifyArgs),
    /// Switch one defect on at a time and fuzz until something breaks: schedules and seconds to the first failure, share of failing
    /// schedules with its 95 % interval, and what the failure shrinks to.
    Hunt(HuntArgs),
}

/// `sim defects hunt`.
#[derive(Debug, Args)]
pub struct HuntArgs {
    /// Switches to hunt, by word or id; default is all that the catalogue expects within 1,000 random schedules (marks E and M).
    #[arg(value_name = "SWITCH")]
    pub defects: Vec<String>,
    /// Give a switch up after so many schedules.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub within: u64,
    /// Run at least so many schedules of each campaign, so that the share of failing ones is known with some certainty.
    #[arg(long, default_value_t = 64)]
    pub at_least: u64,
    /// How schedules are chosen; given twice, both ways are compared.
    #[arg(long, value_enum, default_values_t = [StrategyArg::Random])]
    pub strategy: Vec<StrategyArg>,
    /// Campaigns for each switch and strategy, each with seeds of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub campaigns: u64,
    /// Which faults: wan, disk, clock, flap, everything.
    #[arg(long, default_value = "everything", value_name = "WORD")]
    pub profile: String,
    /// Longest time to shrink the first failure of a switch; `0s` is not at all.
    #[arg(long, default_value = "30s", value_name = "SPAN")]
    pub shrink: String,
    /// Keep the replay files of first failures, as found and shrunk, in this directory.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Runs at a time; 0 is one per core. Results do not depend on it.
    #[arg(long, default_value_t = 0)]
    pub jobs: usize,
    /// The name of a built-in scenario, or a scenario file, that worlds are drawn from. Default: that of `sim fuzz`.
    #[arg(long, value_name = "NAME|FILE")]
    pub scenario: Option<String>,
    /// Changes to the scenario.
    #[command(flatten)]
    pub changes: Changes,
}

/// `sim defects verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// One of the scenarios; default is all.
    pub scenario: Option<String>,
    /// Seeds that must pass with every defect repaired.
    #[arg(long, default_value_t = 20)]
    pub seeds: u64,
    /// Runs at a time; 0 is one per core.
    #[arg(long, default_value_t = 0)]
    pub jobs: usize,
}

/// `sim run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The name of a built-in scenario, or a scenario file (`*.yaml`).
    #[arg(conflicts_with_all = ["server_properties", "zoo_cfg"])]
    pub scenario: Option<String>,
    /// The brokers' own `server.properties`: a path or a quoted glob; may be given several times.
    #[arg(long, value_name = "GLOB", requires = "zoo_cfg")]
    pub server_properties: Vec<String>,
    /// The ensemble's own `zoo.cfg`.
    #[arg(long, value_name = "FILE", requires = "server_properties")]
    pub zoo_cfg: Option<PathBuf>,
    /// How to run it.
    #[command(flatten)]
    pub flags: RunFlags,
}

/// Flags of a run.
#[derive(Debug, Args)]
pub struct RunFlags {
    /// The seed: it decides the schedule and every draw of the run.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Another seed for the start-up: runs that share it begin alike, whatever `--seed` is.
    #[arg(long, value_name = "SEED")]
    pub start_up_seed: Option<u64>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Print only failures.
    #[arg(long, short)]
    pub quiet: bool,
    /// Run it twice instead, compare event by event, and name the first difference. Exit status 3 if there is one.
    #[arg(long, conflicts_with = "record")]
    pub check_determinism: bool,
    /// Write a replay file, whatever the outcome. A failing run writes one in any case.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Changes to the scenario.
    #[command(flatten)]
    pub changes: Changes,
}

impl RunFlags {
    /// Both seeds.
    pub fn seeds(&self) -> Seeds {
        Seeds { start_up: self.start_up_seed.unwrap_or(self.seed), faults: self.seed }
    }
}

/// `sim shrink`.
#[derive(Debug, Args)]
pub struct ShrinkArgs {
    /// A replay file of a failing run.
    #[arg(required_unless_present = "scenario", conflicts_with = "scenario")]
    pub file: Option<PathBuf>,
    /// Instead of a file: a built-in scenario or a scenario file, with `--seed`.
    #[arg(long, value_name = "NAME|FILE", requires = "seed")]
    pub scenario: Option<String>,
    /// The seed of the scenario.
    #[arg(long, requires = "scenario")]
    pub seed: Option<u64>,
    /// The seed of the start-up, if it is another one.
    #[arg(long, requires = "scenario")]
    pub start_up_seed: Option<u64>,
    /// What is wrong has to stay the same too, numbers aside, not only the law.
    #[arg(long)]
    pub same_signature: bool,
    /// Where to write the replay file; the scenario file goes beside it as `*.yaml`. Default: `*.min.flt` beside the file given.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// How long it may take. If that cuts it off, the result depends on the machine, and the output says so.
    #[arg(long, value_name = "SPAN", default_value = "60s", default_value_if("runs", ArgPredicate::IsPresent, None))]
    pub budget: Option<String>,
    /// How many runs it may take; the result is then the same everywhere. Unless `--budget` is given too, time is no bound.
    #[arg(long, value_name = "N")]
    pub runs: Option<u64>,
    /// Runs at a time; 0 is one per core. The result does not depend on it.
    #[arg(long, default_value_t = 0)]
    pub jobs: usize,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Changes to the scenario.
    #[command(flatten)]
    pub changes: Changes,
}

/// `sim survey`.
#[derive(Debug, Args)]
pub struct SurveyArgs {
    /// The name of a built-in scenario, or a scenario file.
    #[arg(default_value = "stretch-cluster")]
    pub scenario: String,
    /// Seeds `A..B`, B excluded.
    #[arg(long, default_value = "0..200", value_parser = seeds)]
    pub seeds: (u64, u64),
    /// Runs at a time; 0 is one per core.
    #[arg(long, default_value_t = 0)]
    pub jobs: usize,
    /// The event queue: wheel, binary-heap, 4-ary-heap or radix-heap. It changes how fast runs are and nothing else.
    #[arg(long, value_name = "KIND", default_value = QueueKind::default().name(), value_parser = queue)]
    pub queue: QueueKind,
    /// Changes to the scenario.
    #[command(flatten)]
    pub changes: Changes,
}

fn queue(word: &str) -> Result<QueueKind, String> {
    let all = QueueKind::ALL.map(QueueKind::name).join(", ");
    QueueKind::parse(word).ok_or_else(|| format!("there is no such queue; expected one of: {all}"))
}

/// `sim fidelity`.
#[derive(Debug, Args)]
pub struct FidelityArgs {
    /// Measured runs, a JSON object a line, in the format of the raw measurements; without it, those of ZooKeeper 3.8.0 that
    /// are built in.
    #[arg(long, value_name = "FILE")]
    pub data: Option<PathBuf>,
    /// Only this case; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub case: Vec<String>,
    /// Seeds of each case.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub seeds: u64,
    /// Runs at a time; 0 is one per core.
    #[arg(long, default_value_t = 0)]
    pub jobs: usize,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Instead, print the scenario of this seed of each case, as a file for `sim run`.
    #[arg(long, value_name = "SEED")]
    pub rig: Option<u64>,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// JSON Lines, as `docs/json-lines.md` describes.
    Json,
}
