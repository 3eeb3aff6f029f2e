//! Every fault of a scenario file does in a run what it says: the same small cluster with one fault each, and what is seen of it.

use models::id::ProcessId;
use models::laws::Outcome;
use models::observation::{DownCause, Observation, Observed, RemovalReason};
use scenarios::Scenario;

use crate::watch;

/// Three brokers on hosts of their own, one ZooKeeper server, clients on another host; `fault` at 10 s.
fn scenario(fault: &str) -> Scenario {
    scenario_with(fault, "{host: app}")
}

fn scenario_with(fault: &str, consumer: &str) -> Scenario {
    let text = format!(
        "\
name: one-fault
topology:
  sites: [here]
  hosts: {{k1: {{site: here}}, k2: {{site: here}}, k3: {{site: here}}, z1: {{site: here}}, app: {{site: here}}}}
cluster:
  zookeeper: {{servers: {{1: z1}}}}
  kafka: {{options: {{min.insync.replicas: 2}}, brokers: {{1: k1, 2: k2, 3: k3}}}}
workload:
  topics: 1
  partitions: 3
  replication_factor: 3
  records_per_second: 60
  record_size: 2kB
  admin: app
  producers: [{{host: app, options: {{acks: all}}}}]
  consumers: [{consumer}]
phases: {{faults: 70s, quiet_hold: 5s}}
schedule:
  faults:
    - {{at: 10s, {fault}}}
"
    );
    Scenario::parse("one-fault.yaml", &text).unwrap_or_else(|errors| panic!("{fault}: {errors:?}"))
}

/// What a run shows.
#[derive(Default, Debug)]
struct Seen {
    begins: usize,
    ends: usize,
    downs: Vec<(u16, DownCause)>,
    lossy: usize,
    pauses: usize,
    ups: Vec<(u64, u16)>,
    sessions_expired: usize,
    recovered_bytes: u64,
    isr_changes: usize,
}

fn see(fault: &str) -> Seen {
    let scenario = scenario(fault);
    let mut seen = Seen::default();
    let mut up = std::collections::BTreeSet::new();
    let finished = watch(&scenario, 1, |observed: &Observed| {
        let ProcessId(process) = observed.process;
        match &observed.what {
            Observation::FaultBegin { .. } => seen.begins += 1,
            Observation::FaultEnd { .. } => seen.ends += 1,
            Observation::Down { lossy, cause } => {
                seen.downs.push((process, cause.clone()));
                seen.lossy += usize::from(*lossy);
            }
            Observation::Up if !up.insert(process) => seen.ups.push((observed.at.as_ms(), process)),
            Observation::Pause => seen.pauses += 1,
            Observation::ZkSessionExpiring { .. } => seen.sessions_expired += 1,
            Observation::IsrChange { .. } => seen.isr_changes += 1,
            Observation::LogRecoveryBegin { bytes, .. } => seen.recovered_bytes += bytes,
            _ => {}
        }
    });
    let broken: Vec<_> =
        finished.judgement.reports.iter().filter(|report| matches!(report.outcome, Outcome::Broken(_))).collect();
    assert!(broken.is_empty(), "{fault}: {broken:?}");
    assert!(seen.begins > 0 && seen.begins == seen.ends, "{fault}: {seen:?}");
    seen
}

#[test]
fn hosts_that_lose_power_lose_what_is_said_of_the_page_cache() {
    let lossy =
        |unsynced: &str| see(&format!("for: 10s, fault: host-crash, host: [k1, k2, k3], unsynced: {unsynced}")).lossy;
    assert_eq!(lossy("keep"), 0);
    assert_eq!(lossy("lose"), 3, "Kafka fsyncs nothing within a minute");
    assert!(lossy("torn") > 0);
}

