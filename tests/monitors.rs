//! A monitor sees the brokers of its own side of a cut: what adds up to one in the cluster may be none, or too many, for it.

use std::collections::BTreeMap;

use models::observation::Observation;

use crate::{scenario, watch};

#[test]
fn each_site_adds_up_what_it_can_reach() {
    let mut scenario = scenario("wan-cut-two-controllers");
    let cut = scenario.faults[0].clone();
    scenario.phases.faults = cut.at + cut.duration;
    let begin = models::time::Instant::ZERO + scenario.phases.warm_up + cut.at;
    let mut seen: BTreeMap<String, Vec<(u32, u32)>> = BTreeMap::new();
    let mut during: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    // Every broker is scraped once within the interval, and a scrape that fails takes its timeout.
    let settled = begin + scenario.monitoring.interval + scenario.monitoring.timeout;
    watch(&scenario, 1, |observed| {
        if let Observation::ControllersSeen { site, sum, reached } = &observed.what {
            seen.entry(site.to_string()).or_default().push((*sum, *reached));
            if observed.at <= settled {
                during.insert(site.to_string(), (*sum, *reached));
            }
        }
    });
    let sums: Vec<u32> = during.values().map(|(sum, _)| *sum).collect();
    assert_eq!(sums.iter().sum::<u32>(), 1, "the controller is on one side: {during:?}");
    assert!(during.values().all(|(_, reached)| *reached == 2), "{during:?}");
    assert!(seen.values().all(|views| views.last() == Some(&(1, 4))), "after the cut both see all four: {seen:?}");
}
