//! The rig of a measured run as a scenario: an ensemble over two sites, one client host at each with two sessions.
//!
//! Every setting comes from what the run recorded, where it did the state at the beginning of the fault too: in which order each
//! session's client had shuffled its servers, and how far the leader was in its tick. What the rig itself was, whatever the run, stands in the constants below.

use models::defect::{Defect, ZOOKEEPER_VERSIONS};
use models::id::{HostId, Sid};
use models::time::Span;
use models::zk::config::ZooKeeperConfig;
use scenarios::Scenario;
use scenarios::cluster::{Cluster, FIXED, Kafka, ZooKeeper, ZooKeeperServer};
use scenarios::expect::Expect;
use scenarios::fault::{Fault, Place, ProcessSelector, Route};
use scenarios::monitoring::Monitoring;
use scenarios::netem::Netem;
use scenarios::scenario::{Phases, Restart, Rollback, Tcp};
use scenarios::schedule::Planned;
use scenarios::topology::{Clock, Disk, Host, Link, SiteId, Topology};
use scenarios::units::Share;
use scenarios::workload::{ClientGroup, SessionConfig, Workload};

use super::lab::LabRun;

/// From the start until faults begin: all servers and clients are up after 12 s, and write for some seconds more.
const WARM_UP: Span = Span::from_secs(20);
/// The intended leader is started first; the others this much later.
const HEAD_START: Span = Span::from_secs(4);
/// Time of a start until the process runs: a JVM that loads on a shared machine.
const START_UP: (Span, Span) = (Span::from_ms(1_000), Span::from_ms(3_000));
/// One way between two network namespaces on one machine.
const BRIDGE: Span = Span::from_us(50);
/// Data lay on tmpfs.
const RAM_DISK: Disk = Disk {
    fsync: Span::from_us(20),
    fsync_jitter: Span::from_us(10),
    read: Span::from_us(10),
    bandwidth: 1_000_000_000,
    capacity: 100_000_000_000,
};
/// When the machine that measured was booted, by its wall clock, up to whole [`UPTIME_PERIOD`]s. All of its runs fall into 37
/// minutes. Two things show it: every expiry of every run came 398 ms past a multiple of 2,000 ms, since ZooKeeper's expiry buckets
/// are multiples of a tick; and what a retransmission brought after a heal came 238 ms past a multiple of 256 ms or soon after,
/// 1,006 past one of 2,048 ms if the timer before had been long enough, since those are the buckets of the kernel's timer wheel.
const BOOTED: Span = Span::from_ms(16_398);
/// Both periods of [`BOOTED`] together.
const UPTIME_PERIOD: Span = Span::from_ms(256_000);
/// Several ensembles shared two cores. Waits of 4 ms in the mean and of 50 once in a few hundred fit the measured pauses between
/// a client's writes, elections, and the 13 ms between two followers of one leader that lose it together.
const THREAD_DELAY: Span = Span::from_ms(128);
/// The word of cases in which every look-up of a name timed out.
const DNS_BLACKHOLE: &str = "dns-blackhole";
/// The kernel settings that cases may name.
const SYSCTLS: [&str; 5] =
    ["tcp_retries2", "tcp_syn_retries", "tcp_syn_linear_timeouts", "tcp_rto_max_ms", "tcp_rto_min_us"];
/// The sites' names in measured runs.
const SITES: [&str; 2] = ["A", "B"];

