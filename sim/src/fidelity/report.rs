//! The table of agreement, for people.

use std::fmt::Write as _;

use super::chance::Chance;
use super::compare::CaseReport;

/// The table of one case.
pub fn case(report: &CaseReport) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "\n{} ({} measured, {} simulated)", report.case, report.real_runs, report.simulated_runs);
    let _ = writeln!(out, "  {:<62} {:>30} {:>34}", "", "real min / median / max", "simulated min / median / max");
    for finding in &report.findings {
        let verdict = if finding.agree { "agree" } else { "DISAGREE" };
        let remark = if finding.remark.is_empty() { String::new() } else { format!("  {}", finding.remark) };
        let (metric, real, simulated) = (&finding.metric, &finding.real, &finding.simulated);
        let _ = writeln!(out, "  {metric:<62} {real:>30} {simulated:>34}  {verdict}{remark}");
    }
    out
}

/// The last lines.
pub fn verdict(reports: &[CaseReport], chance: Option<&Chance>) -> String {
    let all = reports.iter().flat_map(|report| &report.findings);
    let agreeing = all.clone().filter(|finding| finding.agree).count();
    let cases = reports.iter().filter(|report| report.agrees()).count();
    let total = all.count();
    let mut out = format!("\n{agreeing} of {total} findings agree; {cases} of {} cases agree in all\n", reports.len());
    if let Some(chance) = chance {
        let of = |share: f64| total as f64 * (1.0 - share);
        let (mean, high) = (of(chance.mean), of(chance.high));
        let verdict = match (agreeing == total, chance.explains(reports)) {
            (true, _) => "nothing disagrees",
            (false, true) => "what disagrees is no more, and no less likely, than so few measured runs explain",
            (false, false) => "that is more than so few measured runs explain",
        };
        let _ = writeln!(
            out,
            "judged by as many runs of their own, the models agree in {mean:.0} (95 %: {high:.0} or more): {verdict}"
        );
    }
    out
}