#[test]
fn damaged_indexes_make_a_clean_restart_read_all_logs() {
    let restart = |damage: &str| {
        see(&format!("restart_after: 10s, fault: stop, process: broker1, grace: 9s}}{damage}")).recovered_bytes
    };
    assert_eq!(restart("\n    - {at: 15s, fault: clock-strobe, for: 1s, host: k1, by: 1s, period: 100ms"), 0);
    assert!(restart("\n    - {at: 5s, fault: damage-indexes, process: broker1") > 50_000);
}

/// A disk that one of two overlapping faults left full would keep its broker from ever registering again.
#[test]
fn a_disk_that_two_faults_fill_has_room_after_the_last_of_them() {
    let seen = see("for: 10s, fault: fill-disk, host: k1, leave: 1B}\n    \
                    - {at: 12s, for: 12s, fault: fill-disk, host: k1, leave: 1B");
    assert!(!seen.downs.is_empty(), "a broker without log directories exits: {seen:?}");
}

/// The back-off of a fetcher ends although the clock that it was set by runs slower since.
#[test]
fn replicas_fetch_again_when_their_clock_slows_down_during_a_back_off() {
    let seen = see("for: 2s, fault: clock-drift, host: k1, by: 50000ppm}\n    \
                    - {at: 11500ms, for: 1ms, fault: reset-connections, between: [k1, [k2, k3]]");
    assert_eq!(seen.isr_changes, 0, "a second is no lag");
}

/// Members have as long as the coordinator's clock gives them. Nobody is wronged by one that is too fast.
#[test]
fn a_coordinator_whose_clock_is_fast_waits_for_members_by_that_clock() {
    let scenario = scenario_with(
        "for: 60s, fault: clock-drift, host: [k1, k2, k3], by: 50000ppm}\n    \
         - {at: 20s, for: 40s, fault: cut, from: app, to: [k1, k2, k3], direction: both",
        "{host: app, group: readers, options: {session.timeout.ms: 10000}}",
    );
    let (mut heard, mut silent) = (None, None);
    let finished = watch(&scenario, 1, |observed: &Observed| match observed.what {
        Observation::MemberHeard { .. } if silent.is_none() => heard = Some(observed.at),
        Observation::MemberRemoved { reason: RemovalReason::SessionTimeout, .. } => {
            silent = silent.or(heard.map(|heard| observed.at.since(heard)));
        }
        _ => {}
    });
    // 10 s over 1.05.
    let silent = silent.expect("a member that is cut off is removed");
    assert!((9_523..9_530).contains(&silent.as_ms()), "{silent}");
    let report = finished.judgement.reports.iter().find(|report| report.name == "G-MEMBER-FENCING-CORRECT");
    let report = report.expect("the law is judged");
    assert!(report.outcome == Outcome::Held && report.judged > 0, "{report:?}");
}

#[test]
fn a_restart_starts_a_process_when_it_has_ended() {
    let seen = see("fault: restart, process: broker1, grace: 30s, delay: 3s");
    let [(at, _)] = seen.ups.as_slice() else { panic!("{seen:?}") };
    let exited = seen.downs.iter().filter(|(_, cause)| matches!(cause, DownCause::Exited(_))).count();
    assert_eq!((exited, seen.downs.len()), (1, 1), "it ends by itself");
    assert!((43_000..50_000).contains(at), "started 3 s after a quick end: {at}");
}

#[test]
fn pauses_come_again_and_again_and_long_ones_cost_the_session() {
    let seen = see("for: 20s, fault: gc, process: broker1, pause: 500ms, period: 2s");
    assert_eq!((seen.pauses, seen.sessions_expired), (10, 0));
    let seen = see("for: 50s, fault: gc, process: broker1, pause: 20s, period: 25s");
    assert_eq!((seen.pauses, seen.sessions_expired), (2, 2));
}

