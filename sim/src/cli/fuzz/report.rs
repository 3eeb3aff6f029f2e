//! What `sim fuzz` prints at its end, and the JSON summary.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use models::time::{Instant, Span};
use serde_json::json;

use super::repeat::Repeat;
use crate::fuzz::memory;
use crate::fuzz::spec::Spec;
use crate::fuzz::summary::Summary;

/// How fast it went: of the cases that were run now, not of those that an earlier campaign had finished.
pub(super) struct Speed {
    /// Cases.
    pub(super) cases: u64,
    /// Inputs.
    pub(super) inputs: u64,
    /// Real time.
    pub(super) elapsed: Duration,
}

impl Speed {
    fn per_second(&self, count: u64) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
    }
}

/// The report for people.
pub(super) fn text(spec: &Spec, summary: &Summary, speed: &Speed, repeat: &Repeat, folder: Option<&Path>) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{}: {} schedules of profile `{}`, seeds {}, {} of virtual time, {} inputs",
        spec.name,
        summary.cases,
        spec.profile.word(),
        spec.seeds(),
        Span::from_ns(summary.virtual_ns),
        summary.inputs
    );
    if speed.cases > 0 {
        let peak = memory::peak().map_or_else(String::new, |bytes| format!(", peak memory {} MiB", bytes >> 20));
        let _ = writeln!(
            out,
            "{} run now in {:.1} s: {:.1} schedules/s, {:.0} inputs/s{peak}",
            speed.cases,
            speed.elapsed.as_secs_f64(),
            speed.per_second(speed.cases),
            speed.per_second(speed.inputs)
        );
    }
    out.push_str("\nshare of schedules with\n");
    for (word, count) in &summary.reached {
        let permille = count * 1000 / summary.cases.max(1);
        let _ = writeln!(out, "  {word:<26} {:>3}.{} %", permille / 10, permille % 10);
    }
    let _ = writeln!(out, "\n{} of {} schedules failed", summary.failures, summary.cases);
    for group in &summary.groups {
        let at = Instant::from_ns(group.at_ns);
        let _ = writeln!(
            out,
            "\n{} in {} schedules, the smallest seed is {} ({} faults): {} at {at}",
            group.law, group.seeds, group.smallest, group.faults, group.what
        );
        let _ = writeln!(out, "  repeat  {}", repeat.command(group.smallest));
        if let Some(file) = group.replay.as_deref() {
            let file = folder.map_or_else(|| file.into(), |folder| folder.join(file));
            let _ = writeln!(out, "  replay  cargo run -p sim -- replay {}", file.display());
            let _ = writeln!(out, "  shrink  cargo run -p sim -- shrink {}", file.display());
        }
    }
    let _ = writeln!(out, "fingerprint of all {:016x}", summary.fingerprint);
    out
}

/// The summary for programs.
pub(super) fn json(spec: &Spec, summary: &Summary, speed: &Speed, repeat: &Repeat, interrupted: bool) -> String {
    let groups: Vec<_> = summary
        .groups
        .iter()
        .map(|group| {
            json!({
                "law": group.law,
                "signature": group.signature,
                "schedules": group.seeds,
                "smallest_seed": group.smallest,
                "faults": group.faults,
                "at_ns": group.at_ns,
                "what": group.what,
                "replay": group.replay,
                "repeat": repeat.command(group.smallest),
            })
        })
        .collect();
    let value = json!({
        "type": "fuzz",
        "build": spec.build,
        "scenario": spec.name,
        "profile": spec.profile,
        "configuration": spec.configuration,
        "strategy": spec.strategy,
        "seeds": spec.seeds(),
        "shard": format!("{}/{}", spec.shard.0, spec.shard.1),
        "interrupted": interrupted,
        "schedules": summary.cases,
        "failures": summary.failures,
        "panics": summary.panics,
        "inputs": summary.inputs,
        "virtual_ns": summary.virtual_ns,
        "fingerprint": format!("{:016x}", summary.fingerprint),
        "reached": summary.reached,
        "groups": groups,
        "run_now": {
            "schedules": speed.cases,
            "inputs": speed.inputs,
            "seconds": speed.elapsed.as_secs_f64(),
            "schedules_per_second": speed.per_second(speed.cases),
            "peak_memory_bytes": memory::peak(),
        },
    });
    format!("{value:#}\n")
}
