//! Every line of a run that a person reads.

use std::fmt::Write as _;

use models::laws::{LawReport, Outcome, ServiceLevels};
use models::time::{Instant, Span};
use scenarios::schedule::Schedule;
use scenarios::{Scenario, Seeds};

use super::figures::Summary;
use super::timeline::Line;
use crate::judge::Judgement;
use crate::run::Finished;

/// More lines than this are cut in the middle: the beginning and the end of a story are what one reads first.
const MOST_LINES: usize = 400;

/// What the seed decided, before the first step.
pub fn header(scenario: &Scenario, seeds: Seeds, schedule: &Schedule) -> String {
    let mut out = String::new();
    let cluster = &scenario.cluster;
    let _ = writeln!(out, "scenario   {} (seed {seeds})", scenario.name);
    for line in scenario.description.lines() {
        let _ = writeln!(out, "           {line}");
    }
    let sites = scenario.topology.sites.join(", ");
    let kafka = match cluster.kafka.brokers.len() {
        0 => "no Kafka".to_owned(),
        brokers => format!("{brokers} brokers (Kafka {})", cluster.kafka.version),
    };
    let (servers, version) = (cluster.zookeeper.servers.len(), &cluster.zookeeper.version);
    let _ = writeln!(out, "cluster    {kafka}, {servers} ZooKeeper servers (ZooKeeper {version}), sites {sites}");
    for link in &scenario.topology.links {
        let name = |site| scenario.topology.site_name(site);
        let _ = writeln!(out, "link       {} -> {}: {}", name(link.from), name(link.to), link.netem.text());
    }
    out.push_str(&workload(scenario));
    let defects: Vec<_> = cluster.kafka.defects.union(cluster.zookeeper.defects).iter().map(|d| d.word()).collect();
    if !defects.is_empty() {
        let _ = writeln!(out, "defects    {}", defects.join(", "));
    }
    let _ = writeln!(
        out,
        "phases     {} start-up, {} of faults, then quiet until recovered; times below count from the end of start-up",
        scenario.phases.warm_up, scenario.phases.faults
    );
    if schedule.faults.is_empty() {
        out.push_str("schedule   no faults\n");
    }
    for timed in &schedule.faults {
        let _ = writeln!(
            out,
            "schedule   {} at {} for {}: {}",
            timed.id,
            show(Instant::ZERO + timed.at, Instant::ZERO),
            timed.duration,
            timed.text(scenario)
        );
    }
    out
}

fn workload(scenario: &Scenario) -> String {
    let mut out = String::new();
    let workload = &scenario.workload;
    if scenario.cluster.has_kafka() {
        let _ = writeln!(
            out,
            "workload   {} topics x {} partitions, RF {}, min ISR {}, acks {}, {} records/s of {} bytes",
            workload.topics,
            workload.partitions,
            workload.replication_factor,
            crate::judge::min_isr(scenario),
            crate::judge::acks_word(scenario),
            workload.records_per_second,
            workload.record_size,
        );
    }
    for group in &workload.sessions {
        let config = &group.config;
        let _ = writeln!(
            out,
            "workload   {} ZooKeeper sessions of {} at {} over {} servers, a write every {}",
            group.count,
            config.session_timeout,
            scenario.topology.host_name(group.host),
            config.servers.len(),
            config.pause,
        );
    }
    out
}

/// The story.
pub fn timeline(lines: &[Line], start: Instant) -> String {
    let mut out = String::from("\nWhat happened\n");
    let before = lines.partition_point(|line| line.at < start);
    let (starting, story) = lines.split_at(before);
    for line in starting.iter().filter(|l| matches!(l.topic, "zookeeper" | "controller")) {
        write_line(&mut out, line, start);
    }
    if !starting.is_empty() {
        let _ = writeln!(out, "  {:>10}             -- start-up ends, {} lines of it not shown --", "", before);
    }
    if story.len() <= MOST_LINES {
        story.iter().for_each(|line| write_line(&mut out, line, start));
    } else {
        let half = MOST_LINES / 2;
        story[..half].iter().for_each(|line| write_line(&mut out, line, start));
        let _ = writeln!(out, "  ... {} lines left out (see --format json) ...", story.len() - MOST_LINES);
        story[story.len() - half..].iter().for_each(|line| write_line(&mut out, line, start));
    }
    out
}

