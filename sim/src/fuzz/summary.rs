//! What the results of a campaign add up to.

use std::collections::BTreeMap;

use serde::Serialize;

use super::case::CaseResult;
use super::findings::{self, Group};
use crate::guard::PANIC;

/// What a campaign came to. The same for the same set of results, in whatever order they came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Cases run.
    pub cases: u64,
    /// Cases that broke something.
    pub failures: u64,
    /// Cases that panicked, among the failures.
    pub panics: u64,
    /// Inputs that processes were given, in all.
    pub inputs: u64,
    /// Virtual nanoseconds, in all.
    pub virtual_ns: u64,
    /// XOR of the fingerprints of all cases.
    pub fingerprint: u64,
    /// How many cases reached each state of interest.
    pub reached: BTreeMap<String, u64>,
    /// The failures, grouped.
    pub groups: Vec<Group>,
}

impl Summary {
    /// Adds results up.
    pub fn of(results: &BTreeMap<u64, CaseResult>) -> Self {
        let mut summary = Self { groups: findings::group(results.values()), ..Self::default() };
        for (word, _) in models::laws::Coverage::default().flags() {
            summary.reached.insert(word.to_owned(), 0);
        }
        for result in results.values() {
            summary.cases += 1;
            summary.inputs += result.inputs;
            summary.virtual_ns += result.virtual_ns;
            summary.fingerprint ^= result.fingerprint;
            for word in &result.reached {
                *summary.reached.entry(word.clone()).or_default() += 1;
            }
            if let Some(failure) = &result.failure {
                summary.failures += 1;
                summary.panics += u64::from(failure.law == PANIC);
            }
        }
        summary
    }
}
