//! The simpler forms of a fault. Each is simpler in one respect and never leads back.

use models::time::Span;

use super::named::Named;
use crate::deployment::Process;
use crate::fault::{DiskOps, Errno, Fault, HostSelector, Mode, Place, Ports, ProcessSelector, Route};
use crate::netem::{Correlated, Distribution, Loss, Netem};
use crate::scenario::Scenario;
use crate::units::Share;

impl Fault {
    /// The fault in simpler words, the simplest first: a cut for what is a cut at times, in part or with an answer, a kill for a
    /// crash of the host, one host for a site, one clause of netem less, one place of a list less, rounder numbers.
    pub fn simpler(&self, scenario: &Scenario) -> Vec<Self> {
        let mut forms = self.simpler_kinds(scenario);
        forms.extend(self.simpler_places(scenario));
        match self {
            Self::Impair { route, netem } => {
                let impair = |netem| Self::Impair { route: route.clone(), netem };
                forms.extend(netem.simpler().into_iter().map(impair));
            }
            Self::FailDisk { host, .. } => {
                let simplest = Self::FailDisk {
                    host: *host,
                    dir: None,
                    errno: Errno::default(),
                    ops: DiskOps::WRITING,
                    share: Share::ALL,
                };
                forms.extend((simplest != *self).then_some(simplest));
            }
            Self::FillDisk { host, leave } if *leave > 0 => forms.push(Self::FillDisk { host: *host, leave: 0 }),
            _ => {}
        }
        forms.extend(self.rounder());
        forms
    }

    /// Other kinds, which have less to be told of. `cut` and `kill` are the simplest.
    fn simpler_kinds(&self, scenario: &Scenario) -> Vec<Self> {
        let cut = |route: &Route| Self::Cut { route: route.clone(), mode: Mode::Silent };
        match self {
            Self::Cut { mode: Mode::Silent, .. } | Self::Kill { .. } => Vec::new(),
            Self::Cut { route, .. }
            | Self::Flap { route, .. }
            | Self::Impair { route, .. }
            | Self::MtuHole { route, .. }
            | Self::FlowLoss { route, .. }
            | Self::RouteLost { route, .. } => vec![cut(route)],
            Self::Partition { groups, .. } => match groups.as_slice() {
                [from, to] => {
                    vec![cut(&Route { from: from.clone(), to: to.clone(), both_ways: true, ports: Ports::default() })]
                }
                _ => Vec::new(),
            },
            Self::LinkDown { host } => {
                let from = vec![Place::Host(*host)];
                vec![cut(&Route { from, to: Vec::new(), both_ways: true, ports: Ports::default() })]
            }
            Self::Stop { process, .. } | Self::Restart { process, .. } => vec![Self::Kill { process: *process }],
            Self::Gc { process, .. } | Self::Cpu { process, .. } => vec![Self::Pause { process: *process }],
            Self::HostCrash { host, .. } => {
                let kill = |process| vec![Self::Kill { process }];
                only_process(*host, scenario).map_or_else(Vec::new, kill)
            }
            Self::SlowDisk { host, .. } | Self::DiskRate { host, .. } => vec![Self::StallDisk { host: *host }],
            Self::ClockStrobe { host, by_ns, .. } => vec![Self::ClockJump { host: *host, by_ns: *by_ns }],
            _ => Vec::new(),
        }
    }

    /// Fewer places, and narrower ones.
    fn simpler_places(&self, scenario: &Scenario) -> Vec<Self> {
        let mut forms = Vec::new();
        let mut with = |change: &dyn Fn(Named<'_>)| {
            let mut form = self.clone();
            form.named_mut().into_iter().for_each(change);
            forms.push(form);
        };
        for named in self.clone().named_mut() {
            match named {
                Named::Route(route) => {
                    for simpler in route.simpler(scenario) {
                        with(&|named| {
                            if let Named::Route(route) = named {
                                route.clone_from(&simpler);
                            }
                        });
                    }
                }
                Named::Groups(groups) => {
                    let fewer_groups = (0..groups.len()).filter(|_| groups.len() > 2);
                    for index in fewer_groups {
                        with(&|named| {
                            if let Named::Groups(groups) = named {
                                groups.remove(index);
                            }
                        });
                    }
                    for (index, group) in groups.iter().enumerate() {
                        for member in (0..group.len()).filter(|_| group.len() > 1) {
                            with(&|named| {
                                if let Named::Groups(groups) = named {
                                    groups[index].remove(member);
                                }
                            });
                        }
                    }
                }
                _ => {}
            }
        }
        forms
    }

