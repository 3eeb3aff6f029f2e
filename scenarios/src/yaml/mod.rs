//! Scenario files. [`node`] turns text into a tree with positions, [`fields`] reads trees and collects errors, the other
//! modules read one part of a scenario each, [`write`] prints it.

mod cluster;
mod expect;
mod faults;
mod fields;
mod node;
mod root;
mod topology;
mod workload;
mod write;

use std::fmt;

pub(crate) use root::parse;
pub(crate) use write::write;

/// One thing that is wrong with a scenario file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScenarioError {
    /// The file, as it was named.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// The field, such as `topology.hosts.zk1.site`; empty for the file as a whole.
    pub field: String,
    /// What is wrong, what would be valid, and the nearest valid word.
    pub message: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ScenarioError {}

#[cfg(test)]
mod fault_tests;
#[cfg(test)]
mod tests;
