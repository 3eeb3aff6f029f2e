//! Whom a fault hits, and how the story tells it.

use std::collections::BTreeSet;

use models::id::HostId;
use models::observation::FaultScope;
use scenarios::Scenario;
use scenarios::deployment::Deployment;
use scenarios::fault::{Fault, HostSelector, Mode, Place, Ports};

use super::roles::Roles;

/// The scope of a fault that begins now, and its text. Where a role is meant, the text names who fills it.
pub(super) fn of(fault: &Fault, scenario: &Scenario, deployment: &Deployment, roles: &Roles) -> (FaultScope, String) {
    let host = |selector: HostSelector| roles.host(selector, deployment);
    let mut scope = FaultScope::default();
    if let Some(route) = fault.route() {
        scope.links = route.pairs(scenario, host);
    }
    let process = fault.process().and_then(|selector| roles.resolve(selector, deployment));
    scope.processes.extend(process);
    let hit = fault.host().and_then(host);
    match fault {
        Fault::Cut { route, mode: Mode::Silent | Mode::Reset } | Fault::Flap { route, .. } => {
            scope.silent = route.ports == Ports::default();
        }
        Fault::Partition { groups, mode } => {
            scope.links = split(groups, scenario, host);
            scope.silent = matches!(mode, Mode::Silent | Mode::Reset);
        }
        Fault::LinkDown { .. } => {
            if let Some(host) = hit {
                let others = scenario.topology.host_ids().filter(|other| *other != host);
                scope.links.extend(others.flat_map(|other| [(host, other), (other, host)]));
            }
            scope.links.sort_unstable();
            scope.silent = true;
        }
        Fault::DeleteController => scope.processes.extend(deployment.named("admin")),
        Fault::Reconfigure { servers } => {
            scope.processes.extend(servers.iter().filter_map(|sid| deployment.zookeeper(*sid)));
        }
        _ => scope.hosts.extend(hit),
    }
    let mut text = fault.text(scenario);
    let process = process.map(|process| deployment.name(process));
    for name in [process, hit.map(|host| scenario.topology.host_name(host))].into_iter().flatten() {
        if !text.contains(name) {
            text = format!("{text} ({name})");
        }
    }
    if scope.links.is_empty() && scope.processes.is_empty() && scope.hosts.is_empty() {
        text = format!("{text}: nobody fills that role now, nothing happens");
    }
    (scope, text)
}

/// The directed pairs of hosts that stand in groups and share none.
fn split(
    groups: &[Vec<Place>],
    scenario: &Scenario,
    resolve: impl Fn(HostSelector) -> Option<HostId>,
) -> Vec<(HostId, HostId)> {
    let members = |group: &Vec<Place>| -> BTreeSet<HostId> {
        let hosts = |place: &Place| -> Vec<HostId> {
            match *place {
                Place::Site(site) => scenario.topology.hosts_of(site).collect(),
                Place::Host(selector) => resolve(selector).into_iter().collect(),
            }
        };
        group.iter().flat_map(hosts).collect()
    };
    let groups: Vec<BTreeSet<HostId>> = groups.iter().map(members).collect();
    let all: BTreeSet<HostId> = groups.iter().flatten().copied().collect();
    let apart = |a: &HostId, b: &HostId| a != b && !groups.iter().any(|group| group.contains(a) && group.contains(b));
    let pairs = all.iter().flat_map(|a| all.iter().map(move |b| (*a, *b)));
    pairs.filter(|(a, b)| apart(a, b)).collect()
}
