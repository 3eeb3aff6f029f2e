//! The measures that are taken of a story.

use std::collections::{BTreeMap, BTreeSet};

use super::story::{Role, Side, Story};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// The first follower at another site than the leader goes LOOKING, ms after the fault.
    FarLooking,
    /// The first follower at the leader's site goes LOOKING, ms after the fault.
    NearLooking,
    /// The leader gives up its role, ms after the fault.
    StepDown,
    /// The first new leader serves while the fault lasts, ms after the fault.
    NewLeader,
    /// The first new leader serves after the heal, ms after the heal.
    ElectedAfterHeal,
    /// All servers serve under one leader, for good, ms after the heal.
    AllServing,
    /// Two servers that run call themselves serving leader, ms altogether.
    Overlap,
    /// A leader lets the first session expire, ms after the fault.
    FirstExpiry,
    /// Sessions that leaders let expire.
    Expiring,
    /// The first write done after the moment recorded for the heal, ms after that moment.
    FirstContact(Side),
    /// The longest time between two acknowledged writes, ms.
    LongestGap(Side),
    /// The first loss of the connection, ms after the fault.
    Disconnected(Side),
    /// Writes of unknown outcome, all clients together.
    Unknown,
    /// Of those, applied.
    UnknownApplied,
}

/// How a run went on the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Branch {
    /// Nobody was elected.
    NoElection,
    /// One leader was elected.
    NewElection,
    /// The first leader that was elected did not come to serve at once: its followers had to look again.
    SecondElection,
    /// Writes never came back.
    Stall,
}

/// What is either so or not so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    /// Sessions that a client lost.
    SessionsLost(Side),
    /// Acknowledged writes lost.
    AcknowledgedLost,
    /// Who led after the fault, as a set of sids.
    Leaders,
}

/// The measures of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Measures {
    /// How it went.
    pub branch: Branch,
    /// Numbers; what did not happen is missing.
    pub numbers: BTreeMap<Metric, f64>,
    /// Categories.
    pub categories: BTreeMap<Category, String>,
}

impl Metric {
    /// Its words.
    pub fn name(self) -> String {
        match self {
            Self::FarLooking => "far follower LOOKING (ms after fault)".to_owned(),
            Self::NearLooking => "near follower LOOKING (ms after fault)".to_owned(),
            Self::StepDown => "leader steps down (ms after fault)".to_owned(),
            Self::NewLeader => "new leader serves during the fault (ms after fault)".to_owned(),
            Self::ElectedAfterHeal => "new leader serves after heal (ms after heal)".to_owned(),
            Self::AllServing => "all serve for good (ms after heal)".to_owned(),
            Self::Overlap => "two running leaders (ms)".to_owned(),
            Self::FirstExpiry => "first session expired by a leader (ms after fault)".to_owned(),
            Self::Expiring => "sessions expired by leaders (count)".to_owned(),
            Self::FirstContact(side) => format!("{}: first write after heal (ms)", side.name()),
            Self::LongestGap(side) => format!("{}: longest write gap (ms)", side.name()),
            Self::Disconnected(side) => format!("{}: first disconnect (ms after fault)", side.name()),
            Self::Unknown => "writes of unknown outcome (count)".to_owned(),
            Self::UnknownApplied => "of those, applied (count)".to_owned(),
        }
    }

    /// Whether it counts things; the others are times.
    pub fn is_count(self) -> bool {
        matches!(self, Self::Expiring | Self::Unknown | Self::UnknownApplied)
    }
}

impl Branch {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::NoElection, Self::NewElection, Self::SecondElection, Self::Stall];

    /// Its words.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoElection => "no election",
            Self::NewElection => "new election",
            Self::SecondElection => "second election",
            Self::Stall => "stall",
        }
    }
}

impl Category {
    /// Its words.
    pub fn name(self) -> String {
        match self {
            Self::SessionsLost(side) => format!("{}: sessions lost", side.name()),
            Self::AcknowledgedLost => "acknowledged writes lost".to_owned(),
            Self::Leaders => "servers that led after the fault".to_owned(),
        }
    }
}

