//! JSON Lines, as `docs/json-lines.md` describes them.

use std::io::{self, Write};

use models::laws::{LawReport, Outcome, ServiceLevels};
use models::observation::{self, Observed};
use models::time::{Instant, Span};
use scenarios::deployment::Deployment;
use scenarios::schedule::Schedule;
use scenarios::{Scenario, Seeds};
use serde::Serialize;
use serde_json::json;

use super::figures::Summary;
use crate::kernel::Observer;
use crate::run::Finished;

/// Version of the line format.
const FORMAT: u32 = 1;

/// Writes lines; the first error is kept, and nothing is written after it.
pub struct JsonLines<W> {
    out: W,
    error: Option<io::Error>,
}

#[derive(Serialize)]
struct ObservationLine<'a> {
    r#type: &'static str,
    #[serde(flatten)]
    seen: &'a Observed,
}

impl<W: Write> JsonLines<W> {
    /// A writer of lines.
    pub fn new(out: W) -> Self {
        Self { out, error: None }
    }

    /// The `run` line.
    pub fn run(&mut self, scenario: &Scenario, deployment: &Deployment, seeds: Seeds, schedule: &Schedule) {
        let start = Instant::ZERO + scenario.phases.warm_up;
        let processes: Vec<_> = deployment
            .processes
            .iter()
            .map(|p| {
                let host = scenario.topology.host_name(p.host);
                json!({"id": p.id, "name": p.name, "host": host, "site": scenario.topology.site_name_of(p.host)})
            })
            .collect();
        let faults: Vec<_> = schedule
            .faults
            .iter()
            .map(|f| json!({"fault": f.id, "at_ns": f.at, "for_ns": f.duration, "text": f.text(scenario)}))
            .collect();
        self.line(&json!({
            "type": "run",
            "format": FORMAT,
            "observations": observation::VERSION,
            "build": crate::build_identity(),
            "scenario": scenario.name,
            "seed": seeds.faults,
            "start_up_seed": seeds.start_up,
            "warm_up_ns": scenario.phases.warm_up,
            "faults_end_ns": start + schedule.end().max(scenario.phases.faults),
            "processes": processes,
            "schedule": faults,
        }));
    }

    /// All lines after the observations.
    pub fn end(&mut self, finished: &Finished, figures: &Summary, replay: Option<&str>, exit: u8) {
        for report in &finished.judgement.reports {
            self.law(report);
        }
        for met in &finished.judgement.expectations {
            self.line(&json!({"type": "expectation", "expectation": met.name, "met": met.met, "what": met.what}));
        }
        let [zero, one, more]: [Span; 3] = finished.judgement.controllers;
        self.line(&json!({
            "type": "figures",
            "figures": figures,
            "controllers_ns": {"none": zero, "one": one, "more": more},
            "recovery_ns": finished.judgement.recovery,
            "service": service(&finished.judgement.service),
        }));
        self.line(&json!({
            "type": "end",
            "at": finished.outcome.ended,
            "events": finished.outcome.events,
            "fingerprint": format!("{:016x}", finished.outcome.fingerprint),
            "exit": exit,
            "replay": replay,
        }));
    }

    /// What was written, or why not.
    ///
    /// # Errors
    /// The first error of the writer.
    pub fn finish(mut self) -> io::Result<()> {
        match self.error.take() {
            Some(error) => Err(error),
            None => self.out.flush(),
        }
    }

    fn law(&mut self, report: &LawReport) {
        let (outcome, violation) = match &report.outcome {
            Outcome::Held => ("held", None),
            Outcome::Broken(violation) => ("broken", Some(violation)),
            Outcome::NotExercised => ("not_exercised", None),
            Outcome::NotJudged(_) => ("not_judged", None),
        };
        let mut line = json!({
            "type": "law",
            "law": report.name,
            "source": report.source,
            "outcome": outcome,
            "judged": report.judged,
            "permitted": report.permitted,
            "notes": report.notes,
            "longest_wait_ns": report.longest_wait,
        });
        if let Some(violation) = violation {
            line["at"] = json!(violation.at);
            line["process"] = json!(violation.process);
            line["what"] = json!(violation.what);
            line["state"] = json!(violation.state);
        }
        self.line(&line);
    }

    fn line(&mut self, value: &impl Serialize) {
        if self.error.is_some() {
            return;
        }
        let written = serde_json::to_writer(&mut self.out, value).map_err(io::Error::from);
        self.error = written.and_then(|()| self.out.write_all(b"\n")).err();
    }
}

fn service(levels: &ServiceLevels) -> serde_json::Value {
    json!({
        "detect_ns": levels.detect,
        "failovers": levels.failovers,
        "never_recovered": levels.never_recovered,
        "failover_ns": {"p50": levels.failover_p50, "p99": levels.failover_p99, "max": levels.failover_max},
        "unavailable_ns": {"max": levels.unavailable_max, "sum": levels.unavailable_sum},
        "replication_lag_ns": levels.replication_lag,
        "under_replicated_ns": levels.under_replicated,
        "under_min_isr_ns": levels.under_min_isr,
        "stale_read_ns": {"max": levels.stale_read_max, "p99": levels.stale_read_p99},
    })
}

impl<W: Write> Observer for JsonLines<W> {
    fn observe(&mut self, seen: &Observed) {
        self.line(&ObservationLine { r#type: "observation", seen });
    }
}
