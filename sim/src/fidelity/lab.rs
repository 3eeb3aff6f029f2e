//! Measured runs, a JSON object a line.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::story::{Role, SessionStory, Side, Story};

/// A measured run.
#[derive(Clone, Debug, Deserialize)]
pub struct LabRun {
    /// The case that the run repeats: runs of the same name are compared together. `key=value` words in it, between slashes,
    /// are kernel settings, which are recorded nowhere else.
    pub case: String,
    /// Server to site, `A` or `B`; servers are `s1`, `s2` ... by sid.
    pub sites: BTreeMap<String, String>,
    /// Who led when the fault began.
    pub leader0: String,
    /// `cut`, `oneway-ab`, `oneway-ba`, `kill` or `stop`; the last two hit the leader.
    pub fault: String,
    /// Round trip between the sites, ms.
    #[serde(default)]
    pub rtt_ms: f64,
    /// Settings.
    pub conf: Conf,
    /// When the fault began and ended, ms since the epoch.
    t_fault: f64,
    t_heal: f64,
    /// Whether all was well again within the time allowed.
    pub recovered: bool,
    clients: BTreeMap<String, Client>,
    events: Vec<Event>,
}

/// The settings of a measured run.
#[derive(Clone, Debug, Deserialize)]
pub struct Conf {
    /// The release.
    pub zk: String,
    /// `tickTime`, ms.
    #[serde(rename = "tickTime")]
    pub tick_time: u32,
    /// `initLimit`, ticks.
    #[serde(rename = "initLimit")]
    pub init_limit: u32,
    /// `syncLimit`, ticks.
    #[serde(rename = "syncLimit")]
    pub sync_limit: u32,
    /// The session timeout asked for, ms.
    pub session_ms: u64,
    /// From the result of a write to the next one, ms.
    pub pause_ms: u64,
    /// Lines of `zoo.cfg` on top.
    #[serde(default)]
    pub extra: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Client {
    unknown: u64,
    unknown_applied: Option<u64>,
    acked_lost: Option<u64>,
    max_ok_gap_ms: Option<f64>,
    first_ok_completed_after_heal_ms: Option<f64>,
    expired: u64,
    #[serde(default)]
    disconnects_after_fault: Vec<f64>,
}

#[derive(Clone, Debug, Deserialize)]
struct Event {
    src: String,
    kind: String,
    #[serde(default)]
    msg: String,
    #[serde(default)]
    took_ms: f64,
    dt: f64,
}

/// The measured runs by case, and what was passed over.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Runs by case.
    pub cases: BTreeMap<String, Vec<LabRun>>,
    /// Lines that are no complete run, with the reason.
    pub skipped: Vec<String>,
}

impl Measured {
    /// Reads a file of observations. Lines that are no complete run are passed over.
    pub fn read(text: &str) -> Self {
        let mut measured = Self::default();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            match serde_json::from_str::<LabRun>(line) {
                Ok(run) if run.sites.contains_key(&run.leader0) => {
                    measured.cases.entry(run.case.clone()).or_default().push(run);
                }
                Ok(_) => measured.skipped.push(format!("line {}: `leader0` is not among the servers", number + 1)),
                Err(error) => measured.skipped.push(format!("line {}: {error}", number + 1)),
            }
        }
        measured
    }
}

impl LabRun {
    /// When the fault began, ms since the epoch.
    pub fn fault_at_ms(&self) -> f64 {
        self.t_fault + self.late("fault")
    }

    /// How long the fault lasted, ms.
    pub fn duration_ms(&self) -> f64 {
        self.t_heal + self.late("heal") - self.fault_at_ms()
    }

    /// How much later than the moment recorded, the middle of its command, a packet filter was in force or gone, ms. Signals take
    /// effect at once.
    fn late(&self, what: &str) -> f64 {
        let share = if what == "fault" { FILTER_ADDED } else { FILTERS_FLUSHED };
        let command = self.events.iter().find(|event| event.src == "lab" && event.kind == what);
        command.filter(|_| !self.kills() && !self.pauses()).map_or(0.0, |event| event.took_ms * (share - 0.5))
    }

