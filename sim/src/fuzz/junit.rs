//! JUnit XML, as CI systems read it.

use std::collections::BTreeMap;

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::case::CaseResult;
use super::spec::Spec;
use crate::guard::PANIC;

/// A suite with a test case for each seed.
///
/// # Errors
/// The report cannot be written as XML.
pub fn report(
    spec: &Spec,
    results: &BTreeMap<u64, CaseResult>,
    repeat: impl Fn(u64) -> String,
) -> Result<String, SerializeError> {
    let suite_name = format!("sim fuzz {} ({})", spec.name, spec.profile.word());
    let mut suite = TestSuite::new(suite_name.clone());
    for result in results.values() {
        let status = match &result.failure {
            None => TestCaseStatus::success(),
            Some(failure) => {
                let kind = if failure.law == PANIC { NonSuccessKind::Error } else { NonSuccessKind::Failure };
                let mut status = TestCaseStatus::non_success(kind);
                status.set_type(failure.law.as_str());
                status.set_message(failure.what.as_str());
                let replay = failure.replay.as_deref().map_or_else(String::new, |file| format!("replay {file}\n"));
                status.set_description(format!("{}\nrepeat {}\n{replay}", failure.what, repeat(result.seed)));
                status
            }
        };
        let mut case = TestCase::new(format!("seed {}", result.seed), status);
        case.set_classname(suite_name.as_str());
        suite.add_test_case(case);
    }
    let mut report = Report::new("faultline");
    report.add_test_suite(suite);
    report.to_string()
}