/// Takes the measures of a story.
pub fn measure(story: &Story) -> Measures {
    let first = |after: f64, wanted: &dyn Fn(usize, Role) -> bool| {
        let found = story.roles.iter().find(|(at, server, role)| *at >= after && wanted(*server, *role));
        found.map(|(at, ..)| *at)
    };
    let follower = |far: bool| {
        move |server: usize, role: Role| {
            role == Role::Looking && server != story.leader && story.far.get(server) == Some(&far)
        }
    };
    let mut numbers = BTreeMap::new();
    let mut put = |metric: Metric, value: Option<f64>| {
        numbers.extend(value.map(|value| (metric, value)));
    };
    put(Metric::FarLooking, first(0.0, &follower(true)));
    put(Metric::NearLooking, first(0.0, &follower(false)));
    let killed = story.roles.iter().any(|(_, server, role)| *server == story.leader && *role == Role::Down);
    if !killed {
        put(Metric::StepDown, first(0.0, &|server, role| server == story.leader && role == Role::Looking));
    }
    let leads = |_: usize, role: Role| role == Role::Leading;
    put(Metric::NewLeader, first(0.0, &leads).filter(|at| *at < story.heal));
    if first(0.0, &leads).is_none_or(|at| at >= story.heal) {
        put(Metric::ElectedAfterHeal, first(story.heal, &leads).map(|at| at - story.heal));
    }
    let course = Course::of(story);
    put(Metric::AllServing, course.well_since.map(|at| (at - story.heal).max(0.0)).filter(|_| story.recovered));
    put(Metric::Overlap, Some(course.overlap));
    put(Metric::FirstExpiry, story.expiring.first().copied());
    put(Metric::Expiring, Some(story.expiring.len() as f64));
    for (side, session) in &story.sessions {
        put(Metric::FirstContact(*side), session.first_contact);
        put(Metric::LongestGap(*side), session.longest_gap);
        put(Metric::Disconnected(*side), session.disconnected);
    }
    let sessions = story.sessions.values();
    put(Metric::Unknown, Some(sessions.clone().map(|session| session.unknown).sum::<u64>() as f64));
    let applied: Option<u64> = sessions.map(|session| session.unknown_applied).sum();
    put(Metric::UnknownApplied, applied.map(|count| count as f64));
    Measures { branch: branch(story), numbers, categories: categories(story) }
}

fn branch(story: &Story) -> Branch {
    let elections = story.roles.iter().filter(|(.., role)| *role == Role::Elected).count();
    let elected = story.roles.iter().find(|(.., role)| *role == Role::Elected).map(|(at, ..)| *at);
    let serves = story.roles.iter().find(|(.., role)| *role == Role::Leading).map(|(at, ..)| *at);
    let late = elected.zip(serves).is_some_and(|(elected, serves)| serves - elected > AT_ONCE);
    match elections {
        _ if !story.recovered => Branch::Stall,
        0 => Branch::NoElection,
        1 if !late => Branch::NewElection,
        _ => Branch::SecondElection,
    }
}

/// From its election a leader serves within this time, ms, unless its followers fail to join it.
const AT_ONCE: f64 = 5_000.0;

fn categories(story: &Story) -> BTreeMap<Category, String> {
    let mut categories = BTreeMap::new();
    for (side, session) in &story.sessions {
        categories.insert(Category::SessionsLost(*side), session.expired.to_string());
    }
    let lost: Option<u64> = story.sessions.values().map(|session| session.lost).sum();
    if let Some(lost) = lost {
        categories.insert(Category::AcknowledgedLost, lost.to_string());
    }
    let led = story.roles.iter().filter(|(.., role)| *role == Role::Leading).map(|(_, server, _)| server + 1);
    let led: BTreeSet<String> = led.map(|sid| sid.to_string()).collect();
    let led = if led.is_empty() { "none".to_owned() } else { led.into_iter().collect::<Vec<_>>().join("+") };
    categories.insert(Category::Leaders, led);
    categories
}

/// What the roles of all servers come to over time.
struct Course {
    /// Since when all have served under one leader; `None` if they do not in the end.
    well_since: Option<f64>,
    /// How long two servers that run were leading at once.
    overlap: f64,
}

impl Course {
    fn of(story: &Story) -> Self {
        let mut roles: Vec<Role> =
            (0..story.far.len()).map(|s| if s == story.leader { Role::Leading } else { Role::Following }).collect();
        let mut course = Self { well_since: Some(story.heal), overlap: 0.0 };
        let mut two_since: Option<f64> = None;
        for (at, server, role) in &story.roles {
            let Some(place) = roles.get_mut(*server) else { continue };
            *place = *role;
            let leading = roles.iter().filter(|role| **role == Role::Leading).count();
            let well = leading == 1 && roles.iter().all(|role| matches!(role, Role::Leading | Role::Following));
            course.well_since = well.then(|| course.well_since.unwrap_or(*at));
            if leading > 1 {
                two_since = two_since.or(Some(*at));
            } else if let Some(since) = two_since.take() {
                // A leader that stands still leads nobody.
                let from = if story.paused { since.max(story.heal) } else { since };
                course.overlap += (at - from).max(0.0);
            }
        }
        course
    }
}