fn write_line(out: &mut String, line: &Line, start: Instant) {
    let lasted = line.until - line.at;
    let lasted = if lasted >= Span::from_ms(50) { format!(" (within {lasted})") } else { String::new() };
    let _ = writeln!(out, "  {:>10}  {:<10} {}{lasted}", show(line.at, start), line.topic, line.text);
}

/// A moment relative to the end of the start-up.
fn show(at: Instant, start: Instant) -> String {
    let (sign, span) = if at >= start { ('+', at - start) } else { ('-', start - at) };
    format!("{sign}{}.{:03}", span.as_ns() / 1_000_000_000, span.as_ms() % 1_000)
}

/// Laws, with the number of facts that each judged.
pub fn laws(reports: &[LawReport]) -> String {
    let mut out = String::from("\nLaws\n");
    for report in reports {
        let outcome = match &report.outcome {
            Outcome::Held => "held".to_owned(),
            Outcome::Broken(_) => "BROKEN".to_owned(),
            Outcome::NotExercised => "not exercised".to_owned(),
            Outcome::NotJudged(why) => format!("not judged: {why}"),
        };
        let wait = report.longest_wait.map_or_else(String::new, |wait| format!(", longest wait {wait}"));
        let _ = writeln!(out, "  {:<26} {outcome:<14} {:>9} facts{wait}", report.name, report.judged);
        for note in &report.notes {
            let _ = writeln!(out, "  {:<26}   {note}", "");
        }
    }
    out
}

/// Figures of the run.
pub fn figures(summary: &Summary, judgement: &Judgement) -> String {
    let counts = &summary.counts;
    let mut out = String::from("\nFigures (from the end of start-up)\n");
    if counts.sent > 0 {
        out.push_str(&produce_figures(summary));
    }
    if summary.sessions.writes > 0 {
        let sessions = &summary.sessions;
        let _ = writeln!(
            out,
            "  sessions         {} of {} writes acknowledged, {} unknown; longest time without one {}",
            sessions.acknowledged, sessions.writes, sessions.unknown, sessions.longest_gap
        );
    }
    if counts.sent > 0 || summary.polled > 0 {
        out.push_str(&kafka_figures(summary, judgement));
        service(&mut out, &judgement.service);
    } else {
        let _ = writeln!(
            out,
            "  failovers        {} ZooKeeper elections, {} sessions expired",
            counts.zookeeper_elections, counts.sessions_expired
        );
    }
    if let Some(recovery) = judgement.recovery {
        let waits: Vec<_> =
            judgement.reports.iter().filter_map(|r| r.longest_wait.map(|wait| format!("{} {wait}", r.name))).collect();
        let _ = writeln!(out, "  recovery         {recovery} after the last heal ({})", waits.join(", "));
    }
    out
}

/// What a Kafka cluster went through.
fn kafka_figures(summary: &Summary, judgement: &Judgement) -> String {
    let mut out = String::new();
    let counts = &summary.counts;
    let _ = writeln!(
        out,
        "  failovers        {} controller elections ({} to another broker), {} ZooKeeper elections, {} sessions expired",
        counts.controller_elections, counts.controller_changes, counts.zookeeper_elections, counts.sessions_expired
    );
    let _ = writeln!(
        out,
        "  partitions       {} leader changes, {} ISR shrinks, {} expansions, {} truncations",
        counts.leader_changes, counts.isr_shrinks, counts.isr_expansions, counts.truncations
    );
    if counts.group_rebalances + counts.coordinator_moves > 0 {
        let _ = writeln!(
            out,
            "  groups           {} rebalances, {} coordinator moves",
            counts.group_rebalances, counts.coordinator_moves
        );
    }
    let [zero, one, more] = judgement.controllers;
    let _ = writeln!(out, "  controllers      none for {zero}, one for {one}, two or more for {more}");
    let _ = writeln!(out, "  consumers        {} records read", summary.polled);
    out
}

