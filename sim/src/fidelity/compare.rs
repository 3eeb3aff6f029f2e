//! Whether measured and simulated runs of a case agree, metric by metric.
//!
//! Where runs of a case take different courses (a race), the shares of the courses must be compatible, and times are compared
//! within each course. Elsewhere all runs must take the same one, and categories must be equal in all of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::exact;
use super::metrics::{Branch, Category, Measures, Metric};

/// Two samples are compatible if their difference is at least as likely as this.
const SIGNIFICANCE: f64 = 0.01;
/// Medians of times may differ by this share, or by [`MEDIAN_MS`] if that is more.
const MEDIAN_SHARE: f64 = 0.1;
/// See [`MEDIAN_SHARE`].
const MEDIAN_MS: f64 = 500.0;
/// Medians of counts may differ by this much, or by [`MEDIAN_SHARE`] if that is more.
const MEDIAN_COUNT: f64 = 2.0;
/// The simulated 5 to 95 % range of times may be this many times the measured range ...
const RANGE_FACTOR: f64 = 2.0;
/// ... and this much more, ms; for counts, twice as many things as medians may differ by.
const RANGE_MS: f64 = 1_000.0;
/// Fewer measured runs have neither a median nor a range that would say anything.
const FEWEST: usize = 3;

/// A sample in five numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// How many runs showed it at all.
    pub runs: usize,
    /// The smallest value.
    pub min: f64,
    /// The 5 % quantile.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// The 95 % quantile.
    pub high: f64,
    /// The largest value.
    pub max: f64,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// What is compared.
    pub metric: String,
    /// Measured.
    pub real: String,
    /// Simulated.
    pub simulated: String,
    /// Whether they agree.
    pub agree: bool,
    /// Why not, or what has not been judged.
    pub remark: String,
    /// Of a disagreement, the probability of one as large between samples of the same distribution; `None` where there must
    /// be none at all.
    pub p: Option<f64>,
}

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename = "case")]
pub struct CaseReport {
    /// The case.
    pub case: String,
    /// Measured runs.
    pub real_runs: usize,
    /// Simulated runs.
    pub simulated_runs: usize,
    /// The table.
    pub findings: Vec<Finding>,
}

impl Sample {
    /// The five numbers; `None` of nothing.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let at = |share: f64| {
            let place = share * (values.len() - 1) as f64;
            let (below, above) = (place.floor() as usize, place.ceil() as usize);
            values[below] + (values[above] - values[below]) * (place - place.floor())
        };
        Some(Self { runs: values.len(), min, low: at(0.05), median: at(0.5), high: at(0.95), max })
    }

    fn text(&self, of: usize) -> String {
        let missing = if self.runs < of { format!(" [{} of {of}]", self.runs) } else { String::new() };
        format!("{:.0} / {:.0} / {:.0}{missing}", self.min, self.median, self.max)
    }
}

impl CaseReport {
    /// Compares the runs of a case. `failures` tells of simulated runs that could not be told.
    pub fn new(case: &str, real: &[Measures], simulated: &[Measures], failures: &[String]) -> Self {
        let mut findings = Vec::new();
        findings.extend(failures.first().map(|first| Finding {
            metric: "runs that can be compared".to_owned(),
            real: format!("{} of {}", real.len(), real.len()),
            simulated: format!("{} of {}", simulated.len(), simulated.len() + failures.len()),
            agree: false,
            remark: first.clone(),
            p: None,
        }));
        findings.push(branches(real, simulated));
        let courses: BTreeSet<Branch> = real.iter().chain(simulated).map(|run| run.branch).collect();
        let race = courses.len() > 1;
        for category in real.iter().chain(simulated).flat_map(|run| run.categories.keys()).collect::<BTreeSet<_>>() {
            findings.extend(self::category(*category, real, simulated, race));
        }
        for course in courses {
            let of = |runs: &[Measures]| runs.iter().filter(|run| run.branch == course).cloned().collect::<Vec<_>>();
            findings.extend(course_findings(&of(real), &of(simulated), race.then_some(course)));
        }
        Self { case: case.to_owned(), real_runs: real.len(), simulated_runs: simulated.len(), findings }
    }

    /// Whether everything agrees.
    pub fn agrees(&self) -> bool {
        self.findings.iter().all(|finding| finding.agree)
    }
}

/// The shares of the courses.
fn branches(real: &[Measures], simulated: &[Measures]) -> Finding {
    let count =
        |runs: &[Measures]| Branch::ALL.map(|course| runs.iter().filter(|run| run.branch == course).count() as u64);
    let (first, second) = (count(real), count(simulated));
    let text = |counts: &[u64]| {
        let shown = Branch::ALL.iter().zip(counts).filter(|(_, count)| **count > 0);
        shown.map(|(course, count)| format!("{count} {}", course.name())).collect::<Vec<_>>().join(", ")
    };
    let p = exact::p_value(&first, &second);
    Finding {
        metric: "course of the run".to_owned(),
        real: text(&first),
        simulated: text(&second),
        agree: p >= SIGNIFICANCE,
        remark: if p < 1.0 { format!("exact test: p = {p:.3}") } else { String::new() },
        p: Some(p),
    }
}