    /// The servers in the order of their sids, with their sites.
    pub fn servers(&self) -> Vec<(&str, &str)> {
        let mut servers: Vec<_> = self.sites.iter().map(|(name, site)| (name.as_str(), site.as_str())).collect();
        servers.sort_by_key(|(name, _)| sid(name));
        servers
    }

    /// The site of the leader.
    pub fn leader_site(&self) -> &str {
        &self.sites[&self.leader0]
    }

    /// The position of the leader among [`LabRun::servers`].
    pub fn leader(&self) -> usize {
        self.servers().iter().position(|(name, _)| *name == self.leader0).unwrap_or(0)
    }

    /// Whether the leader was killed; its process was started anew at the end of the fault.
    pub fn kills(&self) -> bool {
        self.fault == "kill"
    }

    /// Whether the leader was stopped in its tracks.
    pub fn pauses(&self) -> bool {
        self.fault == "stop"
    }

    /// How long before the end of the fault the moment recorded for it was, ms.
    pub fn heal_recorded_early_ms(&self) -> f64 {
        self.late("heal")
    }

    /// When the leader had begun to serve, ms before the fault, if the run recorded it: its checks come a tick after the other
    /// from then on.
    pub fn led_since(&self) -> Option<f64> {
        let begins = |event: &&Event| event.src == self.leader0 && role(&event.msg) == Some(Role::Leading);
        self.events
            .iter()
            .filter(|event| event.dt < 0.0)
            .filter(begins)
            .map(|event| self.late("fault") - event.dt)
            .reduce(f64::min)
    }

    /// The order in which a client tries its servers, from the one that it was connected to when the fault began: what its
    /// attempts afterwards show of the shuffle that was made at its start. Empty if the run did not record it.
    pub fn tries(&self, client: &str) -> Vec<u8> {
        let of_client = |event: &&Event| event.src.strip_prefix("client:") == Some(client);
        let mut tried: Vec<(f64, u8, bool)> = self.events.iter().filter(of_client).filter_map(Event::tries).collect();
        tried.sort_by(|a, b| a.0.total_cmp(&b.0));
        let Some(&(since, first, _)) = tried.iter().rfind(|(at, _, confirmed)| *confirmed && *at < 0.0) else {
            return Vec::new();
        };
        // A new handle, after an expiry, makes a shuffle of its own; it comes round to no server twice before.
        let mut order = vec![first];
        for (_, server, _) in tried.iter().filter(|(at, _, confirmed)| *at > since && !confirmed) {
            if order.contains(server) {
                break;
            }
            order.push(*server);
        }
        order
    }

    /// What happened.
    pub fn story(&self) -> Story {
        let servers = self.servers();
        let position = |name: &str| servers.iter().position(|(server, _)| *server == name);
        let mut story = Story {
            far: servers.iter().map(|(_, site)| *site != self.leader_site()).collect(),
            leader: self.leader(),
            heal: self.duration_ms(),
            paused: self.pauses(),
            recovered: self.recovered,
            ..Story::default()
        };
        if self.kills() {
            story.roles.push((0.0, self.leader(), Role::Down));
        }
        let begun = self.late("fault");
        let end = begun + story.heal + CLIENTS_END;
        let events = self.events.iter().filter(|event| event.kind == "log" && event.dt > 0.0 && event.dt < end);
        for (event, server) in events.filter_map(|event| Some((event, position(&event.src)?))) {
            if event.msg.starts_with("Expiring session") {
                story.expiring.push(event.dt - begun);
            } else if let Some(role) = role(&event.msg) {
                story.roles.push((event.dt - begun, server, role));
            }
        }
        story.roles.sort_by(|a, b| a.0.total_cmp(&b.0));
        story.expiring.sort_by(f64::total_cmp);
        for (name, client) in &self.clients {
            let (site, kind) = name.split_once('-').unwrap_or((name, ""));
            let side = Side { far: site != self.leader_site(), local: kind == "local" };
            story.sessions.insert(side, client.story(begun));
        }
        story
    }
}