/// What producers met.
fn produce_figures(summary: &Summary) -> String {
    let mut out = String::new();
    let counts = &summary.counts;
    let us = |value: u64| Span::from_us(value);
    let percent = |ppm: u64| format!("{}.{:02} %", ppm / 10_000, ppm / 100 % 100);
    let _ = writeln!(
        out,
        "  availability     {} of {} records acknowledged within 1 s; {} acknowledged, {} refused, {} unknown",
        percent(summary.availability_ppm),
        counts.sent,
        counts.acknowledged,
        counts.refused,
        counts.unknown
    );
    let _ = writeln!(
        out,
        "  produce latency  p50 {}, p99 {}, max {}",
        us(summary.latency_p50_us),
        us(summary.latency_p99_us),
        us(summary.latency_max_us)
    );
    if let Some(partition) = summary.longest_gap_partition {
        let _ = writeln!(out, "  longest outage   {} without an acknowledged write ({partition})", summary.longest_gap);
    }
    out
}

fn service(out: &mut String, service: &ServiceLevels) {
    let ServiceLevels { failovers, never_recovered, failover_p50, failover_p99, failover_max, .. } = service;
    if let Some(detect) = service.detect {
        let _ = writeln!(out, "  detection        {detect} from the first fault to the first reaction");
    }
    let _ = writeln!(
        out,
        "  failover time    p50 {failover_p50}, p99 {failover_p99}, max {failover_max} over {failovers} changes of a leader, \
         {never_recovered} never acknowledged again"
    );
    let (most, sum) = (service.unavailable_max, service.unavailable_sum);
    let _ = writeln!(out, "  unavailability   {most} of the worst partition, {sum} of all together");
    let _ = writeln!(
        out,
        "  replication      {} under-replicated, {} below min ISR (partitions x time); oldest record taken after {}",
        service.under_replicated, service.under_min_isr, service.replication_lag
    );
    let (most, within) = (service.stale_read_max, service.stale_read_p99);
    let _ = writeln!(out, "  stale reads      at most {most} after the acknowledgement, p99 {within}");
}

/// Expectations of the scenario.
pub fn expectations(judgement: &Judgement) -> String {
    if judgement.expectations.is_empty() {
        return String::new();
    }
    let mut out = String::from("\nExpectations of the scenario\n");
    for met in &judgement.expectations {
        let _ = writeln!(out, "  {:<8} {}", if met.met { "met" } else { "NOT MET" }, met.what);
    }
    out
}

/// The last lines: fingerprint, verdict, and on a failure what to paste.
pub fn verdict(finished: &Finished, scenario: &str, seeds: Seeds, replay: Option<&str>) -> String {
    let mut out = String::new();
    let outcome = &finished.outcome;
    let _ = writeln!(
        out,
        "\nfingerprint {:016x} over {} events, {} of virtual time",
        outcome.fingerprint,
        outcome.events,
        outcome.ended - Instant::ZERO
    );
    for report in &finished.judgement.reports {
        let Outcome::Broken(violation) = &report.outcome else { continue };
        let _ = writeln!(out, "\nBROKEN {} ({})", report.name, report.source);
        let _ = writeln!(out, "  when   {}", show(violation.at, finished.start));
        let _ = writeln!(out, "  what   {}", violation.what);
        let _ = writeln!(out, "  state  {}", violation.state);
    }
    for met in finished.judgement.expectations.iter().filter(|met| !met.met) {
        let _ = writeln!(out, "\nNOT MET {}", met.what);
    }
    if finished.judgement.is_clean() {
        out.push_str("verdict: every law held\n");
    } else {
        let _ = writeln!(out, "\nto repeat it: cargo run -p sim -- run {scenario} {}", seeds.flags());
        if let Some(file) = replay {
            let _ = writeln!(out, "or exactly:   cargo run -p sim -- replay {file}");
            let _ = writeln!(out, "step by step: cargo run -p sim -- replay {file} --step");
            let _ = writeln!(out, "how likely:   cargo run -p sim -- odds {file}");
        }
    }
    out
}