/// In a race only what must never happen is judged, and values that never occurred together.
fn category(category: Category, real: &[Measures], simulated: &[Measures], race: bool) -> Option<Finding> {
    let values = |runs: &[Measures]| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for value in runs.iter().filter_map(|run| run.categories.get(&category)) {
            *counts.entry(value.clone()).or_default() += 1;
        }
        counts
    };
    let (first, second) = (values(real), values(simulated));
    if race && category != Category::AcknowledgedLost {
        return None;
    }
    let text = |counts: &BTreeMap<String, usize>| {
        counts.iter().map(|(value, count)| format!("{value} ({count}x)")).collect::<Vec<_>>().join(", ")
    };
    let agree = match category {
        Category::AcknowledgedLost => second.keys().all(|value| value == "0"),
        _ if first.len() == 1 => first.keys().eq(second.keys()),
        _ => second.keys().all(|value| first.contains_key(value)),
    };
    let remark = if agree { "" } else { "other values than measured" };
    Some(Finding {
        metric: category.name(),
        real: text(&first),
        simulated: text(&second),
        agree,
        remark: remark.to_owned(),
        p: None,
    })
}

fn course_findings(real: &[Measures], simulated: &[Measures], course: Option<Branch>) -> Vec<Finding> {
    if real.is_empty() || simulated.is_empty() {
        // The shares say whether that is compatible.
        return Vec::new();
    }
    let metrics: BTreeSet<Metric> = real.iter().chain(simulated).flat_map(|run| run.numbers.keys().copied()).collect();
    metrics.into_iter().map(|metric| number(metric, real, simulated, course)).collect()
}

fn number(metric: Metric, real: &[Measures], simulated: &[Measures], course: Option<Branch>) -> Finding {
    let sample =
        |runs: &[Measures]| Sample::of(runs.iter().filter_map(|run| run.numbers.get(&metric).copied()).collect());
    let (first, second) = (sample(real), sample(simulated));
    let text = |sample: &Option<Sample>, of: usize| sample.map_or_else(|| "never".to_owned(), |s| s.text(of));
    let shown = |sample: &Option<Sample>| sample.map_or(0, |s| s.runs as u64);
    let presence = |sample: &Option<Sample>, of: usize| [shown(sample), of as u64 - shown(sample)];
    let mut p = exact::p_value(&presence(&first, real.len()), &presence(&second, simulated.len()));
    let mut faults = Vec::new();
    if p < SIGNIFICANCE {
        faults.push(format!("seen in other shares of runs (p = {p:.3})"));
    }
    let mut remark = String::new();
    match (first, second) {
        (Some(first), Some(_)) if first.runs < FEWEST => {
            remark = format!("{} measured: values not judged", first.runs);
        }
        (Some(first), Some(second)) => {
            faults.extend(differences(metric, &first, &second, course.is_some()));
            if !faults.is_empty() {
                let values: Vec<f64> = simulated.iter().filter_map(|run| run.numbers.get(&metric).copied()).collect();
                let median = exact::median_p_value(&values, first.runs, first.median);
                faults.push(format!("a median of {} simulated runs is as far off with p = {median:.2}", first.runs));
                p = p.min(median);
            }
        }
        _ => {}
    }
    let agree = faults.is_empty();
    let name = metric.name();
    Finding {
        metric: course.map_or_else(|| name.clone(), |course| format!("{}: {name}", course.name())),
        real: text(&first, real.len()),
        simulated: text(&second, simulated.len()),
        agree,
        remark: if agree { remark } else { faults.join("; ") },
        p: Some(p),
    }
}

/// How two samples of a number differ more than they may.
fn differences(metric: Metric, real: &Sample, simulated: &Sample, race: bool) -> Vec<String> {
    let (least, widening) = if metric.is_count() { (MEDIAN_COUNT, 2.0 * MEDIAN_COUNT) } else { (MEDIAN_MS, RANGE_MS) };
    let mut faults = Vec::new();
    if (simulated.median - real.median).abs() > (real.median.abs() * MEDIAN_SHARE).max(least) {
        faults.push("medians differ".to_owned());
    }
    if race {
        return faults;
    }
    if real.median < simulated.low || real.median > simulated.high {
        faults.push(format!("measured median outside {:.0}..{:.0}", simulated.low, simulated.high));
    }
    if simulated.high - simulated.low > RANGE_FACTOR * (real.max - real.min) + widening {
        faults.push(format!("too wide: {:.0}..{:.0}", simulated.low, simulated.high));
    }
    faults
}
