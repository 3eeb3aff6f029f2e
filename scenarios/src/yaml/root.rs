//! The scenario as a whole.

use models::id::HostId;
use models::laws::Law;
use models::time::Span;

use super::faults::Targets;
use super::fields::{Fields, Item, Report};
use super::node;
use super::{ScenarioError, cluster, expect, topology, workload};
use crate::expect::{Expect, Gauge};
use crate::monitoring::Monitoring;
use crate::scenario::{Demonstration, Phases, Restart, Rollback, Scenario, Tcp};
use crate::topology::Topology;
use crate::units;

/// Most processes of a scenario.
const MAX_PROCESSES: usize = 10_000;
/// The longest phase: a month of virtual time.
const MAX_PHASE: Span = Span::from_secs(31 * 24 * 3600);

pub(crate) fn parse(file_name: &str, text: &str) -> Result<Scenario, Vec<ScenarioError>> {
    let report = Report::new(file_name);
    let root = match node::read(text) {
        Ok(root) => root,
        Err((at, message)) => {
            report.error(at, "", message);
            return Err(report.into_errors());
        }
    };
    let scenario = read(&Item { node: &root, path: String::new(), report: &report });
    if report.is_clean() { Ok(scenario) } else { Err(report.into_errors()) }
}

fn read(item: &Item<'_>) -> Scenario {
    let mut fields = item.fields();
    let name = fields.required("name").and_then(|name| read_name(&name)).unwrap_or_default();
    let description =
        fields.optional("description").and_then(|text| text.text("a text")).unwrap_or_default().to_owned();
    let topology = fields.required("topology").map_or_else(Topology::default, |item| topology::read(&item));
    let cluster = fields.required("cluster").map_or_else(cluster::no_cluster, |item| cluster::read(&item, &topology));
    let workload = fields
        .required("workload")
        .map_or_else(workload::no_workload, |item| workload::read(&item, &topology, &cluster));
    let expect = fields.optional("expect").map_or_else(Expect::default, |item| expect::read(&item, &topology));
    let monitoring =
        fields.optional("monitoring").map_or_else(Monitoring::default, |item| read_monitoring(&item, &topology));
    let (supervisor, start_up) =
        fields.optional("supervisor").map_or_else(Default::default, |item| read_supervisor(&item));
    let mut scenario = Scenario {
        name,
        description,
        expect,
        monitoring,
        topology,
        cluster,
        workload,
        supervisor,
        start_up,
        tcp: fields.optional("tcp").map_or_else(Tcp::default, |item| read_tcp(&item)),
        phases: fields.optional("phases").map_or_else(Phases::default, |item| read_phases(&item)),
        faults: Vec::new(),
        chaos: None,
        rollback: Rollback::default(),
        demonstrates: fields.optional("demonstrates").and_then(|item| read_demonstration(&item)),
    };
    let gauges = [&scenario.expect.steady_state, &scenario.expect.throughout, &scenario.expect.at_end];
    for (gauge, _) in gauges.into_iter().flatten() {
        if let Gauge::ControllersSeenFrom(site) = gauge
            && !scenario.monitors().iter().any(|(monitored, _)| monitored == site)
        {
            let name = scenario.topology.site_name(*site);
            item.error(format!(
                "`controllers_seen_from` needs a monitor in {name}: name its host in `monitoring.hosts`"
            ));
        }
    }
    let processes = scenario.cluster.zookeeper.servers.len()
        + scenario.cluster.kafka.brokers.len()
        + scenario.workload.consumers.iter().map(|group| usize::from(group.count)).sum::<usize>()
        + scenario.workload.sessions.iter().map(|group| usize::from(group.count)).sum::<usize>()
        + scenario.workload.producer_count() as usize;
    if processes > MAX_PROCESSES {
        item.error(format!("{processes} processes; at most {MAX_PROCESSES} are possible"));
        return scenario;
    }
    let targets = Targets::new(&scenario);
    let (faults, chaos) = fields.optional("schedule").map_or_else(Default::default, |item| targets.schedule(&item));
    let rollback = fields.optional("rollback").map_or_else(Rollback::default, |item| targets.rollback(&item));
    fields.finish();
    (scenario.faults, scenario.chaos, scenario.rollback) = (faults, chaos, rollback);
    scenario
}

fn read_name(item: &Item<'_>) -> Option<String> {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    item.parsed("a name of lower-case letters, digits and `-`", |text| {
        (text.len() <= 100 && text.chars().all(valid)).then(|| text.to_owned())
    })
}

