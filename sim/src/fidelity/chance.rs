//! How many disagreements chance alone explains.
//!
//! Three measured runs have a median that says little where times are spread over two humps, and hundreds of findings are judged.
//! So the models are judged against themselves: as many simulated runs as were measured stand for the measured ones, and the
//! others are compared with them by the same rules. What disagrees then is what a model without any error would show.

use models::random::{Purpose, Random};
use serde::Serialize;

use super::compare::{CaseReport, Finding};
use super::metrics::Measures;

/// How often the models are judged against themselves.
const ROUNDS: u64 = 200;
/// The family-wise level of the least likely finding.
const SIGNIFICANCE: f64 = 0.01;

/// The runs of a case.
#[derive(Clone, Debug)]
pub struct CaseRuns {
    /// Its name.
    pub case: String,
    /// Measured.
    pub real: Vec<Measures>,
    /// Simulated.
    pub simulated: Vec<Measures>,
}

/// Disagreements of the models with themselves, as a share of the findings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "chance")]
pub struct Chance {
    /// The mean share.
    pub mean: f64,
    /// 95 of 100 rounds have no larger share.
    pub high: f64,
}

impl Chance {
    /// Judges simulated runs against others of the same cases; `None` where there are too few to be set against each other.
    pub fn of(cases: &[CaseRuns]) -> Option<Self> {
        if cases.iter().any(|case| case.simulated.len() < 2 * case.real.len().max(1)) {
            return None;
        }
        let mut shares: Vec<f64> = (0..ROUNDS).map(|round| share(cases, round)).collect();
        shares.sort_by(f64::total_cmp);
        let mean = shares.iter().sum::<f64>() / shares.len() as f64;
        Some(Self { mean, high: shares[shares.len() * 95 / 100 - 1] })
    }

    /// Whether disagreements are no more than chance explains, none is of a kind that chance must not touch (what is never
    /// lost, who may lead), and none is less likely than one of a hundred tables like this one would have.
    pub fn explains(&self, reports: &[CaseReport]) -> bool {
        let findings: Vec<&Finding> = reports.iter().flat_map(|report| &report.findings).collect();
        let least = SIGNIFICANCE / findings.len().max(1) as f64;
        let disagreeing: Vec<_> = findings.iter().filter(|finding| !finding.agree).collect();
        disagreeing.iter().all(|finding| finding.p.is_some_and(|p| p >= least))
            && disagreeing.len() as f64 <= self.high * findings.len() as f64
    }
}

/// The share of disagreeing findings where drawn runs stand for the measured ones.
fn share(cases: &[CaseRuns], round: u64) -> f64 {
    let (mut disagreeing, mut all) = (0, 0);
    for (at, case) in cases.iter().enumerate() {
        let mut random = Random::new(round, Purpose::Resampling, at as u64);
        let mut rest = case.simulated.clone();
        let real: Vec<Measures> =
            case.real.iter().map(|_| rest.swap_remove(random.below(rest.len() as u64) as usize)).collect();
        let report = CaseReport::new(&case.case, &real, &rest, &[]);
        disagreeing += report.findings.iter().filter(|finding| !finding.agree).count();
        all += report.findings.len();
    }
    disagreeing as f64 / all.max(1) as f64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::fidelity::metrics::{Branch, Category, Metric};

    /// Runs whose one number is `times`, in ms, and that lost `lost` writes.
    fn runs(times: impl Iterator<Item = f64>, lost: &str) -> Vec<Measures> {
        times
            .map(|time| Measures {
                branch: Branch::NoElection,
                numbers: BTreeMap::from([(Metric::AllServing, time)]),
                categories: BTreeMap::from([(Category::AcknowledgedLost, lost.to_owned())]),
            })
            .collect()
    }

    /// Two humps, as times have that depend on which retry succeeds.
    fn humps(count: u32) -> impl Iterator<Item = f64> {
        (0..count).map(|n| f64::from(n % 2) * 2_000.0 + f64::from(n))
    }

    fn judged(real: Vec<Measures>, simulated: Vec<Measures>) -> (bool, bool) {
        let runs = CaseRuns { case: "case".to_owned(), real, simulated };
        let reports = [CaseReport::new(&runs.case, &runs.real, &runs.simulated, &[])];
        let chance = Chance::of(&[runs]).expect("there are enough runs");
        (reports[0].agrees(), chance.explains(&reports))
    }

    #[test]
    fn few_runs_between_two_humps_are_explained() {
        assert_eq!(judged(runs([2_010.0, 2_020.0, 15.0].into_iter(), "0"), runs(humps(51), "0")), (false, true));
    }

    #[test]
    fn what_no_simulated_run_does_is_not_explained() {
        assert_eq!(judged(runs([9_000.0, 9_100.0, 9_200.0].into_iter(), "0"), runs(humps(51), "0")), (false, false));
    }

    #[test]
    fn a_lost_write_is_never_explained() {
        assert_eq!(judged(runs(humps(3), "0"), runs(humps(51), "1")), (false, false));
    }

    #[test]
    fn too_few_runs_are_not_set_against_each_other() {
        let runs = CaseRuns { case: "case".to_owned(), real: runs(humps(3), "0"), simulated: runs(humps(5), "0") };
        assert_eq!(Chance::of(&[runs]), None);
    }
}