/// The rig of `run` as a scenario in which the fault begins `at` after the warm-up.
///
/// # Errors
/// What the run did cannot be expressed.
pub fn scenario(run: &LabRun, at: Span) -> Result<Scenario, String> {
    if run.case.split('/').any(|word| word == DNS_BLACKHOLE) {
        return Err(format!("{DNS_BLACKHOLE}: look-ups of names that time out are not modelled"));
    }
    let config = config(run)?;
    let duration = Span::from_us((run.duration_ms().max(0.0) * 1_000.0) as u64);
    let topology = topology(run, uptime(run, WARM_UP + at), tcp(run)?);
    let (version, defects) = release(&run.conf.zk)?;
    let servers = run.servers();
    let leader = run.leader();
    let fault = fault(run, Sid(leader as u8 + 1))?;
    let place = |index: usize| ZooKeeperServer {
        sid: Sid(index as u8 + 1),
        host: HostId(index as u16),
        start: if index == leader { Span::ZERO } else { HEAD_START },
    };
    let zookeeper = ZooKeeper {
        version,
        defects: defects.iter().copied().collect(),
        config,
        servers: (0..servers.len()).map(place).collect(),
    };
    let kafka = Kafka { version: FIXED.to_owned(), defects: models::defect::Defects::NONE, brokers: Vec::new() };
    Ok(Scenario {
        name: "rig".to_owned(),
        description: format!("The rig of the measured case {}.", run.case),
        workload: workload(run),
        topology,
        cluster: Cluster { zookeeper, kafka },
        supervisor: Restart::Never,
        start_up: START_UP,
        tcp: Tcp::default(),
        phases: Phases { warm_up: WARM_UP, faults: at + duration, quiet_hold: Span::from_secs(10), quiet_limit: None },
        faults: vec![Planned::new(at, duration, fault)],
        chaos: None,
        expect: Expect::default(),
        monitoring: Monitoring { hosts: Some(Vec::new()), ..Monitoring::default() },
        rollback: Rollback::default(),
        demonstrates: None,
    })
}

fn release(word: &str) -> Result<(String, &'static [Defect]), String> {
    let known = ZOOKEEPER_VERSIONS.iter().find(|(version, _)| *version == word);
    known.map(|(version, defects)| ((*version).to_owned(), *defects)).ok_or_else(|| {
        let versions: Vec<_> = ZOOKEEPER_VERSIONS.iter().map(|(version, _)| *version).collect();
        format!("ZooKeeper {word} is not modelled; valid: {}", versions.join(", "))
    })
}

fn config(run: &LabRun) -> Result<ZooKeeperConfig, String> {
    let mut config = ZooKeeperConfig {
        tick_time: run.conf.tick_time,
        init_limit: run.conf.init_limit,
        sync_limit: run.conf.sync_limit,
        ..ZooKeeperConfig::default()
    };
    for line in &run.conf.extra {
        let option = line.trim_start_matches("-D");
        let (name, value) = option.split_once('=').ok_or_else(|| format!("`{line}` is no option"))?;
        config.set(name.trim(), value).map_err(|error| error.to_string())?;
    }
    Ok(config)
}

fn site(name: &str) -> SiteId {
    SiteId(u16::from(name != SITES[0]))
}

/// What the machine's monotonic clock showed at the start of the run, up to whole periods, if the fault begins at `fault`.
fn uptime(run: &LabRun, fault: Span) -> Span {
    let period = UPTIME_PERIOD.as_ns();
    let measured = ((run.fault_at_ms() * 1e6) as u64 % period + period - BOOTED.as_ns()) % period;
    Span::from_ns((measured + period - fault.as_ns() % period) % period)
}

fn topology(run: &LabRun, uptime: Span, tcp: Option<Tcp>) -> Topology {
    let clock = Clock { uptime, ..Clock::default() };
    let host = |name: String, site: SiteId, tcp: Option<Tcp>| Host {
        name,
        site,
        disk: RAM_DISK,
        clock: clock.clone(),
        thread_delay: THREAD_DELAY,
        tcp,
    };
    let mut hosts: Vec<Host> = run
        .servers()
        .iter()
        .map(|(name, place)| host(format!("{name}.{}", place.to_lowercase()), site(place), tcp.clone()))
        .collect();
    hosts.extend(SITES.iter().map(|name| host(format!("client.{}", name.to_lowercase()), site(name), None)));
    let wan = BRIDGE * 2 + Span::from_us((run.rtt_ms.max(0.0) * 500.0) as u64);
    let link = |from, to| Link { from: SiteId(from), to: SiteId(to), netem: Netem::delay(wan) };
    Topology {
        sites: SITES.iter().map(|name| name.to_lowercase()).collect(),
        hosts,
        lan: Netem::delay(BRIDGE),
        loopback: Netem::delay(Topology::LOOPBACK_DELAY),
        links: vec![link(0, 1), link(1, 0)],
    }
}