    /// With one number rounder.
    fn rounder(&self) -> Vec<Self> {
        let mut forms = Vec::new();
        for index in 0..self.clone().spans_mut().len() {
            let mut form = self.clone();
            let value = *form.spans_mut()[index];
            for round in round_spans(value) {
                *form.spans_mut()[index] = round;
                forms.push(form.clone());
            }
        }
        for index in 0..self.clone().shares_mut().len() {
            let mut form = self.clone();
            let value = form.shares_mut()[index].ppm();
            for ppm in round_values(value.into()) {
                *form.shares_mut()[index] = Share::from_ppm(u32::try_from(ppm).unwrap_or(u32::MAX));
                forms.push(form.clone());
            }
        }
        forms
    }
}

/// Whom a kill of the process hits instead of a crash of the host; `None` if several stand there.
fn only_process(host: HostSelector, scenario: &Scenario) -> Option<ProcessSelector> {
    let host = match host {
        HostSelector::Of(process) => return Some(process),
        HostSelector::Host(host) => host,
    };
    let deployment = scenario.deployment();
    let mut on_it = deployment.on_host(host);
    on_it.next().filter(|_| on_it.next().is_none()).map(Process::selector)
}

/// Rounder numbers near `value`, the roundest first; none if it has one digit.
pub fn round_values(value: u64) -> Vec<u64> {
    let mut rounder = Vec::new();
    let mut unit = 1u64;
    while let Some(next) = unit.checked_mul(10).filter(|next| *next <= value) {
        unit = next;
    }
    while unit >= 10 && rounder.len() < 2 {
        let round = value.saturating_add(unit / 2) / unit * unit;
        if round == value {
            break;
        }
        rounder.push(round);
        unit /= 10;
    }
    rounder
}

/// Rounder spans near `span`, the roundest first: one digit, then two, of its largest unit.
pub fn round_spans(span: Span) -> Vec<Span> {
    round_values(span.as_ns()).into_iter().map(Span::from_ns).collect()
}

impl Route {
    /// All ports for some, both ways for one, one place less, one host for a site.
    fn simpler(&self, scenario: &Scenario) -> Vec<Self> {
        let mut forms = Vec::new();
        if self.ports != Ports::default() {
            forms.push(Self { ports: Ports::default(), ..self.clone() });
        }
        for (from, places) in [(true, &self.from), (false, &self.to)] {
            let with = |places: Vec<Place>| {
                let mut form = self.clone();
                *(if from { &mut form.from } else { &mut form.to }) = places;
                form
            };
            if places.len() > 1 {
                for index in 0..places.len() {
                    let mut fewer = places.clone();
                    fewer.remove(index);
                    forms.push(with(fewer));
                }
            }
            for (index, place) in places.iter().enumerate() {
                let Place::Site(site) = place else { continue };
                let hosts: Vec<_> = scenario.topology.hosts_of(*site).collect();
                for host in hosts.iter().filter(|_| hosts.len() > 1) {
                    let mut narrower = places.clone();
                    narrower[index] = Place::Host(HostSelector::Host(*host));
                    forms.push(with(narrower));
                }
            }
        }
        if !self.both_ways {
            forms.push(Self { both_ways: true, ..self.clone() });
        }
        forms
    }
}

impl Netem {
    /// With one clause less, or a simpler one.
    fn simpler(&self) -> Vec<Self> {
        let clear: [fn(&mut Self); 9] = [
            |netem| {
                (netem.delay, netem.jitter, netem.correlation) = (Span::ZERO, Span::ZERO, Share::NONE);
                (netem.distribution, netem.reorder, netem.gap) = (Distribution::Uniform, Correlated::default(), 0);
            },
            |netem| {
                (netem.jitter, netem.correlation, netem.distribution) =
                    (Span::ZERO, Share::NONE, Distribution::Uniform);
            },
            |netem| netem.loss = Loss::default(),
            |netem| netem.duplicate = Correlated::default(),
            |netem| netem.corrupt = Correlated::default(),
            |netem| (netem.reorder, netem.gap) = (Correlated::default(), 0),
            |netem| netem.rate = None,
            |netem| netem.limit = None,
            |netem| {
                netem.correlation = Share::NONE;
                for value in [&mut netem.duplicate, &mut netem.corrupt, &mut netem.reorder] {
                    value.correlation = Share::NONE;
                }
                if let Loss::Random(loss) = &mut netem.loss {
                    loss.correlation = Share::NONE;
                }
            },
        ];
        let forms = clear.into_iter().map(|clear| {
            let mut form = self.clone();
            clear(&mut form);
            form
        });
        forms.filter(|form| form != self && *form != Self::default()).collect()
    }
}

#[test]
fn round_numbers_are_near_and_the_roundest_comes_first() {
    assert_eq!(round_values(237), [200, 240]);
    assert_eq!(round_values(240), [200]);
    assert_eq!(round_values(12_345), [10_000, 12_000]);
    assert_eq!(round_values(15), [20]);
    for round in [0, 7, 20, 3_000] {
        assert_eq!(round_values(round), Vec::<u64>::new(), "{round}");
    }
    assert_eq!(round_spans(Span::from_us(1_234)), [Span::from_ms(1), Span::from_us(1_200)]);
}