fn read_demonstration(item: &Item<'_>) -> Option<Demonstration> {
    let mut fields = item.fields();
    let laws: Vec<(&str, &str)> = Law::ALL.iter().map(|law| (law.name(), law.name())).collect();
    let law = fields.required("law").and_then(|law| law.choice(&laws));
    let within = fields.optional("within").and_then(|seeds| seeds.integer(1..=10_000)).unwrap_or(1);
    fields.finish();
    Some(Demonstration { law: law?.to_owned(), within })
}

/// The restart policy, and the time of a start.
fn read_supervisor(item: &Item<'_>) -> (Restart, (Span, Span)) {
    let mut fields = item.fields();
    let restart = fields.optional("restart").and_then(|restart| {
        restart.parsed(&format!("`never` or {}", units::SPAN), |text| match text {
            "never" => Some(Restart::Never),
            _ => units::parse_span(text).map(Restart::After),
        })
    });
    let start_up = fields.optional("start_up").and_then(|item| item.range("times, such as 1s..3s", units::parse_span));
    fields.finish();
    (restart.unwrap_or_default(), start_up.unwrap_or_default())
}

fn read_monitoring(item: &Item<'_>, topology: &Topology) -> Monitoring {
    let default = Monitoring::default();
    let mut fields = item.fields();
    let mut positive = |name, default| fields.optional(name).and_then(|item| item.positive_span()).unwrap_or(default);
    let interval = positive("interval", default.interval);
    let timeout = positive("timeout", default.timeout.min(interval));
    if timeout > interval {
        item.error("`timeout` is longer than `interval`");
    }
    let hosts = fields.optional("hosts").map(|hosts| {
        let hosts: Vec<_> = hosts.list().iter().filter_map(|host| cluster::host_of(host, topology)).collect();
        let site = |host: &HostId| topology.hosts[usize::from(host.0)].site;
        if hosts.iter().enumerate().any(|(index, host)| hosts[..index].iter().any(|other| site(other) == site(host))) {
            item.error("two monitors stand in the same site");
        }
        hosts
    });
    fields.finish();
    Monitoring { interval, timeout, hosts }
}

pub(super) fn read_tcp(item: &Item<'_>) -> Tcp {
    let default = Tcp::default();
    let mut fields = item.fields();
    let positive = |fields: &mut Fields<'_>, name, default| {
        fields.optional(name).and_then(|item: Item<'_>| item.positive_span()).unwrap_or(default)
    };
    let tcp = Tcp {
        rto_min: positive(&mut fields, "rto_min", default.rto_min),
        rto_max: positive(&mut fields, "rto_max", default.rto_max),
        rto_initial: positive(&mut fields, "rto_initial", default.rto_initial),
        retries2: fields.optional("retries2").and_then(|item| item.integer(0..=255)).unwrap_or(default.retries2),
        syn_retries: fields
            .optional("syn_retries")
            .and_then(|item| item.integer(1..=127))
            .unwrap_or(default.syn_retries),
        syn_linear_timeouts: fields
            .optional("syn_linear_timeouts")
            .and_then(|item| item.integer(0..=127))
            .unwrap_or(default.syn_linear_timeouts),
    };
    if tcp.rto_min > tcp.rto_max {
        item.error("`rto_min` is greater than `rto_max`");
    }
    fields.finish();
    tcp
}

fn read_phases(item: &Item<'_>) -> Phases {
    let default = Phases::default();
    let mut fields = item.fields();
    let phases = Phases {
        warm_up: fields.span("warm_up", default.warm_up),
        faults: fields.span("faults", default.faults),
        quiet_hold: fields.span("quiet_hold", default.quiet_hold),
        quiet_limit: fields.optional("quiet_limit").and_then(|limit| limit.span()),
    };
    for (name, span) in [("warm_up", phases.warm_up), ("faults", phases.faults), ("quiet_hold", phases.quiet_hold)] {
        if span > MAX_PHASE {
            item.error(format!("`{name}` is longer than {}", units::show_span(MAX_PHASE)));
        }
    }
    if phases.quiet_limit.is_some_and(|limit| limit < phases.quiet_hold || limit > MAX_PHASE) {
        item.error(format!("`quiet_limit` must be from `quiet_hold` to {}", units::show_span(MAX_PHASE)));
    }
    fields.finish();
    phases
}