impl Event {
    /// The server that the client's log line names, and whether it confirmed the session or was only tried.
    fn tries(&self) -> Option<(f64, u8, bool)> {
        let confirmed = self.msg.strip_prefix("Session establishment complete on server ");
        let server = confirmed.or_else(|| self.msg.strip_prefix("Opening socket connection to server "))?;
        Some((self.dt, sid(server.split(['/', '.', ',']).next()?), confirmed.is_some()))
    }
}

impl Client {
    /// `begun`: how much later than recorded the fault was.
    fn story(&self, begun: f64) -> SessionStory {
        SessionStory {
            first_contact: self.first_ok_completed_after_heal_ms,
            longest_gap: self.max_ok_gap_ms,
            disconnected: self.disconnects_after_fault.first().map(|at| at - begun),
            expired: self.expired,
            unknown: self.unknown,
            unknown_applied: self.unknown_applied,
            lost: self.acked_lost,
        }
    }
}

/// The share of its command after which a packet filter that is added is in force. Measured: packets were sent 0.3 ms apart while
/// the rig's own commands ran 117 times each on a machine as busy as the rig's; mean 0.70, median 0.70.
const FILTER_ADDED: f64 = 0.7;
/// The same for filters that are flushed: mean 0.51, median 0.53. The command lasts longer after its effect than one that
/// adds filters, since it waits until the kernel has let go of the rules (a grace period of RCU).
const FILTERS_FLUSHED: f64 = 0.5;

/// Where nothing had recovered so long after the heal, ms, the rig killed its clients: 151 s of patience, and 4 s. Sessions that
/// leaders let expire afterwards tell of that.
const CLIENTS_END: f64 = 155_000.0;

/// `s3` is 3.
fn sid(name: &str) -> u8 {
    name.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0)
}

/// The role that a server's log line tells of.
fn role(message: &str) -> Option<Role> {
    match message {
        "LOOKING" => Some(Role::Looking),
        "LEADING" => Some(Role::Elected),
        "Peer state changed: leading - broadcast" => Some(Role::Leading),
        "Peer state changed: following - broadcast" => Some(Role::Following),
        _ => None,
    }
}

#[test]
fn filters_count_from_their_effect_and_nothing_after_the_rig_has_ended_its_clients() {
    let line = r#"{"case":"c","sites":{"s1":"A","s2":"B"},"leader0":"s1","fault":"FAULT","conf":{"zk":"3.8.0","tickTime":2000,
        "initLimit":10,"syncLimit":5,"session_ms":18000,"pause_ms":50},"t_fault":5000.0,"t_heal":15000.0,"recovered":false,
        "clients":{},"events":[{"src":"lab","kind":"fault","took_ms":20.0,"dt":0.0},{"src":"lab","kind":"heal","took_ms":30.0,
        "dt":10000.0},{"src":"s1","kind":"log","msg":"Expiring session 0x1","dt":12000.0},
        {"src":"s1","kind":"log","msg":"Expiring session 0x2","dt":165010.0}]}"#;
    let run = |fault: &str| serde_json::from_str::<LabRun>(&line.replace("FAULT", fault)).expect("it is a run");
    // In force 4 ms after the middle of its command; gone at the middle.
    assert_eq!((run("cut").fault_at_ms(), run("cut").duration_ms()), (5_004.0, 9_996.0));
    assert_eq!((run("stop").fault_at_ms(), run("stop").duration_ms()), (5_000.0, 10_000.0));
    assert_eq!(run("cut").story().expiring, [11_996.0]);
}
