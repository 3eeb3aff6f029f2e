//! A defect that is switched on breaks its law; with the repaired rule the same seeds hold every law.

use models::laws::Outcome;
use scenarios::Scenario;

use crate::run;

/// The laws that a seed breaks.
fn broken(scenario: &Scenario, seed: u64) -> Vec<&'static str> {
    let reports = run(scenario, seed).judgement.reports;
    reports.iter().filter(|report| matches!(report.outcome, Outcome::Broken(_))).map(|report| report.name).collect()
}

#[test]
fn every_defect_of_the_library_breaks_its_law_and_its_repair_none() {
    for entry in scenarios::library::defects() {
        let name = entry.name;
        let scenario = entry.scenario().expect("every scenario of the library is valid");
        let shown = scenario.demonstrates.as_ref().expect("a scenario about a defect says what it demonstrates");
        let seed = (0..u64::from(shown.within)).find(|seed| broken(&scenario, *seed).contains(&shown.law.as_str()));
        let Some(seed) = seed else { panic!("{name}: no seed below {} breaks {}", shown.within, shown.law) };
        let without = broken(&scenario.repaired(), seed);
        assert!(without.is_empty(), "{name} with its defects repaired, seed {seed}: {without:?}");
    }
}
