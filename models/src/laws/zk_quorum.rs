//! L-ZK-QUORUM: one ZooKeeper leader serves, every server that should run follows it and serves, and a write has succeeded
//! since the faults ended.

use super::views::Views;
use crate::observation::ZkRole;
use crate::time::Instant;

pub(super) const SOURCE: &str = "ZOOKEEPER-1653, ZOOKEEPER-2247, ZOOKEEPER-1419";

/// The role of each server.
#[derive(Clone, Debug)]
pub(super) struct ZkQuorum {
    roles: Vec<(ZkRole, u32)>,
    /// Since when each server neither leads nor follows the newest leader.
    unmet_since: Vec<Option<Instant>>,
    /// Since when a write is waited for.
    write_since: Option<Instant>,
}

impl ZkQuorum {
    pub(super) fn new(servers: usize) -> Self {
        Self {
            roles: vec![(ZkRole::Looking, 0); servers],
            unmet_since: vec![Some(Instant::ZERO); servers],
            write_since: None,
        }
    }

    /// Whether some server leads and serves.
    pub(super) fn is_led(&self) -> bool {
        self.roles.iter().any(|(role, _)| *role == ZkRole::Leading)
    }

    /// A server took a role, or went down (`Looking`).
    pub(super) fn on_role(&mut self, server: usize, role: ZkRole, epoch: u32, at: Instant) {
        self.roles[server] = (role, epoch);
        let leaders = self.roles.iter().filter(|(role, _)| *role == ZkRole::Leading);
        let newest = leaders.map(|(_, epoch)| *epoch).max();
        let leading: usize = self.roles.iter().filter(|role| **role == (ZkRole::Leading, newest.unwrap_or(0))).count();
        for ((role, epoch), since) in self.roles.iter().zip(&mut self.unmet_since) {
            let serves = matches!(role, ZkRole::Leading | ZkRole::Following) && Some(*epoch) == newest && leading == 1;
            match serves {
                true => *since = None,
                false => *since = since.or(Some(at)),
            }
        }
    }

    pub(super) fn on_commit(&mut self) {
        self.write_since = None;
    }

    pub(super) fn quiet_begins(&mut self, views: Views<'_>) {
        let facts = &views.roster.facts;
        self.write_since = (facts.controller_probe || facts.zookeeper_probe).then_some(views.at);
    }

    /// What is waited for, since when.
    pub(super) fn oldest(&self, views: Views<'_>) -> Option<(Instant, String)> {
        let servers = &views.roster.servers;
        let waiting = (0..servers.len()).filter(|server| views.roster.wanted(servers[*server].1));
        let oldest = waiting.filter_map(|server| Some((self.unmet_since[server]?, server))).min();
        let Some((since, server)) = oldest else {
            return self.write_since.map(|since| (since, "clients wait for a write to ZooKeeper".to_owned()));
        };
        let (sid, process) = servers[server];
        let (role, epoch) = self.roles[server];
        let how = if views.processes.is_up(process) { "it is" } else { "it is down, last seen" };
        let leader = (0..servers.len()).filter(|other| self.roles[*other].0 == ZkRole::Leading);
        let leaders: Vec<_> = leader.map(|other| (servers[other].0.0, self.roles[other].1)).collect();
        let what = format!("server {sid} waits to serve under one leader: {how} {role:?} in epoch {epoch}");
        Some((since, format!("{what}; leaders (id, epoch): {leaders:?}")))
    }
}