/// The servers in the order in which they were tried, and whether that is left to chance. Those never tried come last.
fn ordered(servers: Vec<Sid>, tried: &[u8]) -> (Vec<Sid>, bool) {
    let mut order: Vec<Sid> = tried.iter().map(|sid| Sid(*sid)).filter(|sid| servers.contains(sid)).collect();
    let shuffle = order.is_empty();
    order.extend(servers.into_iter().filter(|sid| !tried.contains(&sid.0)));
    (order, shuffle)
}

fn workload(run: &LabRun) -> Workload {
    let servers = run.servers();
    let all: Vec<Sid> = (1..=servers.len() as u8).map(Sid).collect();
    let mut sessions = Vec::new();
    for (index, name) in SITES.iter().enumerate() {
        let host = HostId((servers.len() + index) as u16);
        let is_near = |sid: &Sid| servers[usize::from(sid.0) - 1].1 == *name;
        let local: Vec<Sid> = all.iter().copied().filter(is_near).collect();
        for (servers, kind) in [(all.clone(), "all"), (local, "local")] {
            if servers.is_empty() {
                continue;
            }
            let (servers, shuffle) = ordered(servers, &run.tries(&format!("{name}-{kind}")));
            let config = SessionConfig {
                servers,
                shuffle,
                session_timeout: Span::from_ms(run.conf.session_ms),
                pause: Span::from_ms(run.conf.pause_ms),
            };
            sessions.push(ClientGroup { host, count: 1, group: None, config });
        }
    }
    Workload {
        topics: 0,
        partitions: 0,
        replication_factor: 0,
        records_per_second: 0,
        record_size: 1,
        end_offsets_every: None,
        skew: Share::NONE,
        auto_create_topics: false,
        admin: HostId(0),
        producers: Vec::new(),
        consumers: Vec::new(),
        sessions,
    }
}

fn fault(run: &LabRun, leader: Sid) -> Result<Fault, String> {
    let [a, b] = [Place::Site(SiteId(0)), Place::Site(SiteId(1))];
    let process = ProcessSelector::ZooKeeper(leader);
    Ok(match run.fault.as_str() {
        "cut" => Fault::cut(Route::between(a, b)),
        "oneway-ab" => Fault::cut(Route::one_way(a, b)),
        "oneway-ba" => Fault::cut(Route::one_way(b, a)),
        "kill" => Fault::Kill { process },
        "stop" => Fault::Pause { process },
        other => return Err(format!("fault `{other}` is not known; valid: cut, oneway-ab, oneway-ba, kill, stop")),
    })
}

/// The settings of the servers' kernels: the words `key=value` of the case, under the names of sysctl. Clients keep the
/// defaults, as they did where it was measured.
fn tcp(run: &LabRun) -> Result<Option<Tcp>, String> {
    let mut tcp = Tcp::default();
    for word in run.case.split('/') {
        let Some((name, value)) = word.split_once('=').filter(|(name, _)| name.starts_with("tcp_")) else { continue };
        let number: u32 = value.parse().map_err(|_| format!("`{word}`: the kernel setting is no whole number"))?;
        match name {
            "tcp_retries2" => tcp.retries2 = number,
            "tcp_syn_retries" => tcp.syn_retries = number,
            "tcp_syn_linear_timeouts" => tcp.syn_linear_timeouts = number,
            "tcp_rto_max_ms" => tcp.rto_max = Span::from_ms(number.into()),
            "tcp_rto_min_us" => tcp.rto_min = Span::from_us(number.into()),
            _ => return Err(format!("kernel setting `{name}` is not modelled; modelled: {}", SYSCTLS.join(", "))),
        }
    }
    Ok(Some(tcp).filter(|tcp| *tcp != Tcp::default()))
}
