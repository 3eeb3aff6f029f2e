//! Reads scenarios and an operator's own files.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use scenarios::Scenario;
use scenarios::import;

use super::Failure;

/// An operator's cluster as a scenario, and what has to be said about its files.
pub(super) struct Imported {
    /// The scenario.
    pub scenario: Scenario,
    /// Options without effect and assumptions, a line each.
    pub remarks: Vec<String>,
}

/// The scenario of that name or path.
///
/// # Errors
/// There is none, or it cannot be read.
pub(super) fn scenario(name_or_path: &str) -> Result<Scenario, Failure> {
    let looks_like_a_file = name_or_path.contains(['/', '\\', '.']);
    if looks_like_a_file {
        return scenario_file(Path::new(name_or_path));
    }
    let entry = scenarios::library::find(name_or_path).map_err(Failure::Input)?;
    entry.scenario().map_err(|errors| list(&errors))
}

/// The scenario in a file.
///
/// # Errors
/// It cannot be read.
pub(super) fn scenario_file(path: &Path) -> Result<Scenario, Failure> {
    let text = read(path)?;
    Scenario::parse(&path.display().to_string(), &text).map_err(|errors| list(&errors))
}

/// The cluster in an operator's own files.
///
/// # Errors
/// A pattern matches nothing, or a file cannot be read.
pub(super) fn cluster(patterns: &[String], zoo_cfg: &Path) -> Result<Imported, Failure> {
    let mut brokers = Vec::new();
    for pattern in patterns {
        for path in expand(pattern)? {
            let text = read(&path)?;
            brokers.push((path.display().to_string(), text));
        }
    }
    let borrowed: Vec<_> = brokers.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let zoo_path = zoo_cfg.display().to_string();
    let zoo = read(zoo_cfg)?;
    let cluster = import::cluster(&borrowed, (&zoo_path, &zoo)).map_err(|errors| list(&errors))?;
    let assumptions = cluster.assumptions.iter().map(|a| format!("assumed: {a}"));
    let remarks = assumptions.chain(cluster.not_modelled.iter().map(ToString::to_string)).collect();
    Ok(Imported { scenario: cluster.scenario("imported"), remarks })
}

fn expand(pattern: &str) -> Result<Vec<PathBuf>, Failure> {
    let bad = |why: &dyn Display| Failure::Input(format!("--server-properties {pattern}: {why}"));
    let mut paths = Vec::new();
    for path in glob::glob(pattern).map_err(|error| bad(&error))? {
        paths.push(path.map_err(|error| bad(&error))?);
    }
    if paths.is_empty() {
        return Err(bad(&"no such file; expected a path or a quoted pattern such as 'conf/broker-*.properties'"));
    }
    Ok(paths)
}

/// The text of a file.
///
/// # Errors
/// It cannot be read.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::Input(format!("{}: {error}", path.display())))
}

/// All errors, a line each.
pub(super) fn list(errors: &[impl Display]) -> Failure {
    Failure::Input(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}