#[test]
fn the_way_a_broker_is_cut_off_decides_whether_it_loses_its_session() {
    for (fault, expired) in [
        ("for: 30s, fault: cut, from: k1, to: z1, direction: both", true),
        ("for: 30s, fault: cut, from: k1, to: z1, direction: both, ports: [9092]", false),
        ("for: 30s, fault: cut, from: k1, to: z1, direction: both, mode: reset", true),
        ("for: 30s, fault: cut, from: k1, to: z1, direction: both, mode: refuse", false),
        ("for: 30s, fault: cut, from: k1, to: z1, direction: both, mode: new-only", false),
        ("for: 30s, fault: route-lost, from: k1, to: z1", true),
        ("for: 30s, fault: link-down, host: k1", true),
        ("for: 30s, fault: partition, groups: [[k1], [k2, k3, z1]]", true),
        // Whoever stands in both groups is reached by both.
        ("for: 30s, fault: partition, groups: [[k1, k2, z1], [k3, z1]]", false),
        ("for: 30s, fault: dns, host: k1, name: z1, answer: stale", false),
        ("for: 30s, fault: loss, from: k1, to: z1, percent: 100%, correlation: 5%", true),
        ("for: 30s, fault: corrupt, from: k1, to: z1, percent: 100%", true),
        ("for: 30s, fault: flow-loss, from: k1, to: z1, flows: 100%", true),
        ("for: 30s, fault: flow-loss, from: k1, to: z1, flows: 0.0001%", false),
        ("for: 30s, fault: slot, from: k1, to: z1, min: 100ms", false),
        ("for: 30s, fault: duplicate, from: k1, to: z1, percent: 50%", false),
        ("for: 30s, fault: reorder, from: k1, to: z1, percent: 50%, delay: 50ms", false),
        ("for: 30s, fault: delay, from: k1, to: z1, delay: 300ms, jitter: 100ms, keep_order: true", false),
    ] {
        let seen = see(fault);
        assert_eq!(seen.sessions_expired > 0, expired, "{fault}: {seen:?}");
    }
}

#[test]
fn a_name_that_has_moved_is_found_out_by_the_next_connection() {
    let reset = "\n    - {at: 12s, fault: reset-connections, between: [k1, z1]";
    assert_eq!(see(&format!("for: 1s, fault: clock-jump, host: k1, by: 1s}}{reset}")).sessions_expired, 0);
    for answer in ["stale", "k2", "error", "timeout"] {
        let seen = see(&format!("for: 40s, fault: dns, host: k1, name: z1, answer: {answer}}}{reset}"));
        assert_eq!(seen.sessions_expired, 1, "{answer}");
    }
}

#[test]
fn an_mtu_hole_lets_heartbeats_live_and_fetches_die() {
    let hole = see("for: 50s, fault: mtu-hole, from: [k1, k2, k3], to: [k1, k2, k3], above: 1400B");
    assert!(hole.isr_changes > 0 && hole.sessions_expired == 0, "followers fall behind, nobody dies: {hole:?}");
    let none = see("for: 50s, fault: mtu-hole, from: [k1, k2, k3], to: [k1, k2, k3], above: 1499B, ports: [2181]");
    assert_eq!((none.isr_changes, none.sessions_expired), (0, 0));
}

#[test]
fn disks_fail_in_the_ways_that_are_asked_for() {
    // A sync that fails ends a broker that has one log directory; a read of an idle log is never made.
    for (fault, ends) in [
        ("for: 50s, fault: fail-disk, host: k1, errno: EROFS", true),
        ("for: 50s, fault: fail-disk, host: k1, errno: ENOSPC", true),
        ("for: 50s, fault: fail-disk, host: k1, ops: [read]", false),
        ("for: 50s, fault: limit-disk, host: k1, iops: 5, write: 100kB/s", false),
        ("for: 50s, fault: slow-disk, host: k1, read: 1s, sync: 100ms", false),
    ] {
        let seen = see(fault);
        assert_eq!(!seen.downs.is_empty(), ends, "{fault}: {seen:?}");
    }
}

#[test]
fn a_broker_short_of_cpu_falls_behind_and_comes_back() {
    assert!(see("for: 40s, fault: cpu, process: broker1, delay: 1s").isr_changes > 0);
    assert_eq!(see("for: 40s, fault: cpu, process: broker1, delay: 100us").isr_changes, 0);
}
